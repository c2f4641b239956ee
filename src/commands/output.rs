//! What a command writes: a file or standard output.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use anyhow::Context;

/// Writes to a file, or to standard output without one. In a thread of its own, since a file can hang.
pub(super) async fn write(
    file: Option<PathBuf>,
    content: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static,
) -> anyhow::Result<()> {
    let written = tokio::task::spawn_blocking(move || {
        let Some(file) = file else {
            let mut stdout = BufWriter::new(io::stdout().lock());
            let written = content(&mut stdout).and_then(|()| stdout.flush());
            return written.context("cannot write to standard output");
        };
        let written = File::create(&file).and_then(|created| {
            let mut created = BufWriter::new(created);
            content(&mut created)?;
            created.flush()
        });
        written.with_context(|| format!("cannot write {}", file.display()))
    });
    written.await?
}
