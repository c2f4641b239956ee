//! A folder whose files are opened without following links: a command that root runs must not write or
//! give away a file that the owner of the folder has linked there.

use std::collections::BTreeSet;
use std::fs::{DirBuilder, File, Metadata, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{
    Access, AtFlags, CWD, Gid, Mode, OFlags, Uid, accessat, fchmod, fchown, open, openat, renameat,
    unlinkat,
};
use rustix::io::Errno;
use rustix::process::geteuid;
use tracing::warn;

/// Prefix of the names of files that are not finished.
pub(super) const TEMPORARY_PREFIX: &str = ".unfinished-";

/// Mode of new files.
const PRIVATE: Mode = Mode::from_raw_mode(0o600);

/// What is wrong with a file that is not used.
pub(super) const NOT_PLAIN: &str = "not a regular file with a single link";

/// A folder.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    /// What the log says already that the file system cannot do.
    warned: Mutex<BTreeSet<&'static str>>,
}

/// With whom a process shares a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lock {
    /// With nobody.
    Exclusive,
    /// With all that ask for the same.
    Shared,
}

/// A file with a temporary name. Removed when dropped.
pub(super) struct Unfinished<'a> {
    folder: &'a Folder,
    directory: File,
    name: String,
    pub(super) file: File,
}

impl Folder {
    /// Creates the folder unless it exists.
    pub(super) fn make(path: &Path) -> io::Result<Self> {
        let folder = Self { path: path.to_path_buf(), warned: Mutex::default() };
        if !path.try_exists()? {
            DirBuilder::new().recursive(true).mode(0o700).create(path)?;
            let parent = path.parent().filter(|path| !path.as_os_str().is_empty());
            folder.synced(parent.map_or(Ok(()), |parent| File::open(parent)?.sync_all()))?;
        }
        Ok(folder)
    }

    /// Returns whether this process is root's, and everyone may replace what it writes here. A group that
    /// may write was chosen for that, such as the `fsGroup` of a Kubernetes volume.
    pub(super) fn is_open_to_all(&self) -> io::Result<bool> {
        let everyone = Mode::WOTH.as_raw_mode();
        Ok(geteuid().is_root() && self.open()?.metadata()?.mode() & everyone != 0)
    }

    fn open(&self) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(File::from(open(&self.path, flags, Mode::empty())?))
    }

    /// Opens a file for reading. Returns `None` if it does not exist, and `NOT_PLAIN` as an error of
    /// kind `InvalidInput`.
    pub(super) fn read(&self, name: &str) -> io::Result<Option<File>> {
        match self.open().and_then(|folder| open_plain(&folder, name, OFlags::RDONLY)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            file => file.map(Some),
        }
    }

    /// Returns whether a name is that of an open file.
    pub(super) fn has(&self, name: &str, file: &File) -> io::Result<bool> {
        let identity = |metadata: Metadata| (metadata.dev(), metadata.ino());
        match self.path.join(name).symlink_metadata() {
            Ok(found) => Ok(identity(found) == identity(file.metadata()?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes the access of other users to a file. Returns whether they had any.
    pub(super) fn keep_private(&self, file: &File) -> io::Result<bool> {
        let is_shared = file.metadata()?.mode() & 0o077 != 0;
        if is_shared && let Err(error) = fchmod(file, PRIVATE) {
            self.warn("tokens are readable by others", &error.into());
            return Ok(false);
        }
        Ok(is_shared)
    }

    /// Creates a file with a temporary name.
    pub(super) fn create(&self) -> io::Result<Unfinished<'_>> {
        let directory = self.open()?;
        let name = format!("{TEMPORARY_PREFIX}{:016x}", fastrand::u64(..));
        let file = self.create_new(&directory, &name, OFlags::WRONLY)?;
        Ok(Unfinished { folder: self, directory, name, file })
    }

    /// Takes a lock unless another process holds it. Creates the lock file if needed.
    pub(super) fn try_lock(&self, name: &str, lock: Lock) -> io::Result<Option<File>> {
        let directory = self.open()?;
        // file systems that emulate locks want them to be writable
        let file = match self.create_new(&directory, name, OFlags::RDWR) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                open_plain(&directory, name, OFlags::RDWR)?
            }
            file => file?,
        };
        let is_locked = self.lock(&file, lock)?;
        Ok(is_locked.then_some(file))
    }

    /// Returns whether a lock is still held, and at its name. A file system on another machine can lose a
    /// lock and give it to another process; asking for it again tells.
    pub(super) fn keeps(&self, name: &str, file: &File, lock: Lock) -> io::Result<bool> {
        Ok(self.has(name, file)? && self.lock(file, lock)?)
    }

    fn lock(&self, file: &File, lock: Lock) -> io::Result<bool> {
        let locked = match lock {
            Lock::Exclusive => file.try_lock(),
            Lock::Shared => file.try_lock_shared(),
        };
        match locked {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) if is_unsupported(&error) => {
                self.warn("no locks: two exporters could read the same account", &error);
                Ok(true)
            }
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Creates a file, and gives it to the owner of the folder, so that an unprivileged exporter can use
    /// what a command run by root has written.
    fn create_new(&self, directory: &File, name: &str, access: OFlags) -> io::Result<File> {
        let flags = access | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(openat(directory, name, flags, PRIVATE)?);
        let owner = directory.metadata()?;
        // only root may give files away; any other process keeps its own
        if geteuid().is_root() && file.metadata()?.uid() != owner.uid() {
            let (user, group) = (Uid::from_raw(owner.uid()), Gid::from_raw(owner.gid()));
            if let Err(error) = fchown(&file, Some(user), Some(group)) {
                let weaker = "files keep root as owner: other users may be unable to read them";
                self.warn(weaker, &error.into());
            }
        }
        Ok(file)
    }

    /// Renames a file.
    pub(super) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let directory = self.open()?;
        Ok(renameat(&directory, from, &directory, to)?)
    }

    /// Accepts that a file system cannot sync.
    fn synced(&self, synced: io::Result<()>) -> io::Result<()> {
        match synced {
            Err(error) if is_unsupported(&error) => {
                self.warn("a power failure can lose the last changes", &error);
                Ok(())
            }
            synced => synced,
        }
    }

    /// Logs once what is weaker because the file system or its rights lack something.
    fn warn(&self, weaker: &'static str, error: &io::Error) {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.insert(weaker) {
            let path = self.path.display();
            warn!(%path, %error, weaker, "the storage folder does not support everything");
        }
    }
}

