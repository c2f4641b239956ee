//! Tells the program what it is built from.

use std::path::Path;
use std::process::Command;

fn main() {
    // a build without a checkout, such as a container's, names its commit in the environment
    println!("cargo::rerun-if-env-changed=REVISION");
    println!("cargo::rerun-if-changed=build.rs");
    let mut revision = std::env::var("REVISION").ok().filter(|text| !text.is_empty());
    // only of a repository that is this one: sources may lie unpacked within another
    if revision.is_none() && Path::new(".git").exists() {
        revision = first_line("git", &["rev-parse", "--short=12", "HEAD"]);
        // written at each commit and each change of branch; cargo would rerun this for ever
        // because of a file that does not exist
        if let Some(log) = first_line("git", &["rev-parse", "--git-path", "logs/HEAD"])
            && Path::new(&log).exists()
        {
            println!("cargo::rerun-if-changed={log}");
        }
    }
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let rustc_version = first_line(&rustc, &["--version"])
        .and_then(|line| line.split_whitespace().nth(1).map(str::to_owned));
    for (name, value) in [("REVISION", revision), ("RUSTC_VERSION", rustc_version)] {
        let value = value.unwrap_or_else(|| "unknown".to_owned());
        println!("cargo::rustc-env=CAMPAIGN_EXPORTER_{name}={value}");
    }
}

fn first_line(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let line = text.lines().next()?.trim();
    (output.status.success() && !line.is_empty()).then(|| line.to_owned())
}
