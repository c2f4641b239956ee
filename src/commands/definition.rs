//! The `definition` command: checks, tries, lists and shows definitions of providers.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::{Display, Write as _};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};
use serde_json::{Map, Value, json};
use serde_saphyr::Spanned;

use crate::campaign::figures::Figure;
use crate::campaign::window::Window;
use crate::campaign::{Campaign, Channel, Denominator, Ratio};
use crate::config::{Account, Config};
use crate::document::keys::{Default, Takes};
use crate::document::{Node, Place, Problem, duration_text, reading};
use crate::exposition::families;
use crate::exposition::format::Format;
use crate::provider::definition::Definition;
use crate::provider::definition::built_in::BUILT_IN;
use crate::provider::{Kind, Kinds, built_in};
use crate::redaction::guess;
use crate::state::snapshot::{Change, Data, Snapshot, Update};
use crate::upstream::Reason;
use crate::upstream::answer::Answer;
use crate::upstream::request::{Body, Request};
use crate::upstream::transport::is_private;

/// Largest file that is read, as large as the largest answer that a poll accepts.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// What to do about an answer to another request.
const FURTHER: &str = "\nIs it the next page? To leave out further pages, remove what leads to them from the \
                       saved page.";

/// Time limit for reading one.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// Checks files. The error has every problem of all of them.
pub async fn check(files: &[PathBuf]) -> anyhow::Result<()> {
    let mut problems = Vec::new();
    let mut names = HashSet::new();
    for file in files {
        let text = text(file).await;
        let checked = text.and_then(|text| Ok((parsed(&file.display().to_string(), &text)?, text)));
        match checked {
            Ok((definition, _)) if !names.insert(definition.name.clone()) => {
                problems.push(format!(
                    "{}: another file defines {} too",
                    file.display(),
                    definition.name
                ));
            }
            Ok((definition, text)) => match taken(&definition) {
                Some(problem) => problems.push(format!("{}: {problem}", file.display())),
                None => print(&described(file, &definition, &text))?,
            },
            Err(found) => problems.push(found.to_string()),
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    bail!(problems.join("\n"))
}

/// Lists the built-in definitions.
pub fn list() -> anyhow::Result<()> {
    let mut text = String::new();
    for built_in in BUILT_IN {
        let kind = parsed(built_in.name, built_in.text)?.kind();
        writeln!(text, "{:<24}{:<32}{}", built_in.name, kind.title, kind.docs)?;
    }
    print(&text)
}

/// Prints a built-in definition.
pub fn show(name: &str) -> anyhow::Result<()> {
    let found = BUILT_IN.iter().find(|definition| definition.name == name);
    let found = found.with_context(|| format!("no definition is called {name:?}"))?;
    print(found.text)
}

/// Reads saved answers by a definition, a file or the name of a built-in one.
pub async fn try_answers(
    definition: &Path,
    answers: &[PathBuf],
    settings: &[(String, String)],
) -> anyhow::Result<()> {
    let name = definition.to_str().unwrap_or_default();
    let built_in = BUILT_IN.iter().find(|built_in| built_in.name == name);
    let definition = if let Some(built_in) = built_in {
        parsed(name, built_in.text)?
    } else {
        let definition = load(definition).await?;
        print(&warnings(&definition))?;
        definition
    };
    let mut saved = Vec::new();
    for file in answers {
        let body = read(file).await?;
        let answer = saved_answer(&body).with_context(|| file.display().to_string())?;
        saved.push((file.display().to_string(), answer));
    }
    print(&trial(&definition, saved, settings, Utc::now())?)
}

/// A saved answer: its body, or all of it as `curl -i` prints it, with the headers of interim answers,
/// proxies and redirects before those of the last one.
fn saved_answer(saved: &[u8]) -> anyhow::Result<Answer> {
    const BEGIN: &[u8] = b"HTTP/";
    let mut answer = Answer::of(200, []);
    let mut rest = saved.strip_prefix("\u{feff}".as_bytes()).unwrap_or(saved);
    while rest.starts_with(BEGIN) {
        let ends = ["\r\n\r\n", "\n\n"].into_iter().filter_map(|end| {
            let at = rest.windows(end.len()).position(|bytes| bytes == end.as_bytes())?;
            Some((at, at + end.len()))
        });
        let (end, begin) = ends.min().unwrap_or((rest.len(), rest.len()));
        let (head, body) = (rest.get(..end), rest.get(begin..));
        let head = String::from_utf8_lossy(head.unwrap_or_default());
        let mut lines = head.lines();
        let line = lines.next().unwrap_or_default();
        let status = line.split_whitespace().nth(1).and_then(|status| status.parse().ok());
        let status = status.filter(|status| (100..1000).contains(status));
        answer = Answer::of(status.with_context(|| format!("no status in {line:?}"))?, []);
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let name = HeaderName::from_bytes(name.trim().as_bytes());
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value.trim())) {
                answer.headers.append(name, value);
            }
        }
        rest = body.unwrap_or_default();
    }
    answer.body = Bytes::copy_from_slice(rest);
    Ok(answer)
}

