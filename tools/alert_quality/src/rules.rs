//! Evaluates rules every other minute.
//!
//! `promtool test rules` takes about an hour for a month of these rules, since it parses, selects, and
//! commits every minute. Range queries evaluate the same expressions at the same minutes in a fraction of
//! that time. This module does the rest of the rule manager's work: it writes recorded results back, and
//! applies `for` and `keep_firing_for`.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result};
use futures_util::future::try_join_all;
use serde::Deserialize;

use crate::prometheus::{NAME, Points, Prometheus};
use crate::series::Labels;

/// Minutes per range query, a multiple of every interval. Prometheus returns at most 11,000 points per
/// series.
const WINDOW: i64 = 21_600;

/// Minutes between evaluations of a group without an interval. Half of the default's work, and an alert is
/// found at most a minute later.
const STEP: i64 = 2;

/// Prometheus restores the state of alerts with at least this `for`, in minutes, after a restart: the
/// default of `--rules.alert.for-grace-period`.
const RESTORED: i64 = 10;

#[derive(Deserialize)]
struct File {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    #[serde(default)]
    interval: String,
    rules: Vec<Rule>,
}

/// A rule.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Rule {
    #[serde(default)]
    record: String,
    #[serde(default)]
    pub(crate) alert: String,
    pub(crate) expr: String,
    #[serde(default, rename = "for")]
    hold: String,
    #[serde(default)]
    keep_firing_for: String,
    #[serde(default)]
    pub(crate) labels: Labels,
    /// Evaluation interval of its group, in minutes.
    #[serde(skip)]
    interval: i64,
}

/// A fired alert, with its start and end minutes.
#[derive(Clone, Debug)]
pub(crate) struct Firing {
    pub(crate) alert: String,
    pub(crate) labels: Labels,
    pub(crate) from: i64,
    pub(crate) until: i64,
}

/// Rules in the order of evaluation.
pub(crate) fn read(files: &[&Path]) -> Result<Vec<Rule>> {
    let mut rules = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(file)?;
        let file: File = serde_saphyr::from_str(&text)
            .with_context(|| format!("{} is not a rule file", file.display()))?;
        for group in file.groups {
            let interval = in_minutes(&group.interval).max(STEP);
            let of_group = group.rules.into_iter();
            rules.extend(of_group.map(|rule| Rule { interval, ..rule }));
        }
    }
    Ok(rules)
}

/// Keeps the alerts and the rules that they use. The others are for dashboards and would double the time.
pub(crate) fn needed(rules: Vec<Rule>) -> Vec<Rule> {
    let mut read = HashSet::new();
    let mut needed: Vec<Rule> = Vec::new();
    for rule in rules.into_iter().rev() {
        if !rule.alert.is_empty() || read.contains(&rule.record) {
            read.extend(words(std::slice::from_ref(&rule)));
            needed.push(rule);
        }
    }
    needed.reverse();
    needed
}

/// Returns the identifiers in the expressions, which include the metrics.
pub(crate) fn words(rules: &[Rule]) -> HashSet<String> {
    let is_word = |char: char| char.is_ascii_alphanumeric() || char == '_' || char == ':';
    let words = rules.iter().flat_map(|rule| rule.expr.split(move |char| !is_word(char)));
    words.map(str::to_owned).collect()
}

impl Rule {
    /// Evaluates the rule in all minutes.
    async fn evaluate(&self, prometheus: &Prometheus, minutes: Range<i64>) -> Result<Vec<Points>> {
        let windows = minutes.clone().step_by(usize::try_from(WINDOW)?);
        let queries = windows.map(|from| {
            let until = (from + WINDOW).min(minutes.end);
            prometheus.query(&self.expr, from..until, self.interval)
        });
        let mut series: BTreeMap<Labels, Vec<(i64, f64)>> = BTreeMap::new();
        for points in try_join_all(queries).await?.into_iter().flatten() {
            let mut labels = points.labels;
            labels.remove(NAME);
            labels.extend(self.labels.clone());
            series.entry(labels).or_default().extend(points.values);
        }
        // parts of an expression can give series that only differ in their name, one after the other
        let sorted = series.into_iter().map(|(labels, mut values)| {
            values.sort_by_key(|(minute, _)| *minute);
            Points { labels, values }
        });
        Ok(sorted.collect())
    }
}

