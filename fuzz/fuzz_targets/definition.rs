//! Definitions, each followed by answers to it: a line of `---`, a three-digit HTTP status and a body.
//! The first request gets each alone, and a poll all of them in order.

#![no_main]

use std::sync::Arc;

use campaign_exporter::provider::Kinds;
use campaign_exporter::provider::definition::Definition;
use campaign_exporter_fuzz::{cases, read, read_in_order};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let mut parts = text.split("\n---\n");
    let definition = match Definition::parse(parts.next().unwrap_or_default()) {
        Ok(definition) => definition,
        Err(problems) => {
            assert!(!problems.is_empty());
            assert!(problems.iter().all(|problem| !problem.message.is_empty()));
            return;
        }
    };
    let kind = Arc::new(definition.kind());
    let kinds: Kinds = [Arc::clone(&kind)].into_iter().collect();
    // the addresses make no difference
    let cases = cases(&kinds, &kind);
    let case = cases.first();
    let answers: Vec<&str> = parts.collect();
    for answer in &answers {
        read(case, answer.as_bytes());
    }
    case.into_iter().for_each(|case| read_in_order(case, &answers));
});
