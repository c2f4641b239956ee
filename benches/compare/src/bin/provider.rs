//! SMSUp with many campaigns, in a separate process, so that its cost does not count as the exporter's.
//!
//! The simulator of the tests builds each page from all campaigns, which takes minutes for 100 pages.
//! Here, all pages are built before the first request.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use clap::Parser;
use fastrand::Rng;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::Full;
use hyper::Response;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE};
use serde_json::{Value, json};

/// Campaigns per page: as many as the exporter requests.
const LENGTH: usize = 1_000;

/// Number of days over which campaigns are spread: one less than the exporter's lookback, so that none
/// leaves it during a run.
const DAYS: i32 = 29;

/// Time format of the API.
const DATE_FORMAT: &str = "%Y-%m-%d %H:%M:%S";

/// The first id; ids are ordered by date.
const FIRST_ID: usize = 18_000_000;

/// Serves an account's campaigns like SMSUp.
#[derive(Parser)]
struct Arguments {
    /// Number of campaigns.
    #[arg(long)]
    campaigns: usize,
    /// Share of the campaigns, spread evenly over all pages, whose counts change with each poll.
    #[arg(long, default_value_t = 0.0)]
    changing: f64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let now = Utc::now();
    // the counts alternate between two states
    let states = [pages(&arguments, now, 0)?, pages(&arguments, now, 1)?];
    let credits = gzip(&json!({ "status": 1, "message": "OK", "credits": "44690" }))?;
    let polls = AtomicUsize::new(0);
    compare::serve(move |request| {
        let body = match request.uri().path() {
            "/campaigns" => {
                let page = start(request.uri())? / LENGTH;
                // a poll starts with its first page
                let polls = if page == 0 {
                    polls.fetch_add(1, Ordering::Relaxed)
                } else {
                    polls.load(Ordering::Relaxed) - 1
                };
                let state = states.get(polls % states.len());
                state.and_then(|pages| pages.get(page))
            }
            "/credits" => Some(&credits),
            _ => None,
        };
        let body = body.context("no such page")?.clone();
        Ok(Response::builder()
            .header(CONTENT_TYPE, "application/json")
            // without checking whether it is accepted: the exporter accepts it
            .header(CONTENT_ENCODING, "gzip")
            .body(Full::from(body))?)
    })
    .await
}

/// Returns the number of the first campaign on the requested page.
fn start(uri: &hyper::Uri) -> Result<usize> {
    let query = uri.query().unwrap_or_default();
    let start = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "start");
    Ok(start.context("no start")?.1.parse()?)
}

/// Returns all pages of an account in one of its states.
fn pages(arguments: &Arguments, now: DateTime<Utc>, state: u64) -> Result<Vec<Bytes>> {
    let total = arguments.campaigns;
    let begin = now - TimeDelta::days(DAYS.into());
    let spacing = TimeDelta::days(DAYS.into()) / i32::try_from(total)?;
    let changing =
        |number: usize| (number as f64 * arguments.changing).fract() < arguments.changing;
    let mut random = Rng::with_seed(1);
    let mut sent_at = begin;
    let campaigns = (0..total).map(|number| {
        let pending = if changing(number) { state } else { 0 };
        sent_at += spacing;
        campaign(number, sent_at, &mut random, pending)
    });
    let campaigns: Vec<_> = campaigns.collect();
    let page = |campaigns: &[Value]| {
        gzip(&json!({
            "status": 1,
            "message": "OK",
            "campaigns": campaigns,
            "totalRecords": total,
            "totalDisplayRecords": total,
        }))
    };
    campaigns.chunks(LENGTH).map(page).collect()
}

/// Returns a campaign with `pending` undelivered messages.
fn campaign(number: usize, sent_at: DateTime<Utc>, random: &mut Rng, pending: u64) -> Value {
    let date = sent_at.format(DATE_FORMAT).to_string();
    let total = random.u64(500..50_000);
    let [error, expired, network_error, npai] =
        [200, 50, 20, 100].map(|part| random.u64(0..=total / part));
    let delivered = total - error - expired - network_error - npai - pending;
    let hundredths = delivered * 10_000 / total;
    json!({
        "id": (FIRST_ID + number).to_string(),
        "sender": "BESTSHOES",
        "text": format!("Offer {number}: buy one shoe and get the second one for free"),
        "creation_date": date,
        "date": date,
        "cost": total.to_string(),
        "lists": [{ "id": "5a0331bffc5886074551ce97" }],
        "status": "Sent",
        "delivery_rate": (hundredths as f64 / 100.0).to_string(),
        "delivered": delivered.to_string(),
        "error": error.to_string(),
        "expired": expired.to_string(),
        "network_error": network_error.to_string(),
        "stop": random.u64(0..=total / 100).to_string(),
        "npai": npai.to_string(),
        "total": total.to_string(),
    })
}

fn gzip(body: &Value) -> Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body.to_string().as_bytes())?;
    Ok(encoder.finish()?.into())
}