/// What a poll makes of saved answers: the requests, the campaigns, the metrics, and what could not be
/// read.
pub fn trial(
    definition: &Definition,
    answers: Vec<(String, Answer)>,
    settings: &[(String, String)],
    now: DateTime<Utc>,
) -> anyhow::Result<String> {
    let (names, answers): (Vec<_>, Vec<_>) = answers.into_iter().unzip();
    let account = account(definition.clone().kind(), settings)?;
    let lookback = account.polling.lookback;
    let asked = Window::ending(now, lookback);
    // saved answers are old
    let all = Window::new(DateTime::UNIX_EPOCH, now);
    let (requests, result) = account.provider.read_saved(asked, all, &answers);
    let parts = requests.iter().map(|(part, _)| *part);
    let mut unused = definition.unused(&parts.zip(&answers).collect::<Vec<_>>());
    let mut text = asked_and_answered(&requests, &names)?;
    if answers.is_empty() {
        return Ok(text);
    }
    let mut reading = match result {
        Ok(reading) => reading,
        Err(error) => {
            print(&text)?;
            let mut answered = requests.iter().take(names.len()).rev().map(|(part, _)| part);
            let is_further = answered.next().is_some_and(|part| answered.next() == Some(part));
            let hint = if is_further && error.reason == Reason::Decode { FURTHER } else { "" };
            bail!("{} ({}){hint}", error.message, error.reason.as_str());
        }
    };
    let mut campaigns = reading.take_campaigns().into_vec();
    unused.extend(unknown_channels(definition, &campaigns));
    campaigns.sort_by(|a, b| b.date().cmp(&a.date()).then_with(|| a.id.cmp(&b.id)));
    text.push_str(&table(&campaigns)?);
    let is_older = |campaign: &&Arc<Campaign>| {
        let date = campaign.date().or_else(|| campaign.created_unsent());
        date.is_some_and(|date| date < asked.start)
    };
    let older = campaigns.iter().filter(is_older).count();
    if older > 0 {
        let lookback = duration_text(lookback);
        writeln!(text, "\nA poll leaves out {older}: older than the lookback of {lookback}")?;
    }
    let doubts = doubtful_ratios(&campaigns);
    let mut snapshot = Snapshot::of(std::slice::from_ref(&account));
    let data = Data {
        campaigns,
        credits: reading.account.credits,
        balance: reading.account.balance,
        ..Data::default()
    };
    let update = Update::new(&account, Ok(data));
    snapshot.apply(Change::Polled(Box::new(update)));
    writeln!(text)?;
    let metrics = families::render(&snapshot, Format::Text);
    for line in metrics.lines().filter(|line| is_of_data(line)) {
        writeln!(text, "{line}")?;
    }
    if !reading.problems.is_empty() {
        writeln!(text, "\ncould not read {}", reading.problems)?;
    }
    if !doubts.is_empty() {
        writeln!(text, "\n{}", doubts.join("\n"))?;
    }
    if !unused.is_empty() {
        writeln!(text, "\nTo check:\n  {}", unused.join("\n  "))?;
    }
    Ok(text)
}

