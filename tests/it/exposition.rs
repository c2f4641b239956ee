//! The metrics page: its contents, omissions, and conformance with both formats.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use campaign_exporter::campaign::bounds::MAX_TEXT_BYTES;
use campaign_exporter::campaign::counts::{Count, Counts, Failures};
use campaign_exporter::campaign::figures::{Currency, Figure, Figures};
use campaign_exporter::campaign::{Campaign, Channel, Info, Ratio, Status};
use campaign_exporter::config::{Account, Config};
use campaign_exporter::exposition::families;
use campaign_exporter::exposition::format::{Format, Writer};
use campaign_exporter::provider::native;
use campaign_exporter::state::snapshot::{Change, Data, Snapshot, Update};
use campaign_simulator::{self, Simulator, State};
use chrono::{DateTime, TimeDelta, Utc};
use prometheus::TextEncoder;
use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};
use proptest::prelude::*;
use proptest::sample::select;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::apis::{Api, apis, fixture, has_whatsapp, kinds};
use crate::support::daemon::{
    Daemon, Setup, TOKEN, account, config, decompressed, poll_once, simulate,
};
use crate::support::promtool::check_metrics;
use crate::support::strict::{self, Family, Labels, Sample, Series};

/// Largest count that a gauge represents exactly.
const MAX_COUNT: u64 = 1 << 53;

/// Each ratio with its numerator and denominator.
fn ratios() -> [[String; 3]; 7] {
    let ratios = [
        ["delivery_ratio", "deliveries", "attempted"],
        ["click_ratio", "clicks", "attempted"],
        ["bounce_ratio", "bounces", "attempted"],
        ["opt_out_ratio", "opt_outs", "attempted"],
        ["open_ratio", "opens", "deliveries"],
        ["read_ratio", "reads", "deliveries"],
        ["reply_ratio", "replies", "deliveries"],
    ];
    ratios.map(|names| names.map(|name| format!("campaign_{name}")))
}

/// Labels of `campaign_info`.
fn info_labels() -> Vec<Arc<str>> {
    native().info_labels()
}

/// Reasons of failed messages.
fn failure_reasons() -> Vec<Arc<str>> {
    let failures = kinds().flat_map(|kind| kind.failures.clone());
    failures.collect()
}

// Snapshots from arbitrary campaigns

/// Text with characters that are problematic in labels.
fn hostile_text() -> impl Strategy<Value = String> {
    let fragment = select(vec![
        "\\",
        "\"",
        "\n",
        "\r",
        "\\n",
        "\\\"",
        "{",
        "}",
        ",",
        "=",
        "#",
        " ",
        "\t",
        "\0",
        "\u{1b}",
        "\u{7f}",
        "\u{85}",
        "\u{2028}",
        "\u{feff}",
        "é",
        "🎁",
        "👩‍👩‍👧",
        "\"} 1\n",
        "# EOF\n",
        "a",
    ]);
    prop_oneof![
        1 => Just(String::new()),
        1 => Just("\"\\\n🎁".repeat(1_463)),
        8 => prop::collection::vec(fragment, 0..12).prop_map(|parts| parts.concat()),
        4 => prop::collection::vec(any::<char>(), 0..20).prop_map(String::from_iter),
    ]
}

fn count() -> impl Strategy<Value = Option<u64>> {
    prop::option::of(prop_oneof![Just(0), Just(MAX_COUNT), 0..100_u64, 0..=MAX_COUNT])
}

fn number() -> impl Strategy<Value = Option<f64>> {
    use prop::num::f64::{NORMAL, POSITIVE, SUBNORMAL, ZERO};
    prop::option::of(POSITIVE | NORMAL | SUBNORMAL | ZERO)
}

fn time() -> impl Strategy<Value = Option<DateTime<Utc>>> {
    let years_1_to_9999 = -62_135_596_800_000..253_402_300_800_000_i64;
    let time = years_1_to_9999.prop_map(|millis| DateTime::from_timestamp_millis(millis).unwrap());
    prop::option::of(time)
}

fn counts() -> impl Strategy<Value = Counts> {
    let values = prop::collection::vec(count(), Count::ALL.len());
    values.prop_map(|values| {
        let mut counts = Counts::default();
        for (count, value) in Count::ALL.iter().zip(values) {
            counts.set(*count, value);
        }
        counts
    })
}

fn channel() -> impl Strategy<Value = Channel> {
    prop_oneof![
        Just(Channel::Sms),
        Just(Channel::Whatsapp),
        hostile_text().prop_map(|word| Channel::from_word(&word)),
    ]
}

