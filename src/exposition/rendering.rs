//! What scrapes are sent about campaigns and accounts: rendered and compressed once, and kept, so
//! that a change costs what it changes.
//!
//! The samples of a family stand together, so those of an account are in as many places as there are
//! families. Each is a `Part` that all expositions share while it stays the same: a sample of a
//! gauge is written alike in both formats. Each is compressed by itself, for the expositions of some
//! accounts, which are put together when they are asked for; and small ones that stand next to each
//! other are compressed together, too, for the exposition of all.

use std::collections::BTreeMap;
use std::collections::hash_map::{Entry, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::campaign::Campaign;
use crate::exposition::families::{
    ACCOUNT_FAMILIES, CAMPAIGN_FAMILIES, CampaignRows, write_account, write_series,
};
use crate::exposition::format::{Format, Writer};
use crate::exposition::gzip::{self, Checksum, Compressor, Deflated};
use crate::exposition::pieces::Pieces;
use crate::state::snapshot::{AccountState, Revision, Snapshot};

/// How many campaigns share a part, on average. More make a change dearer, fewer cost memory.
const CHUNK: u64 = 256;

/// Most campaigns that share a part, whatever their ids are like.
const MAX_CHUNK: usize = 2048;

/// Bytes from which on a part is compressed by itself. What is compressed begins without a memory of
/// what stands before it, which makes smaller ones much larger than they need be.
const LARGE: usize = 4096;

/// How many smaller parts are compressed together, on average: all of them are anew if one changes.
const RUN: u64 = 16;

/// The beginning of an exposition, without its end: the exporter's own metrics are new each time.
#[derive(Debug)]
pub struct Rendered {
    identity: Arc<[Bytes]>,
    identity_length: usize,
    gzip: Arc<[Bytes]>,
    gzip_length: usize,
    checksum: Checksum,
}

impl Rendered {
    /// The whole exposition as it is.
    pub fn identity(&self, rest: String) -> Pieces {
        let identity = Arc::clone(&self.identity);
        Pieces::new(identity, self.identity_length, rest.into())
    }

    /// The whole exposition as one gzip stream.
    pub fn gzip(&self, rest: &str) -> io::Result<Pieces> {
        let end = Compressor::new().end(&self.checksum, rest.as_bytes())?;
        Ok(Pieces::new(Arc::clone(&self.gzip), self.gzip_length, end))
    }

    fn new<'a>(parts: &[Arc<Part>], deflated: impl Iterator<Item = &'a Arc<Deflated>>) -> Self {
        let mut gzip = vec![Bytes::from_static(&gzip::HEADER)];
        let mut checksum = Checksum::default();
        for deflated in deflated {
            gzip.push(deflated.bytes.clone());
            checksum.add(deflated);
        }
        let identity: Arc<[_]> = parts.iter().map(|part| part.text.clone()).collect();
        let length = |pieces: &[Bytes]| pieces.iter().map(Bytes::len).sum();
        Self {
            identity_length: length(&identity),
            gzip_length: length(&gzip),
            identity,
            gzip: gzip.into(),
            checksum,
        }
    }
}

/// All accounts in one format, and what is needed for some of them.
#[derive(Debug)]
pub struct Exposition {
    /// All of them.
    pub whole: Rendered,
    headers: Arc<[Arc<Part>]>,
    accounts: Arc<[Arc<AccountParts>]>,
    series: Arc<Part>,
}

impl Exposition {
    /// The accounts, by name, each with its provider.
    pub fn accounts(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        let accounts = self.accounts.iter();
        accounts.map(|account| (account.name.as_str(), &*account.provider))
    }

    /// What it tells of itself alone.
    pub fn own(&self) -> Rendered {
        Rendered::new(
            &[Arc::clone(&self.series)],
            [&self.series.deflated].into_iter(),
        )
    }

    /// Those accounts alone that are wanted, by name and provider. Nothing is rendered or compressed.
    pub fn some(&self, wanted: impl Fn(&str, &str) -> bool) -> Rendered {
        let accounts = self.accounts.iter();
        let accounts: Vec<_> = accounts
            .filter(|account| wanted(&account.name, &account.provider))
            .collect();
        let families = families(&self.headers, accounts.iter().copied());
        let parts: Vec<_> = families.cloned().collect();
        Rendered::new(&parts, parts.iter().map(|part| &part.deflated))
    }
}

