//! Only a provider's own files name it.

use std::fs;
use std::path::Path;

use campaign_exporter::provider::built_in;

use crate::layers::files;

/// Where code and tests are.
const FOLDERS: [&str; 8] =
    ["alerts/tests", "benches", "crates", "dashboards", "fuzz", "src", "tests", "tools"];

/// What is a provider's own below them, generated or recorded from it, or not part of the project.
const EXEMPT: [&str; 9] = [
    "/artifacts/",
    "/corpus/",
    "/node_modules/",
    "/snapshots/",
    "/target/",
    "Cargo.lock",
    "src/provider/",
    "tests/definitions/",
    "tests/fixtures/",
];

#[test]
fn only_the_files_of_a_provider_name_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = vec![root.join("Cargo.toml"), root.join("clippy.toml")];
    for folder in FOLDERS {
        files(&root.join(folder), &mut paths);
    }
    let kinds = built_in();
    let words = kinds.iter().flat_map(|kind| [&kind.name, &kind.title]);
    let words: Vec<_> = words.map(|word| word.to_lowercase()).collect();
    let mut found = Vec::new();
    for path in &paths {
        let within = path.strip_prefix(root).unwrap().to_str().unwrap();
        // a picture has no names
        let Ok(text) = fs::read_to_string(path) else { continue };
        if EXEMPT.iter().any(|part| within.contains(part)) {
            continue;
        }
        // Python's standard library has a method with the name of a provider
        let text = text.to_lowercase().replace(".getresponse(", "");
        let named = words.iter().filter(|word| text.contains(&**word));
        found.extend(named.map(|word| format!("{within}: {word}")));
    }
    assert!(paths.len() > 200, "{} files", paths.len());
    assert_eq!(found, [""; 0]);
}