fn unknown_channels(definition: &Definition, campaigns: &[Arc<Campaign>]) -> Vec<String> {
    let channels: BTreeSet<_> = campaigns.iter().map(|campaign| &campaign.channel).collect();
    let unknown = channels.into_iter().filter(|channel| !definition.channels().contains(channel));
    unknown.map(|it| format!("channel {:?} is not among `channels`", it.as_str())).collect()
}

/// The requests, and the names of the answers to them.
fn asked_and_answered(requests: &[(usize, Request)], names: &[String]) -> anyhow::Result<String> {
    let mut text = String::new();
    let mut names = names.iter();
    for (_, Request { url, body, .. }) in requests {
        match body {
            None => writeln!(text, "GET {url}")?,
            Some(Body::Json(json)) => writeln!(text, "POST {url}\n  {json}")?,
            Some(Body::Form(fields)) => {
                let fields = fields.iter().map(|(name, value)| format!("{name}={value}"));
                writeln!(text, "POST {url}\n  {}", fields.collect::<Vec<_>>().join("&"))?;
            }
        }
        match names.next() {
            Some(name) => writeln!(text, "  answered by {name}")?,
            None => writeln!(text, "  has no answer; what would follow it is left out")?,
        }
    }
    for name in names {
        writeln!(text, "{name} is not needed")?;
    }
    Ok(text)
}

/// The first value above 1 of each ratio.
fn doubtful_ratios(campaigns: &[Arc<Campaign>]) -> Vec<String> {
    let (mut doubts, mut computed) = (BTreeMap::new(), BTreeMap::new());
    for campaign in campaigns {
        for ratio in Ratio::ALL {
            let parts = ratio.parts(campaign);
            if let Some(parts) = parts.filter(|(numerator, denominator)| numerator > denominator) {
                computed.entry(ratio.name()).or_insert((parts, *ratio, &campaign.id));
            }
        }
        for (figure, value) in campaign.figures.iter() {
            if let Figure::Ratio(ratio) = figure
                && value > 1.0
            {
                doubts.entry(ratio.name()).or_insert((value, &campaign.id));
            }
        }
    }
    let doubts = doubts.into_iter().map(|(ratio, (value, id))| {
        format!("reported_ratios: {ratio} of {id:?} is {value}, above 1: is it a `percent`?")
    });
    let computed = computed.into_values().map(|((numerator, denominator), ratio, id)| {
        let (count, of) = ratio.counts();
        let of = match of {
            Denominator::Attempted => "attempted",
            Denominator::Deliveries => "deliveries",
        };
        let count = count.name();
        format!(
            "{count} of {id:?} are {numerator}, more than the {denominator} {of}: are both right?"
        )
    });
    doubts.chain(computed).collect()
}

/// Whether a line of an exposition is a sample that depends on the answers.
fn is_of_data(line: &str) -> bool {
    let of_account = ["up", "poll_", "lookback_", "last_", "campaigns_dropped"];
    match line.strip_prefix("campaign_account_") {
        Some(rest) => !of_account.iter().any(|start| rest.starts_with(start)),
        None => line.starts_with("campaign_") && !line.starts_with("campaign_exporter_"),
    }
}

