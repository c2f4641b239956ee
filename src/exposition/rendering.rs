//! Rendering of campaign and account metrics. Text is rendered and compressed once and kept, so that
//! the cost of a change depends on its size.
//!
//! An exposition groups samples by family, so those of an account are spread over as many places as
//! there are families. Each of these places is a part. All expositions share a part until it
//! changes, since both formats write the samples of gauges alike. Each part is compressed on its own
//! for expositions of some accounts, which are put together on request. For the exposition of all
//! accounts, small adjacent parts are compressed together.

mod accounts;
mod parts;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use self::accounts::AccountParts;
use self::parts::{Part, PartMaker};
use crate::exposition::families::{ACCOUNT_FAMILIES, CAMPAIGN_FAMILIES, write_series};
use crate::exposition::format::{Format, Writer};
use crate::exposition::gzip::{self, Checksum, Stream};
use crate::exposition::pieces::Pieces;
use crate::state::snapshot::Snapshot;

/// A part of an exposition that responses share. Each appends what belongs to it alone.
#[derive(Debug)]
pub struct SharedBody {
    identity: Arc<[Bytes]>,
    identity_length: usize,
    gzip: Arc<[Bytes]>,
    gzip_length: usize,
    checksum: Checksum,
}

impl SharedBody {
    /// Returns bodies one after the other, and what follows them, without compression.
    pub fn identity(bodies: &[&Self], rest: String) -> Pieces {
        let rest = Bytes::from(rest);
        let length = bodies.iter().map(|body| body.identity_length).sum::<usize>() + rest.len();
        let lists = bodies.iter().map(|body| Arc::clone(&body.identity));
        Pieces::new(lists.chain([Arc::from([rest])]), length)
    }

    /// Returns the same as one gzip stream.
    pub fn gzip(bodies: &[&Self], rest: &str) -> Pieces {
        let header = Bytes::from_static(&gzip::HEADER);
        let mut checksum = Checksum::default();
        for body in bodies {
            checksum.append(&body.checksum);
        }
        let end = checksum.end(rest.as_bytes());
        let length = bodies.iter().map(|body| body.gzip_length).sum::<usize>();
        let length = header.len() + length + end.len();
        let lists = bodies.iter().map(|body| Arc::clone(&body.gzip));
        let lists = [Arc::from([header])].into_iter().chain(lists);
        Pieces::new(lists.chain([Arc::from([end])]), length)
    }