fn info() -> impl Strategy<Value = Info> {
    let labels = info_labels();
    let values = prop::collection::vec(prop::option::of(hostile_text()), labels.len());
    values.prop_map(move |values| {
        let labels = labels.iter().zip(values);
        labels.filter_map(|(label, value)| Some((Arc::clone(label), value?))).collect()
    })
}

fn failures() -> impl Strategy<Value = Failures> {
    let reasons = failure_reasons();
    prop::collection::vec(count(), reasons.len()).prop_map(move |counts| {
        let counts = reasons.iter().zip(counts);
        counts.filter_map(|(reason, count)| Some((Arc::clone(reason), count?))).collect()
    })
}

/// Kinds of figures, with two currencies.
fn kinds_of_figures() -> Vec<Figure> {
    let currencies = ["EUR", "usd"].map(|code| Currency::from_code(code).unwrap());
    let amounts = currencies.map(|currency| [Figure::Cost(currency), Figure::Revenue(currency)]);
    let ratios = Ratio::ALL.iter().copied().map(Figure::Ratio);
    amounts.into_iter().flatten().chain(ratios).collect()
}

fn figures() -> impl Strategy<Value = Figures> {
    let kinds = kinds_of_figures();
    prop::collection::vec(number(), kinds.len()).prop_map(move |numbers| {
        let figures = kinds.iter().zip(numbers);
        figures.filter_map(|(kind, number)| Some((*kind, number?))).collect()
    })
}

fn campaign() -> impl Strategy<Value = Campaign> {
    let status = prop::option::of(select(vec![
        Status::Sent,
        Status::Waiting,
        Status::InProgress,
        Status::InModeration,
        Status::Denied,
        Status::Other,
    ]));
    let failures = failures();
    let texts = (hostile_text(), hostile_text(), channel(), status, info());
    let numbers = (counts(), failures, prop::array::uniform3(time()), number(), figures());
    (texts, numbers).prop_map(
        |((id, name, channel, status, info), (counts, failures, times, cost_credits, figures))| {
            Campaign {
                id,
                name: name.into(),
                channel,
                status,
                last_sent: times[0],
                scheduled: times[1],
                created: times[2],
                counts,
                failures,
                cost_credits,
                figures,
                info: Arc::new(info),
            }
        },
    )
}

/// Campaigns of an account with unique ids.
fn campaigns() -> impl Strategy<Value = Vec<Campaign>> {
    prop::collection::vec(campaign(), 0..6).prop_map(|mut campaigns| {
        let mut ids = BTreeSet::new();
        campaigns.retain(|campaign| ids.insert(campaign.id.clone()));
        campaigns
    })
}

/// Configured accounts: one with every info label, and one with none.
fn accounts(names: [&str; 2]) -> Vec<Account> {
    let labels = [json!(info_labels()), json!([])];
    let accounts = names.into_iter().zip(labels).zip(apis());
    let accounts = accounts.map(|((name, labels), (api, _))| {
        let mut account = api.account("https://localhost", Path::new("/unused"));
        account["name"] = name.into();
        account["info_labels"] = labels;
        account
    });
    // JSON is valid YAML
    let yaml = json!({ "accounts": accounts.collect::<Vec<_>>() });
    let config = Config::parse(&yaml.to_string(), &native(), None);
    config.unwrap().accounts
}

/// Both accounts with the campaigns of a successful poll.
fn snapshot(accounts: &[Account], campaigns: [&[Campaign]; 2]) -> Snapshot {
    let mut snapshot = Snapshot::of(accounts);
    for (account, campaigns) in accounts.iter().zip(campaigns) {
        let data = Data {
            campaigns: campaigns.iter().cloned().map(Arc::new).collect(),
            credits: Some(12.5),
            ..Data::default()
        };
        let update =
            Update { took: Duration::from_millis(1_500), ..Update::new(account, Ok(data)) };
        assert!(snapshot.apply(Change::Polled(Box::new(update))));
    }
    snapshot
}

fn render(snapshot: &Snapshot, format: Format) -> String {
    families::render(snapshot, format) + format.end()
}