/// An account with the settings that were given. Required ones that were not are made up.
fn account(kind: Kind, settings: &[(String, String)]) -> anyhow::Result<Account> {
    let is_set = |name: &str| settings.iter().any(|(set, _)| set == name);
    let mut keys = Map::new();
    keys.insert("name".to_owned(), json!("trial"));
    keys.insert("provider".to_owned(), json!(&*kind.name));
    let labels: Vec<_> = kind.info_label_names().map(ToString::to_string).collect();
    keys.insert("info_labels".to_owned(), json!(labels));
    for key in kind.keys.iter().filter(|key| key.default == Default::Required) {
        let (name, value) = match key.takes {
            Takes::Secret if is_set(&format!("{}_file", key.name)) => continue,
            Takes::Secret => (format!("{}_env", key.name), json!("TOKEN")),
            Takes::Url => (key.name.to_string(), json!("https://api.example.com")),
            Takes::Integer(least, _) => (key.name.to_string(), json!(least)),
            Takes::TimeZone => (key.name.to_string(), json!("UTC")),
            _ => (key.name.to_string(), json!(key.name)),
        };
        keys.insert(name, value);
    }
    for (name, value) in settings {
        let number = value.parse::<u64>().ok().filter(|_| {
            let mut known = kind.keys.iter();
            known.any(|key| key.name == *name && matches!(key.takes, Takes::Integer(..)))
        });
        keys.insert(name.clone(), number.map_or_else(|| json!(value), Value::from));
    }
    let kinds: Kinds = [Arc::new(kind)].into_iter().collect();
    let yaml = json!({ "accounts": [keys] }).to_string();
    let mut config = Config::parse(&yaml, &kinds, None).map_err(|problems| {
        let problems = problems.iter().map(|problem| {
            let key = problem.path.trim_start_matches("accounts[0].");
            format!("{key}: {}", problem.message)
        });
        anyhow!("{}", problems.collect::<Vec<_>>().join("; "))
    })?;
    config.accounts.pop().context("there is no account")
}

/// The campaigns as a table.
fn table(campaigns: &[Arc<Campaign>]) -> anyhow::Result<String> {
    let time = |time: Option<DateTime<Utc>>| {
        time.map_or_else(|| "-".to_owned(), |time| time.to_rfc3339_opts(SecondsFormat::Secs, true))
    };
    let head = ["ID", "CHANNEL", "STATUS", "DATE", "NAME", "COUNTS"].map(str::to_owned);
    let rows = campaigns.iter().map(|campaign| {
        let counts = campaign.counts.iter();
        let counts = counts.map(|(count, value)| format!("{}={value}", count.name()));
        [
            campaign.id.escape_debug().to_string(),
            campaign.channel.as_str().to_owned(),
            campaign.status.map_or("-", crate::campaign::Status::as_str).to_owned(),
            time(campaign.date()),
            campaign.name.escape_debug().to_string().replace("\\\"", "\"").replace("\\'", "'"),
            counts.collect::<Vec<_>>().join(" "),
        ]
    });
    let rows: Vec<_> = [head].into_iter().chain(rows).collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let mut text = format!("\n{} campaigns\n", campaigns.len());
    for row in &rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            write!(line, "{cell:<width$}  ", width = width(column))?;
        }
        writeln!(text, "{}", line.trim_end())?;
    }
    Ok(text)
}

fn parsed(shown: &str, text: &str) -> anyhow::Result<Definition> {
    Definition::parse(text).map_err(|problems| {
        let problems = problems.iter().map(|problem| format!("{shown}:{problem}"));
        anyhow!("{}", problems.collect::<Vec<_>>().join("\n"))
    })
}

async fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    let read = reading::read(file, MAX_BYTES, READ_TIMEOUT).await;
    // the whole error is in its text
    read.map_err(|error| anyhow!("{} {error}", file.display()))
}

/// Reads and checks a definition. The error has every problem with its place.
pub(super) async fn load(file: &Path) -> anyhow::Result<Definition> {
    parsed(&file.display().to_string(), &text(file).await?)
}

async fn text(file: &Path) -> anyhow::Result<String> {
    let text = String::from_utf8(read(file).await?);
    text.with_context(|| format!("{} is not UTF-8", file.display()))
}

