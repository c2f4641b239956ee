//! The exporter's own metrics. Each account has its own registry, so that its series disappear when
//! it is removed from the configuration.

#[cfg(target_os = "linux")]
mod process;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts, Registry};
use tokio::sync::watch;

/// The version of the exporter.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The commit from which the exporter was built; `unknown` outside a checkout.
pub const REVISION: &str = env!("CAMPAIGN_EXPORTER_REVISION");
/// The version of the compiler that built the exporter.
pub const RUSTC_VERSION: &str = env!("CAMPAIGN_EXPORTER_RUSTC_VERSION");

/// Upper bounds of request durations in seconds: from a fast API to the default timeout.
const REQUEST_BUCKETS: [f64; 9] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Maximum number of problems that pages show of a rejected configuration. The log has all.
const MAX_PROBLEMS: usize = 5;

/// The metrics of one account. Clones share their series.
#[derive(Clone, Debug)]
pub struct AccountTelemetry {
    registry: Registry,
    /// How often the metrics in the registry have changed.
    changes: Arc<AtomicU64>,
    polls: IntCounterVec,
    poll_errors: IntCounterVec,
    requests: IntCounterVec,
    request_duration: Option<Histogram>,
    retries: IntCounter,
    decode_problems: IntCounterVec,
    mismatches: IntCounterVec,
    budget: Option<Budget>,
    budget_limit: Gauge,
    budget_remaining: Gauge,
}

/// Returns the requests per day that an account's application may make, and how many are left. Both change
/// with the time and with other accounts, so they are read when they are shown.
#[derive(Clone)]
struct Budget(Arc<dyn Fn() -> Option<(u64, u64)> + Send + Sync>);

impl fmt::Debug for Budget {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0().fmt(formatter)
    }
}

/// The version of an account's metrics. Those of the same version are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    changes: u64,
    budget: Option<(u64, u64)>,
}

impl AccountTelemetry {
    /// Returns the metrics of an account, with the durations of its requests if asked for. Series of labels
    /// with a closed set of values start at 0.
    pub fn new<'a>(
        provider: &str,
        account: &str,
        reasons: impl IntoIterator<Item = &'a str>,
        rates: &[Arc<str>],
        fields: &[Cow<'static, str>],
        with_durations: bool,
    ) -> prometheus::Result<Self> {
        let labels = HashMap::from([
            ("provider".to_owned(), provider.to_owned()),
            ("account".to_owned(), account.to_owned()),
        ]);
        let mut telemetry = Self::registered(&labels)?;
        if with_durations {
            let durations = request_durations(labels)?;
            telemetry.request_duration = Some(registered(&telemetry.registry, durations)?);
        }
        for result in ["success", "failure"] {
            telemetry.polls.with_label_values(&[result]);
        }
        for reason in reasons {
            telemetry.poll_errors.with_label_values(&[reason]);
        }
        for rate in rates {
            telemetry.mismatches.with_label_values(&[rate]);
        }
        for field in fields {
            telemetry.decode_problems.with_label_values(&[&**field]);
        }
        Ok(telemetry)
    }

    fn registered(labels: &HashMap<String, String>) -> prometheus::Result<Self> {
        let opts = |name, help| Opts::new(name, help).const_labels(labels.clone());
        let registry = Registry::new();
        let vec = |name, help, label| {
            let counters = IntCounterVec::new(opts(name, help), &[label])?;
            registered(&registry, counters)
        };
        let retries = IntCounter::with_opts(opts(
            "campaign_exporter_api_retries_total",
            "Requests retried within a poll.",
        ))?;
        Ok(Self {
            polls: vec(
                "campaign_exporter_polls_total",
                "Polls by result: success or failure.",
                "result",
            )?,
            poll_errors: vec(
                "campaign_exporter_poll_errors_total",
                "Failed polls by reason.",
                "reason",
            )?,
            requests: vec(
                "campaign_exporter_api_requests_total",
                "Requests to the provider by HTTP status code, or error if there was no response.",
                "code",
            )?,
            request_duration: None,
            retries: registered(&registry, retries)?,
            decode_problems: vec(
                "campaign_exporter_decode_problems_total",
                "Values and campaigns dropped because they could not be decoded, by the provider's \
                 field.",
                "field",
            )?,
            mismatches: vec(
                "campaign_exporter_aggregate_mismatches_total",
                "Pages whose rate as reported by the provider differs by more than 1 percentage \
                 point from the counts of the page's campaigns, by rate.",
                "rate",
            )?,
            changes: Arc::default(),
            budget: None,
            budget_limit: Gauge::with_opts(opts(
                "campaign_account_api_requests_limit",
                "Requests per day that the account's application may make.",
            ))?,
            budget_remaining: Gauge::with_opts(opts(
                "campaign_account_api_requests_remaining",
                "Requests that the account's application has left until 00:00 UTC.",
            ))?,
            registry,
        })
    }

