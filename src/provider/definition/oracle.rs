//! Providers in code as the oracle of those by definition: each file in `tests/definitions` defines a
//! native one, and has to read the same from every answer.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use campaign_simulator::{Fault, FaultPlan, Simulator, State, World};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::Definition;
use crate::campaign::Campaign;
use crate::campaign::window::Window;
use crate::document::Section;
use crate::document::node::Node;
use crate::provider::{Kind, Provider, Reading, native};
use crate::upstream::PollError;
use crate::upstream::answer::Answer;
use crate::upstream::request::Request;

/// Values that take the place of each value of an item.
fn hostile_values() -> Vec<Value> {
    let deep = (0..100).fold(json!(1), |inner, _| json!([inner]));
    let long = "é".repeat(300);
    json!([
        null, "", " ", -1, 0, 7, 7.0, 1.5, 1e300, 9_007_199_254_740_993_u64, "7", " 7 ", "7.0", "NaN",
        "n/a", true, false, [], {}, [1], {"a": 1}, deep, long, "Waiting", "Sent", "sms", "Viber",
        "2024-02-30 10:00:00", "2024-10-27 02:30:00", "2024-03-31 02:30:00", "2022-11-07T00:00:00.000Z"
    ])
    .as_array()
    .unwrap()
    .clone()
}

/// A native provider and its definition, as the same account.
struct Pair {
    native: Provider,
    defined: Provider,
    kind: Arc<Kind>,
    /// Why some answers mean something else to the definition.
    meant: BTreeMap<String, String>,
}

/// What both have to agree on: requests, campaigns, credits and problems, or the reason of the error.
type Outcome = (Vec<String>, Result<Read, &'static str>);

#[derive(Debug, PartialEq)]
struct Read {
    campaigns: Vec<Campaign>,
    credits: Option<f64>,
    problems: BTreeMap<String, u64>,
}

impl Pair {
    fn all(base_url: &str) -> Vec<Self> {
        let pairs = native();
        let pairs = pairs.iter().filter_map(|kind| {
            let file = root().join(format!("tests/definitions/{}.yml", kind.name));
            let text = std::fs::read_to_string(file).ok()?;
            let meant = root().join(format!("tests/definitions/{}_differences.json", kind.name));
            let definition = Definition::parse(&text).unwrap();
            let keys = kind.simulated.unwrap().account(base_url, Path::new("/t"));
            let node = Node::parse(&keys.to_string()).unwrap();
            let provider = |kind: &Arc<Kind>| {
                let mut section = Section::new("", &node).unwrap();
                Provider::read(kind, &mut section, false).unwrap()
            };
            Some(Self {
                native: provider(kind),
                defined: provider(&Arc::new(definition.kind())),
                kind: Arc::clone(kind),
                meant: serde_json::from_str(&std::fs::read_to_string(meant).unwrap()).unwrap(),
            })
        });
        let pairs: Vec<_> = pairs.collect();
        assert_eq!(pairs.len(), 2);
        pairs
    }

    /// Answers with the difference, if there is one.
    fn difference(&self, window: Window, answers: &[Answer]) -> Option<String> {
        let [native, defined] = [&self.native, &self.defined]
            .map(|provider| outcome(provider.read_saved(window, window, answers)));
        (native != defined).then(|| format!("native:  {native:?}\ndefined: {defined:?}"))
    }

    fn page(&self, items: Value) -> Answer {
        let page = self.kind.simulated.unwrap().listing().page(items);
        Answer::of(200, page.to_string())
    }

    fn file(&self, what: &str) -> Option<String> {
        std::fs::read_to_string(
            root().join(format!("tests/fixtures/{}{what}.json", self.kind.name)),
        )
        .ok()
    }
}

fn root() -> PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}

