//! What every provider's campaigns become: the model. It knows neither JSON nor Prometheus.

pub mod counts;
pub mod history;
pub mod pool;
pub mod window;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use self::counts::{Count, Counts, Failures};

/// One campaign as its provider reports it now. `None` is what the provider does not report:
/// absent is never zero.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Campaign {
    /// The provider's own id, unique within an account.
    pub id: String,
    /// The name, or what stands for it where campaigns have none.
    pub name: Arc<str>,
    /// What it was sent over.
    pub channel: Channel,
    /// The current status, where the provider has one.
    pub status: Option<Status>,
    /// When it was last sent.
    pub last_sent: Option<DateTime<Utc>>,
    /// When it is going to be sent, while nothing was sent yet.
    pub scheduled: Option<DateTime<Utc>>,
    /// When it was made, while nothing was sent yet.
    pub created: Option<DateTime<Utc>>,
    /// What happened to its messages.
    pub counts: Counts,
    /// Messages that failed, by reason.
    pub failures: Failures,
    /// What it cost, in the provider's credits.
    pub cost_credits: Option<f64>,
    /// The provider's own delivery rate, as a ratio.
    pub reported_delivery_ratio: Option<f64>,
    /// What `campaign_info` can carry beside the name.
    pub info: Arc<Info>,
}

/// What a campaign was sent over.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Channel {
    /// Text messages.
    #[default]
    Sms,
    /// WhatsApp messages.
    Whatsapp,
    /// Something else, in the provider's word, lower case.
    Other(String),
}

impl Channel {
    /// The channel of a provider's word for it, whatever its case.
    pub fn from_word(word: &str) -> Self {
        match word.trim().to_lowercase().as_str() {
            "sms" => Self::Sms,
            "whatsapp" => Self::Whatsapp,
            other => Self::Other(other.to_owned()),
        }
    }

    /// The value of the `channel` label.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Sms => "sms",
            Self::Whatsapp => "whatsapp",
            Self::Other(word) => word,
        }
    }
}

/// Where a campaign stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// All of it was sent.
    Sent,
    /// Planned for later.
    Waiting,
    /// Being sent.
    InProgress,
    /// A person at the provider has to look at it first.
    InModeration,
    /// Refused by the provider.
    Denied,
    /// A word that the provider does not document.
    Other,
}

impl Status {
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

    /// Whether nothing was sent yet: such a campaign has no date of sending and no ratios.
    pub const fn nothing_sent_yet(self) -> bool {
        matches!(self, Self::Waiting | Self::InModeration | Self::Denied)
    }
}

/// Descriptive labels that `campaign_info` can carry besides the name, in the order of the
/// provider's kind, which names them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Info(Box<[(Arc<str>, String)]>);

impl Info {
    /// The value of a label, if the provider reports it.
    pub fn get(&self, label: &str) -> Option<&str> {
        let mut all = self.0.iter();
        all.find(|(name, _)| **name == *label)
            .map(|(_, value)| value.as_str())
    }

    /// The values.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(_, value)| value.as_str())
    }

    /// The values, to be redacted.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut String> {
        self.0.iter_mut().map(|(_, value)| value)
    }
}

impl FromIterator<(Arc<str>, String)> for Info {
    fn from_iter<I: IntoIterator<Item = (Arc<str>, String)>>(labels: I) -> Self {
        Self(labels.into_iter().collect())
    }
}

impl Campaign {
    /// The denominator of the delivery, click, bounce and opt-out ratios: the sends if the provider
    /// reports them, else the recipients; nothing while nothing was sent yet.
    pub fn attempted(&self) -> Option<u64> {
        if self.status.is_some_and(Status::nothing_sent_yet) {
            return None;
        }
        let sends = self.counts.get(Count::Sends);
        sends.or_else(|| self.counts.get(Count::Recipients))
    }

    /// When it was sent or is going to be: what the newest campaigns are chosen by.
    pub fn date(&self) -> Option<DateTime<Utc>> {
        self.last_sent.or(self.scheduled)
    }
}

