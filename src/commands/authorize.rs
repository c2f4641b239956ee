//! The `authorize` command: a user grants access in a browser, and the tokens are stored.

use std::io::{self, Write};
use std::sync::Arc;

use anyhow::Context;

use crate::config::Account;
use crate::document::duration_text;
use crate::redaction;
use crate::storage::store::Store;
use crate::upstream::auth::oauth::DeviceCode;
use crate::upstream::client::Client;

/// Most characters of an address or code of the provider that are printed.
const MAX_CHARS: usize = 1_000;

/// Prints where to grant access, waits, and stores the tokens. A running exporter uses them from its
/// next poll.
pub async fn authorize(
    account: &Account,
    client: Client,
    store: &Arc<Store>,
) -> anyhow::Result<()> {
    let name = &account.name;
    let mut shown = Ok(());
    let renewable = account
        .provider
        .authorize(name, client, account.polling.request_timeout, store, |code| {
            shown = show(name, code);
        })
        .await?;
    shown.context("cannot write to standard output")?;
    let rest = if renewable {
        "The exporter refreshes them from now on. If it is running, it uses them from its next poll."
    } else {
        "The provider issued no refresh token, so they expire after a day: enable offline access \
         for the client."
    };
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "Tokens for {name} are stored. {rest}")
        .context("cannot write to standard output")
}

fn show(name: &str, code: &DeviceCode) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    let lifetime = duration_text(code.lifetime);
    writeln!(
        stdout,
        "To let the exporter read the account {name}, open\n\n    {}\n\nwithin {lifetime}, sign in as \
         a user with access to reports, and enter the code\n\n    {}\n",
        printable(&code.address),
        printable(&code.code)
    )?;
    if let Some(address) = &code.complete_address {
        writeln!(stdout, "or open {}\n", printable(address))?;
    }
    writeln!(stdout, "Waiting. Press Ctrl-C to cancel.")?;
    stdout.flush()
}

/// A text of the provider without secrets, without characters that a terminal could take for commands,
/// and no longer than an address is.
fn printable(text: &str) -> String {
    let mut printable = String::new();
    for (position, char) in redaction::redact_distinct(text).chars().enumerate() {
        match char {
            _ if position == MAX_CHARS => {
                printable.push('…');
                break;
            }
            '"' | '\'' | '\\' => printable.push(char),
            _ => printable.extend(char.escape_debug()),
        }
    }
    printable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_provider_sends_is_safe_to_print() {
        let address = "https://id.example/activate?user_code='WDJB-MJHT'&hl=é";
        assert_eq!(printable(address), address);
        assert_eq!(
            printable("\u{1b}]0;x\u{7}\nA\u{9b}2J\u{202e}B\u{7f}"),
            r"\u{1b}]0;x\u{7}\nA\u{9b}2J\u{202e}B\u{7f}"
        );
        redaction::register(&"a-token-in-a-user-code".into());
        assert_eq!(printable("a%2Dtoken-in-a-user-code!"), "[redacted]!");
        let longest = "x".repeat(MAX_CHARS);
        assert_eq!(printable(&longest), longest);
        assert_eq!(printable(&format!("{longest}x")), format!("{longest}…"));
    }
}
