//! Notifications, by the grouping and inhibition of the example configuration of Alertmanager.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use regex::Regex;
use serde::Deserialize;

use crate::rules::{Firing, in_minutes};
use crate::series::Labels;

#[derive(Deserialize)]
pub(crate) struct Alertmanager {
    route: Route,
    #[serde(default)]
    inhibit_rules: Vec<Inhibition>,
}

#[derive(Deserialize)]
struct Route {
    #[serde(default)]
    receiver: Option<String>,
    #[serde(default)]
    group_by: Option<Vec<String>>,
    #[serde(default)]
    matchers: Vec<String>,
    #[serde(default)]
    group_wait: Option<String>,
    #[serde(default)]
    group_interval: Option<String>,
    #[serde(default)]
    routes: Vec<Route>,
}

#[derive(Deserialize)]
struct Inhibition {
    source_matchers: Vec<String>,
    target_matchers: Vec<String>,
    #[serde(default)]
    equal: Vec<String>,
}

/// How alerts are grouped: as their route says, or one above.
#[derive(Clone, Default)]
struct Grouping {
    receiver: String,
    by: Vec<String>,
    wait: i64,
    interval: i64,
}

/// A notification of a firing alert.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Page {
    /// The receiver and the values of the grouping labels.
    group: Vec<String>,
    minute: i64,
}

impl Page {
    /// Whether it wakes somebody.
    pub(crate) fn is_to_pager(&self) -> bool {
        self.group.first().is_some_and(|receiver| receiver.ends_with("-pager"))
    }
}

impl Alertmanager {
    pub(crate) fn read(path: &str) -> Result<Self> {
        let text = std::fs::read_to_string(path)?;
        serde_saphyr::from_str(&text).with_context(|| path.to_owned())
    }

    /// Returns the notification in which each alert is told first, in the order of the alerts; none for
    /// one that is inhibited as long as it fires.
    pub(crate) fn pages(&self, firings: &[Firing]) -> Result<Vec<Option<Page>>> {
        let mut inhibits = Vec::new();
        for rule in &self.inhibit_rules {
            let sources = matching(&rule.source_matchers, firings)?;
            inhibits.push((sources, matching(&rule.target_matchers, firings)?, &rule.equal));
        }
        let mut told = Vec::new();
        for (index, firing) in firings.iter().enumerate() {
            let grouping = self.route.grouping(&firing.labels, Grouping::default())?;
            let grouping = grouping.context("no route")?;
            // whether it is inhibited is looked at when its group is notified
            let mut minute = firing.from + grouping.wait;
            loop {
                let source = inhibits.iter().find_map(|(sources, targets, equal)| {
                    let (is_source, is_target) = (*sources.get(index)?, *targets.get(index)?);
                    let sources = firings.iter().zip(sources.iter().zip(targets));
                    // alerts that match both sides do not inhibit each other
                    let mut sources = sources
                        .filter(|(_, (source, target))| **source && !(is_source && **target));
                    let inhibits = |other: &Firing| {
                        let equals =
                            |name: &String| firing.labels.get(name) == other.labels.get(name);
                        (other.from..other.until).contains(&minute) && equal.iter().all(equals)
                    };
                    let source = sources.find(|(other, _)| is_target && inhibits(other));
                    source.map(|(other, _)| other.until)
                });
                match source {
                    Some(until) => minute = until,
                    None => break,
                }
            }
            if minute < firing.until {
                told.push((minute, index, grouping));
            }
        }
        told.sort_unstable_by_key(|(minute, ..)| *minute);
        let mut last: BTreeMap<Vec<String>, i64> = BTreeMap::new();
        let mut pages = vec![None; firings.len()];
        for (minute, index, grouping) in told {
            let Some(firing) = firings.get(index) else { continue };
            let values = grouping.by.iter().map(|name| firing.labels.get(name).cloned());
            let values = values.map(Option::unwrap_or_default);
            let group: Vec<_> = std::iter::once(grouping.receiver).chain(values).collect();
            let notified = last.entry(group.clone()).or_insert(minute);
            if minute > *notified {
                *notified = minute.max(*notified + grouping.interval);
            }
            if let Some(page) = pages.get_mut(index) {
                *page = Some(Page { group, minute: *notified });
            }
        }
        Ok(pages)
    }
}

impl Route {
    /// Returns the grouping of an alert: of the first child that it matches.
    fn grouping(&self, labels: &Labels, above: Grouping) -> Result<Option<Grouping>> {
        if !matches(&self.matchers, labels)? {
            return Ok(None);
        }
        let minutes =
            |duration: &Option<String>, above| duration.as_deref().map_or(above, in_minutes);
        let own = Grouping {
            receiver: self.receiver.clone().unwrap_or(above.receiver),
            by: self.group_by.clone().unwrap_or(above.by),
            wait: minutes(&self.group_wait, above.wait),
            interval: minutes(&self.group_interval, above.interval),
        };
        for route in &self.routes {
            if let Some(grouping) = route.grouping(labels, own.clone())? {
                return Ok(Some(grouping));
            }
        }
        Ok(Some(own))
    }
}

fn matching(matchers: &[String], firings: &[Firing]) -> Result<Vec<bool>> {
    firings.iter().map(|firing| matches(matchers, &firing.labels)).collect()
}

/// Returns whether labels match all of `name="value"`, `name!="value"`, `name=~"regex"` and
/// `name!~"regex"`.
fn matches(matchers: &[String], labels: &Labels) -> Result<bool> {
    for matcher in matchers {
        let end = matcher.find(['=', '!']).context("no operator")?;
        let (name, rest) = matcher.split_at(end);
        let value = labels.get(name.trim()).map_or("", String::as_str);
        let operand = rest.trim_start_matches(['=', '!', '~']).trim().trim_matches('"');
        let is_equal = if rest.starts_with("=~") || rest.starts_with("!~") {
            Regex::new(&format!("^(?:{operand})$"))?.is_match(value)
        } else {
            operand == value
        };
        if is_equal == rest.starts_with('!') {
            return Ok(false);
        }
    }
    Ok(true)
}
