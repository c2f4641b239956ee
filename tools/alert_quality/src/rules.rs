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

/// The series of firing alerts.
const STATES: &str = "ALERTS";

/// Minutes for which a rule that reads its own results is evaluated at once, while there are none.
const ASKED_AT_ONCE: i64 = 1_440;

/// Minutes after which no rule looks at its own last result.
const FORGOTTEN: i64 = 1_440;

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
    let states_are_read = words(rules).contains(STATES);
    for rule in rules {
        let states = if rule.reads_itself() {
            rule.evaluate_by_steps(prometheus, minutes.clone(), restarts).await?
        } else {
            let results = rule.evaluate(prometheus, minutes.clone()).await?;
            let states = rule.states(&results, minutes.clone(), restarts);
            let written = match rule.alert.is_empty() {
                true => rule.named(results),
                false if states_are_read => rule.state_series(&states, minutes.clone()),
                false => Vec::new(),
            };
            prometheus.recorded(&written, minutes.end, rule.interval).await?;
            states
        };
        for (labels, state) in states {
            let periods = state.periods.into_iter();
            let last = state.fires_since.map(|from| (from, minutes.end));
            fired.extend(periods.chain(last).map(|(from, until)| Firing {
                alert: rule.alert.clone(),
                labels: labels.clone(),
                from,
                until,
            }));
        }
    }
    Ok(fired)
}

impl Rule {
    /// Returns whether an expression reads what the rule wrote before.
    fn reads_itself(&self) -> bool {
        let own = if self.alert.is_empty() { &self.record } else { &self.alert };
        words(std::slice::from_ref(self)).contains(own)
    }

    /// Evaluates a rule that reads its own results: each must be written before the next, from the first one
    /// until they are forgotten. Until then, all can be asked for at once.
    async fn evaluate_by_steps(
        &self,
        prometheus: &Prometheus,
        minutes: Range<i64>,
        restarts: &[i64],
    ) -> Result<States> {
        let mut states = States::new();
        let mut next = minutes.start;
        while next < minutes.end {
            let day = next..(next + ASKED_AT_ONCE).min(minutes.end);
            let results = self.evaluate(prometheus, day.clone()).await?;
            let first = results.iter().filter_map(|points| Some(points.values.first()?.0)).min();
            let Some(first) = first else {
                next = day.end;
                continue;
            };
            next = first;
            let mut last = first;
            let mut before = Vec::new();
            while next < minutes.end && next - last < FORGOTTEN {
                let step = next..next + 1;
                let results = self.evaluate(prometheus, step.clone()).await?;
                let is_active = !results.is_empty();
                let written = if self.alert.is_empty() {
                    self.named(results)
                } else {
                    self.advance(&mut states, &results, next, restarts);
                    self.state_series(&states, step)
                };
                if is_active || !written.is_empty() {
                    last = next;
                }
                prometheus.recorded_next(&before, &written, next).await?;
                before = written;
                next += self.interval;
            }
        }
        Ok(states)
    }

    /// Returns results as series of the record.
    fn named(&self, mut results: Vec<Points>) -> Vec<Points> {
        for points in &mut results {
            points.labels.insert(NAME.to_owned(), self.record.clone());
        }
        results
    }

    /// Returns the states of an alert by its labels, after all minutes.
    fn states(&self, results: &[Points], minutes: Range<i64>, restarts: &[i64]) -> States {
        let mut states = States::new();
        if self.alert.is_empty() {
            return states;
        }
        for points in results {
            let on: HashSet<i64> = points.values.iter().map(|(minute, _)| *minute).collect();
            let first = points.values.first().map_or(minutes.end, |(minute, _)| *minute);
            let state = states.entry(self.alert_labels(points)).or_default();
            for minute in (first..minutes.end).step_by(usize::try_from(self.interval).unwrap_or(1))
            {
                state.advance(self, minute, on.contains(&minute), restarts);
            }
        }
        states
    }

    /// Advances the states of an alert by one evaluation.
    fn advance(&self, states: &mut States, results: &[Points], minute: i64, restarts: &[i64]) {
        let active: HashSet<Labels> =
            results.iter().map(|points| self.alert_labels(points)).collect();
        for labels in &active {
            states.entry(labels.clone()).or_default();
        }
        for (labels, state) in states {
            state.advance(self, minute, active.contains(labels), restarts);
        }
    }

    fn alert_labels(&self, points: &Points) -> Labels {
        let mut labels = points.labels.clone();
        labels.insert("alertname".to_owned(), self.alert.clone());
        labels
    }

    /// Returns the series of the firing alerts.
    fn state_series(&self, states: &States, minutes: Range<i64>) -> Vec<Points> {
        let series = states.iter().map(|(labels, state)| {
            let mut labels = labels.clone();
            labels.insert("alertstate".to_owned(), "firing".to_owned());
            labels.insert(NAME.to_owned(), STATES.to_owned());
            let evaluated = minutes.clone().step_by(usize::try_from(self.interval).unwrap_or(1));
            let firing = evaluated.filter(|minute| state.fires_at(*minute));
            Points { labels, values: firing.map(|minute| (minute, 1.0)).collect() }
        });
        series.filter(|points| !points.values.is_empty()).collect()
    }
}

type States = BTreeMap<Labels, State>;

/// State of an alert, like in Prometheus' rule manager: it fires after it has been active for its `for`
/// without a gap, until it has been inactive for its `keep_firing_for`, or its state is lost in a restart.
#[derive(Debug, Default)]
struct State {
    active_since: Option<i64>,
    fires_since: Option<i64>,
    gone_since: Option<i64>,
    /// When it fired before.
    periods: Vec<(i64, i64)>,
}

impl State {
    fn advance(&mut self, rule: &Rule, minute: i64, active: bool, restarts: &[i64]) {
        let waits = in_minutes(&rule.hold);
        let since_last = minute - rule.interval..minute;
        if waits < RESTORED && restarts.iter().any(|restart| since_last.contains(restart)) {
            self.end(minute);
        }
        if active {
            self.gone_since = None;
            let since = *self.active_since.get_or_insert(minute);
            if self.fires_since.is_none() && minute - since >= waits {
                self.fires_since = Some(minute);
            }
        } else if self.fires_since.is_some() {
            let gone = minute - *self.gone_since.get_or_insert(minute);
            if gone >= in_minutes(&rule.keep_firing_for) {
                self.end(minute);
            }
        } else {
            self.active_since = None;
        }
    }

    fn end(&mut self, minute: i64) {
        self.periods.extend(self.fires_since.map(|from| (from, minute)));
        (self.active_since, self.fires_since, self.gone_since) = (None, None, None);
    }

    fn fires_at(&self, minute: i64) -> bool {
        self.fires_since.is_some_and(|from| from <= minute)
            || self.periods.iter().any(|(from, until)| (*from..*until).contains(&minute))
    }
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
