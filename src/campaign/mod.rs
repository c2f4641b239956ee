//! The model of campaigns, common to all providers and independent of JSON and Prometheus.

pub mod bounds;
pub mod counts;
pub mod curve;
pub mod exported;
pub mod figures;
pub mod history;
pub mod pool;
pub mod sent_time;
pub mod window;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use self::counts::{Count, Counts, Failures};
use self::figures::Figures;
use self::sent_time::sent_time_label;

/// A campaign as its provider reports it. `None` means that the provider does not report the value,
/// never zero.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Campaign {
    /// The provider's id, unique within an account.
    pub id: String,
    /// The name, or a substitute if the provider's campaigns have none.
    pub name: Arc<str>,
    /// The channel.
    pub channel: Channel,
    /// The status, if the provider has one.
    pub status: Option<Status>,
    /// When it was last sent.
    pub last_sent: Option<DateTime<Utc>>,
    /// When it will be sent, if it was not sent yet.
    pub scheduled: Option<DateTime<Utc>>,
    /// When it was created.
    pub created: Option<DateTime<Utc>>,
    /// The counts of its messages.
    pub counts: Counts,
    /// Failed messages by reason.
    pub failures: Failures,
    /// The cost in the provider's credits; infinite if it cannot be read, see
    /// [`Campaign::readable_cost_credits`].
    pub cost_credits: Option<f64>,
    /// Amounts of money, and the provider's own ratios.
    pub figures: Figures,
    /// Optional labels of `campaign_info`.
    pub info: Arc<Info>,
}

/// The channel of a campaign.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Channel {
    /// Text messages.
    #[default]
    Sms,
    /// WhatsApp messages.
    Whatsapp,
    /// Emails.
    Email,
    /// Viber messages.
    Viber,
    /// RCS messages.
    Rcs,
    /// Push notifications.
    Push,
    /// Another channel, as the provider names it, in lower case.
    Other(String),
}

impl Channel {
    /// The channels of the model.
    pub const KNOWN: [Self; 6] =
        [Self::Sms, Self::Whatsapp, Self::Email, Self::Viber, Self::Rcs, Self::Push];

    /// The channel that a provider names. Case is ignored.
    pub fn from_word(word: &str) -> Self {
        let word = word.trim().to_lowercase();
        let mut known = Self::KNOWN.into_iter();
        let known = known.find(|channel| channel.as_str() == word);
        known.unwrap_or(Self::Other(word))
    }

    /// The value of the `channel` label.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Sms => "sms",
            Self::Whatsapp => "whatsapp",
            Self::Email => "email",
            Self::Viber => "viber",
            Self::Rcs => "rcs",
            Self::Push => "push",
            Self::Other(word) => word,
        }
    }
}

/// The status of a campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// Sent completely.
    Sent,
    /// Scheduled for later.
    Waiting,
    /// Being sent.
    InProgress,
    /// Waiting for the provider's approval.
    InModeration,
    /// Rejected by the provider.
    Denied,
    /// A status that the provider does not document.
    Other,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 6] = [
        Self::Sent,
        Self::Waiting,
        Self::InProgress,
        Self::InModeration,
        Self::Denied,
        Self::Other,
    ];

    /// The value of the `status` label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Waiting => "waiting",
            Self::InProgress => "in_progress",
            Self::InModeration => "in_moderation",
            Self::Denied => "denied",
            Self::Other => "other",
        }
    }

    /// Whether nothing was sent yet. Such a campaign has no sending date and no ratios.
    pub const fn nothing_sent_yet(self) -> bool {
        matches!(self, Self::Waiting | Self::InModeration | Self::Denied)
    }

    /// How far a campaign with this status is, in the order of what happens to it.
    const fn stage(self) -> u8 {
        match self {
            Self::InModeration => 1,
            Self::Waiting => 2,
            Self::Other => 3,
            Self::InProgress => 4,
            Self::Sent | Self::Denied => 5,
        }
    }
}

/// Optional labels of `campaign_info`. The provider's kind names them and sets their order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Info(Box<[(Arc<str>, String)]>);

impl Info {
    /// The value of a label, if the provider reports it.
    pub fn get(&self, label: &str) -> Option<&str> {
        let mut all = self.0.iter();
        all.find(|(name, _)| **name == *label).map(|(_, value)| value.as_str())
    }
}

