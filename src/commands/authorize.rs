//! The `authorize` command: a user grants access in a browser, and the tokens are stored.

use std::io::{self, Write};
use std::sync::Arc;

use anyhow::Context;

use crate::config::Account;
use crate::document::duration_text;
use crate::storage::store::Store;
use crate::upstream::auth::oauth::DeviceCode;

/// Prints where to grant access, waits, and stores the tokens. A running exporter uses them from its
/// next poll.
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

/// Replaces control characters, which a terminal could take for commands.
fn printable(text: &str) -> String {
    text.replace(char::is_control, " ")
}
