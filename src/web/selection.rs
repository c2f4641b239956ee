//! Selection of metrics by the query parameters of a scrape.

use crate::provider::Kinds;

/// Maximum number of query parameters. Each is compared with every account.
const MAX_PARAMETERS: usize = 100;

/// The metrics that a scrape selects.
#[derive(Debug, PartialEq, Eq)]
pub enum Selection {
    /// All metrics.
    All,
    /// The exporter's own metrics only.
    Own,
    /// The metrics of some accounts.
    Some(AccountFilter),
}

/// A filter on account and provider names. An empty list matches any name.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct AccountFilter {
    names: Vec<String>,
    providers: Vec<String>,
}

impl AccountFilter {
    /// Returns whether it matches an account.
    pub fn matches(&self, name: &str, provider: &str) -> bool {
        let has =
            |names: &[String], name: &str| names.is_empty() || names.iter().any(|it| it == name);
        has(&self.names, name) && has(&self.providers, provider)
    }

    /// Returns an error message if it names an account or provider that does not exist.
    /// `accounts` are the names and providers of those that exist.
    pub fn unknown<'a>(
        &self,
        kinds: &Kinds,
        accounts: &(impl Iterator<Item = (&'a str, &'a str)> + Clone),
    ) -> Option<String> {
        let has = |wanted: &String| accounts.clone().any(|(name, _)| name == wanted);
        if let Some(name) = self.names.iter().find(|name| !has(name)) {
            return Some(format!("Unknown account {name:?}."));
        }
        // the configuration can define further providers
        let has = |wanted: &String| accounts.clone().any(|(_, provider)| provider == wanted);
        let mut providers = self.providers.iter();
        let provider = providers.find(|name| kinds.get(name).is_none() && !has(name))?;
        Some(format!("Unknown provider {provider:?}."))
    }
}

impl Selection {
    /// Parses a query. The error is a message for the client.
    pub fn read(query: &str) -> Result<Self, String> {
        let mut accounts = AccountFilter::default();
        let mut own = false;
        for (index, (key, value)) in form_urlencoded::parse(query.as_bytes()).enumerate() {
            if index == MAX_PARAMETERS {
                return Err(format!("More than {MAX_PARAMETERS} parameters."));
            }
            match (key.as_ref(), value.as_ref()) {
                ("account", _) => accounts.names.push(value.into_owned()),
                ("provider", _) => accounts.providers.push(value.into_owned()),
                ("own", "true") => own = true,
                _ => {
                    return Err(format!(
                        "Unsupported parameter {key}={value:?}; expected account=NAME, \
                         provider=NAME or own=true."
                    ));
                }
            }
        }
        match (own, accounts == AccountFilter::default()) {
            (false, true) => Ok(Self::All),
            (false, false) => Ok(Self::Some(accounts)),
            (true, true) => Ok(Self::Own),
            (true, false) => Err("own=true cannot be combined with account or provider.".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(query: &str) -> AccountFilter {
        match Selection::read(query) {
            Ok(Selection::Some(accounts)) => accounts,
            other => panic!("{query}: {other:?}"),
        }
    }

    #[test]
    fn repeated_parameters_widen_and_different_ones_narrow() {
        for (query, wanted) in [
            ("account=a", [true, false, false]),
            ("account=a&account=b%20%26", [true, true, false]),
            ("provider=alpha", [true, false, true]),
            ("provider=alpha&provider=beta", [true, true, true]),
            ("account=a&account=b+%26&provider=beta", [false, true, false]),
            ("account=a&provider=beta", [false, false, false]),
        ] {
            let accounts = some(query);
            let found = [("a", "alpha"), ("b &", "beta"), ("c", "alpha")];
            let found = found.map(|(name, provider)| accounts.matches(name, provider));
            assert_eq!(found, wanted, "{query}");
        }
    }

    #[test]
    fn other_queries_select_everything_or_are_refused() {
        assert_eq!(Selection::read(""), Ok(Selection::All));
        assert_eq!(Selection::read("own=true"), Ok(Selection::Own));
        let many = |count| "account=a&".repeat(count);
        assert!(Selection::read(&many(MAX_PARAMETERS)).is_ok());
        for (query, problem) in [
            ("acount=a", "Unsupported parameter acount=\"a\""),
            ("own=false", "Unsupported parameter own=\"false\""),
            ("own=true&account=a", "own=true cannot be combined"),
            (&many(MAX_PARAMETERS + 1), "More than 100"),
        ] {
            let found = Selection::read(query).unwrap_err();
            assert!(found.starts_with(problem), "{found}");
        }
    }

    #[test]
    fn unknown_names_are_reported() {
        let kinds = crate::provider::made_up();
        let unknown =
            |query| some(query).unknown(&kinds, &[("a", "own"), ("b", "own")].into_iter());
        assert_eq!(unknown("account=a&account=b&provider=beta&provider=own"), None);
        let problem = "Unknown account \"c\".";
        assert_eq!(unknown("account=a&account=c").as_deref(), Some(problem));
        let problem = "Unknown provider \"alph\".";
        assert_eq!(unknown("provider=alph").as_deref(), Some(problem));
    }
}
