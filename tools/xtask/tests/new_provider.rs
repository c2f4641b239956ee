//! A provider needs a kind, a source and an entry in the list: this one exists here alone, and is
//! configured, polled, exported, simulated, shown and documented.

#![expect(clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use campaign_exporter::campaign::counts::{Count, Counts};
use campaign_exporter::campaign::window::Window;
use campaign_exporter::campaign::{self, Channel};
use campaign_exporter::commands::signals::StopSignals;
use campaign_exporter::commands::{daemon, demo, init};
use campaign_exporter::config::Config;
use campaign_exporter::document::Section;
use campaign_exporter::document::keys::{Key, Takes};
use campaign_exporter::document::values::Values;
use campaign_exporter::provider::source::{Ask, Found, Listed, Page, Read, Source};
use campaign_exporter::provider::{Connection, Kind, Kinds, QuotaScope, native};
use campaign_exporter::telemetry::Telemetry;
use campaign_exporter::upstream::PollError;
use campaign_exporter::upstream::answer::Answer;
use campaign_exporter::upstream::auth::Auth;
use campaign_exporter::upstream::quota::Limits;
use campaign_exporter::web::listeners::Listen;
use campaign_exporter::web::protection::configuration::WebConfig;
use campaign_exporter::web::routes::Routes;
use campaign_simulator::{Api, Habits, Request, State, answer};
use chrono::{DateTime, Utc};
use reqwest::header::{HeaderMap, HeaderName};
use serde_json::{Value, json};
use testkit::exposition::{Format, parse};
use tokio::task::JoinSet;

const LIMIT: Duration = Duration::from_mins(1);

/// Carrier pigeons: a list of flights, whose counts are details.
fn pigeon() -> Kind {
    Kind {
        name: "pigeon".into(),
        title: "Pigeon Post".into(),
        channels: vec![Channel::from_word("pigeon")],
        counts: vec![(Count::Recipients, "`lofts`".into()), (Count::Deliveries, "`landed`".into())],
        missing_counts: Vec::new(),
        statuses: Vec::new(),
        failures: Vec::new(),
        info_labels: Vec::new(),
        rates: Vec::new(),
        fields: Vec::new(),
        extras: vec![("campaign_info", "`flight`".into())],
        limits: Limits::default(),
        quota: QuotaScope::Account,
        keys: vec![
            Key::required("base_url", Takes::Url, "The address of the pigeon loft."),
            Key::required("whistle", Takes::Secret, "What the pigeons listen to."),
        ],
        open: Box::new(open),
        docs: "https://pigeon.example/flights".into(),
        requests: vec![
            ("base_url", "GET /flights".into()),
            ("base_url", "GET /flights/{flight}".into()),
        ],
        notes: "## How to get credentials\n\nWhistle.".into(),
        demo_account: "roof".into(),
        file: None,
        simulated: Some(&Loft),
    }
}

fn open(values: &Values, _section: &mut Section<'_>, _storage: bool) -> Option<Connection> {
    Some(Connection {
        base_url: values.url("base_url")?.clone(),
        headers: HeaderMap::new(),
        auth: Auth::Header {
            name: HeaderName::from_static("x-whistle"),
            prefix: "".into(),
            value: values.secret("whistle")?.clone(),
        },
        channels: vec![Channel::from_word("pigeon")],
        identity: None,
        variant: String::new(),
        source: Arc::new(Flights),
    })
}

#[derive(Debug)]
struct Flights;

impl Source for Flights {
    fn begin(&self, _window: Window) -> Vec<Ask> {
        vec![Ask::path("/flights")]
    }

    fn take(&self, _: Read<'_>, ask: &Ask, answer: &Answer) -> Result<Page, PollError> {
        if answer.status != 200 {
            return Err(answer.status_error(&["coo"]));
        }
        let body: Value = answer.json()?;
        if let [id] = ask.about.as_slice() {
            let counts = Counts::from([
                (Count::Recipients, body["lofts"].as_u64()),
                (Count::Deliveries, body["landed"].as_u64()),
            ]);
            let mut page = Page::default();
            let details =
                campaign::Campaign { id: id.clone(), counts, ..campaign::Campaign::default() };
            page.found.push(Found::Details(Arc::new(details)));
            return Ok(page);
        }
        let flights = body["flights"].as_array();
        let flights = flights.ok_or_else(|| answer.without("`flights`", &["coo"]))?;
        let mut page = Page { items: flights.len(), ..Page::default() };
        for id in flights.iter().filter_map(Value::as_str) {
            let flight = campaign::Campaign {
                id: id.to_owned(),
                name: format!("Flight {id}").into(),
                channel: Channel::from_word("pigeon"),
                ..campaign::Campaign::default()
            };
            page.found.push(Found::Campaign(Listed::New(Arc::new(flight), None)));
            let details = Ask::path(format!("/flights/{id}"));
            page.then.push(details.about(vec![id.to_owned()]));
        }
        Ok(page)
    }
}

#[derive(Debug)]
struct Loft;

