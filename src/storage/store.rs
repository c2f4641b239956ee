//! Files that outlive the process: replaced as a whole or not at all, checked when they are read.
//!
//! Each begins with a line that tells what it is, in which version, whose, and its checksum. A file
//! that does not keep what that line promises is set aside, never believed and never fatal.

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

/// Largest file in bytes: a million campaigns have a quarter of this.
const MAX_FILE_BYTES: u64 = 1024 * 1024 * 1024;

/// Longest first line in bytes.
const MAX_HEADER_BYTES: usize = 128;

/// Time limit of reading or writing a file: a file system that hangs must not hold a poll.
const FILE_TIMEOUT: Duration = Duration::from_secs(10);

/// Files that are read or written at the same time, those that hang included: far fewer than the
/// threads of the runtime, which rendering needs, too.
static THREADS: Semaphore = Semaphore::const_new(64);

/// Between two looks at a lock that somebody else holds.
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// How much of a name is legible in the name of its file, in characters.
const LEGIBLE_CHARS: usize = 40;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The tokens of an account.
    Tokens,
    /// How the last poll of an account went.
    Poll,
    /// The campaigns of an account.
    Campaigns,
    /// The day's requests of an application.
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

    /// To be raised with each change of what is written.
    const fn version(self) -> u32 {
        match self {
            Self::Tokens | Self::Poll | Self::Campaigns | Self::Requests => 1,
        }
    }

    /// Whether it has to outlive a power cut, too. What a poll tells is there again at the next
    /// one, and requests are counted far more often than power fails.
    const fn is_durable(self) -> bool {
        matches!(self, Self::Tokens)
    }
}

/// A folder of such files.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    /// Held for as long as the process owns the folder.
    lock: Option<File>,
    /// The number of the next save.
    next: AtomicU64,
    /// The number of the last save of each file: one that hung and was given up must not put an
    /// older content in the place of a newer one.
    saved: Mutex<HashMap<PathBuf, u64>>,
}

/// Why a file or its folder cannot be used.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The operating system says so.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// Another process runs on the same folder.
    #[error("{0} is in use by another campaign_exporter: give each its own --storage.path")]
    InUse(PathBuf),
    /// The file system hangs.
    #[error("{0}: no answer from the file system within {t} s", t = FILE_TIMEOUT.as_secs())]
    Hangs(PathBuf),
    /// Another process holds the lock of one file for too long.
    #[error("{0} is held by another process")]
    Held(PathBuf),
    /// What is to be written has no form.
    #[error("cannot encode {0}: {1}")]
    Encode(PathBuf, postcard::Error),
}

impl Store {
    /// Opens a folder, which is made if need be, as its only owner until the value is dropped.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let mut store = Self::share(folder)?;
        store.lock = try_lock(&folder.join("lock"), folder)?;
        if store.lock.is_none() {
            return Err(StoreError::InUse(folder.to_path_buf()));
        }
        // what was there before can be opened, too, where nothing new can be made
        drop(store.unfinished()?);
        store.remove_leftovers();
        Ok(store)
    }

    /// Opens a folder beside its owner, to read it and to change tokens.
    pub fn share(folder: &Path) -> Result<Self, StoreError> {
        if !folder.exists() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .map_err(io_error("make", folder))?;
            if let Some(parent) = folder.parent().filter(|path| !path.as_os_str().is_empty()) {
                sync(parent)?;
            }
        }
        Ok(Self {
            folder: folder.to_path_buf(),
            lock: None,
            next: AtomicU64::new(1),
            saved: Mutex::default(),
        })
    }

    /// Whether no other process owns the folder.
    pub const fn is_owned(&self) -> bool {
        self.lock.is_some()
    }

    /// Where the file of an account or application is.
    pub fn path(&self, kind: Kind, name: &str) -> PathBuf {
        self.folder
            .join(format!("{}.{}", file_name(name), kind.as_str()))
    }

    /// Writes a file as a whole: whoever reads it finds the old one or the new one, whenever the
    /// process ends.
    pub async fn save(
        self: &Arc<Self>,
        kind: Kind,
        name: &str,
        value: impl Serialize + Send + 'static,
    ) -> Result<(), StoreError> {
        self.save_holding(kind, name, value, None).await
    }

    /// The same, and the file's lock is held until that is done, however long it takes.
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

    /// Reads a file; nothing if there is none, or none that can be believed.
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

    /// Waits until no other process changes the file, and keeps others from it until the value is
    /// dropped.
    pub async fn lock(
        &self,
        kind: Kind,
        name: &str,
        patience: Duration,
    ) -> Result<File, StoreError> {
        let path = self
            .folder
            .join(format!("{}.{}.lock", file_name(name), kind.as_str()));
        let deadline = Instant::now() + patience;
        loop {
            let (folder, file) = (self.folder.clone(), path.clone());
            if let Some(lock) = in_time(path.clone(), move || try_lock(&file, &folder)).await? {
                return Ok(lock);
            }
            if Instant::now() >= deadline {
                return Err(StoreError::Held(path));
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
        let mut file = self.unfinished()?;
        let written = file
            .write_all(header(kind, name, payload).as_bytes())
            .and_then(|()| file.write_all(payload))
            .and_then(|()| file.flush());
        written.map_err(io_error("write", path))?;
        share_with_owner(file.as_file(), &self.folder)?;
        let mut saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        let last = saved.entry(path.clone()).or_default();
        if *last > number {
            return Ok(());
        }
        *last = number;
        persist(file, path, kind.is_durable(), &self.folder)
    }

    /// A file under way. Its mode is 0600 from the first.
    fn unfinished(&self) -> Result<NamedTempFile, StoreError> {
        tempfile::Builder::new()
            .prefix(LEFTOVER_PREFIX)
            .tempfile_in(&self.folder)
            .map_err(io_error("write to", &self.folder))
    }

    /// Removes what processes that were killed while they wrote have left. One that writes now may
    /// be another process, which changes tokens.
    fn remove_leftovers(&self) {
        let old = Duration::from_mins(10);
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return;
        };
        for entry in entries.flatten() {
            let is_leftover = entry
                .file_name()
                .to_str()
                .is_some_and(|name| name.starts_with(LEFTOVER_PREFIX));
            let age = entry
                .metadata()
                .and_then(|metadata| metadata.modified())
                .ok()
                .and_then(|modified| modified.elapsed().ok());
            if is_leftover && age.is_some_and(|age| age > old) {
                let path = entry.path();
                if let Err(error) = fs::remove_file(&path) {
                    warn!(path = %path.display(), %error, "cannot remove an unfinished file");
                }
            }
        }
    }
}

