//! The applications of all accounts, and what all accounts share.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::auth::renewals::Renewals;
use super::quota::Limits;
use super::quota::application::Application;
use crate::storage::store::Store;

/// The applications of all accounts.
#[derive(Debug)]
pub struct Applications {
    store: Option<Arc<Store>>,
    by_key: BTreeMap<String, Arc<Application>>,
    renewals: Renewals,
}

impl Applications {
    /// No applications yet. Their request counts are stored in `store`.
    pub fn new(store: Option<Arc<Store>>, renewals: Renewals) -> Self {
        Self { store, by_key: BTreeMap::new(), renewals }
    }

    /// Replaces the accounts: their names, the keys of their applications, and the limits that they
    /// configure. An application keeps its counts.
    pub async fn configure<'a>(
        &mut self,
        accounts: impl Iterator<Item = (&'a str, String, Limits)>,
    ) {
        let mut wanted: BTreeMap<String, (Limits, Vec<&str>)> = BTreeMap::new();
        for (account, key, limits) in accounts {
            let entry = wanted.entry(key).or_default();
            entry.0 = std::mem::take(&mut entry.0).stricter(limits);
            entry.1.push(account);
        }
        let mut previous = std::mem::take(&mut self.by_key);
        for (key, (limits, accounts)) in wanted {
            let application = if let Some(application) = previous.remove(&key) {
                application.reconfigure(limits, &accounts);
                application
            } else {
                Arc::new(Application::new(key.clone(), limits, self.store.clone()).await)
            };
            self.by_key.insert(key, application);
        }
    }

    /// The application with this key, if an account uses it.
    pub fn of(&self, key: &str) -> Option<Arc<Application>> {
        self.by_key.get(key).cloned()
    }

    /// What the token renewals of all accounts share.
    pub const fn renewals(&self) -> &Renewals {
        &self.renewals
    }

    /// Starts no more token renewals, and waits until the tokens of the running ones are stored.
    pub async fn finish(&self) {
        self.renewals.finish().await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::upstream::quota::plan::Plan;

    const MINUTE: Duration = Duration::from_mins(1);

    #[tokio::test]
    async fn accounts_of_one_client_share_an_application() {
        let limits = |per_day| Limits { per_day: Some(per_day), ..Limits::default() };
        let mut applications = Applications::new(None, Renewals::new(String::new()));
        let accounts = [
            ("a", "client".to_owned(), limits(100)),
            ("b", "client".to_owned(), limits(50)),
            ("c", "other".to_owned(), limits(100)),
            ("d", "d".to_owned(), limits(100)),
            ("e", "e".to_owned(), limits(100)),
            ("f", "f".to_owned(), limits(100)),
        ];
        applications.configure(accounts.into_iter()).await;
        let of = |key| applications.of(key).unwrap();
        let a = of("client");
        assert!(Arc::ptr_eq(&a, &of("client")));
        assert_eq!(a.remaining(), Some(50), "the stricter limit applies");
        assert!(!Arc::ptr_eq(&a, &of("other")));
        assert!(!Arc::ptr_eq(&of("d"), &of("e")));

        // new limits keep the count, and removed accounts lose their plans
        a.admit().await.unwrap();
        let plan = Plan {
            poll_interval: MINUTE,
            full_poll_interval: MINUTE,
            recent_requests: 1.0,
            full_requests: 1.0,
        };
        a.plan("a", plan);
        a.plan("b", plan);
        let accounts = [("a", "client".to_owned(), limits(10))];
        applications.configure(accounts.into_iter()).await;
        assert!(applications.of("other").is_none());
        let again = applications.of("client").unwrap();
        assert!(Arc::ptr_eq(&a, &again));
        assert_eq!(again.remaining(), Some(9));
        // one account's 1,440 requests a day, 9 of 10 planned
        assert_eq!(again.stretched(MINUTE), 160 * MINUTE);
    }
}