fn outcome((requests, result): (Vec<(usize, Request)>, Result<Reading, PollError>)) -> Outcome {
    let mut requests: Vec<_> = requests.iter().map(|(_, request)| address(request)).collect();
    requests.sort();
    let read = result.map(|mut reading| {
        let mut campaigns: Vec<_> = reading.take_campaigns().into_vec();
        campaigns.sort_by(|one, other| one.id.cmp(&other.id));
        let mut problems = BTreeMap::new();
        for (field, count) in reading.problems.iter() {
            // a member of something that is no object is a problem of each field below it
            let (field, is_below) =
                field.split_once('.').map_or((field, false), |(field, _)| (field, true));
            let field = field.trim_end_matches("[*]");
            let field = if field == "account" { "credits" } else { field };
            let sum = problems.entry(field.to_owned()).or_insert(0);
            *sum = if is_below { count.max(*sum) } else { *sum + count };
        }
        Read {
            campaigns: campaigns.iter().map(|campaign| trimmed(campaign)).collect(),
            credits: reading.account.credits,
            problems,
        }
    });
    (requests, read.map_err(|error| error.reason.as_str()))
}

/// White space alone is a name to one and none to the other. What cannot be read is absent, as it is
/// once it is stored.
fn trimmed(campaign: &Campaign) -> Campaign {
    let created = campaign.created_unsent();
    let cost_credits = campaign.readable_cost_credits();
    let stored = postcard::to_stdvec(campaign).unwrap();
    let stored: Campaign = postcard::from_bytes(&stored).unwrap();
    Campaign { name: campaign.name.trim().into(), created, cost_credits, ..stored }
}

/// The address with its parameters in order.
fn address(request: &Request) -> String {
    let mut query: Vec<_> = request.url.query_pairs().collect();
    query.sort();
    format!("{}{query:?}", request.url.path())
}

fn window() -> Window {
    Window::new(DateTime::UNIX_EPOCH, "2026-03-01T12:00:00Z".parse().unwrap())
}

/// Differences by the answer that shows them. Those that are meant are listed beside the definition,
/// each with its reason.
#[derive(Default)]
struct Differences(Vec<String>);

impl Differences {
    fn compare(&mut self, pair: &Pair, what: &str, window: Window, answers: &[Answer]) {
        let difference = pair.difference(window, answers);
        if let Some(found) = difference.filter(|_| !pair.meant.contains_key(what)) {
            self.0.push(format!("{}: {what}\n{found:.3000}", pair.kind.name));
        }
    }

    fn assert_none(self) {
        let (number, shown) = (self.0.len(), self.0.join("\n\n"));
        assert_eq!(number, 0, "{shown}");
    }
}

#[test]
fn fixtures_and_hostile_values_mean_the_same() {
    let mut differences = Differences::default();
    let mut compare = |pair: &Pair, what: String, saved: &[Answer]| {
        differences.compare(pair, &what, window(), saved);
    };
    for pair in Pair::all("https://api.example") {
        let sample = Answer::of(200, pair.file("").unwrap());
        compare(&pair, "sample".to_owned(), std::slice::from_ref(&sample));
        for body in credits(&pair) {
            compare(
                &pair,
                body.clone(),
                &[sample.with_body(sample.body.clone()), Answer::of(200, body)],
            );
        }
        let failures: Vec<Value> = serde_json::from_str(&pair.file("_failures").unwrap()).unwrap();
        for failure in &failures {
            let body = match &failure["body"] {
                Value::String(text) => text.clone(),
                body => body.to_string(),
            };
            for status in [200, 400, 401, 403, 404, 429, 500, 503] {
                compare(&pair, format!("{status} {body}"), &[Answer::of(status, &body)]);
            }
        }
        for file in std::fs::read_dir(root().join("fuzz/corpus/page")).unwrap() {
            let file = file.unwrap();
            let text = std::fs::read(file.path()).unwrap();
            if let Some((status, body)) = text.split_at_checked(3)
                && let Ok(status) = String::from_utf8_lossy(status).parse()
                && file.file_name().to_string_lossy().starts_with(&*pair.kind.name)
            {
                compare(&pair, format!("{:?}", file.file_name()), &[Answer::of(status, body)]);
            }
        }
        let items: Value = serde_json::from_str(&pair.file("_items").unwrap()).unwrap();
        let full = &items["full"];
        for pointer in pointers(full) {
            for value in hostile_values() {
                let mut item = full.clone();
                *item.pointer_mut(&pointer).unwrap() = value.clone();
                let shown = value.to_string().chars().take(40).collect::<String>();
                compare(&pair, format!("{pointer}: {shown}"), &[pair.page(json!([item]))]);
            }
        }
        for change in items["changes"].as_array().unwrap() {
            let mut item = full.clone();
            for (pointer, value) in change["fields"].as_object().unwrap() {
                *item.pointer_mut(pointer).unwrap() = value.clone();
            }
            compare(&pair, change.to_string(), &[pair.page(json!([item]))]);
        }
        for items in hostile_values()
            .into_iter()
            .chain([json!([full, full]), json!([full, 7, null, "x", [full]])])
        {
            compare(&pair, format!("items {items}"), &[pair.page(items)]);
        }
    }
    differences.assert_none();
}