/// Takes a lock, which is made if need be, unless another process has it.
fn try_lock(path: &Path, folder: &Path) -> Result<Option<File>, StoreError> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(io_error("open", path))?;
    share_with_owner(&file, folder)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(io_error("lock", path)(error)),
    }
}

/// Gives a file to whom its folder belongs: a command that root runs writes for an exporter that is
/// not root.
fn share_with_owner(file: &File, folder: &Path) -> Result<(), StoreError> {
    let ids = |metadata: fs::Metadata| (metadata.uid(), metadata.gid());
    let own = file.metadata().map(ids);
    let owner = fs::metadata(folder).map(ids);
    let (own, owner) = own
        .and_then(|own| owner.map(|owner| (own, owner)))
        .map_err(io_error("look at", folder))?;
    if own.0 == owner.0 {
        return Ok(());
    }
    match fchown(file, Some(owner.0), Some(owner.1)) {
        // only root can give a file away: whoever else may write here is whom it belongs to
        Err(error) if error.kind() != io::ErrorKind::PermissionDenied => {
            Err(io_error("give to its owner a file in", folder)(error))
        }
        _ => Ok(()),
    }
}

/// Files under way have names of this kind.
const LEFTOVER_PREFIX: &str = ".unfinished-";

/// Gives a finished file its name, with what makes it durable in the right order.
fn persist(
    file: NamedTempFile,
    path: &Path,
    durable: bool,
    folder: &Path,
) -> Result<(), StoreError> {
    if durable {
        file.as_file().sync_all().map_err(io_error("write", path))?;
    }
    file.persist(path)
        .map_err(|error| io_error("replace", path)(error.error))?;
    if durable { sync(folder) } else { Ok(()) }
}

/// Makes durable which files a folder has.
fn sync(folder: &Path) -> Result<(), StoreError> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(io_error("write", folder))
}

fn read<T: DeserializeOwned>(kind: Kind, name: &str, path: &Path) -> Result<Option<T>, StoreError> {
    // opening a pipe could take for ever
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        set_aside(path, "it is no regular file")?;
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

/// Takes from others what somebody may have allowed them.
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
    let mut aside = path.as_os_str().to_owned();
    aside.push(".set-aside");
    let aside = PathBuf::from(aside);
    fs::rename(path, &aside).map_err(io_error("set aside", path))?;
    let (path, aside) = (path.display(), aside.display());
    warn!(%path, %aside, why, "a stored file cannot be used and was set aside");
    Ok(())
}

pub(crate) fn header(kind: Kind, name: &str, payload: &[u8]) -> String {
    let (kind, version, owner) = (kind.as_str(), kind.version(), short_fingerprint(name));
    let (sum, length) = (checksum(payload), payload.len());
    format!("{PROGRAM} {kind} {version} {owner} {sum:08x} {length}\n")
}

