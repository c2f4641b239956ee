//! The exposition of accounts whose providers report everything they can.

use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use campaign_exporter::campaign::counts::{Count, Counts, Failures};
use campaign_exporter::campaign::curve;
use campaign_exporter::campaign::figures::{Bound, Currency, Figure, Figures};
use campaign_exporter::campaign::{Campaign, Channel, Ratio, Status};
use campaign_exporter::config::{Account, Config};
use campaign_exporter::document::keys::{Default, Key, Takes};
use campaign_exporter::exposition::families;
use campaign_exporter::exposition::format::{Format, Writer};
use campaign_exporter::polling::poller::restore::{configure, connect};
use campaign_exporter::provider::{Kind, Kinds};
use campaign_exporter::state::snapshot::{Change, Data, Generation, Snapshot, Update};
use campaign_exporter::telemetry::Telemetry;
use campaign_exporter::upstream::applications::Applications;
use campaign_exporter::upstream::auth::renewals::Renewals;
use campaign_exporter::upstream::{PollError, Reason};
use chrono::Utc;
use serde_json::{Map, Value, json};
use testkit::exposition::{self, Family};

/// Returns every family with all its samples.
pub async fn exposition(kinds: &Kinds) -> anyhow::Result<Vec<Family>> {
    // each provider and each reason at least once
    let number = kinds.iter().len().max(Reason::ALL.len());
    let accounts = kinds.iter().cycle().take(number).enumerate();
    let accounts = accounts.map(|(number, kind)| account(kind, number));
    let config = Config::parse(
        &json!({ "accounts": accounts.collect::<Vec<_>>() }).to_string(),
        kinds,
        None,
    );
    let accounts = config.map_err(|problems| anyhow!("{problems:?}"))?.accounts;

    let mut snapshot = Snapshot::of(&accounts);
    let mut applications = Applications::new(None, Renewals::new(String::new()));
    configure(&mut applications, &accounts).await;

    let mut telemetries = Vec::new();
    for (account, reason) in accounts.iter().zip(Reason::ALL.into_iter().cycle()) {
        let (telemetry, _) = connect(account, &applications, None, true)?;
        telemetry.request("200", Duration::from_secs(1));
        telemetries.push(telemetry);
        snapshot.apply(Change::Polled(Box::new(polled(account))));
        // keeps the data
        let failed = Update { result: Err(PollError::new(reason, "")), ..polled(account) };
        snapshot.apply(Change::Polled(Box::new(failed)));
        let (account, generation) = (account.name.clone(), Generation::default());
        snapshot.apply(Change::Waiting { account, generation, why: String::new() });
    }
    let telemetry = Telemetry::new()?;
    telemetry.observe_process()?;
    telemetry.set_accounts(telemetries);

    let mut writer = Writer::new(Format::Text);
    writer.families(&telemetry.gather());
    let text = families::render(&snapshot, Format::Text) + &writer.into_string();
    exposition::parse(&text, exposition::Format::Text).map_err(|problem| anyhow!(problem))
}

/// Returns the smallest valid configuration of an account.
fn account(kind: &Kind, number: usize) -> Value {
    let mut account = Map::new();
    account.insert("name".to_owned(), json!(number.to_string()));
    account.insert("provider".to_owned(), json!(&*kind.name));
    account.insert("credit_price".to_owned(), json!("0.05 EUR"));
    // a token for a trial, if the provider requires none
    let secrets = kind.keys.iter().filter(|key| key.takes == Takes::Secret);
    let needed = |key: &&Key| key.default == Default::Required;
    let secret = secrets
        .clone()
        .find(needed)
        .or_else(|| secrets.clone().find(|key| key.name == "access_token"));
    let others = kind.keys.iter().filter(needed).filter(|key| key.takes != Takes::Secret);
    for key in secret.into_iter().chain(others) {
        let (name, value) = match key.takes {
            Takes::Secret => (format!("{}_env", key.name), "TOKEN"),
            Takes::Url => (key.name.to_string(), "https://api.example.com"),
            Takes::TimeZone => (key.name.to_string(), "UTC"),
            _ => (key.name.to_string(), "x"),
        };
        account.insert(name, json!(value));
    }
    Value::Object(account)
}

/// A poll that found a campaign of each channel and each status, with all counts.
fn polled(account: &Account) -> Update {
    let statuses = [
        Status::Sent,
        Status::Waiting,
        Status::InProgress,
        Status::InModeration,
        Status::Denied,
        Status::Other,
    ];
    let kind = account.provider.kind();
    let mut counts = Counts::default();
    for count in Count::ALL {
        counts.set(*count, Some(1));
    }
    let failures: Failures = kind.failures.iter().map(|reason| (Arc::clone(reason), 1)).collect();
    let euro = Currency::from_code("EUR");
    let amounts = euro.into_iter();
    let amounts = amounts.flat_map(|euro| [Figure::Cost(euro), Figure::Revenue(euro)]);
    let ratios = Ratio::ALL.iter().copied().map(Figure::Ratio);
    let usual = curve::RATIOS
        .into_iter()
        .flat_map(|ratio| Bound::ALL.map(|bound| Figure::Usual(ratio, bound)));
    let figures: Figures = amounts.chain(ratios).chain(usual).map(|figure| (figure, 1.0)).collect();
    let rates = account.provider.reported_rates();
    let now = Some(Utc::now());
    let channels = [Channel::Sms, Channel::Whatsapp].into_iter().cycle();
    let campaigns = statuses.into_iter().zip(channels).enumerate();
    let campaigns = campaigns.map(|(number, (status, channel))| {
        Arc::new(Campaign {
            id: number.to_string(),
            name: "Spring".into(),
            channel,
            status: Some(status),
            last_sent: now.filter(|_| !status.nothing_sent_yet()),
            scheduled: now,
            created: now,
            counts,
            failures: failures.clone(),
            cost_credits: Some(1.0),
            figures: figures.clone(),
            ..Campaign::default()
        })
    });
    let data = Data {
        campaigns: campaigns.collect(),
        dropped: 0,
        credits: Some(1.0),
        balance: euro.map(|euro| (euro, 1.0)),
        reported_ratios: rates.iter().map(|rate| (Arc::clone(rate), 1.0)).collect(),
        ..Data::default()
    };
    Update { token_expiry: now, stored: Some(Ok(())), ..Update::new(account, Ok(data)) }
}