/// Answers of the second request, about the credits, if there is one.
fn credits(pair: &Pair) -> Vec<String> {
    let Some(body) = pair.file("_credits") else { return Vec::new() };
    let mut bodies = vec![body.clone()];
    for field in ["credits", "unlimited", "postpaid"] {
        for value in hostile_values() {
            let mut body: Value = serde_json::from_str(&body).unwrap();
            body.as_object_mut().unwrap().insert(field.to_owned(), value);
            bodies.push(body.to_string());
        }
    }
    bodies
}

/// The pointers to all values within an item.
fn pointers(item: &Value) -> Vec<String> {
    let members = item.as_object().into_iter().flatten();
    members
        .flat_map(|(name, value)| {
            let below = pointers(value).into_iter().map(move |below| format!("/{name}{below}"));
            std::iter::once(format!("/{name}")).chain(below)
        })
        .collect()
}

#[tokio::test]
async fn simulated_accounts_and_faults_mean_the_same() {
    let now = Utc::now();
    let window = Window::new(now - TimeDelta::days(400), now);
    let body = |body: &str| Fault::Body { content_type: "text/plain", body: body.to_owned() };
    let status = |code| Fault::Status { code, retry_after: Some("7".to_owned()) };
    let counts = |json: &str| Fault::Counts { json: json.to_owned() };
    let mut faults: Vec<_> = [400, 401, 404, 408, 429, 500, 502, 503].map(status).into();
    faults.extend(["", "{}", "[]", "null", "<html>", "{\"a\":"].map(body));
    faults.extend(["null", "-1", "1.5", "\"7\"", "1e400", "[]", "{}", "true"].map(counts));
    faults.extend([
        Fault::QuotaExceeded,
        Fault::EchoToken,
        Fault::HalfJson,
        Fault::InvalidUtf8,
        Fault::Duplicated,
        Fault::Shuffled { seed: 7 },
        Fault::Empty,
        Fault::ItemsNotObjects,
        Fault::Moving { by: 3 },
        Fault::Deletion { items: 2 },
    ]);
    let plans = faults.into_iter().flat_map(|fault| {
        [0, 1].map(|skip| Some(FaultPlan { skip, ..FaultPlan::always(fault.clone()) }))
    });
    let mut differences = Differences::default();
    for plan in std::iter::once(None).chain(plans) {
        for kind in Pair::all("https://api.example").into_iter().map(|pair| pair.kind) {
            let api = kind.simulated.unwrap();
            let mut state = State::new("secret", World::new(api, 7, now));
            state.present = Some(now);
            state.fault.clone_from(&plan);
            let simulator = Simulator::start(api, state).await.unwrap();
            let pair = Pair::all(&simulator.base_url())
                .into_iter()
                .find(|pair| pair.kind.name == kind.name);
            let pair = pair.unwrap();
            let mut answers = Vec::new();
            loop {
                let (requests, result) = pair.native.read_saved(window, window, &answers);
                if result.is_err() || requests.len() <= answers.len() || answers.len() > 20 {
                    break;
                }
                answers.push(fetched(&requests.last().unwrap().1).await);
            }
            let what = plan.as_ref().map(|plan| format!("{:?} {}", plan.fault, plan.skip));
            differences.compare(&pair, &what.unwrap_or_default(), window, &answers);
        }
    }
    differences.assert_none();
}

async fn fetched(request: &Request) -> Answer {
    let client = reqwest::Client::new().get(request.url.clone());
    let client = client.bearer_auth("secret").header("accept", "application/json");
    let response = client.send().await.unwrap();
    let status = response.status().as_u16();
    Answer::of(status, response.bytes().await.unwrap())
}
