//! Writes the manual anew: `cargo run --example manual`.

#[path = "mod.rs"]
mod manual;

use std::path::Path;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::fs::create_dir_all(root.join("docs/providers"))?;
    for (name, text) in manual::files().await? {
        std::fs::write(root.join(name), text)?;
    }
    Ok(())
}
