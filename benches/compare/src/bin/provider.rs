//! A provider with many campaigns, in a separate process, so that its cost does not count as the
//! exporter's: the one of the list with the largest pages.
//!
//! The simulator of the tests builds each page from all campaigns, which takes minutes for 100 pages.
//! Here, all pages are built before the first request.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use campaign_exporter::provider::native;
use campaign_simulator::answer::Content;
use campaign_simulator::{Api, Campaign, Counts, Request, State};
use chrono::{DateTime, TimeDelta, Utc};
use clap::Parser;
use fastrand::Rng;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::Full;
use hyper::Response;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE};
use serde_json::Value;

/// Number of days over which campaigns are spread: one less than the exporter's lookback, so that none
/// leaves it during a run.
const DAYS: i32 = 29;

/// The first id; ids are ordered by date.
const FIRST_ID: usize = 18_000_000;

/// Serves an account's campaigns.
#[derive(Parser)]
struct Arguments {
    /// Number of campaigns.
    #[arg(long)]
    campaigns: usize,
    /// Share of the campaigns, spread evenly over all pages, whose counts change with each poll.
    #[arg(long, default_value_t = 0.0)]
    changing: f64,
    /// File with the token of the accounts.
    #[arg(long)]
    token_file: PathBuf,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let now = Utc::now();
    let kinds = native();
    let apis = kinds.iter().filter_map(|kind| kind.simulated);
    let api = apis.max_by_key(|api| api.listing().page_size).context("no provider")?;
    let listing = api.listing();
    let step = listing.page_size - usize::from(listing.by_offset);
    // the counts alternate between two states
    let states = [pages(api, step, &arguments, now, 0)?, pages(api, step, &arguments, now, 1)?];
    let token = std::fs::read_to_string(&arguments.token_file)?;
    let others = Mutex::new(State::new(token, Vec::new()));
    let polls = AtomicUsize::new(0);
    // the driver configures accounts with these keys
    let keys = api.account("BASE_URL", &arguments.token_file);
    writeln!(io::stdout(), "account={keys}")?;
    compare::serve(move |request| {
        let body = if request.uri().path() == listing.path {
            let page = start(request.uri(), listing.page_size) / step;
            // a poll starts with its first page
            let polls = if page == 0 {
                polls.fetch_add(1, Ordering::Relaxed)
            } else {
                polls.load(Ordering::Relaxed) - 1
            };
            let state = states.get(polls % states.len());
            state.and_then(|pages| pages.get(page)).context("no such page")?.clone()
        } else {
            let request = Request {
                method: request.method().to_string(),
                path_and_query: request.uri().to_string(),
                headers: request.headers().clone(),
                form: Vec::new(),
                json: Value::Null,
                at: Instant::now(),
            };
            let mut state = others.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let Content::Json(body) = api.answer(&mut state, now, &request).content else {
                bail!("an answer that is not JSON");
            };
            gzip(&body)?
        };
        Ok(Response::builder()
            .header(CONTENT_TYPE, "application/json")
            // without checking whether it is accepted: the exporter accepts it
            .header(CONTENT_ENCODING, "gzip")
            .body(Full::from(body))?)
    })
    .await
}

/// Returns the offset of the requested page: the number of the query that is not the size of a page.
fn start(uri: &hyper::Uri, page_size: usize) -> usize {
    let query = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let mut numbers = query.filter_map(|(_, value)| value.parse().ok());
    numbers.find(|number| *number != page_size).unwrap_or_default()
}

/// Returns all pages of an account in one of its states.
fn pages(
    api: &dyn Api,
    step: usize,
    arguments: &Arguments,
    now: DateTime<Utc>,
    state: u64,
) -> Result<Vec<Bytes>> {
    let total = arguments.campaigns;
    let spacing = TimeDelta::days(DAYS.into()) / i32::try_from(total)?;
    let changing =
        |number: usize| (number as f64 * arguments.changing).fract() < arguments.changing;
    let (mut random, account) = (Rng::with_seed(1), State::new("", Vec::new()));
    let mut sent_at = now - TimeDelta::days(DAYS.into());
    let items = (0..total).map(|number| {
        let pending = if changing(number) { state } else { 0 };
        sent_at += spacing;
        api.item(&account, now, &campaign(number, sent_at, &mut random, pending))
    });
    let items: Vec<_> = items.collect();
    let listing = api.listing();
    let starts = (0..total.max(1)).step_by(step);
    let page = |start| items.iter().skip(start).take(listing.page_size).cloned().collect();
    starts.map(|start| gzip(&listing.page(page(start)))).collect()
}

/// Returns a campaign with `pending` undelivered messages.
fn campaign(number: usize, sent_at: DateTime<Utc>, random: &mut Rng, pending: u64) -> Campaign {
    let recipients = random.u64(500..50_000);
    let [error, expired, network_error, unassigned] =
        [200, 50, 20, 100].map(|part| random.u64(0..=recipients / part));
    let bounces = error + expired + network_error;
    let counts = Counts {
        recipients,
        sends: recipients - unassigned,
        deliveries: recipients - bounces - unassigned - pending,
        bounces,
        opt_outs: random.u64(0..=recipients / 100),
        error,
        expired,
        network_error,
        unassigned,
        ..Counts::default()
    };
    let name = format!("Offer {number}: buy one shoe and get the second one for free");
    Campaign::sms((FIRST_ID + number).to_string(), name, sent_at, counts)
}

fn gzip(body: &Value) -> Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body.to_string().as_bytes())?;
    Ok(encoder.finish()?.into())
}
