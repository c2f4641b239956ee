//! Every fault as a client sees it.

use std::error::Error;
use std::pin::pin;
use std::time::{Duration, Instant};
use std::{fmt, io, iter};

use bytes::Bytes;
use chrono::DateTime;
use reqwest::{Client, redirect};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::PLAIN;
use crate::*;

async fn simulator(fault: Fault) -> Simulator {
    let campaign = Campaign::sms("id", "name", DateTime::UNIX_EPOCH, Counts::default());
    let mut state = State::new("secret", vec![campaign; 20]);
    state.fault = Some(FaultPlan::always(fault));
    Simulator::start(&PLAIN, state).await.unwrap()
}

/// Requests a page with a five-second timeout, without following redirects or decompressing.
async fn get(simulator: &Simulator) -> reqwest::Response {
    let client = Client::builder()
        .timeout(Duration::from_secs(5))
        .redirect(redirect::Policy::none())
        .no_gzip();
    get_with(&client.build().unwrap(), simulator).await
}

async fn get_with(client: &Client, simulator: &Simulator) -> reqwest::Response {
    let request = client.get(simulator.base_url() + "/campaigns").bearer_auth("secret");
    request.send().await.unwrap()
}

/// Requests a page with a fault. The simulator must live until the body is read.
async fn meet(fault: Fault) -> (Simulator, reqwest::Response) {
    let simulator = simulator(fault).await;
    let response = get(&simulator).await;
    (simulator, response)
}

async fn json(response: reqwest::Response) -> Value {
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
}

#[tokio::test]
async fn a_status_has_the_error_of_the_api() {
    let fault = Fault::Status { code: 503, retry_after: Some("7".to_owned()) };
    let (_simulator, response) = meet(fault).await;
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["retry-after"], "7");
    assert_eq!(json(response).await, json!({ "error": 503 }));
}

#[tokio::test]
async fn a_lost_answer_uses_the_refresh_token() {
    let simulator = simulator(Fault::Unheard).await;
    simulator.update(|state| {
        state.authorization.grant("first");
        state.authorization.fault = Some(FaultPlan::once(Fault::Unheard));
    });
    let error = refresh(&simulator).await.unwrap_err();
    assert!(error.is_request() && !error.is_timeout(), "{error:?}");
    assert!(simulator.read(|state| state.authorization.issued == 1));
    assert_eq!(refresh(&simulator).await.unwrap().status(), 400);

    let api = Client::new().get(simulator.base_url() + "/campaigns").bearer_auth("secret");
    assert!(api.send().await.unwrap_err().is_request());
    assert_eq!(simulator.requests().len(), 3);
}

#[tokio::test]
async fn an_echo_includes_the_form() {
    let simulator = simulator(Fault::EchoToken).await;
    let request = Client::new().post(simulator.base_url());
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let response = request.body("a=s3cret").send().await.unwrap();
    assert!(response.text().await.unwrap().contains("s3cret"));
}

#[tokio::test]
async fn a_plan_selects_the_requests_that_fail() {
    let fault = Fault::EchoToken;
    let simulator = simulator(fault.clone()).await;
    simulator.update(|state| {
        state.fault = Some(FaultPlan { fault, skip: 2, times: Some(1) });
    });
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(get(&simulator).await.status().as_u16());
    }
    assert_eq!(statuses, [200, 200, 401, 200]);
}

#[tokio::test]
async fn an_impossible_plan_is_reported() {
    let (_simulator, response) = meet(Fault::Status { code: 7, retry_after: None }).await;
    assert_eq!(response.status(), 500);
    assert!(response.text().await.unwrap().contains("status"));
}

/// Starts a simulator with seven distinct campaigns and an optional fault.
async fn listing(fault: Option<Fault>) -> Simulator {
    let campaign = |number: u64| {
        let counts = Counts { recipients: 100 + number, sends: 90 + number, ..Counts::default() };
        let sent_at = DateTime::UNIX_EPOCH + Duration::from_secs(number);
        Campaign::sms(number.to_string(), "name", sent_at, counts)
    };
    let mut state = State::new("secret", (1..=7).map(campaign).collect::<Vec<_>>());
    state.fault = fault.map(FaultPlan::always);
    Simulator::start(&PLAIN, state).await.unwrap()
}

