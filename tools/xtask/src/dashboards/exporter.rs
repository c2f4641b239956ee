//! The exporter and providers: polls, requests, limits, and the exporter process.

use serde_json::json;

use super::dashboard::{Dashboard, Row, purpose, row};
use super::link;
use super::panel::{Panel, bargauge, heatmap, stat, timeseries};
use super::query::{self, Scope};
use super::table::{account_columns, figure, label, table};
use super::thresholds::{Levels, Thresholds};
use super::{annotation, color, freshness, variable};

const SCOPE: Scope = Scope::Account;

/// Labels that identify an account of an exporter.
pub(crate) const ACCOUNT: &str = "job, instance, provider, account";

const PURPOSE: &str = "Is the data up to date and complete? The exporter **polls** each account in the background, with one or more **requests** to its provider's API; scrapes return the result of the last successful poll. For the failure reasons below see docs/troubleshooting.md. Colors follow the default thresholds of the alerts.";

/// The dashboard.
pub(crate) fn dashboard(thresholds: &Thresholds) -> Dashboard {
    Dashboard {
        uid: "campaigns-exporter",
        title: "Campaigns / Exporter and providers",
        description: "Polls and requests by rate, errors, and duration; quotas, tokens, and credits; and the exporter process. Needs the profile essential of metrics.",
        from: "now-6h",
        ranges: &[],
        variables: variable::common(),
        annotations: annotation::of_exporters(),
        rows: vec![
            state(thresholds),
            polls(thresholds),
            requests(),
            limits(thresholds),
            data(),
            cost(),
            process(),
            purpose(PURPOSE),
        ],
    }
}

/// A metric that other programs also expose, restricted to targets that were campaign exporters in the
/// time range.
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
            stat(
                "Exporters down",
                "Exporters seen in the time range that Prometheus currently cannot scrape.",
            )
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
                "Whether the last configuration reload succeeded on all exporters.",
            )
            .query(
                &format!(
                    "min({})",
                    Scope::Exporter.of("campaign_exporter_config_last_reload_successful")
                ),
                "configuration",
            )
            .unit("none")
            .words(&[(1, "✓ loaded", color::GOOD), (0, "✖ rejected", color::CRITICAL)])
            .options(&json!({"text": {"valueSize": 24}})),
            stat("Up for", "Time since the most recent start of an exporter.")
                .query(
                    &format!("time() - max({})", of_exporters("process_start_time_seconds")),
                    "uptime",
                )
                .unit("s")
                .neutral(),
            stat("Version", "Version and commit of each exporter.")
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

