//! One page per provider, from the list of providers.

use campaign_exporter::campaign::counts::Count;
use campaign_exporter::campaign::{Channel, Denominator, Ratio};
use campaign_exporter::exposition::families::{CAMPAIGN_FAMILIES, Family};
use campaign_exporter::provider::{Kind, Kinds, QuotaScope};

use super::NOTICE;
use super::configuration::key_table;
use super::table::{code, codes, table};

/// The pages, by their paths below `docs/`.
pub(crate) fn files(kinds: &Kinds) -> Vec<(String, String)> {
    let kinds = kinds.iter();
    kinds.map(|kind| (format!("providers/{}.md", kind.name), page(kind))).collect()
}

fn page(kind: &Kind) -> String {
    let parts = [
        NOTICE.to_owned(),
        format!("# {}", kind.title),
        kind.notes.trim().to_owned(),
        "## Metrics".to_owned(),
        "Every metric that this provider reports, with the field of the response. Ratios are \
         computed from the counts."
            .to_owned(),
        table(["metric", "from"], &metrics(kind)),
        "## Requests".to_owned(),
        "The exporter makes no others. Paths are appended to the URL that the key sets.".to_owned(),
        table(["key", "request"], &requests(kind)),
        "## Keys".to_owned(),
        limits(kind),
        "In addition to the keys of [every account](../configuration.md):".to_owned(),
        key_table(&kind.keys),
    ];
    parts.map(|part| part.trim_end().to_owned()).join("\n\n") + "\n"
}

fn requests(kind: &Kind) -> Vec<[String; 2]> {
    let requests = kind.requests.iter();
    requests.map(|(key, request)| [code(key), code(request)]).collect()
}

fn limits(kind: &Kind) -> String {
    let shared = match kind.quota {
        QuotaScope::Account => "Each account has its own quota.",
        QuotaScope::Client => "All accounts of one client share a quota.",
    };
    let limits = [
        (kind.limits.per_second.map(|number| number.to_string()), "second"),
        (kind.limits.per_minute.map(|number| number.to_string()), "minute"),
        (kind.limits.per_hour.map(|number| number.to_string()), "hour"),
        (kind.limits.per_day.map(|number| number.to_string()), "day"),
    ];
    let limit = |(number, period)| {
        Some(format!("{} requests per {period}", Option::<String>::as_ref(&number)?))
    };
    let limits: Vec<String> = limits.into_iter().filter_map(limit).collect();
    if limits.is_empty() {
        format!("The provider publishes no limits. {shared}")
    } else {
        format!("Published limits: {}. {shared}", limits.join(", "))
    }
}

/// The metrics that the provider fills, in the order of the exposition, with their fields.
pub(crate) fn metrics(kind: &Kind) -> Vec<[String; 2]> {
    let mut rows = Vec::new();
    let mut extras = kind.extras.clone();
    extras.retain(|(name, _)| *name != "campaign_info");
    for name in CAMPAIGN_FAMILIES.iter().map(Family::name) {
        let field = source(kind, name).or_else(|| {
            let place = extras.iter().position(|(extra, _)| *extra == name)?;
            Some(extras.remove(place).1.into_owned())
        });
        rows.extend(field.map(|field| [code(name), field]));
    }
    let account = extras.into_iter();
    rows.extend(account.map(|(name, field)| [code(name), field.into_owned()]));
    rows
}

/// What a metric comes from, if the provider reports that.
fn source(kind: &Kind, metric: &str) -> Option<String> {
    let stem = metric.strip_prefix("campaign_")?;
    let field = |wanted: Count| kind.counts.iter().find(|(count, _)| *count == wanted);
    let attempted = field(Count::Sends).or_else(|| field(Count::Recipients));
    if let Some(ratio) = stem.strip_suffix("_ratio") {
        let ratio = Ratio::ALL.iter().find(|known| known.name() == ratio)?;
        let (numerator, denominator) = ratio.counts();
        let (bottom, known) = match denominator {
            Denominator::Attempted => ("attempted", attempted.is_some()),
            Denominator::Deliveries => ("deliveries", field(Count::Deliveries).is_some()),
        };
        field(numerator).filter(|_| known)?;
        return Some(format!("`campaign_{}` / `campaign_{bottom}`", numerator.name()));
    }
    if let Some((_, field)) = kind.counts.iter().find(|(count, _)| count.name() == stem) {
        return Some(field.clone().into_owned());
    }
    match stem {
        "info" => {
            let labels = kind.info_labels.iter();
            let labels = labels.map(|(label, field)| format!("`{label}` ({field})"));
            let labels = labels.collect::<Vec<_>>().join(", ");
            let mut extras = kind.extras.iter();
            let (_, name) = extras.find(|(extra, _)| *extra == metric)?;
            Some(match labels.as_str() {
                "" => name.clone().into_owned(),
                labels => format!("{name}; with `info_labels` also {labels}"),
            })
        }
        "status" if !kind.statuses.is_empty() => {
            Some(codes(kind.statuses.iter().map(|status| status.as_str())))
        }
        "failures" if !kind.failures.is_empty() => {
            Some(codes(kind.failures.iter().map(|reason| &**reason)))
        }
        "attempted" => {
            let (count, _) = attempted?;
            let both = field(Count::Sends).is_some() && field(Count::Recipients).is_some();
            let or_else = if both { ", else `campaign_recipients`" } else { "" };
            Some(format!("`campaign_{}`{or_else}", count.name()))
        }
        _ => None,
    }
}

/// The table of providers in the README.
pub(crate) fn readme_table(kinds: &Kinds) -> String {
    let rows = kinds.iter().map(|kind| {
        let channels = kind.channels.iter().map(Channel::as_str);
        let quota = match kind.quota {
            QuotaScope::Account => "none: one per account",
            QuotaScope::Client => "all accounts of one client",
        };
        let Kind { name, title, .. } = &**kind;
        [
            format!("[{title}](docs/providers/{name}.md) (`{name}`)"),
            channels.collect::<Vec<_>>().join(", "),
            quota.to_owned(),
        ]
    });
    table(["provider", "channels", "quota shared by"], &rows.collect::<Vec<_>>())
}
