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
}

/// Lists definitions by the name of their files in `providers`.
macro_rules! built_in {
    ($($name:literal,)*) => {
        &[$(BuiltIn {
            name: $name,
            text: include_str!(concat!("../../../providers/", $name, ".yml")),
        },)*]
    };
}

/// Every definition in `providers`, in the order of their names.
pub const BUILT_IN: &[BuiltIn] = built_in![
    "activecampaign",
    "brevo_sms",
    "brevo_whatsapp",
    "getresponse",
    "kapso",
    "klaviyo",
    "listmonk",
    "meta_whatsapp",
    "mobizon",
    "onesignal",
    "simpletexting",
    "smsfactor",
    "textmagic",
];

impl BuiltIn {
    /// Reads and checks it. A test holds that there is no problem.
    pub fn definition(&self) -> Result<Definition, Vec<Problem>> {
        Definition::parse(self.text)
    }
}
