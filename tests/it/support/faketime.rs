//! A wall clock that a test sets while the program runs.

use std::fs;
use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};
use tempfile::NamedTempFile;
use tokio::process::Command;

/// The wall clock of a process. Its clock that never jumps goes on as it is.
pub(crate) struct FakeClock {
    file: PathBuf,
    offset: TimeDelta,
}

impl FakeClock {
    /// A right clock, which is kept in a folder.
    pub(crate) fn new(folder: &Path) -> Self {
        let mut clock = Self {
            file: folder.join("clock"),
            offset: TimeDelta::zero(),
        };
        clock.set(TimeDelta::zero());
        clock
    }

    /// Sets it to so much later than it is.
    pub(crate) fn set(&mut self, offset: TimeDelta) {
        // as a whole, since it is read at any moment
        let folder = self.file.parent().unwrap();
        let file = NamedTempFile::new_in(folder).unwrap();
        fs::write(file.path(), format!("{:+}", offset.num_seconds())).unwrap();
        file.persist(&self.file).unwrap();
        self.offset = offset;
    }

    /// Sets it to that time of the coming night, from midnight UTC on.
    pub(crate) fn set_to_night(&mut self, since_midnight: TimeDelta) {
        let now = Utc::now();
        let tomorrow = now.date_naive().succ_opt().unwrap();
        let midnight = tomorrow.and_hms_opt(0, 0, 0).unwrap().and_utc();
        self.set(midnight + since_midnight - now);
    }

    /// What it shows.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        Utc::now() + self.offset
    }

    /// Makes it the clock of a program.
    pub(crate) fn of(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", library())
            .env("FAKETIME_TIMESTAMP_FILE", &self.file)
            .env("FAKETIME_NO_CACHE", "1")
            // the name of earlier versions and the present one
            .env("DONT_FAKE_MONOTONIC", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    }
}

/// Where Debian's package has it, whatever the machine is.
fn library() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").unwrap();
    let mut libraries = folders
        .map(|folder| folder.unwrap().path().join("faketime/libfaketime.so.1"))
        .filter(|library| library.exists());
    libraries
        .next()
        .unwrap_or_else(|| panic!("the tests need libfaketime (Debian: package faketime)"))
}
