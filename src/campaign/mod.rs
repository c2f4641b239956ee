//! What every provider's campaigns become: the model. It knows neither JSON nor Prometheus.

pub mod history;
pub mod pool;
pub mod window;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The largest count that a gauge (a 64-bit float) still holds exactly: 2^53.
pub const MAX_COUNT: u64 = 1 << 53;

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

/// How many messages, recipients or reactions, as the provider counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// People or numbers that it was made for.
    pub recipients: Option<u64>,
    /// Messages sent.
    pub sends: Option<u64>,
    /// Messages delivered.
    pub deliveries: Option<u64>,
    /// Messages opened.
    pub opens: Option<u64>,
    /// Recipients who followed a link.
    pub clicks: Option<u64>,
    /// Messages that could not be delivered.
    pub bounces: Option<u64>,
    /// Recipients who opted out.
    pub opt_outs: Option<u64>,
    /// Messages read.
    pub reads: Option<u64>,
    /// Replies; one recipient may give several.
    pub replies: Option<u64>,
    /// Messages sent and not yet confirmed.
    pub pending: Option<u64>,
}

/// Failed messages by the provider's reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failures {
    /// Refused by an operator.
    pub error: Option<u64>,
    /// Not delivered in time.
    pub expired: Option<u64>,
    /// Lost in an operator's network.
    pub network_error: Option<u64>,
    /// Numbers that do not exist ("n'habite pas à l'adresse indiquée").
    pub npai: Option<u64>,
}

impl Failures {
    /// The failures with the value of their `reason` label.
    pub const fn by_reason(&self) -> [(&'static str, Option<u64>); 4] {
        [
            ("error", self.error),
            ("expired", self.expired),
            ("network_error", self.network_error),
            ("npai", self.npai),
        ]
    }

    /// The sum of those that are there; nothing where no gauge would hold it exactly.
    pub fn total(&self) -> Option<u64> {
        let known = self.by_reason().into_iter().filter_map(|(_, count)| count);
        let total = known.reduce(u64::saturating_add);
        total.filter(|total| *total <= MAX_COUNT)
    }
}

/// What describes a campaign beside its name, where the provider reports it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Info {
    /// The number or name that recipients see.
    pub sender: Option<String>,
    /// The provider's type of campaign.
    pub campaign_type: Option<String>,
    /// The person who made it.
    pub created_by: Option<String>,
    /// The message template.
    pub template: Option<String>,
    /// The provider's name of the channel that it was sent over.
    pub channel_name: Option<String>,
}

/// A label that `campaign_info` can carry on request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InfoLabel {
    /// [`Info::sender`]
    Sender,
    /// [`Info::campaign_type`]
    CampaignType,
    /// [`Info::created_by`]
    CreatedBy,
    /// [`Info::template`]
    Template,
    /// [`Info::channel_name`]
    ChannelName,
}

impl InfoLabel {
    /// All of them with their names.
    pub const WORDS: &[(&'static str, Self)] = &[
        (Self::Sender.as_str(), Self::Sender),
        (Self::CampaignType.as_str(), Self::CampaignType),
        (Self::CreatedBy.as_str(), Self::CreatedBy),
        (Self::Template.as_str(), Self::Template),
        (Self::ChannelName.as_str(), Self::ChannelName),
    ];

    /// The label's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sender => "sender",
            Self::CampaignType => "campaign_type",
            Self::CreatedBy => "created_by",
            Self::Template => "template",
            Self::ChannelName => "channel_name",
        }
    }

    /// The label's value, where the provider reports it.
    pub fn of(self, info: &Info) -> Option<&str> {
        match self {
            Self::Sender => info.sender.as_deref(),
            Self::CampaignType => info.campaign_type.as_deref(),
            Self::CreatedBy => info.created_by.as_deref(),
            Self::Template => info.template.as_deref(),
            Self::ChannelName => info.channel_name.as_deref(),
        }
    }
}

impl Campaign {
    /// The denominator of the delivery, click, bounce and opt-out ratios: the sends if the provider
    /// reports them, else the recipients; nothing while nothing was sent yet.
    pub fn attempted(&self) -> Option<u64> {
        if self.status.is_some_and(Status::nothing_sent_yet) {
            return None;
        }
        self.counts.sends.or(self.counts.recipients)
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

impl Ratio {
    /// Numerator and denominator, where a campaign reports both.
    pub fn parts(self, campaign: &Campaign) -> Option<(u64, u64)> {
        let counts = &campaign.counts;
        let (numerator, denominator) = match self {
            Self::Delivery => (counts.deliveries, campaign.attempted()),
            Self::Click => (counts.clicks, campaign.attempted()),
            Self::Bounce => (counts.bounces, campaign.attempted()),
            Self::OptOut => (counts.opt_outs, campaign.attempted()),
            Self::Open => (counts.opens, counts.deliveries),
            Self::Read => (counts.reads, counts.deliveries),
            Self::Reply => (counts.replies, counts.deliveries),
        };
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

    fn campaign(sends: Option<u64>, recipients: Option<u64>, deliveries: Option<u64>) -> Campaign {
        let counts = Counts {
            recipients,
            sends,
            deliveries,
            ..Counts::default()
        };
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
    fn failures_add_up_those_that_are_there() {
        let some = Failures {
            error: Some(1),
            npai: Some(4),
            ..Failures::default()
        };
        assert_eq!(some.total(), Some(5));
        assert_eq!(Failures::default().total(), None);
        let mut most = Failures {
            error: Some(MAX_COUNT - 1),
            expired: Some(1),
            ..Failures::default()
        };
        assert_eq!(most.total(), Some(MAX_COUNT));
        most.npai = Some(1);
        assert_eq!(most.total(), None);
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
