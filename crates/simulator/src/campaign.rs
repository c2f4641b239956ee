//! Campaigns and how their counts grow over time.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// The channel a campaign is sent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Text messages.
    Sms,
    /// WhatsApp messages.
    Whatsapp,
    /// Emails.
    Email,
}

/// A campaign as stored in its account; each API shows a part of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Campaign {
    /// The provider's ID.
    pub id: String,
    /// The name, or the message text for providers without campaign names.
    pub name: String,
    /// The channel.
    pub channel: Channel,
    /// The status, for providers that report it.
    pub status: &'static str,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it was sent or is scheduled to be sent.
    pub sent_at: DateTime<Utc>,
    /// The final counts.
    pub counts: Counts,
    /// How long the counts take to reach their final values; zero if they are final as soon as the
    /// campaign is sent.
    pub spread: Duration,
}

impl Campaign {
    /// Returns one of two values, depending on the id, so that campaigns differ in more than their counts.
    pub fn pick(&self, [one, other]: [&'static str; 2]) -> &'static str {
        if self.id.bytes().last().is_some_and(|byte| byte % 2 == 1) { other } else { one }
    }

    /// Returns an SMS campaign with final counts.
    pub fn sms(
        id: impl Into<String>,
        name: impl Into<String>,
        sent_at: DateTime<Utc>,
        counts: Counts,
    ) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            channel: Channel::Sms,
            status: "Sent",
            created_at: sent_at,
            sent_at,
            counts,
            spread: Duration::ZERO,
        }
    }

    /// Returns a WhatsApp campaign with final counts.
    pub fn whatsapp(
        id: impl Into<String>,
        name: impl Into<String>,
        sent_at: DateTime<Utc>,
        counts: Counts,
    ) -> Self {
        Self { channel: Channel::Whatsapp, ..Self::sms(id, name, sent_at, counts) }
    }

    /// Returns the counts at a given time.
    pub fn counts_at(&self, now: DateTime<Utc>) -> Counts {
        self.counts.at(self.progress(now))
    }

    /// Returns the elapsed fraction of the spread.
    fn progress(&self, now: DateTime<Utc>) -> f64 {
        match (now - self.sent_at).to_std() {
            Ok(passed) if passed < self.spread => passed.div_duration_f64(self.spread),
            Ok(_) => 1.0,
            // not sent yet
            Err(_) => 0.0,
        }
    }

    /// Returns the credits spent so far: one for each message part.
    pub fn cost(&self, now: DateTime<Utc>) -> u64 {
        let parts = self.name.chars().count().div_ceil(160).max(1);
        self.counts_at(now).sends.saturating_mul(parts as u64)
    }
}

/// The counts of a campaign; each provider shows a subset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Phone numbers in the recipient list.
    pub recipients: u64,
    /// Messages sent.
    pub sends: u64,
    /// Messages delivered.
    pub deliveries: u64,
    /// Unique recipients who clicked.
    pub clicks: u64,
    /// Messages that bounced or failed.
    pub bounces: u64,
    /// Recipients who opted out.
    pub opt_outs: u64,
    /// Messages read.
    pub reads: u64,
    /// Replies.
    pub replies: u64,
    /// Messages whose outcome will never be known.
    pub pending: u64,
    /// Messages that operators reported as errors.
    pub error: u64,
    /// Messages that expired before delivery.
    pub expired: u64,
    /// Messages lost in the network.
    pub network_error: u64,
    /// Numbers that do not exist.
    pub unassigned: u64,
}

impl Counts {
    /// Returns the counts at a progress from 0 to 1.
    ///
    /// All counts except `pending` only grow; deliveries come first and opt-outs last. Messages
    /// sent but neither delivered nor bounced are pending.
    #[must_use]
    pub fn at(&self, progress: f64) -> Self {
        if progress >= 1.0 {
            // exact even for counts beyond float precision
            return *self;
        }
        // the remainder is a power of the time left: the higher the exponent, the earlier it
        // arrives
        let so_far = |count, power| part(count, 1.0 - (1.0 - progress.max(0.0)).powi(power));
        let deliveries = so_far(self.deliveries, 4);
        let bounces = so_far(self.bounces, 4);
        Self {
            recipients: self.recipients,
            sends: so_far(self.sends, 8),
            deliveries,
            clicks: so_far(self.clicks, 2),
            bounces,
            opt_outs: so_far(self.opt_outs, 1),
            reads: so_far(self.reads, 3),
            replies: so_far(self.replies, 2),
            pending: self.pending + (self.deliveries - deliveries) + (self.bounces - bounces),
            error: so_far(self.error, 4),
            expired: so_far(self.expired, 4),
            network_error: so_far(self.network_error, 4),
            unassigned: so_far(self.unassigned, 4),
        }
    }
}

