//! Links to the next page: wherever they point, the token is only sent to the account's API.

#![no_main]

use campaign_exporter_fuzz::{CASES, check_error};
use libfuzzer_sys::{Corpus, fuzz_target};

/// The path below which links may lead.
const BELOW: &str = "/v3/";

fuzz_target!(|data: &[u8]| -> Corpus {
    let Ok(href) = str::from_utf8(data) else {
        return Corpus::Reject;
    };
    for case in CASES.iter() {
        let url = match case.account.provider.linked(href, BELOW) {
            Ok(url) => url,
            Err(error) => {
                check_error(error);
                continue;
            }
        };
        // compares text, since the text is sent, not its parsed form
        // a base URL may end with the version, which is not repeated
        let base = case.base_url.strip_suffix("/v3").unwrap_or(case.base_url);
        let start = format!("{base}{BELOW}");
        assert!(url.as_str().starts_with(&start), "{url}");
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