async fn page(simulator: &Simulator, path: &str) -> Bytes {
    let client = Client::builder().no_gzip().build().unwrap();
    let request = client
        .get(simulator.base_url() + path)
        .header("accept", "application/json")
        .bearer_auth("secret");
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    response.bytes().await.unwrap()
}

/// Returns the first page with a fault and without it.
async fn first_pages(fault: Fault) -> (Bytes, Value) {
    let simulator = listing(Some(fault)).await;
    let path = "/campaigns";
    let bad = page(&simulator, path).await;
    simulator.update(|state| {
        state.fault = None;
        state.answered = 0;
    });
    let good = page(&simulator, path).await;
    (bad, serde_json::from_slice(&good).unwrap())
}

fn items(page: &Value) -> &Vec<Value> {
    let mut members = page.as_object().unwrap().values();
    members.find_map(Value::as_array).unwrap()
}

fn items_of(page: &Bytes) -> Vec<Value> {
    items(&serde_json::from_slice(page).unwrap()).clone()
}

#[tokio::test]
async fn a_late_answer_is_correct_and_takes_effect_first() {
    let by = Duration::from_millis(300);
    let simulator = listing(Some(Fault::Delay { by })).await;
    let begin = Instant::now();
    let late = page(&simulator, "/campaigns").await;
    assert!(begin.elapsed() >= by);
    assert_eq!(items_of(&late).len(), 7);

    let by = Duration::from_hours(1);
    simulator.update(|state| {
        state.authorization.grant("first");
        state.authorization.fault = Some(FaultPlan::always(Fault::Delay { by }));
    });
    unanswered(&simulator, refresh(&simulator)).await;
    assert!(simulator.read(|state| state.authorization.issued == 1));
}

/// Refreshes the token `first`.
async fn refresh(simulator: &Simulator) -> reqwest::Result<reqwest::Response> {
    let AuthorizationApi { base, token_path, .. } = simulator.api().authorization().unwrap();
    let request = Client::new()
        .post(format!("{}{base}{token_path}", simulator.base_url()))
        .header("content-type", "application/x-www-form-urlencoded")
        .body("grant_type=refresh_token&refresh_token=first&client_id=demo-client");
    request.send().await
}

/// Waits until a request has arrived, then checks that no answer comes for a moment.
async fn unanswered(simulator: &Simulator, request: impl Future<Output: fmt::Debug>) {
    let mut request = pin!(request);
    let before = simulator.read(|state| state.answered);
    tokio::select! {
        answer = &mut request => panic!("{answer:?}"),
        () = simulator.wait_for(|state| state.answered > before) => {}
    }
    timeout(Duration::from_millis(200), request).await.unwrap_err();
}

