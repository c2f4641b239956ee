//! Series of a month, stored as changes of values.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::prometheus::NAME;

/// Labels by name, including the metric name.
pub(crate) type Labels = BTreeMap<String, String>;

/// Target labels.
const TARGET: [(&str, &str); 2] = [("job", "campaign_exporter"), ("instance", "exporter:10058")];

/// A series and the minutes at which its value changes; `None` where it ends.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) labels: Labels,
    pub(crate) changes: Vec<(i64, Option<f64>)>,
}

/// Collects consecutive scrapes.
pub(crate) struct Timeline<'a> {
    wanted: &'a HashSet<String>,
    places: HashMap<String, usize>,
    series: Vec<Series>,
    /// Current values of each part of the exposition.
    parts: Vec<HashMap<usize, f64>>,
}

impl<'a> Timeline<'a> {
    /// Creates a collector of these metrics, for expositions with this number of parts.
    pub(crate) fn new(wanted: &'a HashSet<String>, parts: usize) -> Self {
        Self {
            wanted,
            places: HashMap::new(),
            series: Vec::new(),
            parts: vec![HashMap::new(); parts],
        }
    }

    /// Sets the text of a part of the exposition from a minute on.
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

    /// Returns all scraped series.
    pub(crate) fn finish(self) -> Vec<Series> {
        self.series
    }
}

/// Returns the labels of a series as written, plus those of its target. Values contain no quotes or commas.
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
