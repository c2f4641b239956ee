//! The definitions that come with the program.

use super::Definition;
use crate::document::problem::Problem;

/// A definition that comes with the program.
#[derive(Clone, Copy, Debug)]
pub struct BuiltIn {
    /// The name of the provider, and of the file without `.yml`.
    pub name: &'static str,
    /// The text of the file.
    pub text: &'static str,
    /// Saved answers, from which the simulated platform makes its own.
    #[cfg(feature = "demo")]
    pub samples: &'static [&'static str],
}

/// Lists definitions by the name of their files in `providers`, with those in `samples`.
macro_rules! built_in {
    ($($name:literal: $($sample:literal)*,)*) => {
        &[$(BuiltIn {
            name: $name,
            text: include_str!(concat!("../../../providers/", $name, ".yml")),
            #[cfg(feature = "demo")]
            samples: &[$(
                include_str!(concat!("../../../providers/samples/", $name, "/", $sample, ".json")),
            )*],
        },)*]
    };
}

/// Every definition in `providers`, in the order of their names.
pub const BUILT_IN: &[BuiltIn] = built_in![
    "activecampaign": "1-first-page" "2-last-page" "3-credits" "4-metrics",
    "brevo_sms": "1-sent" "2-queued" "3-in-process" "4-account",
    "brevo_whatsapp": "1-campaigns",
    "getresponse": "1-first-page" "2-last-page" "3-statistics",
    "kapso": "1-broadcasts" "2-broadcasts",
    "klaviyo": "1-sms-first-page" "2-sms-last-page" "3-email" "4-report" "5-report-last-page",
    "listmonk": "1-campaigns" "2-campaigns",
    "meta_whatsapp": "1-templates" "2-templates-more" "3-templates-end" "4-analytics",
    "mobizon": "1-bulk" "2-bulk" "3-template" "4-not-yet-sent",
    "onesignal": "1-messages" "2-messages" "3-empty",
    "simpletexting": "1-campaigns" "2-campaigns",
    "smsfactor": "1-campaigns" "2-campaigns" "3-credits",
    "textmagic": "1-first-page" "2-last-page" "3-account" "4-stat" "5-stat",
];

impl BuiltIn {
    /// Reads and checks it. A test holds that there is no problem.
    pub fn definition(&self) -> Result<Definition, Vec<Problem>> {
        Definition::parse(self.text)
    }
}