fn labels<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Labels {
    let pairs = pairs.into_iter();
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Returns the expected series of a campaign, derived from the contract only.
fn expected(campaign: &Campaign, account: &Account, with_info: bool) -> Series {
    let own = [
        ("provider", account.provider.name().as_ref()),
        ("account", account.name.as_str()),
        ("channel", campaign.channel.as_str()),
        ("campaign_id", campaign.id.as_str()),
    ];
    let mut series = Series::new();
    let mut add = |name: &str, more: &[(&str, &str)], value: Option<f64>| {
        if let Some(value) = value {
            let labels = labels(own.into_iter().chain(more.iter().copied()));
            series.insert((name.to_owned(), labels), value);
        }
    };
    let mut described = vec![("campaign_name", campaign.name.as_ref())];
    let labels_of_info = info_labels();
    if with_info {
        let labels = labels_of_info.iter().map(AsRef::as_ref);
        described.extend(labels.filter_map(|label| Some((label, campaign.info.get(label)?))));
    }
    add("campaign_info", &described, Some(1.0));
    if let Some(status) = campaign.status {
        add("campaign_status", &[("status", status.as_str())], Some(1.0));
    }
    let seconds =
        |time: Option<DateTime<Utc>>| time.map(|time| time.timestamp_millis() as f64 / 1e3);
    add("campaign_last_sent_timestamp_seconds", &[], seconds(campaign.last_sent));
    add("campaign_scheduled_timestamp_seconds", &[], seconds(campaign.scheduled));
    add("campaign_created_timestamp_seconds", &[], seconds(campaign.created_unsent()));

    let counts = &campaign.counts;
    let nothing_sent_yet =
        matches!(campaign.status, Some(Status::Waiting | Status::InModeration | Status::Denied));
    let attempted = counts.get(Count::Sends).or(counts.get(Count::Recipients));
    let attempted = attempted.filter(|_| !nothing_sent_yet);
    let counted = BTreeMap::from([
        ("campaign_attempted", attempted),
        ("campaign_recipients", counts.get(Count::Recipients)),
        ("campaign_sends", counts.get(Count::Sends)),
        ("campaign_deliveries", counts.get(Count::Deliveries)),
        ("campaign_opens", counts.get(Count::Opens)),
        ("campaign_clicks", counts.get(Count::Clicks)),
        ("campaign_bounces", counts.get(Count::Bounces)),
        ("campaign_opt_outs", counts.get(Count::OptOuts)),
        ("campaign_reads", counts.get(Count::Reads)),
        ("campaign_replies", counts.get(Count::Replies)),
        ("campaign_pending", counts.get(Count::Pending)),
        ("campaign_complaints", counts.get(Count::Complaints)),
        ("campaign_conversions", counts.get(Count::Conversions)),
    ]);
    for (name, count) in &counted {
        add(name, &[], count.map(|count| count as f64));
    }
    for (reason, count) in campaign.failures.iter() {
        add("campaign_failures", &[("reason", reason)], Some(count as f64));
    }
    add("campaign_cost_credits", &[], campaign.cost_credits);
    for [name, numerator, denominator] in &ratios() {
        let parts = counted[numerator.as_str()].zip(counted[denominator.as_str()]);
        let parts = parts.filter(|(_, denominator)| *denominator > 0);
        let ratio = parts.map(|(numerator, denominator)| numerator as f64 / denominator as f64);
        add(name, &[], ratio);
    }
    for (figure, value) in campaign.figures.iter() {
        let (name, labels) = match &figure {
            Figure::Cost(currency) => ("campaign_cost", vec![("currency", currency.as_str())]),
            Figure::Revenue(currency) => {
                ("campaign_revenue", vec![("currency", currency.as_str())])
            }
            Figure::Ratio(ratio) => (ratio.reported_metric(), Vec::new()),
            Figure::Usual(ratio, bound) => {
                ("campaign_usual_ratio", vec![("bound", bound.as_str()), ("rate", ratio.name())])
            }
        };
        add(name, &labels, Some(value));
    }
    series
}

/// Returns the campaign series of a page.
fn of_campaigns(families: &[Family]) -> Series {
    let mut series = strict::campaign_series(families);
    series.retain(|(name, _), _| !name.starts_with("campaign_account_"));
    series
}

/// Converts families to those of the `prometheus` crate.
fn as_proto(families: &[Family]) -> Vec<MetricFamily> {
    let families = families.iter().map(|family| {
        assert_eq!(family.kind, "gauge");
        let metrics = family.samples.iter().map(|Sample { labels, value, .. }| {
            let mut gauge = Gauge::default();
            gauge.set_value(*value);
            let mut metric = Metric::from_gauge(gauge);
            metric.set_label(label_pairs(labels));
            metric
        });
        proto_family(&family.name, &family.help, MetricType::GAUGE, metrics.collect())
    });
    families.collect()
}

fn label_pairs(labels: &[(String, String)]) -> Vec<LabelPair> {
    let pairs = labels.iter().map(|(name, value)| {
        let mut pair = LabelPair::default();
        pair.set_name(name.clone());
        pair.set_value(value.clone());
        pair
    });
    pairs.collect()
}

fn proto_family(name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

proptest! {
    #[test]
    fn both_formats_contain_every_value_of_arbitrary_campaigns(
        described in campaigns(),
        others in campaigns(),
        names in ("[a-z\"\\\\{},=#🎁é '$]{0,20}x", "[a-z\"\\\\{},=#🎁é '$]{0,20}y"),
    ) {
        let names = [names.0.as_str(), names.1.as_str()];
        let accounts = accounts(names);
        let snapshot = snapshot(&accounts, [&described, &others]);
        let described = described.iter().map(|campaign| expected(campaign, &accounts[0], true));
        let others = others.iter().map(|campaign| expected(campaign, &accounts[1], false));
        let wanted: Series = described.chain(others).flatten().collect();

        let text = render(&snapshot, Format::Text);
        let in_text = strict::parse(&text, Format::Text).map_err(TestCaseError::fail)?;
        let open_metrics = render(&snapshot, Format::OpenMetrics);
        let in_open_metrics = strict::parse(&open_metrics, Format::OpenMetrics)
            .map_err(TestCaseError::fail)?;

        prop_assert_eq!(of_campaigns(&in_text), wanted);
        let all = strict::series(&in_text);
        prop_assert_eq!(&all, &strict::series(&in_open_metrics));
        let series = ("campaign_exporter_series".to_owned(), Labels::new());
        prop_assert_eq!(all[&series], of_campaigns(&in_text).len() as f64);
        for (one, other) in in_text.iter().zip(&in_open_metrics) {
            prop_assert_eq!((&one.name, &one.help, &one.kind), (&other.name, &other.help, &other.kind));
            let unit = one.name.ends_with("_seconds").then_some("seconds");
            prop_assert_eq!(other.unit.as_deref(), unit);
        }

        // the reference implementation writes the same bytes
        let reference = TextEncoder::new().encode_to_string(&as_proto(&in_text)).unwrap();
        prop_assert_eq!(text, reference);
    }

    #[test]
    fn rendering_matches_the_prometheus_crate(
        help in hostile_text().prop_filter("the crate wants HELP", |help| !help.is_empty()),
        value in hostile_text(),
        gauge in prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO,
        total in 0..=MAX_COUNT,
        below in prop::array::uniform3(0..1_000_000_u64),
    ) {
        let pairs = label_pairs(&[("one".to_owned(), value.clone()), ("two".to_owned(), value.clone())]);
        let metric = || {
            let mut metric = Metric::default();
            metric.set_label(pairs.clone());
            metric
        };
        let (mut of_gauge, mut of_counter, mut of_histogram) = (metric(), metric(), metric());
        let mut part = Gauge::default();
        part.set_value(gauge);
        of_gauge.set_gauge(part);
        let mut part = Counter::default();
        part.set_value(total as f64);
        of_counter.set_counter(part);
        let mut part = Histogram::default();
        let mut sum = 0;
        let buckets = [0.05, 1.0].into_iter().zip(below).map(|(bound, more)| {
            sum += more;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(bound);
            bucket.set_cumulative_count(sum);
            bucket
        });
        part.set_bucket(buckets.collect());
        part.set_sample_count(sum + below[2]);
        part.set_sample_sum(gauge);
        of_histogram.set_histogram(part);
        let families = [
            proto_family("a_gauge", &help, MetricType::GAUGE, vec![of_gauge]),
            proto_family("a_total", &help, MetricType::COUNTER, vec![of_counter]),
            proto_family("a_duration_seconds", &help, MetricType::HISTOGRAM, vec![of_histogram]),
        ];

        let mut writer = Writer::new(Format::Text);
        writer.families(&families);
        let text = writer.into_string();
        let reference = TextEncoder::new().encode_to_string(&families).unwrap();
        prop_assert_eq!(&text, &reference);

        let mut writer = Writer::new(Format::OpenMetrics);
        writer.families(&families);
        let open_metrics = writer.into_string() + Format::OpenMetrics.end();
        let read = strict::parse(&open_metrics, Format::OpenMetrics).map_err(TestCaseError::fail)?;
        let names: Vec<&str> = read.iter().map(|family| family.name.as_str()).collect();
        prop_assert_eq!(names, ["a_gauge", "a", "a_duration_seconds"]);
        for family in &read {
            prop_assert_eq!(&family.help, &help);
            prop_assert!(family.samples.iter().all(|sample| sample.labels()["two"] == value));
        }
        prop_assert_eq!(read[0].samples[0].value, gauge);
        prop_assert_eq!(read[1].samples[0].value, total as f64);
        // the text format has 1 instead of 1.0
        prop_assert_eq!(&read[2].samples[1].labels()["le"], "1.0");
        prop_assert_eq!(&strict::read(&text, Format::Text)[2].samples[1].labels()["le"], "1");
    }
}

/// Names and ids with all special characters.
fn hostile_campaigns() -> Vec<Campaign> {
    let texts = [
        "\"quoted\" and \\ back\\slashed \\n",
        "two\nlines\r\nand\ttabs",
        "🎁 {curly=\"brace\",} 1 # EOF\n# EOF",
        "\0\u{1}\u{1b}[31m\u{7f}\u{85}\u{2028}\u{feff}",
        "",
    ];
    let long = "\\\"\n🎁".repeat(1_463);
    let texts = texts.into_iter().map(str::to_owned).chain([long]);
    let campaigns = texts.enumerate().map(|(index, text)| Campaign {
        id: format!("{index}{text}"),
        name: text.as_str().into(),
        channel: Channel::from_word(&format!("w{text}")),
        status: Some(Status::Sent),
        last_sent: Some(DateTime::UNIX_EPOCH),
        scheduled: Some(DateTime::UNIX_EPOCH),
        created: Some(DateTime::UNIX_EPOCH),
        counts: Counts::from([
            (Count::Recipients, Some(MAX_COUNT)),
            (Count::Sends, Some(MAX_COUNT)),
            (Count::Deliveries, Some(MAX_COUNT - 1)),
            (Count::Opens, Some(3)),
            (Count::Clicks, Some(2)),
            (Count::Bounces, Some(1)),
            (Count::OptOuts, Some(0)),
            (Count::Reads, Some(5)),
            (Count::Replies, Some(6)),
            (Count::Pending, Some(7)),
            (Count::Complaints, Some(8)),
            (Count::Conversions, Some(9)),
        ]),
        failures: failure_reasons().into_iter().zip(1..).collect(),
        cost_credits: Some(0.1 + 0.2),
        figures: kinds_of_figures().into_iter().zip([0.25; 11]).collect(),
        info: Arc::new([("sender".into(), text)].into_iter().collect()),
    });
    campaigns.collect()
}

#[tokio::test]
async fn promtool_accepts_hostile_campaigns() {
    let campaigns = hostile_campaigns();
    let snapshot = snapshot(&accounts(["a\"\\b", "c"]), [&campaigns, &campaigns]);
    let text = render(&snapshot, Format::Text);
    // contains every family of the contract but the creation, which campaigns that were sent lack
    let families = strict::read(&text, Format::Text);
    assert_eq!(of_campaigns(&families).len(), campaigns.len() * 2 * (36 + failure_reasons().len()));
    check_metrics(&text).await;
}

#[test]
fn help_explains_background_polling_and_ratios() {
    let campaigns = hostile_campaigns();
    let snapshot = snapshot(&accounts(["a", "b"]), [&campaigns, &campaigns]);
    for format in Format::ALL {
        let families = strict::read(&render(&snapshot, format), format);
        let help = |name: &str| {
            let family = families.iter().find(|family| family.name == name);
            family.unwrap_or_else(|| panic!("no {name}")).help.clone()
        };
        let about_campaigns = families.iter().filter(|family| {
            strict::is_about_campaigns(&family.name)
                && !family.name.starts_with("campaign_account_")
        });
        let mut found = 0;
        for family in about_campaigns {
            found += 1;
            assert!(family.help.contains("in the background"), "{}: {}", family.name, family.help);
            let told_by = "campaign_account_last_success_timestamp_seconds";
            assert!(family.help.contains(told_by), "{}: {}", family.name, family.help);
        }
        assert_eq!(found, 35);
        for [name, numerator, denominator] in &ratios() {
            let formula = format!("{numerator} / {denominator}");
            assert!(help(name).contains(&formula), "{name}");
        }
        for name in ["campaign_opens", "campaign_clicks"] {
            assert!(help(name).contains("depending on the provider; see docs/providers"));
        }
        for [name, numerator, denominator] in &ratios()[..4] {
            let name = name.replace("campaign_", "campaign_account_");
            let formed = format!("um of {numerator} / sum of {denominator}");
            assert!(help(&name).contains(&formed), "{name}");
        }
    }
}

// The page of a running exporter

/// Starts an exporter that polls one account of each provider once.
async fn all_providers() -> (Daemon, Vec<Simulator>) {
    let sent_at = Utc::now() - TimeDelta::days(1);
    let counts = campaign_simulator::Counts {
        recipients: 110,
        sends: 100,
        deliveries: 90,
        clicks: 9,
        bounces: 10,
        error: 10,
        reads: 50,
        ..campaign_simulator::Counts::default()
    };
    let name = "A \"quoted\"\\name\nwith 🎁 and \u{1}";
    let mut accounts = String::new();
    let mut simulators = Vec::new();
    for (api, provider) in apis() {
        let sms = campaign_simulator::Campaign::sms("1", name, sent_at, counts);
        let whatsapp = campaign_simulator::Campaign::whatsapp("2", "two", sent_at, counts);
        let mut campaigns = vec![sms];
        campaigns.extend(has_whatsapp(api).then_some(whatsapp));
        let simulator = simulate(api, campaigns).await;
        accounts += &account(provider, &simulator, &["poll_interval: 1h"]);
        simulators.push(simulator);
    }
    let daemon = Daemon::start(Setup::new(&format!("accounts:\n{accounts}")), &[]).await;
    daemon.until_up(simulators.len()).await;
    (daemon, simulators)
}

#[tokio::test]
async fn content_is_identical_in_both_formats_and_encodings() {
    let (daemon, simulators) = all_providers().await;
    let plain = reqwest::Client::builder().no_proxy().no_gzip().build().unwrap();
    let mut pages = Vec::new();
    for format in Format::ALL {
        for encoding in ["identity", "gzip"] {
            let request = plain
                .get(daemon.url("/metrics"))
                .header("accept", format.content_type())
                .header("accept-encoding", encoding);
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), 200);
            let header = |name| {
                let value = response.headers().get(name);
                value.map(|value| value.to_str().unwrap().to_owned())
            };
            assert_eq!(header("content-type").as_deref(), Some(format.content_type()));
            assert_eq!(header("vary").as_deref(), Some("Accept, Accept-Encoding"));
            let compressed = header("content-encoding");
            assert_eq!(compressed.as_deref(), (encoding == "gzip").then_some("gzip"));
            let length: usize = header("content-length").unwrap().parse().unwrap();
            let body = response.bytes().await.unwrap();
            assert_eq!(body.len(), length);
            let text = if compressed.is_some() {
                let text = decompressed(&body);
                assert!(length < text.len() / 2, "{length} of {}", text.len());
                text
            } else {
                String::from_utf8(body.to_vec()).unwrap()
            };
            let families = strict::read(&text, format);
            let name = |wanted: &str| families.iter().any(|family| family.name == wanted);
            assert!(name("campaign_exporter_build_info"), "its own metrics, too");
            pages.push((text, strict::campaign_series(&families)));
        }
    }
    for (_, series) in &pages {
        assert_eq!(*series, pages[0].1);
    }
    let names = pages[0].1.keys().filter(|(name, _)| name == "campaign_info");
    let of_whatsapp = apis().iter().filter(|(api, _)| has_whatsapp(*api)).count();
    assert_eq!(names.count(), simulators.len() + of_whatsapp);
    check_metrics(&pages[0].0).await;
}

