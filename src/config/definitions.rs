//! The definitions that a configuration names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::document::{Node, Place, Problem, Section};
use crate::provider::definition::Definition;
use crate::provider::{Kind, Kinds};

/// Most definitions of a configuration: more than there are platforms.
const MAX_DEFINITIONS: usize = 1_000;

/// The providers of a configuration: `kinds`, and those whose definitions it names. Paths are relative
/// to `folder`.
pub async fn load(text: &str, folder: &Path, kinds: &Kinds) -> Result<Kinds, Vec<Problem>> {
    // what is wrong with the rest of the file is reported when it is read as a whole
    let Ok(root) = Node::parse(text) else {
        return Ok(kinds.clone());
    };
    let Ok(mut section) = Section::new("", &root) else {
        return Ok(kinds.clone());
    };
    let Some(node) = section.take("definitions") else {
        return Ok(kinds.clone());
    };
    let place = Some(Place::of(node));
    let fail = |message: String| Problem { place, path: "definitions".to_owned(), message };
    let Some(paths) = section.texts("definitions") else {
        return Err(vec![fail("expected a list of files and folders".to_owned())]);
    };
    let mut problems = Vec::new();
    let mut further: Vec<Arc<Kind>> = Vec::new();
    for path in files(paths.iter().map(|path| folder.join(path)), &mut problems).await {
        match read(&path, kinds, &further).await {
            Ok(kind) => further.push(Arc::new(kind)),
            Err(found) => problems.extend(found),
        }
    }
    if further.len() > MAX_DEFINITIONS {
        problems.push(format!("are more than {MAX_DEFINITIONS} files"));
    }
    if problems.is_empty() {
        return Ok(kinds.with(&further));
    }
    Err(problems.into_iter().map(fail).collect())
}

/// The files, and the `.yml` and `.yaml` files in the folders, sorted.
async fn files(paths: impl Iterator<Item = PathBuf>, problems: &mut Vec<String>) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for path in paths {
        let Ok(mut entries) = tokio::fs::read_dir(&path).await else {
            files.push(path);
            continue;
        };
        let mut found = Vec::new();
        loop {
            match entries.next_entry().await {
                Ok(Some(entry)) => found.push(entry.path()),
                Ok(None) => break,
                Err(error) => {
                    problems.push(format!("{}: {error}", path.display()));
                    break;
                }
            }
        }
        let is_yaml = |path: &PathBuf| {
            let extension = path.extension().and_then(|extension| extension.to_str());
            matches!(extension, Some("yml" | "yaml"))
        };
        found.retain(is_yaml);
        if found.is_empty() {
            problems.push(format!("{} has no .yml files", path.display()));
        }
        found.sort();
        files.extend(found);
    }
    files
}

/// Reads a definition. Problems have the file and the place in it.
async fn read(path: &Path, kinds: &Kinds, further: &[Arc<Kind>]) -> Result<Kind, Vec<String>> {
    let shown = path.display();
    let text = super::read_text(path).await;
    let text = text.map_err(|message| vec![format!("{shown}: {message}")])?;
    let definition = Definition::parse(&text).map_err(|problems| {
        let problems = problems.iter();
        problems.map(|problem| format!("{shown}:{problem}")).collect::<Vec<_>>()
    })?;
    let name = &definition.name;
    if further.iter().any(|kind| *kind.name == **name) {
        return Err(vec![format!("{shown}: another file defines {name} too")]);
    }
    if kinds.get(name).is_some() && !definition.replaces {
        return Err(vec![format!(
            "{shown}: {name} is built in; choose another name, or set replaces_built_in: true"
        )]);
    }
    Ok(Kind { file: Some(path.to_path_buf()), ..definition.kind() })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use tempfile::TempDir;

    use crate::campaign::Campaign;
    use crate::campaign::counts::{Count, Counts};
    use crate::config::Config;
    use crate::provider::made_up;
    use crate::upstream::{PollError, Reason};

    const DEFINITION: &str = "\
name: parakeet
title: Parakeet
documentation: https://docs.parakeet.example
channels: [sms]
base_url: https://api.parakeet.example
auth: {in: bearer}
lists: {get: /sent, items: \"$.sent[*]\", campaign: {id: $.id}}
";

    async fn load(folder: &TempDir) -> Result<Config, String> {
        let path = folder.path().join("c.yml");
        let account = "{name: a, provider: parakeet, token_env: T}";
        let yaml = format!("definitions: [own, more.yml]\naccounts: [{account}]\n");
        fs::write(&path, yaml).unwrap();
        let config = Config::load(&path, &made_up(), None).await;
        config.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn definitions_are_found_checked_and_compared() {
        let folder = TempDir::new().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        fs::create_dir(folder.path().join("own")).unwrap();
        write("own/parakeet.yml", DEFINITION);
        write("own/notes.txt", "no definition");
        let macaw = DEFINITION.replace("parakeet", "macaw");
        write("more.yml", &macaw);
        let first = load(&folder).await.unwrap();
        let again = load(&folder).await.unwrap();
        assert_eq!(first.accounts, again.accounts);
        for (reason, message, advice) in [
            (Reason::Decode, "not JSON", "/own/parakeet.yml` with `https://docs.parakeet.example`"),
            (Reason::Forbidden, "HTTP 403", "that `https://docs.parakeet.example` names"),
            (Reason::Auth, "token: Permission denied (os error 13)", "owner and mode"),
        ] {
            let found = first.accounts[0].advice(&PollError::new(reason, message));
            assert!(found.contains(advice), "{found}");
        }
        assert!(first.to_yaml().contains("own"), "{}", first.to_yaml());
        write("own/parakeet.yml", &DEFINITION.replace("$.id", "$.key"));
        assert_ne!(load(&folder).await.unwrap().accounts, first.accounts);
        let counts = "$.id, counts: {sends: $.sent, deliveries: $.deliverd}";
        write("own/parakeet.yml", &DEFINITION.replace("$.id", counts));
        let own = load(&folder).await.unwrap();
        let counts = Counts::from([(Count::Sends, Some(1))]);
        let campaign = Arc::new(Campaign { counts, ..Campaign::default() });
        let missing = |campaigns: &[_]| own.accounts[0].provider.missing(campaigns).join(" ");
        assert_eq!(missing(&[campaign]), "deliveries (`deliverd`)");
        assert_eq!(missing(&[]), "");

        for (text, problem) in [
            (
                macaw.replace("get: /sent", "get: sent"),
                "more.yml:7:14: lists.get: must begin with /",
            ),
            (DEFINITION.to_owned(), "another file defines parakeet too"),
            (DEFINITION.replace("parakeet", "alpha"), "alpha is built in"),
            ("- no".to_owned(), "more.yml:1:1: expected a mapping"),
        ] {
            write("more.yml", &text);
            let error = load(&folder).await.unwrap_err();
            assert!(error.contains(problem), "{error}");
        }
        let replaces = DEFINITION.replace("parakeet", "alpha") + "replaces_built_in: true\n";
        write("more.yml", &replaces);
        assert!(load(&folder).await.is_ok());
        fs::remove_file(folder.path().join("more.yml")).unwrap();
        let error = load(&folder).await.unwrap_err();
        assert!(error.contains("more.yml: cannot be read: No such file"), "{error}");
    }
}
