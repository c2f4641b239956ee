//! The configuration: any text is refused with its problems, or is shown as YAML that is the same
//! configuration again.

#![no_main]

use campaign_exporter::config::Account;
use campaign_exporter::fuzzing::configuration;
use libfuzzer_sys::{Corpus, fuzz_target};

/// What is shown for a variable that does not exist: its name may be a secret.
const UNNAMED: &str = "(there is no such environment variable)";

fuzz_target!(|data: &[u8]| -> Corpus {
    let Ok(text) = str::from_utf8(data) else {
        return Corpus::Reject;
    };
    match configuration(text) {
        Err(problems) => {
            assert!(!problems.is_empty(), "refused for no reason");
            for problem in problems {
                let shown = problem.to_string();
                assert!(
                    !shown.is_empty() && !shown.contains(char::is_control),
                    "{shown:?}"
                );
            }
        }
        Ok(config) => {
            assert!(!config.accounts.is_empty(), "accepted without an account");
            let shown = config.to_yaml();
            // what is not named cannot be the same, but has to be YAML all the same
            let unnamed = shown.contains(UNNAMED);
            match configuration(&shown.replace(UNNAMED, "PATH")) {
                Ok(again) if !unnamed => check_same(&config.accounts, &again.accounts),
                Ok(_) => {}
                Err(problems) => panic!("{problems:?}\n{shown}"),
            }
        }
    }
    Corpus::Keep
});

fn check_same(accounts: &[Account], again: &[Account]) {
    assert_eq!(accounts.len(), again.len());
    for (account, again) in accounts.iter().zip(again) {
        assert_eq!(account.name, again.name);
        assert_eq!(account.polling, again.polling);
        assert_eq!(account.provider, again.provider);
    }
}
