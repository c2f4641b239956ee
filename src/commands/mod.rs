//! The commands, one file each.

pub mod authorize;
pub mod check;
pub mod completions;
pub mod daemon;
#[cfg(feature = "demo")]
pub mod demo;
pub mod init;
pub mod poll;
pub mod signals;

use crate::config::Account;
use crate::upstream::applications::Applications;

/// What errors of the storage directory begin with.
pub const STORAGE: &str = "cannot use the directory of --storage.path";

/// Applies the request limits of the accounts to the applications that they share.
async fn configure_quotas(applications: &mut Applications, accounts: &[Account]) {
    let limits = accounts.iter().map(|account| {
        let limits = account.provider.limits(account.polling.limits());
        let key = account.provider.application(&account.name);
        (account.name.as_str(), key, limits)
    });
    applications.configure(limits).await;
}
