//! Campaigns that are planned, and whether they are paid for.

use super::dashboard::{self, Row};
use super::panel::Panel;
use super::query::{ACCOUNT, CAMPAIGN, Scope, among, once, one_of, with_names};
use super::table::{self, COUNT, account_columns, campaign_columns, figure, label, table};
use super::{color, words};

const SCOPE: Scope = Scope::Channel;

/// Words for statuses of campaigns that were not sent yet.
const STATUSES: &str = "waiting|in_moderation|denied";

/// Creates the row.
pub(crate) fn row() -> Row {
    dashboard::row("What is planned", [calendar().sized(24, 7), paid().sized(24, 8)])
}

/// The credits of planned campaigns whose cost is not reported before sending, by the number of their
/// recipients.
fn estimated() -> String {
    let planned = SCOPE.of("campaign:credits:scheduled");
    let reported = SCOPE.of("campaign_cost_credits");
    once(&format!("{planned} unless on ({CAMPAIGN}) ({reported} > 0)"))
}

/// Creates the table of campaigns that were not sent yet.
pub(crate) fn calendar() -> Panel {
    let unsent = SCOPE.with("campaign_status", &format!(r#"status=~"{STATUSES}""#));
    // at most fifty, the next ones first
    let due = one_of(SCOPE, "campaign_scheduled_timestamp_seconds", &unsent);
    let next = format!("bottomk(50, {due})");
    let with_status = format!(
        "1000 * ({next}) * on ({CAMPAIGN}) group_left (status) topk by ({CAMPAIGN}) (1, {unsent})"
    );
    let infos = among(&SCOPE.of("campaign_info"), &unsent);
    // what is refused is not late
    let refused = SCOPE.with("campaign_status", r#"status="denied""#);
    let late = format!("(({next}) unless on ({CAMPAIGN}) {refused}) < bool time()");
    // names and statuses of the first column are those of the row
    let of_these = |metric: &str| one_of(SCOPE, metric, &next);
    let mut columns = campaign_columns();
    columns.insert(
        1,
        label("status", "Status").wide(110).words(&[
            table::words("waiting", "waiting", color::PLAIN),
            table::words("in_moderation", "in review", color::WARNING),
            table::words("denied", "✖ refused", color::CRITICAL),
        ]),
    );
    table(
        "Calendar",
        "Campaigns that were not sent yet, of providers that report them: when they are due, their recipients, and their cost in credits, if it is reported before sending. Counted as: what *Are they paid for?* counts, which is the cost, or one credit for each recipient. Those overdue should have been sent already.",
        columns,
        vec![
            figure("Due", "dateTimeAsIso", &with_names(&with_status, &infos, "status")).wide(150),
            figure("In time", "none", &late).wide(95).words(&[
                (0, "✓ to come", color::PLAIN),
                (1, "⚠ overdue", color::WARNING),
            ]),
            figure("Recipients", COUNT, &of_these("campaign_recipients")).wide(90),
            // before sending, some providers report 0
            figure("Credits", COUNT, &format!("{} > 0", of_these("campaign_cost_credits")))
                .wide(80),
            figure("Counted as", COUNT, &of_these("campaign:credits:scheduled")).wide(95),
        ],
        ("Due", false),
    )
    .no_value("Nothing is planned, or no provider of these accounts reports it.")
}

/// Whether planned campaigns are paid for: codes with words and colors, what needs attention first.
const PAID: [(i32, &str, &str); 4] = [
    (0, "✖ no", color::CRITICAL),
    (CREDITS_UNKNOWN, words::NOT_REPORTED.1, words::NOT_REPORTED.2),
    (IS_PAID, "✓ yes", color::GOOD),
    (NOTHING_PLANNED, "nothing planned", color::UNKNOWN),
];

const CREDITS_UNKNOWN: i32 = 1;
const IS_PAID: i32 = 2;
const NOTHING_PLANNED: i32 = 3;

/// Creates the table of credits and what the planned campaigns cost.
pub(crate) fn paid() -> Panel {
    let of = |metric: &str| Scope::Account.per_account(metric);
    let credits = of("campaign_account_credits");
    let planned = format!("({} or 0 * {credits})", of("account:credits_scheduled:sum"));
    let left = format!("{credits} - {planned}");
    let estimated = format!("(sum by ({ACCOUNT}) ({}) or 0 * {credits})", estimated());
    let awaited = SCOPE.with("campaign_status", r#"status=~"waiting|in_moderation""#);
    let awaited = format!("count by ({ACCOUNT}) ({awaited})");
    // every account has a row
    let is_paid = format!(
        "({IS_PAID} * ({left} >= bool 0) or 0 * {awaited} + {CREDITS_UNKNOWN}) and {awaited} or 0 * {} + {NOTHING_PLANNED}",
        of("campaign_account_up")
    );
    // too wide for a part of a row
    let columns = account_columns()
        .into_iter()
        .map(|column| if column.is("provider") { column.hidden() } else { column })
        .collect();
    table(
        "Are they paid for?",
        "The credits of each account against the cost of its planned campaigns in credits. Of it estimated: if the provider reports no cost before sending, a recipient counts as one credit. Not reported: something is planned, but the provider does not report the credits, so look there. Nothing planned: or the provider does not report it. A dash: not reported.",
        columns,
        vec![
            figure("Credits", COUNT, &credits).wide(80),
            figure("Planned", COUNT, &planned).wide(80),
            figure("Of it estimated", COUNT, &estimated).wide(120),
            figure("Left after", COUNT, &left).wide(95),
            figure("Paid for", "none", &is_paid).wide(130).words(&PAID),
        ],
        ("Paid for", false),
    )
    .no_value("No account is read.")
}
