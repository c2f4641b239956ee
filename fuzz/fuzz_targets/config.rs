//! The configuration: any text is either rejected with its problems, or printed as YAML that parses to
//! the same configuration.

#![no_main]

use std::fmt::Debug;

use campaign_exporter::config::{Account, Polling};
use campaign_exporter::fuzzing::configuration;
use libfuzzer_sys::{Corpus, fuzz_target};

/// Printed for a variable or file that does not exist: its name may be a secret.
const UNNAMED: [&str; 2] =
    ["(environment variable not set)", "(no such file; looks like a secret)"];

fuzz_target!(|data: &[u8]| -> Corpus {
    let Ok(text) = str::from_utf8(data) else {
        return Corpus::Reject;
    };
    match configuration(text) {
        Err(problems) => {
            assert!(!problems.is_empty(), "rejected without a reason");
            for problem in problems {
                let shown = problem.to_string();
                assert!(!shown.is_empty() && !shown.contains(char::is_control), "{shown:?}");
            }
        }
        Ok(config) => {
            assert!(!config.accounts.is_empty(), "accepted without an account");
            let shown = config.to_yaml();
            // hidden names cannot be restored, but the output must still be valid YAML
            let named =
                UNNAMED.iter().fold(shown.clone(), |text, hidden| text.replace(hidden, "PATH"));
            match configuration(&named) {
                Ok(again) if named == shown => check_same(&config.accounts, &again.accounts),
                Ok(_) => {}
                Err(problems) => panic!("{problems:?}\n{shown}"),
            }
        }
    }
    Corpus::Keep
});

/// Effective values with unstretched intervals. Derived defaults are printed as if they had been set.
fn effective(polling: &Polling) -> impl PartialEq + Debug {
    (
        polling.stale_after(polling.poll_interval),
        (polling.poll_interval, polling.lookback, polling.request_timeout),
        (polling.recent, polling.full_poll_interval, polling.max_campaigns),
        (polling.requests_per_second, polling.requests_per_day),
        polling.info_labels.clone(),
    )
}

fn check_same(accounts: &[Account], again: &[Account]) {
    assert_eq!(accounts.len(), again.len());
    for (account, again) in accounts.iter().zip(again) {
        assert_eq!(account.name, again.name);
        assert_eq!(effective(&account.polling), effective(&again.polling));
        assert_eq!(account.provider, again.provider);
    }
}