    /// Returns a body of texts, and of the same compressed in larger or smaller pieces.
    pub(super) fn new(texts: impl Iterator<Item = Bytes>, compressed: Stream) -> Self {
        let Stream { pieces: gzip, checksum } = compressed;
        let identity: Arc<[_]> = texts.collect();
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

fn texts(parts: &[Arc<Part>]) -> impl Iterator<Item = Bytes> {
    parts.iter().map(|part| part.text.clone())
}

/// All accounts in one format, with the parts to serve some of them.
#[derive(Debug)]
pub struct Exposition {
    /// All accounts.
    pub whole: SharedBody,
    headers: Arc<[Arc<Part>]>,
    accounts: Arc<[Arc<AccountParts>]>,
    series: Arc<Part>,
}

impl Exposition {
    /// Returns the names of the accounts, in order, each with its provider.
    pub fn accounts(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        let accounts = self.accounts.iter();
        accounts.map(|account| (account.name.as_str(), &*account.provider))
    }

    /// Returns the exposition without accounts: only the number of series.
    pub fn own(&self) -> SharedBody {
        SharedBody::new(
            [self.series.text.clone()].into_iter(),
            Stream::apart([&self.series.deflated].into_iter()),
        )
    }

    /// Returns the exposition of the accounts that `wanted` selects by name and provider. Renders
    /// and compresses nothing.
    pub fn some(&self, wanted: impl Fn(&str, &str) -> bool) -> SharedBody {
        let accounts = self.accounts.iter();
        let accounts: Vec<_> =
            accounts.filter(|account| wanted(&account.name, &account.provider)).collect();
        let families = families(&self.headers, accounts.iter().copied());
        let parts: Vec<_> = families.cloned().collect();
        SharedBody::new(texts(&parts), Stream::apart(parts.iter().map(|part| &part.deflated)))
    }
}

/// Renders snapshots. Reuses the parts of the previous snapshot.
#[derive(Debug)]
pub struct Renderer {
    text_headers: Arc<[Arc<Part>]>,
    open_metrics_headers: Arc<[Arc<Part>]>,
    accounts: BTreeMap<String, Arc<AccountParts>>,
    maker: PartMaker,
}

impl Renderer {
    /// Returns a renderer without a previous snapshot.
    pub fn new() -> io::Result<Self> {
        let mut maker = PartMaker::new();
        Ok(Self {
            text_headers: headers(Format::Text, &mut maker)?,
            open_metrics_headers: headers(Format::OpenMetrics, &mut maker)?,
            accounts: BTreeMap::new(),
            maker,
        })
    }

    /// Renders the campaigns and accounts of a snapshot in text and in `OpenMetrics`.
    pub fn render(&mut self, snapshot: &Snapshot) -> io::Result<(Exposition, Exposition)> {
        let mut previous = std::mem::take(&mut self.accounts);
        for state in snapshot.accounts() {
            let name = &state.account.name;
            let parts = match previous.remove(name) {
                Some(parts) if parts.revision == state.revision => parts,
                parts => {
                    let parts = AccountParts::new(state, parts.as_deref(), &mut self.maker)?;
                    Arc::new(parts)
                }
            };
            self.accounts.insert(name.clone(), parts);
        }
        drop(previous);
        let accounts: Arc<[_]> = self.accounts.values().cloned().collect();
        let expositions = (
            self.exposition(Format::Text, Arc::clone(&accounts))?,
            self.exposition(Format::OpenMetrics, accounts)?,
        );
        self.maker.forget_unused_runs();
        Ok(expositions)
    }

    /// Joins the parts, family by family.
    fn exposition(
        &mut self,
        format: Format,
        accounts: Arc<[Arc<AccountParts>]>,
    ) -> io::Result<Exposition> {
        let mut writer = Writer::new(format);
        write_series(&mut writer, accounts.iter().map(|it| it.series).sum());
        let series = self.maker.part(&writer.into_string(), false)?;
        let headers = match format {
            Format::Text => &self.text_headers,
            Format::OpenMetrics => &self.open_metrics_headers,
        };
        let families = families(headers, accounts.iter());
        let parts: Vec<_> = families.chain([&series]).cloned().collect();
        Ok(Exposition {
            whole: SharedBody::new(texts(&parts), Stream::joined(&self.maker.runs(&parts)?)),
            headers: Arc::clone(headers),
            accounts,
            series,
        })
    }
}

/// Returns the parts of some accounts in the order in which they are sent.
fn families<'a>(
    headers: &'a [Arc<Part>],
    accounts: impl Iterator<Item = &'a Arc<AccountParts>> + Clone,
) -> impl Iterator<Item = &'a Arc<Part>> {
    headers.iter().enumerate().flat_map(move |(index, header)| {
        let accounts = accounts.clone();
        let mut samples = accounts.flat_map(move |account| account.family(index)).peekable();
        // a family without samples is legal, but only noise
        let header = samples.peek().is_some().then_some(header);
        header.into_iter().chain(samples)
    })
}