/// Renders snapshots, and remembers the last one.
#[derive(Debug)]
pub struct Renderer {
    text_headers: Arc<[Arc<Part>]>,
    open_metrics_headers: Arc<[Arc<Part>]>,
    accounts: BTreeMap<String, Arc<AccountParts>>,
    compressor: Compressor,
    runs: Runs,
}

impl Renderer {
    /// One that has rendered nothing yet.
    pub fn new() -> io::Result<Self> {
        let mut compressor = Compressor::new();
        Ok(Self {
            text_headers: headers(Format::Text, &mut compressor)?,
            open_metrics_headers: headers(Format::OpenMetrics, &mut compressor)?,
            accounts: BTreeMap::new(),
            compressor,
            runs: Runs::default(),
        })
    }

    /// Everything about the campaigns and accounts of a snapshot, in text and in `OpenMetrics`.
    pub fn render(&mut self, snapshot: &Snapshot) -> io::Result<(Exposition, Exposition)> {
        let mut before = std::mem::take(&mut self.accounts);
        for state in snapshot.accounts() {
            let name = &state.account.name;
            let parts = match before.remove(name) {
                Some(parts) if parts.revision == state.revision => parts,
                parts => {
                    let parts = AccountParts::new(state, parts.as_deref(), &mut self.compressor)?;
                    Arc::new(parts)
                }
            };
            self.accounts.insert(name.clone(), parts);
        }
        drop(before);
        let accounts: Arc<[_]> = self.accounts.values().cloned().collect();
        let rendered = (
            self.exposition(Format::Text, Arc::clone(&accounts))?,
            self.exposition(Format::OpenMetrics, accounts)?,
        );
        self.runs.forget_unused();
        Ok(rendered)
    }

    /// Puts the parts together, family by family.
    fn exposition(
        &mut self,
        format: Format,
        accounts: Arc<[Arc<AccountParts>]>,
    ) -> io::Result<Exposition> {
        let series = accounts.iter().map(|account| account.series).sum();
        let mut writer = Writer::new(format);
        write_series(&mut writer, series);
        let series = Arc::new(Part::new(
            &writer.into_string(),
            false,
            &mut self.compressor,
        )?);
        let headers = match format {
            Format::Text => &self.text_headers,
            Format::OpenMetrics => &self.open_metrics_headers,
        };
        let families = families(headers, accounts.iter());
        let parts: Vec<_> = families.chain([&series]).cloned().collect();
        let runs = parts.chunk_by(|part, next| !part.ends_run && !next.is_large());
        let deflated = runs.map(|run| self.runs.deflated(run, &mut self.compressor));
        let deflated = deflated.collect::<io::Result<Vec<_>>>()?;
        Ok(Exposition {
            whole: Rendered::new(&parts, deflated.iter()),
            headers: Arc::clone(headers),
            accounts,
            series,
        })
    }
}

/// The parts of some accounts in the order in which they are sent.
fn families<'a>(
    headers: &'a [Arc<Part>],
    accounts: impl Iterator<Item = &'a Arc<AccountParts>> + Clone,
) -> impl Iterator<Item = &'a Arc<Part>> {
    headers.iter().enumerate().flat_map(move |(index, header)| {
        let accounts = accounts.clone();
        let mut samples = accounts
            .flat_map(move |account| account.family(index))
            .peekable();
        // a family without samples is legal and still noise
        let header = samples.peek().is_some().then_some(header);
        header.into_iter().chain(samples)
    })
}

/// What stands before the samples of each family: those of the campaigns, then those of the accounts.
fn headers(format: Format, compressor: &mut Compressor) -> io::Result<Arc<[Arc<Part>]>> {
    let mut header = |begin: &dyn Fn(&mut Writer)| {
        let mut writer = Writer::new(format);
        begin(&mut writer);
        Part::new(&writer.into_string(), false, compressor).map(Arc::new)
    };
    let mut headers = Vec::new();
    for family in CAMPAIGN_FAMILIES {
        headers.push(header(&|writer| family.begin(writer))?);
    }
    for family in ACCOUNT_FAMILIES {
        headers.push(header(&|writer| family.begin(writer))?);
    }
    Ok(headers.into())
}

/// A text that stands in an exposition as a whole.
#[derive(Debug)]
struct Part {
    text: Bytes,
    deflated: Arc<Deflated>,
    /// Whether what follows is compressed by itself.
    ends_run: bool,
}

impl Part {
    fn new(text: &str, ends_run: bool, compressor: &mut Compressor) -> io::Result<Self> {
        let text = Bytes::copy_from_slice(text.as_bytes());
        Ok(Self {
            deflated: Arc::new(compressor.piece([text.as_ref()].into_iter())?),
            ends_run: ends_run || text.len() >= LARGE,
            text,
        })
    }

