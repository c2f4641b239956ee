//! Series of a month, stored as changes of values.

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::{Result, anyhow};
use testkit::exposition::{self, Pairs, Sample};

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
    /// Indexes in `series`, by name and labels.
    places: HashMap<String, HashMap<Pairs, usize>>,
    series: Vec<Series>,
    /// Current lines of each part of the exposition, with their series. Most do not change, so that they
    /// are parsed once.
    parts: Vec<HashMap<String, usize>>,
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

    /// Sets a part of the exposition from a minute on.
    pub(crate) fn scrape(&mut self, part: usize, minute: i64, text: &str) -> Result<()> {
        let mut before = self.parts.get_mut(part).map(std::mem::take).unwrap_or_default();
        let (mut now, mut changed) = (HashMap::new(), HashSet::new());
        for line in text.lines() {
            let name = line.split(['{', ' ']).next().unwrap_or_default();
            if !self.wanted.contains(name) {
                continue;
            }
            if let Some((line, place)) = before.remove_entry(line) {
                now.insert(line, place);
                continue;
            }
            let family = format!("# HELP {name} -\n# TYPE {name} gauge\n{line}\n");
            let families = exposition::parse(&family, exposition::Format::Text);
            let families = families.map_err(|problem| anyhow!(problem))?;
            for sample in families.iter().flat_map(|family| &family.samples) {
                let place = self.place(sample);
                if let Some(series) = self.series.get_mut(place) {
                    series.changes.push((minute, Some(sample.value)));
                }
                changed.insert(place);
                now.insert(line.to_owned(), place);
            }
        }
        for place in before.into_values().filter(|place| !changed.contains(place)) {
            if let Some(series) = self.series.get_mut(place) {
                series.changes.push((minute, None));
            }
        }
        if let Some(part) = self.parts.get_mut(part) {
            *part = now;
        }
        Ok(())
    }

    fn place(&mut self, sample: &Sample) -> usize {
        let places = self.places.entry(sample.name.clone()).or_default();
        if let Some(place) = places.get(&sample.labels) {
            return *place;
        }
        let place = self.series.len();
        places.insert(sample.labels.clone(), place);
        self.series.push(Series { labels: labels(sample), changes: Vec::new() });
        place
    }

    /// Returns all scraped series.
    pub(crate) fn finish(self) -> Vec<Series> {
        self.series
    }
}

/// Returns the labels of a sample and of its target.
fn labels(sample: &Sample) -> Labels {
    let target = TARGET.into_iter().filter(|_| sample.name != "campaign_threshold");
    [(NAME, sample.name.as_str())]
        .into_iter()
        .chain(target)
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .chain(sample.labels.iter().cloned())
        .collect()
}
