//! What to think of a campaign, by the thresholds of its own account.

use super::color;
use super::panel::Panel;
use super::query::{
    ACCOUNT, BOUNCED, CAMPAIGN, CHANNEL, CLICKED, DELIVERED, OPTED_OUT, Scope, Share, among, named,
    once, settled,
};
use super::table::{self, campaign_columns, figure};

/// Codes with their words and colors. No verdict depends on a color alone.
pub(crate) const WORDS: [(i32, &str, &str); 9] = [
    (0, "✓ fine", color::GOOD),
    (1, "… too early to tell", color::UNKNOWN),
    (2, "· too small to tell", color::UNKNOWN),
    (11, "⚠ few delivered", color::WARNING),
    (12, "⚠ many bounced", color::WARNING),
    (13, "⚠ many opted out", color::WARNING),
    (21, "✖ very few delivered", color::CRITICAL),
    (22, "✖ very many bounced", color::CRITICAL),
    (23, "✖ very many opted out", color::CRITICAL),
];

/// The code of the first bad one.
pub(crate) const BAD: i32 = 11;

/// The threshold of each channel of each account.
fn threshold(scope: Scope, name: &str) -> String {
    let matcher = format!(r#"threshold="{name}""#);
    let own = match scope {
        Scope::Campaign => Scope::Channel,
        scope => scope,
    };
    format!("max by ({CHANNEL}) ({})", own.with("channel:campaign_threshold:effective", &matcher))
}

/// Returns the code of each of these campaigns. Delivery is judged once the receipts should have arrived;
/// `mature` selects those campaigns.
pub(crate) fn of(scope: Scope, campaigns: &str, mature: &str) -> String {
    // series of several exporters are merged last, since that is expensive
    let beyond = |code: i32, share: Share, sign: &str, name: &str| {
        format!(
            "0 * ({} {sign} on ({CHANNEL}) group_left () {}) + {code}",
            share.each_of(&|metric| scope.of(metric)),
            threshold(scope, name)
        )
    };
    let few = |code: i32, name: &str| {
        format!("({}) and on ({CAMPAIGN}) {mature}", beyond(code, DELIVERED, "<", name))
    };
    let least = Scope::Account
        .with("account:campaign_threshold:effective", r#"threshold="attempted_min_warning""#);
    let attempted = scope.of("campaign_attempted");
    let all = once(campaigns);
    let rules = [
        format!(
            "0 * ({attempted} < on ({ACCOUNT}) group_left () max by ({ACCOUNT}) ({least})) + 2"
        ),
        few(21, "delivery_ratio_critical"),
        beyond(22, BOUNCED, ">", "bounce_ratio_critical"),
        beyond(23, OPTED_OUT, ">", "opt_out_ratio_critical"),
        few(11, "delivery_ratio_warning"),
        beyond(12, BOUNCED, ">", "bounce_ratio_warning"),
        beyond(13, OPTED_OUT, ">", "opt_out_ratio_warning"),
        format!("0 * ({all} unless on ({CAMPAIGN}) {mature}) + 1"),
        format!("0 * {all}"),
    ]
    .map(|rule| format!("({rule})"))
    .join(" or ");
    once(&among(&format!("({rules})"), campaigns))
}

/// Selects the campaigns of the time range whose receipts should have arrived.
pub(crate) fn mature(scope: Scope) -> String {
    format!("({})", settled(scope))
}

/// Creates a table of some campaigns, with their results and what to think of them.
pub(crate) fn table(scope: Scope, title: &'static str, description: &str, these: &str) -> Panel {
    let of = |expression: &str| named(scope, &among(&format!("({expression})"), these));
    let each = |share: Share| of(&share.each(scope));
    let verdicts = self::of(scope, &format!("({these})"), &mature(scope));
    let sent = format!("1000 * {}", scope.one("campaign_last_sent_timestamp_seconds"));
    table::table(
        title,
        description,
        campaign_columns(),
        vec![
            figure("Verdict", "none", &named(scope, &verdicts)).words(&WORDS).wide(160),
            figure("Sent", "dateTimeFromNow", &of(&sent)).wide(110),
            figure("Messages", "short", &of(&scope.one("campaign_attempted"))).wide(85),
            figure("Delivered", "percentunit", &each(DELIVERED)).decimals(1).wide(85),
            figure("Clicked", "percentunit", &each(CLICKED)).decimals(1).wide(80),
            figure("Opted out", "percentunit", &each(OPTED_OUT)).decimals(2).wide(85),
        ],
        ("Sent", true),
    )
    .no_value("No campaign was sent in the time range.")
}
