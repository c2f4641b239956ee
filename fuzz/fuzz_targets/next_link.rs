//! Links to the next page: wherever they point, the token is only sent to the account's API.

#![no_main]

use campaign_exporter::fuzzing;
use campaign_exporter_fuzz::{accounts, check_error};
use libfuzzer_sys::{Corpus, fuzz_target};

/// Base URLs of the accounts in `accounts.yaml`, in the same order.
const BASES: [&str; 3] = [
    "https://api.cc.email",
    "https://gateway.example/cc",
    "http://[::1]:8080/a%2Fb/v3",
];

fuzz_target!(|data: &[u8]| -> Corpus {
    let Ok(href) = str::from_utf8(data) else {
        return Corpus::Reject;
    };
    for (account, base) in accounts("constant_contact").zip(BASES) {
        let next = fuzzing::next_url(&account.provider, href);
        let url = match next.expect("the provider uses links") {
            Ok(url) => url,
            Err(error) => {
                check_error(error);
                continue;
            }
        };
        // compares text, since the text is sent, not its parsed form
        assert!(url.as_str().starts_with(&format!("{base}/v3/")), "{url}");
        let dots = ["..", "%2e%2e", ".%2e", "%2e."];
        let mut segments = url.path().split(['/', '\\']);
        assert!(
            !segments.any(|segment| dots.contains(&segment.to_lowercase().as_str())),
            "{url}"
        );
        assert_eq!((url.username(), url.password()), ("", None), "{url}");
    }
    Corpus::Keep
});
