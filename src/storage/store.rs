//! Files that outlive the process: replaced atomically, and checked when they are read.
//!
//! Each file begins with a header line: its kind, format version, owner, checksum and length. A file
//! that does not match its header is set aside. It is never used and never fatal.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flate2::Crc;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tracing::warn;

use super::folder::{self, Folder, Lock, NOT_PLAIN, TEMPORARY_PREFIX};
use crate::campaign::bounds::MAX_ACCOUNT_BYTES;

/// The first word of every file.
const PROGRAM: &str = "campaign_exporter";

/// Maximum file size in bytes. No file is larger than its campaigns in memory.
const MAX_FILE_BYTES: u64 = MAX_ACCOUNT_BYTES as u64;

/// Files larger than this are read one at a time, so that a start needs the memory of one.
const LARGE_FILE_BYTES: u64 = 1024 * 1024;

/// Held while a large file is read.
static LARGE_FILE: Mutex<()> = Mutex::new(());

/// Maximum length of the header line in bytes.
const MAX_HEADER_BYTES: usize = 128;

/// Time limit for reading or writing a file: a hung file system must not block a poll.
const FILE_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum number of concurrent file operations, hung ones included. This leaves most of the
/// runtime's blocking threads to rendering.
static THREADS: Semaphore = Semaphore::const_new(64);

/// The file that the owners of a directory lock.
const LOCK: &str = "lock";

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
            Self::Poll => 2,
            Self::Campaigns => 3,
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
    folder: Arc<Folder>,
    owned: Owned,
    /// Held as long as this process owns any of it; `None` while another process does instead.
    lock: Mutex<Option<File>>,
    /// The sequence number of the next save.
    next: AtomicU64,
    /// The sequence number of the last save of each file, so that a save that hung and timed out
    /// cannot overwrite a newer one.
    saved: Mutex<HashMap<PathBuf, u64>>,
}

/// What a process owns of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owned {
    /// All of it.
    Whole,
    /// The applications that it has locked. Others own the rest.
    Part,
    /// None of it.
    Nothing,
}

impl Owned {
    const fn lock(self) -> Option<Lock> {
        match self {
            Self::Whole => Some(Lock::Exclusive),
            Self::Part => Some(Lock::Shared),
            Self::Nothing => None,
        }
    }
}