impl FromIterator<(Arc<str>, String)> for Info {
    fn from_iter<I: IntoIterator<Item = (Arc<str>, String)>>(labels: I) -> Self {
        Self(labels.into_iter().collect())
    }
}

impl Campaign {
    /// The denominator of the delivery, click, bounce and opt-out ratios: the sends if the provider
    /// reports them, else the recipients; `None` if nothing was sent yet.
    pub fn attempted(&self) -> Option<u64> {
        if self.status.is_some_and(Status::nothing_sent_yet) {
            return None;
        }
        let sends = self.counts.get(Count::Sends);
        sends.or_else(|| self.counts.get(Count::Recipients))
    }

    /// Attempted messages that were neither delivered nor bounced and are not pending, if the provider
    /// reports bounces.
    pub fn without_receipt(&self) -> Option<u64> {
        let [deliveries, bounces, pending] =
            [Count::Deliveries, Count::Bounces, Count::Pending].map(|count| self.counts.get(count));
        let rest = self.attempted()?.saturating_sub(deliveries?).saturating_sub(bounces?);
        Some(rest.saturating_sub(pending.unwrap_or_default()))
    }

    /// Whether messages that are yet to be sent count as attempted: the campaign is being sent, and the
    /// provider does not report how many were.
    pub fn counts_unsent(&self) -> bool {
        self.status == Some(Status::InProgress) && self.counts.get(Count::Sends).is_none()
    }

    /// When it was created, if it was not sent yet.
    pub fn created_unsent(&self) -> Option<DateTime<Utc>> {
        let is_sent = matches!(self.status, Some(Status::Sent | Status::InProgress));
        self.created.filter(|_| !is_sent && self.last_sent.is_none())
    }

    /// Takes over what `details` of the same campaign have.
    pub fn complete(&mut self, details: Self) {
        fn take<T>(own: &mut Option<T>, other: Option<T>) {
            if other.is_some() {
                *own = other;
            }
        }
        if !details.name.is_empty() {
            self.name = details.name;
        }
        take(&mut self.status, details.status);
        take(&mut self.last_sent, details.last_sent);
        take(&mut self.scheduled, details.scheduled);
        take(&mut self.created, details.created);
        self.counts.replace(&details.counts);
        if !details.failures.is_empty() {
            self.failures = details.failures;
        }
        take(&mut self.cost_credits, details.cost_credits);
        self.figures.replace(&details.figures);
        if details.info != Arc::default() {
            self.info = details.info;
        }
    }

    /// Adds the counts, failures and amounts of another row of the same campaign. It has the further
    /// status, and was last sent when the later one was. A sum with a value that cannot be read is absent.
    pub fn add(&mut self, row: &Self) {
        if self.stage() < row.stage() {
            self.status = row.status;
        }
        self.counts.add(&row.counts);
        self.failures.add(&row.failures);
        if let Some(cost) = row.cost_credits {
            self.cost_credits = Some(figures::sum(self.cost_credits.unwrap_or_default(), cost));
        }
        self.figures.add(&row.figures);
        self.last_sent = self.last_sent.max(row.last_sent);
    }

    /// How far the campaign is; `None` if that is not known.
    pub fn stage(&self) -> Option<u8> {
        self.status.map(Status::stage)
    }

    /// The value of a label of `campaign_info`, if it is known: as reported, or of the time of sending.
    pub fn info_label(&self, label: &str, time_zone: Tz) -> Option<&str> {
        self.info.get(label).or_else(|| sent_time_label(label, self.last_sent?, time_zone))
    }

    /// The cost in credits, unless it could not be read.
    pub fn readable_cost_credits(&self) -> Option<f64> {
        self.cost_credits.filter(|cost| cost.is_finite())
    }

    /// Whether a count or an amount is reported that cannot be read.
    pub fn has_unreadable(&self) -> bool {
        self.counts.has_unreadable()
            || self.failures.has_unreadable()
            || self.cost_credits == Some(figures::UNREADABLE)
            || self.figures.has_unreadable()
    }

    /// When it was or will be sent. Campaigns are ordered by this date.
    pub fn date(&self) -> Option<DateTime<Utc>> {
        self.last_sent.or(self.scheduled)
    }
}

