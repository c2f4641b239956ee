//! Checks the rules with promtool.

use std::path::Path;
use std::process::Command;
use std::thread;

use crate::rules::{path, yaml_files};

pub(crate) fn promtool(arguments: &[&str], files: &[String], folder: &Path) {
    let mut command = Command::new("promtool");
    command.args(arguments).args(files).current_dir(folder);
    let output = command.output().unwrap_or_else(|error| {
        panic!("the tests need promtool on the PATH (Debian: package prometheus): {error}")
    });
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "promtool {}: {said}", output.status);
}

#[test]
fn rules_are_valid_and_unique() {
    let arguments = ["check", "rules", "--lint=all", "--lint-fatal"];
    promtool(&arguments, &yaml_files("alerts"), &path("."));
}

#[test]
fn rule_tests_pass() {
    // one process per file, since promtool processes files sequentially
    thread::scope(|scope| {
        for file in yaml_files("alerts/tests") {
            scope.spawn(|| promtool(&["test", "rules"], &[file], &path(".")));
        }
    });
}