/// Evaluates all rules in all minutes, and returns the alerts that fired. Prometheus restarts at some of them.
pub(crate) async fn evaluate(
    rules: &[Rule],
    prometheus: &Prometheus,
    minutes: Range<i64>,
    restarts: &[i64],
) -> Result<Vec<Firing>> {
    let mut fired = Vec::new();
    let read = words(rules);
    for rule in rules {
        if rule.alert.is_empty() {
            // a rule that reads its own results needs each of them before the next
            let reads_itself = words(std::slice::from_ref(rule)).contains(&rule.record);
            let step = if reads_itself { rule.interval } else { minutes.end - minutes.start };
            for from in minutes.clone().step_by(usize::try_from(step)?) {
                let until = (from + step).min(minutes.end);
                let mut result = rule.evaluate(prometheus, from..until).await?;
                for points in &mut result {
                    points.labels.insert(NAME.to_owned(), rule.record.clone());
                }
                prometheus.recorded(&result, until, rule.interval).await?;
            }
            continue;
        }
        let result = rule.evaluate(prometheus, minutes.clone()).await?;
        for mut points in result {
            points.labels.insert("alertname".to_owned(), rule.alert.clone());
            let on: HashSet<i64> = points.values.iter().map(|(minute, _)| *minute).collect();
            let keeps = in_minutes(&rule.keep_firing_for);
            let first = points.values.first().map_or(minutes.start, |(minute, _)| *minute);
            let evaluated = (first..minutes.end).step_by(usize::try_from(rule.interval)?);
            let active = evaluated.clone().map(|minute| (minute, on.contains(&minute)));
            let waits = in_minutes(&rule.hold);
            let lost = |minute| {
                let since = minute - rule.interval..minute;
                waits < RESTORED && restarts.iter().any(|restart| since.contains(restart))
            };
            let periods = firing(active, minutes.end, waits, keeps, lost);
            if read.contains("ALERTS") {
                let is_firing = |minute: &i64| {
                    periods.iter().any(|(from, until)| (*from..*until).contains(minute))
                };
                let mut labels = points.labels.clone();
                labels.insert("alertstate".to_owned(), "firing".to_owned());
                labels.insert(NAME.to_owned(), "ALERTS".to_owned());
                let values = evaluated.filter(is_firing).map(|minute| (minute, 1.0)).collect();
                let state = [Points { labels, values }];
                prometheus.recorded(&state, minutes.end, rule.interval).await?;
            }
            fired.extend(periods.into_iter().map(|(from, until)| Firing {
                alert: rule.alert.clone(),
                labels: points.labels.clone(),
                from,
                until,
            }));
        }
    }
    Ok(fired)
}

/// Returns when an alert fires, like Prometheus' rule manager: after it has been active for `waits` without
/// a gap, until it has been inactive for `keeps`, or its state is `lost` in a restart.
fn firing(
    evaluations: impl Iterator<Item = (i64, bool)>,
    end: i64,
    waits: i64,
    keeps: i64,
    lost: impl Fn(i64) -> bool,
) -> Vec<(i64, i64)> {
    let mut periods = Vec::new();
    let (mut active_since, mut fires, mut gone_since) = (None, None, None);
    for (minute, active) in evaluations {
        if lost(minute) {
            periods.extend(fires.map(|from| (from, minute)));
            (active_since, fires, gone_since) = (None, None, None);
        }
        if active {
            gone_since = None;
            let since = *active_since.get_or_insert(minute);
            if fires.is_none() && minute - since >= waits {
                fires = Some(minute);
            }
        } else if let Some(from) = fires {
            if minute - *gone_since.get_or_insert(minute) >= keeps {
                periods.push((from, minute));
                (active_since, fires, gone_since) = (None, None, None);
            }
        } else {
            active_since = None;
        }
    }
    periods.extend(fires.map(|from| (from, end)));
    periods
}

/// Parses a duration with a single unit. Seconds are rounded up.
pub(crate) fn in_minutes(duration: &str) -> i64 {
    let unit = duration.trim_start_matches(|char: char| char.is_ascii_digit());
    let number: i64 = duration.trim_end_matches(unit).parse().unwrap_or_default();
    match unit {
        "d" => number * 1_440,
        "h" => number * 60,
        "s" => (number + 59) / 60,
        _ => number,
    }
}
