//! What Prometheus has of a month: series that keep a value until it changes.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::prometheus::NAME;

/// Labels by name; the metric's name is one of them.
pub(crate) type Labels = BTreeMap<String, String>;

/// The labels of the target.
const TARGET: [(&str, &str); 2] = [("job", "campaign_exporter"), ("instance", "exporter:10058")];

/// A series and the minutes at which its value changes; nothing where it ends.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) labels: Labels,
    pub(crate) changes: Vec<(i64, Option<f64>)>,
}

/// Scrapes, one after another.
pub(crate) struct Timeline<'a> {
    wanted: &'a HashSet<String>,
    places: HashMap<String, usize>,
    series: Vec<Series>,
    /// The values that each part of an exposition has now.
    parts: Vec<HashMap<usize, f64>>,
}

impl<'a> Timeline<'a> {
    /// One that keeps the metrics of these names, of expositions with so many parts.
    pub(crate) fn new(wanted: &'a HashSet<String>, parts: usize) -> Self {
        Self {
            wanted,
            places: HashMap::new(),
            series: Vec::new(),
            parts: vec![HashMap::new(); parts],
        }
    }

    /// A part of an exposition is like this from a minute on.
    pub(crate) fn scrape(&mut self, part: usize, minute: i64, text: &str) {
        let mut now = HashMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((name, value)) = line.rsplit_once(' ') else {
                continue;
            };
            let metric = name.split('{').next().unwrap_or_default();
            if let Ok(value) = value.parse()
                && self.wanted.contains(metric)
            {
                now.insert(self.place(name), value);
            }
        }
        let Some(before) = self.parts.get_mut(part) else {
            return;
        };
        for (place, value) in &now {
            if before.remove(place) != Some(*value)
                && let Some(series) = self.series.get_mut(*place)
            {
                series.changes.push((minute, Some(*value)));
            }
        }
        for place in before.keys() {
            if let Some(series) = self.series.get_mut(*place) {
                series.changes.push((minute, None));
            }
        }
        *before = now;
    }

    fn place(&mut self, name: &str) -> usize {
        if let Some(place) = self.places.get(name) {
            return *place;
        }
        let place = self.series.len();
        self.places.insert(name.to_owned(), place);
        self.series.push(Series {
            labels: labels(name),
            changes: Vec::new(),
        });
        place
    }

    /// All that was scraped.
    pub(crate) fn finish(self) -> Vec<Series> {
        self.series
    }
}

/// The labels of a series as it is written, and of its target. No value of the month has a quote or
/// a comma.
fn labels(series: &str) -> Labels {
    let (metric, block) = series.split_once('{').unwrap_or((series, ""));
    let own = block.trim_end_matches('}').split(',');
    let own = own.filter_map(|label| label.split_once('='));
    let own = own.map(|(name, value)| (name, value.trim_matches('"')));
    let target = TARGET
        .into_iter()
        .filter(|_| metric != "campaign_threshold");
    [(NAME, metric)]
        .into_iter()
        .chain(target)
        .chain(own)
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}
