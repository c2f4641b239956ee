//! How the accounts are read: polls, requests, what runs out, and the exporter itself.

use serde_json::json;

use super::dashboard::{Dashboard, Row, purpose, row};
use super::link;
use super::panel::{Panel, heatmap, stat, timeseries};
use super::query::{ACCOUNT, Scope};
use super::table::{account_columns, figure, table};
use super::thresholds::{Levels, Thresholds};
use super::{annotation, freshness, variable};

const SCOPE: Scope = Scope::Account;

const PURPOSE: &str = "Can the figures be trusted? Each account is **polled** in the background, with one or more **requests** to its provider's API; a scrape only hands over what the last good poll found. If polls fail, the reasons below are explained in docs/troubleshooting.md. Colours and lines are the alerts' default thresholds.";

/// The dashboard.
pub(crate) fn dashboard(thresholds: &Thresholds) -> Dashboard {
    Dashboard {
        uid: "campaigns-exporter",
        title: "Campaigns / Exporter and providers",
        description: "How the accounts are read: polls and requests by rate, errors and duration, what runs out, and the exporter itself.",
        from: "now-6h",
        variables: variable::common(),
        annotations: annotation::of_exporters(),
        rows: vec![
            purpose(PURPOSE),
            state(thresholds),
            polls(thresholds),
            requests(),
            what_runs_out(thresholds),
            data(),
            process(),
        ],
    }
}

/// A metric that other programs have, too, of the targets that were campaign exporters in the time
/// range.
fn of_exporters(metric: &str) -> String {
    format!(
        "{} and on (job, instance) max_over_time({}[$__range])",
        Scope::Exporter.of(metric),
        Scope::Exporter.of("campaign_exporter_build_info")
    )
}

fn per_account(expression: &str) -> String {
    format!("max by ({ACCOUNT}) ({expression})")
}

fn state(thresholds: &Thresholds) -> Row {
    let up = SCOPE.of("campaign_account_up");
    row(
        "State",
        [
            stat("Exporters down", "Exporters of the time range that Prometheus cannot scrape now.")
                .query(
                    &format!(
                        "count(min by (job, instance) ({0}) == 0) or 0 * count({0})",
                        of_exporters("up")
                    ),
                    "exporters",
                )
                .unit("short")
                .levels(Levels::Zero),
            stat("Accounts failing", "Accounts whose last poll failed.")
                .query(&format!("count({up} == 0) or 0 * count({up})"), "accounts")
                .unit("short")
                .levels(Levels::Zero),
            freshness::oldest_data(thresholds),
            stat(
                "Configuration",
                "Whether the last reload of the configuration succeeded, of the exporter that did worst.",
            )
            .query(
                &format!(
                    "min({})",
                    Scope::Exporter.of("campaign_exporter_config_last_reload_successful")
                ),
                "configuration",
            )
            .unit("bool_yes_no")
            .levels(Levels::AtLeast(1.0)),
            stat("Up for", "The time since the last start of the exporter that started last.")
                .query(
                    &format!("time() - max({})", of_exporters("process_start_time_seconds")),
                    "uptime",
                )
                .unit("s")
                .neutral(),
            stat("Version", "The version and the commit of each exporter.")
                .query(
                    &format!(
                        "count by (version, revision) ({})",
                        Scope::Exporter.of("campaign_exporter_build_info")
                    ),
                    "{{version}} {{revision}}",
                )
                .unit("none")
                .neutral()
                .options(&json!({"textMode": "name", "text": {"valueSize": 16}})),
            accounts(thresholds),
        ],
    )
}

