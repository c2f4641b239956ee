//! Benchmarks of each step from a provider's response to a scrape, at several sizes.
//!
//! `cargo bench` runs all of them, `cargo bench -- publish` some. `--instructions STEP COUNT` repeats a
//! single step, for `benches/instructions`.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use campaign_exporter::campaign;
use campaign_exporter::campaign::history::History;
use campaign_exporter::campaign::pool::Campaigns;
use campaign_exporter::campaign::window::Window;
use campaign_exporter::config::{Account, Config};
use campaign_exporter::exposition::families;
use campaign_exporter::exposition::format::Format;
use campaign_exporter::exposition::rendering::{Exposition, Renderer, SharedBody};
use campaign_exporter::provider::definition::Definition;
use campaign_exporter::provider::source::Read;
use campaign_exporter::provider::unchanged::Decoded;
use campaign_exporter::provider::{Kinds, native};
use campaign_exporter::state::snapshot::{Change, Data, Snapshot, Update};
use campaign_exporter::upstream::answer::Answer;
use campaign_exporter::web::negotiation;
use campaign_simulator::{Api, Campaign, Counts, State};
use chrono::{DateTime, TimeDelta, Utc};
use criterion::{BenchmarkId, Criterion, Throughput};
use serde_json::json;

const SIZES: [usize; 3] = [1_000, 10_000, 100_000];

/// Number of accounts, and of campaigns in each.
const ACCOUNTS: usize = 100;
const OF_EACH: usize = 100;

fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let [flag, step, count] = arguments.as_slice()
        && flag == "--instructions"
    {
        return repeat(step, count.parse()?);
    }
    let mut criterion = Criterion::default()
        .sample_size(10)
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    decode(&mut criterion)?;
    define(&mut criterion)?;
    for size in SIZES {
        steps(&mut criterion, size)?;
    }
    one_of_many(&mut criterion)?;
    negotiate(&mut criterion);
    criterion.final_summary();
    Ok(())
}

/// Repeats a step of a poll of 10,000 campaigns.
fn repeat(step: &str, count: usize) -> Result<()> {
    const SIZE: usize = 10_000;
    let api = api()?;
    let account = account(api)?;
    let pages = pages(api, SIZE, 0)?;
    let Versions { before, after } = Versions::new(&account, api, &pages, SIZE)?;
    let mut polls = Polls::new(&account, api, SIZE)?;
    let mut snapshot = Snapshot::of(std::slice::from_ref(&account));
    polled(&mut snapshot, &account, &before);
    let mut renderer = Renderer::new()?;
    renderer.render(&snapshot)?;
    for (_, version) in (0..count).zip([&after, &before].into_iter().cycle()) {
        match step {
            "decode" => drop(black_box(campaigns(&account, &pages)?)),
            "decode by definition" => drop(black_box(campaigns(&defined(api)?, &pages)?)),
            "publish all" => drop(black_box(Renderer::new()?.render(&snapshot)?)),
            "from bytes to published" => {
                let campaigns = campaigns(&account, &pages)?;
                polled(&mut snapshot, &account, &campaigns);
                black_box((campaigns, Renderer::new()?.render(&snapshot)?));
            }
            "publish what changed" => {
                polled(&mut snapshot, &account, version);
                black_box(renderer.render(&snapshot)?);
            }
            "from bytes to published, 1 % changed" => {
                let campaigns = polls.poll()?;
                polled(&mut snapshot, &account, &campaigns);
                black_box(renderer.render(&snapshot)?);
            }
            _ => bail!("unknown step {step}"),
        }
    }
    Ok(())
}

/// An account's campaigns, before and after the counts of the newest 1 % have changed, as those of
/// campaigns in progress do.
struct Versions {
    before: Vec<Arc<campaign::Campaign>>,
    after: Vec<Arc<campaign::Campaign>>,
}

impl Versions {
    fn new(account: &Account, api: &dyn Api, pages: &[Vec<u8>], size: usize) -> Result<Self> {
        let before = campaigns(account, pages)?;
        let mut after = before.clone();
        let others = campaigns(account, &self::pages(api, size, 1)?)?;
        for (campaign, other) in after.iter_mut().zip(others).take(size / 100) {
            *campaign = other;
        }
        Ok(Self { before, after })
    }
}