    fn is_large(&self) -> bool {
        self.text.len() >= LARGE
    }
}

/// What is compressed together, by the places of its parts.
#[derive(Debug, Default)]
struct Runs {
    known: HashMap<Vec<usize>, Run>,
}

/// Parts that are compressed together.
#[derive(Debug)]
struct Run {
    deflated: Arc<Deflated>,
    /// Kept, so that no other part is ever at the same place.
    _parts: Vec<Arc<Part>>,
    is_used: bool,
}

impl Runs {
    /// Some parts, compressed, unless they were before.
    fn deflated(
        &mut self,
        parts: &[Arc<Part>],
        compressor: &mut Compressor,
    ) -> io::Result<Arc<Deflated>> {
        if let [part] = parts {
            return Ok(Arc::clone(&part.deflated));
        }
        let places = parts.iter().map(|part| Arc::as_ptr(part).addr()).collect();
        let run = match self.known.entry(places) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let texts = parts.iter().map(|part| part.text.as_ref());
                entry.insert(Run {
                    deflated: Arc::new(compressor.piece(texts)?),
                    _parts: parts.to_vec(),
                    is_used: true,
                })
            }
        };
        run.is_used = true;
        Ok(Arc::clone(&run.deflated))
    }

    /// Forgets what was not asked for since the last time.
    fn forget_unused(&mut self) {
        let is_used = |run: &mut Run| std::mem::take(&mut run.is_used);
        self.known.retain(|_, run| is_used(run));
    }
}

/// Nothing, where a family has no samples. Shared with what was rendered before, where it is the same.
type Samples = Option<Arc<Part>>;

/// An account in parts.
#[derive(Debug)]
struct AccountParts {
    name: String,
    revision: Revision,
    /// What is in every sample, beside the name.
    provider: Arc<str>,
    info_labels: Vec<Arc<str>>,
    /// How many series its campaigns have.
    series: usize,
    chunks: Vec<Arc<Chunk>>,
    /// Its samples in each of the [`ACCOUNT_FAMILIES`].
    own: Vec<Samples>,
}

/// Campaigns that stand next to each other.
#[derive(Debug)]
struct Chunk {
    campaigns: Box<[Arc<Campaign>]>,
    series: usize,
    /// Their samples in each of the [`CAMPAIGN_FAMILIES`].
    parts: Vec<Samples>,
}

impl AccountParts {
    fn new(
        state: &AccountState,
        before: Option<&Self>,
        compressor: &mut Compressor,
    ) -> io::Result<Self> {
        let name = state.account.name.as_str();
        let (provider, info_labels) = (state.account.provider.name(), state.info_labels());
        let before = before.filter(|before| {
            before.provider == *provider && before.info_labels.as_slice() == info_labels
        });
        let known = before.map(|before| before.chunks.as_slice());
        let mut known: HashMap<_, _> = known
            .unwrap_or_default()
            .iter()
            .filter_map(|chunk| Some((chunk.campaigns.last()?.id.as_str(), chunk)))
            .collect();
        let chunks = chunked(state.campaigns()).map(|campaigns| {
            let last = campaigns.last();
            let before = last.and_then(|last| known.remove(last.id.as_str()));
            match before {
                Some(chunk) if is_same(&chunk.campaigns, campaigns) => Ok(Arc::clone(chunk)),
                before => {
                    let before = before.map(AsRef::as_ref);
                    Chunk::new(state, campaigns, before, compressor).map(Arc::new)
                }
            }
        });
        let chunks = chunks.collect::<io::Result<Vec<_>>>()?;
        let mut text = String::new();
        let own = ACCOUNT_FAMILIES.iter().enumerate().map(|(index, family)| {
            text.clear();
            write_account(&mut text, family, state);
            let before = before.and_then(|before| before.own.get(index));
            samples(&text, before, (name, index), compressor)
        });
        Ok(Self {
            own: own.collect::<io::Result<_>>()?,
            name: name.to_owned(),
            revision: state.revision,
            provider: Arc::clone(provider),
            info_labels: info_labels.to_vec(),
            series: chunks.iter().map(|chunk| chunk.series).sum(),
            chunks,
        })
    }

