//! The exporter's own metrics. Most are about accounts, of which there can be many, so what has not
//! changed since the last scrape is neither rendered nor compressed again.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use prometheus::proto::MetricFamily;

use crate::exposition::format::{Format, Writer};
use crate::exposition::gzip::{Compressor, Deflated, Stream};
use crate::exposition::rendering::SharedBody;
use crate::telemetry::{AccountTelemetry, Telemetry, Version};

/// Number of accounts whose samples of a family are compressed together. With more, a poll causes more
/// to be compressed; with fewer, compression has less to refer to.
const GROUP: usize = 16;

/// Renders the exporter's own metrics for scrapes.
#[derive(Debug)]
pub struct OwnMetrics {
    telemetry: Telemetry,
    /// What the last scrape in each format rendered. Nothing while a scrape updates it, so that one that
    /// fails leaves no part of an update.
    text: Mutex<Option<Rendered>>,
    open_metrics: Mutex<Option<Rendered>>,
}

impl OwnMetrics {
    /// Returns the renderer of these metrics.
    pub fn new(telemetry: Telemetry) -> Self {
        Self { telemetry, text: Mutex::default(), open_metrics: Mutex::default() }
    }

    /// Returns all but the metrics of the process, as they are now.
    pub fn body(&self, format: Format) -> io::Result<Arc<SharedBody>> {
        let last = match format {
            Format::Text => &self.text,
            Format::OpenMetrics => &self.open_metrics,
        };
        let accounts = self.telemetry.accounts();
        // scrapes wait for each other rather than render the same
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        let same = last.take().filter(|rendered| Arc::ptr_eq(&rendered.accounts, &accounts));
        let mut rendered = same.unwrap_or_else(|| Rendered::new(format, accounts));
        let body = rendered.update(self.telemetry.gather_own())?;
        *last = Some(rendered);
        Ok(body)
    }

    /// Returns the metrics of the process, which come after all others.
    pub fn process(&self, format: Format) -> String {
        let mut writer = Writer::new(format);
        writer.families(&self.telemetry.gather_process());
        writer.into_string()
    }
}

/// Rendered metrics.
#[derive(Debug)]
struct Rendered {
    accounts: Arc<[AccountTelemetry]>,
    /// The metrics that are about no account, as of a single source.
    own: Group,
    /// The metrics of the accounts.
    groups: Vec<Group>,
    maker: PieceMaker,
    compressor: Compressor,
    /// Adjacent pieces that were compressed together, by their ids.
    runs: HashMap<Vec<u64>, Arc<Deflated>>,
    body: Option<Arc<SharedBody>>,
}

impl Rendered {
    fn new(format: Format, accounts: Arc<[AccountTelemetry]>) -> Self {
        Self {
            own: Group::of(1),
            groups: accounts.chunks(GROUP).map(|group| Group::of(group.len())).collect(),
            accounts,
            maker: PieceMaker { format, headers: BTreeMap::new(), next_id: 0 },
            compressor: Compressor::new(),
            runs: HashMap::new(),
            body: None,
        }
    }

    /// Renders what has changed.
    fn update(&mut self, own: Vec<MetricFamily>) -> io::Result<Arc<SharedBody>> {
        let mut has_changed = self.own.replace(&[(0, own)].into(), &mut self.maker);
        for (group, accounts) in self.groups.iter_mut().zip(self.accounts.chunks(GROUP)) {
            has_changed |= group.update(accounts, &mut self.maker);
        }
        match &self.body {
            Some(body) if !has_changed => Ok(Arc::clone(body)),
            _ => {
                let body = Arc::new(self.compressed()?);
                self.body = Some(Arc::clone(&body));
                Ok(body)
            }
        }
    }

