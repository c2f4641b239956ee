//! What Prometheus has of a month: series that keep a value until it changes.

use std::collections::{BTreeMap, HashMap, HashSet};

use testkit::exposition::{Pairs, Sample};

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
    /// Indexes in `series`, by name and labels.
    places: HashMap<String, HashMap<Pairs, usize>>,
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
    pub(crate) fn scrape(&mut self, part: usize, minute: i64, samples: &[Sample]) {
        let mut now = HashMap::new();
        for sample in samples {
            if self.wanted.contains(&sample.name) {
                now.insert(self.place(sample), sample.value);
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

    fn place(&mut self, sample: &Sample) -> usize {
        let places = self.places.entry(sample.name.clone()).or_default();
        if let Some(place) = places.get(&sample.labels) {
            return *place;
        }
        let place = self.series.len();
        places.insert(sample.labels.clone(), place);
        self.series.push(Series {
            labels: labels(sample),
            changes: Vec::new(),
        });
        place
    }

    /// All that was scraped.
    pub(crate) fn finish(self) -> Vec<Series> {
        self.series
    }
}

/// Returns the labels of a sample and of its target.
fn labels(sample: &Sample) -> Labels {
    let target = TARGET
        .into_iter()
        .filter(|_| sample.name != "campaign_threshold");
    [(NAME, sample.name.as_str())]
        .into_iter()
        .chain(target)
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .chain(sample.labels.iter().cloned())
        .collect()
}
