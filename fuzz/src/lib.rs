//! Shared code of the fuzz targets: accounts, and invariants of decoded pages.

use std::sync::LazyLock;

use campaign_exporter::campaign::counts::MAX_COUNT;
use campaign_exporter::campaign::history::History;
use campaign_exporter::campaign::window::Window;
use campaign_exporter::campaign::{Campaign, Ratio};
use campaign_exporter::config::{Account, Config};
use campaign_exporter::document::keys::{Default, Takes};
use campaign_exporter::exposition::format::Format;
use campaign_exporter::fuzzing;
use campaign_exporter::provider::{Kind, Kinds, Reading, built_in};
use campaign_exporter::state::snapshot::{Change, Data, Snapshot, Update};
use campaign_exporter::upstream::PollError;
use campaign_exporter::upstream::answer::Answer;
use chrono::DateTime;
use testkit::exposition;

/// The token sent with every request. It contains a backslash because JSON and `Debug` escape it
/// differently.
pub const TOKEN: &str = "hun\\ter2-hun\\ter2";

/// Maximum length of an error message in characters: 200 plus the ellipsis.
const MAX_MESSAGE_CHARS: usize = 201;

/// Addresses that every provider is read at.
const BASE_URLS: [&str; 3] =
    ["https://api.example", "https://gateway.example/api", "http://[::1]:8080/a%2Fb/v3"];

/// Values of text keys that change how a page is read. The time zone is far ahead of UTC and once
/// skipped a whole day.
const VALUES: [(&str, &str); 1] = [("time_zone", "Pacific/Apia")];

/// One way to configure an account.
pub struct Case {
    /// The account.
    pub account: Account,
    /// The address that it is read at.
    pub base_url: &'static str,
}

/// Every provider at every address, and once with each key that changes how its pages are read.
pub static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
    let kinds = built_in();
    let cases = kinds.iter().flat_map(|kind| cases(&kinds, kind));
    let cases: Vec<_> = cases.collect();
    for kind in kinds.iter() {
        let has_case = cases.iter().any(|case| case.account.provider.name() == &kind.name);
        assert!(has_case, "no account of {} is valid", kind.name);
    }
    cases
});

/// The accounts of a provider; none if no value that is tried for its keys is valid.
pub fn cases(kinds: &Kinds, kind: &Kind) -> Vec<Case> {
    let Some(least) = least_keys(kinds, kind) else {
        return Vec::new();
    };
    let case = |base_url, key: &str| {
        let keys = format!("{least}, base_url: {base_url:?}{key}");
        let account = account(kinds, kind, &keys);
        let account = account.unwrap_or_else(|| panic!("{}: {keys}", kind.name));
        Case { account, base_url }
    };
    let mut cases: Vec<Case> = BASE_URLS.iter().map(|base_url| case(base_url, "")).collect();
    // the others are there already
    let optional = kind.keys.iter();
    for key in optional.filter(|key| key.default != Default::Required) {
        if let Takes::Words(words) = &key.takes {
            let each = words.iter().map(|word| format!(", {}: [{word}]", key.name));
            cases.extend(each.map(|key| case(BASE_URLS[0], &key)));
        }
        let values = VALUES.iter().filter(|(name, _)| *name == key.name);
        cases.extend(values.map(|(name, value)| case(BASE_URLS[0], &format!(", {name}: {value}"))));
    }
    cases
}

/// The required keys except the address. If they are not enough, the first optional secret that
/// completes them.
fn least_keys(kinds: &Kinds, kind: &Kind) -> Option<String> {
    let mut least = format!("name: {0}, provider: {0}", kind.name);
    let mut secrets = vec![String::new()];
    for key in kind.keys.iter().filter(|key| key.name != "base_url") {
        let value = match key.takes {
            Takes::Secret => format!(", {}_env: T", key.name),
            Takes::Integer(least, _) => format!(", {}: {least}", key.name),
            Takes::TimeZone => format!(", {}: UTC", key.name),
            _ => format!(", {}: a", key.name),
        };
        if key.default == Default::Required {
            least += &value;
        } else if key.takes == Takes::Secret {
            secrets.push(value);
        }
    }
    let mut candidates = secrets.iter().map(|secret| format!("{least}{secret}"));
    candidates.find(|keys| {
        let keys = format!("{keys}, base_url: {:?}", BASE_URLS[0]);
        account(kinds, kind, &keys).is_some()
    })
}

/// The account with these keys and every info label, if it is valid.
fn account(kinds: &Kinds, kind: &Kind, keys: &str) -> Option<Account> {
    let labels: Vec<&str> = kind.info_label_names().map(|label| &**label).collect();
    let labels = labels.join(", ");
    let yaml = format!("accounts:\n- {{{keys}, info_labels: [{labels}]}}\n");
    Config::parse(&yaml, kinds, None).ok()?.accounts.pop()
}