/// Returns the header of each family: first those of campaigns, then those of accounts.
fn headers(format: Format, maker: &mut PartMaker) -> io::Result<Arc<[Arc<Part>]>> {
    let mut header = |begin: &dyn Fn(&mut Writer)| {
        let mut writer = Writer::new(format);
        begin(&mut writer);
        maker.part(&writer.into_string(), false)
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

#[cfg(test)]
mod tests {
    use std::io::{IoSlice, Read};
    use std::iter;

    use bytes::Buf;
    use chrono::{DateTime, TimeDelta, Utc};
    use flate2::bufread::GzDecoder;
    use proptest::prelude::*;

    use super::accounts::RUN;
    use super::*;
    use crate::campaign::Campaign;
    use crate::campaign::counts::{Count, Counts};
    use crate::exposition::families;
    use crate::state::snapshot::Change;
    use crate::state::snapshot::tests::{configured, update};

    const NAMES: [&str; 3] = ["a", "b", "c"];

    /// Configures accounts with these names.
    fn configure(snapshot: &mut Snapshot, names: &[&str], info_labels: &str) {
        configure_with(snapshot, names, &format!("info_labels: [{info_labels}]"));
    }

    fn configure_with(snapshot: &mut Snapshot, names: &[&str], global: &str) {
        let accounts =
            names.iter().map(|name| format!("- {{name: {name}, provider: alpha, token_env: T}}\n"));
        let accounts: String = accounts.collect();
        let yaml = format!("global: {{{global}}}\naccounts:\n{accounts}");
        snapshot.apply(configured(&yaml, iter::repeat(0)));
    }

    fn poll(snapshot: &mut Snapshot, account: &str, campaigns: Vec<Arc<Campaign>>) {
        let update = update(account, Some(campaigns));
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
        GzDecoder::new(pieces.reader()).read_to_string(&mut text).unwrap();
        text
    }

    /// Renders a snapshot and compares all four variants with a single-pass rendering.
    fn rendered(renderer: &mut Renderer, snapshot: &Snapshot) -> [SharedBody; 2] {
        let (text_format, open_metrics) = renderer.render(snapshot).unwrap();
        for (exposition, format) in
            [(&text_format, Format::Text), (&open_metrics, Format::OpenMetrics)]
        {
            let whole = families::render(snapshot, format);
            let expected = whole.clone() + "own 1\n";
            let all = &exposition.whole;
            assert_eq!(text(SharedBody::identity(&[all], "own 1\n".to_owned())), expected);
            assert_eq!(decompressed(SharedBody::gzip(&[all], "own 1\n")), expected);
            for wanted in [&["a"][..], &["c", "a"], &["b", "c"], &[]] {
                let some = exposition.some(|name, _| wanted.contains(&name));
                let expected = of_accounts(&whole, wanted) + "own 1\n";
                let twice = expected.replace("own 1\n", "").repeat(2) + "own 1\n";
                let (once, two) = (&[&some][..], &[&some, &some][..]);
                for (bodies, expected) in [(once, expected), (two, twice)] {
                    let identity = SharedBody::identity(bodies, "own 1\n".to_owned());
                    assert_eq!(text(identity), expected);
                    assert_eq!(decompressed(SharedBody::gzip(bodies, "own 1\n")), expected);
                }
            }
        }
        [text_format.whole, open_metrics.whole]
    }

    /// Returns the lines about some accounts, each family below its header.
    fn of_accounts(whole: &str, accounts: &[&str]) -> String {
        let (mut lines, mut header) = (String::new(), String::new());
        for line in whole.split_inclusive('\n') {
            if line.starts_with("# ") {
                // the previous family has no samples
                if line.starts_with("# HELP") {
                    header.clear();
                }
                header.push_str(line);
            } else if accounts.iter().any(|name| line.contains(&format!("account=\"{name}\""))) {
                lines.push_str(&std::mem::take(&mut header));
                lines.push_str(line);
            }
        }
        lines
    }

    impl SharedBody {
        /// Counts the pieces that are not shared with a previous body, uncompressed and compressed.
        pub(in crate::exposition) fn new_pieces(&self, before: &Self) -> (usize, usize) {
            let new = |now: &[Bytes], before: &[Bytes]| {
                let before: Vec<_> = before.iter().map(|piece| piece.as_ptr()).collect();
                let now = now.iter().filter(|piece| !before.contains(&piece.as_ptr()));
                now.count()
            };
            (new(&self.identity, &before.identity), new(&self.gzip, &before.gzip))
        }
    }

    #[test]
    fn a_poll_renders_only_what_changed() {
        let mut renderer = Renderer::new().unwrap();
        let mut snapshot = Snapshot::default();
        configure(&mut snapshot, &NAMES, "");
        let mut campaigns: Vec<_> = (0..5_000).map(|id| campaign(id, 90)).collect();
        for name in NAMES {
            poll(&mut snapshot, name, campaigns.clone());
        }
        let [first, other_format] = rendered(&mut renderer, &snapshot);
        let headers = |rendered: &SharedBody| {
            let pieces = rendered.identity.iter();
            pieces.filter(|piece| piece.starts_with(b"# ")).count()
        };
        assert_eq!(other_format.new_pieces(&first).0, headers(&first));
        assert!(first.identity.len() > 5 * headers(&first), "several chunks each");

        // always new: the number of series
        let [again, _] = rendered(&mut renderer, &snapshot);
        assert_eq!(again.new_pieces(&first), (1, 1));

        // a poll that finds the same data
        poll(&mut snapshot, "b", campaigns.clone());
        let [same, _] = rendered(&mut renderer, &snapshot);
        assert_eq!(same.new_pieces(&again), (1, 1));

        // one campaign: its deliveries and delivery ratio, and the ratio of the account
        campaigns[2_500] = campaign(2_500, 91);
        poll(&mut snapshot, "b", campaigns.clone());
        let [changed, _] = rendered(&mut renderer, &snapshot);
        let (pieces, compressed) = changed.new_pieces(&same);
        assert_eq!(pieces, 1 + 3);
        assert!(compressed <= pieces, "{compressed}");

        // one new campaign: its info, recipients, attempted, deliveries and ratio; the account's
        // ratio and number of campaigns
        campaigns.insert(0, campaign(5_000, 90));
        poll(&mut snapshot, "b", campaigns);
        let [longer, _] = rendered(&mut renderer, &snapshot);
        let (pieces, compressed) = longer.new_pieces(&changed);
        assert_eq!(pieces, 1 + 5 + 2);
        assert!(compressed <= pieces, "{compressed}");
    }

    /// Where the pieces of bodies begin in memory, for as long as the bodies exist.
    fn addresses(bodies: &[Pieces; 2]) -> [Vec<*const u8>; 2] {
        bodies.each_ref().map(|body| {
            let mut slices = [IoSlice::new(&[]); 100];
            let count = body.chunks_vectored(&mut slices);
            slices[..count].iter().map(|piece| piece.as_ptr()).collect()
        })
    }

    #[test]
    fn scrapes_share_what_was_rendered_and_compressed() {
        let mut snapshot = Snapshot::default();
        configure(&mut snapshot, &NAMES, "");
        poll(&mut snapshot, "a", vec![campaign(1, 90)]);
        let (text_format, _) = Renderer::new().unwrap().render(&snapshot).unwrap();
        let some = || text_format.some(|name, _| name == "a");
        let bodies = |body: &SharedBody| {
            [SharedBody::identity(&[body], String::new()), SharedBody::gzip(&[body], "")]
        };
        for body in [&some(), &text_format.whole] {
            let [one, other] = [bodies(body), bodies(body)];
            let [[text, mut gzip], [same_text, mut same_gzip]] =
                [addresses(&one), addresses(&other)];
            assert_eq!(text, same_text);
            assert!(gzip.len() > 2);
            // the end of the stream belongs to the scrape
            assert_ne!(gzip.pop(), same_gzip.pop());
            assert_eq!(gzip, same_gzip);
        }
        let [one, other] = [some(), some()].map(|body| bodies(&body));
        assert_eq!(addresses(&one)[0], addresses(&other)[0]);
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
    fn new_info_labels_reach_unchanged_campaigns() {
        let mut renderer = Renderer::new().unwrap();
        let mut snapshot = Snapshot::default();
        configure(&mut snapshot, &NAMES, "");
        let mut one = Campaign::clone(&campaign(1, 90));
        one.info = Arc::new([("sender".into(), "Shoes".to_owned())].into_iter().collect());
        poll(&mut snapshot, "a", vec![Arc::new(one)]);
        let [without, _] = rendered(&mut renderer, &snapshot);
        assert!(!text(SharedBody::identity(&[&without], String::new())).contains("Shoes"));
        configure(&mut snapshot, &NAMES, "sender");
        let [with, _] = rendered(&mut renderer, &snapshot);
        assert!(text(SharedBody::identity(&[&with], String::new())).contains("sender=\"Shoes\""));
    }

    #[test]
    fn the_time_of_sending_is_that_of_the_reporting_time_zone() {
        let mut renderer = Renderer::new().unwrap();
        let mut snapshot = Snapshot::default();
        let mut sent = Campaign::clone(&campaign(1, 90));
        sent.last_sent = "2026-07-05T22:15:00Z".parse().ok();
        configure_with(&mut snapshot, &NAMES, "");
        poll(&mut snapshot, "a", vec![Arc::new(sent), campaign(2, 90)]);
        let [utc, _] = rendered(&mut renderer, &snapshot);
        let utc = text(SharedBody::identity(&[&utc], String::new()));
        assert!(utc.contains("sent_hour=\"22\",sent_weekday=\"Sunday\"} 1\n"), "{utc}");
        assert_eq!(utc.matches("sent_hour").count(), 1, "{utc}");
        let zone = "reporting_time_zone: Europe/Zurich, credit_price: 0.05 eur";
        configure_with(&mut snapshot, &NAMES, zone);
        let [local, _] = rendered(&mut renderer, &snapshot);
        let local = text(SharedBody::identity(&[&local], String::new()));
        assert!(local.contains("sent_hour=\"00\",sent_weekday=\"Monday\"} 1\n"), "{local}");
        let price = "campaign_account_credit_price{provider=\"alpha\",account=\"a\",currency=\"EUR\"} 0.05\n";
        assert!(local.contains(price), "{local}");
    }

    #[test]
    fn another_profile_changes_the_next_exposition() {
        let mut renderer = Renderer::new().unwrap();
        let mut snapshot = Snapshot::default();
        configure(&mut snapshot, &NAMES, "");
        poll(&mut snapshot, "a", vec![campaign(1, 90)]);
        let shown = |snapshot: &Snapshot, renderer: &mut Renderer| {
            let [whole, _] = rendered(renderer, snapshot);
            let text = text(SharedBody::identity(&[&whole], String::new()));
            let names = ["campaign_info", "campaign_recipients", "campaign_delivery_ratio"];
            let counted = text.lines().find(|line| line.starts_with("campaign_exporter_series "));
            (names.map(|name| text.contains(&format!("\n{name}{{"))), counted.unwrap().to_owned())
        };
        for (metrics, expected, series) in [
            ("profile: full", [true, true, true], 5),
            ("profile: standard", [true, true, false], 4),
            ("profile: essential", [true, false, false], 3),
            ("exclude: [campaign_recipients]", [true, false, true], 4),
            ("profile: essential, include: [campaign_delivery_ratio]", [true, false, true], 4),
        ] {
            configure_with(&mut snapshot, &NAMES, &format!("metrics: {{{metrics}}}"));
            let series = format!("campaign_exporter_series {series}");
            assert_eq!(shown(&snapshot, &mut renderer), (expected, series), "{metrics}");
        }
    }

    #[test]
    fn older_campaigns_are_exported_in_less_detail() {
        let mut renderer = Renderer::new().unwrap();
        let mut snapshot = Snapshot::default();
        configure_with(&mut snapshot, &NAMES, "detail: 7d");
        let sent: DateTime<Utc> = "2026-07-05T22:15:00Z".parse().unwrap();
        let campaigns: Vec<_> = (0..1_000)
            .map(|id| {
                let mut campaign = Campaign::clone(&campaign(id, 90));
                campaign.last_sent = Some(sent + TimeDelta::hours(i64::try_from(id).unwrap()));
                Arc::new(campaign)
            })
            .collect();
        let mut read = |after: TimeDelta| {
            let mut update = update("a", Some(campaigns.clone()));
            update.at = sent + after;
            snapshot.apply(Change::Polled(Box::new(update)));
            let [whole, _] = rendered(&mut renderer, &snapshot);
            whole.identity
        };
        let count = |pieces: &[Bytes], name: &str| {
            let text: String = pieces.iter().map(|piece| String::from_utf8_lossy(piece)).collect();
            text.matches(&format!("\n{name}{{")).count()
        };
        let all = read(TimeDelta::days(1));
        assert_eq!(count(&all, "campaign_recipients"), 1_000);
        let week = TimeDelta::days(7);
        let later = read(week + TimeDelta::hours(99));
        assert_eq!(count(&later, "campaign_recipients"), 900);
        assert_eq!(count(&later, "campaign_delivery_ratio"), 900);
        for name in ["campaign_info", "campaign_attempted", "campaign_deliveries"] {
            assert_eq!(count(&later, name), 1_000, "{name}");
        }
        // figures of the account cover all campaigns
        let ratio = |pieces: &[Bytes]| {
            let text: String = pieces.iter().map(|piece| String::from_utf8_lossy(piece)).collect();
            let mut lines = text.lines();
            lines
                .find(|line| line.starts_with("campaign_account_delivery_ratio{"))
                .map(str::to_owned)
        };
        assert_eq!(ratio(&later), ratio(&all));
        assert!(ratio(&all).is_some_and(|ratio| ratio.ends_with(" 0.9")));
        // the same again; then one campaign that became older
        let addresses =
            |pieces: &[Bytes]| pieces.iter().map(|piece| piece.as_ptr()).collect::<Vec<_>>();
        let new = |now: &[Bytes], before: &[Bytes]| {
            let before = addresses(before);
            addresses(now).iter().filter(|piece| !before.contains(piece)).count()
        };
        let same = read(week + TimeDelta::hours(99) + TimeDelta::minutes(5));
        // the time of the polls, and the number of series
        assert_eq!(new(&same, &later), 3);
        let one = read(week + TimeDelta::hours(100));
        assert_eq!(count(&one, "campaign_recipients"), 899);
        assert_eq!(new(&one, &same), 3 + 2);
    }

    /// What happens to an account.
    #[derive(Clone, Debug)]
    enum Step {
        Poll { account: usize, remove: usize, add: usize, change: usize },
        Configure { accounts: usize, sender: bool },
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
        fn incremental_rendering_equals_rendering_in_one_pass(
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
