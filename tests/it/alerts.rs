//! End-to-end tests of alerting: simulated providers, the exporter, Prometheus with the shipped rules,
//! and Alertmanager with the shipped example, both with shortened intervals.
//!
//! Alerts that compare with data from an hour or a week ago, and the exact times at which alerts start
//! and end, are covered by `alerts/tests`.

use std::collections::{BTreeMap, BTreeSet};

use campaign_simulator::{Campaign, Channel, Counts, Fault, Simulator};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use crate::support::alertmanager::Alertmanager;
use crate::support::apis::{COUNTS, with_channels, with_clicks, with_statuses};
use crate::support::daemon::{Daemon, LIMIT, Setup, account, config, simulate};
use crate::support::faults::{break_down, repair, status};
use crate::support::prometheus::{Found, Job, Prometheus};
use crate::support::rules::{alerts, shortened};
use crate::support::server::{PAUSE, free_address};
use crate::support::webhook::{Message, Webhook};

/// A campaign name with characters that may break alert texts.
const HOSTILE: &str = "\"Spring\" {{ $value }} \\ <b>\u{e9}</b>";

/// Alerts that take too long to start or end for a test.
const LEFT_TO_PROMTOOL: [(&str, &str); 13] = [
    ("CampaignSendStalled", "no progress for an hour"),
    ("CampaignCountsWentBackwards", "counts an hour ago"),
    ("CampaignTokenExpiring", "a token of an hour or a day ago"),
    ("CampaignCreditsRunningOut", "the credits of seven days"),
    ("CampaignDecodeProblems", "ends an hour later"),
    ("CampaignThresholdsMissing", "needs a part of the rules"),
    ("CampaignStorageFailing", "a storage that is full for 15 minutes"),
    ("CampaignProviderDown", "several accounts whose data is stale"),
    ("CampaignProviderDeliveryLow", "several accounts that deliver less"),
    ("CampaignSendingStopped", "weeks of campaigns"),
    ("CampaignComplaintRateHigh", "a week of complaints"),
    ("CampaignThresholdInvalid", "impossible overrides"),
    ("CampaignReceiptsMissing", "campaigns of the day before"),
];

/// Expected notification of a firing alert.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    /// A receiver is notified.
    Notified(&'static str),
    /// A receiver is notified, and the alert is inhibited later.
    NotifiedThenInhibited(&'static str),
    /// The alert is inhibited as long as it fires.
    Inhibited,
}

impl Outcome {
    /// The receiver, if one is notified.
    fn receiver(&self) -> Option<&'static str> {
        match self {
            Notified(receiver) | NotifiedThenInhibited(receiver) => Some(receiver),
            Inhibited => None,
        }
    }
}

use Outcome::{Inhibited, Notified, NotifiedThenInhibited};

/// The rows of a table of alerts: `NAME SEVERITY`, account and campaign if present, and the receiver.
fn rows(table: &'static str) -> impl Iterator<Item = (&'static str, Outcome)> {
    table.trim().lines().map(|row| {
        let (name, outcome) = row.trim().split_once(" => ").unwrap();
        let outcome = match outcome.strip_suffix(", then inhibited") {
            Some(receiver) => NotifiedThenInhibited(receiver),
            None if outcome == "inhibited" => Inhibited,
            None => Notified(outcome),
        };
        (name, outcome)
    })
}

const SPIKE: &str = "CampaignOptOutSpike warning shoes-ch 301 => marketing-ops";

/// An override makes the alert on the young campaign fire, which was sent 15 minutes ago.
const FIGURES: &str = "
    CampaignDeliveryRateLow critical spring-us low => marketing-ops-pager
    CampaignDeliveryRateLow warning spring-us low => inhibited
    CampaignClickCollapse warning spring-us unclicked => marketing-ops
    CampaignReadRateLow warning desk-hk unread => marketing-ops
    CampaignDeliveryRateLow warning desk-hk young => marketing-ops
    CampaignOptOutSpike warning shoes-ch 301 => marketing-ops
    CampaignBounceSpike warning shoes-ch 302 => marketing-ops
    CampaignStuckInModeration warning shoes-ch 303 => marketing-ops
    CampaignOverdue warning shoes-ch 304 => marketing-ops
    CampaignDenied warning shoes-ch 305 => marketing-ops
    CampaignProviderFiguresDisagree info caps-es 4 => sre
    CampaignCreditsBelowScheduled warning shoes-ch => marketing-ops
    CampaignAccountDeliveryBelowBaseline warning bags-fr => inhibited
    CampaignAccountBounceRateHigh critical bags-fr => sre-pager
    CampaignAccountBounceRateHigh warning bags-fr => inhibited
    CampaignsDropped warning hats-it => sre