#[tokio::test]
async fn durations_of_requests_can_be_left_out() {
    let (api, provider) = apis()[0];
    let simulator = simulate(api, Vec::new()).await;
    let yaml = config(&[account(provider, &simulator, &["poll_interval: 1h"])]);
    let page = async |flags: &[&str]| {
        let daemon = Daemon::start(Setup::new(&yaml), flags).await;
        daemon.until_up(1).await
    };
    let with = page(&[]).await;
    let without = page(&["--web.disable-request-durations"]).await;
    let durations = "campaign_exporter_api_request_duration_seconds";
    // two lines of the header, nine bounds and infinity, sum and count
    assert_eq!(with.lines().filter(|line| line.contains(durations)).count(), 2 + 9 + 1 + 2);
    assert!(!without.contains(durations), "{without}");
    assert!(without.contains("campaign_exporter_api_requests_total{"), "{without}");
}

// Absent is not zero

/// An item of a provider's response, and what is expected of its campaign.
struct Case {
    what: String,
    item: Value,
    families: BTreeSet<String>,
    channel: String,
    values: BTreeMap<String, f64>,
}

/// A complete item, in a fixture, and the families that its campaign loses without a field.
#[derive(Deserialize)]
struct Table {
    full: Value,
    channel: String,
    families: BTreeSet<String>,
    /// Values of some families.
    values: BTreeMap<String, f64>,
    /// JSON pointers to fields, with the families that depend on each.
    losses: BTreeMap<String, BTreeSet<String>>,
    changes: Vec<Edit>,
}

