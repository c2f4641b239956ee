//! Runs promtool.

use std::path::Path;
use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::daemon::end;

/// Checks metrics with `promtool check metrics`, which must report no problems.
pub(crate) async fn check_metrics(text: &str) {
    let spawned = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let mut child = spawned.unwrap_or_else(|error| {
        panic!("the tests need promtool on the PATH (Debian: package prometheus): {error}")
    });
    let mut input = child.stdin.take().unwrap();
    input.write_all(text.as_bytes()).await.unwrap();
    drop(input);
    let output = child.wait_with_output().await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(
        output.status.success() && said.is_empty(),
        "promtool ({}): {said}\n{text}",
        output.status
    );
}

/// Makes blocks of an OpenMetrics file, as the manual says.
pub(crate) async fn create_blocks(file: &Path, data: &Path) {
    let mut command = Command::new("promtool");
    command.args(["tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=486h"]);
    let (code, said) = end(command.arg(file).arg(data)).await;
    assert_eq!(code, Some(0), "{said}");
}