/// What a file holds, or why it cannot be believed.
pub(crate) fn decode<T: DeserializeOwned>(
    kind: Kind,
    name: &str,
    bytes: &[u8],
) -> Result<T, String> {
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("it has more than {MAX_FILE_BYTES} bytes"));
    }
    let head = bytes.get(..MAX_HEADER_BYTES).unwrap_or(bytes);
    let foreign = || format!("it is no file of {PROGRAM}");
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
        return Err(format!("it holds {found:?}, not {}", kind.as_str()));
    }
    let version = words.next().unwrap_or_default();
    if version != kind.version().to_string() {
        let known = kind.version();
        return Err(format!(
            "it has version {version:?}, and this exporter reads {known}"
        ));
    }
    if words
        .next()
        .is_none_or(|owner| owner != short_fingerprint(name))
    {
        return Err("it is that of another account or application".to_owned());
    }
    if line != header(kind, name, payload) {
        return Err("it is damaged: its checksum or length is another".to_owned());
    }
    postcard::from_bytes(payload).map_err(|error| format!("it cannot be decoded: {error}"))
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut checksum = Crc::new();
    checksum.update(bytes);
    checksum.sum()
}

/// A file name of bounded length for any name: legible, and another for each name.
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

/// Enough of it to tell names apart.
fn short_fingerprint(name: &str) -> String {
    fingerprint(name).chars().take(16).collect()
}

/// What tells two texts apart without holding either.
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

/// What the operating system says, without the path that `tempfile` adds: it is another one each
/// time, and the log would take each failure for a new one.
fn without_path(error: io::Error) -> io::Error {
    let text = error.to_string();
    match text.split_once(" at path ") {
        Some((said, _)) if error.raw_os_error().is_none() => io::Error::new(error.kind(), said),
        _ => error,
    }
}

