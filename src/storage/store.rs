//! Files that outlive the process: replaced atomically, and checked when they are read.
//!
//! Each file begins with a header line: its kind, format version, owner, checksum and length. A file
//! that does not match its header is set aside. It is never used and never fatal.

use std::collections::HashMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flate2::Crc;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tracing::warn;

/// The first word of every file.
const PROGRAM: &str = "campaign_exporter";

/// Maximum file size in bytes: half a million campaigns. Reading a file takes up to three times its
/// size, which the memory limit of the shipped deployments allows.
const MAX_FILE_BYTES: u64 = 128 * 1024 * 1024;

/// Maximum length of the header line in bytes.
const MAX_HEADER_BYTES: usize = 128;

/// Time limit for reading or writing a file: a hung file system must not block a poll.
const FILE_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum number of concurrent file operations, hung ones included. This leaves most of the
/// runtime's blocking threads to rendering.
static THREADS: Semaphore = Semaphore::const_new(64);

/// Pause between two attempts to take a lock.
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// How many characters of a name its file name shows.
const LEGIBLE_CHARS: usize = 40;

/// The kind of content of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The tokens of an account.
    Tokens,
    /// The last poll of an account.
    Poll,
    /// The campaigns of an account.
    Campaigns,
    /// The request count of an application for the day.
    Requests,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Poll => "poll",
            Self::Campaigns => "campaigns",
            Self::Requests => "requests",
        }
    }

    /// The format version. Raise it with every change to the stored type, and add the new bytes to
    /// `src/stored_formats.rs`.
    pub(crate) const fn version(self) -> u32 {
        match self {
            Self::Tokens | Self::Requests => 1,
            Self::Poll | Self::Campaigns => 2,
        }
    }

    /// Returns whether it must survive a power failure. The next poll restores what a poll found,
    /// and syncing every request count would cost more than a lost count.
    const fn is_durable(self) -> bool {
        matches!(self, Self::Tokens)
    }
}

/// A directory of stored files.
#[derive(Debug)]
pub struct Store {
    directory: PathBuf,
    /// Held while this process owns the directory.
    lock: Option<File>,
    /// The sequence number of the next save.
    next: AtomicU64,
    /// The sequence number of the last save of each file, so that a save that hung and timed out
    /// cannot overwrite a newer one.
    saved: Mutex<HashMap<PathBuf, u64>>,
}

/// Reason why a file or its directory cannot be used.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The operating system reported an error.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
    /// Another process owns the directory.
    #[error("{0} is in use by another campaign_exporter: each needs its own --storage.path")]
    InUse(PathBuf),
    /// The file system does not respond.
    #[error("{0}: the file system did not respond within {t} s", t = FILE_TIMEOUT.as_secs())]
    TimedOut(PathBuf),
    /// Another process held the lock of a file for too long.
    #[error("{0} is locked by another process")]
    Locked(PathBuf),
    /// The value cannot be encoded.
    #[error("cannot encode {0}: {1}")]
    Encode(PathBuf, postcard::Error),
}