    /// Adds the daily request budget of the account's application: its limit, and what is left of it. There
    /// are no metrics while it has none.
    #[must_use]
    pub fn with_budget(
        mut self,
        budget: impl Fn() -> Option<(u64, u64)> + Send + Sync + 'static,
    ) -> Self {
        self.budget = Some(Budget(Arc::new(budget)));
        self
    }

    /// Returns the version of the metrics. Read it before them: they may change in between.
    pub fn version(&self) -> Version {
        Version { changes: self.changes.load(Ordering::Acquire), budget: self.budget() }
    }

    fn budget(&self) -> Option<(u64, u64)> {
        self.budget.as_ref().and_then(|Budget(read)| read())
    }

    /// Gathers the metrics.
    pub fn gather(&self) -> Vec<MetricFamily> {
        let mut families = self.registry.gather();
        if let Some((limit, remaining)) = self.budget() {
            self.budget_limit.set(limit as f64);
            self.budget_remaining.set(remaining as f64);
            families.extend(self.budget_limit.collect());
            families.extend(self.budget_remaining.collect());
        }
        families
    }

    /// Notes a change of the metrics, after it.
    fn changed(&self) {
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// Counts a request with its status code.
    pub fn request(&self, code: &str, took: Duration) {
        self.requests.with_label_values(&[code]).inc();
        if let Some(durations) = &self.request_duration {
            durations.observe(took.as_secs_f64());
        }
        self.changed();
    }

    /// Counts a retry.
    pub fn retry(&self) {
        self.retries.inc();
        self.changed();
    }

    /// Counts a successful poll.
    pub fn poll_succeeded(&self) {
        self.polls.with_label_values(&["success"]).inc();
        self.changed();
    }

    /// Counts a failed poll.
    pub fn poll_failed(&self, reason: &str) {
        self.polls.with_label_values(&["failure"]).inc();
        self.poll_errors.with_label_values(&[reason]).inc();
        self.changed();
    }

    /// Counts values that could not be decoded.
    pub fn decode_problems(&self, field: &str, count: u64) {
        self.decode_problems.with_label_values(&[field]).inc_by(count);
        self.changed();
    }

    /// Counts a page whose rate does not match its campaigns.
    pub fn mismatch(&self, rate: &str) {
        self.mismatches.with_label_values(&[rate]).inc();
        self.changed();
    }
}

/// A configuration that is not in effect because it was rejected.
#[derive(Clone, Debug, serde::Serialize)]
pub struct RejectedReload {
    /// The first rejection since a configuration was last loaded.
    pub since: DateTime<Utc>,
    /// The first problems of the last one.
    pub problems: Vec<String>,
}

/// The metrics of the process and of all accounts, which [`Telemetry::set_accounts`] sets.
#[derive(Clone, Debug)]
pub struct Telemetry {
    registry: Registry,
    /// The metrics of the process, which are never the same.
    process: Registry,
    with_durations: bool,
    reload_successful: Gauge,
    reload_time: Gauge,
    dropped_connections: IntCounter,
    dropped_log_lines: IntCounter,
    accounts: watch::Sender<Arc<[AccountTelemetry]>>,
    rejected: watch::Sender<Option<RejectedReload>>,
}

impl Telemetry {
    /// Returns the metrics of a process that has just loaded its configuration.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let info = Opts::new(
            "campaign_exporter_build_info",
            "Version, revision and compiler from which the exporter was built. Always 1.",
        )
        .const_label("version", VERSION)
        .const_label("revision", REVISION)
        .const_label("rustc_version", RUSTC_VERSION);
        registered(&registry, Gauge::with_opts(info)?)?.set(1.0);
        let reload_successful = Gauge::new(
            "campaign_exporter_config_last_reload_successful",
            "Whether the last attempt to load the configuration succeeded.",
        )?;
        let reload_time = Gauge::new(
            "campaign_exporter_config_last_reload_success_timestamp_seconds",
            "Unix time when the configuration was last loaded successfully.",
        )?;
        let dropped_connections = IntCounter::new(
            "campaign_exporter_http_connections_dropped_total",
            "Connections closed to make room for new ones.",
        )?;
        let dropped_log_lines = IntCounter::new(
            "campaign_exporter_log_lines_dropped_total",
            "Log lines dropped because standard error could not be written fast enough or at all.",
        )?;
        let telemetry = Self {
            reload_successful: registered(&registry, reload_successful)?,
            reload_time: registered(&registry, reload_time)?,
            dropped_connections: registered(&registry, dropped_connections)?,
            dropped_log_lines: registered(&registry, dropped_log_lines)?,
            registry,
            process: Registry::new(),
            with_durations: true,
            accounts: watch::Sender::new(Arc::default()),
            rejected: watch::Sender::default(),
        };
        telemetry.reload_succeeded();
        Ok(telemetry)
    }

    /// Adds the `process_*` metrics of the running process.
    #[cfg(target_os = "linux")]
    pub fn observe_process(&self) -> prometheus::Result<()> {
        self.process.register(Box::new(process::ProcessMetrics::new()?))
    }

    /// Does nothing: there are no `process_*` metrics on this system.
    #[cfg(not(target_os = "linux"))]
    pub fn observe_process(&self) -> prometheus::Result<()> {
        Ok(())
    }

    /// Returns the counter of connections closed to make room for new ones.
    pub fn dropped_connections(&self) -> IntCounter {
        self.dropped_connections.clone()
    }

    /// Returns the counter of log lines that could not be written.
    pub fn dropped_log_lines(&self) -> IntCounter {
        self.dropped_log_lines.clone()
    }

    /// Records that a configuration was loaded.
    pub fn reload_succeeded(&self) {
        self.reload_successful.set(1.0);
        self.rejected.send_replace(None);
        self.reload_time.set(Utc::now().timestamp_millis() as f64 / 1000.0);
    }

    /// Records that a configuration was rejected.
    pub fn reload_failed(&self, problems: &str) {
        self.reload_successful.set(0.0);
        let mut lines = problems.lines();
        let mut shown: Vec<_> = lines.by_ref().take(MAX_PROBLEMS).map(str::to_owned).collect();
        let more = lines.count();
        if more > 0 {
            shown.push(format!("and {more} more"));
        }
        self.rejected.send_modify(|rejected| {
            let since = rejected.as_ref().map_or_else(Utc::now, |it| it.since);
            *rejected = Some(RejectedReload { since, problems: shown });
        });
    }

    /// Why the last attempt to load the configuration failed, if it did.
    pub fn rejected_reload(&self) -> Option<RejectedReload> {
        self.rejected.borrow().clone()
    }

    /// Leaves out the durations of requests: 12 series of each account.
    #[must_use]
    pub fn without_request_durations(mut self) -> Self {
        self.with_durations = false;
        self
    }

    /// Whether accounts have durations of requests.
    pub const fn has_request_durations(&self) -> bool {
        self.with_durations
    }

    /// Replaces the accounts whose metrics are gathered.
    pub fn set_accounts(&self, accounts: Vec<AccountTelemetry>) {
        self.accounts.send_replace(accounts.into());
    }

    /// Returns the accounts whose metrics are gathered.
    pub fn accounts(&self) -> Arc<[AccountTelemetry]> {
        Arc::clone(&self.accounts.borrow())
    }

    /// Gathers the metrics of the exporter, without those of accounts and of the process.
    pub fn gather_own(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }

    /// Gathers the metrics of the process. Their names come after those of all others.
    pub fn gather_process(&self) -> Vec<MetricFamily> {
        self.process.gather()
    }

    /// Gathers all metrics, by name. Each family occurs once.
    pub fn gather(&self) -> Vec<MetricFamily> {
        let mut families: BTreeMap<String, MetricFamily> = BTreeMap::new();
        let accounts = self.accounts();
        let of_accounts = accounts.iter().flat_map(AccountTelemetry::gather);
        let own = self.gather_own().into_iter().chain(self.gather_process());
        for mut family in own.chain(of_accounts) {
            match families.get_mut(family.name()) {
                Some(known) => known.mut_metric().append(&mut family.take_metric()),
                None => drop(families.insert(family.name().to_owned(), family)),
            }
        }
        families.into_values().collect()
    }
}

fn request_durations(labels: HashMap<String, String>) -> prometheus::Result<Histogram> {
    let common_opts = Opts::new(
        "campaign_exporter_api_request_duration_seconds",
        "Duration of requests to the provider, including the response body.",
    );
    Histogram::with_opts(HistogramOpts {
        common_opts: common_opts.const_labels(labels),
        buckets: REQUEST_BUCKETS.to_vec(),
    })
}

/// Registers a collector and returns it.
fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: C,
) -> prometheus::Result<C> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}
