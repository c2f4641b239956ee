//! The best and the worst campaigns.

use crate::campaign::Ratio;
use crate::report::row::Row;
use crate::state::status::MIN_VOLUME;

/// How many campaigns are listed on either side.
const MOST: usize = 5;

/// The best and the worst of the campaigns by a ratio, each beginning with the most extreme. None is in
/// both. Campaigns that are small or not mature are left out.
pub fn ranking<'a>(
    rows: impl Iterator<Item = Row<'a>>,
    ratio: Ratio,
) -> (Vec<Row<'a>>, Vec<Row<'a>>) {
    let is_judged = |row: &Row<'_>| {
        let is_large = row.campaign.attempted().is_some_and(|attempted| attempted >= MIN_VOLUME);
        is_large && row.campaign.last_sent.is_some() && !row.is_arriving()
    };
    let mut judged: Vec<_> = rows
        .filter(is_judged)
        .filter_map(|row| row.ratio(ratio).map(|ratio| (ratio, row)))
        .collect();
    judged.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    let mut rows: Vec<_> = judged.into_iter().map(|(_, row)| row).collect();
    let worst = rows.split_off(rows.len().div_ceil(2));
    rows.truncate(MOST);
    (rows, worst.into_iter().rev().take(MOST).collect())
}