    /// Puts the pieces in order, and compresses the runs that are new.
    fn compressed(&mut self) -> io::Result<SharedBody> {
        let mut pieces = Vec::new();
        for (name, header) in &self.maker.headers {
            let groups = std::iter::once(&self.own).chain(&self.groups);
            let mut samples = groups
                .filter_map(|group| Some((group.pieces.get(name)?, group.is_full())))
                .peekable();
            let header = samples.peek().is_some().then_some((header, false));
            pieces.extend(header.into_iter().chain(samples));
        }
        let mut before = std::mem::take(&mut self.runs);
        let mut order = Vec::new();
        for run in pieces.chunk_by(|(_, ends_run), _| !ends_run) {
            let ids: Vec<_> = run.iter().map(|(piece, _)| piece.id).collect();
            let texts = run.iter().map(|(piece, _)| piece.text.as_ref());
            let deflated = match before.remove(&ids) {
                Some(known) => known,
                None => Arc::new(self.compressor.piece(texts)?),
            };
            order.push(Arc::clone(&deflated));
            self.runs.insert(ids, deflated);
        }
        let texts = pieces.iter().map(|(piece, _)| piece.text.clone());
        Ok(SharedBody::new(texts, Stream::joined(&order)))
    }
}

/// Adjacent sources of metrics.
#[derive(Debug)]
struct Group {
    /// What is rendered of each source.
    versions: Vec<Option<Version>>,
    /// The samples of each family.
    pieces: BTreeMap<String, Piece>,
}

/// A text that is always sent as a whole.
#[derive(Debug)]
struct Piece {
    id: u64,
    text: Bytes,
    /// Where the samples of each source end.
    ends: Vec<usize>,
}

impl Group {
    fn of(sources: usize) -> Self {
        Self { versions: vec![None; sources], pieces: BTreeMap::new() }
    }

    /// Whether what follows is compressed apart from it. What is smaller would compress badly.
    const fn is_full(&self) -> bool {
        self.versions.len() == GROUP
    }

    /// Renders the accounts that have changed. Returns whether a text has.
    fn update(&mut self, accounts: &[AccountTelemetry], maker: &mut PieceMaker) -> bool {
        let mut gathered = BTreeMap::new();
        for (index, (known, account)) in self.versions.iter_mut().zip(accounts).enumerate() {
            let version = account.version();
            if known.replace(version) != Some(version) {
                gathered.insert(index, account.gather());
            }
        }
        !gathered.is_empty() && self.replace(&gathered, maker)
    }

    /// Replaces the samples of some sources. Returns whether a text has changed.
    fn replace(
        &mut self,
        gathered: &BTreeMap<usize, Vec<MetricFamily>>,
        maker: &mut PieceMaker,
    ) -> bool {
        let mut new: BTreeMap<String, HashMap<usize, String>> = BTreeMap::new();
        // families that none of the sources has any more
        new.extend(self.pieces.keys().map(|name| (name.clone(), HashMap::new())));
        for (source, families) in gathered {
            for family in families {
                let samples = maker.samples(family);
                new.entry(family.name().to_owned()).or_default().insert(*source, samples);
            }
        }
        let mut has_changed = false;
        for (name, samples) in new {
            let piece = self.pieces.get(&name);
            let (mut text, mut ends) = (Vec::new(), Vec::new());
            for source in 0..self.versions.len() {
                match (samples.get(&source), piece) {
                    (Some(new), _) => text.extend_from_slice(new.as_bytes()),
                    (None, Some(piece)) if !gathered.contains_key(&source) => {
                        text.extend_from_slice(piece.of(source));
                    }
                    _ => {}
                }
                ends.push(text.len());
            }
            if piece.is_some_and(|piece| piece.text == text) {
                continue;
            }
            has_changed = true;
            if text.is_empty() {
                self.pieces.remove(&name);
            } else {
                self.pieces.insert(name, maker.piece(text, ends));
            }
        }
        has_changed
    }
}

impl Piece {
    /// The samples of a source.
    fn of(&self, source: usize) -> &[u8] {
        let before = source.checked_sub(1).and_then(|before| self.ends.get(before));
        let begin = before.copied().unwrap_or_default();
        let end = self.ends.get(source).copied().unwrap_or_default();
        self.text.get(begin..end).unwrap_or_default()
    }
}

/// Makes pieces in a format.
#[derive(Debug)]
struct PieceMaker {
    format: Format,
    /// The header of each family.
    headers: BTreeMap<String, Piece>,
    next_id: u64,
}