/// What to know of a valid definition.
fn described(file: &Path, definition: &Definition, text: &str) -> String {
    let (file, name) = (file.display(), &definition.name);
    let known = Channel::KNOWN.each_ref().map(Channel::as_str).join(", ");
    let others = definition.channels().iter().filter(|channel| !Channel::KNOWN.contains(channel));
    let notes = others.map(|channel| {
        let word = channel.as_str();
        format!("{file}: channel {word:?} is not among {known}; it is exported all the same\n")
    });
    let valid = format!("{file}: {name} is valid\n");
    [valid].into_iter().chain(notes).collect::<String>()
        + &warnings(definition)
        + &secrets(&file, text)
}

/// What keeps a valid definition from being used, or makes that unsafe.
fn warnings(definition: &Definition) -> String {
    let name = &definition.name;
    let mut lines = Vec::from_iter(taken(definition));
    if definition.replaces && built_in().get(name).is_none() {
        lines.push(format!("replaces_built_in: nothing built in is called {name}"));
    }
    lines.extend(definition.counted_twice().map(|count| {
        let count = count.name();
        format!("{count}: a list and details both have it; the value of the details counts")
    }));
    let base_url = definition.base_url.as_ref().and_then(|url| Url::parse(url).ok());
    if base_url.is_some_and(|url| !is_private(&url)) {
        lines.push("base_url is http: the secret travels unencrypted".to_owned());
    }
    lines.into_iter().map(|line| line + "\n").collect()
}

/// Why a definition cannot have its name, if it is that of a built-in one.
fn taken(definition: &Definition) -> Option<String> {
    let Definition { name, replaces, .. } = definition;
    let is_taken = built_in().get(name).is_some() && !replaces;
    is_taken
        .then(|| format!("{name} is built in; choose another name, or set replaces_built_in: true"))
}

/// Where a definition seems to have a secret.
fn secrets(file: &impl Display, text: &str) -> String {
    let mut places = Vec::new();
    if let Ok(root) = Node::parse(text) {
        find_secrets(&root, &mut places);
    }
    let secrets = places.iter().map(|place| {
        let message = "looks like a secret: let the configuration name its file or variable";
        let problem =
            Problem { place: Some(*place), path: String::new(), message: message.to_owned() };
        format!("{file}:{problem}\n")
    });
    secrets.collect()
}

/// Finds the values that look like secrets. The queries and fragments of addresses lead into documents.
fn find_secrets(node: &Spanned<Node>, found: &mut Vec<Place>) {
    match &node.value {
        Node::Text(text) => {
            let text = text.split(['?', '#']).next().unwrap_or_default();
            // in a path, each segment by itself
            if guess::looks_secret(text) || text.split('/').any(guess::looks_secret) {
                found.push(Place::of(node));
            }
        }
        Node::List(items) => items.iter().for_each(|item| find_secrets(item, found)),
        Node::Map(entries) => entries.iter().for_each(|(_, value)| find_secrets(value, found)),
        Node::Null | Node::Bool(_) | Node::Integer(_) | Node::Float(_) => {}
    }
}

fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    written.context("cannot write to standard output")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The names in a folder without an ending, in their order.
    fn names(folder: &Path, ending: &str) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
        let entries = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let names = entries.filter_map(|name| Some(name.strip_suffix(ending)?.to_owned()));
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    const TRIED: &str = "
name: x
title: X
documentation: https://x.example
base_url: https://x.example
auth: {in: bearer}
channels: [sms]
time_format: unix
times: {since: {of: window_start, format: '%Y-%m-%d'}}
lists:
  get: /x
  query: {since: '{since}'}
  items: $.x[*]
  paging: {by: cursor, parameter: after, next: $.page.after, size: 2}
  campaign:
    id: $.id
    last_sent: $.at
    reported_ratios: {click: $.rate}
details:
  get: /x/{ids}
  campaign: {counts: {sends: $.n}}
