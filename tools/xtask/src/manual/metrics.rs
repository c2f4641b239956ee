//! The tables of metrics.

use std::collections::BTreeSet;

use anyhow::ensure;
use campaign_exporter::campaign::exported::METRICS;
use campaign_exporter::exposition::families::{ACCOUNT_FAMILIES, BACKGROUND, CAMPAIGN_FAMILIES};
use campaign_exporter::exposition::format::{Format, Writer};
use campaign_exporter::provider::Kinds;
use testkit::exposition::Family;

use super::NOTICE;
use super::exposition::exposition;
use super::table::{code, codes, table};

/// The labels of every campaign.
const OF_CAMPAIGN: [&str; 4] = ["provider", "account", "channel", "campaign_id"];
/// The labels of every account.
const OF_ACCOUNT: [&str; 2] = ["provider", "account"];

/// Labels whose values are all known.
const CLOSED: [&str; 4] = ["reason", "result", "status", "rate"];

/// The file.
pub(crate) async fn text(kinds: &Kinds) -> anyhow::Result<String> {
    let families = exposition(kinds).await?;
    let mut declared = Writer::new(Format::Text);
    for family in CAMPAIGN_FAMILIES {
        family.begin(&mut declared);
    }
    for family in ACCOUNT_FAMILIES {
        family.begin(&mut declared);
    }
    for name in names(&declared.into_string()) {
        let shown = families.iter().any(|family| family.name == name);
        ensure!(shown, "tools/xtask/src/manual/exposition.rs has no sample of {name}");
    }

    let campaigns = |family: &&Family| labels(family).contains("campaign_id");
    let accounts = |family: &&Family| family.name.starts_with("campaign_account_");
    let own = |family: &&Family| !campaigns(family) && !accounts(family);
    let rows = |wanted: &dyn Fn(&&Family) -> bool, common: &[&str]| {
        let families = families.iter().filter(wanted);
        let rows: Vec<_> = families.map(|family| row(family, common)).collect();
        table(["metric", "type", "unit", "labels", "meaning"], &rows)
    };
    let values: Vec<_> = families.iter().flat_map(values).collect();
    let parts = [
        NOTICE.to_owned(),
        "# Metrics".to_owned(),
        "A value that is not reported has no sample: absent is not zero. No sample is NaN or \
         infinite or has a timestamp. The page of each [provider](../README.md#metrics) lists the \
         metrics that it reports. An *application*, in the tables below, is what a provider grants \
         a request quota to: an OAuth client, or a single account."
            .to_owned(),
        "## Campaigns".to_owned(),
        format!(
            "All have the labels {}. `campaign_info` also has those listed in `info_labels` of the \
             [configuration](configuration.md). {BACKGROUND}",
            codes(OF_CAMPAIGN)
        ),
        "*Profile* is the smallest one that has the metric, and *older* says whether campaigns older than \
         `detail` have it; see [cost](cost.md)."
            .to_owned(),
        of_campaigns(families.iter().filter(campaigns)),
        "## Accounts".to_owned(),
        format!("All have the labels {}.", codes(OF_ACCOUNT)),
        rows(&accounts, &OF_ACCOUNT),
        "## The exporter".to_owned(),
        "`process_*` metrics exist on Linux only.".to_owned(),
        rows(&own, &[]),
        "## Values of labels".to_owned(),
        "The labels whose values are known. A definition can add values of `provider`, `channel`, and `reason` of `campaign_failures`.".to_owned(),
        table(["metric", "label", "values"], &values),
    ];
    Ok(parts.map(|part| part.trim_end().to_owned()).join("\n\n") + "\n")
}

/// The table of the metrics of campaigns.
fn of_campaigns<'a>(families: impl Iterator<Item = &'a Family>) -> String {
    let rows = families.map(|family| {
        let [name, kind, unit, labels, meaning] = row(family, &OF_CAMPAIGN);
        let metric = METRICS.iter().find(|metric| metric.name == family.name);
        let profile = metric.map_or("", |metric| metric.profile.name()).to_owned();
        let older = if metric.is_some_and(|metric| metric.is_lasting) { "yes" } else { "" };
        [name, kind, unit, labels, profile, older.to_owned(), meaning]
    });
    let columns = ["metric", "type", "unit", "labels", "profile", "older", "meaning"];
    table(columns, &rows.collect::<Vec<_>>())
}

fn names(text: &str) -> impl Iterator<Item = &str> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types.filter_map(|line| line.split(' ').next())
}

fn labels(family: &Family) -> BTreeSet<&str> {
    let samples = family.samples.iter();
    let pairs = samples.flat_map(|sample| &sample.labels);
    let names = pairs.map(|(name, _)| name.as_str());
    names.filter(|name| *name != "le").collect()
}

fn row(family: &Family, common: &[&str]) -> [String; 5] {
    let labels = labels(family);
    let own = labels.into_iter().filter(|label| !common.contains(label));
    let meaning = family.help.strip_suffix(BACKGROUND);
    [
        code(&family.name),
        family.kind.clone(),
        unit(&family.name).to_owned(),
        codes(own),
        meaning.unwrap_or(&family.help).trim_end().to_owned(),
    ]
}

/// What a value is counted in, which by Prometheus' habit is the end of the name.
fn unit(name: &str) -> &'static str {
    let name = name.strip_suffix("_total").unwrap_or(name);
    let units = [
        ("_timestamp_seconds", "unix time in seconds"),
        ("_start_time_seconds", "unix time in seconds"),
        ("_seconds", "seconds"),
        ("_bytes", "bytes"),
        ("_credits", "credits"),
        ("_ratio", "1 is 100 %"),
    ];
    let unit = units.iter().find(|(end, _)| name.ends_with(end));
    unit.map_or("", |(_, unit)| unit)
}

/// The values of a family's labels.
fn values(family: &Family) -> Vec<[String; 3]> {
    let rows = CLOSED.into_iter().filter_map(|label| {
        let pairs = family.samples.iter().flat_map(|sample| &sample.labels);
        let pairs = pairs.filter(|(name, _)| name == label);
        let values: BTreeSet<&str> = pairs.map(|(_, value)| value.as_str()).collect();
        (!values.is_empty()).then(|| [code(&family.name), code(label), codes(values)])
    });
    rows.collect()
}
