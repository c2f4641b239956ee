//! What npm installs for the tools beside the program.

use std::fs;
use std::path::{Path, PathBuf};

use crate::rules::path;

/// What holds copies of others' files.
const FOREIGN: [&str; 3] = ["node_modules", "target", ".git"];

/// Every lockfile of npm in a folder and those below.
fn lockfiles(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        // does not follow links: they could lead round and round
        if entry.file_type().unwrap().is_dir() {
            if !FOREIGN.iter().any(|foreign| name == *foreign) {
                found.extend(lockfiles(&entry.path()));
            }
        } else if name == "package-lock.json" {
            found.push(entry.path());
        }
    }
    found
}

/// npm writes down where a package came from, which on somebody's machine may be a place that
/// nobody else can reach; its version and hash are enough.
#[test]
fn lockfiles_contain_no_download_locations() {
    let lockfiles = lockfiles(&path("."));
    assert!(!lockfiles.is_empty());
    for file in lockfiles {
        let text = fs::read_to_string(&file).unwrap();
        assert!(!text.contains("\"resolved\""), "{}", file.display());
        let settings = fs::read_to_string(file.with_file_name(".npmrc")).unwrap_or_default();
        let mut settings = settings.lines();
        assert!(
            settings.any(|line| line == "omit-lockfile-registry-resolved=true"),
            "{}: npm would write it there",
            file.display()
        );
    }
}
