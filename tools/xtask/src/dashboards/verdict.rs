//! What to think of a campaign, by the thresholds of its own account.

use super::color;
use super::panel::Panel;
use super::query::{
    ACCOUNT, BOUNCED, CAMPAIGN, CHANNEL, CLICKED, DELIVERED, DELIVERED_OF_ATTEMPTED, OPTED_OUT,
    Scope, Share, among, named, once, one_of, settled,
};
use super::table::{self, COUNT, campaign_columns, figure};

/// Codes with their words and colors, the higher the worse. No verdict depends on a color alone.
pub(crate) const WORDS: [(i32, &str, &str); 11] = [
    (0, "✓ fine", color::GOOD),
    (1, "… too early to tell", color::UNKNOWN),
    (2, "· too small to tell", color::UNKNOWN),
    (NOTHING_SENT, "– nothing sent", color::UNKNOWN),
    (NOT_REPORTED, "– delivery not reported", color::UNKNOWN),
    (11, "⚠ many opted out", color::WARNING),
    (12, "⚠ many bounced", color::WARNING),
    (13, "⚠ few delivered", color::WARNING),
    (21, "✖ very many opted out", color::CRITICAL),
    (22, "✖ very many bounced", color::CRITICAL),
    (23, "✖ very few delivered", color::CRITICAL),
];

const NOTHING_SENT: i32 = 3;
const NOT_REPORTED: i32 = 4;

/// The code of the first bad one.
const BAD: i32 = 11;

/// The threshold of each channel of each account.
pub(crate) fn threshold(scope: Scope, name: &str) -> String {
    let matcher = format!(r#"threshold="{name}""#);
    let own = match scope {
        Scope::Campaign => Scope::Channel,
        scope => scope,
    };
    format!("max by ({CHANNEL}) ({})", own.with("channel:campaign_threshold:effective", &matcher))
}

/// Returns the codes of the campaigns beyond a threshold that have the minimum volume. Delivery is judged
/// once the receipts should have arrived.
///
/// Few campaigns are beyond a warning, so the rest is done with few: with ten thousand, each step takes
/// Prometheus a noticeable time.
pub(crate) fn bad(scope: Scope, campaigns: &str) -> String {
    let beyond = |code: i32, share: Share, sign: &str, name: &str| {
        let ratio = share.each_among(&|metric| scope.of(metric), campaigns);
        let beyond = |severity: &str, how: &str| {
            let threshold = threshold(scope, &format!("{name}_{severity}"));
            format!("{sign} {how}on ({CHANNEL}) group_left () {threshold}")
        };
        format!("10 * ({ratio} {} {}) + {code}", beyond("warning", ""), beyond("critical", "bool "))
    };
    let least = Scope::Account
        .with("account:campaign_threshold:effective", r#"threshold="attempted_min_warning""#);
    let few = format!(
        "({} and on ({CAMPAIGN}) ({}))",
        beyond(BAD + 2, DELIVERED, "<", "delivery_ratio"),
        settled(scope)
    );
    // labels keep apart what a campaign is blamed for
    let worst = [
        few,
        beyond(BAD + 1, BOUNCED, ">", "bounce_ratio"),
        beyond(BAD, OPTED_OUT, ">", "opt_out_ratio"),
    ];
    let worst = worst
        .iter()
        .zip(["delivered", "bounced", "opted out"])
        .map(|(code, why)| format!(r#"label_replace({code}, "why", "{why}", "", "")"#));
    let worst = worst.collect::<Vec<_>>().join(" or ");
    let attempted = format!("({})", among(&scope.of("campaign_attempted"), campaigns));
    format!(
        "{} unless on ({CAMPAIGN}) ({attempted} < on ({ACCOUNT}) group_left () max by ({ACCOUNT}) ({least}))",
        once(&among(&format!("({worst})"), campaigns))
    )
}

/// Returns the code of each of these campaigns.
fn each(scope: Scope, campaigns: &str) -> String {
    let all = format!("0 * ({campaigns})");
    let least = Scope::Account
        .with("account:campaign_threshold:effective", r#"threshold="attempted_min_warning""#);
    let attempted = one_of(scope, "campaign_attempted", campaigns);
    let (any, deliveries) = (scope.of("campaign_attempted"), scope.of("campaign_deliveries"));
    format!(
        "({} or on ({CAMPAIGN}) ({all} unless on ({CAMPAIGN}) ({any} > 0)) + {NOTHING_SENT} or on ({CAMPAIGN}) ({all} unless on ({CAMPAIGN}) {deliveries}) + {NOT_REPORTED} or on ({CAMPAIGN}) 0 * ({attempted} < on ({ACCOUNT}) group_left () max by ({ACCOUNT}) ({least})) + 2 or on ({CAMPAIGN}) ({all} unless on ({CAMPAIGN}) ({})) + 1 or on ({CAMPAIGN}) {all})",
        bad(scope, campaigns),
        settled(scope)
    )
}

/// Creates a table of some campaigns, with their results and what to think of them. `these` selects each
/// of them once.
pub(crate) fn table(scope: Scope, title: &'static str, description: &str, these: &str) -> Panel {
    let of = |metric: &str| one_of(scope, metric, these);
    let share = |share: Share| share.each_of(&of);
    table::table(
        title,
        description,
        campaign_columns(),
        vec![
            figure("Verdict", "none", &named(scope, &each(scope, these), these))
                .words(&WORDS)
                .wide(175),
            figure(
                "Sent",
                "dateTimeFromNow",
                &format!("1000 * {}", of("campaign_last_sent_timestamp_seconds")),
            )
            .wide(125),
            figure("Messages", COUNT, &of("campaign_attempted")).wide(90),
            figure("Delivered", "percentunit", &share(DELIVERED_OF_ATTEMPTED)).decimals(1).wide(85),
            figure("Clicked", "percentunit", &share(CLICKED)).decimals(1).wide(80),
            figure("Opted out", "percentunit", &share(OPTED_OUT)).decimals(2).wide(85),
        ],
        ("Sent", true),
    )
    .no_value("No campaign was sent in the time range.")
}