    /// The samples of a family, counted as [`headers`] does.
    fn family(&self, index: usize) -> impl Iterator<Item = &Arc<Part>> {
        let own = index.checked_sub(CAMPAIGN_FAMILIES.len());
        let own = own.and_then(|index| self.own.get(index));
        let chunks = self.chunks.iter();
        let chunks = chunks.filter_map(move |chunk| chunk.parts.get(index));
        chunks.chain(own).flatten()
    }
}

impl Chunk {
    fn new(
        state: &AccountState,
        campaigns: &[Arc<Campaign>],
        before: Option<&Self>,
        compressor: &mut Compressor,
    ) -> io::Result<Self> {
        let name = state.account.name.as_str();
        let last = campaigns.last().map(|campaign| campaign.id.as_str());
        let rows = CampaignRows::new(state, campaigns);
        let mut text = String::new();
        let mut series = 0;
        let parts = CAMPAIGN_FAMILIES.iter().enumerate().map(|(index, family)| {
            text.clear();
            series += rows.write(&mut text, family);
            let before = before.and_then(|before| before.parts.get(index));
            samples(&text, before, (name, last, index), compressor)
        });
        Ok(Self {
            parts: parts.collect::<io::Result<_>>()?,
            campaigns: campaigns.into(),
            series,
        })
    }
}

/// The part that a text becomes: the one before where it is the same. Whether a run ends with it
/// depends on its `place` alone, so that a change moves no ends.
fn samples(
    text: &str,
    before: Option<&Samples>,
    place: impl Hash,
    compressor: &mut Compressor,
) -> io::Result<Samples> {
    if text.is_empty() {
        return Ok(None);
    }
    let part = match before.and_then(Option::as_ref) {
        Some(before) if before.text == text.as_bytes() => Arc::clone(before),
        _ => Arc::new(Part::new(text, is_one_of(RUN, place), compressor)?),
    };
    Ok(Some(part))
}

/// Campaigns in chunks whose ends depend on the ids alone, so that one that comes or leaves changes
/// the chunk that it is in and no other.
fn chunked(campaigns: &[Arc<Campaign>]) -> impl Iterator<Item = &[Arc<Campaign>]> {
    let chunks = campaigns.chunk_by(|campaign, _| !is_one_of(CHUNK, &campaign.id));
    chunks.flat_map(|chunk| chunk.chunks(MAX_CHUNK))
}

/// Picks one of so many, always the same ones.
fn is_one_of(many: u64, value: impl Hash) -> bool {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish().is_multiple_of(many)
}