impl Store {
    /// Opens a directory as its only owner until the value is dropped. Creates it if needed.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let mut store = Self::share(directory)?;
        store.lock = try_lock(&directory.join("lock"), directory)?;
        if store.lock.is_none() {
            return Err(StoreError::InUse(directory.to_path_buf()));
        }
        // an existing lock file can be opened even if the directory is read-only
        drop(store.temporary_file()?);
        store.remove_temporary_files();
        Ok(store)
    }

    /// Opens a directory that another process may own, to read it and to change tokens.
    pub fn share(directory: &Path) -> Result<Self, StoreError> {
        if !directory.exists() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(directory)
                .map_err(io_error("create", directory))?;
            if let Some(parent) = directory
                .parent()
                .filter(|path| !path.as_os_str().is_empty())
            {
                sync(parent)?;
            }
        }
        Ok(Self {
            directory: directory.to_path_buf(),
            lock: None,
            next: AtomicU64::new(1),
            saved: Mutex::default(),
        })
    }

    /// Returns whether this process owns the directory.
    pub const fn is_owned(&self) -> bool {
        self.lock.is_some()
    }

    /// Returns the path of the file of an account or application.
    pub fn path(&self, kind: Kind, name: &str) -> PathBuf {
        self.directory
            .join(format!("{}.{}", file_name(name), kind.as_str()))
    }

    /// Replaces a file atomically: readers see the old or the new one, even if the process is killed.
    pub async fn save(
        self: &Arc<Self>,
        kind: Kind,
        name: &str,
        value: impl Serialize + Send + 'static,
    ) -> Result<(), StoreError> {
        self.save_holding(kind, name, value, None).await
    }

    /// Like [`Self::save`], but holds the file's lock until the write is done, even after a timeout.
    pub async fn save_holding(
        self: &Arc<Self>,
        kind: Kind,
        name: &str,
        value: impl Serialize + Send + 'static,
        lock: Option<Arc<File>>,
    ) -> Result<(), StoreError> {
        let path = self.path(kind, name);
        let store = Arc::clone(self);
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let target = path.clone();
        let name = name.to_owned();
        in_time(path, move || {
            let payload =
                postcard::to_stdvec(&value).map_err(|error| StoreError::Encode(target, error))?;
            let replaced = store.replace(kind, &name, &payload, number);
            drop(lock);
            replaced
        })
        .await
    }

    /// Reads a file. Returns `None` if it does not exist or is not valid.
    pub async fn load<T: DeserializeOwned + Send + 'static>(
        self: &Arc<Self>,
        kind: Kind,
        name: &str,
    ) -> Result<Option<T>, StoreError> {
        let path = self.path(kind, name);
        let file = path.clone();
        let name = name.to_owned();
        in_time(path, move || read(kind, &name, &file)).await
    }

    /// Locks a file against changes by other processes until the value is dropped. Waits for the
    /// lock for up to `patience`.
    pub async fn lock(
        &self,
        kind: Kind,
        name: &str,
        patience: Duration,
    ) -> Result<File, StoreError> {
        let mut path = self.path(kind, name);
        path.add_extension("lock");
        let deadline = Instant::now() + patience;
        loop {
            let (directory, file) = (self.directory.clone(), path.clone());
            if let Some(lock) = in_time(path.clone(), move || try_lock(&file, &directory)).await? {
                return Ok(lock);
            }
            if Instant::now() >= deadline {
                return Err(StoreError::Locked(path));
            }
            tokio::time::sleep(LOCK_PAUSE).await;
        }
    }

    fn replace(
        &self,
        kind: Kind,
        name: &str,
        payload: &[u8],
        number: u64,
    ) -> Result<(), StoreError> {
        let path = &self.path(kind, name);
        if (MAX_HEADER_BYTES + payload.len()) as u64 > MAX_FILE_BYTES {
            return Err(io_error("write", path)(io::ErrorKind::FileTooLarge.into()));
        }
        let mut file = self.temporary_file()?;
        let written = file
            .write_all(header(kind, name, payload).as_bytes())
            .and_then(|()| file.write_all(payload))
            .and_then(|()| file.flush());
        written.map_err(io_error("write", path))?;
        share_with_owner(file.as_file(), &self.directory)?;
        let mut saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        let last = saved.entry(path.clone()).or_default();
        if *last > number {
            return Ok(());
        }
        *last = number;
        persist(file, path, kind.is_durable(), &self.directory)
    }

    /// Creates a temporary file. Its mode is 0600 from the start.
    fn temporary_file(&self) -> Result<NamedTempFile, StoreError> {
        tempfile::Builder::new()
            .prefix(TEMPORARY_PREFIX)
            .tempfile_in(&self.directory)
            .map_err(io_error("write to", &self.directory))
    }

    /// Removes the temporary files of killed processes. Recent ones may belong to another process
    /// that is changing tokens.
    fn remove_temporary_files(&self) {
        let old = Duration::from_mins(10);
        let Ok(entries) = fs::read_dir(&self.directory) else {
            return;
        };
        for entry in entries.flatten() {
            let is_temporary = entry
                .file_name()
                .to_str()
                .is_some_and(|name| name.starts_with(TEMPORARY_PREFIX));
            let age = entry
                .metadata()
                .and_then(|metadata| metadata.modified())
                .ok()
                .and_then(|modified| modified.elapsed().ok());
            if is_temporary && age.is_some_and(|age| age > old) {
                let path = entry.path();
                if let Err(error) = fs::remove_file(&path) {
                    warn!(path = %path.display(), %error, "cannot remove a temporary file");
                }
            }
        }
    }
}

