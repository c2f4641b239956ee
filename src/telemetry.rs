//! The exporter's own metrics. Each account has a registry of its own, so that an account that
//! leaves the configuration takes its series along.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts, Registry};
use tokio::sync::watch;

/// The version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The commit that it was built from, `unknown` outside a checkout.
pub const REVISION: &str = env!("CAMPAIGN_EXPORTER_REVISION");
/// The compiler that it was built with.
pub const RUSTC_VERSION: &str = env!("CAMPAIGN_EXPORTER_RUSTC_VERSION");

/// Upper bounds of the request durations in seconds: from a fast API to the default time limit.
const REQUEST_BUCKETS: [f64; 9] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// The metrics of one account. Clones count into the same series.
#[derive(Clone, Debug)]
pub struct AccountTelemetry {
    registry: Registry,
    polls: IntCounterVec,
    poll_errors: IntCounterVec,
    requests: IntCounterVec,
    request_duration: Histogram,
    retries: IntCounter,
    decode_problems: IntCounterVec,
    mismatches: IntCounterVec,
}

impl AccountTelemetry {
    /// Series for an account, each value of the closed label sets at 0.
    pub fn new(
        provider: &str,
        account: &str,
        reasons: impl IntoIterator<Item = &'static str>,
        rates: &[Arc<str>],
    ) -> prometheus::Result<Self> {
        let labels = [("provider", provider), ("account", account)];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let labels = HashMap::from(labels);
        let registry = Registry::new();
        let opts = |name, help| Opts::new(name, help).const_labels(labels.clone());
        let vec = |name, help, label| IntCounterVec::new(opts(name, help), &[label]);
        let telemetry = Self {
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
                "Requests to the provider by HTTP status code; error where there was no answer.",
                "code",
            )?,
            request_duration: Histogram::with_opts(
                HistogramOpts::new(
                    "campaign_exporter_api_request_duration_seconds",
                    "Duration of requests to the provider, their body included.",
                )
                .const_labels(labels.clone())
                .buckets(REQUEST_BUCKETS.to_vec()),
            )?,
            retries: IntCounter::with_opts(opts(
                "campaign_exporter_api_retries_total",
                "Requests that were made again within a poll.",
            ))?,
            decode_problems: vec(
                "campaign_exporter_decode_problems_total",
                "Values and campaigns that could not be read and were left out, by the \
                 provider's field.",
                "field",
            )?,
            mismatches: vec(
                "campaign_exporter_aggregate_mismatches_total",
                "Pages on which the provider's own rate is more than 1 point off the counts of \
                 the page's campaigns, by rate.",
                "rate",
            )?,
            registry,
        };
        for collector in telemetry.collectors() {
            telemetry.registry.register(collector)?;
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
        Ok(telemetry)
    }

    fn collectors(&self) -> [Box<dyn Collector>; 7] {
        [
            Box::new(self.polls.clone()),
            Box::new(self.poll_errors.clone()),
            Box::new(self.requests.clone()),
            Box::new(self.request_duration.clone()),
            Box::new(self.retries.clone()),
            Box::new(self.decode_problems.clone()),
            Box::new(self.mismatches.clone()),
        ]
    }

    /// Shows what a collector finds together with these metrics.
    pub fn observe(&self, collector: Box<dyn Collector>) -> prometheus::Result<()> {
        self.registry.register(collector)
    }

    /// Counts a request with its status code.
    pub fn request(&self, code: &str, took: Duration) {
        self.requests.with_label_values(&[code]).inc();
        self.request_duration.observe(took.as_secs_f64());
    }

    /// Counts a retry.
    pub fn retry(&self) {
        self.retries.inc();
    }

    /// Counts a good poll.
    pub fn poll_succeeded(&self) {
        self.polls.with_label_values(&["success"]).inc();
    }

    /// Counts a failed poll.
    pub fn poll_failed(&self, reason: &str) {
        self.polls.with_label_values(&["failure"]).inc();
        self.poll_errors.with_label_values(&[reason]).inc();
    }

    /// Counts values that could not be read.
    pub fn decode_problems(&self, field: &str, count: u64) {
        self.decode_problems
            .with_label_values(&[field])
            .inc_by(count);
    }

    /// Counts a page whose rate is off.
    pub fn mismatch(&self, rate: &str) {
        self.mismatches.with_label_values(&[rate]).inc();
    }
}

/// The metrics of the process and, through [`Telemetry::set_accounts`], of all accounts.
#[derive(Clone, Debug)]
pub struct Telemetry {
    registry: Registry,
    reload_successful: Gauge,
    reload_time: Gauge,
    accounts: watch::Sender<Vec<AccountTelemetry>>,
}

impl Telemetry {
    /// The metrics of a program that has just loaded its configuration.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let info = Opts::new(
            "campaign_exporter_build_info",
            "What this exporter was built from; always 1.",
        )
        .const_label("version", VERSION)
        .const_label("revision", REVISION)
        .const_label("rustc_version", RUSTC_VERSION);
        let build_info = Gauge::with_opts(info)?;
        build_info.set(1.0);
        registry.register(Box::new(build_info))?;
        let reload_successful = Gauge::new(
            "campaign_exporter_config_last_reload_successful",
            "Whether the last attempt to load the configuration succeeded.",
        )?;
        registry.register(Box::new(reload_successful.clone()))?;
        let reload_time = Gauge::new(
            "campaign_exporter_config_last_reload_success_timestamp_seconds",
            "When the configuration was last loaded, in unix time.",
        )?;
        registry.register(Box::new(reload_time.clone()))?;
        let telemetry = Self {
            registry,
            reload_successful,
            reload_time,
            accounts: watch::Sender::default(),
        };
        telemetry.reload_succeeded();
        Ok(telemetry)
    }

    /// Adds the `process_*` metrics of the running process.
    #[cfg(target_os = "linux")]
    pub fn observe_process(&self) -> prometheus::Result<()> {
        use prometheus::process_collector::ProcessCollector;
        self.registry
            .register(Box::new(ProcessCollector::for_self()))
    }

    /// There are no `process_*` metrics on this system.
    #[cfg(not(target_os = "linux"))]
    pub fn observe_process(&self) -> prometheus::Result<()> {
        Ok(())
    }

    /// Records that a new configuration is in force.
    pub fn reload_succeeded(&self) {
        self.reload_successful.set(1.0);
        self.reload_time
            .set(Utc::now().timestamp_millis() as f64 / 1000.0);
    }

    /// Records that a new configuration was refused.
    pub fn reload_failed(&self) {
        self.reload_successful.set(0.0);
    }

    /// The accounts whose metrics are shown from now on.
    pub fn set_accounts(&self, accounts: Vec<AccountTelemetry>) {
        self.accounts.send_replace(accounts);
    }

    /// All metrics as they are now, by name, each family once.
    pub fn gather(&self) -> Vec<MetricFamily> {
        let mut families: BTreeMap<String, MetricFamily> = BTreeMap::new();
        let accounts = self.accounts.borrow();
        let registries = accounts.iter().map(|account| &account.registry);
        for mut family in std::iter::once(&self.registry)
            .chain(registries)
            .flat_map(Registry::gather)
        {
            match families.entry(family.name().to_owned()) {
                std::collections::btree_map::Entry::Vacant(entry) => {
                    entry.insert(family);
                }
                std::collections::btree_map::Entry::Occupied(mut entry) => {
                    entry
                        .get_mut()
                        .mut_metric()
                        .append(&mut family.take_metric());
                }
            }
        }
        families.into_values().collect()
    }
}
