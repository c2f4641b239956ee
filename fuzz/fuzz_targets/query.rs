//! Query and host of a request: the query string in the first line, `Host` in the rest.

#![no_main]

use campaign_exporter::web::discovery;
use campaign_exporter::web::selection::Selection;
use campaign_exporter::web::view::{View, link};
use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|data: &[u8]| -> Corpus {
    let Ok(text) = str::from_utf8(data) else {
        return Corpus::Reject;
    };
    let (query, host) = text.split_once('\n').unwrap_or((text, ""));

    if let Ok(view) = View::read(query) {
        let link = link("", view.parameters());
        let again = View::read(link.trim_start_matches('?')).expect("a link of ours");
        assert_eq!(again, view, "a link leads elsewhere");
    }
    match Selection::read(query) {
        Ok(Selection::All) => assert!(!query.contains('='), "a parameter is ignored"),
        Ok(Selection::Own) => assert!(query.contains("own") || query.contains('%')),
        Ok(Selection::Some(accounts)) => {
            let named = query.contains("account") || query.contains("provider");
            assert!(named || query.contains('%'));
            // an account that the query does not name matches only if all of a provider do
            let stranger = accounts.matches("\u{0}", "\u{0}");
            assert!(
                !stranger || query.contains("%00") || query.contains('\0'),
                "selects more than requested"
            );
        }
        Err(problem) => assert!(!problem.is_empty()),
    }

    if let Some(address) = discovery::address(host) {
        assert_eq!(address.as_str(), host, "address differs");
        assert!(!host.contains(['@', '/', '?', '#', ' ']), "not just an address");
    }
    Corpus::Keep
});