/// Each account with how it is read.
fn accounts(thresholds: &Thresholds) -> Panel {
    let of = |metric: &str| per_account(&SCOPE.of(metric));
    let since = |metric: &str| format!("time() - {}", of(metric));
    table(
        "Accounts",
        "Each account: whether its last poll succeeded, how old its data is, in its poll intervals, and how it is read.",
        account_columns(),
        vec![
            figure("Up", "bool_yes_no", &of("campaign_account_up")).levels(Levels::AtLeast(1.0)),
            figure("Polls old", "none", &per_account(&freshness::age_in_intervals()))
                .decimals(1)
                .levels(freshness::stale(thresholds)),
            figure(
                "Good poll",
                "s",
                &since("campaign_account_last_success_timestamp_seconds"),
            )
            .decimals(0),
            figure(
                "Last poll",
                "s",
                &since("campaign_account_last_poll_timestamp_seconds"),
            )
            .decimals(0),
            figure(
                "Interval",
                "s",
                &of("campaign_account_poll_interval_seconds"),
            ),
            figure("Took", "s", &of("campaign_account_poll_duration_seconds")).decimals(1),
            figure("Lookback", "s", &of("campaign_account_lookback_seconds")),
            figure(
                "Campaigns",
                "short",
                &format!(
                    "sum by ({ACCOUNT}) ({})",
                    SCOPE.of("campaign_account_campaigns")
                ),
            ),
            figure(
                "Left out",
                "short",
                &of("campaign_account_campaigns_dropped"),
            )
            .levels(Levels::Zero),
        ],
        ("Polls old", true),
    )
    .sized(24, 7)
}

