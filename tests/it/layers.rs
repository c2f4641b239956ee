//! Imports run in one direction: a module uses only those that `src/lib.rs` lists above it.

use std::fs;
use std::path::{Path, PathBuf};

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The modules in the order of `src/lib.rs`.
fn modules() -> Vec<String> {
    let lib = fs::read_to_string(source().join("lib.rs")).unwrap();
    let declared = lib.lines().filter_map(|line| {
        let name = line.strip_prefix("pub mod ").or(line.strip_prefix("mod "));
        name?.strip_suffix(';').map(str::to_owned)
    });
    declared.collect()
}

/// Adds every file in a folder and those below it.
pub(crate) fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// The modules that a text of code names after `crate::`. Unit tests are exempt: they may use anything that
/// helps to set a scene.
fn imports(code: &str) -> Vec<String> {
    let code = code.split("#[cfg(test)]\nmod tests").next().unwrap();
    let word = |text: &str| -> String {
        let is_part = |char: &char| char.is_ascii_alphanumeric() || *char == '_';
        text.chars().take_while(is_part).collect()
    };
    let mut found = Vec::new();
    for rest in code.split("crate::").skip(1) {
        if let Some(group) = rest.strip_prefix('{') {
            let group = group.split('}').next().unwrap();
            found.extend(group.split(',').map(|part| word(part.trim())));
        } else {
            found.push(word(rest));
        }
    }
    found
}

/// Imports against the direction, as sentences.
fn violations(modules: &[String], module: &str, code: &str) -> Vec<String> {
    let place = |name: &str| modules.iter().position(|known| known == name);
    let own = place(module);
    let against = imports(code).into_iter().filter(|name| place(name) > own);
    against.map(|name| format!("{module} uses {name}")).collect()
}

#[test]
fn imports_run_in_the_direction_of_the_list() {
    let modules = modules();
    assert!(modules.len() > 12, "{modules:?}");
    let mut paths = Vec::new();
    files(&source(), &mut paths);
    let mut found = Vec::new();
    for path in &paths {
        let within = path.strip_prefix(source()).unwrap();
        let first = within.components().next().unwrap().as_os_str();
        let module = Path::new(first).with_extension("");
        let module = module.to_str().unwrap();
        if ["lib", "main"].contains(&module) {
            continue;
        }
        assert!(modules.iter().any(|known| known == module), "{module}");
        let code = fs::read_to_string(path).unwrap();
        let here = violations(&modules, module, &code).into_iter();
        found.extend(here.map(|violation| format!("{}: {violation}", within.display())));
    }
    assert_eq!(found, [""; 0]);
}

#[test]
fn an_import_against_the_direction_is_found() {
    let modules = ["low", "high"].map(str::to_owned);
    let against = "use crate::{low, high::x};\nfn f() { crate::high::y() }\n";
    assert_eq!(violations(&modules, "low", against), ["low uses high", "low uses high"]);
    assert_eq!(violations(&modules, "high", against), [""; 0]);
    let test = "use crate::low;\n#[cfg(test)]\nmod tests { use crate::high; }\n";
    assert_eq!(violations(&modules, "low", test), [""; 0]);
}