impl Api for Loft {
    fn provider(&self) -> &'static str {
        "pigeon"
    }

    fn answer(&self, state: &mut State, _now: DateTime<Utc>, request: &Request) -> answer::Answer {
        let whistle = request.headers.get("x-whistle");
        if whistle.is_none_or(|whistle| whistle.as_bytes() != state.token.as_bytes()) {
            return self.error(401);
        }
        match request.path() {
            "/flights" => answer::Answer::json(200, json!({ "flights": ["a", "b"] })),
            "/flights/a" => answer::Answer::json(200, json!({ "lofts": 4, "landed": 3 })),
            _ => answer::Answer::json(200, json!({ "lofts": 9 })),
        }
    }

    fn error(&self, status: u16) -> answer::Answer {
        answer::Answer::json(status, json!({ "coo": "no" }))
    }

    fn counts(&self) -> &'static [&'static str] {
        &["lofts", "landed"]
    }

    fn habits(&self) -> Habits {
        Habits {
            stream: 3,
            channels: &[],
            unsent: false,
            bad_days: false,
            texts: false,
            id: |index, _| index.to_string(),
        }
    }

    fn account(&self, base_url: &str, token_file: &Path) -> Value {
        json!({ "provider": "pigeon", "base_url": base_url, "whistle_file": token_file })
    }
}

fn kinds() -> Kinds {
    let native = native();
    let native = native.iter().map(Arc::clone);
    native.chain([Arc::new(pigeon())]).collect()
}

#[tokio::test]
async fn a_new_provider_is_polled_exported_and_shown() {
    // a port that was free a moment ago
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let options = daemon::Options {
        kinds: kinds(),
        config_file: "unused".into(),
        storage: None,
        listen: Listen::Addresses(vec![address.to_string()]),
        web_config_file: None,
        routes: Routes::default(),
        lifecycle: false,
        shard: None,
    };
    let (telemetry, signals) = (Telemetry::new().unwrap(), StopSignals::new().unwrap());
    let second = Duration::from_secs(1);
    let daemon = demo::run(options, WebConfig::default(), telemetry, signals, 1, second);
    let mut tasks = JoinSet::new();
    tasks.spawn(daemon);
    let get = async |path: &str| {
        let answer = reqwest::get(format!("http://{address}{path}")).await.ok()?;
        answer.text().await.ok()
    };
    let polled = async {
        loop {
            let metrics = get("/metrics?provider=pigeon").await.unwrap_or_default();
            if metrics.contains("campaign_recipients") {
                return metrics;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let metrics = tokio::time::timeout(LIMIT, polled).await.unwrap();
    let families = parse(&metrics, Format::Text).unwrap();
    let value = |name: &str, id: &str| {
        let family = families.iter().find(|family| family.name == name)?;
        let own = [
            ("provider", "pigeon"),
            ("account", "roof"),
            ("channel", "pigeon"),
            ("campaign_id", id),
        ];
        let own = own.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let sample = family.samples.iter().find(|sample| sample.labels == own)?;
        Some(sample.value)
    };
    assert_eq!(value("campaign_recipients", "a"), Some(4.0));
    assert_eq!(value("campaign_recipients", "b"), Some(9.0));
    assert_eq!(value("campaign_delivery_ratio", "a"), Some(0.75));
    assert_eq!(value("campaign_deliveries", "b"), None);

    let all = get("/metrics").await.unwrap();
    for kind in kinds().iter() {
        let up = format!("campaign_account_up{{provider=\"{}\"", kind.name);
        assert!(all.contains(&up), "{up}");
    }
    assert!(get("/status").await.unwrap().contains("roof"));
    assert!(get("/config").await.unwrap().contains("whistle_file"));
    assert!(get("/sd").await.unwrap().contains("pigeon"));
}

#[tokio::test]
async fn a_new_provider_is_documented() {
    let files = xtask::manual::files(&kinds()).await.unwrap();
    let text = |path: &str| {
        let mut files = files.iter();
        let (_, text) = files.find(|(name, _)| name == path).unwrap();
        text.clone()
    };
    let page = text("docs/providers/pigeon.md");
    for part in [
        "# Pigeon Post",
        "Whistle.",
        "| `campaign_recipients` | `lofts` |",
        "| `campaign_delivery_ratio` | `campaign_deliveries` / `campaign_attempted` |",
        "| `whistle_file` | path | required |",
        "| `base_url` | `GET /flights/{flight}` |",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
    assert!(text("README.md").contains("docs/providers/pigeon.md"));
    let configuration = init::configuration(&kinds(), &["pigeon".to_owned()]);
    let config = Config::parse(&configuration, &kinds(), None).unwrap();
    assert_eq!(config.accounts[0].name, "pigeon");
    assert!(configuration.contains("\n    whistle_file: "), "{configuration}");
    let schema: Value = serde_json::from_str(&text("docs/config.schema.json")).unwrap();
    let accounts = &schema["properties"]["accounts"]["items"]["oneOf"];
    let providers: Vec<_> = accounts.as_array().unwrap().iter().collect();
    // and any that a definition adds
    assert_eq!(providers.len(), kinds().iter().count() + 1);
    assert!(providers.iter().any(|account| account["properties"]["provider"]["const"] == "pigeon"));
}
