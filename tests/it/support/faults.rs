//! Shared code of failure tests: faults, and the metrics of an account.

use std::collections::BTreeSet;

use campaign_simulator::{Campaign, Counts, Fault, FaultPlan, Simulator};
use chrono::{TimeDelta, Utc};

use super::apis::Api;
use super::daemon::{sample, samples, simulate};

/// The metric that counts values that cannot be read.
pub(crate) const PROBLEMS: &str = "campaign_exporter_decode_problems_total";

pub(crate) fn campaign() -> Campaign {
    let counts = Counts {
        recipients: 1_000,
        sends: 1_000,
        deliveries: 950,
        clicks: 100,
        bounces: 50,
        opt_outs: 10,
        ..Counts::default()
    };
    Campaign::sms("7", "Spring", Utc::now() - TimeDelta::days(1), counts)
}

/// Starts a simulated provider with one campaign.
pub(crate) async fn provider(api: Api) -> Simulator {
    simulate(api, vec![campaign()]).await
}

pub(crate) fn break_down(simulator: &Simulator, fault: Fault) {
    simulator.update(|state| state.fault = Some(FaultPlan::always(fault)));
}

pub(crate) fn repair(simulator: &Simulator) {
    simulator.update(|state| state.fault = None);
}

pub(crate) fn status(code: u16, retry_after: Option<&str>) -> Fault {
    let retry_after = retry_after.map(str::to_owned);
    Fault::Status { code, retry_after }
}

pub(crate) fn json_body(body: &str) -> Fault {
    Fault::Body { content_type: "application/json", body: body.to_owned() }
}

/// Metrics of one account.
pub(crate) struct Exported<'a> {
    metrics: &'a str,
    pub(crate) name: String,
    /// Returns the label of the account.
    pub(crate) account: String,
}

impl<'a> Exported<'a> {
    pub(crate) fn of(metrics: &'a str, account: &str) -> Self {
        Self { metrics, name: account.to_owned(), account: format!("account={account:?}") }
    }

    pub(crate) fn value(&self, name: &str) -> Option<f64> {
        sample(self.metrics, name, &[&self.account])
    }

    pub(crate) fn is_up(&self) -> bool {
        self.value("campaign_account_up") == Some(1.0)
    }

    pub(crate) fn has_data(&self) -> bool {
        let data = self.value("campaign_deliveries");
        assert!(data.is_none_or(|deliveries| deliveries == 950.0));
        data.is_some()
    }

    pub(crate) fn polls(&self, result: &str) -> f64 {
        let result = format!(r#"result="{result}""#);
        let labels = [self.account.as_str(), &result];
        sample(self.metrics, "campaign_exporter_polls_total", &labels).unwrap()
    }

    pub(crate) fn errors(&self, reason: &str) -> f64 {
        let reason = format!(r#"reason="{reason}""#);
        let labels = [self.account.as_str(), &reason];
        sample(self.metrics, "campaign_exporter_poll_errors_total", &labels).unwrap()
    }

    /// Returns the number of API responses with a status.
    pub(crate) fn answers(&self, code: &str) -> f64 {
        let code = format!("code={code:?}");
        let labels = [self.account.as_str(), &code];
        let name = "campaign_exporter_api_requests_total";
        samples(self.metrics, name, &labels).iter().sum()
    }

    pub(crate) fn token_expiry(&self) -> Option<f64> {
        self.value("campaign_account_token_expiry_timestamp_seconds")
    }

    /// Returns the number of failed polls.
    pub(crate) fn all_errors(&self) -> f64 {
        let errors = samples(self.metrics, "campaign_exporter_poll_errors_total", &[&self.account]);
        assert_eq!(errors.len(), 12, "each reason is there from the first");
        errors.iter().sum()
    }

    pub(crate) fn retries(&self) -> f64 {
        self.value("campaign_exporter_api_retries_total").unwrap()
    }

    pub(crate) fn mismatches(&self) -> f64 {
        let name = "campaign_exporter_aggregate_mismatches_total";
        samples(self.metrics, name, &[&self.account]).iter().sum()
    }

    /// Returns the value of a metric with a channel.
    pub(crate) fn of_channel(&self, name: &str, channel: &str) -> Option<f64> {
        let channel = format!(r#"channel="{channel}""#);
        sample(self.metrics, name, &[&self.account, &channel])
    }

    /// Returns the values of a label of a metric.
    pub(crate) fn values(&self, metric: &str, label: &str) -> BTreeSet<String> {
        let lines = self.metrics.lines();
        let own = lines.filter(|line| line.starts_with(&format!("{metric}{{")));
        own.filter(|line| line.contains(&self.account))
            .map(|line| line.split(&format!("{label}=\"")).nth(1).unwrap())
            .map(|rest| rest.split('"').next().unwrap().to_owned())
            .collect()
    }

    /// Returns the fields of which problems are counted.
    pub(crate) fn problem_fields(&self) -> BTreeSet<String> {
        let mut fields = self.values(PROBLEMS, "field");
        fields.retain(|field| self.decode_problems(field) > Some(0.0));
        fields
    }

    /// Returns the reason of the last poll's failure.
    pub(crate) fn last_reason(&self) -> Option<String> {
        self.values("campaign_account_last_poll_reason", "reason").pop_first()
    }

    pub(crate) fn decode_problems(&self, field: &str) -> Option<f64> {
        let field = format!(r#"field="{field}""#);
        let labels = [self.account.as_str(), &field];
        sample(self.metrics, PROBLEMS, &labels)
    }
}

/// Returns whether all accounts meet a condition.
pub(crate) fn each(
    metrics: &str,
    names: &[String],
    wanted: impl Fn(&Exported<'_>) -> bool,
) -> bool {
    let mut accounts = names.iter().map(|name| Exported::of(metrics, name));
    accounts.all(|account| wanted(&account))
}
