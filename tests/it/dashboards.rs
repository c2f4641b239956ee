//! Runs the queries of the dashboards against Prometheus with the shipped rules and two exporters of the
//! same accounts, with various values of the variables.

use std::collections::BTreeSet;
use std::fs;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use campaign_simulator::{Campaign, Channel, Simulator};
use chrono::{TimeDelta, Utc};
use futures_util::{StreamExt, stream};
use serde_json::json;

use crate::support::apis::{COUNTS, with_channels, with_clicks, with_statuses};
use crate::support::daemon::{Daemon, Setup, account, config, simulate};
use crate::support::faults::{break_down, status};
use crate::support::grafana::{Choice, Dashboard, Query};
use crate::support::prometheus::{Found, Job, Prometheus};
use crate::support::rules::shortened;

/// A name with characters that may break queries and regexes.
const HOSTILE: &str = "\"Spring\" \\ ($1.+|{x}) $job\n'é' 🎁";

/// Queries without data in a short test, and why. Their results are tested with data of weeks, with the
/// questions that the dashboards answer.
const MAY_BE_EMPTY: [(&str, &[&str]); 7] = [
    (
        "spending requires the credits of an hour ago",
        &[
            "campaigns-exporter: Credits run out in A",
            "campaigns-overview: Credits last for A",
            "campaigns-overview: Credits by account B",
            "campaigns-overview: Credits by account D",
        ],
    ),
    (
        "what is usual requires campaigns that were read when they were as old",
        &[
            "campaigns-campaign: Does it run as usual? C",
            "campaigns-campaign: Does it run as usual? D",
            "campaigns-overview: Do the last sends run as usual? Of the messages attempted C",
            "campaigns-overview: Do the last sends run as usual? Of the messages attempted D",
            "campaigns-overview: Do the last sends run as usual? Of the messages attempted G",
            "campaigns-overview: Do the last sends run as usual? Of the messages attempted H",
            "campaigns-campaign: Delivered / attempted (dashed: usual at that age) B",
            "campaigns-campaign: Delivered / attempted (dashed: usual at that age) C",
            "campaigns-marketing: Clicks after 1, 4, and 24 hours, of the messages attempted A",
            "campaigns-marketing: Clicks after 1, 4, and 24 hours, of the messages attempted B",
            "campaigns-marketing: Clicks after 1, 4, and 24 hours, of the messages attempted C",
            "campaigns-marketing: Clicks after 1, 4, and 24 hours, of the messages attempted D",
            "campaigns-marketing: Clicks after 1, 4, and 24 hours, of the messages attempted E",
            "campaigns-marketing: Clicks after 1, 4, and 24 hours, of the messages attempted F",
            "campaigns-marketing: Clicks after 1, 4, and 24 hours, of the messages attempted G",
            "campaigns-marketing: Clicks after 1, 4, and 24 hours, of the messages attempted H",
            "campaigns-marketing: Clicks after 1, 4, and 24 hours, of the messages attempted I",
        ],
    ),
    (
        "no campaigns were sent in the week before",
        &[
            "campaigns-marketing: Rates, of the messages attempted B",
            "campaigns-marketing: Totals B",
            "campaigns-marketing: Opt-outs by account B",
            "campaigns-marketing: Cost by account C",
            "campaigns-marketing: Cost by account E",
        ],
    ),
    (
        "the newest campaigns report no clicks, reads or pending messages",
        &[
            "campaigns-campaign: Campaign, of the messages attempted E",
            "campaigns-campaign: Results C",
            "campaigns-campaign: Results D",
            "campaigns-campaign: Results G",
            "campaigns-campaign: The account's last twenty campaigns E",
        ],
    ),
    (
        "campaigns with clicks report no reasons of failures",
        &[
            "campaigns-marketing: Worst, by what was lost against the usual rate: ${result:text} I",
            "campaigns-marketing: Best, by what was gained against the usual rate: ${result:text} H",
        ],
    ),
    (
        "no account reports clicks with senders, templates or costs",
        &[
            "campaigns-marketing: By sender: ${result:text} A",
            "campaigns-marketing: By sender: ${result:text} B",
            "campaigns-marketing: By sender: ${result:text} C",
            "campaigns-marketing: By sender: ${result:text} D",
            "campaigns-marketing: By template: ${result:text} A",
            "campaigns-marketing: By template: ${result:text} B",
            "campaigns-marketing: By template: ${result:text} C",
            "campaigns-marketing: By template: ${result:text} D",
            "campaigns-marketing: Cost by account D",
        ],
    ),
    (
        "no account exports creators",
        &[
            "campaigns-marketing: By creator: ${result:text} A",
            "campaigns-marketing: By creator: ${result:text} B",
            "campaigns-marketing: By creator: ${result:text} C",
            "campaigns-marketing: By creator: ${result:text} D",
        ],
    ),
];

