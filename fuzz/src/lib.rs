//! Shared code of the fuzz targets: accounts, and invariants of decoded pages.

use std::sync::LazyLock;

use campaign_exporter::campaign::history::History;
use campaign_exporter::campaign::{Campaign, MAX_COUNT, Ratio};
use campaign_exporter::config::Account;
use campaign_exporter::exposition::format::Format;
use campaign_exporter::fuzzing;
use campaign_exporter::provider::{PollError, Reading, Window};
use campaign_exporter::state::snapshot::{Change, Configured, Data, Snapshot, Update};
use chrono::DateTime;
use libfuzzer_sys::Corpus;
use testkit::exposition;
use tokio::time::{Duration, Instant};

/// The token sent with every request. It contains a backslash because JSON and `Debug` escape it
/// differently.
pub const TOKEN: &str = "hun\\ter2-hun\\ter2";

/// Maximum length of an error message in characters: 200 plus the ellipsis.
const MAX_MESSAGE_CHARS: usize = 201;

/// One account for each way of decoding.
static ACCOUNTS: LazyLock<Vec<Account>> = LazyLock::new(|| {
    let config = fuzzing::configuration(include_str!("accounts.yaml"));
    config.expect("the accounts are valid").accounts
});

/// Returns the accounts of a provider.
pub fn accounts(provider: &str) -> impl Iterator<Item = &'static Account> {
    ACCOUNTS
        .iter()
        .filter(move |account| account.provider.name() == provider)
}

/// Decodes a page for each account of a provider, and checks the result. The input is a three-digit HTTP
/// status, so that inputs can be written by hand, directly followed by the body.
pub fn page(provider: &str, data: &[u8]) -> Corpus {
    let Some((status, body)) = data.split_at_checked(3) else {
        return Corpus::Reject;
    };
    let status = str::from_utf8(status)
        .ok()
        .and_then(|status| status.parse().ok());
    let Some(status @ 100..=999) = status else {
        return Corpus::Reject;
    };
    for account in accounts(provider) {
        match account.provider.decode(status, body) {
            Ok(reading) => check_reading(account, reading),
            Err(error) => check_error(error),
        }
    }
    Corpus::Keep
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
    let window = Window {
        start: DateTime::UNIX_EPOCH,
        now: DateTime::UNIX_EPOCH,
    };
    let history = History::of_full_read(reading.take_campaigns(), window);
    let (campaigns, dropped) = history.newest(account.polling.max_campaigns);
    assert_eq!(dropped, 0, "more campaigns than an input has bytes");
    for campaign in &campaigns {
        check_campaign(campaign);
    }
    for (_, ratio) in &reading.reported_ratios {
        assert!(ratio.is_finite(), "{ratio}");
    }
    assert!(reading.credits.is_none_or(f64::is_finite));
    check_exposition(
        account,
        Data {
            campaigns,
            dropped,
            credits: reading.credits,
            reported_ratios: reading.reported_ratios,
        },
    );
}

fn check_campaign(campaign: &Campaign) {
    assert!(!campaign.id.trim().is_empty(), "{campaign:?}");
    assert!(!campaign.channel.as_str().is_empty(), "{campaign:?}");
    let counts = &campaign.counts;
    let counts = [
        counts.recipients,
        counts.sends,
        counts.deliveries,
        counts.opens,
        counts.clicks,
        counts.bounces,
        counts.opt_outs,
        counts.reads,
        counts.replies,
        counts.pending,
    ];
    let failures = campaign.failures.by_reason().map(|(_, count)| count);
    for count in counts.into_iter().chain(failures).flatten() {
        assert!(count <= MAX_COUNT, "{campaign:?}");
    }
    let ratios = [
        Ratio::Delivery,
        Ratio::Click,
        Ratio::Bounce,
        Ratio::OptOut,
        Ratio::Open,
        Ratio::Read,
        Ratio::Reply,
    ];
    let ratios = ratios.into_iter().map(|ratio| ratio.of([campaign]));
    let others = [campaign.cost_credits, campaign.reported_delivery_ratio];
    for number in ratios.chain(others).flatten() {
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
    let mut snapshot = Snapshot::default();
    snapshot.apply(Change::Configured(vec![Configured {
        generation: 1,
        account: account.clone(),
        poll_interval: account.polling.poll_interval,
        restored: None,
    }]));
    let polled = snapshot.apply(Change::Polled(Box::new(Update {
        account: account.name.clone(),
        generation: 1,
        at: DateTime::UNIX_EPOCH,
        ended: Instant::now(),
        took: Duration::from_secs(1),
        poll_interval: account.polling.poll_interval,
        token_expiry: None,
        requests_remaining: None,
        failure: None,
        data: Some(data),
    })));
    assert!(polled, "the snapshot accepts the data");
    for format in Format::ALL {
        let text = campaign_exporter::exposition::families::render(&snapshot, format);
        let read_as = match format {
            Format::Text => exposition::Format::Text,
            Format::OpenMetrics => exposition::Format::OpenMetrics,
        };
        let families = exposition::read(&format!("{text}{}", format.end()), read_as);
        let info = families
            .iter()
            .find(|family| family.name == "campaign_info");
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
        assert_eq!(
            found, expected,
            "the exposition differs from the decoded page"
        );
    }
}