/// A rate of a campaign, or of a group of campaigns, as a ratio of two counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ratio {
    /// Deliveries over attempted.
    Delivery,
    /// Clicks over attempted.
    Click,
    /// Bounces over attempted.
    Bounce,
    /// Opt-outs over attempted.
    OptOut,
    /// Opens over deliveries.
    Open,
    /// Reads over deliveries.
    Read,
    /// Replies over deliveries.
    Reply,
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
    /// Every ratio.
    pub const ALL: &[Self] = &[
        Self::Delivery,
        Self::Click,
        Self::Bounce,
        Self::OptOut,
        Self::Open,
        Self::Read,
        Self::Reply,
    ];

    /// The numerator and the denominator.
    pub const fn counts(self) -> (Count, Denominator) {
        match self {
            Self::Delivery => (Count::Deliveries, Denominator::Attempted),
            Self::Click => (Count::Clicks, Denominator::Attempted),
            Self::Bounce => (Count::Bounces, Denominator::Attempted),
            Self::OptOut => (Count::OptOuts, Denominator::Attempted),
            Self::Open => (Count::Opens, Denominator::Deliveries),
            Self::Read => (Count::Reads, Denominator::Deliveries),
            Self::Reply => (Count::Replies, Denominator::Deliveries),
        }
    }

    /// The name, which the metric carries between `campaign_` and `_ratio`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delivery => "delivery",
            Self::Click => "click",
            Self::Bounce => "bounce",
            Self::OptOut => "opt_out",
            Self::Open => "open",
            Self::Read => "read",
            Self::Reply => "reply",
        }
    }

    /// Numerator and denominator, where a campaign reports both.
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
    /// denominators of those that report both. Never clamped; nothing where the denominator is 0.
    pub fn of<'a>(self, campaigns: impl IntoIterator<Item = &'a Campaign>) -> Option<f64> {
        let mut sums = Sums::default();
        for campaign in campaigns {
            sums.add(self.parts(campaign));
        }
        sums.ratio()
    }
}

/// Sums of numerators and denominators, in 128 bits, so that no sum of 64-bit counts can overflow.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    numerator: u128,
    denominator: u128,
}

impl Sums {
    fn add(&mut self, parts: Option<(u64, u64)>) {
        let (numerator, denominator) = parts.unwrap_or_default();
        self.numerator += u128::from(numerator);
        self.denominator += u128::from(denominator);
    }

    fn ratio(self) -> Option<f64> {
        (self.denominator > 0).then(|| self.numerator as f64 / self.denominator as f64)
    }
}

/// Some campaigns taken together.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// How many they are.
    pub campaigns: usize,
    sums: [Sums; Self::RATIOS.len()],
}

impl Totals {
    /// The ratios that are known of them.
    const RATIOS: [Ratio; 4] = [Ratio::Delivery, Ratio::Click, Ratio::Bounce, Ratio::OptOut];

    /// Adds a campaign.
    pub fn add(&mut self, campaign: &Campaign) {
        self.campaigns += 1;
        for (sums, ratio) in self.sums.iter_mut().zip(Self::RATIOS) {
            sums.add(ratio.parts(campaign));
        }
    }

    /// Their delivery, click, bounce or opt-out ratio, as [`Ratio::of`] has it; nothing for another.
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
        Campaign {
            counts,
            ..Campaign::default()
        }
    }

    #[test]
    fn attempted_is_the_sends_or_else_the_recipients() {
        assert_eq!(campaign(Some(3), Some(4), None).attempted(), Some(3));
        assert_eq!(campaign(None, Some(4), None).attempted(), Some(4));
        assert_eq!(campaign(None, None, Some(4)).attempted(), None);
    }

    #[test]
    fn a_campaign_of_which_nothing_was_sent_has_no_ratio() {
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
    fn a_ratio_needs_both_counts_and_a_denominator_above_zero() {
        assert_eq!(
            Ratio::Delivery.of([&campaign(Some(4), None, Some(3))]),
            Some(0.75)
        );
        assert_eq!(
            Ratio::Delivery.of([&campaign(Some(0), None, Some(0))]),
            None
        );
        assert_eq!(Ratio::Delivery.of([&campaign(Some(4), None, None)]), None);
        assert_eq!(Ratio::Delivery.of([&campaign(None, None, Some(3))]), None);
        assert_eq!(Ratio::Delivery.of([]), None);
    }

    #[test]
    fn a_ratio_is_not_clamped() {
        assert_eq!(
            Ratio::Delivery.of([&campaign(Some(2), None, Some(5))]),
            Some(2.5)
        );
    }

    #[test]
    fn the_ratio_of_a_group_is_sum_over_sum_of_those_that_report_both() {
        let group = [
            campaign(Some(100), None, Some(50)),
            campaign(Some(300), None, Some(300)),
            campaign(Some(600), None, None),
            campaign(Some(MAX_COUNT), None, None),
        ];
        assert_eq!(Ratio::Delivery.of(&group), Some(0.875));
    }

    #[test]
    fn a_channel_is_known_whatever_its_case() {
        assert_eq!(Channel::from_word("SMS"), Channel::Sms);
        assert_eq!(Channel::from_word("WhatsApp"), Channel::Whatsapp);
        assert_eq!(
            Channel::from_word("Viber"),
            Channel::Other("viber".to_owned())
        );
    }
}
