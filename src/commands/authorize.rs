//! The `authorize` command: a person consents once, in a browser, and the tokens are kept.

use std::io::{self, Write};
use std::sync::Arc;

use anyhow::Context;

use crate::config::Account;
use crate::document::duration_text;
use crate::storage::store::Store;
use crate::upstream::auth::oauth::DeviceCode;

/// Shows where to consent, waits, and keeps the tokens. A running exporter takes them at its next
/// poll.
pub async fn authorize(
    account: &Account,
    client: reqwest::Client,
    store: &Arc<Store>,
) -> anyhow::Result<()> {
    let name = &account.name;
    let mut shown = Ok(());
    let renewable = account
        .provider
        .authorize(
            name,
            client,
            account.polling.request_timeout,
            store,
            |code| shown = show(name, code),
        )
        .await?;
    shown.context("cannot write to standard output")?;
    let rest = if renewable {
        "The exporter renews them from now on; if it is running, from its next poll."
    } else {
        "The provider gave no refresh token, so they last for a day only: its application has to \
         be allowed offline access."
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
         a user who may see reports, and enter the code\n\n    {}\n",
        printable(&code.address),
        printable(&code.code)
    )?;
    if let Some(address) = &code.complete_address {
        writeln!(stdout, "or open {}\n", printable(address))?;
    }
    writeln!(stdout, "Waiting. Ctrl-C gives up.")?;
    stdout.flush()
}

/// Nothing that a terminal would take for a command.
fn printable(text: &str) -> String {
    text.replace(char::is_control, " ")
}