account: {get: /me, credits: $.left}
";

    /// What `try` says of these answers.
    fn tried(yaml: &str, answers: &[Value]) -> anyhow::Result<String> {
        let answers =
            answers.iter().map(|body| ("a".to_owned(), Answer::of(200, body.to_string())));
        let now = "2026-11-28T12:00:00Z".parse().unwrap();
        trial(&parsed("x", yaml).unwrap(), answers.collect(), &[], now)
    }

    #[test]
    fn an_answer_to_another_request_may_be_taken_for_the_next_page() {
        let list = json!({"page": {"after": "b"}, "x": [{"id": "a"}]});
        let details = json!({"n": 1});
        let error = tried(TRIED, &[list, details.clone()]).unwrap_err().to_string();
        assert!(error.contains("Is it the next page?"), "{error}");
        let error = tried(TRIED, &[details]).unwrap_err().to_string();
        assert!(!error.contains("Is it the next page?"), "{error}");
    }

    #[tokio::test]
    async fn an_answer_may_be_saved_with_its_headers() {
        let folder = tempfile::tempdir().unwrap();
        let save = |name: &str, text: &str| {
            let file = folder.path().join(name);
            fs::write(&file, text).unwrap();
            file
        };
        let definition = save(
            "x.yml",
            &TRIED.replace("by: cursor, parameter: after, next: $.page.after", "by: link_header"),
        );
        let link = "Link: <https://x.example/x?p=2>; rel=\"next\"";
        let body = r#"{"x":[]}"#;
        for (text, expected) in [
            (format!("HTTP/2 200 \r\nserver: x\r\n{link}\r\n\r\n{body}"), "/x?p=2\n"),
            (format!("HTTP/1.1 200 OK\n{link}\n\n{body}"), "/x?p=2\n"),
            (body.to_owned(), "/me\n"),
            (format!("HTTP/1.1 200 OK\n{link}\n\n{{\"x\":[\r\n\r\n]}}"), "/x?p=2\n"),
            (
                format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/2 200\r\n{link}\r\n\r\n{body}"),
                "/x?p=2\n",
            ),
            ("HTTP/1.1 401 Unauthorized\r\n\r\n{}".to_owned(), "HTTP 401 (auth)"),
            ("\u{feff}HTTP/1.1  401 x\r\nY: \u{e9}".to_owned(), "HTTP 401 (auth)"),
            (format!("HTTP/1.1 200 x\r\n\r\nHTTP/2 401\r\n\r\n{body}"), "HTTP 401 (auth)"),
        ] {
            let answer = read(&save("a", &text)).await.unwrap();
            let answers = vec![("a".to_owned(), saved_answer(&answer).unwrap())];
            let read = trial(&load(&definition).await.unwrap(), answers, &[], Utc::now());
            let shown = read.unwrap_or_else(|error| error.to_string());
            assert!(shown.contains(expected), "{text}: {shown}");
        }
        let saved = [b"HTTP/1.1 401 \xe9\r\n\r\n{}".as_slice(), b"HTTP/2 99999\r\n\r\n{}"];
        let [good, bad] = saved.map(saved_answer);
        assert_eq!(good.unwrap().status, 401);
        assert!(bad.unwrap_err().to_string().starts_with("no status in"));
    }

    #[test]
    fn a_setting_can_tell_where_the_secret_is() {
        let settings = [("token_file".to_owned(), "t".to_owned())];
        let definition = parsed("x", TRIED).unwrap();
        let text = trial(&definition, Vec::new(), &settings, Utc::now()).unwrap();
        assert!(text.starts_with("GET https://x.example/x?since="), "{text}");
        let lookback = [("lookback".to_owned(), "Mars".to_owned())];
        let error = trial(&definition, Vec::new(), &lookback, Utc::now()).unwrap_err().to_string();
        assert!(error.starts_with("lookback: "), "{error}");
    }

    #[tokio::test]
    async fn a_name_is_defined_once() {
        let folder = tempfile::tempdir().unwrap();
        let files = ["a.yml", "b.yml"].map(|name| folder.path().join(name));
        for file in &files {
            fs::write(file, TRIED).unwrap();
        }
        assert!(check(&files[..1]).await.is_ok());
        let error = check(&files).await.unwrap_err().to_string();
        assert!(error.ends_with("b.yml: another file defines x too"), "{error}");
        let taken = TRIED.replace("name: x", &format!("name: {}", BUILT_IN[0].name));
        fs::write(&files[0], taken).unwrap();
        let error = check(&files[..1]).await.unwrap_err().to_string();
        assert!(error.contains("is built in; choose another name"), "{error}");
    }

    #[test]
    fn try_says_what_is_doubtful() {
        let list = json!({"page": {"next": "b"}, "x": [
            {"id": "a\n1", "at": 1_795_000_000, "rate": 97.5},
            {"id": "b", "at": 1_700_000_000, "rate": 0.5},
        ]});
        let text = tried(TRIED, &[list.clone(), json!({"credits": 1})]).unwrap();
        for line in [
            "GET https://x.example/x?since=2026-10-29",
            r"a\n1 ",
            "A poll leaves out 1: older than the lookback of 30d",
            r#"reported_ratios: click of "a\n1" is 97.5, above 1: is it a `percent`?"#,
            "a page is full (2 items), but `$.page.after` has no value, so it is taken for the last page",
            "the account has no `left`",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        // details were not asked for yet
        assert!(!text.contains("no answer has a list"), "{text}");
        let counts = "reported_ratios: {click: $.rate}, counts: {sends: $.n, deliveries: $.ok}";
        let counted = TRIED.replace(
            "    reported_ratios: {click: $.rate}",
            &format!("    {}", counts.replace(", counts", "\n    counts")),
        );
        let total = TRIED.replace(
            "{by: cursor, parameter: after, next: $.page.after, size: 2}",
            "{by: offset, parameter: after, size: 2, stop: {total: $.count}}",
        );
        let text = tried(&total, &[json!({"count": 2, "x": [{"id": "a"}, {"id": "b"}]})]).unwrap();
        let doubt = "`$.count` is the number of items on a full page: is it that of all items?";
        assert!(text.contains(doubt), "{text}");
        let over = json!({"x": [{"id": "a", "n": 2, "ok": 3}]});
        let text = tried(&counted, &[over]).unwrap();
        let doubt = r#"deliveries of "a" are 3, more than the 2 attempted: are both right?"#;
        assert!(text.contains(doubt), "{text}");
        let short = json!({"x": [{"id": "a", "at": 1_795_000_000_000_u64}]});
        let text = tried(TRIED, &[short]).unwrap();
        for line in [
            "no page has `$.page.after`",
            "could not read at: 1 value, 1795000000000: not a time in its format",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        let rows = TRIED.replace("account:", "unused:").split("lists:").next().unwrap().to_owned()
            + "lists:\n  - {get: /x, query: {since: '{since}'}, items: '$.x[*]', campaign: {id: $.id}}\n  \
               - {get: /y, items: '$.x[*]', completes: true, sum_rows: true, campaign: {id: $.id}}\n";
        let text =
            tried(&rows, &[json!({"x": [{"id": "a"}]}), json!({"x": [{"id": "a"}, {"id": "a"}]})]);
        assert!(!text.unwrap().contains("is the id of several items"));
        let channel = TRIED
            .replace("    id: $.id\n", "    id: $.id\n    name: $.n\n    channel: {path: $.c}\n");
        let carrier = json!({"x": [{"id": "a", "c": "Carrier", "n": "\"it's\""}]});
        let text = tried(&channel, &[carrier]).unwrap();
        assert!(text.contains("\nTo check:\n"), "{text}");
        assert!(text.contains("channel \"carrier\" is not among `channels`"), "{text}");
        assert!(text.contains(" \"it's\""), "{text}");
        let twice = json!({"page": {"after": null}, "x": [{"id": "a"}, {"id": "a"}]});
        let text = tried(TRIED, &[twice]).unwrap();
        assert!(text.contains("\"a\" is the id of several items"), "{text}");
    }

    #[test]
    fn a_valid_definition_may_not_be_usable() {
        let name = BUILT_IN[0].name;
        let yaml = TRIED.replace("name: x", &format!("name: {name}"));
        let yaml = yaml.replace("https://x.e", "http://x.e");
        let found = described(Path::new("f.yml"), &parsed("f.yml", &yaml).unwrap(), &yaml);
        assert!(found.contains(&format!("{name} is built in")), "{found}");
        assert!(found.contains("base_url is http: the secret travels unencrypted"), "{found}");
        let none = yaml.replace(&format!("name: {name}"), "replaces_built_in: true\nname: x");
        let counts = "campaign: {counts: {sends: $.n}}";
        let twice = none.replace("    id: $.id\n", "    id: $.id\n    counts: {sends: $.s}\n");
        assert!(twice.contains(counts));
        let found = described(Path::new("f.yml"), &parsed("f.yml", &twice).unwrap(), &twice);
        assert!(found.contains("replaces_built_in: nothing built in is called x"), "{found}");
        assert!(found.contains("sends: a list and details both have it"), "{found}");
        let replaces = yaml.replace("name: ", "replaces_built_in: true\nname: ");
        let found = described(Path::new("f.yml"), &parsed("f.yml", &replaces).unwrap(), &replaces);
        assert!(!found.contains("built in"), "{found}");
    }

    /// `INSTA_UPDATE=always` rewrites what is expected.
    #[test]
    fn a_secret_in_a_definition_is_found() {
        let places = |text: &str| {
            let mut places = Vec::new();
            find_secrets(&Node::parse(text).unwrap(), &mut places);
            places.len()
        };
        let text = "headers: {Authorization: Bearer Zq81Kpw3Lm5Rt7Xn9Bv2}\ntitle: Zq81Kpw3Lm5Rt7Xn9Bv2\n\
                    auth: {name: X-Api-Key}\nlists: [Zq81Kpw3Lm5Rt7Xn9Bv2]\n\
                    get: /v1/Zq81Kpw3Lm5Rt7Xn9Bv2/c\nquery: {key: Zq81Kpw3Lm5Rt7Xn9Bv2}\n";
        assert_eq!(places(text), 5);
        for built_in in BUILT_IN {
            assert_eq!(places(built_in.text), 0, "{}", built_in.name);
        }
    }

    #[test]
    fn every_definition_in_the_folder_reads_its_samples() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("providers");
        let listed: Vec<_> = BUILT_IN.iter().map(|built_in| built_in.name).collect();
        assert_eq!(names(&folder, ".yml"), listed);
        let now = "2026-11-28T12:00:00Z".parse().unwrap();
        let is_update = std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always");
        for built_in in BUILT_IN {
            let name = built_in.name;
            let samples = folder.join("samples").join(name);
            let answers = names(&samples, ".json").into_iter().map(|sample| {
                let sample = sample + ".json";
                let body = fs::read(samples.join(&sample)).unwrap();
                (sample, Answer::of(200, body))
            });
            let definition = parsed(name, built_in.text).unwrap();
            assert_eq!(definition.name, name);
            let kind = definition.clone().kind();
            let settings = [("currency".to_owned(), "EUR".to_owned())];
            let settings =
                settings.iter().filter(|_| kind.keys.iter().any(|key| key.name == "currency"));
            let settings: Vec<_> = settings.cloned().collect();
            let read = trial(&definition, answers.collect(), &settings, now);
            let read = read.unwrap_or_else(|error| panic!("{name}: {error}"));
            let expected = samples.join("expected.txt");
            if is_update {
                fs::write(&expected, &read).unwrap();
            }
            assert_eq!(read, fs::read_to_string(expected).unwrap(), "{name}");
            for problem in ["has no answer", "is not needed", "could not read"] {
                assert!(!read.contains(problem), "{name}: {read}");
            }
        }
    }
}