/// Works on a thread of its own, which hangs where the file system does.
async fn in_time<T: Send + 'static>(
    path: PathBuf,
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let working = async {
        let place = THREADS.acquire().await.map_err(io::Error::other)?;
        let working = tokio::task::spawn_blocking(move || {
            let result = work();
            // kept until here: work that hangs keeps its place
            drop(place);
            result
        });
        working.await.map_err(io::Error::other)
    };
    match tokio::time::timeout(FILE_TIMEOUT, working).await {
        Ok(Ok(result)) => result,
        Ok(Err(error)) => Err(io_error("use", &path)(error)),
        Err(_) => Err(StoreError::Hangs(path)),
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn store() -> (TempDir, Arc<Store>) {
        let folder = TempDir::new().unwrap();
        let store = Arc::new(Store::open(&folder.path().join("made/on/the/way")).unwrap());
        (folder, store)
    }

    async fn load(store: &Arc<Store>, name: &str) -> Option<Vec<String>> {
        store.load(Kind::Tokens, name).await.unwrap()
    }

    async fn save(store: &Arc<Store>, name: &str, text: &str) {
        let value = vec![text.to_owned()];
        store.save(Kind::Tokens, name, value).await.unwrap();
    }

    #[tokio::test]
    async fn what_is_saved_is_loaded_and_only_the_owner_may_read_it() {
        let (_folder, store) = store();
        assert_eq!(load(&store, "a").await, None);
        save(&store, "a", "one").await;
        save(&store, "a", "two").await;
        assert_eq!(load(&store, "a").await, Some(vec!["two".to_owned()]));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let path = store.path(Kind::Tokens, "a");
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(&store.folder), 0o700);

        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(load(&store, "a").await, Some(vec!["two".to_owned()]));
        assert_eq!(mode(&path), 0o600);
    }

    #[tokio::test]
    async fn every_name_has_a_file_of_its_own_in_the_folder() {
        let (_folder, store) = store();
        let long = "x".repeat(200);
        let names = [
            "../../etc/passwd",
            "a/b",
            "a-b",
            "a b",
            ".",
            "",
            &long,
            "é",
            "A",
            "a",
        ];
        for name in names {
            save(&store, name, name).await;
        }
        for name in names {
            assert_eq!(load(&store, name).await, Some(vec![name.to_owned()]));
            let path = store.path(Kind::Tokens, name);
            assert_eq!(path.parent(), Some(store.folder.as_path()), "{name}");
        }
    }

    #[tokio::test]
    async fn what_is_damaged_or_foreign_is_set_aside_with_the_reason() {
        let (_folder, store) = store();
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
            (Vec::new(), "no file of"),
            (vec![0; 4096], "no file of"),
            (b"{\"refresh_token\":1}\n".to_vec(), "no file of"),
            (replaced("tokens 1", "tokens 2"), "version \"2\""),
            (replaced("tokens", "campaigns"), "holds \"campaigns\""),
        ] {
            assert!(
                decode::<Vec<String>>(Kind::Tokens, "a", &bytes)
                    .unwrap_err()
                    .contains(why),
                "{why}"
            );
            fs::write(&path, &bytes).unwrap();
            assert_eq!(load(&store, "a").await, None, "{why}");
            let aside = path.with_extension("tokens.set-aside");
            assert_eq!(fs::read(&aside).unwrap(), bytes, "{why}");
            assert!(!path.exists());
            // and a new one is taken
            save(&store, "a", "new").await;
            assert_eq!(load(&store, "a").await, Some(vec!["new".to_owned()]));
        }
        // what another version of the program would have written under the same number
        assert!(decode::<(u64, Vec<String>)>(Kind::Tokens, "a", &good).is_err());
        let of_another = decode::<Vec<String>>(Kind::Tokens, "b", &good);
        assert!(of_another.unwrap_err().contains("another account"));
    }

    #[tokio::test]
    async fn a_folder_has_one_owner() {
        let (_folder, store) = store();
        let error = Store::open(&store.folder).unwrap_err().to_string();
        assert!(error.contains("in use by another"), "{error}");
        let shared = Store::share(&store.folder).unwrap();
        assert!(store.is_owned() && !shared.is_owned());
        let path = store.folder.clone();
        drop(store);
        assert!(Store::open(&path).is_ok());
    }

    #[tokio::test]
    async fn one_process_at_a_time_changes_a_file() {
        let (_folder, store) = store();
        let soon = Duration::from_millis(200);
        let held = store.lock(Kind::Tokens, "a", soon).await.unwrap();
        assert!(store.lock(Kind::Tokens, "b", soon).await.is_ok());
        let error = store.lock(Kind::Tokens, "a", soon).await.unwrap_err();
        assert!(error.to_string().contains("held"), "{error}");
        drop(held);
        assert!(store.lock(Kind::Tokens, "a", soon).await.is_ok());
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_written_is_named() {
        let (_folder, store) = store();
        fs::remove_dir_all(&store.folder).unwrap();
        let saved = store.save(Kind::Poll, "a", 1_u8).await;
        let error = saved.unwrap_err().to_string();
        assert!(
            error.contains(&store.folder.display().to_string()),
            "{error}"
        );
        let file = NamedTempFile::new().unwrap();
        assert!(Store::open(file.path()).is_err());
    }

    #[tokio::test]
    async fn a_save_that_comes_late_replaces_nothing_newer() {
        let (_folder, store) = store();
        save(&store, "a", "new").await;
        let old = postcard::to_stdvec(&vec!["old"]).unwrap();
        store.replace(Kind::Tokens, "a", &old, 0).unwrap();
        assert_eq!(load(&store, "a").await, Some(vec!["new".to_owned()]));
        let newer = postcard::to_stdvec(&vec!["newer"]).unwrap();
        store.replace(Kind::Tokens, "a", &newer, 9).unwrap();
        assert_eq!(load(&store, "a").await, Some(vec!["newer".to_owned()]));
    }

    #[tokio::test]
    async fn what_root_writes_belongs_to_whom_the_folder_belongs() {
        let (_folder, store) = store();
        let owner = |path: &Path| {
            let metadata = fs::metadata(path).unwrap();
            (metadata.uid(), metadata.gid())
        };
        if std::os::unix::fs::chown(&store.folder, Some(12_345), Some(54_321)).is_err() {
            // only root can give a file away, and only root has to
            return;
        }
        save(&store, "a", "x").await;
        let _lock = store.lock(Kind::Tokens, "a", LOCK_PAUSE).await.unwrap();
        let lock = store.folder.join(format!("{}.tokens.lock", file_name("a")));
        for path in [store.path(Kind::Tokens, "a"), lock] {
            assert_eq!(owner(&path), (12_345, 54_321), "{}", path.display());
        }
    }

    #[tokio::test]
    async fn what_was_never_finished_is_removed_once_it_is_old() {
        let (_folder, store) = store();
        let path = store.folder.clone();
        drop(store);
        let old = File::create(path.join(format!("{LEFTOVER_PREFIX}old"))).unwrap();
        old.set_modified(std::time::SystemTime::now() - Duration::from_hours(1))
            .unwrap();
        File::create(path.join(format!("{LEFTOVER_PREFIX}new"))).unwrap();
        File::create(path.join("of-somebody-else")).unwrap();
        let _store = Store::open(&path).unwrap();
        let exists = |name: &str| path.join(name).exists();
        assert!(!exists(".unfinished-old"));
        assert!(exists(".unfinished-new") && exists("of-somebody-else"));
    }
}
