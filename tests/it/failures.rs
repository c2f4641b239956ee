//! Failures of providers affect only their account, with the correct reason, and keep the data of its last
//! successful poll.

use std::cell::Cell;
use std::time::{Duration, Instant};

use campaign_simulator::{Campaign, Fault, FaultPlan};
use chrono::{SubsecRound, TimeDelta, Utc};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::support::apis::{
    any_api, apis, count_of, kinds, reports_credits, sms_rates, with_small_pages,
};
use crate::support::daemon::{
    Daemon, Setup, account, account_at, config, count, poll_once, sample, samples, simulate,
};
use crate::support::faults::{
    Exported, PROBLEMS, break_down, campaign, each, json_body, provider, repair, status,
};
use crate::support::peers::Front;

#[tokio::test]
async fn a_failed_credits_request_does_not_fail_the_poll() {
    let kinds = kinds().filter(|kind| reports_credits(kind));
    let cases = kinds.flat_map(|kind| {
        let without_credits = kind.simulated.unwrap().listing().page(json!([])).to_string();
        [
            status(500, None),
            status(403, None),
            status(404, None),
            json_body("<html>"),
            json_body(&without_credits),
        ]
        .map(|fault| (kind.simulated.unwrap(), fault))
    });
    for (api, fault) in cases {
        let simulator = provider(api).await;
        let setup = Setup::new(&config(&[account("shoes", &simulator, &[])]));
        let credits = "campaign_account_credits";
        let (status, metrics, _) = poll_once(&setup, &[]).await;
        assert!(status.success());
        assert!(sample(&metrics, credits, &[]).is_some());
        // the first request lists the campaigns
        let plan = FaultPlan { fault, skip: 1, times: None };
        simulator.update(|state| state.fault = Some(plan.clone()));
        let (status, metrics, log) = poll_once(&setup, &[]).await;
        assert!(status.success(), "{plan:?}: {log}");
        let account = Exported::of(&metrics, "shoes");
        assert!(account.is_up() && account.has_data(), "{plan:?}");
        assert_eq!(sample(&metrics, credits, &[]), None, "{plan:?}");
    }
}

#[tokio::test]
async fn a_request_for_credits_is_retried() {
    for kind in kinds().filter(|kind| reports_credits(kind)) {
        let simulator = provider(kind.simulated.unwrap()).await;
        let setup = Setup::new(&config(&[account("shoes", &simulator, &[])]));
        let plan = FaultPlan { fault: status(429, None), skip: 1, times: Some(1) };
        simulator.update(|state| state.fault = Some(plan));
        let (status, metrics, log) = poll_once(&setup, &[]).await;
        assert!(status.success(), "{log}");
        assert!(sample(&metrics, "campaign_account_credits", &[]).is_some(), "{log}");
    }
}

#[tokio::test]
async fn invalid_utf8_costs_one_campaign_at_most() {
    for (api, provider) in apis() {
        let others = Campaign { id: "8".to_owned(), ..campaign() };
        let simulator = simulate(api, vec![campaign(), others]).await;
        break_down(&simulator, Fault::InvalidUtf8);
        let setup = Setup::new(&config(&[account("one", &simulator, &[])]));
        let (status, metrics, log) = poll_once(&setup, &[]).await;
        assert!(status.success(), "{provider}: {log}");
        let campaigns =
            Exported::of(&metrics, "one").of_channel("campaign_account_campaigns", "sms");
        assert!(campaigns >= Some(1.0), "{provider}: {metrics}");
    }
}