/// A change of the complete item.
#[derive(Deserialize)]
struct Edit {
    what: String,
    /// Fields to set, or to remove if null, by their JSON pointers.
    fields: BTreeMap<String, Value>,
    #[serde(default)]
    lost: BTreeSet<String>,
    #[serde(default)]
    gained: BTreeSet<String>,
    channel: Option<String>,
    #[serde(default)]
    values: BTreeMap<String, f64>,
}

/// Sets a field of an item, or removes it.
fn set(item: &mut Value, pointer: &str, value: Option<Value>) {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = item.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    let before = match value {
        Some(value) => parent.insert(key.to_owned(), value),
        None => parent.remove(key),
    };
    assert!(before.is_some(), "no {pointer}");
}

impl Table {
    fn cases(&self) -> Vec<Case> {
        let case = |what: &str, item: &Value, families: BTreeSet<String>| Case {
            what: what.to_owned(),
            item: item.clone(),
            families,
            channel: self.channel.clone(),
            values: BTreeMap::new(),
        };
        let mut all = case("all", &self.full, self.families.clone());
        all.values.clone_from(&self.values);
        let mut cases = vec![all];
        for (pointer, lost) in &self.losses {
            assert!(lost.is_subset(&self.families), "{pointer}: {lost:?}");
            for (how, value) in [("without", None), ("null", Some(Value::Null))] {
                let mut item = self.full.clone();
                set(&mut item, pointer, value);
                cases.push(case(&format!("{how} {pointer}"), &item, &self.families - lost));
            }
        }
        for change in &self.changes {
            let mut item = self.full.clone();
            for (pointer, value) in &change.fields {
                let value = Some(value.clone()).filter(|value| !value.is_null());
                set(&mut item, pointer, value);
            }
            assert!(change.lost.is_subset(&self.families), "{}", change.what);
            let families = &(&self.families - &change.lost) | &change.gained;
            let mut case = case(&change.what, &item, families);
            case.values.clone_from(&change.values);
            if let Some(channel) = &change.channel {
                case.channel.clone_from(channel);
            }
            cases.push(case);
        }
        cases
    }
}