/// Polls of an account whose newest 1 % of campaigns change each time.
struct Polls<'a> {
    account: &'a Account,
    answers: [Vec<Answer>; 2],
    known: Arc<Campaigns>,
    decoded: Decoded,
}

impl<'a> Polls<'a> {
    fn new(account: &'a Account, api: &dyn Api, size: usize) -> Result<Self> {
        let newest = size - size / 100;
        let [before, after] = [0, 1].map(|version| {
            let pages = pages_of(api, size, |number| if number < newest { 0 } else { version });
            pages.map(|pages| pages.iter().map(|page| Answer::of(200, page)).collect())
        });
        let mut polls = Self {
            account,
            answers: [before?, after?],
            known: Arc::default(),
            decoded: Decoded::default(),
        };
        polls.poll()?;
        Ok(polls)
    }

    fn poll(&mut self) -> Result<Vec<Arc<campaign::Campaign>>> {
        let provider = &self.account.provider;
        let [answers, _] = &self.answers;
        let read = Read { window: WINDOW, decoded: Some(&self.decoded) };
        let mut reading = provider.read_again(read, answers, &self.known)?;
        ensure!(reading.problems.is_empty(), "{}", reading.problems);
        let campaigns = reading.take_campaigns();
        self.known = Arc::new(campaigns.clone());
        let history = History::of_full_read(campaigns, WINDOW);
        self.decoded.add(reading.take_decoded());
        self.answers.reverse();
        Ok(history.newest(usize::MAX).0)
    }
}

/// The times that a read covers; no decoder looks at them.
const WINDOW: Window = Window::new(DateTime::UNIX_EPOCH, DateTime::UNIX_EPOCH);

/// Decodes a page of each provider, of the size that the exporter requests.
fn decode(criterion: &mut Criterion) -> Result<()> {
    let mut group = criterion.benchmark_group("decode");
    let kinds = native();
    for api in kinds.iter().filter_map(|kind| kind.simulated) {
        let account = account(api)?;
        let page = page(api, 0, api.listing().page_size, |_| 0)?;
        account.provider.read_answer(WINDOW, 200, &page)?;
        group.throughput(Throughput::Bytes(page.len() as u64));
        group.bench_function(&**account.provider.name(), |bencher| {
            bencher.iter(|| account.provider.read_answer(WINDOW, 200, black_box(&page)));
        });
    }
    group.finish();
    Ok(())
}

/// Decodes the same pages by code and by definition.
fn define(criterion: &mut Criterion) -> Result<()> {
    const SIZE: usize = 10_000;
    let api = api()?;
    let pages = pages(api, SIZE, 0)?;
    let mut group = criterion.benchmark_group("definition");
    group.throughput(Throughput::Elements(SIZE as u64));
    for (name, account) in [("native", account(api)?), ("defined", defined(api)?)] {
        group.bench_function(name, |bencher| {
            bencher.iter_with_large_drop(|| campaigns(&account, &pages));
        });
    }
    group.finish();
    Ok(())
}