#[tokio::test]
async fn an_unreachable_account_has_no_campaigns_and_a_failure_reason() {
    let mut simulators = Vec::new();
    let mut accounts = Vec::new();
    for (api, name) in apis() {
        let simulator = provider(api).await;
        let own = account(&format!("{name}-tls"), &simulator, &[]);
        accounts.push(own.replace("http://", "https://"));
        let own = account(&format!("{name}-token"), &simulator, &[]);
        accounts.push(own.replace("TOKEN_FILE", "/nonexistent/token"));
        accounts.push(account(name, &simulator, &[]));
        simulators.push(simulator);
    }
    let setup = Setup::new(&config(&accounts));
    let (status, metrics, log) = poll_once(&setup, &[]).await;
    assert_eq!(status.code(), Some(1), "{log}");
    for (_, name) in apis() {
        for (why, reason) in [("tls", "tls"), ("token", "auth")] {
            let name = format!("{name}-{why}");
            let account = Exported::of(&metrics, &name);
            assert_eq!(account.errors(reason), 1.0, "{name}: {log}");
            assert_eq!(account.all_errors(), 1.0, "{name}");
            assert_eq!(account.retries(), 0.0, "{name}");
            assert!(!account.is_up() && !account.has_data(), "{name}");
            assert_eq!(account.last_reason().as_deref(), Some(reason), "{name}");
            for metric in ["campaign_account_campaigns", "campaign_account_campaigns_dropped"] {
                assert!(samples(&metrics, metric, &[&account.account]).is_empty());
            }
        }
        let account = Exported::of(&metrics, name);
        assert!(account.is_up() && account.has_data(), "{name}");
        assert_eq!(account.last_reason(), None, "{name}");
    }
    assert!(log.contains("/nonexistent/token"), "{log}");
}

