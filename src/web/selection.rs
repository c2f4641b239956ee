//! Which part of the metrics a scrape asks for by its query.

use crate::provider::Kinds;

/// Most parameters of a scrape: each is held against each account.
const MAX_PARAMETERS: usize = 100;

/// A part of the metrics, or all of them.
#[derive(Debug, PartialEq, Eq)]
pub enum Selection {
    /// Everything.
    All,
    /// The exporter's own metrics alone.
    Own,
    /// What there is about some accounts.
    Some(Accounts),
}

/// Some accounts: those that are named, of the providers that are named. None named is any.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    names: Vec<String>,
    providers: Vec<String>,
}

impl Accounts {
    /// Whether an account is one of them.
    pub fn have(&self, name: &str, provider: &str) -> bool {
        let is_one = |of: &[String], value: &str| of.is_empty() || of.iter().any(|it| it == value);
        is_one(&self.names, name) && is_one(&self.providers, provider)
    }

    /// What is asked for and does not exist.
    pub fn unknown(&self, kinds: &Kinds, exists: impl Fn(&str) -> bool) -> Option<String> {
        if let Some(name) = self.names.iter().find(|name| !exists(name)) {
            return Some(format!("There is no account {name:?} here."));
        }
        let mut providers = self.providers.iter();
        let provider = providers.find(|name| kinds.get(name).is_none())?;
        Some(format!("There is no provider {provider:?}."))
    }
}

impl Selection {
    /// Reads a query. The error says what is wrong with it.
    pub fn read(query: &str) -> Result<Self, String> {
        let mut accounts = Accounts::default();
        let mut own = false;
        for (index, (key, value)) in form_urlencoded::parse(query.as_bytes()).enumerate() {
            if index == MAX_PARAMETERS {
                return Err(format!("There are more than {MAX_PARAMETERS} parameters."));
            }
            match (key.as_ref(), value.as_ref()) {
                ("account", _) => accounts.names.push(value.into_owned()),
                ("provider", _) => accounts.providers.push(value.into_owned()),
                ("own", "true") => own = true,
                _ => {
                    return Err(format!(
                        "There is no parameter {key}={value:?}; known are account=NAME, \
                         provider=NAME and own=true."
                    ));
                }
            }
        }
        match (own, accounts == Accounts::default()) {
            (false, true) => Ok(Self::All),
            (false, false) => Ok(Self::Some(accounts)),
            (true, true) => Ok(Self::Own),
            (true, false) => Err("own=true is no metrics of accounts: ask for one of them.".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(query: &str) -> Accounts {
        match Selection::read(query) {
            Ok(Selection::Some(accounts)) => accounts,
            other => panic!("{query}: {other:?}"),
        }
    }

    #[test]
    fn parameters_of_a_kind_add_and_those_of_two_kinds_restrict() {
        for (query, wanted) in [
            ("account=a", [true, false, false]),
            ("account=a&account=b%20%26", [true, true, false]),
            ("provider=smsup", [true, false, true]),
            ("provider=smsup&provider=cinnox", [true, true, true]),
            (
                "account=a&account=b+%26&provider=cinnox",
                [false, true, false],
            ),
            ("account=a&provider=cinnox", [false, false, false]),
        ] {
            let accounts = some(query);
            let found = [("a", "smsup"), ("b &", "cinnox"), ("c", "smsup")];
            let found = found.map(|(name, provider)| accounts.have(name, provider));
            assert_eq!(found, wanted, "{query}");
        }
    }

    #[test]
    fn a_query_is_all_or_the_exporter_itself_or_refused() {
        assert_eq!(Selection::read(""), Ok(Selection::All));
        assert_eq!(Selection::read("own=true"), Ok(Selection::Own));
        let many = |count| "account=a&".repeat(count);
        assert!(Selection::read(&many(MAX_PARAMETERS)).is_ok());
        for (query, problem) in [
            ("acount=a", "There is no parameter acount=\"a\""),
            ("own=false", "There is no parameter own=\"false\""),
            ("own=true&account=a", "own=true is no metrics of accounts"),
            (&many(MAX_PARAMETERS + 1), "There are more than 100"),
        ] {
            let found = Selection::read(query).unwrap_err();
            assert!(found.starts_with(problem), "{found}");
        }
    }

    #[test]
    fn what_does_not_exist_is_named() {
        let unknown = |query| {
            some(query).unknown(&crate::provider::native(), |name| {
                ["a", "b"].contains(&name)
            })
        };
        assert_eq!(unknown("account=a&account=b&provider=cinnox"), None);
        let problem = "There is no account \"c\" here.";
        assert_eq!(unknown("account=a&account=c").as_deref(), Some(problem));
        let problem = "There is no provider \"sms\".";
        assert_eq!(unknown("provider=sms").as_deref(), Some(problem));
    }
}