/// Passes an answer to accounts: a three-digit HTTP status and a body. Three digits, so that inputs can
/// be written by hand. Returns whether it is one.
pub fn read<'a>(cases: impl IntoIterator<Item = &'a Case>, data: &[u8]) -> bool {
    let Some((status, body)) = data.split_at_checked(3) else {
        return false;
    };
    let status = str::from_utf8(status).ok().and_then(|status| status.parse().ok());
    let Some(status @ 100..=999) = status else {
        return false;
    };
    for case in cases {
        match case.account.provider.read_answer(window(), status, body) {
            Ok(reading) => check_reading(&case.account, reading),
            Err(error) => check_error(error),
        }
    }
    true
}

/// Passes answers to one account, as a poll gets them.
pub fn read_in_order(case: &Case, answers: &[&str]) {
    let answers = answers.iter().filter_map(|answer| {
        let (status, body) = answer.split_at_checked(3)?;
        Some(Answer::of(status.parse().ok()?, body))
    });
    let answers: Vec<_> = answers.collect();
    let (requests, result) = case.account.provider.read_saved(window(), window(), &answers);
    // one more slash, so that no longer host begins with it
    let origin = format!("{}/", case.base_url);
    let origin = origin.splitn(4, '/').take(3).collect::<Vec<_>>().join("/") + "/";
    for (_, request) in &requests {
        assert!(request.url.as_str().starts_with(&origin), "{}", request.url);
    }
    match result {
        Ok(reading) => check_reading(&case.account, reading),
        Err(error) => check_error(error),
    }
}

/// The window of every read.
fn window() -> Window {
    Window::new(DateTime::UNIX_EPOCH, DateTime::UNIX_EPOCH)
}

/// Checks the invariants of an error.
pub fn check_error(error: PollError) {
    let error = fuzzing::presentable(error, TOKEN);
    let message = &error.message;
    assert!(!message.is_empty(), "empty error message");
    assert!(!message.contains(char::is_control), "{message:?}");
    assert!(!message.contains(TOKEN), "{message:?}");
    assert!(message.chars().count() <= MAX_MESSAGE_CHARS, "{message:?}");
}

/// Checks the invariants of a page, its campaigns, and their exposition.
fn check_reading(account: &Account, mut reading: Reading) {
    let history = History::of_full_read(reading.take_campaigns(), window());
    let (campaigns, dropped) = history.newest(account.polling.max_campaigns);
    assert_eq!(dropped, 0, "more campaigns than an input has bytes");
    for campaign in &campaigns {
        check_campaign(campaign);
    }
    for (_, ratio) in &reading.account.reported_ratios {
        assert!(ratio.is_finite(), "{ratio}");
    }
    assert!(reading.account.credits.is_none_or(f64::is_finite));
    let balance = reading.account.balance;
    assert!(balance.is_none_or(|(_, amount)| amount.is_finite()));
    check_exposition(
        account,
        Data {
            campaigns,
            dropped,
            credits: reading.account.credits,
            balance: reading.account.balance,
            reported_ratios: reading.account.reported_ratios,
            ..Data::default()
        },
    );
}

fn check_campaign(campaign: &Campaign) {
    assert!(!campaign.id.trim().is_empty(), "{campaign:?}");
    assert!(!campaign.channel.as_str().is_empty(), "{campaign:?}");
    let counts = campaign.counts.iter().map(|(_, count)| count);
    let failures = campaign.failures.iter().map(|(_, count)| count);
    for count in counts.chain(failures) {
        assert!(count <= MAX_COUNT, "{campaign:?}");
    }
    let ratios = Ratio::ALL.iter().map(|ratio| ratio.of([campaign]));
    let figures = campaign.figures.iter().map(|(_, value)| Some(value));
    for number in ratios.chain([campaign.readable_cost_credits()]).chain(figures).flatten() {
        assert!(number.is_finite() && number >= 0.0, "{campaign:?}");
    }
}

/// Renders a snapshot with only this data, and parses it as strictly as the tests do: complete lines,
/// closed quotes and escapes, no duplicate series, valid numbers.
fn check_exposition(account: &Account, data: Data) {
    let mut expected: Vec<(String, String)> = data
        .campaigns
        .iter()
        .map(|campaign| (campaign.id.clone(), campaign.name.to_string()))
        .collect();
    expected.sort();
    let mut snapshot = Snapshot::of(std::slice::from_ref(account));
    let update = Update::new(account, Ok(data));
    let polled = snapshot.apply(Change::Polled(Box::new(update)));
    assert!(polled, "the snapshot accepts the data");
    for format in Format::ALL {
        let text = campaign_exporter::exposition::families::render(&snapshot, format);
        let read_as = match format {
            Format::Text => exposition::Format::Text,
            Format::OpenMetrics => exposition::Format::OpenMetrics,
        };
        let families = exposition::read(&format!("{text}{}", format.end()), read_as);
        let info = families.iter().find(|family| family.name == "campaign_info");
        let mut found: Vec<(String, String)> = info
            .into_iter()
            .flat_map(|family| &family.samples)
            .map(|sample| {
                let mut labels = sample.labels();
                let mut label = |name| labels.remove(name).expect("campaign_info has this label");
                (label("campaign_id"), label("campaign_name"))
            })
            .collect();
        found.sort();
        assert_eq!(found, expected, "the exposition differs from the decoded page");
    }
}