fn polls(thresholds: &Thresholds) -> Row {
    let rate = |metric: &str| format!("rate({}[$__rate_interval])", SCOPE.of(metric));
    let failed = format!(
        "sum by ({ACCOUNT}) (rate({}[$__rate_interval])) / (sum by ({ACCOUNT}) ({}) > 0)",
        SCOPE.with("campaign_exporter_polls_total", r#"result="failure""#),
        rate("campaign_exporter_polls_total")
    );
    let to_account = || [link::series_to_exporter(), link::series_to_account()];
    row(
        "Polls",
        [
            timeseries("Polls an hour, by result", "Good and bad polls, as many as an hour has at this pace.")
                .query(
                    &format!(
                        "3600 * sum by (result) ({})",
                        rate("campaign_exporter_polls_total")
                    ),
                    "{{result}}",
                )
                .unit("short")
                .above_zero()
                .over_polls()
                .third(),
            timeseries(
                "Failed polls",
                "Failed polls of all polls, by account. An alert judges an hour.",
            )
            .query(&failed, "{{account}}")
            .unit("percentunit")
            .range(0.0, 1.0)
            .levels(Levels::AboveWarning(thresholds.failed_polls_ratio))
            .over_polls()
            .third()
            .links(to_account()),
            timeseries(
                "Failed polls an hour, by reason",
                "What polls failed for; docs/troubleshooting.md says what to do about each.",
            )
            .query(
                &format!(
                    "3600 * sum by (reason) ({}) > 0",
                    rate("campaign_exporter_poll_errors_total")
                ),
                "{{reason}}",
            )
            .unit("short")
            .above_zero()
            .no_value("No poll failed.")
            .over_polls()
            .third(),
            timeseries(
                "Time since the last good poll",
                "In poll intervals of the account, so that one line holds for all.",
            )
            .query(&per_account(&freshness::age_in_intervals()), "{{account}}")
            .unit("none")
            .above_zero()
            .levels(freshness::stale(thresholds))
            .no_value("No account was read yet.")
            .links(to_account()),
            timeseries(
                "Duration of polls",
                "How long the last poll took; dashed, how often there is one. A poll that takes as long as that delays the next.",
            )
            .query(
                &SCOPE.of("campaign_account_poll_duration_seconds"),
                "{{account}}",
            )
            .query(
                &SCOPE.of("campaign_account_poll_interval_seconds"),
                "{{account}} interval",
            )
            .unit("s")
            .above_zero()
            .dashed("/ interval$/")
            .links(to_account()),
        ],
    )
}

fn requests() -> Row {
    let rate = |metric: &str| format!("rate({}[$__rate_interval])", SCOPE.of(metric));
    let buckets = rate("campaign_exporter_api_request_duration_seconds_bucket");
    let quantile =
        |quantile: &str| format!("histogram_quantile({quantile}, sum by (le) ({buckets})) >= 0");
    row(
        "Requests to the providers",
        [
            timeseries(
                "Requests a minute, by status code",
                "By HTTP status code; error is no answer at all, 401 and 403 are refused credentials, 429 is too many requests.",
            )
            .query(
                &format!(
                    "60 * sum by (code) ({})",
                    rate("campaign_exporter_api_requests_total")
                ),
                "{{code}}",
            )
            .unit("short")
            .above_zero()
            .no_value("No request was made yet.")
            .over_polls()
            .third(),
            timeseries(
                "Requests a minute, by account",
                "Who spends the quota.",
            )
            .query(
                &format!(
                    "60 * sum by ({ACCOUNT}) ({})",
                    rate("campaign_exporter_api_requests_total")
                ),
                "{{account}}",
            )
            .unit("short")
            .above_zero()
            .no_value("No request was made yet.")
            .over_polls()
            .third()
            .links([link::series_to_exporter()]),
            timeseries(
                "Retries a minute",
                "Requests that were made again within a poll.",
            )
            .query(
                &format!(
                    "60 * sum by ({ACCOUNT}) ({})",
                    rate("campaign_exporter_api_retries_total")
                ),
                "{{account}}",
            )
            .unit("short")
            .above_zero()
            .over_polls()
            .third()
            .links([link::series_to_exporter()]),
            timeseries(
                "Duration of requests",
                "How long requests take, their body included: half of them, nine of ten, and 99 of 100 take no longer.",
            )
            .query(&quantile("0.5"), "p50")
            .query(&quantile("0.9"), "p90")
            .query(&quantile("0.99"), "p99")
            .unit("s")
            .above_zero()
            .no_value("No request was made.")
            .over_polls(),
            heatmap(
                "Duration of requests, all of them",
                "How many requests took how long.",
                "s",
            )
            .over_polls()
            .buckets(&format!(
                "sum by (le) (increase({}[$__rate_interval]))",
                SCOPE.of("campaign_exporter_api_request_duration_seconds_bucket")
            )),
        ],
    )
}

fn what_runs_out(thresholds: &Thresholds) -> Row {
    let remaining = SCOPE.of("campaign_account_api_requests_remaining");
    let limit = SCOPE.of("campaign_account_api_requests_limit");
    let to_account = || [link::series_to_exporter(), link::series_to_account()];
    row(
        "What runs out",
        [
            timeseries(
                "Requests left today",
                "What is left of the day's requests, which begin anew at 00:00 UTC. Accounts of one application share them.",
            )
            .query(&format!("{remaining} / ({limit} > 0)"), "{{account}}")
            .unit("percentunit")
            .decimals(0)
            .range(0.0, 1.0)
            .levels(Levels::BelowWarning(thresholds.requests_left_ratio))
            .no_value("No provider of these accounts has a daily limit.")
            .third()
            .links(to_account()),
            timeseries(
                "Requests left today, as a number",
                "The same in requests.",
            )
            .query(&remaining, "{{account}}")
            .unit("short")
            .above_zero()
            .no_value("No provider of these accounts has a daily limit.")
            .third()
            .links(to_account()),
            timeseries(
                "Tokens run out in",
                "The time until the access token in use runs out, where that is known. One that is renewed goes up again long before the line.",
            )
            .query(
                &format!(
                    "{} - time()",
                    SCOPE.of("campaign_account_token_expiry_timestamp_seconds")
                ),
                "{{account}}",
            )
            .unit("s")
            .levels(Levels::BelowWarning(thresholds.renewed_token_seconds))
            .no_value("No token tells when it runs out.")
            .third()
            .links(to_account()),
            timeseries("Credits left", "The credits left by account; a step up is a top-up.")
                .query(&SCOPE.of("campaign_account_credits"), "{{account}}")
                .unit("short")
                .above_zero()
                .no_value("No provider of these accounts tells the credits left.")
                .links(to_account()),
            timeseries(
                "Credits last for",
                "Days until the credits are spent at the pace of the last seven days.",
            )
            .query(&SCOPE.of("account:credits_left:days"), "{{account}}")
            .unit("d")
            .decimals(1)
            .above_zero()
            .levels(Levels::BelowWarning(thresholds.credits_days))
            .no_value("No credits were spent in the last seven days.")
            .links(to_account()),
        ],
    )
}

fn data() -> Row {
    let increase = |metric: &str| format!("increase({}[$__rate_interval])", SCOPE.of(metric));
    let to_account = || [link::series_to_exporter(), link::series_to_account()];
    row(
        "Whether answers are as documented",
        [
            timeseries(
                "Values that could not be read",
                "Values and campaigns that were left out, by the provider's field, within each step. Alerts that need them are silent.",
            )
            .query(
                &format!(
                    "sum by ({ACCOUNT}, field) ({}) > 0",
                    increase("campaign_exporter_decode_problems_total")
                ),
                "{{account}} {{field}}",
            )
            .unit("short")
            .above_zero()
            .no_value("Everything could be read.")
            .over_polls()
            .third()
            .links(to_account()),
            timeseries(
                "Sums that disagree",
                "Pages on which the provider's own rate is more than one point off the counts of the page's campaigns, within each step.",
            )
            .query(
                &format!(
                    "sum by ({ACCOUNT}, rate) ({}) > 0",
                    increase("campaign_exporter_aggregate_mismatches_total")
                ),
                "{{account}} {{rate}}",
            )
            .unit("short")
            .above_zero()
            .no_value("No sum disagrees.")
            .over_polls()
            .third()
            .links(to_account()),
            timeseries(
                "Campaigns left out",
                "Campaigns that max_campaigns leaves out, the oldest: nobody watches them.",
            )
            .query(
                &SCOPE.of("campaign_account_campaigns_dropped"),
                "{{account}}",
            )
            .unit("short")
            .above_zero()
            .levels(Levels::Zero)
            .third()
            .links(to_account()),
        ],
    )
}

fn process() -> Row {
    row(
        "The exporter itself",
        [
            timeseries(
                "Campaign series",
                "Series about campaigns in the exposition: what the exporter costs Prometheus.",
            )
            .query(
                &Scope::Exporter.of("campaign_exporter_series"),
                "{{instance}}",
            )
            .unit("short")
            .above_zero()
            .third(),
            timeseries(
                "Duration of scrapes",
                "How long Prometheus waits for the exposition.",
            )
            .query(&of_exporters("scrape_duration_seconds"), "{{instance}}")
            .unit("s")
            .above_zero()
            .third(),
            timeseries("CPU", "Seconds of CPU time a second: 1 is a whole core.")
                .query(
                    &format!(
                        "rate({}[$__rate_interval]) and on (job, instance) {}",
                        Scope::Exporter.of("process_cpu_seconds_total"),
                        Scope::Exporter.of("campaign_exporter_build_info")
                    ),
                    "{{instance}}",
                )
                .unit("short")
                .above_zero()
                .third(),
            timeseries("Memory", "Resident memory.")
                .query(
                    &of_exporters("process_resident_memory_bytes"),
                    "{{instance}}",
                )
                .unit("bytes")
                .above_zero()
                .third(),
            timeseries(
                "File descriptors",
                "Open file descriptors; dashed, how many there may be.",
            )
            .query(&of_exporters("process_open_fds"), "{{instance}}")
            .query(&of_exporters("process_max_fds"), "{{instance}} limit")
            .unit("short")
            .above_zero()
            .dashed("/ limit$/")
            .third(),
            timeseries(
                "Time since the configuration was loaded",
                "A reload or a restart brings it to zero.",
            )
            .query(
                &format!(
                    "time() - {}",
                    Scope::Exporter
                        .of("campaign_exporter_config_last_reload_success_timestamp_seconds")
                ),
                "{{instance}}",
            )
            .unit("s")
            .above_zero()
            .third(),
        ],
    )
}
