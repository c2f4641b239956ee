//! The simulated APIs of the program's providers, selected by what they can do and never by name.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use campaign_exporter::campaign::counts::Count;
use campaign_exporter::campaign::{Channel, Status};
use campaign_exporter::provider::{Kind, Kinds, QuotaScope, native};
use campaign_simulator::{Counts, Listing, Simulator};
use serde_json::Value;

use super::daemon::yaml;

/// A simulated API.
pub(crate) type Api = &'static dyn campaign_simulator::Api;

static NATIVE: LazyLock<Kinds> = LazyLock::new(native);

/// Returns all providers.
pub(crate) fn kinds() -> impl Iterator<Item = &'static Kind> {
    NATIVE.iter().map(AsRef::as_ref)
}

/// Returns the provider of an API.
pub(crate) fn kind(api: Api) -> &'static Kind {
    NATIVE.get(api.provider()).unwrap()
}

/// Returns every API with the name of its provider.
pub(crate) fn apis() -> Vec<(Api, &'static str)> {
    let apis = kinds().map(|kind| kind.simulated.unwrap());
    apis.map(|api| (api, api.provider())).collect()
}

fn first(has: impl Fn(&Kind) -> bool) -> Api {
    kinds().find(|kind| has(kind)).unwrap().simulated.unwrap()
}

/// Returns an API for tests in which the provider does not matter.
pub(crate) fn any_api() -> Api {
    first(|_| true)
}

/// Returns an API with an authorization server.
pub(crate) fn with_authorization() -> Api {
    first(|kind| kind.simulated.unwrap().authorization().is_some())
}

/// Returns an API whose quota applies to a client, with published limits.
pub(crate) fn with_client_quota() -> Api {
    first(|kind| kind.quota == QuotaScope::Client && kind.limits.per_day.is_some())
}

/// Returns an API that lists SMS and WhatsApp campaigns.
pub(crate) fn with_channels() -> Api {
    first(|kind| has_whatsapp(kind.simulated.unwrap()))
}

/// Returns an API that reports clicks and rates, and has a daily quota.
pub(crate) fn with_clicks() -> Api {
    first(|kind| {
        reports(kind, Count::Clicks) && !kind.rates.is_empty() && kind.limits.per_day.is_some()
    })
}

/// Returns an API that reports statuses and credits.
pub(crate) fn with_statuses() -> Api {
    first(|kind| kind.statuses.contains(&Status::Waiting) && reports_credits(kind))
}

/// Returns the API with the smallest pages.
pub(crate) fn with_small_pages() -> Api {
    let kind = kinds().min_by_key(|kind| kind.simulated.unwrap().listing().page_size);
    kind.unwrap().simulated.unwrap()
}

/// Returns whether an API lists WhatsApp campaigns.
pub(crate) fn has_whatsapp(api: Api) -> bool {
    kind(api).channels.contains(&Channel::Whatsapp)
}

/// Returns whether a provider reports the credits of an account.
pub(crate) fn reports_credits(kind: &Kind) -> bool {
    let mut extras = kind.extras.iter();
    extras.any(|(metric, _)| *metric == "campaign_account_credits")
}

/// Returns whether a provider reports a count.
pub(crate) fn reports(kind: &Kind, count: Count) -> bool {
    kind.counts.iter().any(|(reported, _)| *reported == count)
}

/// Returns a count of a raw item.
pub(crate) fn count_of<'a>(item: &'a mut Value, listing: &Listing, name: &str) -> &'a mut Value {
    match listing.counts_in {
        Some(counts) => &mut item[counts][name],
        None => &mut item[name],
    }
}

/// Returns the YAML of an account with a refresh token, with additional lines.
pub(crate) fn renewed(name: &str, simulator: &Simulator, file: &Path, more: &[&str]) -> String {
    let keys = simulator.api().renewed_account(&simulator.base_url(), file).unwrap();
    yaml(name, &keys, more)
}

/// Counts of a good campaign, each above zero.
pub(crate) const COUNTS: Counts = Counts {
    recipients: 1_000,
    sends: 1_000,
    deliveries: 970,
    clicks: 100,
    bounces: 20,
    opt_outs: 5,
    reads: 600,
    replies: 20,
    pending: 4,
    error: 14,
    expired: 3,
    network_error: 1,
    unassigned: 2,
};

/// Returns the path of a provider's fixture.
pub(crate) fn fixture(api: Api, what: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join(format!("tests/fixtures/{}{what}.json", api.provider()))
}

/// Returns the rates that a provider reports for text messages. Those of other channels have its name in
/// front.
pub(crate) fn sms_rates(kind: &Kind) -> Vec<&str> {
    let rates = kind.rates.iter().map(|rate| &**rate);
    rates.filter(|rate| !rate.contains('_')).collect()
}