";

/// Alerts on stale data inhibit those on its figures.
const ACCOUNTS: &str = "
    CampaignOptOutSpike warning shoes-ch 301 => marketing-ops, then inhibited
    CampaignAuthFailed critical shoes-ch => sre-pager
    CampaignPollsFailing warning shoes-ch => inhibited
    CampaignDataStale warning shoes-ch => inhibited
    CampaignDataStale critical shoes-ch => inhibited
    CampaignDataStale warning desk-hk => sre, then inhibited
    CampaignDataStale critical desk-hk => sre-pager
    CampaignQuotaNearlySpent warning spring-us => sre
    CampaignAccountNeverRead warning bags-fr => sre
    CampaignThresholdUnused info nobody => sre
";

/// The failed polls still count for an hour.
const READ_AGAIN: &str = "
    CampaignPollsFailing warning shoes-ch => sre
    CampaignPollsFailing warning bags-fr => sre
    CampaignThresholdUnused info nobody => sre
";

const REFUSED_CONFIG: &str = "
    CampaignOptOutSpike warning shoes-ch 301 => marketing-ops
    CampaignConfigReloadFailed warning => sre
";

/// The spike still fires because of `keep_firing_for`.
const KILLED: &str = "
    CampaignOptOutSpike warning shoes-ch 301 => marketing-ops, then inhibited
    CampaignExporterDown critical => sre-pager
";

/// An account scraped as its own target. The spike still fires because of `keep_firing_for`.
const PART: &str = "
    CampaignOptOutSpike warning shoes-ch 301 => marketing-ops, then inhibited
    CampaignAccountTargetDown critical shoes-ch => sre-pager
";

/// The exporter and all its account targets.
const WHOLE: &str = "CampaignExporterDown critical => sre-pager";

const FORGOTTEN: &str = "CampaignExporterAbsent critical => sre-pager";

/// Overrides that keep data from becoming stale when the test machine is slow.
fn never_stale<'a>(accounts: &[(&'a str, &'a str)]) -> Vec<Number<'a>> {
    let thresholds = ["stale_intervals_warning", "stale_intervals_critical"];
    let numbers = accounts
        .iter()
        .flat_map(|account| thresholds.map(|threshold| (*account, threshold, 3_600.0)));
    numbers.collect()
}

/// An account, a threshold, and the value of the override.
type Number<'a> = ((&'a str, &'a str), &'a str, f64);

