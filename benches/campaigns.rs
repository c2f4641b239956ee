//! Benchmarks of each step from a provider's response to a scrape, at several sizes.
//!
//! `cargo bench` runs all of them, `cargo bench -- publish` some. `--instructions STEP COUNT` repeats a
//! single step, for `benches/instructions`.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use campaign_exporter::campaign::Campaign;
use campaign_exporter::campaign::history::History;
use campaign_exporter::campaign::pool::Campaigns;
use campaign_exporter::campaign::window::Window;
use campaign_exporter::config::{Account, Config};
use campaign_exporter::exposition::families;
use campaign_exporter::exposition::format::Format;
use campaign_exporter::exposition::rendering::Renderer;
use campaign_exporter::provider::definition::Definition;
use campaign_exporter::provider::{Kinds, native};
use campaign_exporter::state::snapshot::{Change, Data, Snapshot, Update};
use campaign_exporter::web::negotiation;
use chrono::{DateTime, Utc};
use criterion::{BenchmarkId, Criterion, Throughput};
use serde_json::{Value, json};

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
    let account = account("smsup")?;
    let pages = pages(SIZE, 0)?;
    let Versions { before, after } = Versions::new(&account, &pages, SIZE)?;
    let mut snapshot = Snapshot::of(std::slice::from_ref(&account));
    polled(&mut snapshot, &account, &before);
    let mut renderer = Renderer::new()?;
    renderer.render(&snapshot)?;
    for (_, version) in (0..count).zip([&after, &before].into_iter().cycle()) {
        match step {
            "decode" => drop(black_box(campaigns(&account, &pages)?)),
            "decode by definition" => drop(black_box(campaigns(&defined()?, &pages)?)),
            "publish all" => drop(black_box(Renderer::new()?.render(&snapshot)?)),
            "publish what changed" => {
                polled(&mut snapshot, &account, version);
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
    before: Vec<Arc<Campaign>>,
    after: Vec<Arc<Campaign>>,
}

impl Versions {
    fn new(account: &Account, pages: &[Vec<u8>], size: usize) -> Result<Self> {
        let before = campaigns(account, pages)?;
        let mut after = before.clone();
        let others = campaigns_of(account, size, 1)?;
        for (campaign, other) in after.iter_mut().zip(others).take(size / 100) {
            *campaign = other;
        }
        Ok(Self { before, after })
    }
}

/// The times that a read covers; no decoder looks at them.
const WINDOW: Window = Window { start: DateTime::UNIX_EPOCH, now: DateTime::UNIX_EPOCH };

/// Decodes a page of each provider, of the size that the exporter requests.
fn decode(criterion: &mut Criterion) -> Result<()> {
    let mut group = criterion.benchmark_group("decode");
    for (account, page) in [
        (account("constant_contact")?, constant_contact_page()?),
        (account("cinnox")?, cinnox_page()?),
        (account("smsup")?, smsup_page(0, 1_000, 0)),
    ] {
        let page = serde_json::to_vec(&page)?;
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
    let pages = pages(SIZE, 0)?;
    let mut group = criterion.benchmark_group("definition");
    group.throughput(Throughput::Elements(SIZE as u64));
    for (name, account) in [("native", account("smsup")?), ("defined", defined()?)] {
        group.bench_function(name, |bencher| {
            bencher.iter_with_large_drop(|| campaigns(&account, &pages));
        });
    }
    group.finish();
    Ok(())
}

/// Measures the steps of a poll, one by one and combined.
fn steps(criterion: &mut Criterion, size: usize) -> Result<()> {
    let account = account("smsup")?;
    let pages = pages(size, 0)?;
    let Versions { before, after } = Versions::new(&account, &pages, size)?;
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

    let (text, _) = renderer.render(&snapshot)?;
    let own = "campaign_exporter_polls_total{provider=\"smsup\"} 1\n".repeat(60);
    let mut group = criterion.benchmark_group("scrape");
    group.bench_function(id("identity"), |bencher| {
        bencher.iter(|| text.whole.identity(own.clone()));
    });
    group.bench_function(id("gzip"), |bencher| bencher.iter(|| text.whole.gzip(&own)));
    group.finish();
    Ok(())
}

/// Publishes one account of many, all of the same size.
fn one_of_many(criterion: &mut Criterion) -> Result<()> {
    let names = (0..ACCOUNTS).map(|number| format!("account-{number}"));
    let accounts = accounts("smsup", names)?;
    let polled_one = accounts.get(ACCOUNTS / 2).context("no account")?;
    let before = campaigns_of(polled_one, OF_EACH, 0)?;
    let after = campaigns_of(polled_one, OF_EACH, 1)?;
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

fn account(provider: &str) -> Result<Account> {
    let mut accounts = accounts(provider, ["one".to_owned()])?;
    accounts.pop().context("no account")
}

/// An account of the definition that reads the same as the provider in code.
fn defined() -> Result<Account> {
    let definition = Definition::parse(include_str!("../tests/definitions/smsup.yml"));
    let definition = definition.map_err(|problems| anyhow!("{problems:?}"))?;
    let kinds = native().with(&[Arc::new(definition.kind())]);
    let mut accounts = accounts_of(&kinds, "smsup", ["one".to_owned()])?;
    accounts.pop().context("no account")
}

fn accounts(provider: &str, names: impl IntoIterator<Item = String>) -> Result<Vec<Account>> {
    accounts_of(&native(), provider, names)
}

fn accounts_of(
    kinds: &Kinds,
    provider: &str,
    names: impl IntoIterator<Item = String>,
) -> Result<Vec<Account>> {
    let accounts = names.into_iter().map(|name| match provider {
        "constant_contact" => json!({
            "name": name, "provider": provider, "client_id": "c", "access_token_env": "T",
        }),
        "cinnox" => json!({
            "name": name, "provider": provider, "base_url": "https://localhost", "app_id": "1",
            "token_env": "T",
        }),
        _ => json!({ "name": name, "provider": provider, "token_env": "T" }),
    });
    let accounts: Vec<_> = accounts.collect();
    // JSON is YAML
    let yaml = json!({ "accounts": accounts }).to_string();
    Ok(Config::parse(&yaml, kinds, None).map_err(|problems| anyhow!("{problems:?}"))?.accounts)
}

fn polled(snapshot: &mut Snapshot, account: &Account, campaigns: &[Arc<Campaign>]) {
    let data = Data { campaigns: campaigns.to_vec(), ..Data::default() };
    let update = Update::new(account, Ok(data));
    snapshot.apply(Change::Polled(Box::new(update)));
}

/// Returns the campaigns of a full read of these pages.
fn campaigns(account: &Account, pages: &[Vec<u8>]) -> Result<Vec<Arc<Campaign>>> {
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
    let history = History::of_full_read(all, Window { start, now });
    Ok(history.newest(usize::MAX).0)
}

fn campaigns_of(account: &Account, size: usize, version: usize) -> Result<Vec<Arc<Campaign>>> {
    campaigns(account, &pages(size, version)?)
}

/// Returns campaigns of `SMSUp` in pages of a thousand. Versions differ in their counts.
fn pages(size: usize, version: usize) -> Result<Vec<Vec<u8>>> {
    let starts = (0..size).step_by(1_000);
    let pages = starts.map(|start| {
        let page = smsup_page(start, (size - start).min(1_000), version);
        Ok(serde_json::to_vec(&page)?)
    });
    pages.collect()
}

fn smsup_page(start: usize, length: usize, version: usize) -> Value {
    let begin = DateTime::UNIX_EPOCH + chrono::TimeDelta::days(20_000);
    let items = (start..start + length).map(|number| {
        let date = begin + chrono::TimeDelta::minutes(i64::try_from(number).unwrap_or(0));
        let date = date.format("%Y-%m-%d %H:%M:%S").to_string();
        let total = 100 + number * 7_919 % 90_000;
        let delivered = total * 9 / 10 + version;
        json!({
            "id": (18_000_000 + number).to_string(),
            "sender": format!("Shop {}", number % 3),
            "text": format!("Special offer {}: buy one pair and get the other one", number % 50),
            "creation_date": date,
            "date": date,
            "cost": total.to_string(),
            "lists": [{ "id": "5a0331bffc5886074551ce97" }],
            "status": "sent",
            "delivery_rate": "90",
            "delivered": delivered.to_string(),
            "error": (number % 7).to_string(),
            "expired": (number % 5).to_string(),
            "network_error": "0",
            "stop": (number % 11 + version).to_string(),
            "npai": (number % 3).to_string(),
            "total": total.to_string(),
        })
    });
    let items: Vec<_> = items.collect();
    json!({ "status": 1, "message": "OK", "campaigns": items })
}

/// Repeats the item of the provider's documentation, with different ids, to fill a page.
fn repeated(example: &str, list: &[&str], id: &str, length: usize) -> Result<Value> {
    let mut page: Value = serde_json::from_str(example)?;
    let mut items = &mut page;
    for name in list {
        items = items.get_mut(name).with_context(|| format!("no {name}"))?;
    }
    let items = items.as_array_mut().context("no list")?;
    let item = items.first().context("no item")?.clone();
    let all = (0..length).map(|number| {
        let mut item = item.clone();
        if let Some(id) = item.get_mut(id) {
            *id = json!(number.to_string());
        }
        item
    });
    *items = all.collect();
    Ok(page)
}

fn constant_contact_page() -> Result<Value> {
    let example = include_str!("../tests/fixtures/constant_contact_last_page.json");
    repeated(example, &["bulk_sms_campaign_summaries"], "campaign_id", 50)
}

fn cinnox_page() -> Result<Value> {
    let example = include_str!("../tests/fixtures/cinnox.json");
    repeated(example, &["result"], "id", 200)
}