/// Takes a lock unless another process holds it. Creates the lock file if needed.
fn try_lock(path: &Path, directory: &Path) -> Result<Option<File>, StoreError> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(io_error("open", path))?;
    share_with_owner(&file, directory)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(io_error("lock", path)(error)),
    }
}

/// Gives a file to the owner of its directory, so that an unprivileged exporter can read what a
/// command run by root has written.
fn share_with_owner(file: &File, directory: &Path) -> Result<(), StoreError> {
    let ids = |metadata: fs::Metadata| (metadata.uid(), metadata.gid());
    let own = file.metadata().map(ids);
    let owner = fs::metadata(directory).map(ids);
    let (own, owner) = own
        .and_then(|own| owner.map(|owner| (own, owner)))
        .map_err(io_error("stat", directory))?;
    if own.0 == owner.0 {
        return Ok(());
    }
    match fchown(file, Some(owner.0), Some(owner.1)) {
        // only root may change the owner; any other process keeps its own files
        Err(error) if error.kind() != io::ErrorKind::PermissionDenied => {
            Err(io_error("change the owner of a file in", directory)(error))
        }
        _ => Ok(()),
    }
}

/// Prefix of the names of temporary files.
const TEMPORARY_PREFIX: &str = ".unfinished-";

/// Renames a finished file to its final name. For durability, syncs the file before and the
/// directory after.
fn persist(
    file: NamedTempFile,
    path: &Path,
    durable: bool,
    directory: &Path,
) -> Result<(), StoreError> {
    if durable {
        file.as_file().sync_all().map_err(io_error("write", path))?;
    }
    file.persist(path)
        .map_err(|error| io_error("replace", path)(error.error))?;
    if durable { sync(directory) } else { Ok(()) }
}

/// Syncs the entries of a directory.
fn sync(directory: &Path) -> Result<(), StoreError> {
    let synced = File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(io_error("write", directory))
}

fn read<T: DeserializeOwned>(kind: Kind, name: &str, path: &Path) -> Result<Option<T>, StoreError> {
    // opening a pipe could block forever
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        set_aside(path, "not a regular file")?;
        return Ok(None);
    }
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error("read", path)(error)),
    };
    if kind == Kind::Tokens {
        keep_private(&file, path);
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(io_error("read", path))?;
    match decode(kind, name, &bytes) {
        Ok(value) => Ok(Some(value)),
        Err(why) => {
            set_aside(path, &why)?;
            Ok(None)
        }
    }
}

/// Removes the access of other users.
fn keep_private(file: &File, path: &Path) {
    let others = |mode: u32| mode & 0o077;
    let Ok(metadata) = file.metadata() else {
        return;
    };
    if others(metadata.permissions().mode()) == 0 {
        return;
    }
    let private = fs::Permissions::from_mode(0o600);
    match file.set_permissions(private) {
        Ok(()) => warn!(path = %path.display(), "tokens were readable by others: made private"),
        Err(error) => warn!(path = %path.display(), %error, "tokens are readable by others"),
    }
}

fn set_aside(path: &Path, why: &str) -> Result<(), StoreError> {
    let aside = path.with_added_extension("set-aside");
    fs::rename(path, &aside).map_err(io_error("set aside", path))?;
    let (path, aside) = (path.display(), aside.display());
    warn!(%path, %aside, why, "unusable stored file set aside");
    Ok(())
}