/// A rule file with overrides.
fn overrides(numbers: &[Number<'_>]) -> String {
    let rules = numbers.iter().map(|((provider, account), threshold, number)| {
        json!({
            "record": "campaign_threshold",
            "expr": format!("vector({number})"),
            "labels": { "threshold": threshold, "provider": provider, "account": account },
        })
    });
    let rules: Vec<_> = rules.collect();
    json!({ "groups": [{ "name": "own", "rules": rules }] }).to_string()
}

fn ago(minutes: i64) -> DateTime<Utc> {
    Utc::now() - TimeDelta::minutes(minutes)
}

/// Counts of a campaign that causes no alert.
const GOOD: Counts =
    Counts { pending: 0, error: 20, expired: 0, network_error: 0, unassigned: 0, ..COUNTS };

/// An SMS campaign sent this morning.
fn sms(id: &str, counts: Counts) -> Campaign {
    Campaign::sms(id, HOSTILE, ago(8 * 60), counts)
}

/// Healthy campaigns of last week and this morning.
fn past() -> Vec<Campaign> {
    let mut campaigns = vec![sms("1", GOOD), sms("2", GOOD), sms("3", GOOD), sms("4", GOOD)];
    for (campaign, days) in campaigns.iter_mut().zip([5, 4, 3]) {
        campaign.sent_at -= TimeDelta::days(days);
    }
    campaigns
}

/// A campaign with 7 % opt-outs.
fn with_opt_outs() -> Campaign {
    let counts = Counts { opt_outs: 70, ..GOOD };
    sms("301", counts)
}

fn set(simulator: &Simulator, campaigns: Vec<Campaign>) {
    simulator.update(|state| state.campaigns = campaigns.into());
}

/// Prometheus, Alertmanager, and a webhook for its notifications.
struct Watch {
    prometheus: Prometheus,
    alertmanager: Alertmanager,
    webhook: Webhook,
}

impl Watch {
    async fn start(targets: &[&str], rules: &[String]) -> Self {
        Self::scraping(targets, &[], rules).await
    }

    /// Starts with additional scrape settings.
    async fn scraping(targets: &[&str], how: &[String], rules: &[String]) -> Self {
        let webhook = Webhook::start().await;
        let alertmanager = Alertmanager::start(webhook.url()).await;
        let job = Job { how, ..job(targets, rules, &alertmanager) };
        Self { prometheus: Prometheus::running(job).await, alertmanager, webhook }
    }

    /// Changes targets and rules.
    async fn reconfigure(&self, targets: &[&str], rules: &[String]) {
        let job = job(targets, rules, &self.alertmanager);
        self.prometheus.reconfigure(job).await;
    }

    /// Waits until exactly these alerts fire and no others are pending.
    async fn reach(&self, expected: &'static str) {
        let expected = states(expected);
        let mut found = self.states().await;
        let reached = tokio::time::timeout(LIMIT, async {
            while found != expected {
                tokio::time::sleep(PAUSE).await;
                found = self.states().await;
            }
        });
        let missing = |all: &BTreeSet<_>, some| all.difference(some).cloned().collect::<Vec<_>>();
        assert!(
            reached.await.is_ok(),
            "missing: {:#?}\nnot expected: {:#?}",
            missing(&expected, &found),
            missing(&found, &expected)
        );
    }

    /// Like `reach`, and checks that the state is stable.
    async fn expect(&self, expected: &'static str) {
        self.reach(expected).await;
        self.prometheus.wait_for_rules().await;
        assert_eq!(self.states().await, states(expected), "it does not stay so");
    }

    /// Returns the firing and pending alerts.
    async fn states(&self) -> BTreeSet<String> {
        let found = self.prometheus.query("ALERTS").await.into_iter();
        let states = found.map(|(labels, _)| format!("{} {}", labels["alertstate"], name(&labels)));
        states.collect()
    }

    /// Waits until exactly the expected alerts are inhibited, and exactly the others were sent.
    async fn expect_notified(&self, expected: &'static str) {
        let hidden: BTreeSet<_> = rows(expected)
            .filter(|(_, fate)| !matches!(fate, Notified(_)))
            .map(|(name, _)| name.to_owned())
            .collect();
        let waited = tokio::time::timeout(LIMIT, async {
            loop {
                let found = self.alertmanager.inhibited().await;
                if found.iter().map(name).collect::<BTreeSet<_>>() == hidden {
                    return;
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
        if waited.await.is_err() {
            let found = self.alertmanager.inhibited().await;
            panic!("hidden are {found:#?}, and not {hidden:?}");
        }
        let told: BTreeSet<_> = rows(expected)
            .filter_map(|(name, fate)| Some((fate.receiver()?.to_owned(), name.to_owned())))
            .collect();
        let all_notified = |messages: &[Message]| told.is_subset(&alerts_in(messages, "firing"));
        self.webhook.wait_for("missing notifications", all_notified).await;
    }

    /// Waits until the receivers were notified that all alerts of these sets are resolved, and checks the
    /// notifications.
    async fn expect_resolved(&self, sets: &[&'static str]) {
        let told = |receiver: fn(&Outcome) -> Option<&'static str>| -> BTreeSet<_> {
            let all = sets.iter().flat_map(|set| rows(set));
            all.filter_map(|(name, fate)| Some((receiver(&fate)?.to_owned(), name.to_owned())))
                .collect()
        };
        let visible = told(|fate| match fate {
            Notified(receiver) => Some(receiver),
            _ => None,
        });
        let all_resolved =
            |messages: &[Message]| visible.is_subset(&alerts_in(messages, "resolved"));
        self.webhook.wait_for("not all are resolved", all_resolved).await;

        let messages = self.webhook.messages();
        let all = told(Outcome::receiver);
        assert_eq!(alerts_in(&messages, "firing"), all);
        check(&messages);
    }
}

fn job<'a>(targets: &'a [&'a str], rules: &'a [String], alertmanager: &'a Alertmanager) -> Job<'a> {
    Job { targets, scrape_interval: 1, rules, how: &[], alertmanager: Some(alertmanager.address()) }
}

/// Returns the expected states, all firing.
fn states(expected: &'static str) -> BTreeSet<String> {
    let names = rows(expected).map(|(name, _)| format!("firing {name}"));
    names.collect()
}

/// An alert as `NAME SEVERITY`, followed by account and campaign if present.
fn name(labels: &BTreeMap<String, String>) -> String {
    let parts = ["alertname", "severity", "account", "campaign_id"];
    let parts = parts.iter().filter_map(|part| labels.get(*part));
    parts.map(String::as_str).collect::<Vec<_>>().join(" ")
}

/// Returns receivers and alerts of the notifications with this status.
fn alerts_in(messages: &[Message], status: &str) -> BTreeSet<(String, String)> {
    let alerts = messages.iter().flat_map(|message| {
        let with_status = message.alerts.iter().filter(|alert| alert.status == status);
        with_status.map(|alert| (message.receiver.clone(), name(&alert.labels)))
    });
    alerts.collect()
}

/// Checks that each notification is about one provider and that its texts are correct.
fn check(messages: &[Message]) {
    let mut seen = BTreeSet::new();
    for message in messages {
        for alert in &message.alerts {
            let own = alert.labels.get("provider");
            assert_eq!(own, message.group_labels.get("provider"), "{message:?}");
            for annotation in ["summary", "description", "runbook_url", "dashboard_url"] {
                let text = &alert.annotations[annotation];
                let broken = ["<no value>", "<error", "{{ with", "%!"];
                let broken = broken.iter().find(|broken| text.contains(**broken));
                assert!(!text.is_empty() && broken.is_none(), "{alert:?}");
            }
            // only while firing: the name of a removed campaign is unknown
            let fires = alert.status == "firing" && alert.labels.contains_key("campaign_id");
            if fires && seen.insert(name(&alert.labels)) {
                let summary = &alert.annotations["summary"];
                assert!(summary.contains(HOSTILE), "{alert:?}");
            }
        }
    }
}

#[test]
fn every_alert_is_tested_here_or_with_promtool() {
    let sets = [FIGURES, ACCOUNTS, REFUSED_CONFIG, KILLED, FORGOTTEN, PART, WHOLE];
    let tried = sets.iter().flat_map(|set| rows(set));
    let tried = tried.map(|(name, _)| name.split(' ').next().unwrap());
    let left = LEFT_TO_PROMTOOL.iter().map(|(name, _)| *name);
    let known: BTreeSet<_> = tried.chain(left).map(str::to_owned).collect();
    let shipped = alerts();
    let shipped = shipped.iter().map(|alert| alert["alert"].as_str().unwrap());
    assert_eq!(known, shipped.map(str::to_owned).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn campaign_problems_notify_marketing() {
    let names = [
        ("spring-us", with_clicks()),
        ("desk-hk", with_channels()),
        ("shoes-ch", with_statuses()),
        ("bags-fr", with_statuses()),
        ("caps-es", with_statuses()),
        ("hats-it", with_statuses()),
        // healthy: two accounts that deliver less are not two in five
        ("ties-at", with_statuses()),
        ("belts-be", with_statuses()),
        ("coats-dk", with_statuses()),
    ];
    let mut simulators = Vec::new();
    let mut accounts = Vec::new();
    for (name, api) in names {
        let simulator = simulate(api, past()).await;
        let more: &[&str] = if name == "hats-it" { &["max_campaigns: 4"] } else { &[] };
        accounts.push(account(name, &simulator, more));
        simulators.push(simulator);
    }
    let [spring, desk, shoes, bags, caps, hats, _ties, _belts, _coats] =
        simulators.try_into().unwrap();
    let whatsapp = |id: &str, counts| Campaign { channel: Channel::Whatsapp, ..sms(id, counts) };
    let by_whatsapp = past().into_iter().map(|campaign| Campaign {
        id: format!("w{}", campaign.id),
        channel: Channel::Whatsapp,
        ..campaign
    });
    let desks_past: Vec<_> = past().into_iter().chain(by_whatsapp).collect();
    set(&desk, desks_past.clone());

    let daemon = Daemon::start(Setup::new(&config(&accounts)), &[]).await;
    let known = names.map(|(name, api)| (api.provider(), name));
    let mut numbers = never_stale(&known);
    numbers.push((known[1], "sms_maturity_seconds", 60.0));
    let rules = [shortened(600.0), vec![overrides(&numbers)]].concat();
    let watch = Watch::start(&[daemon.address()], &rules).await;
    let all_read = |found: &[Found]| matches!(found, [(_, value)] if *value == 40.0);
    watch.prometheus.wait_for("count(campaign:age:seconds)", all_read).await;
    watch.expect("").await;

    let undelivered = Counts { deliveries: 500, ..GOOD };
    let young = Campaign { sent_at: ago(15), ..sms("young", undelivered) };
    let unclicked = sms("unclicked", Counts { clicks: 0, ..GOOD });
    let more = [sms("low", undelivered), unclicked, young.clone()];
    set(&spring, [past(), more.to_vec()].concat());
    let unread = whatsapp("unread", Counts { reads: 100, ..GOOD });
    set(&desk, [desks_past.clone(), vec![unread, young]].concat());
    let unsent = |id, status, created, planned| Campaign {
        status,
        created_at: ago(created),
        sent_at: ago(planned),
        ..sms(id, GOOD)
    };
    let more = [
        with_opt_outs(),
        sms("302", Counts { deliveries: 690, error: 300, ..GOOD }),
        unsent("303", "In moderation", 300, -60),
        unsent("304", "Waiting", 120, 60),
        unsent("305", "Denied", 120, 60),
    ];
    set(&shoes, [past(), more.to_vec()].concat());
    shoes.update(|state| state.credits = Some(500));
    let worse = Counts { deliveries: 800, error: 190, ..GOOD };
    let bounced = ["401", "402", "403"].map(|id| sms(id, worse));
    set(&bags, [past(), bounced.to_vec()].concat());
    caps.update(|state| state.percents_off_by = -10.0);
    set(&hats, [past(), vec![sms("5", GOOD)]].concat());
    watch.expect(FIGURES).await;
    watch.expect_notified(FIGURES).await;

    set(&desk, desks_past);
    for simulator in [&spring, &shoes, &bags, &hats] {
        set(simulator, past());
    }
    shoes.update(|state| state.credits = Some(44_690));
    caps.update(|state| state.percents_off_by = 0.0);
    watch.expect("").await;
    watch.expect_resolved(&[FIGURES]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_accounts_notify_sre() {
    let spring = simulate(with_clicks(), past()).await;
    let desk = simulate(with_channels(), past()).await;
    let shoes = simulate(with_statuses(), [past(), vec![with_opt_outs()]].concat()).await;
    let bags = simulate(with_statuses(), past()).await;
    break_down(&bags, status(500, None));
    let accounts = [
        account("spring-us", &spring, &[]),
        account("desk-hk", &desk, &[]),
        account("shoes-ch", &shoes, &[]),
        account("bags-fr", &bags, &[]),
    ];
    let daemon = Daemon::start(Setup::new(&config(&accounts)), &[]).await;
    let spring_us = (spring.api().provider(), "spring-us");
    let mut numbers = never_stale(&[spring_us]);
    let desk_hk = (desk.api().provider(), "desk-hk");
    // a threshold can also turn off an alert of an account
    numbers.extend([spring_us, desk_hk].map(|account| (account, "failed_polls_ratio", 1.0)));
    let others =
        [desk_hk, (shoes.api().provider(), "shoes-ch"), (bags.api().provider(), "bags-fr")];
    let part_of_polls =
        |part| [others[1], others[2]].map(|account| (account, "failed_polls_ratio", part));
    numbers.extend(others.map(|account| (account, "stale_intervals_warning", 5.0)));
    numbers.extend(others.map(|account| (account, "stale_intervals_critical", 15.0)));
    let rules = |more: &[Number<'_>]| {
        let numbers = overrides(&[&numbers, more].concat());
        [shortened(600.0), vec![numbers]].concat()
    };
    // a test is too short for many failed polls
    let mut more = part_of_polls(0.1).to_vec();
    more.push(((shoes.api().provider(), "nobody"), "delivery_ratio_warning", 0.5));
    let rules_in_force = rules(&more);
    let targets = [daemon.address()];
    let watch = Watch::start(&targets, &rules_in_force).await;
    let spike = ("marketing-ops".to_owned(), rows(SPIKE).next().unwrap().0.to_owned());
    let spike_told = |messages: &[Message]| alerts_in(messages, "firing").contains(&spike);
    watch.webhook.wait_for("no spike", spike_told).await;

    break_down(&shoes, status(401, None));
    break_down(&desk, status(503, None));
    break_down(&spring, Fault::QuotaExceeded);
    watch.expect(ACCOUNTS).await;
    watch.expect_notified(ACCOUNTS).await;

    for simulator in [&desk, &shoes, &bags] {
        repair(simulator);
        set(simulator, past());
    }
    // the day of an exhausted quota does not end within the test
    daemon.setup.write_config(&config(&accounts[1..]));
    daemon.signal("HUP").await;
    watch.expect(READ_AGAIN).await;
    watch.expect_notified(READ_AGAIN).await;

    // neither does the hour of the failed polls
    watch.reconfigure(&targets, &rules(&part_of_polls(1.0))).await;
    watch.expect("").await;
    watch.expect_resolved(&[ACCOUNTS, READ_AGAIN]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_exporter_notifies_sre() {
    let shoes = simulate(with_statuses(), [past(), vec![with_opt_outs()]].concat()).await;
    let setup = Setup::new(&config(&[account("shoes-ch", &shoes, &[])]));
    let good = std::fs::read_to_string(setup.config_file()).unwrap();
    let address = free_address();
    let start = async |setup: Setup| {
        let command = setup.command();
        Daemon::start_at(&address, command, setup, &[]).await
    };
    let daemon = start(setup).await;
    // slow enough that keep_firing_for does not end before the exporter is found to be down
    let numbers = overrides(&never_stale(&[(shoes.api().provider(), "shoes-ch")]));
    let rules = [shortened(100.0), vec![numbers]].concat();
    let watch = Watch::start(&[&address], &rules).await;
    daemon.setup.write_config("accounts: none");
    daemon.signal("HUP").await;
    watch.expect(REFUSED_CONFIG).await;
    watch.expect_notified(REFUSED_CONFIG).await;

    let setup = daemon.end_by("KILL").await;
    watch.reach(KILLED).await;
    watch.expect_notified(KILLED).await;

    // service discovery no longer lists it
    watch.reconfigure(&[], &rules).await;
    watch.expect(FORGOTTEN).await;
    watch.expect_notified(FORGOTTEN).await;

    set(&shoes, past());
    setup.write_config(&good);
    let _daemon = start(setup).await;
    watch.reconfigure(&[&address], &rules).await;
    watch.expect("").await;
    watch.expect_resolved(&[REFUSED_CONFIG, KILLED, FORGOTTEN]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_target_that_cannot_be_scraped_notifies_sre() {
    /// More samples than the exporter's own metrics and a few campaigns have, fewer than many campaigns.
    const SAMPLES: usize = 1_000;
    let shoes = simulate(with_statuses(), [past(), vec![with_opt_outs()]].concat()).await;
    let desk = simulate(with_channels(), past()).await;
    let accounts = [account("shoes-ch", &shoes, &[]), account("desk-hk", &desk, &[])];
    let daemon = Daemon::start(Setup::new(&config(&accounts)), &[]).await;
    let numbers =
        never_stale(&[(shoes.api().provider(), "shoes-ch"), (desk.api().provider(), "desk-hk")]);
    // slow enough that keep_firing_for does not end before the target is found to be down
    let rules = [shortened(50.0), vec![overrides(&numbers)]].concat();
    let how = [
        "honor_labels: true".to_owned(),
        format!("sample_limit: {SAMPLES}"),
        "http_sd_configs:".to_owned(),
        format!("  - {{url: {:?}, refresh_interval: 1s}}", daemon.url("/sd")),
    ];
    let watch = Watch::scraping(&[], &how, &rules).await;
    let all_up = |found: &[Found]| found.len() == 3 && found.iter().all(|(_, up)| *up == 1.0);
    watch.prometheus.wait_for("up", all_up).await;
    watch.expect(SPIKE).await;
    watch.expect_notified(SPIKE).await;

    let many = (1_000..1_200).map(|id| sms(&id.to_string(), GOOD));
    set(&shoes, [past(), many.collect()].concat());
    watch.reach(PART).await;
    watch.expect_notified(PART).await;
    let scraped = r#"scrape_samples_scraped{account="shoes-ch"}"#;
    let scraped = watch.prometheus.value(scraped).await.unwrap();
    assert!(scraped > SAMPLES as f64, "{scraped}");

    set(&shoes, past());
    watch.expect("").await;
    watch.expect_resolved(&[PART]).await;

    daemon.end_by("KILL").await;
    watch.expect(WHOLE).await;
    watch.expect_notified(WHOLE).await;
}