/// Measures the steps of a poll, one by one and combined.
fn steps(criterion: &mut Criterion, size: usize) -> Result<()> {
    let api = api()?;
    let account = account(api)?;
    let pages = pages(api, size, 0)?;
    let Versions { before, after } = Versions::new(&account, api, &pages, size)?;
    let mut snapshot = Snapshot::of(std::slice::from_ref(&account));
    polled(&mut snapshot, &account, &before);
    let mut renderer = Renderer::new()?;
    renderer.render(&snapshot)?;

    let mut group = criterion.benchmark_group("poll");
    group.throughput(Throughput::Elements(size as u64));
    let id = |step: &str| BenchmarkId::new(step, size);
    group.bench_function(id("decode"), |bencher| {
        bencher.iter_with_large_drop(|| campaigns(&account, &pages));
    });
    for format in Format::ALL {
        group.bench_function(id(&format!("render {format:?}")), |bencher| {
            bencher.iter_with_large_drop(|| families::render(&snapshot, format));
        });
    }
    group.bench_function(id("publish all"), |bencher| {
        bencher.iter_with_large_drop(|| Renderer::new()?.render(&snapshot));
    });
    let mut versions = [&after, &before].into_iter().cycle();
    group.bench_function(id("publish what changed"), |bencher| {
        bencher.iter(|| {
            polled(&mut snapshot, &account, versions.next().unwrap_or(&before));
            renderer.render(&snapshot)
        });
    });
    let mut polls = Polls::new(&account, api, size)?;
    group.bench_function(id("from bytes to published, 1 % changed"), |bencher| {
        bencher.iter(|| {
            polled(&mut snapshot, &account, &polls.poll()?);
            anyhow::Ok(renderer.render(&snapshot)?)
        });
    });
    group.bench_function(id("publish the same"), |bencher| {
        bencher.iter(|| {
            polled(&mut snapshot, &account, &before);
            renderer.render(&snapshot)
        });
    });
    group.bench_function(id("from bytes to published"), |bencher| {
        bencher.iter_with_large_drop(|| {
            let campaigns = campaigns(&account, &pages)?;
            polled(&mut snapshot, &account, &campaigns);
            anyhow::Ok((campaigns, Renderer::new()?.render(&snapshot)?))
        });
    });
    group.finish();
    scrapes(criterion, size, &renderer.render(&snapshot)?.0);
    Ok(())
}

/// Assembles scrapes of an exposition.
fn scrapes(criterion: &mut Criterion, size: usize, text: &Exposition) {
    let id = |step: &str| BenchmarkId::new(step, size);
    let own = "campaign_exporter_polls_total{provider=\"alpha\"} 1\n".repeat(60);
    let mut group = criterion.benchmark_group("scrape");
    group.bench_function(id("identity"), |bencher| {
        bencher.iter(|| SharedBody::identity(&[&text.whole], own.clone()));
    });
    group.bench_function(id("gzip"), |bencher| {
        bencher.iter(|| SharedBody::gzip(&[&text.whole], &own));
    });
    group.finish();
}

/// Publishes one account of many, all of the same size.
fn one_of_many(criterion: &mut Criterion) -> Result<()> {
    let names = (0..ACCOUNTS).map(|number| format!("account-{number}"));
    let api = api()?;
    let accounts = accounts(&native(), api, names)?;
    let polled_one = accounts.get(ACCOUNTS / 2).context("no account")?;
    let before = campaigns(polled_one, &pages(api, OF_EACH, 0)?)?;
    let after = campaigns(polled_one, &pages(api, OF_EACH, 1)?)?;
    let mut snapshot = Snapshot::of(&accounts);
    for account in &accounts {
        polled(&mut snapshot, account, &before);
    }
    let mut renderer = Renderer::new()?;
    renderer.render(&snapshot)?;
    let mut group = criterion.benchmark_group("one of 100 accounts");
    let mut versions = [&after, &before].into_iter().cycle();
    group.bench_function("publish one", |bencher| {
        bencher.iter(|| {
            polled(&mut snapshot, polled_one, versions.next().unwrap_or(&before));
            renderer.render(&snapshot)
        });
    });
    group.bench_function("publish all", |bencher| {
        bencher.iter_with_large_drop(|| Renderer::new()?.render(&snapshot));
    });
    group.bench_function("stitch", |bencher| {
        bencher.iter(|| renderer.render(&snapshot));
    });
    group.finish();
    Ok(())
}

/// Negotiates with the headers of Prometheus 2 and 3.
fn negotiate(criterion: &mut Criterion) {
    let accept = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
        application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;\
        escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
    criterion.bench_function("negotiate", |bencher| {
        bencher.iter(|| {
            let format = negotiation::format(black_box(accept));
            (format, negotiation::accepts_gzip(black_box("gzip")))
        });
    });
}

/// Returns the simulated API with the largest pages.
fn api() -> Result<&'static dyn Api> {
    let kinds = native();
    let apis = kinds.iter().filter_map(|kind| kind.simulated);
    apis.max_by_key(|api| api.listing().page_size).context("no provider")
}