/// Whether they are the same, not only alike: what did not change is shared.
fn is_same(before: &[Arc<Campaign>], now: &[Arc<Campaign>]) -> bool {
    before.len() == now.len()
        && before
            .iter()
            .zip(now)
            .all(|(one, other)| Arc::ptr_eq(one, other))
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::time::Duration;

    use bytes::Buf;
    use chrono::DateTime;
    use flate2::bufread::GzDecoder;
    use proptest::prelude::*;
    use tokio::time::Instant;

    use super::*;
    use crate::campaign::counts::{Count, Counts};
    use crate::config::Config;
    use crate::exposition::families;
    use crate::provider::native;
    use crate::state::snapshot::{Change, Configured, Data, Update};

    const NAMES: [&str; 3] = ["a", "b", "c"];

    /// Puts some accounts in force.
    fn configure(snapshot: &mut Snapshot, names: &[&str], info_labels: &str) {
        let accounts = names
            .iter()
            .map(|name| format!("- {{name: {name}, provider: smsup, token_env: T}}\n"));
        let accounts: String = accounts.collect();
        let yaml = format!("global: {{info_labels: [{info_labels}]}}\naccounts:\n{accounts}");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), yaml).unwrap();
        let accounts = Config::load(file.path(), &native(), None).unwrap().accounts;
        let configured = accounts.into_iter().map(|account| Configured {
            generation: 1,
            poll_interval: account.polling.poll_interval,
            account,
            restored: None,
        });
        snapshot.apply(Change::Configured(configured.collect()));
    }

    fn poll(snapshot: &mut Snapshot, account: &str, campaigns: Vec<Arc<Campaign>>) {
        let update = Update {
            account: account.to_owned(),
            generation: 1,
            at: DateTime::UNIX_EPOCH,
            ended: Instant::now(),
            took: Duration::ZERO,
            poll_interval: Duration::from_mins(5),
            token_expiry: None,
            requests_remaining: None,
            failure: None,
            data: Some(Data {
                campaigns,
                ..Data::default()
            }),
        };
        snapshot.apply(Change::Polled(Box::new(update)));
    }

    fn campaign(id: usize, deliveries: u64) -> Arc<Campaign> {
        Arc::new(Campaign {
            id: id.to_string(),
            name: "Spring \"sale\"".into(),
            counts: Counts::from([
                (Count::Recipients, Some(100)),
                (Count::Deliveries, Some(deliveries)),
            ]),
            ..Campaign::default()
        })
    }

    fn text(mut pieces: Pieces) -> String {
        let bytes = pieces.copy_to_bytes(pieces.remaining());
        String::from_utf8(bytes.into()).unwrap()
    }

    fn decompressed(pieces: Pieces) -> String {
        let mut text = String::new();
        GzDecoder::new(pieces.reader())
            .read_to_string(&mut text)
            .unwrap();
        text
    }

    /// Renders, and holds all four variants against what is rendered in one go.
    fn rendered(renderer: &mut Renderer, snapshot: &Snapshot) -> [Rendered; 2] {
        let (text_format, open_metrics) = renderer.render(snapshot).unwrap();
        for (exposition, format) in [
            (&text_format, Format::Text),
            (&open_metrics, Format::OpenMetrics),
        ] {
            let whole = families::render(snapshot, format);
            let expected = whole.clone() + "own 1\n";
            let all = &exposition.whole;
            assert_eq!(text(all.identity("own 1\n".to_owned())), expected);
            assert_eq!(decompressed(all.gzip("own 1\n").unwrap()), expected);
            for wanted in [&["a"][..], &["c", "a"], &["b", "c"], &[]] {
                let some = exposition.some(|name, _| wanted.contains(&name));
                let expected = of_accounts(&whole, wanted) + "own 1\n";
                assert_eq!(text(some.identity("own 1\n".to_owned())), expected);
                assert_eq!(decompressed(some.gzip("own 1\n").unwrap()), expected);
            }
        }
        [text_format.whole, open_metrics.whole]
    }

    /// The lines about some accounts, each family's under its header.
    fn of_accounts(whole: &str, accounts: &[&str]) -> String {
        let (mut lines, mut header) = (String::new(), String::new());
        for line in whole.split_inclusive('\n') {
            if line.starts_with("# ") {
                // the one before has no samples
                if line.starts_with("# HELP") {
                    header.clear();
                }
                header.push_str(line);
            } else if accounts
                .iter()
                .any(|name| line.contains(&format!("account=\"{name}\"")))
            {
                lines.push_str(&std::mem::take(&mut header));
                lines.push_str(line);
            }
        }
        lines
    }

    /// How many pieces are not shared with what was before, as they are and compressed.
    fn new_pieces(now: &Rendered, before: &Rendered) -> (usize, usize) {
        let new = |now: &[Bytes], before: &[Bytes]| {
            let before: Vec<_> = before.iter().map(|piece| piece.as_ptr()).collect();
            let now = now.iter().filter(|piece| !before.contains(&piece.as_ptr()));
            now.count()
        };
        (
            new(&now.identity, &before.identity),
            new(&now.gzip, &before.gzip),
        )
    }

    #[test]
    fn a_poll_costs_what_changed() {
        let mut renderer = Renderer::new().unwrap();
        let mut snapshot = Snapshot::default();
        configure(&mut snapshot, &NAMES, "");
        let mut campaigns: Vec<_> = (0..5_000).map(|id| campaign(id, 90)).collect();
        for name in NAMES {
            poll(&mut snapshot, name, campaigns.clone());
        }
        let [first, other_format] = rendered(&mut renderer, &snapshot);
        let headers = |rendered: &Rendered| {
            let pieces = rendered.identity.iter();
            pieces.filter(|piece| piece.starts_with(b"# ")).count()
        };
        assert_eq!(new_pieces(&other_format, &first).0, headers(&first));
        assert!(
            first.identity.len() > 5 * headers(&first),
            "several chunks each"
        );

        // what is there in any case: the number of series
        let [again, _] = rendered(&mut renderer, &snapshot);
        assert_eq!(new_pieces(&again, &first), (1, 1));

        // the same data once more: whatever the poll tells of itself stays, too
        poll(&mut snapshot, "b", campaigns.clone());
        let [same, _] = rendered(&mut renderer, &snapshot);
        assert_eq!(new_pieces(&same, &again), (1, 1));

        // of one campaign: its deliveries and their ratio, and that of the account
        campaigns[2_500] = campaign(2_500, 91);
        poll(&mut snapshot, "b", campaigns.clone());
        let [changed, _] = rendered(&mut renderer, &snapshot);
        let (pieces, compressed) = new_pieces(&changed, &same);
        assert_eq!(pieces, 1 + 3);
        assert!(compressed <= pieces, "{compressed}");

        // of one that is new: its info, recipients, attempted, deliveries and ratio, those of the
        // account, and how many there are
        campaigns.insert(0, campaign(5_000, 90));
        poll(&mut snapshot, "b", campaigns);
        let [longer, _] = rendered(&mut renderer, &snapshot);
        let (pieces, compressed) = new_pieces(&longer, &changed);
        assert_eq!(pieces, 1 + 5 + 2);
        assert!(compressed <= pieces, "{compressed}");
    }

    #[test]
    fn many_small_accounts_are_compressed_together() {
        let names: Vec<_> = (0..200).map(|number| format!("account-{number}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let mut snapshot = Snapshot::default();
        configure(&mut snapshot, &names, "");
        for name in &names {
            poll(&mut snapshot, name, vec![campaign(1, 90)]);
        }
        let [rendered, _] = rendered(&mut Renderer::new().unwrap(), &snapshot);
        let of_one = rendered.identity.len() as u64 / RUN;
        let runs = rendered.gzip.len() as u64;
        assert!((of_one / 2..of_one * 2).contains(&runs), "{runs} runs");
        assert!(rendered.gzip_length < rendered.identity_length / 8);
    }

    #[test]
    fn labels_of_another_configuration_are_in_all_samples() {
        let mut renderer = Renderer::new().unwrap();
        let mut snapshot = Snapshot::default();
        configure(&mut snapshot, &NAMES, "");
        let mut one = Campaign::clone(&campaign(1, 90));
        one.info = Arc::new(
            [("sender".into(), "Shoes".to_owned())]
                .into_iter()
                .collect(),
        );
        poll(&mut snapshot, "a", vec![Arc::new(one)]);
        let [without, _] = rendered(&mut renderer, &snapshot);
        assert!(!text(without.identity(String::new())).contains("Shoes"));
        configure(&mut snapshot, &NAMES, "sender");
        let [with, _] = rendered(&mut renderer, &snapshot);
        assert!(text(with.identity(String::new())).contains("sender=\"Shoes\""));
    }

    #[test]
    fn ids_that_end_no_chunk_make_none_without_an_end() {
        let campaigns: Vec<_> = std::iter::repeat_n(campaign(1, 90), MAX_CHUNK + 1).collect();
        let sizes: Vec<_> = chunked(&campaigns).map(<[_]>::len).collect();
        assert!(sizes == [MAX_CHUNK, 1] || sizes.iter().all(|size| *size == 1));
    }

    /// What happens to an account.
    #[derive(Clone, Debug)]
    enum Step {
        Poll {
            account: usize,
            remove: usize,
            add: usize,
            change: usize,
        },
        Configure {
            accounts: usize,
            sender: bool,
        },
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (0..3_usize, 0..400_usize, 0..400_usize, 1..50_usize).prop_map(
                |(account, remove, add, change)| Step::Poll { account, remove, add, change }
            ),
            1 => (1..=3_usize, any::<bool>())
                .prop_map(|(accounts, sender)| Step::Configure { accounts, sender }),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn whatever_changes_all_variants_are_as_if_rendered_at_once(
            steps in prop::collection::vec(step(), 1..8)
        ) {
            let mut renderer = Renderer::new().unwrap();
            let mut snapshot = Snapshot::default();
            configure(&mut snapshot, &NAMES, "");
            let mut known = [const { Vec::new() }; 3];
            let mut ids = 0..;
            for step in steps {
                match step {
                    Step::Poll { account, remove, add, change } => {
                        let campaigns: &mut Vec<Arc<Campaign>> = &mut known[account];
                        campaigns.truncate(campaigns.len().saturating_sub(remove));
                        let new = ids.by_ref().take(add).map(|id| campaign(id, 50));
                        *campaigns = new.chain(campaigns.drain(..)).collect();
                        for campaign in campaigns.iter_mut().step_by(change) {
                            Arc::make_mut(campaign)
                                .counts
                                .set(Count::Deliveries, Some(change as u64));
                        }
                        poll(&mut snapshot, NAMES[account], campaigns.clone());
                    }
                    Step::Configure { accounts, sender } => {
                        let labels = if sender { "sender" } else { "" };
                        configure(&mut snapshot, &NAMES[..accounts], labels);
                    }
                }
                rendered(&mut renderer, &snapshot);
            }
        }
    }
}