impl PieceMaker {
    fn piece(&mut self, text: Vec<u8>, ends: Vec<usize>) -> Piece {
        self.next_id += 1;
        Piece { id: self.next_id, text: text.into(), ends }
    }

    /// Renders the samples of a family, and its header if it is new.
    fn samples(&mut self, family: &MetricFamily) -> String {
        if !self.headers.contains_key(family.name()) {
            let mut writer = Writer::new(self.format);
            writer.family_header(family);
            let header = self.piece(writer.into_string().into_bytes(), Vec::new());
            self.headers.insert(family.name().to_owned(), header);
        }
        let mut writer = Writer::new(self.format);
        writer.family_samples(family);
        writer.into_string()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use bytes::Buf;
    use flate2::bufread::GzDecoder;

    use super::*;

    /// Accounts that share what is left of a budget.
    fn accounts(count: usize, left: &Arc<AtomicU64>) -> Vec<AccountTelemetry> {
        let accounts = (0..count).map(|number| {
            let left = Arc::clone(left);
            let name = format!("account-{number}");
            let account = AccountTelemetry::new("p", &name, ["auth"], &[], &[], number != 1);
            account.unwrap().with_budget(move || match left.load(Ordering::Relaxed) {
                0 => None,
                left => Some((1_000, left)),
            })
        });
        accounts.collect()
    }

    /// Checks both formats and encodings against a rendering of everything. Returns the text.
    fn checked(own: &OwnMetrics) -> [Arc<SharedBody>; 2] {
        Format::ALL.map(|format| {
            let mut writer = Writer::new(format);
            writer.families(&own.telemetry.gather());
            let expected = writer.into_string();
            let body = own.body(format).unwrap();
            let mut identity = SharedBody::identity(&[&body], own.process(format));
            let identity = identity.copy_to_bytes(identity.remaining());
            assert_eq!(String::from_utf8_lossy(&identity), expected);
            let gzip = SharedBody::gzip(&[&body], &own.process(format));
            let mut text = String::new();
            GzDecoder::new(gzip.reader()).read_to_string(&mut text).unwrap();
            assert_eq!(text, expected);
            body
        })
    }

    #[test]
    fn scrapes_show_all_metrics_as_they_are_now() {
        for count in [0, 1, 2, GROUP, 3 * GROUP + 1] {
            let left = Arc::new(AtomicU64::new(10));
            let telemetry = Telemetry::new().unwrap();
            let own = OwnMetrics::new(telemetry.clone());
            checked(&own);
            let accounts = accounts(count, &left);
            telemetry.set_accounts(accounts.clone());
            checked(&own);
            for account in accounts.iter().step_by(GROUP + 1) {
                account.request("200", Duration::from_secs(1));
                checked(&own);
                account.retry();
                checked(&own);
                account.poll_succeeded();
                checked(&own);
                account.poll_failed("network");
                checked(&own);
                account.decode_problems("name", 2);
                checked(&own);
                account.mismatch("click");
                checked(&own);
            }
            left.store(9, Ordering::Relaxed);
            checked(&own);
            // families without samples
            left.store(0, Ordering::Relaxed);
            checked(&own);
            left.store(8, Ordering::Relaxed);
            telemetry.reload_failed("no");
            checked(&own);
            telemetry.set_accounts(accounts.into_iter().skip(1).collect());
            checked(&own);
        }
    }

    #[test]
    fn what_has_not_changed_is_not_rendered_again() {
        let telemetry = Telemetry::new().unwrap();
        let left = Arc::default();
        let accounts = accounts(10 * GROUP, &left);
        telemetry.set_accounts(accounts.clone());
        let own = OwnMetrics::new(telemetry);
        let [first, _] = checked(&own);
        let [again, _] = checked(&own);
        assert!(Arc::ptr_eq(&first, &again));
        accounts[GROUP].poll_succeeded();
        let [changed, _] = checked(&own);
        assert_eq!(changed.new_pieces(&first), (1, 1));
    }
}
