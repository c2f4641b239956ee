//! The metrics of the daily request limit.

use std::sync::Arc;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, Opts};

use super::application::Application;

/// Collects the daily limit of an account's application and what remains of it. Without a limit
/// there are no metrics.
#[derive(Debug)]
pub struct QuotaMetrics {
    application: Arc<Application>,
    limit: Gauge,
    remaining: Gauge,
}

impl QuotaMetrics {
    /// The metrics with the labels of an account.
    pub fn new(
        application: Arc<Application>,
        provider: &str,
        account: &str,
    ) -> prometheus::Result<Self> {
        let gauge = |name, help| {
            let opts = Opts::new(name, help)
                .const_label("provider", provider)
                .const_label("account", account);
            Gauge::with_opts(opts)
        };
        Ok(Self {
            application,
            limit: gauge(
                "campaign_account_api_requests_limit",
                "Requests per day that the account's application may make.",
            )?,
            remaining: gauge(
                "campaign_account_api_requests_remaining",
                "Requests that the account's application has left until 00:00 UTC.",
            )?,
        })
    }
}

impl Collector for QuotaMetrics {
    fn desc(&self) -> Vec<&Desc> {
        [self.limit.desc(), self.remaining.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let (Some(limit), Some(remaining)) =
            (self.application.limit(), self.application.remaining())
        else {
            return Vec::new();
        };
        self.limit.set(limit as f64);
        self.remaining.set(remaining as f64);
        [self.limit.collect(), self.remaining.collect()].concat()
    }
}
