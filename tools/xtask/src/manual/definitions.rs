//! The reference of definitions, from the tables that check them.

use campaign_exporter::campaign::counts::Count;
use campaign_exporter::campaign::{Channel, Ratio, Status};
use campaign_exporter::provider::definition::{PARTS, Part};
use campaign_exporter::upstream::Reason;

use super::NOTICE;
use super::table::{code, codes, table};

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
    let parts = parts.into_iter().chain(PARTS.iter().map(part)).chain([words()]);
    parts.collect::<Vec<_>>().join("\n\n") + "\n"
}

/// The words of the exporter that definitions have.
fn words() -> String {
    let statuses = Status::ALL.map(Status::as_str);
    let reasons = Reason::ALL.map(Reason::as_str);
    let ratios = Ratio::ALL.iter().map(|ratio| ratio.name());
    let counts = Count::ALL.iter();
    let counts: Vec<_> =
        counts.map(|count| [code(count.name()), count.meaning().to_owned()]).collect();
    format!(
        "## The exporter's words\n\n\
         - Channels: {}. Any other word is exported in lower case.\n\
         - Statuses: {}. A campaign `in_moderation` waits for the provider's approval, one `denied` did not get it.\n\
         - Reasons: {}. See [troubleshooting.md](troubleshooting.md) for their meanings.\n\
         - Ratios: {}.\n\n{}",
        codes(Channel::KNOWN.each_ref().map(Channel::as_str)),
        codes(statuses),
        codes(reasons),
        codes(ratios),
        table(["count", "meaning"], &counts).trim_end()
    )
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