pub(crate) fn header(kind: Kind, name: &str, payload: &[u8]) -> String {
    let (kind, version, owner) = (kind.as_str(), kind.version(), short_fingerprint(name));
    let (sum, length) = (checksum(payload), payload.len());
    format!("{PROGRAM} {kind} {version} {owner} {sum:08x} {length}\n")
}

/// Decodes a file. The error says why it is not valid.
pub(crate) fn decode<T: DeserializeOwned>(
    kind: Kind,
    name: &str,
    bytes: &[u8],
) -> Result<T, String> {
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("larger than {MAX_FILE_BYTES} bytes"));
    }
    let head = bytes.get(..MAX_HEADER_BYTES).unwrap_or(bytes);
    let foreign = || format!("not a {PROGRAM} file");
    let end = head.iter().position(|byte| *byte == b'\n');
    let end = end.ok_or_else(foreign)?;
    let (line, payload) = bytes.split_at(end + 1);
    let line = std::str::from_utf8(line).map_err(|_| foreign())?;
    let mut words = line.split_whitespace();
    if words.next() != Some(PROGRAM) {
        return Err(foreign());
    }
    let found = words.next().unwrap_or_default();
    if found != kind.as_str() {
        return Err(format!("holds {found:?}, not {}", kind.as_str()));
    }
    let version = words.next().unwrap_or_default();
    if version != kind.version().to_string() {
        let known = kind.version();
        return Err(format!(
            "format version {version:?}; this exporter reads version {known}"
        ));
    }
    if words
        .next()
        .is_none_or(|owner| owner != short_fingerprint(name))
    {
        return Err("belongs to another account or application".to_owned());
    }
    if line != header(kind, name, payload) {
        return Err("damaged: checksum or length mismatch".to_owned());
    }
    postcard::from_bytes(payload).map_err(|error| format!("cannot decode: {error}"))
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut checksum = Crc::new();
    checksum.update(bytes);
    checksum.sum()
}

/// Returns a legible, unique file name of bounded length.
fn file_name(name: &str) -> String {
    let legible: String = name
        .chars()
        .map(|char| {
            if char.is_ascii_alphanumeric() {
                char
            } else {
                '-'
            }
        })
        .take(LEGIBLE_CHARS)
        .collect();
    format!("{legible}.{}", short_fingerprint(name))
}

/// Returns enough of the fingerprint to tell names apart.
fn short_fingerprint(name: &str) -> String {
    fingerprint(name).chars().take(16).collect()
}

/// Returns a hash that identifies a text without revealing it.
pub fn fingerprint(text: &str) -> String {
    format!("{:x}", Sha256::digest(text.as_bytes()))
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_path_buf();
    move |error| StoreError::Io {
        action,
        path,
        source: without_path(error),
    }
}

/// Removes the path that `tempfile` adds to an error. It is different each time, so the log would
/// take each failure for a new one.
fn without_path(error: io::Error) -> io::Error {
    let text = error.to_string();
    match text.split_once(" at path ") {
        Some((message, _)) if error.raw_os_error().is_none() => {
            io::Error::new(error.kind(), message)
        }
        _ => error,
    }
}