impl Unfinished<'_> {
    /// Gives a finished file its name. For durability, syncs the file before and the folder after.
    pub(super) fn persist(self, name: &str, durable: bool) -> io::Result<()> {
        if durable {
            self.folder.synced(self.file.sync_all())?;
        }
        renameat(&self.directory, &self.name, &self.directory, name)?;
        if durable {
            self.folder.synced(self.directory.sync_all())?;
        }
        Ok(())
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        match unlinkat(&self.directory, &self.name, AtFlags::empty()) {
            // it has its final name
            Ok(()) | Err(Errno::NOENT) => {}
            // a later start removes it
            Err(error) => warn!(name = self.name, %error, "cannot remove a temporary file"),
        }
    }
}

/// Checks that this user can write to a folder, or create it where its nearest ancestor is.
pub(super) fn check(path: &Path) -> io::Result<()> {
    // of a file, `.` is an error; of an empty path, the working directory
    let mut folders = path.ancestors().map(|folder| folder.join("."));
    let exists = |folder: &PathBuf| !matches!(folder.try_exists(), Ok(false));
    let folder = folders.find(exists).unwrap_or_default();
    let access = Access::WRITE_OK | Access::EXEC_OK;
    Ok(accessat(CWD, folder, access, AtFlags::EACCESS)?)
}

/// Opens an existing file without waiting for the other end of a pipe.
fn open_plain(directory: &File, name: &str, access: OFlags) -> io::Result<File> {
    let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let not_plain = || io::Error::new(io::ErrorKind::InvalidInput, NOT_PLAIN);
    let file = match openat(directory, name, flags, Mode::empty()) {
        // a link; a socket; a directory
        Err(Errno::LOOP | Errno::NXIO | Errno::ISDIR) => return Err(not_plain()),
        file => File::from(file?),
    };
    // a user who may open a file may also have linked it, such as for a backup; root must not be
    // led to another's file
    let may_link = !geteuid().is_root();
    let is_plain = |metadata: &Metadata| metadata.is_file() && (metadata.nlink() == 1 || may_link);
    if is_plain(&file.metadata()?) { Ok(file) } else { Err(not_plain()) }
}

/// Returns whether a file system, or a user without rights there, cannot do something, as opposed to a
/// failure: user namespaces, SMB, FUSE.
fn is_unsupported(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(
            Errno::ACCESS
                | Errno::BADF
                | Errno::INVAL
                | Errno::NOLCK
                | Errno::NOSYS
                | Errno::NOTSUP
                | Errno::NOTTY
                | Errno::PERM
        )
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_system_cannot_do_is_told_once_but_failures_are_errors() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::make(directory.path()).unwrap();
        let (file, _guard) = crate::logging::tests::capture(crate::logging::LogFormat::Logfmt);
        for unsupported in [Errno::INVAL, Errno::OPNOTSUPP, Errno::PERM] {
            assert!(folder.synced(Err(unsupported.into())).is_ok());
        }
        for failure in [Errno::IO, Errno::NOSPC, Errno::DQUOT, Errno::STALE] {
            assert!(folder.synced(Err(failure.into())).is_err());
        }
        let log = std::fs::read_to_string(file.path()).unwrap();
        assert_eq!(log.lines().count(), 1, "{log}");
        assert!(log.contains("a power failure can lose"), "{log}");
    }
}