/// Polls all cases with the exporter, and compares the families of each campaign.
async fn check(api: Api, cases: Vec<Case>) {
    let items = cases.iter().enumerate().map(|(index, case)| {
        let mut item = case.item.clone();
        item[api.listing().id] = index.to_string().into();
        item
    });
    let mut state = State::new(TOKEN, Vec::new());
    state.items = items.collect();
    let simulator = Simulator::start(api, state).await.unwrap();
    let more = ["lookback: 3650d", "info_labels: []"];
    let families = poll(&[account("one", &simulator, &more)]).await;
    let mut found = vec![BTreeSet::new(); cases.len()];
    for ((name, labels), value) in of_campaigns(&families) {
        let extra: &[&str] = match name.as_str() {
            "campaign_info" => &["campaign_name"],
            "campaign_status" => &["status"],
            "campaign_failures" => &["reason"],
            _ => &[],
        };
        let expected = ["provider", "account", "channel", "campaign_id"].iter().chain(extra);
        let expected: BTreeSet<&str> = expected.copied().collect();
        let names: BTreeSet<&str> = labels.keys().map(String::as_str).collect();
        assert_eq!(names, expected, "{name}");
        let index: usize = labels["campaign_id"].parse().unwrap();
        let case = &cases[index];
        let what = format!("{}: {name} {labels:?}", case.what);
        assert_eq!(labels["channel"], case.channel, "{what}");
        if let Some(expected) = case.values.get(&name) {
            assert_eq!(value, *expected, "{what}");
        }
        let is_zero = case.values.get(&name) == Some(&0.0);
        assert_eq!(value == 0.0, is_zero, "{what}");
        let kind = labels.get("status").or_else(|| labels.get("reason"));
        found[index].insert(kind.map_or(name.clone(), |kind| format!("{name}:{kind}")));
    }
    for (case, found) in cases.iter().zip(found) {
        assert_eq!(found, case.families, "{}: {}", case.what, case.item);
    }
}