/// Runs file operations on a blocking thread, with a time limit.
async fn in_time<T: Send + 'static>(
    path: PathBuf,
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let working = async {
        let place = THREADS.acquire().await.map_err(io::Error::other)?;
        let working = tokio::task::spawn_blocking(move || {
            let result = work();
            // released only now, so that hung operations count
            drop(place);
            result
        });
        working.await.map_err(io::Error::other)
    };
    match tokio::time::timeout(FILE_TIMEOUT, working).await {
        Ok(Ok(result)) => result,
        Ok(Err(error)) => Err(io_error("use", &path)(error)),
        Err(_) => Err(StoreError::TimedOut(path)),
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn store() -> (TempDir, Arc<Store>) {
        let directory = TempDir::new().unwrap();
        let store = Arc::new(Store::open(&directory.path().join("made/on/the/way")).unwrap());
        (directory, store)
    }

    async fn load(store: &Arc<Store>, name: &str) -> Option<Vec<String>> {
        store.load(Kind::Tokens, name).await.unwrap()
    }

    async fn save(store: &Arc<Store>, name: &str, text: &str) {
        let value = vec![text.to_owned()];
        store.save(Kind::Tokens, name, value).await.unwrap();
    }

    #[tokio::test]
    async fn saved_values_load_and_are_private() {
        let (_directory, store) = store();
        assert_eq!(load(&store, "a").await, None);
        save(&store, "a", "one").await;
        save(&store, "a", "two").await;
        assert_eq!(load(&store, "a").await, Some(vec!["two".to_owned()]));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let path = store.path(Kind::Tokens, "a");
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(&store.directory), 0o700);

        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(load(&store, "a").await, Some(vec!["two".to_owned()]));
        assert_eq!(mode(&path), 0o600);
    }

    #[tokio::test]
    async fn every_name_maps_to_its_own_file_in_the_directory() {
        let (_directory, store) = store();
        let long = "x".repeat(200);
        let names = format!("../../etc/passwd|a/b|a-b|a b|.||{long}|é|A|a");
        let names = || names.split('|');
        for name in names() {
            save(&store, name, name).await;
        }
        for name in names() {
            assert_eq!(load(&store, name).await, Some(vec![name.to_owned()]));
            let path = store.path(Kind::Tokens, name);
            assert_eq!(path.parent(), Some(store.directory.as_path()), "{name}");
        }
    }

    #[tokio::test]
    async fn damaged_and_foreign_files_are_set_aside() {
        let (_directory, store) = store();
        save(&store, "a", "secret").await;
        let path = store.path(Kind::Tokens, "a");
        let good = fs::read(&path).unwrap();
        let replaced = |from: &str, to: &str| {
            let text = String::from_utf8(good.clone()).unwrap();
            assert!(text.contains(from), "{text:?}");
            text.replacen(from, to, 1).into_bytes()
        };
        let mut flipped = good.clone();
        *flipped.last_mut().unwrap() ^= 1;
        for (bytes, why) in [
            (flipped, "damaged"),
            (good[..good.len() - 1].to_vec(), "damaged"),
            ([good.as_slice(), b"x"].concat(), "damaged"),
            (Vec::new(), "not a campaign_exporter file"),
            (vec![0; 4096], "not a campaign_exporter file"),
            (
                b"{\"refresh_token\":1}\n".to_vec(),
                "not a campaign_exporter file",
            ),
            (replaced("tokens 1", "tokens 2"), "version \"2\""),
            (replaced("tokens", "campaigns"), "holds \"campaigns\""),
        ] {
            let error = decode::<Vec<String>>(Kind::Tokens, "a", &bytes).unwrap_err();
            assert!(error.contains(why), "{why}");
            fs::write(&path, &bytes).unwrap();
            assert_eq!(load(&store, "a").await, None, "{why}");
            let aside = path.with_extension("tokens.set-aside");
            assert_eq!(fs::read(&aside).unwrap(), bytes, "{why}");
            assert!(!path.exists());
            // a new file works again
            save(&store, "a", "new").await;
            assert_eq!(load(&store, "a").await, Some(vec!["new".to_owned()]));
        }
        // a changed type under the same version number
        assert!(decode::<(u64, Vec<String>)>(Kind::Tokens, "a", &good).is_err());
        let of_another = decode::<Vec<String>>(Kind::Tokens, "b", &good);
        assert!(of_another.unwrap_err().contains("another account"));
    }

    #[tokio::test]
    async fn a_directory_has_one_owner() {
        let (_directory, store) = store();
        let error = Store::open(&store.directory).unwrap_err().to_string();
        assert!(error.contains("in use by another"), "{error}");
        let shared = Store::share(&store.directory).unwrap();
        assert!(store.is_owned() && !shared.is_owned());
        let path = store.directory.clone();
        drop(store);
        assert!(Store::open(&path).is_ok());
    }

    #[tokio::test]
    async fn a_lock_excludes_other_processes() {
        let (_directory, store) = store();
        let soon = Duration::from_millis(200);
        let held = store.lock(Kind::Tokens, "a", soon).await.unwrap();
        assert!(store.lock(Kind::Tokens, "b", soon).await.is_ok());
        let error = store.lock(Kind::Tokens, "a", soon).await.unwrap_err();
        assert!(error.to_string().contains("locked"), "{error}");
        drop(held);
        assert!(store.lock(Kind::Tokens, "a", soon).await.is_ok());
    }

    #[tokio::test]
    async fn errors_name_the_directory() {
        let (_directory, store) = store();
        fs::remove_dir_all(&store.directory).unwrap();
        let saved = store.save(Kind::Poll, "a", 1_u8).await;
        let error = saved.unwrap_err().to_string();
        assert!(
            error.contains(&store.directory.display().to_string()),
            "{error}"
        );
        let file = NamedTempFile::new().unwrap();
        assert!(Store::open(file.path()).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_hung_file_system_is_given_up() {
        let (release, hung) = std::sync::mpsc::channel::<()>();
        let work = in_time(PathBuf::from("f"), move || {
            assert!(hung.recv().is_err());
            Ok(())
        });
        let result = tokio::select! {
            biased;
            result = work => Some(result),
            () = async {
                tokio::time::advance(FILE_TIMEOUT).await;
                tokio::task::yield_now().await;
            } => None,
        };
        drop(release);
        assert!(
            matches!(result, Some(Err(StoreError::TimedOut(_)))),
            "{result:?}"
        );
    }

    #[test]
    fn no_file_is_written_that_could_not_be_read() {
        let (_directory, store) = store();
        let payload = vec![0; usize::try_from(MAX_FILE_BYTES).unwrap()];
        assert!(store.replace(Kind::Campaigns, "a", &payload, 0).is_err());
        assert!(!store.path(Kind::Campaigns, "a").exists());
    }

    #[tokio::test]
    async fn a_late_save_does_not_replace_a_newer_one() {
        let (_directory, store) = store();
        save(&store, "a", "new").await;
        let old = postcard::to_stdvec(&vec!["old"]).unwrap();
        store.replace(Kind::Tokens, "a", &old, 0).unwrap();
        assert_eq!(load(&store, "a").await, Some(vec!["new".to_owned()]));
        let newer = postcard::to_stdvec(&vec!["newer"]).unwrap();
        store.replace(Kind::Tokens, "a", &newer, 9).unwrap();
        assert_eq!(load(&store, "a").await, Some(vec!["newer".to_owned()]));
    }

    #[tokio::test]
    async fn files_written_by_root_belong_to_the_owner_of_the_directory() {
        let (_directory, store) = store();
        let owner = |path: &Path| {
            let metadata = fs::metadata(path).unwrap();
            (metadata.uid(), metadata.gid())
        };
        if std::os::unix::fs::chown(&store.directory, Some(12_345), Some(54_321)).is_err() {
            // needs root
            return;
        }
        save(&store, "a", "x").await;
        let _lock = store.lock(Kind::Tokens, "a", LOCK_PAUSE).await.unwrap();
        let path = store.path(Kind::Tokens, "a");
        let lock = path.with_added_extension("lock");
        for path in [path, lock] {
            assert_eq!(owner(&path), (12_345, 54_321), "{}", path.display());
        }
    }

    #[tokio::test]
    async fn old_temporary_files_are_removed() {
        let (_directory, store) = store();
        let path = store.directory.clone();
        drop(store);
        let old = File::create(path.join(format!("{TEMPORARY_PREFIX}old"))).unwrap();
        old.set_modified(std::time::SystemTime::now() - Duration::from_hours(1))
            .unwrap();
        File::create(path.join(format!("{TEMPORARY_PREFIX}new"))).unwrap();
        File::create(path.join("unrelated")).unwrap();
        let _store = Store::open(&path).unwrap();
        let exists = |name: &str| path.join(name).exists();
        assert!(!exists(".unfinished-old"));
        assert!(exists(".unfinished-new") && exists("unrelated"));
    }
}
