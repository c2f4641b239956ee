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
        // a base URL may end with what the documented paths begin with, which is not repeated
        let base = case.base_url;
        let ends = base.match_indices('/').skip(2).map(|(end, _)| end);
        let mut bases = ends.chain([base.len()]).map(|end| &base[..end]);
        let is_below = |base: &str| url.as_str().starts_with(&format!("{base}{BELOW}"));
        assert!(bases.any(is_below), "{url}");
        let dots = ["..", "%2e%2e", ".%2e", "%2e."];
        let mut segments = url.path().split(['/', '\\']);
        assert!(!segments.any(|segment| dots.contains(&segment.to_lowercase().as_str())), "{url}");
        assert_eq!((url.username(), url.password()), ("", None), "{url}");
    }
    Corpus::Keep
});