/// Number of concurrent queries.
const AT_ONCE: usize = 4;

struct Stack {
    prometheus: Prometheus,
    _daemons: [Daemon; 2],
    simulators: Vec<Simulator>,
}

fn sms(id: &str, hours: i64) -> Campaign {
    let sent_at = Utc::now() - TimeDelta::hours(hours);
    Campaign::sms(id, HOSTILE, sent_at, COUNTS)
}

fn past() -> Vec<Campaign> {
    let mut last_week = sms("1", 5 * 24);
    last_week.counts.recipients = 5_000;
    last_week.counts.sends = 5_000;
    vec![last_week, sms("2", 30), sms("3", 8)]
}

impl Stack {
    async fn start() -> Self {
        let undelivered = |id: &str| {
            let mut campaign = sms(id, 8);
            campaign.counts.deliveries = 500;
            campaign
        };
        let low = undelivered("a.b+(c|d)");
        let spring = simulate(with_clicks(), [past(), vec![low]].concat()).await;
        let whatsapp = past().into_iter().map(|campaign| Campaign {
            id: format!("w{}", campaign.id),
            channel: Channel::Whatsapp,
            ..campaign
        });
        let desk = simulate(with_channels(), past().into_iter().chain(whatsapp).collect()).await;
        let unsent = |id: &str, status, hours| Campaign {
            status,
            created_at: Utc::now() - TimeDelta::hours(30),
            ..sms(id, hours)
        };
        let more = vec![
            unsent("4", "In moderation", -2),
            unsent("5", "Waiting", -3),
            unsent("6", "In progress", 1),
            unsent("7", "Denied", 2),
            undelivered("8"),
        ];
        let shoes = simulate(with_statuses(), [past(), more].concat()).await;
        // a campaign that lacks some counts, and an item that is not a campaign
        let partial = json!({ "id": "9", "status": "Sent", "delivered": "7", "total": "x" });
        shoes.update(|state| state.items = vec![partial, json!(null)]);
        let bags = simulate(with_statuses(), past()).await;
        break_down(&bags, status(401, None));
        // a token with a known expiry
        let claims = json!({ "exp": Utc::now().timestamp() + 86_400 }).to_string();
        let token = format!("e30.{}.c2ln", BASE64_URL_SAFE_NO_PAD.encode(claims));
        for simulator in [&spring, &desk, &shoes] {
            simulator.update(|state| state.token.clone_from(&token));
        }
        spring.update(|state| state.percents_off_by = 10.0);
        let accounts = [
            account("spring-us", &spring, &[]),
            account("desk-hk", &desk, &[]),
            account("shoes-ch", &shoes, &["max_campaigns: 8"]),
            account("bags-fr", &bags, &[]),
        ];
        let often = config(&accounts);
        let once = often.replacen("poll_interval: 1s", "poll_interval: 1h", 1);
        let [often, once] = [often, once].map(|yaml| {
            let setup = Setup::new(&yaml);
            fs::write(setup.token_file(), &token).unwrap();
            setup
        });
        let daemons = [Daemon::start(often, &[]).await, Daemon::start(once, &[]).await];
        for daemon in &daemons {
            let polled = |metrics: &str| {
                metrics.matches("\ncampaign_account_last_poll_timestamp_seconds{").count() == 4
            };
            daemon.scrape_until(polled).await;
        }
        let prometheus = Prometheus::running(Job {
            targets: &[daemons[0].address(), daemons[1].address()],
            scrape_interval: 1,
            rules: &shortened(600.0),
            how: &[],
            alertmanager: None,
        })
        .await;
        let stack =
            Self { prometheus, _daemons: daemons, simulators: vec![spring, desk, shoes, bags] };
        stack.wait_for("count(campaign_info{campaign_id=\"1\"}) == 6").await;
        // Prometheus has both names from one exporter, and only the old one from the other
        stack.simulators[0].update(|state| {
            let mut campaigns = state.campaigns.at(Utc::now()).into_owned();
            "Renamed".clone_into(&mut campaigns[0].name);
            state.campaigns = campaigns.into();
        });
        for query in [
            "count(campaign_info{campaign_name=\"Renamed\"}) == 1",
            "count(count by (alertname) (ALERTS{alertstate=\"firing\"})) >= 3",
            "count(count_over_time(account:delivery_ratio:recent[1m]) > 2) >= 6",
        ] {
            stack.wait_for(query).await;
        }
        stack.prometheus.wait_for_rules().await;
        stack
    }