/// Defines [`Ratio`] from one row per ratio: variant, name, numerator, denominator.
macro_rules! ratios {
    ($($variant:ident, $name:literal, $numerator:ident / $denominator:ident;)*) => {
        /// A rate of a campaign, or of a group of campaigns, as a ratio of two counts.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Ratio {
            $(#[doc = concat!("`", stringify!($numerator), "` / `", stringify!($denominator), "`.")]
            $variant,)*
        }

        impl Ratio {
            /// Every ratio, in the order in which stored files number them. Append only.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The numerator and the denominator.
            pub const fn counts(self) -> (Count, Denominator) {
                match self { $(Self::$variant => (Count::$numerator, Denominator::$denominator),)* }
            }

            /// The part of the metric's name between `campaign_` and `_ratio`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The metric of the ratio as the provider reports it.
            pub const fn reported_metric(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!("campaign_reported_", $name, "_ratio"),)*
                }
            }
        }
    };
}

ratios! {
    Delivery, "delivery", Deliveries / Attempted;
    Click, "click", Clicks / Attempted;
    Bounce, "bounce", Bounces / Attempted;
    OptOut, "opt_out", OptOuts / Attempted;
    Open, "open", Opens / Deliveries;
    Read, "read", Reads / Deliveries;
    Reply, "reply", Replies / Deliveries;
}

/// What a [`Ratio`] divides by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denominator {
    /// [`Campaign::attempted`]
    Attempted,
    /// [`Count::Deliveries`]
    Deliveries,
}

impl Ratio {
    /// Numerator and denominator, if a campaign reports both.
    pub fn parts(self, campaign: &Campaign) -> Option<(u64, u64)> {
        let (numerator, denominator) = self.counts();
        let denominator = match denominator {
            Denominator::Attempted => campaign.attempted(),
            Denominator::Deliveries => campaign.counts.get(Count::Deliveries),
        };
        let numerator = campaign.counts.get(numerator);
        numerator.zip(denominator)
    }

    /// The ratio of a group of campaigns: the sum of the numerators over the sum of the
    /// denominators of those that report both. Not clamped; `None` if the denominator is 0.
    pub fn of<'a>(self, campaigns: impl IntoIterator<Item = &'a Campaign>) -> Option<f64> {
        let mut sums = Sums::default();
        for campaign in campaigns {
            sums.add(self.parts(campaign));
        }
        sums.ratio()
    }
}

/// Sums of numerators and denominators. With 128 bits no sum of 64-bit counts overflows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sums {
    numerator: u128,
    denominator: u128,
}

impl Sums {
    /// Adds the parts of a campaign's ratio.
    pub fn add(&mut self, parts: Option<(u64, u64)>) {
        let (numerator, denominator) = parts.unwrap_or_default();
        self.numerator += u128::from(numerator);
        self.denominator += u128::from(denominator);
    }

    /// Adds the sums of other campaigns.
    pub fn merge(&mut self, other: Self) {
        self.numerator += other.numerator;
        self.denominator += other.denominator;
    }

    /// The sum of the numerators and that of the denominators.
    pub fn parts(self) -> [f64; 2] {
        [self.numerator, self.denominator].map(|sum| sum as f64)
    }

    /// The ratio of the sums; `None` if the denominator is 0.
    pub fn ratio(self) -> Option<f64> {
        (self.denominator > 0).then(|| self.numerator as f64 / self.denominator as f64)
    }
}

/// The totals of a group of campaigns.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// The number of campaigns.
    pub campaigns: usize,
    sums: [Sums; Self::RATIOS.len()],
}

impl Totals {
    /// The ratios of the group that are available.
    const RATIOS: [Ratio; 4] = [Ratio::Delivery, Ratio::Click, Ratio::Bounce, Ratio::OptOut];

    /// Adds a campaign.
    pub fn add(&mut self, campaign: &Campaign) {
        self.campaigns += 1;
        for (sums, ratio) in self.sums.iter_mut().zip(Self::RATIOS) {
            sums.add(ratio.parts(campaign));
        }
    }

