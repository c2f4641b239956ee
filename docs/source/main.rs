//! Writes the manual anew: `cargo run --example manual`.

#[path = "mod.rs"]
mod manual;

use std::path::Path;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    for (name, text) in manual::files().await? {
        std::fs::write(docs.join(name), text)?;
    }
    Ok(())
}
