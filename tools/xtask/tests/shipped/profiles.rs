//! The rules and dashboards state which metrics of campaigns they need, and the queries of the documents
//! need no more.

use campaign_exporter::campaign::exported::{METRICS, Profile};

use crate::dashboard::{self, Dashboard};
use crate::rules;

/// The documents with queries.
const DOCUMENTS: [&str; 3] = ["docs/runbooks.md", "docs/querying.md", "docs/retention.md"];

/// Begins the name of a metric that a variable of a dashboard ends.
const CHOSEN: &str = "campaign_${";

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|char: char| !(char.is_ascii_alphanumeric() || "_:".contains(char)))
}

/// The smallest profile that has all metrics of campaigns that a text names.
fn needed<'a>(words: impl Iterator<Item = &'a str>) -> Profile {
    let metrics = words.filter_map(|word| METRICS.iter().find(|metric| metric.name == word));
    metrics.map(|metric| metric.profile).max().unwrap_or(Profile::Essential)
}

/// The profile that a text states.
fn stated(text: &str) -> Profile {
    let (_, rest) = text.split_once("Needs the profile ").unwrap();
    let (name, _) = rest.split_once(" of metrics").unwrap();
    Profile::from_name(name).unwrap()
}

#[test]
fn rule_files_state_the_profile_they_need() {
    for file in rules::yaml_files("alerts") {
        let text = rules::text(&file);
        let code = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        let needed = needed(code.flat_map(words));
        assert_eq!(stated(&text), needed, "{file}");
        assert!(needed <= Profile::Standard, "{file}");
    }
}

#[test]
fn dashboards_state_the_profile_they_need() {
    for name in dashboard::FILES {
        let text = dashboard::file(name);
        let dashboard = Dashboard::read(&text);
        let variables = dashboard.templating.list.iter();
        let options: String = variables
            .filter(|variable| text.contains(&format!("{CHOSEN}{}}}", variable.name)))
            .map(|variable| variable.query.as_str().unwrap_or_default())
            .collect();
        let chosen: Vec<_> = words(&options).map(|word| format!("campaign_{word}")).collect();
        assert_eq!(text.contains(CHOSEN), !options.is_empty(), "{name}");
        let needed = needed(words(&text).chain(chosen.iter().map(String::as_str)));
        assert_eq!(stated(&dashboard.description), needed, "{name}");
        assert!(needed <= Profile::Standard, "{name}");
    }
}

#[test]
fn queries_of_documents_work_with_the_recommended_profile() {
    for document in DOCUMENTS {
        let text = rules::text(document);
        let blocks = text.split("```promql\n").skip(1);
        let queries: Vec<_> = blocks.filter_map(|block| block.split("```").next()).collect();
        assert!(!queries.is_empty(), "{document}");
        for query in queries {
            assert!(needed(words(query)) <= Profile::Standard, "{document}:\n{query}");
        }
    }
}

#[test]
fn what_needs_more_is_found() {
    assert_eq!(needed(words("sum(campaign_open_ratio) > campaign_info")), Profile::Full);
    assert_eq!(
        needed(words("campaign_cost{a=\"b\"} or campaign:attempted:young")),
        Profile::Standard
    );
}