    /// The same as [`Ratio::of`] for the delivery, click, bounce, and opt-out ratios; `None` for others.
    pub fn ratio(&self, ratio: Ratio) -> Option<f64> {
        let mut all = self.sums.iter().zip(Self::RATIOS);
        all.find(|(_, known)| *known == ratio)?.0.ratio()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::counts::MAX_COUNT;

    fn campaign(sends: Option<u64>, recipients: Option<u64>, deliveries: Option<u64>) -> Campaign {
        let counts = Counts::from([
            (Count::Recipients, recipients),
            (Count::Sends, sends),
            (Count::Deliveries, deliveries),
        ]);
        Campaign { counts, ..Campaign::default() }
    }

    #[test]
    fn attempted_is_sends_or_else_recipients() {
        assert_eq!(campaign(Some(3), Some(4), None).attempted(), Some(3));
        assert_eq!(campaign(None, Some(4), None).attempted(), Some(4));
        assert_eq!(campaign(None, None, Some(4)).attempted(), None);
    }

    #[test]
    fn recipients_of_a_campaign_that_is_being_sent_include_unsent_messages() {
        let counts = |status, sends| Campaign { status, ..campaign(sends, Some(4), None) };
        assert!(counts(Some(Status::InProgress), None).counts_unsent());
        assert!(!counts(Some(Status::InProgress), Some(3)).counts_unsent());
        assert!(!counts(Some(Status::Sent), None).counts_unsent());
        assert!(!counts(None, None).counts_unsent());
    }

    #[test]
    fn messages_without_a_receipt_need_reported_bounces() {
        for (counts, expected) in [
            ([Some(1_000), Some(400), Some(23), None], Some(577)),
            ([Some(1_000), Some(400), Some(23), Some(500)], Some(77)),
            ([Some(1_000), Some(1_000), Some(23), None], Some(0)),
            ([Some(1_000), Some(400), None, None], None),
            ([Some(1_000), None, Some(23), None], None),
            ([None, Some(400), Some(23), None], None),
        ] {
            let names = [Count::Sends, Count::Deliveries, Count::Bounces, Count::Pending];
            let mut campaign = Campaign::default();
            for (name, count) in names.into_iter().zip(counts) {
                campaign.counts.set(name, count);
            }
            assert_eq!(campaign.without_receipt(), expected, "{counts:?}");
        }
    }

    #[test]
    fn a_campaign_has_no_ratio_before_it_is_sent() {
        for (status, expected) in [
            (Status::Waiting, None),
            (Status::InModeration, None),
            (Status::Denied, None),
            (Status::InProgress, Some(0.0)),
            (Status::Sent, Some(0.0)),
            (Status::Other, Some(0.0)),
        ] {
            let mut campaign = campaign(None, Some(4), Some(0));
            campaign.status = Some(status);
            assert_eq!(Ratio::Delivery.of([&campaign]), expected, "{status:?}");
        }
    }

    #[test]
    fn a_ratio_requires_both_counts_and_a_positive_denominator() {
        assert_eq!(Ratio::Delivery.of([&campaign(Some(4), None, Some(3))]), Some(0.75));
        assert_eq!(Ratio::Delivery.of([&campaign(Some(0), None, Some(0))]), None);
        assert_eq!(Ratio::Delivery.of([&campaign(Some(4), None, None)]), None);
        assert_eq!(Ratio::Delivery.of([&campaign(None, None, Some(3))]), None);
        assert_eq!(Ratio::Delivery.of([]), None);
    }

    #[test]
    fn a_ratio_is_not_clamped() {
        assert_eq!(Ratio::Delivery.of([&campaign(Some(2), None, Some(5))]), Some(2.5));
    }

    #[test]
    fn the_ratio_of_a_group_is_the_ratio_of_sums() {
        let group = [
            campaign(Some(100), None, Some(50)),
            campaign(Some(300), None, Some(300)),
            campaign(Some(600), None, None),
            campaign(Some(MAX_COUNT), None, None),
        ];
        assert_eq!(Ratio::Delivery.of(&group), Some(0.875));
    }

    #[test]
    fn the_case_of_a_channel_is_ignored() {
        assert_eq!(Channel::from_word("SMS"), Channel::Sms);
        assert_eq!(Channel::from_word("WhatsApp"), Channel::Whatsapp);
        assert_eq!(Channel::from_word(" RCS"), Channel::Rcs);
        for channel in Channel::KNOWN {
            assert_eq!(Channel::from_word(channel.as_str()), channel);
        }
        assert_eq!(Channel::from_word("Pigeon"), Channel::Other("pigeon".to_owned()));
    }
}