/// Returns a fraction of a count, rounded down so that parts never add up to more than the whole.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share from 0 to 1 of a count"
)]
pub(crate) fn part(count: u64, share: f64) -> u64 {
    ((count as f64 * share) as u64).min(count)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    const COUNTS: Counts = Counts {
        recipients: 1_000,
        sends: 990,
        deliveries: 937,
        clicks: 101,
        bounces: 53,
        opt_outs: 7,
        reads: 600,
        replies: 80,
        pending: 3,
        error: 30,
        expired: 20,
        network_error: 3,
        unassigned: 10,
    };

    #[test]
    fn counts_grow_to_their_final_values() {
        let steps: Vec<_> = (0..=500).map(|step| COUNTS.at(f64::from(step) / 500.0)).collect();
        for (before, after) in steps.iter().zip(steps.iter().skip(1)) {
            let pairs = [
                (before.sends, after.sends),
                (before.deliveries, after.deliveries),
                (before.clicks, after.clicks),
                (before.bounces, after.bounces),
                (before.opt_outs, after.opt_outs),
                (before.reads, after.reads),
                (before.replies, after.replies),
                (before.error, after.error),
                (before.expired, after.expired),
                (before.network_error, after.network_error),
                (before.unassigned, after.unassigned),
                (after.pending, before.pending),
            ];
            assert!(pairs.iter().all(|(less, more)| less <= more), "{before:?} {after:?}");
            assert!(after.deliveries + after.bounces <= after.sends, "{after:?}");
            assert!(after.reads <= after.deliveries, "{after:?}");
        }
        assert_eq!(steps[0].deliveries, 0);
        assert_eq!(steps[0].pending, 937 + 53 + 3);
        assert_eq!(steps[500], COUNTS);
        assert_eq!(COUNTS.at(7.0), COUNTS);
        let most = Counts { sends: u64::MAX, ..COUNTS };
        assert_eq!(most.at(1.0), most);
    }

    #[test]
    fn deliveries_come_first_and_opt_outs_last() {
        let counts = Counts {
            deliveries: 100,
            reads: 100,
            clicks: 100,
            replies: 100,
            opt_outs: 100,
            ..Counts::default()
        }
        .at(0.25);
        assert!(counts.deliveries > counts.reads);
        assert!(counts.reads > counts.clicks);
        assert_eq!(counts.clicks, counts.replies);
        assert!(counts.clicks > counts.opt_outs);
    }

    #[test]
    fn progress_starts_when_the_campaign_is_sent() {
        let sent_at = DateTime::UNIX_EPOCH;
        let mut campaign = Campaign::sms("1", "one", sent_at, COUNTS);
        assert_eq!(campaign.counts_at(sent_at), COUNTS, "no spread: at once");
        assert_eq!(campaign.counts_at(sent_at - TimeDelta::seconds(1)).sends, 0);
        campaign.spread = Duration::from_secs(100);
        assert_eq!(campaign.counts_at(sent_at).sends, 0);
        assert_eq!(campaign.counts_at(sent_at + TimeDelta::seconds(50)), COUNTS.at(0.5));
        assert_eq!(campaign.counts_at(sent_at + TimeDelta::seconds(100)), COUNTS);
    }

    #[test]
    fn long_messages_cost_more() {
        let cost = |length| {
            Campaign::sms("1", "x".repeat(length), DateTime::UNIX_EPOCH, COUNTS).cost(Utc::now())
        };
        assert_eq!([cost(0), cost(160), cost(161)], [990, 990, 1_980]);
    }
}
