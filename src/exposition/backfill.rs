//! Campaigns of the past in OpenMetrics, with timestamps: one sample of each series, at the time when the
//! counts were final.

use std::io::{self, Write};
use std::slice;

use chrono::{DateTime, TimeDelta, Utc};

use super::families::{CAMPAIGN_FAMILIES, CampaignRows};
use super::format::{Format, Writer, labels};
use crate::campaign::{Campaign, Status};
use crate::state::snapshot::Snapshot;
use crate::state::status::maturity;

/// The newest samples. Prometheus still writes the block of the last three hours, and another one must not
/// overlap with it.
const HEAD: TimeDelta = TimeDelta::hours(3);

/// When the counts of a campaign were final: once its receipts should have arrived. `None` if they are not
/// yet, or have been for less than three hours.
pub fn settled(campaign: &Campaign, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let is_sent = campaign
        .status
        .is_none_or(|status| !status.nothing_sent_yet() && status != Status::InProgress);
    let receipts = TimeDelta::from_std(maturity(&campaign.channel)).ok()?;
    let settled = campaign.last_sent?.checked_add_signed(receipts)?;
    (is_sent && settled <= now - HEAD).then_some(settled)
}

/// Writes the settled campaigns of all accounts. Their series have the labels `job` and `instance`, which
/// Prometheus adds to those of a scrape.
pub fn write(
    out: &mut dyn Write,
    snapshot: &Snapshot,
    [job, instance]: [&str; 2],
    now: DateTime<Utc>,
) -> io::Result<()> {
    let target = labels([("job", job), ("instance", instance)]);
    let mut samples = String::new();
    for (index, family) in CAMPAIGN_FAMILIES.iter().enumerate() {
        let mut header = Writer::new(Format::OpenMetrics);
        family.begin(&mut header);
        let mut header = header.into_string();
        for account in snapshot.accounts() {
            for campaign in account.campaigns() {
                let Some(settled) = settled(campaign, now) else {
                    continue;
                };
                samples.clear();
                let rows = CampaignRows::new(account, slice::from_ref(campaign));
                rows.write(&mut samples, index, family);
                for (name, rest) in samples.lines().filter_map(|sample| sample.split_once('{')) {
                    out.write_all(std::mem::take(&mut header).as_bytes())?;
                    writeln!(out, "{name}{{{target},{rest} {}", settled.timestamp())?;
                }
            }
        }
    }
    out.write_all(Format::OpenMetrics.end().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::Channel;

    #[test]
    fn a_campaign_settles_when_its_receipts_should_have_arrived() {
        let now: DateTime<Utc> = "2026-03-01T12:00:00Z".parse().unwrap();
        for (channel, status, hours_ago, expected) in [
            (Channel::Sms, None, 24, Some(22)),
            (Channel::Email, Some(Status::Sent), 24, Some(18)),
            (Channel::Whatsapp, Some(Status::Other), 24, Some(18)),
            (Channel::Sms, Some(Status::InProgress), 24, None),
            (Channel::Sms, Some(Status::Denied), 24, None),
            (Channel::Sms, None, 5, Some(3)),
            // Prometheus still writes that block
            (Channel::Sms, None, 4, None),
            (Channel::Sms, None, -24, None),
        ] {
            let last_sent = Some(now - TimeDelta::hours(hours_ago));
            let campaign = Campaign { channel, status, last_sent, ..Campaign::default() };
            let expected = expected.map(|hours| now - TimeDelta::hours(hours));
            assert_eq!(settled(&campaign, now), expected, "{campaign:?}");
        }
        assert_eq!(settled(&Campaign::default(), now), None);
    }
}
