//! The server: remembered requests, compression and shutdown.

use std::time::Duration;

use chrono::DateTime;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{AUTHORIZATION, PLAIN, UNSENT};
use crate::*;

const PATH: &str = "/campaigns?length=200";

async fn simulator(campaigns: usize) -> Simulator {
    let campaign = Campaign::sms("id", "name", DateTime::UNIX_EPOCH, Counts::default());
    let state = State::new("secret", vec![campaign; campaigns]);
    Simulator::start(&PLAIN, state).await.unwrap()
}

async fn get(client: &reqwest::Client, simulator: &Simulator) -> reqwest::Response {
    let request = client.get(simulator.base_url() + PATH).bearer_auth("secret");
    request.send().await.unwrap()
}

#[tokio::test]
async fn long_answers_are_compressed_if_the_client_accepts_it() {
    let simulator = simulator(100).await;
    let encoding = async |client: reqwest::ClientBuilder, accepts: &'static str| {
        let headers = [(hyper::header::ACCEPT_ENCODING, accepts.parse().unwrap())];
        let client = client.default_headers(headers.into_iter().collect()).build().unwrap();
        let response = get(&client, &simulator).await;
        response.headers().get("content-encoding").cloned()
    };
    let raw = || reqwest::Client::builder().no_gzip();
    assert_eq!(encoding(raw(), "gzip, br").await.unwrap(), "gzip");
    assert_eq!(encoding(raw(), "br").await, None);
    simulator.update(|state| state.campaigns = Vec::new().into());
    assert_eq!(encoding(raw(), "gzip").await, None);

    simulator.update(|state| state.items = vec!["x".repeat(5_000).into()]);
    let text = get(&reqwest::Client::new(), &simulator).await.text().await.unwrap();
    assert!(text.contains(&"x".repeat(5_000)));
}

#[tokio::test]
async fn the_last_requests_are_kept() {
    let simulator = simulator(0).await;
    let client = reqwest::Client::new();
    get(&client, &simulator).await;
    let requests = simulator.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].method, "GET");
    assert_eq!(requests[0].path_and_query, PATH);
    assert_eq!(requests[0].parameter("length").as_deref(), Some("200"));
    assert_eq!(requests[0].headers["authorization"], "Bearer secret");

    simulator.update(|state| {
        let one = state.requests[0].clone();
        for number in 0..KEPT_REQUESTS {
            state.count(Request { path_and_query: format!("/{number}"), ..one.clone() });
        }
    });
    let requests = simulator.requests();
    assert_eq!(requests.len(), KEPT_REQUESTS);
    assert_eq!(requests[0].path_and_query, "/0");
}

#[tokio::test]
async fn waiting_for_requests_works() {
    let simulator = simulator(0).await;
    let client = reqwest::Client::new();
    let ask = async {
        get(&client, &simulator).await;
        get(&client, &simulator).await;
    };
    let both = futures_util::future::join(ask, simulator.wait_for(|state| state.answered == 2));
    timeout(Duration::from_secs(5), both).await.unwrap();
}

#[tokio::test]
async fn dropping_the_simulator_closes_the_port() {
    let simulator = simulator(0).await;
    let address = simulator.base_url().trim_start_matches("http://").to_owned();
    let open = TcpStream::connect(&address).await.unwrap();
    drop(simulator);
    let closed = async {
        while TcpStream::connect(&address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        open.readable().await.unwrap();
    };
    timeout(Duration::from_secs(5), closed).await.unwrap();
}

#[tokio::test]
async fn an_api_without_an_authorization_server_answers_itself() {
    let AuthorizationApi { base, token_path, .. } = AUTHORIZATION;
    let state = State::new("static", Vec::new());
    let simulator = Simulator::start(&UNSENT, state).await.unwrap();
    let token = format!("{}{base}{token_path}", simulator.base_url());
    let answer = reqwest::Client::new().post(token).send().await.unwrap();
    let text = answer.text().await.unwrap();
    assert_eq!(text, r#"{"error":403}"#);
}
