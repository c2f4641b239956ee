//! Generates the dashboards: `cargo run --example dashboards`.

#[path = "mod.rs"]
mod source;

use std::path::Path;

fn main() -> anyhow::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards");
    for (name, json) in source::files()? {
        std::fs::write(folder.join(name), json)?;
    }
    Ok(())
}