#[tokio::test]
async fn temporary_failures_are_retried_within_the_poll() {
    let mut simulators = Vec::new();
    let mut accounts = Vec::new();
    for (api, provider_name) in apis() {
        for (why, fault) in [
            ("500", status(500, None)),
            ("503", status(503, None)),
            ("429", status(429, None)),
            ("truncated", Fault::Truncated),
            ("stall", Fault::Stall),
        ] {
            let simulator = provider(api).await;
            simulator.update(|state| state.fault = Some(FaultPlan::once(fault)));
            let name = format!("{provider_name}-{why}");
            let more: &[&str] = if why == "stall" { &["request_timeout: 2s"] } else { &[] };
            accounts.push(account(&name, &simulator, more));
            simulators.push((api, name, simulator));
        }
    }
    let (status, metrics, log) = poll_once(&Setup::new(&config(&accounts)), &[]).await;
    assert!(status.success(), "{log}");
    for (api, name, simulator) in simulators {
        let account = Exported::of(&metrics, &name);
        assert!(account.is_up() && account.has_data(), "{name}");
        assert_eq!((account.retries(), account.all_errors()), (1.0, 0.0), "{name}");
        let needed = api.listing().requests(1);
        assert_eq!(simulator.requests().len(), needed + 1, "{name}");
        if name.ends_with("500") {
            let labels = [account.account.as_str(), r#"code="500""#];
            let requests = sample(&metrics, "campaign_exporter_api_requests_total", &labels);
            assert_eq!(requests, Some(1.0), "{name}");
        }
    }
}

#[tokio::test]
async fn polls_of_an_account_never_overlap() {
    let slow = provider(any_api()).await;
    let quick = provider(any_api()).await;
    break_down(&slow, Fault::Stall);
    let yaml = config(&[account("slow", &slow, &[]), account("quick", &quick, &[])]);
    let daemon = Daemon::start(Setup::new(&yaml), &[]).await;
    // four intervals of both accounts
    daemon.scrape_until(|metrics| Exported::of(metrics, "quick").polls("success") >= 4.0).await;
    assert_eq!(slow.requests().len(), 1);
}

#[tokio::test]
async fn retry_after_is_respected() {
    // longer than the exporter's maximum delay before the first retry
    const WAIT: Duration = Duration::from_secs(3);
    let seconds = WAIT.as_secs().to_string();
    // dates have a resolution of one second
    let until = Utc::now() + 2 * WAIT;
    let date = httpdate::fmt_http_date(until.trunc_subsecs(0).into());
    let mut simulators = Vec::new();
    let mut accounts = Vec::new();
    for (api, name) in apis() {
        for code in [429, 503] {
            for (form, value) in [("seconds", &seconds), ("date", &date)] {
                let simulator = provider(api).await;
                let fault = FaultPlan::once(status(code, Some(value)));
                simulator.update(|state| state.fault = Some(fault));
                let name = format!("{name}-{code}-{form}");
                accounts.push(account(&name, &simulator, &[]));
                simulators.push((form, name, simulator));
            }
        }
    }
    let setup = Setup::new(&config(&accounts));
    let (status, _, log) = poll_once(&setup, &[]).await;
    assert!(status.success(), "{log}");
    let now = (Instant::now(), Utc::now());
    for (form, name, simulator) in simulators {
        let requests = simulator.requests();
        let [first, second] = [requests[0].at, requests[1].at];
        if form == "date" {
            let ago = TimeDelta::from_std(now.0 - second).unwrap();
            assert!(now.1 - ago >= until.trunc_subsecs(0), "{name}");
        } else {
            assert!(second - first >= WAIT, "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_bodies_are_rejected_with_little_memory() {
    const BYTES: u64 = 200_000_000;
    let mut simulators = Vec::new();
    let mut accounts = Vec::new();
    for (api, name) in apis() {
        for (why, fault) in
            [("huge", Fault::Huge { bytes: BYTES }), ("bomb", Fault::GzipBomb { bytes: BYTES })]
        {
            let simulator = provider(api).await;
            let name = format!("{name}-{why}");
            accounts.push(account(&name, &simulator, &["stale_after: 1h"]));
            simulators.push((name, simulator, fault));
        }
    }
    let daemon = Daemon::start(Setup::new(&config(&accounts)), &[]).await;
    daemon.scrape_until(|metrics| count(metrics, "campaign_deliveries") == simulators.len()).await;
    // the limit applies to each body, so test one provider at a time
    for pair in simulators.chunks(2) {
        let names: Vec<_> = pair.iter().map(|(name, ..)| name.clone()).collect();
        for (_, simulator, fault) in pair {
            break_down(simulator, fault.clone());
        }
        let most = Cell::new(0.0_f64);
        let metrics = daemon
            .scrape_until(|metrics| {
                let memory = sample(metrics, "process_resident_memory_bytes", &[]);
                most.set(most.get().max(memory.unwrap()));
                each(metrics, &names, |account| account.errors("too_large") >= 2.0)
            })
            .await;
        assert!(most.get() < 150_000_000.0, "{names:?}: {}", most.get());
        for name in &names {
            let account = Exported::of(&metrics, name);
            assert!(!account.is_up() && account.has_data(), "{name}");
            assert_eq!(account.all_errors(), account.errors("too_large"), "{name}");
            assert_eq!(account.retries(), 0.0, "{name}");
        }
        for (_, simulator, _) in pair {
            repair(simulator);
        }
        daemon
            .scrape_until(|metrics| {
                each(metrics, &names, |account| account.is_up() && account.has_data())
            })
            .await;
    }
}

/// Makes many items of each, with texts as long as they may be.
#[expect(clippy::needless_pass_by_value, reason = "as `Front` calls it")]
fn swollen(_: &str, body: Vec<u8>) -> (String, Vec<u8>) {
    let listing = with_small_pages().listing();
    let mut answer: Value = serde_json::from_slice(&body).unwrap();
    let items = answer[listing.items].as_array_mut().unwrap();
    let copies = items.drain(..).flat_map(|item| {
        (0..120).map(move |copy| {
            let mut item = item.clone();
            for (name, value) in item.as_object_mut().unwrap() {
                match value {
                    Value::String(id) if name == listing.id => *id = format!("{copy:0200}{id}"),
                    Value::String(text) if !text.starts_with("20") => *text += &"x".repeat(500),
                    _ => {}
                }
            }
            item
        })
    });
    *items = copies.collect();
    (String::new(), serde_json::to_vec(&answer).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_campaigns_of_one_account_take_limited_memory() {
    let small = provider(with_small_pages()).await;
    let page = small.api().listing().page_size;
    let campaigns = (0..20 * page).map(|index| Campaign { id: index.to_string(), ..campaign() });
    let large = simulate(small.api(), campaigns.collect()).await;
    let front = Front::http1(&large, swollen).await;
    let url = format!("http://127.0.0.1:{}", front.port());
    let accounts = [
        account("large", &large, &[]).replace(&large.base_url(), &url),
        account("small", &small, &[]),
    ];
    let daemon = Daemon::start(Setup::new(&config(&accounts)), &[]).await;
    let most = Cell::new(0.0_f64);
    let metrics = daemon
        .scrape_until(|metrics| {
            let memory = sample(metrics, "process_resident_memory_bytes", &[]);
            most.set(most.get().max(memory.unwrap()));
            Exported::of(metrics, "large").all_errors() > 0.0
        })
        .await;
    assert!(most.get() < 200_000_000.0, "{}", most.get());
    assert_eq!(Exported::of(&metrics, "large").errors("too_large"), 1.0);
    assert!(Exported::of(&metrics, "small").is_up());
}

/// Makes every value but the id unreadable.
fn spoil(value: &mut Value, id: &str) {
    match value {
        Value::Object(members) => {
            let members = members.iter_mut().filter(|(name, _)| *name != id);
            members.for_each(|(_, value)| spoil(value, id));
        }
        value => *value = json!([]),
    }
}

#[tokio::test]
async fn bad_values_and_items_are_dropped_individually_and_counted() {
    let mut simulators = Vec::new();
    let mut accounts = Vec::new();
    for (api, name) in apis() {
        let simulator = provider(api).await;
        let listing = api.listing();
        simulator.update(|state| {
            let item = |id: &str, deliveries: Value| {
                let campaign = Campaign { id: id.to_owned(), ..campaign() };
                let mut item = api.item(state, Utc::now(), &campaign);
                *count_of(&mut item, &listing, listing.deliveries) = deliveries;
                item
            };
            let mut unreadable = item("unreadable", json!(1));
            spoil(&mut unreadable, listing.id);
            state.items = vec![
                unreadable,
                json!("no object"),
                json!(["7"]),
                // no id
                json!({}),
                item("bad-1", json!("many")),
                item("bad-2", json!(-1)),
                item("bad-3", json!(1.5)),
                item("bad-4", json!([])),
                item("bare", Value::Null),
            ];
        });
        accounts.push(account(name, &simulator, &[]));
        simulators.push(simulator);
    }
    let mut daemon = Daemon::start(Setup::new(&config(&accounts)), &[]).await;
    for (api, name) in apis() {
        let listing = api.listing();
        let fields = [listing.items, listing.id, listing.deliveries];
        let metrics = daemon
            .scrape_until(|metrics| {
                let account = Exported::of(metrics, name);
                let polls = account.polls("success");
                let found = fields.map(|field| account.decode_problems(field));
                polls >= 3.0 && found == [2.0, 1.0, 5.0].map(|count| Some(count * polls))
            })
            .await;
        let account = Exported::of(&metrics, name);
        assert!(account.is_up(), "{name}");
        assert_eq!(account.all_errors(), 0.0, "{name}");
        // all were there, at 0, before the first poll
        let kind = kinds().find(|kind| *kind.name == *name).unwrap();
        let fields_of_kind = &kind.fields;
        let known = fields_of_kind.iter().map(ToString::to_string);
        assert_eq!(account.values(PROBLEMS, "field"), known.collect(), "{name}");
        let own = |metric, id: &str| {
            let id = format!(r#"campaign_id="{id}""#);
            sample(&metrics, metric, &[&account.account, &id])
        };
        for id in ["bad-1", "bad-2", "bad-3", "bad-4", "bare"] {
            assert_eq!(own("campaign_attempted", id), Some(1_000.0), "{name} {id}");
            assert_eq!(own("campaign_deliveries", id), None, "{name} {id}");
            assert_eq!(own("campaign_delivery_ratio", id), None, "{name} {id}");
        }
        assert_eq!(own("campaign_deliveries", "7"), Some(950.0), "{name}");
        let campaigns = [account.account.as_str(), r#"channel="sms""#];
        let campaigns = sample(&metrics, "campaign_account_campaigns", &campaigns);
        assert!(campaigns >= Some(6.0), "{name}");

        // not logged per item and, if nothing changes, not at every poll
        daemon.wait_for_log("values could not be read").await;
        let log = daemon.log();
        let said: Vec<_> = log
            .lines()
            .filter(|line| line.contains("values could not be read"))
            .filter(|line| line.contains("level=warn"))
            .filter(|line| line.contains(&format!("account={name} ")))
            .collect();
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(fields.iter().all(|field| said[0].contains(field)), "{said:?}");
    }
}

#[tokio::test]
async fn mismatched_percentages_are_counted_per_page() {
    for kind in kinds().filter(|kind| !kind.rates.is_empty()) {
        let page = i64::try_from(kind.simulated.unwrap().listing().page_size).unwrap();
        let campaigns: Vec<_> = (1..=page + 10)
            .map(|minutes| Campaign {
                id: minutes.to_string(),
                sent_at: Utc::now() - TimeDelta::minutes(minutes),
                ..campaign()
            })
            .collect();
        for (off_by, expected) in [(0.0, 0.0), (0.9, 0.0), (5.0, 2.0)] {
            let simulator = simulate(kind.simulated.unwrap(), campaigns.clone()).await;
            simulator.update(|state| state.percents_off_by = off_by);
            let own = account("one", &simulator, &[]);
            let (status, metrics, log) = poll_once(&Setup::new(&config(&[own])), &[]).await;
            assert!(status.success(), "{log}");
            for rate in sms_rates(kind) {
                let label = format!(r#"rate="{rate}""#);
                let name = "campaign_exporter_aggregate_mismatches_total";
                assert_eq!(sample(&metrics, name, &[&label]), Some(expected), "{rate}");
            }
            // the counts take precedence
            let ratios = samples(&metrics, "campaign_delivery_ratio", &[]);
            assert_eq!(ratios, vec![0.95; campaigns.len()]);
        }
    }
}

/// A server that answers every request with these bytes and closes the connection.
async fn answering(bytes: &'static str) -> (String, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4_096];
            if stream.read(&mut request).await.is_ok()
                && stream.write_all(bytes.as_bytes()).await.is_ok()
            {
                stream.shutdown().await.unwrap_or_default();
            }
        }
    });
    (address, tasks)
}

#[tokio::test]
async fn what_is_no_answer_is_described_in_plain_words() {
    for (scheme, bytes, reason, expected) in [
        ("http", "{}", "decode", "the answer is not valid HTTP"),
        ("http", "HTTP/1.1 200\r\nContent-Length: -1\r\n\r\n{}", "decode", "is not valid HTTP"),
        (
            "http",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}",
            "decode",
            "is not valid HTTP",
        ),
        (
            "http",
            "HTTP/1.1 206 OK\r\nContent-Length: 2\r\n\r\n{}",
            "decode",
            "HTTP 206, a part of an answer",
        ),
        (
            "http",
            "HTTP/1.1 429 OK\r\nRetry-After: 99999999999999999999\r\nContent-Length: 0\r\n\r\n",
            "throttled",
            "HTTP 429, asks to wait 86400 s",
        ),
        (
            "http",
            "HTTP/1.1 302 OK\r\nLocation: javascript:alert(1)\r\nContent-Length: 0\r\n\r\n",
            "client",
            "HTTP 302, a redirect that is not followed",
        ),
        ("https", "HTTP/1.1 400 Bad Request\r\n\r\n", "tls", "the server does not speak TLS"),
    ] {
        let (address, _server) = answering(bytes).await;
        let base_url = format!("{scheme}://{address}");
        let setup = Setup::new(&config(&[account_at("one", any_api(), &base_url, &[])]));
        let (_, _, log) = poll_once(&setup, &[]).await;
        assert!(log.contains(&format!("reason={reason}")), "{bytes}: {log}");
        assert!(log.contains(expected), "{bytes}: {log}");
    }
}

#[tokio::test]
async fn unexpected_content_is_described_and_advice_fits_the_account() {
    for (fault, reason, parts) in [
        (json_body(r#"{"foo":1}"#), "decode", ["HTTP 200 without ", "it has `foo`", "`https://"]),
        (json_body("[1"), "decode", ["HTTP 200, not ", "JSON (application/json)", "`https://"]),
        (status(204, None), "decode", ["HTTP 204 instead of 200", "", "`https://"]),
        (
            status(401, None),
            "auth",
            ["HTTP ", "write a valid ", "_file`), which the next poll reads"],
        ),
        (status(404, None), "client", ["HTTP ", "Compare `base_url`", "`https://"]),
    ] {
        for (api, provider) in apis() {
            let simulator = simulate(api, Vec::new()).await;
            break_down(&simulator, fault.clone());
            let setup = Setup::new(&config(&[account("one", &simulator, &[])]));
            let (_, _, log) = poll_once(&setup, &[]).await;
            let line = log.lines().find(|line| line.contains("poll failed"));
            let line = line.unwrap();
            assert!(line.contains(&format!("reason={reason} ")), "{provider}: {line}");
            for part in parts {
                assert!(line.contains(part), "{provider} {part}: {line}");
            }
            assert!(!line.contains("time_zone"), "{provider}: {line}");
        }
    }
}
