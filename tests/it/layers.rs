//! Imports run in one direction: a module uses only those that `src/lib.rs` lists above it, and within
//! each of them no modules import each other in a circle. A submodule may import what the modules that
//! contain it declare, because it is a part of them; what they only re-export counts as an import from
//! where it is declared. Unit tests are exempt: they may use anything that helps to set a scene.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The modules in the order of `src/lib.rs`.
fn order() -> Vec<String> {
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

/// The code of every module by its path, such as `web::pages`.
fn modules() -> BTreeMap<String, String> {
    let mut paths = Vec::new();
    files(&source(), &mut paths);
    let modules = paths.iter().map(|path| {
        let name = path.strip_prefix(source()).unwrap().with_extension("");
        let name = name.to_str().unwrap().replace('/', "::");
        let name = name.strip_suffix("::mod").unwrap_or(&name).to_owned();
        (name, code(&fs::read_to_string(path).unwrap()))
    });
    modules.filter(|(name, _)| !["lib", "main"].contains(&name.as_str())).collect()
}

/// A text without comments and unit tests.
fn code(text: &str) -> String {
    let is_tests = |line: &&str| !line.starts_with(' ') && line.ends_with("mod tests {");
    let lines = text.lines().take_while(|line| !is_tests(line));
    let lines = lines.filter(|line| !line.trim_start().starts_with("//"));
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// The paths of the import tree that a text begins with, such as `a::{b, c::d}`.
fn paths(text: &str) -> Vec<String> {
    let is_name = |char: char| char.is_ascii_alphanumeric() || "_:".contains(char);
    let text = text.trim_start();
    let (head, rest) = text.split_at(text.find(|char| !is_name(char)).unwrap_or(text.len()));
    let Some(group) = rest.strip_prefix('{') else { return vec![head.to_owned()] };
    let (mut parts, mut depth) = (vec![0], 0_usize);
    for (place, char) in group.char_indices() {
        match char {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => parts.push(place + 1),
            _ => {}
        }
    }
    let parts = parts.into_iter().flat_map(|place| paths(&group[place..]));
    parts.map(|part| format!("{head}{part}")).collect()
}

/// The paths from the root that a module names.
fn named(module: &str, code: &str) -> Vec<String> {
    let begins = ["crate::", "super::"].into_iter().flat_map(|word| code.match_indices(word));
    let begins = begins.filter(|(place, _)| code[..*place].ends_with([' ', '(', '\n', '&', '<']));
    let relative = begins.flat_map(|(place, _)| paths(&code[place..]));
    let absolute = relative.map(|path| {
        let mut parts: Vec<_> = module.split("::").collect();
        for part in path.split("::") {
            match part {
                "crate" => parts.clear(),
                "super" => drop(parts.pop()),
                part => parts.push(part),
            }
        }
        parts.join("::")
    });
    absolute.collect()
}

/// What each module imports.
fn imports(modules: &BTreeMap<String, String>) -> BTreeMap<&str, BTreeSet<&str>> {
    let known = |path: &str| modules.get_key_value(path).map(|(name, _)| name.as_str());
    let owner = |path: &str| {
        let ends = path.match_indices("::").map(|(place, _)| place).chain([path.len()]);
        ends.filter_map(|end| known(&path[..end])).last()
    };
    // the module below `owner` whose `name` it re-exports
    let exporter = |owner: &str, name: &str| {
        let exports = modules[owner].split("pub use ").skip(1).flat_map(paths);
        let mut exports = exports.filter_map(|path| {
            let (module, export) = path.rsplit_once("::")?;
            (export == name).then(|| format!("{owner}::{module}"))
        });
        exports.find_map(|module| known(&module))
    };
    let of = |module, code| {
        let parts = modules.keys().map(String::as_str);
        let parts = parts.filter(move |part| {
            part.rsplit_once("::").is_some_and(|(container, _)| container == module)
        });
        let others = named(module, code).into_iter().filter_map(|path| {
            let owner = owner(&path)?;
            if !format!("{module}::").starts_with(&format!("{owner}::")) {
                return Some(owner);
            }
            let name = path[owner.len()..].split("::").nth(1)?;
            exporter(owner, name).filter(|exporter| *exporter != module)
        });
        parts.chain(others).collect()
    };
    modules.iter().map(|(module, code)| (module.as_str(), of(module.as_str(), code))).collect()
}

/// Imports against the order, and those that are part of a circle, as sentences.
fn violations(order: &[String], modules: &BTreeMap<String, String>) -> Vec<String> {
    let top = |module: &str| module.split("::").next().unwrap().to_owned();
    let place = |module: &str| order.iter().position(|known| *known == top(module)).unwrap();
    let mut imports = imports(modules);
    let pairs = imports.iter().flat_map(|(from, all)| all.iter().map(move |to| (*from, *to)));
    let against = pairs.filter(|(from, to)| place(to) > place(from));
    let mut found: Vec<_> =
        against.map(|(from, to)| format!("{from} uses {to}, which is below it")).collect();
    // what imports nothing that is left, or nothing left imports, is in no circle
    loop {
        let used: BTreeSet<_> = imports.values().flatten().copied().collect();
        let before = imports.len();
        imports.retain(|module, all| used.contains(module) && !all.is_empty());
        let left: BTreeSet<_> = imports.keys().copied().collect();
        for all in imports.values_mut() {
            all.retain(|module| left.contains(module));
        }
        if imports.len() == before {
            break;
        }
    }
    let circles = imports.iter().flat_map(|(from, all)| all.iter().map(move |to| (from, to)));
    found.extend(circles.map(|(from, to)| format!("{from} uses {to} in a circle")));
    found
}

#[test]
fn imports_run_in_the_direction_of_the_list_and_in_no_circle() {
    let (order, modules) = (order(), modules());
    assert!(order.len() > 12 && modules.len() > 90, "{order:?}");
    assert_eq!(violations(&order, &modules), [""; 0]);
}

#[test]
fn an_import_against_the_direction_or_in_a_circle_is_found() {
    let order = ["low", "high"].map(str::to_owned);
    let of = |texts: &[(&str, &str)]| {
        let modules = texts.iter().map(|(name, text)| ((*name).to_owned(), code(text)));
        violations(&order, &modules.collect())
    };
    let against = "use crate::{low::{self, a}, high::x};\n";
    let wrong = "low uses high, which is below it";
    assert_eq!(of(&[("low", against), ("high", "")]), [wrong]);
    assert_eq!(of(&[("low", "fn f() { crate::high::y() }\n"), ("high", "")]), [wrong]);
    assert_eq!(of(&[("low", ""), ("high", against)]), [""; 0]);
    let test = "// crate::high\n#[cfg(test)]\nmod tests {\n    use crate::high;\n}\n";
    assert_eq!(of(&[("low", test), ("high", "")]), [""; 0]);
    // a part may use what contains it, but not what that re-exports of a module that uses the part
    let parts =
        |a, b| of(&[("low", "pub use a::{A, B};\nstruct L;"), ("low::a", a), ("low::b", b)]);
    assert_eq!(parts("use super::b;", "use super::L;"), [""; 0]);
    let circle = ["low::a uses low::b in a circle", "low::b uses low::a in a circle"];
    assert_eq!(parts("use super::b::{self, C};", "use crate::low::a::A;"), circle);
    assert_eq!(parts("use super::b;", "use crate::low::{B, L};"), circle);
}