/// Creates the table of accounts and their polls.
fn accounts(thresholds: &Thresholds) -> Panel {
    let of = |metric: &str| per_account(&SCOPE.of(metric));
    let since = |metric: &str| format!("time() - {}", of(metric));
    let mut columns = account_columns();
    columns.extend([label("instance", "Exporter").wide(150), label("job", "Job").hidden()]);
    table(
        "Accounts",
        "Each account: whether its last poll succeeded, how long ago its data was read, as a multiple of the interval in which it should be (up to 2 is normal), and its polling settings.",
        columns,
        vec![
            figure("Up", "bool_yes_no", &of("campaign_account_up"))
                .levels(Levels::AtLeast(1.0))
                .wide(55),
            figure("Intervals old", "none", &per_account(&freshness::age_in_intervals()))
                .decimals(1)
                .levels(freshness::stale(thresholds))
                .wide(120),
            figure(
                "Last success",
                "s",
                &since("campaign_account_last_success_timestamp_seconds"),
            )
            .decimals(0)
            .wide(105),
            figure(
                "Last poll",
                "s",
                &since("campaign_account_last_poll_timestamp_seconds"),
            )
            .decimals(0)
            .wide(85),
            figure(
                "Interval",
                "s",
                &of("campaign_account_poll_interval_seconds"),
            )
            .wide(75),
            figure("Took", "s", &of("campaign_account_poll_duration_seconds")).decimals(1).wide(80),
            figure("Lookback", "s", &of("campaign_account_lookback_seconds")).wide(95),
            figure(
                "Campaigns",
                "short",
                &format!(
                    "sum by ({ACCOUNT}) ({})",
                    SCOPE.of("campaign_account_campaigns")
                ),
            )
            .wide(95),
            figure(
                "Dropped",
                "short",
                &of("campaign_account_campaigns_dropped"),
            )
            .levels(Levels::Zero)
            .wide(80),
        ],
        ("Intervals old", true),
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
    let to_account = || [link::SERIES.to_exporter(), link::SERIES.to_account()];
    row(
        "Polls",
        [
            timeseries("Polls per hour, by result", "Successful and failed polls per hour.")
                .query(
                    &format!(
                        "3600 * sum by (result) ({})",
                        rate("campaign_exporter_polls_total")
                    ),
                    "{{result}}",
                )
                .unit("short")
                .above_zero()
                .colored("/^success$/", color::GOOD)
                .colored("/^failure$/", color::CRITICAL)
                .over_polls()
                .third(),
            timeseries(
                "Failed polls",
                "Share of polls that failed, by account. The alert uses one hour.",
            )
            .query(&failed, "{{account}}")
            .unit("percentunit")
            .range(0.0, 1.0)
            .levels(Levels::AboveWarning(thresholds.failed_polls_ratio))
            .over_polls()
            .third()
            .links(to_account()),
            timeseries(
                "Failed polls per hour, by reason",
                "Why polls failed. For what to do see docs/troubleshooting.md.",
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
            .no_value("No failed polls.")
            .over_polls()
            .third(),
            timeseries(
                "Age of the data, in intervals",
                "How long ago each account was read, as a multiple of the interval in which it should be, so that all accounts share the same thresholds. Up to 2 is normal.",
            )
            .query(&per_account(&freshness::age_in_intervals()), "{{account}}")
            .unit("none")
            .decimals(1)
            .above_zero()
            .levels(freshness::stale(thresholds))
            .no_value("No account has been read yet.")
            .links(to_account()),
            timeseries(
                "Poll duration",
                "Duration of the last poll, and the poll interval (dashed). A poll that takes longer than its interval delays the next one.",
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
                "Requests per minute, by status code",
                "By HTTP status code. error means no response; 401 and 403, rejected credentials; 429, too many requests.",
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
            .no_value("No requests yet.")
            .over_polls()
            .third(),
            timeseries(
                "Requests per minute, by account",
                "Which accounts use the quota.",
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
            .no_value("No requests yet.")
            .over_polls()
            .third()
            .links([link::SERIES.to_exporter()]),
            timeseries(
                "Retries per minute",
                "Requests repeated within a poll.",
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
            .links([link::SERIES.to_exporter()]),
            timeseries(
                "Request duration",
                "Duration of requests including the response body: median, 90th percentile, and 99th percentile.",
            )
            .query(&quantile("0.5"), "p50")
            .query(&quantile("0.9"), "p90")
            .query(&quantile("0.99"), "p99")
            .unit("s")
            .above_zero()
            .no_value("No requests.")
            .over_polls(),
            heatmap(
                "Request duration, distribution",
                "Number of requests by duration.",
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

fn limits(thresholds: &Thresholds) -> Row {
    let remaining = SCOPE.of("campaign_account_api_requests_remaining");
    let limit = SCOPE.of("campaign_account_api_requests_limit");
    let to_account = || [link::SERIES.to_exporter(), link::SERIES.to_account()];
    row(
        "Quotas, tokens, and credits",
        [
            timeseries(
                "Requests left today",
                "Share of the daily requests left. The quota resets at 00:00 UTC. Several accounts can share it.",
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
                "Number of requests left today",
                "Number of daily requests left.",
            )
            .query(&remaining, "{{account}}")
            .unit("short")
            .above_zero()
            .no_value("No provider of these accounts has a daily limit.")
            .third()
            .links(to_account()),
            timeseries(
                "Tokens expire in",
                "Time until the current access token expires, if known. A refresh raises it again long before it expires.",
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
            .no_value("No token has a known expiry.")
            .third()
            .links(to_account()),
            timeseries("Credits left", "Remaining credits by account. An increase is a top-up.")
                .query(&SCOPE.of("campaign_account_credits"), "{{account}}")
                .unit("short")
                .above_zero()
                .no_value("No provider of these accounts reports the remaining credits.")
                .links(to_account()),
            timeseries(
                "Credits run out in",
                "Days until the credits run out at the rate of the last seven days.",
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
    let to_account = || [link::SERIES.to_exporter(), link::SERIES.to_account()];
    row(
        "Responses of the providers",
        [
            timeseries(
                "Decode problems",
                "Values and campaigns that could not be decoded, by the provider's field, per step. Alerts that need them do not fire.",
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
            .no_value("No decode problems.")
            .over_polls()
            .third()
            .links(to_account()),
            timeseries(
                "Mismatched sums",
                "Pages whose rate, as reported by the provider, differs by more than one percentage point from the counts of their campaigns, per step.",
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
            .no_value("No mismatches.")
            .over_polls()
            .third()
            .links(to_account()),
            timeseries(
                "Campaigns dropped",
                "The oldest campaigns, dropped because of max_campaigns. They are not monitored.",
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

/// What `campaign_exporter cost` says before the deployment, as measured.
fn cost() -> Row {
    let samples = format!(
        "sum by (job, instance) (sum_over_time({}[1d]) and on (job, instance) {})",
        Scope::Exporter.of("scrape_samples_scraped"),
        Scope::Exporter.of("campaign_exporter_build_info")
    );
    row(
        "Cost",
        [
            timeseries(
                "Campaign series",
                "Campaign series in the exposition, which determine the load on Prometheus and the price of most hosted stores.",
            )
            .query(&Scope::Exporter.of("campaign_exporter_series"), "{{instance}}")
            .unit("short")
            .above_zero()
            .third()
            .sized(6, 8),
            bargauge(
                "Series by account, about",
                "The twenty accounts with the most series at the end of the time range: the series of the exporter, divided by the number of campaigns. campaign_exporter cost counts them.",
            )
            // counting them would select every series
            .query(
                &format!(
                    "topk(20, max by ({}) ({campaigns} / on (job, instance) group_left () sum by (job, instance) ({of_all} > 0) * on (job, instance) group_left () max by (job, instance) ({})))",
                    query::ACCOUNT,
                    Scope::Exporter.of("campaign_exporter_series"),
                    campaigns = SCOPE.of("campaign_account_campaigns"),
                    of_all = Scope::Exporter.of("campaign_account_campaigns"),
                ),
                "{{account}}",
            )
            .unit("short")
            .neutral()
            .sized(6, 8)
            .links([link::SERIES.to_account()]),
            timeseries(
                "Samples in a day",
                "Samples that Prometheus scraped from each exporter in the 24 hours before.",
            )
            .query(&samples, "{{instance}}")
            .unit("short")
            .above_zero()
            .third()
            .sized(6, 8),
            timeseries(
                "Requests in a day",
                "Requests to the providers at the current rate, by account, to compare with their daily limits.",
            )
            .query(
                &format!(
                    "86400 * sum by ({ACCOUNT}) (rate({}[$__rate_interval]))",
                    SCOPE.of("campaign_exporter_api_requests_total")
                ),
                "{{account}}",
            )
            .unit("short")
            .above_zero()
            .no_value("No requests yet.")
            .over_polls()
            .third()
            .sized(6, 8)
            .links([link::SERIES.to_exporter(), link::SERIES.to_account()]),
        ],
    )
}

fn process() -> Row {
    row(
        "Exporter process",
        [
            timeseries("Scrape duration", "Duration of Prometheus' scrapes.")
                .query(&of_exporters("scrape_duration_seconds"), "{{instance}}")
                .unit("s")
                .above_zero()
                .third(),
            timeseries("CPU", "CPU seconds per second: 1 is one full core.")
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
                .query(&of_exporters("process_resident_memory_bytes"), "{{instance}}")
                .unit("bytes")
                .above_zero()
                .third(),
            timeseries("File descriptors", "Open file descriptors, and their limit (dashed).")
                .query(&of_exporters("process_open_fds"), "{{instance}}")
                .query(&of_exporters("process_max_fds"), "{{instance}} limit")
                .unit("short")
                .above_zero()
                .dashed("/ limit$/")
                .third(),
            timeseries(
                "Time since the configuration was loaded",
                "Reset by a reload or a restart.",
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
