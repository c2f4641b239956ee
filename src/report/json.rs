//! Campaigns as JSON for programs.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value as Json, json};

use crate::campaign::Ratio;
use crate::campaign::counts::Count;
use crate::report::record::{Fields, Value};
use crate::report::row::Row;
use crate::report::summary::Comparison;
use crate::report::totals::{Sum, Totals, Unit};
use crate::state::campaigns::AccountCampaigns;

/// What follows the campaigns.
pub const TAIL: &str = "]}\n";

/// What comes before the campaigns: the period, its sums, and the accounts that are missing in them.
pub fn head(
    total: &Comparison<'_>,
    missing: &[&AccountCampaigns],
    start: Option<DateTime<Utc>>,
    end: DateTime<Utc>,
) -> serde_json::Result<String> {
    let before = total.before.as_ref().map(totals);
    let missing: Vec<_> = missing.iter().map(|account| &account.account).collect();
    let head = json!({
        "start": start,
        "end": end,
        "accounts_without_data": missing,
        "totals": totals(&total.now),
        "totals_before": before,
    });
    let head = serde_json::to_string(&head)?;
    Ok(format!("{},\"campaigns\":[", head.strip_suffix('}').unwrap_or(&head)))
}

/// A campaign as an object.
pub fn record(fields: &Fields, row: Row<'_>) -> serde_json::Result<String> {
    serde_json::to_string(&Record { fields, row })
}

struct Record<'a> {
    fields: &'a Fields,
    row: Row<'a>,
}

impl Serialize for Record<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let values: Vec<Value> = self.fields.values(self.row);
        serializer.collect_map(self.fields.names().iter().zip(values))
    }
}

/// Whole numbers have no decimal point.
fn number(value: f64) -> Json {
    #[expect(clippy::cast_possible_truncation, reason = "it saturates")]
    let whole = value as i64;
    if value.fract() == 0.0 { json!(whole) } else { json!(value) }
}

fn totals(totals: &Totals<'_>) -> Json {
    let sum = |sum: Option<Sum>| json!(sum.map(|sum| number(sum.total)));
    let mut map = Map::new();
    map.insert("campaigns".to_owned(), json!(totals.campaigns));
    map.insert("still_arriving".to_owned(), json!(totals.arriving));
    map.insert("attempted".to_owned(), sum(totals.attempted()));
    for count in Count::ALL {
        map.insert(count.name().to_owned(), sum(totals.count(*count)));
    }
    for ratio in Ratio::ALL {
        let sums = totals.sums(*ratio);
        let value = sums.ratio();
        map.insert(format!("{}_ratio", ratio.name()), json!(value));
        // campaigns that are not mature, or that do not report both counts, are not in it
        let denominator = value.map(|_| number(sums.parts()[1]));
        map.insert(format!("{}_ratio_denominator", ratio.name()), json!(denominator));
    }
    let (mut credits, mut money) = (BTreeMap::new(), BTreeMap::new());
    for (unit, sum) in &totals.costs {
        match unit {
            Unit::Credits(provider) => credits.insert((*provider).to_owned(), number(sum.total)),
            Unit::Money(currency) => money.insert(currency.as_str().to_owned(), number(sum.total)),
        };
    }
    map.insert("cost_credits".to_owned(), json!(credits));
    map.insert("cost".to_owned(), json!(money));
    Json::Object(map)
}
