//! A wall clock that tests can set at run time.

use std::fs;
use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};
use tempfile::NamedTempFile;
use tokio::process::Command;

/// The wall clock of a process. Its monotonic clock is unaffected.
pub(crate) struct FakeClock {
    file: PathBuf,
    offset: TimeDelta,
}

impl FakeClock {
    /// Creates a correct clock, whose state is in a directory.
    pub(crate) fn new(folder: &Path) -> Self {
        let mut clock = Self { file: folder.join("clock"), offset: TimeDelta::zero() };
        clock.set(TimeDelta::zero());
        clock
    }

    /// Sets the offset from the correct time.
    pub(crate) fn set(&mut self, offset: TimeDelta) {
        // atomically, since it may be read at any time
        let folder = self.file.parent().unwrap();
        let file = NamedTempFile::new_in(folder).unwrap();
        fs::write(file.path(), format!("{:+}", offset.num_seconds())).unwrap();
        file.persist(&self.file).unwrap();
        self.offset = offset;
    }

    /// Sets the clock to a time after the next midnight UTC.
    pub(crate) fn set_to_night(&mut self, since_midnight: TimeDelta) {
        let now = Utc::now();
        let tomorrow = now.date_naive().succ_opt().unwrap();
        let midnight = tomorrow.and_hms_opt(0, 0, 0).unwrap().and_utc();
        self.set(midnight + since_midnight - now);
    }

    /// Returns the current time of the clock.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        Utc::now() + self.offset
    }

    /// Makes a program use this clock.
    pub(crate) fn of(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", library())
            .env("FAKETIME_TIMESTAMP_FILE", &self.file)
            .env("FAKETIME_NO_CACHE", "1")
            // names in earlier and current versions
            .env("DONT_FAKE_MONOTONIC", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    }
}

/// Finds the library of Debian's package on any architecture.
fn library() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").unwrap();
    let mut libraries = folders
        .map(|folder| folder.unwrap().path().join("faketime/libfaketime.so.1"))
        .filter(|library| library.exists());
    libraries
        .next()
        .unwrap_or_else(|| panic!("the tests need libfaketime (Debian: package faketime)"))
}