/// Returns the exposition of one poll of these accounts.
async fn poll(accounts: &[String]) -> Vec<Family> {
    let setup = Setup::new(&config(accounts));
    let (status, metrics, log) = poll_once(&setup, &[]).await;
    assert!(status.success(), "{log}");
    strict::read(&metrics, Format::Text)
}

fn table(api: Api) -> Table {
    let table = std::fs::read_to_string(fixture(api, "_items")).unwrap();
    serde_json::from_str(&table).unwrap()
}

#[tokio::test]
async fn campaigns_have_exactly_the_reported_series() {
    for (api, _) in apis() {
        check(api, table(api).cases()).await;
    }
}

/// Makes every text but dates longer than a label may be.
fn lengthen(value: &mut Value) {
    match value {
        Value::Object(members) => members.values_mut().for_each(lengthen),
        Value::String(text) if !text.starts_with("20") => text.push_str(&"é".repeat(5_000)),
        _ => {}
    }
}

#[tokio::test]
async fn a_long_id_costs_its_campaign_and_long_texts_are_cut() {
    for kind in kinds() {
        let id = kind.simulated.unwrap().listing().id;
        let mut items = ["1".to_owned(), "1".repeat(5_000)].map(|text| {
            let mut item = table(kind.simulated.unwrap()).full;
            lengthen(&mut item);
            item[id] = text.into();
            item
        });
        items.reverse();
        let mut state = State::new(TOKEN, Vec::new());
        state.items = items.into();
        let simulator = Simulator::start(kind.simulated.unwrap(), state).await.unwrap();
        let labels: Vec<_> = kind.info_label_names().collect();
        let more = format!("info_labels: {}", json!(labels));
        let more = ["lookback: 3650d", &more];
        let series = strict::series(&poll(&[account("one", &simulator, &more)]).await);
        let info = series.keys().filter(|(name, _)| name == "campaign_info");
        let infos: Vec<_> = info.map(|(_, labels)| labels).collect();
        assert_eq!(infos.len(), 1, "{infos:?}");
        assert_eq!(infos[0]["campaign_id"], "1");
        assert!(infos[0]["campaign_name"].ends_with("é…"), "{infos:?}");
        for label in labels {
            assert!(infos[0][&**label].ends_with("é…"), "{label}");
        }
        for (name, labels) in series.keys() {
            let longest = labels.values().map(String::len).max();
            assert!(longest <= Some(MAX_TEXT_BYTES), "{name} {labels:?}");
        }
        let lost = series.iter().find(|((name, labels), _)| {
            name == "campaign_exporter_decode_problems_total" && labels["field"] == id
        });
        assert_eq!(lost.map(|(_, count)| *count), Some(1.0), "{id}");
    }
}