fn account(api: &dyn Api) -> Result<Account> {
    accounts(&native(), api, ["one".to_owned()])?.pop().context("no account")
}

/// An account of the definition that reads the same as a provider in code.
fn defined(api: &dyn Api) -> Result<Account> {
    let file = format!("{}/tests/definitions/{}.yml", env!("CARGO_MANIFEST_DIR"), api.provider());
    let definition = Definition::parse(&std::fs::read_to_string(file)?);
    let definition = definition.map_err(|problems| anyhow!("{problems:?}"))?;
    let kinds = native().with(&[Arc::new(definition.kind())]);
    accounts(&kinds, api, ["one".to_owned()])?.pop().context("no account")
}

fn accounts(
    kinds: &Kinds,
    api: &dyn Api,
    names: impl IntoIterator<Item = String>,
) -> Result<Vec<Account>> {
    let accounts = names.into_iter().map(|name| {
        let mut keys = api.account("https://localhost", Path::new("token"));
        keys.as_object_mut().context("no keys")?.insert("name".to_owned(), name.into());
        Ok(keys)
    });
    let accounts: Vec<_> = accounts.collect::<Result<_>>()?;
    // JSON is YAML
    let yaml = json!({ "accounts": accounts }).to_string();
    Ok(Config::parse(&yaml, kinds, None).map_err(|problems| anyhow!("{problems:?}"))?.accounts)
}

fn polled(snapshot: &mut Snapshot, account: &Account, campaigns: &[Arc<campaign::Campaign>]) {
    let data = Data { campaigns: campaigns.to_vec(), ..Data::default() };
    let update = Update::new(account, Ok(data));
    snapshot.apply(Change::Polled(Box::new(update)));
}

/// Returns the campaigns of a full read of these pages.
fn campaigns(account: &Account, pages: &[Vec<u8>]) -> Result<Vec<Arc<campaign::Campaign>>> {
    let mut all = Campaigns::default();
    for page in pages {
        let mut reading = account.provider.read_answer(WINDOW, 200, page)?;
        ensure!(reading.problems.is_empty(), "{}", reading.problems);
        for campaign in reading.take_campaigns().into_vec() {
            all.insert(campaign);
        }
    }
    let now = Utc::now();
    let start = DateTime::UNIX_EPOCH;
    let history = History::of_full_read(all, Window::new(start, now));
    Ok(history.newest(usize::MAX).0)
}

/// Returns campaigns in pages of the provider's size. Versions differ in their counts.
fn pages(api: &dyn Api, size: usize, version: u64) -> Result<Vec<Vec<u8>>> {
    pages_of(api, size, |_| version)
}

/// Returns campaigns in pages, each campaign in its version.
fn pages_of(api: &dyn Api, size: usize, version: impl Fn(usize) -> u64) -> Result<Vec<Vec<u8>>> {
    let page_size = api.listing().page_size;
    let starts = (0..size).step_by(page_size);
    starts.map(|start| page(api, start, page_size.min(size - start), &version)).collect()
}

fn page(
    api: &dyn Api,
    start: usize,
    length: usize,
    version: impl Fn(usize) -> u64,
) -> Result<Vec<u8>> {
    let (state, now) = (State::new("", Vec::new()), Utc::now());
    let items = (start..start + length).map(|number| {
        let version = version(number);
        let of = |most: usize| (number % most) as u64;
        let recipients = 100 + (number * 7_919 % 90_000) as u64;
        let counts = Counts {
            recipients,
            sends: recipients,
            deliveries: recipients * 9 / 10 + version,
            opt_outs: of(11) + version,
            error: of(7),
            expired: of(5),
            unassigned: of(3),
            ..Counts::default()
        };
        let name = format!("Special offer {}: buy one pair and get the other one", of(50));
        let sent_at = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        let sent_at = sent_at + TimeDelta::minutes(i64::try_from(number).unwrap_or(0));
        let id = (18_000_000 + number).to_string();
        api.item(&state, now, &Campaign::sms(id, name, sent_at, counts))
    });
    Ok(serde_json::to_vec(&api.listing().page(items.collect()))?)
}