/// Reason why a file or its directory cannot be used.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The operating system reported an error.
    #[error("cannot {action} {path}: {error}")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The error. Not the source, which would be shown again.
        error: io::Error,
    },
    /// Something else is in the place of a lock.
    #[error("{0} is not a regular file with a single link: remove it, and it is created again")]
    NoLock(PathBuf),
    /// Another process owns the directory.
    #[error(
        "{0} is in use by another campaign_exporter: each needs its own, unless all have --shard"
    )]
    InUse(PathBuf),
    /// Another process owns an application of the directory.
    #[error(
        "another campaign_exporter with the same --storage.path reads this account and has locked {0}; \
         this one goes on once the other stops or its shard no longer has the account"
    )]
    Elsewhere(PathBuf),
    /// A command of root would write where everyone can.
    #[error("root does not use {0}, to which every user may write: run `chmod o-w` on it")]
    OpenToAll(PathBuf),
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
        Self::own(directory, Owned::Whole)
    }

    /// Opens a directory as one of several owners, each of which owns the applications that it has
    /// [locked](Self::try_own). Creates it if needed.
    pub fn open_part(directory: &Path) -> Result<Self, StoreError> {
        Self::own(directory, Owned::Part)
    }

    fn own(directory: &Path, owned: Owned) -> Result<Self, StoreError> {
        let store = Self::of(directory, owned)?;
        store.hold()?;
        // an existing lock file can be opened even if the directory is read-only
        match store.folder.create() {
            // polls go on, and are stored once there is space
            Err(error) if is_full(&error) => {
                warn!(path = %directory.display(), %error, "the storage folder is full");
            }
            written => drop(written.map_err(io_error("write to", directory))?),
        }
        store.remove_temporary_files();
        Ok(store)
    }

    /// Checks that this user can write to a directory, or create it, without doing so.
    pub fn check(directory: &Path) -> Result<(), StoreError> {
        folder::check(directory).map_err(io_error("write to", directory))
    }

    /// Opens a directory that another process may own, to read it and to change tokens.
    pub fn share(directory: &Path) -> Result<Self, StoreError> {
        let store = Self::of(directory, Owned::Nothing)?;
        let is_open_to_all = store.folder.is_open_to_all();
        if is_open_to_all.map_err(io_error("open", directory))? {
            return Err(StoreError::OpenToAll(directory.to_path_buf()));
        }
        Ok(store)
    }

    fn of(directory: &Path, owned: Owned) -> Result<Self, StoreError> {
        let folder = Folder::make(directory).map_err(io_error("create", directory))?;
        Ok(Self {
            folder: Arc::new(folder),
            owned,
            lock: Mutex::default(),
            next: AtomicU64::new(1),
            saved: Mutex::default(),
        })
    }

    /// Returns whether this process owns the directory, or what it has locked there.
    pub fn is_owned(&self) -> bool {
        self.owned != Owned::Nothing
    }

    /// Returns whether other processes can own other applications of the directory.
    pub fn is_divided(&self) -> bool {
        self.owned == Owned::Part
    }

    /// Locks an application until the value is dropped, or keeps a lock that it has. While another process
    /// owns the application, that is [`StoreError::Elsewhere`].
    pub async fn try_own(
        self: &Arc<Self>,
        application: &str,
        held: Option<Arc<File>>,
    ) -> Result<Arc<File>, StoreError> {
        // its owner is the one who counts its requests
        let file = lock_name(Kind::Requests, application);
        let path = self.folder.path.join(&file);
        let store = Arc::clone(self);
        in_time(path.clone(), move || {
            store.hold()?;
            if let Some(held) = held {
                let keeps = store.folder.keeps(&file, &held, Lock::Exclusive);
                if keeps.map_err(lock_error(&path))? {
                    return Ok(held);
                }
            }
            let lock = store.folder.try_lock(&file, Lock::Exclusive).map_err(lock_error(&path))?;
            lock.map(Arc::new).ok_or(StoreError::Elsewhere(path))
        })
        .await
    }

    /// Holds the lock of the directory that is at its path now: the directory or the lock can be removed or
    /// replaced at any time, and another exporter would not notice this one.
    fn hold(&self) -> Result<(), StoreError> {
        let Some(wanted) = self.owned.lock() else {
            return Ok(());
        };
        let directory = &self.folder.path;
        let lock_file = directory.join(LOCK);
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = &*lock {
            let is_current = self.folder.has(LOCK, held);
            if is_current.map_err(io_error("read", &lock_file))? {
                return Ok(());
            }
            warn!(path = %directory.display(), "the storage folder or its lock was replaced: locking again");
        }
        *lock = None;
        drop(Folder::make(directory).map_err(io_error("create", directory))?);
        *lock = self.folder.try_lock(LOCK, wanted).map_err(lock_error(&lock_file))?;
        match &*lock {
            Some(_) => Ok(()),
            None => Err(StoreError::InUse(directory.clone())),
        }
    }

    /// Whether a file exists.
    pub async fn has(&self, kind: Kind, name: &str) -> Result<bool, StoreError> {
        let path = self.path(kind, name);
        let shown = path.clone();
        in_time(path, move || shown.try_exists().map_err(io_error("read", &shown))).await
    }

    /// Returns the path of the file of an account or application.
    pub fn path(&self, kind: Kind, name: &str) -> PathBuf {
        self.folder.path.join(file_name(kind, name))
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
        let name = name.to_owned();
        in_time(path, move || {
            let replaced = store.replace(kind, &name, &value, number);
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
        let store = Arc::clone(self);
        let owner = name.to_owned();
        in_time(self.path(kind, name), move || store.read(kind, &owner)).await
    }

    /// Locks a file against changes by other processes until the value is dropped. Waits for the
    /// lock for up to `patience`.
    pub async fn lock(
        self: &Arc<Self>,
        kind: Kind,
        name: &str,
        patience: Duration,
    ) -> Result<File, StoreError> {
        let file = lock_name(kind, name);
        let path = self.folder.path.join(&file);
        let deadline = Instant::now() + patience;
        loop {
            let (store, file, shown) = (Arc::clone(self), file.clone(), path.clone());
            let take = move || {
                store.hold()?;
                store.folder.try_lock(&file, Lock::Exclusive).map_err(lock_error(&shown))
            };
            if let Some(lock) = in_time(path.clone(), take).await? {
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
        value: &impl Serialize,
        number: u64,
    ) -> Result<(), StoreError> {
        self.hold()?;
        let path = &self.path(kind, name);
        // encoded twice, since the encoded campaigns of an account would take as much memory as they do
        let mut tally = Tally::default();
        encode(value, &mut tally, path)?;
        if MAX_HEADER_BYTES as u64 + tally.length > MAX_FILE_BYTES {
            return Err(io_error("write", path)(io::ErrorKind::FileTooLarge.into()));
        }
        let unfinished = self.folder.create();
        let unfinished = unfinished.map_err(io_error("write to", &self.folder.path))?;
        let mut file = &unfinished.file;
        let header = tally.header(kind, name);
        file.write_all(header.as_bytes()).map_err(io_error("write", path))?;
        encode(value, file, path)?;
        let mut saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        let last = saved.entry(path.clone()).or_default();
        if *last > number {
            return Ok(());
        }
        *last = number;
        let persisted = unfinished.persist(&file_name(kind, name), kind.is_durable());
        persisted.map_err(io_error("replace", path))
    }

    fn read<T: DeserializeOwned>(&self, kind: Kind, name: &str) -> Result<Option<T>, StoreError> {
        let path = &self.path(kind, name);
        let file = match self.folder.read(&file_name(kind, name)) {
            Ok(Some(file)) => file,
            Ok(None) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                self.set_aside(kind, name, NOT_PLAIN)?;
                return Ok(None);
            }
            Err(error) => return Err(io_error("read", path)(error)),
        };
        if kind == Kind::Tokens {
            let kept = self.folder.keep_private(&file);
            if kept.map_err(io_error("read", path))? {
                warn!(path = %path.display(), "tokens were readable by others: made private");
            }
        }
        let size = file.metadata().map_err(io_error("read", path))?.len();
        let _turn = (size > LARGE_FILE_BYTES)
            .then(|| LARGE_FILE.lock().unwrap_or_else(PoisonError::into_inner));
        let mut bytes = Vec::new();
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(io_error("read", path))?;
        match decode(kind, name, &bytes) {
            Ok(value) => Ok(Some(value)),
            Err(why) => {
                self.set_aside(kind, name, &why)?;
                Ok(None)
            }
        }
    }

    fn set_aside(&self, kind: Kind, name: &str, why: &str) -> Result<(), StoreError> {
        let (file, path) = (file_name(kind, name), self.path(kind, name));
        let aside = format!("{file}.set-aside");
        let renamed = self.folder.rename(&file, &aside);
        renamed.map_err(io_error("set aside", &path))?;
        let aside = self.folder.path.join(aside);
        let (path, aside) = (path.display(), aside.display());
        warn!(%path, %aside, why, "unusable stored file set aside");
        Ok(())
    }

    /// Removes the temporary files of killed processes. Recent ones may belong to another process
    /// that is changing tokens.
    fn remove_temporary_files(&self) {
        let old = Duration::from_mins(10);
        let Ok(entries) = fs::read_dir(&self.folder.path) else {
            return;
        };
        for entry in entries.flatten() {
            let is_temporary =
                entry.file_name().to_str().is_some_and(|name| name.starts_with(TEMPORARY_PREFIX));
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

pub(crate) fn header(kind: Kind, name: &str, payload: &[u8]) -> String {
    let mut tally = Tally::default();
    tally.add(payload);
    tally.header(kind, name)
}

/// The checksum and the length of a payload.
#[derive(Default)]
struct Tally {
    checksum: Crc,
    length: u64,
}

impl Tally {
    fn add(&mut self, bytes: &[u8]) {
        self.checksum.update(bytes);
        self.length += bytes.len() as u64;
    }

    fn header(&self, kind: Kind, name: &str) -> String {
        let (kind, version, owner) = (kind.as_str(), kind.version(), short_fingerprint(name));
        let (sum, length) = (self.checksum.sum(), self.length);
        format!("{PROGRAM} {kind} {version} {owner} {sum:08x} {length}\n")
    }
}

impl Write for Tally {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.add(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A writer that keeps the error of the system, which the encoder drops.
struct Kept<W> {
    writer: W,
    error: Option<io::Error>,
}

impl<W: Write> Write for Kept<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes).map_err(|error| {
            let kind = error.kind();
            self.error = Some(error);
            kind.into()
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// Encodes a value piece by piece.
fn encode(value: &impl Serialize, writer: impl Write, path: &Path) -> Result<(), StoreError> {
    let mut kept = Kept { writer, error: None };
    let encoded = postcard::to_io(value, BufWriter::new(&mut kept)).map(drop);
    match (encoded, kept.error) {
        (Ok(()), _) => Ok(()),
        (Err(_), Some(error)) => Err(io_error("write", path)(error)),
        (Err(error), None) => Err(StoreError::Encode(path.to_path_buf(), error)),
    }
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
        return Err(format!("format version {version:?}; this exporter reads version {known}"));
    }
    if words.next().is_none_or(|owner| owner != short_fingerprint(name)) {
        return Err("belongs to another account or application".to_owned());
    }
    if line != header(kind, name, payload) {
        return Err("damaged: checksum or length mismatch".to_owned());
    }
    postcard::from_bytes(payload).map_err(|error| match error {
        postcard::Error::SerdeDeCustom => "exceeds a bound of its content".to_owned(),
        error => format!("cannot decode: {error}"),
    })
}

/// Returns a legible, unique file name of bounded length.
fn file_name(kind: Kind, name: &str) -> String {
    let legible: String = name
        .chars()
        .map(|char| if char.is_ascii_alphanumeric() { char } else { '-' })
        .take(LEGIBLE_CHARS)
        .collect();
    let (fingerprint, kind) = (short_fingerprint(name), kind.as_str());
    format!("{legible}.{fingerprint}.{kind}")
}

/// Returns the name of the lock of a file.
fn lock_name(kind: Kind, name: &str) -> String {
    format!("{}.lock", file_name(kind, name))
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
    move |error| StoreError::Io { action, path, error }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn lock_error(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_path_buf();
    |error| match error.kind() {
        io::ErrorKind::InvalidInput => StoreError::NoLock(path),
        _ => StoreError::Io { action: "lock", path, error },
    }
}

/// Runs file operations on a blocking thread, with a time limit.
pub async fn in_time<T: Send + 'static>(
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
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::pin::pin;

    use tempfile::{NamedTempFile, TempDir};

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
        assert_eq!(mode(&store.folder.path), 0o700);

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
            assert_eq!(path.parent(), Some(store.folder.path.as_path()), "{name}");
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
            (b"{\"refresh_token\":1}\n".to_vec(), "not a campaign_exporter file"),
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
        let error = Store::open(&store.folder.path).unwrap_err().to_string();
        assert!(error.contains("in use by another"), "{error}");
        let shared = Store::share(&store.folder.path).unwrap();
        assert!(store.is_owned() && !shared.is_owned());
        let path = store.folder.path.clone();
        drop(store);
        assert!(Store::open(&path).is_ok());
    }

    #[tokio::test]
    async fn several_owners_have_an_application_each() {
        let directory = TempDir::new().unwrap();
        let part = || Store::open_part(directory.path()).map(Arc::new);
        let (one, other) = (part().unwrap(), part().unwrap());
        assert!(one.is_owned() && one.is_divided());
        assert!(matches!(Store::open(directory.path()), Err(StoreError::InUse(_))));
        let held = one.try_own("a", None).await.unwrap();
        let error = other.try_own("a", None).await.unwrap_err().to_string();
        assert!(error.contains("another") && error.contains("a.ca978112ca1bbdca.requests.lock"));
        let of_other = other.try_own("b", None).await.unwrap();
        let kept = one.try_own("a", Some(Arc::clone(&held))).await.unwrap();
        assert!(Arc::ptr_eq(&kept, &held));
        drop((kept, held));
        let held = other.try_own("a", None).await.unwrap();

        // others take a lock that was removed
        let lock = directory.path().join(lock_name(Kind::Requests, "a"));
        fs::remove_file(&lock).unwrap();
        let taken = one.try_own("a", None).await.unwrap();
        let lost = other.try_own("a", Some(Arc::clone(&held))).await.unwrap_err();
        assert!(matches!(lost, StoreError::Elsewhere(_)), "{lost}");
        fs::remove_file(&lock).unwrap();
        let again = one.try_own("a", Some(Arc::clone(&taken))).await.unwrap();
        assert!(!Arc::ptr_eq(&taken, &again));

        drop((one, other, of_other));
        assert!(Store::open(directory.path()).is_ok());
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
        fs::remove_dir_all(&store.folder.path).unwrap();
        fs::write(&store.folder.path, "").unwrap();
        let saved = store.save(Kind::Poll, "a", 1_u8).await;
        let error = saved.unwrap_err().to_string();
        assert!(error.contains(&store.folder.path.display().to_string()), "{error}");
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
        assert!(matches!(result, Some(Err(StoreError::TimedOut(_)))), "{result:?}");
    }

    #[test]
    fn no_file_is_written_that_could_not_be_read() {
        let (_directory, store) = store();
        let payload = vec![0; usize::try_from(MAX_FILE_BYTES).unwrap()];
        assert!(store.replace(Kind::Campaigns, "a", &payload, 0).is_err());
        assert!(!store.path(Kind::Campaigns, "a").exists());
    }

    #[test]
    fn an_error_of_the_system_is_told() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        for value in ["small".to_owned(), "large".repeat(10_000)] {
            let error = encode(&value, &full, Path::new("a")).unwrap_err();
            let StoreError::Io { action: "write", error, .. } = error else { panic!("{error}") };
            assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        }
    }

    #[tokio::test]
    #[expect(clippy::await_holding_lock, reason = "another thread waits for it")]
    async fn large_files_are_read_one_at_a_time() {
        let (_directory, store) = store();
        let texts = |bytes: u64| vec!["x".repeat(usize::try_from(bytes).unwrap())];
        for (name, bytes) in [("large", LARGE_FILE_BYTES), ("small", 1)] {
            store.save(Kind::Tokens, name, texts(bytes)).await.unwrap();
        }
        let turn = LARGE_FILE.lock().unwrap();
        let mut large = pin!(load(&store, "large"));
        tokio::select! {
            biased;
            _ = &mut large => panic!("read while another is"),
            small = load(&store, "small") => assert_eq!(small, Some(texts(1))),
        }
        drop(turn);
        assert_eq!(large.await, Some(texts(LARGE_FILE_BYTES)));
    }

    #[tokio::test]
    async fn a_late_save_does_not_replace_a_newer_one() {
        let (_directory, store) = store();
        save(&store, "a", "new").await;
        store.replace(Kind::Tokens, "a", &vec!["old"], 0).unwrap();
        assert_eq!(load(&store, "a").await, Some(vec!["new".to_owned()]));
        store.replace(Kind::Tokens, "a", &vec!["newer"], 9).unwrap();
        assert_eq!(load(&store, "a").await, Some(vec!["newer".to_owned()]));
    }

    #[tokio::test]
    async fn files_written_by_root_belong_to_the_owner_of_the_directory() {
        let (_directory, store) = store();
        let owner = |path: &Path| {
            let metadata = fs::metadata(path).unwrap();
            (metadata.uid(), metadata.gid())
        };
        if std::os::unix::fs::chown(&store.folder.path, Some(12_345), Some(54_321)).is_err() {
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
        let path = store.folder.path.clone();
        drop(store);
        let old = File::create(path.join(format!("{TEMPORARY_PREFIX}old"))).unwrap();
        old.set_modified(std::time::SystemTime::now() - Duration::from_hours(1)).unwrap();
        File::create(path.join(format!("{TEMPORARY_PREFIX}new"))).unwrap();
        File::create(path.join("unrelated")).unwrap();
        let _store = Store::open(&path).unwrap();
        let exists = |name: &str| path.join(name).exists();
        assert!(!exists(".unfinished-old"));
        assert!(exists(".unfinished-new") && exists("unrelated"));
    }
}