#[tokio::test]
async fn campaign_info_has_exactly_the_configured_labels() {
    let sent_at = Utc::now() - TimeDelta::days(1);
    let every = info_labels();
    let some: Vec<_> = every.iter().step_by(2).cloned().collect();
    for wanted in [Vec::new(), every, some] {
        let line = format!("info_labels: {}", json!(wanted));
        let mut simulators = Vec::new();
        let mut accounts = Vec::new();
        for (api, name) in apis() {
            let make = if has_whatsapp(api) {
                campaign_simulator::Campaign::whatsapp
            } else {
                campaign_simulator::Campaign::sms
            };
            let campaign = make("1", "One", sent_at, campaign_simulator::Counts::default());
            let simulator = simulate(api, vec![campaign]).await;
            accounts.push(account(name, &simulator, &[&line]));
            simulators.push(simulator);
        }
        let series = strict::series(&poll(&accounts).await);
        for kind in kinds() {
            let mut infos = series.keys().filter(|(family, labels)| {
                family == "campaign_info" && labels["account"] == *kind.name
            });
            let (_, labels) = infos.next().unwrap();
            let own = ["provider", "account", "channel", "campaign_id", "campaign_name"];
            let known = kind.info_label_names().filter(|label| wanted.contains(label));
            let expected: BTreeSet<&str> = known.map(AsRef::as_ref).chain(own).collect();
            let found: BTreeSet<&str> = labels.keys().map(String::as_str).collect();
            assert_eq!(found, expected, "{kind:?} {line}");
            assert!(labels.values().all(|value| !value.is_empty()));
        }
    }
}
