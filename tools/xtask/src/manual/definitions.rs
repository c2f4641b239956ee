//! The reference of definitions, from the tables that check them.

use campaign_exporter::provider::definition::{PARTS, Part};

use super::NOTICE;
use super::table::{code, table};

/// `docs/definitions.md`.
pub(crate) fn text() -> String {
    let intro = "Every key of a definition. [write-a-provider.md](write-a-provider.md) is the tutorial. \
                 Unknown keys are errors.\n\n\
                 A *path* is a JSONPath (RFC 9535) that begins with `$`. It may have filters, such as \
                 `$.plans[?@.type == 'sms'].credits`, but no functions, no `..`, and `$` at its \
                 beginning only. A *value* is a path, a list of alternative paths, or a mapping. \
                 *Texts* of requests can have settings and times in braces; `{{` and `}}` stand for \
                 braces.";
    let parts = [NOTICE.to_owned(), "# Definitions".to_owned(), intro.to_owned()];
    let parts = parts.into_iter().chain(PARTS.iter().map(part));
    parts.collect::<Vec<_>>().join("\n\n") + "\n"
}

fn part(part: &Part) -> String {
    let rows: Vec<_> = part
        .keys
        .iter()
        .map(|key| {
            let required = if key.is_required { "yes" } else { "" };
            let [name, takes, meaning] =
                [code(key.name), key.takes.to_owned(), key.meaning.to_owned()];
            [name, takes, required.to_owned(), meaning]
        })
        .collect();
    let table = table(["key", "takes", "required", "meaning"], &rows);
    format!("## {}\n\n{}", part.title, table.trim_end())
}
