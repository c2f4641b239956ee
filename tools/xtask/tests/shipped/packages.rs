//! npm packages of the tools.

use std::fs;
use std::path::{Path, PathBuf};

use crate::rules::path;

/// Directories with third-party files.
const FOREIGN: [&str; 3] = ["node_modules", "target", ".git"];

/// Collects every npm lockfile in a directory recursively.
fn lockfiles(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        // does not follow links, which may form cycles
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

/// npm records download locations, which may be private mirrors; version and hash suffice.
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
