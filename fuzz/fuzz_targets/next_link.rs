//! The link to a next page: wherever it points to, the token stays at the API of the account.

#![no_main]

use campaign_exporter::fuzzing;
use campaign_exporter_fuzz::{accounts, check_error};
use libfuzzer_sys::{Corpus, fuzz_target};

/// The address of each account in `accounts.yaml`, in their order.
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
        let url = match next.expect("this provider has links") {
            Ok(url) => url,
            Err(error) => {
                check_error(error);
                continue;
            }
        };
        // as text: what is sent is what counts, not what a parser makes of it
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
