//! The simulated APIs of the program's providers.

use std::sync::LazyLock;

use campaign_exporter::provider::{Kinds, native};

/// A simulated API.
pub(crate) type Api = &'static dyn campaign_simulator::Api;

static NATIVE: LazyLock<Kinds> = LazyLock::new(native);

/// Every API with the name of its provider.
pub(crate) fn apis() -> Vec<(Api, &'static str)> {
    let kinds = NATIVE.iter();
    kinds
        .map(|kind| (kind.simulated, kind.simulated.provider()))
        .collect()
}

fn named(name: &str) -> Api {
    let kind = NATIVE.get(name);
    kind.unwrap_or_else(|| panic!("no provider {name}"))
        .simulated
}

/// The API of Constant Contact, for what only it does: OAuth, links, a quota for the day.
pub(crate) fn constant_contact() -> Api {
    named("constant_contact")
}

/// The API of CINNOX, for what only it does: several channels, offsets without a total.
pub(crate) fn cinnox() -> Api {
    named("cinnox")
}

/// The API of SMSUp, for what only it does: statuses, credits, local times.
pub(crate) fn smsup() -> Api {
    named("smsup")
}