    /// Waits until a query returns data.
    async fn wait_for(&self, query: &str) {
        let found = |found: &[Found]| !found.is_empty();
        self.prometheus.wait_for(query, found).await;
    }
}

/// Values of the variables.
struct Choices {
    /// All.
    all: Choice,
    /// One value of each variable.
    single: Vec<Choice>,
    /// All, with a different value for a variable without All.
    others: Vec<Choice>,
}

impl Choices {
    async fn of(dashboard: &Dashboard, prometheus: &Prometheus) -> Self {
        let mut all = dashboard.all();
        let mut single = vec![all.clone()];
        let mut others = Vec::new();
        for variable in &dashboard.variables {
            let chosen = |choice: &Choice, value| {
                let mut longer = choice.clone();
                longer.insert(variable.name.clone(), Some(vec![value]));
                longer
            };
            if variable.is_multi() && !variable.has_all() {
                // as many as there are
                let values = variable.values(dashboard, &all, prometheus).await;
                all.insert(variable.name.clone(), Some(values));
            }
            if !variable.is_multi() {
                let values = variable.values(dashboard, &all, prometheus).await;
                others.extend(values.into_iter().map(|value| chosen(&all, value)));
                continue;
            }
            let mut longer = Vec::new();
            for choice in &single {
                let values = variable.values(dashboard, choice, prometheus).await;
                if values.is_empty() && variable.has_all() {
                    // an account without data has no channel, so only All can be chosen
                    longer.push(choice.clone());
                }
                longer.extend(values.into_iter().map(|value| chosen(choice, value)));
            }
            single = longer;
            let both = both(&single[0], &single[single.len() - 1]);
            for choice in [&all, &both] {
                let values = variable.values(dashboard, choice, prometheus).await;
                assert!(!values.is_empty(), "{}: {choice:?}", variable.name);
            }
        }
        Self { all, single, others }
    }
}

/// Combines the values of both.
fn both(one: &Choice, other: &Choice) -> Choice {
    let both = one.iter().map(|(name, values)| {
        let values = values.iter().chain(&other[name]).flatten();
        let values: BTreeSet<_> = values.cloned().collect();
        let values = (!values.is_empty()).then(|| values.into_iter().collect());
        (name.clone(), values)
    });
    both.collect()
}

/// Returns whether a query has data.
async fn finds(
    query: &Query,
    dashboard: &Dashboard,
    choice: &Choice,
    prometheus: &Prometheus,
) -> Result<bool, String> {
    let values = query.ask(dashboard, choice, prometheus).await?;
    if values.iter().all(|value| value.is_finite()) {
        Ok(!values.is_empty())
    } else {
        Err(format!("{choice:?}: {values:?}"))
    }
}

/// Runs a query with all choices of variables.
async fn check(
    query: &Query,
    dashboard: &Dashboard,
    choices: &Choices,
    prometheus: &Prometheus,
) -> Result<(), String> {
    let finds = |choice| finds(query, dashboard, choice, prometheus);
    for other in &choices.others {
        finds(other).await?;
    }
    let name = query.name(dashboard);
    if let Some((why, _)) = MAY_BE_EMPTY.iter().find(|(_, queries)| queries.contains(&&*name)) {
        let finds = finds(&choices.all).await?;
        return if finds { Err(format!("not empty, although {why}")) } else { Ok(()) };
    }
    if !finds(&choices.all).await? {
        return Err("empty".to_owned());
    }
    // of the second exporter
    let last = &choices.single[choices.single.len() - 1];
    finds(last).await?;
    for choice in &choices.single {
        if finds(choice).await? {
            return if finds(&both(choice, last)).await? {
                Ok(())
            } else {
                Err("empty if two values are chosen".to_owned())
            };
        }
    }
    Err("empty whichever value is chosen".to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_dashboard_query_returns_data_for_any_variables() {
    let Stack { prometheus, .. } = &Stack::start().await;
    let mut problems = Vec::new();
    for dashboard in &Dashboard::shipped() {
        let choices = &Choices::of(dashboard, prometheus).await;
        let checked = stream::iter(&dashboard.queries).map(async |query| {
            let checked = check(query, dashboard, choices, prometheus).await;
            checked.map_err(|problem| format!("{}: {problem}", query.name(dashboard)))
        });
        let checked: Vec<_> = checked.buffer_unordered(AT_ONCE).collect().await;
        problems.extend(checked.into_iter().filter_map(Result::err));
    }
    assert!(problems.is_empty(), "{problems:#?}");
}