#[tokio::test]
async fn a_silent_server_does_not_process_the_request() {
    let simulator = listing(None).await;
    simulator.update(|state| {
        state.authorization.grant("first");
        state.authorization.fault = Some(FaultPlan::once(Fault::Silence));
    });
    unanswered(&simulator, refresh(&simulator)).await;
    assert!(simulator.read(|state| state.authorization.issued == 0));
    assert_eq!(refresh(&simulator).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_reset_differs_from_an_orderly_close() {
    for (fault, reset) in [(Fault::Reset, true), (Fault::Truncated, false)] {
        let (_simulator, mut response) = meet(fault.clone()).await;
        assert_eq!(response.status(), 200);
        let length = response.content_length().unwrap();
        let half = response.chunk().await.unwrap().unwrap();
        assert_eq!(half.len() as u64, length / 2);
        let error = response.chunk().await.unwrap_err();
        let causes = iter::successors(Some(&error as &dyn Error), |error| (*error).source());
        let kinds =
            causes.filter_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
        let is_reset = kinds.into_iter().any(|kind| kind == io::ErrorKind::ConnectionReset);
        assert_eq!(is_reset, reset, "{fault:?} {error:?}");
    }
}

#[tokio::test]
async fn one_byte_is_invalid_utf_8() {
    let (bad, good) = first_pages(Fault::InvalidUtf8).await;
    let sound: Vec<_> = bad.iter().copied().filter(|byte| *byte != 0xff).collect();
    assert_eq!(sound.len() + 1, bad.len(), "{bad:?}");
    assert_eq!(serde_json::from_slice::<Value>(&sound).unwrap(), good);
    let before = bad.split(|byte| *byte == 0xff).next().unwrap();
    let quotes = before.split(|byte| *byte == b'"').count() - 1;
    assert_eq!(quotes % 2, 1, "within a string");
    let empty = simulator(Fault::InvalidUtf8).await;
    empty.update(|state| state.campaigns = Vec::new().into());
    assert!(page(&empty, "/campaigns").await.contains(&0xff));
}

#[tokio::test]
async fn items_are_repeated_shuffled_removed_or_replaced() {
    let (bad, good) = first_pages(Fault::Duplicated).await;
    let twice = items(&good).iter().flat_map(|item| [item.clone(), item.clone()]);
    assert_eq!(items_of(&bad), twice.collect::<Vec<_>>());

    let mut orders = Vec::new();
    for seed in [1, 1, 2] {
        let (bad, good) = first_pages(Fault::Shuffled { seed }).await;
        let shuffled = items_of(&bad);
        assert_ne!(&shuffled, items(&good));
        let sorted = |items: &[Value]| {
            let mut texts: Vec<_> = items.iter().map(Value::to_string).collect();
            texts.sort();
            texts
        };
        assert_eq!(sorted(&shuffled), sorted(items(&good)));
        orders.push(shuffled);
    }
    assert_eq!(orders[0], orders[1]);
    assert_ne!(orders[0], orders[2]);

    let (bad, mut good) = first_pages(Fault::Empty).await;
    for members in good.as_object_mut().unwrap().values_mut() {
        if let Some(items) = members.as_array_mut() {
            items.clear();
        }
    }
    assert_eq!(serde_json::from_slice::<Value>(&bad).unwrap(), good);

    let (bad, _) = first_pages(Fault::ItemsNotObjects).await;
    let others = [json!(null), json!(7), json!("text")];
    let others: Vec<_> = others.iter().cycle().take(7).cloned().collect();
    assert_eq!(items_of(&bad), others);
}

#[tokio::test]
async fn a_list_moves_while_it_is_read() {
    let ids = |page: &Bytes| -> Vec<u64> {
        let items = items_of(page);
        let ids = items.iter().map(|item| &item["id"]);
        ids.map(|id| id.as_str().unwrap().parse().unwrap()).collect()
    };
    let read = async |simulator: &Simulator| {
        let mut all = Vec::new();
        for start in (0..).step_by(3) {
            let path = format!("/campaigns?start={start}&length=3");
            let page = page(simulator, &path).await;
            all.push(ids(&page));
            let total = serde_json::from_slice::<Value>(&page).unwrap()["total"].clone();
            if start + 3 >= total.as_u64().unwrap() {
                break;
            }
        }
        all
    };
    let simulator = listing(Some(Fault::Moving { by: 1 })).await;
    let moving = [vec![1, 2, 3], vec![3, 4, 5], vec![5, 6, 7]];
    assert_eq!(read(&simulator).await, moving);
    // not a list
    page(&simulator, "/others").await;
    // new items are at the front from the start, and more arrive
    let later = [vec![5, 6, 7], vec![7, 1, 2], vec![2, 3, 4], vec![4, 5, 6], vec![6, 7]];
    assert_eq!(read(&simulator).await, later);
    simulator.update(|state| state.fault = None);
    let still = [vec![1, 2, 3], vec![4, 5, 6], vec![7]];
    assert_eq!(read(&simulator).await, still);
    simulator.update(|state| {
        state.fault = Some(FaultPlan::always(Fault::Moving { by: 2 }));
    });
    let mut seen = read(&simulator).await.concat();
    seen.sort_unstable();
    assert!(seen.len() > 7);
    seen.dedup();
    assert_eq!(seen, [1, 2, 3, 4, 5, 6, 7]);
}

#[tokio::test]
async fn an_empty_list_does_not_move() {
    let simulator = simulator(Fault::Moving { by: 3 }).await;
    simulator.update(|state| state.campaigns = Vec::new().into());
    for _ in 0..3 {
        let page = page(&simulator, "/campaigns").await;
        assert!(items_of(&page).is_empty());
    }
}
