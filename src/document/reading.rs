//! Reads files that may hang, such as those on a network file system whose server is gone.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// Maximum number of threads for blocking work: one for each file that hangs, of more accounts than
/// a configuration can have, and plenty for everything else.
pub const MAX_BLOCKING_THREADS: usize = 100_000;

/// Pause before a file that had nothing to read is read again.
const PAUSE: Duration = Duration::from_millis(20);

/// The reads in progress. A file has one at a time, which all its readers share, so a file that hangs
/// holds one thread.
static READS: Mutex<BTreeMap<PathBuf, Reading>> = Mutex::new(BTreeMap::new());

/// The files that are being read, and since when, for messages about those that hang.
static NOW: Mutex<BTreeMap<PathBuf, std::time::Instant>> = Mutex::new(BTreeMap::new());

/// How long a file may take before it is said to hang.
const SLOW: Duration = Duration::from_secs(1);

/// A read in progress.
#[derive(Clone)]
struct Reading {
    began: Instant,
    result: watch::Receiver<Option<io::Result<Vec<u8>>>>,
}

/// Why a file could not be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The operating system reported an error.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// The file did not respond in time.
    #[error("cannot be read within {t} s", t = .0.as_secs())]
    Hangs(Duration),
    /// An earlier read has not ended, so no other one was begun.
    #[error("still does not answer: the last read has not ended")]
    StillHangs,
}

/// Reads a file up to one byte beyond `max_bytes`.
pub async fn read(path: &Path, max_bytes: u64, patience: Duration) -> Result<Vec<u8>, ReadError> {
    let work = move |path: &Path| read_now(path, max_bytes, patience);
    read_once(path, patience, work).await
}

async fn read_once(
    path: &Path,
    patience: Duration,
    work: impl FnOnce(&Path) -> io::Result<Vec<u8>> + Send + 'static,
) -> Result<Vec<u8>, ReadError> {
    let mut reading = begin(path, work);
    let hung = reading.began.elapsed() >= patience;
    let ended = reading.result.wait_for(Option::is_some);
    match timeout_at(reading.began + patience, ended).await {
        Ok(Ok(result)) => match &*result {
            Some(Ok(bytes)) => Ok(bytes.clone()),
            Some(Err(error)) if !timed_out(error) => Err(copy(error).into()),
            _ => Err(ReadError::Hangs(patience)),
        },
        Ok(Err(closed)) => Err(io::Error::other(closed).into()),
        Err(_) if hung => Err(ReadError::StillHangs),
        Err(_) => Err(ReadError::Hangs(patience)),
    }
}

/// Begins a read on a blocking thread, unless there is one of this file.
fn begin(path: &Path, work: impl FnOnce(&Path) -> io::Result<Vec<u8>> + Send + 'static) -> Reading {
    let mut reads = reads();
    if let Some(reading) = reads.get(path) {
        return reading.clone();
    }
    let (sender, result) = watch::channel(None);
    let key = path.to_path_buf();
    tokio::task::spawn_blocking(move || {
        let result = work(&key);
        self::reads().remove(&key);
        sender.send_replace(Some(result));
    });
    let began = Instant::now();
    let reading = Reading { began, result };
    reads.insert(path.to_path_buf(), reading.clone());
    reading
}

fn reads() -> MutexGuard<'static, BTreeMap<PathBuf, Reading>> {
    READS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The files whose reads take long.
pub fn hung() -> String {
    let now = NOW.lock().unwrap_or_else(PoisonError::into_inner);
    let hung = now.iter().filter(|(_, began)| began.elapsed() >= SLOW);
    hung.map(|(path, _)| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// Reads a file up to one byte beyond `max_bytes` on this thread. A pipe or a device that has nothing to
/// read in time is an error; only a file system can hold the thread longer.
pub fn read_now(path: &Path, max_bytes: u64, patience: Duration) -> io::Result<Vec<u8>> {
    let now = || NOW.lock().unwrap_or_else(PoisonError::into_inner);
    now().insert(path.to_path_buf(), std::time::Instant::now());
    let read = read_until(path, max_bytes, std::time::Instant::now() + patience);
    now().remove(path);
    read
}

fn read_until(path: &Path, max_bytes: u64, deadline: std::time::Instant) -> io::Result<Vec<u8>> {
    // without NONBLOCK, opening a pipe waits for a writer, for ever if the pipe is removed meanwhile
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut file = File::from(open(path, flags, Mode::empty())?).take(max_bytes + 1);
    let mut bytes = Vec::new();
    loop {
        if !file.get_ref().metadata()?.is_file() {
            let left = deadline.saturating_duration_since(std::time::Instant::now());
            let left = Timespec::try_from(left).map_err(io::Error::other)?;
            if poll(&mut [PollFd::new(file.get_ref(), PollFlags::IN)], Some(&left))? == 0 {
                return Err(ErrorKind::TimedOut.into());
            }
        }
        match file.read_to_end(&mut bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if std::time::Instant::now() >= deadline {
                    return Err(ErrorKind::TimedOut.into());
                }
                // some files of /proc have nothing to read, but do not say so
                std::thread::sleep(PAUSE);
            }
            read => return read.map(|_| bytes),
        }
    }
}

/// Whether `read_now` gave up, as opposed to the file system.
fn timed_out(error: &io::Error) -> bool {
    error.kind() == ErrorKind::TimedOut && error.raw_os_error().is_none()
}

/// `io::Error` is not `Clone`.
fn copy(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::mpsc;

    use futures_util::FutureExt;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn a_hung_file_has_one_read_and_the_next_fails_at_once() {
        let (release, hung) = mpsc::channel::<()>();
        let (path, patience) = (Path::new("hung"), Duration::from_millis(50));
        let slow = move |_: &Path| {
            assert!(hung.recv().is_err());
            Ok(b"late".to_vec())
        };
        let again = |_: &Path| -> io::Result<Vec<u8>> { panic!("a second read") };
        let (first, shared) = tokio::join!(
            biased;
            read_once(path, patience, slow),
            read_once(path, patience, again)
        );
        assert!(matches!(first, Err(ReadError::Hangs(_))), "{first:?}");
        assert!(matches!(shared, Err(ReadError::Hangs(_))), "{shared:?}");
        // ready when first asked: it waits for nothing
        let next = read_once(path, patience, again).now_or_never();
        assert!(matches!(next, Some(Err(ReadError::StillHangs))), "{next:?}");

        let mut hung = reads().get(path).unwrap().clone();
        drop(release);
        drop(hung.result.wait_for(Option::is_some).await.unwrap());
        let recovered = read_once(path, PATIENCE, |_| Ok(b"new".to_vec())).await;
        assert_eq!(recovered.unwrap(), b"new");
    }

    #[tokio::test]
    async fn a_pipe_is_read_to_its_end_and_leaves_no_thread() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        let silent = read(&path, 100, Duration::from_millis(50)).await;
        assert!(matches!(silent, Err(ReadError::Hangs(_))), "{silent:?}");
        while reads().contains_key(&path) {
            tokio::task::yield_now().await;
        }
        let hanging = read(&path, 100, PATIENCE);
        let named = async {
            while !hung().contains(path.to_str().unwrap()) {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            () = named => {}
            read = hanging => panic!("{read:?}"),
        }
        let writer = std::thread::spawn({
            let path = path.clone();
            move || File::options().write(true).open(path).unwrap().write_all(b"token")
        });
        assert_eq!(read(&path, 100, PATIENCE).await.unwrap(), b"token");
        writer.join().unwrap().unwrap();
    }
}
