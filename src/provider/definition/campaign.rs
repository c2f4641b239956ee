//! What an item says of a campaign.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;
use serde_json::value::RawValue;

use super::field::{Field, TimeField, Times};
use super::money::Money;
use super::path::Path;
use super::reader::{Mapping, Part, may, named, parse_name};
use super::template::Variables;
use crate::campaign::counts::{Count, Counts, Failures};
use crate::campaign::figures::{self, Currency, Figure, Figures};
use crate::campaign::{Campaign, Channel, Ratio, Status};
use crate::document::node::Node;
use crate::provider::lenient::{self, Problems};

/// What an item says of a campaign.
#[derive(Clone, Debug)]
pub(super) struct Mapped {
    pub id: Option<Field>,
    pub name: Option<Field>,
    pub channel: Option<ChannelField>,
    pub status: Option<Words<Status>>,
    pub last_sent: Option<TimeField>,
    pub scheduled: Option<TimeField>,
    pub created: Option<TimeField>,
    /// Whether `last_sent` and `scheduled` are the same field: an unreadable value is one problem.
    has_one_date: bool,
    pub counts: Vec<(Count, Counted)>,
    pub failures: Vec<(Arc<str>, Field)>,
    pub cost_credits: Option<Field>,
    pub cost: Option<Money>,
    revenue: Option<Money>,
    pub reported_ratios: Vec<(Ratio, Field)>,
    info: Vec<(Arc<str>, Field)>,
}

#[derive(Clone, Debug)]
pub(super) enum Counted {
    Field(Field),
    /// The sum of the failures.
    Failures,
}

#[derive(Clone, Debug)]
pub(super) enum ChannelField {
    Fixed(Channel),
    Read(Words<Channel>),
}

/// A value of a few words of the exporter.
#[derive(Clone, Debug)]
pub(super) enum Words<T> {
    /// The meaning of a word.
    Path(Field, Vec<(String, T)>),
    /// The first whose condition an item meets.
    When(Vec<(Path, T)>),
}

impl<T: Clone> Words<T> {
    /// What an item means; the word itself if its meaning is unknown.
    fn of(
        &self,
        item: &Value,
        word: impl FnOnce(&Field) -> Option<String>,
    ) -> Option<Result<T, String>> {
        match self {
            Self::Path(field, words) => {
                let word = word(field)?.trim().to_lowercase();
                let known = words.iter().find(|(known, _)| *known == word);
                Some(known.map_or(Err(word), |(_, meaning)| Ok(meaning.clone())))
            }
            Self::When(conditions) => {
                let mut conditions = conditions.iter();
                let met = conditions.find(|(condition, _)| condition.is_met(item));
                met.map(|(_, meaning)| Ok(meaning.clone()))
            }
        }
    }

    const fn field(&self) -> Option<&Field> {
        match self {
            Self::Path(field, _) => Some(field),
            Self::When(_) => None,
        }
    }
}

/// The keys of a campaign.
pub(crate) const CAMPAIGN: Part = Part {
    title: "Campaign",
    keys: &[
        may(
            "id",
            "value",
            "The id, unique within the account. An item without one is left out. Details of a single campaign do not need it.",
        ),
        may("name", "value", "The name."),
        may(
            "channel",
            "word, or mapping",
            "The channel. It can be left out if `channels` has one entry. A mapping has the `path` of a word, and `words` if they are not the channels' names, or `when`.",
        ),
        may(
            "status",
            "word, or mapping",
            "The status of all items, or the `path` of a word, and `words`: what each means. A word that is not listed becomes `other`. Or `when`.",
        ),
        may("last_sent", "time", "When it was last sent."),
        may("scheduled", "time", "When it will be sent, if it was not sent yet."),
        may("created", "time", "When it was created, if it was not sent yet."),
        may(
            "counts",
            "mapping of counts to values",
            "The counts. `sum_of_failures` is the sum of `failures`. If one of them cannot be read, there is no sum.",
        ),
        may("failures", "mapping of reasons to values", "Failed messages by reason."),
        may("cost_credits", "value", "The cost in credits."),
        may("cost", "mapping", "The cost in money."),
        may("revenue", "mapping", "What the recipients spent, as the provider attributes it."),
        may(
            "reported_ratios",
            "mapping of ratios to values",
            "The provider's own rates, as ratios.",
        ),
        may("info", "mapping of labels to values", "Further labels of `campaign_info`."),
    ],
};

/// The keys of a channel or a status that is read.
pub(crate) const WORDS: Part = Part {
    title: "Words",
    keys: &[
        may("path", "path, or list of paths", "Where the word is."),
        may(
            "words",
            "mapping of the provider's words to the exporter's",
            "What the words mean. Case is ignored.",
        ),
        may(
            "when",
            "mapping of the exporter's words to conditions",
            "Instead of a path: the first word whose condition an item meets, for example `sms: \"@.sender\"`. See `where` of a list.",
        ),
    ],
};

/// Labels that every campaign has already.
const RESERVED_LABELS: [&str; 8] = [
    "account",
    "provider",
    "channel",
    "campaign_id",
    "campaign_name",
    "status",
    "reason",
    "instance",
];

impl Mapped {
    /// Reads the mapping of a campaign.
    pub(super) fn read(
        mapping: &mut Mapping<'_, '_>,
        settings: &[String],
        channels: &[Channel],
    ) -> Self {
        let mut time = |key: &str| {
            let path = mapping.path_of(key);
            let node = mapping.node(key)?;
            TimeField::read(mapping.reader(), &path, node, settings)
        };
        let [last_sent, scheduled, created] = ["last_sent", "scheduled", "created"].map(&mut time);
        let shown = |time: &Option<TimeField>| time.as_ref().map(TimeField::shown);
        let has_one_date = shown(&last_sent) == shown(&scheduled);
        let channel = read_channel(mapping, channels);
        let status = read_status(mapping);
        let failures = read_failures(mapping);
        let counts = read_counts(mapping, &failures);
        let info = read_info(mapping);
        Self {
            id: mapping.field("id"),
            name: mapping.field("name"),
            channel,
            status,
            last_sent,
            scheduled,
            created,
            has_one_date,
            counts,
            failures,
            cost_credits: mapping.field("cost_credits"),
            cost: Money::read(mapping, "cost", settings),
            revenue: Money::read(mapping, "revenue", settings),
            reported_ratios: read_ratios(mapping),
            info,
        }
    }

    /// The campaign of an item; `None` if it has no id.
    pub(super) fn campaign(
        &self,
        item: &Value,
        usual: &Usual<'_>,
        problems: &mut Problems,
    ) -> Option<Campaign> {
        let id = self.id(item, usual, problems)?;
        let channel = self.channel(item, usual.channels, problems);
        // the definition does not say which values a campaign on an unknown channel has
        let is_known = usual.channels.contains(&channel);
        let applies = |field: &Field| {
            field.channels.is_empty()
                || !is_known
                || field.channels.iter().any(|known| known == channel.as_str())
        };
        let status = self.status.as_ref();
        let status = status.and_then(|status| status.of(item, |field| field.text(item, problems)));
        let status = status.map(|status| status.unwrap_or(Status::Other));
        let [last_sent, scheduled, created] = self.times(item, status, usual, problems);
        let failures: Failures = self
            .failures
            .iter()
            .filter(|(_, field)| applies(field))
            .filter_map(|(reason, field)| Some((Arc::clone(reason), field.part(item, problems)?)))
            .collect();
        let mut counts = Counts::default();
        for (count, counted) in &self.counts {
            let value = match counted {
                Counted::Failures => lenient::total(&failures, problems),
                Counted::Field(field) if applies(field) => field.part(item, problems),
                Counted::Field(_) => None,
            };
            counts.set(*count, value);
        }
        let info = self.info.iter();
        let info = info
            .filter(|(_, field)| applies(field))
            .filter_map(|(label, field)| Some((Arc::clone(label), field.text(item, problems)?)))
            .collect();
        let name = self.name.as_ref().and_then(|name| name.text(item, problems));
        let cost_credits = self.cost_credits.as_ref().filter(|field| applies(field));
        let cost_credits = cost_credits.and_then(|field| field.amount(item, problems));
        let figures = self.figures(item, usual, applies, problems);
        Some(Campaign {
            id,
            name: name.unwrap_or_default().into(),
            channel,
            status,
            last_sent,
            scheduled,
            created,
            counts,
            failures,
            cost_credits,
            figures,
            info: Arc::new(info),
        })
    }

    /// When a campaign was last sent, is due until it is sent, and was created.
    fn times(
        &self,
        item: &Value,
        status: Option<Status>,
        usual: &Usual<'_>,
        problems: &mut Problems,
    ) -> [Option<DateTime<Utc>>; 3] {
        let mut time = |field: &Option<TimeField>| -> Option<DateTime<Utc>> {
            let field = field.as_ref()?;
            field.time(item, usual.times, usual.variables, problems)
        };
        let nothing_sent_yet = status.is_some_and(Status::nothing_sent_yet);
        let is_sent = matches!(status, Some(Status::Sent | Status::InProgress));
        let sent = time(&self.last_sent);
        let scheduled = if self.has_one_date { sent } else { time(&self.scheduled) };
        let created = time(&self.created);
        let last_sent = sent.filter(|_| !nothing_sent_yet);
        let not_sent =
            |time: Option<DateTime<Utc>>| time.filter(|_| !is_sent && last_sent.is_none());
        [last_sent, not_sent(scheduled), created]
    }

    fn figures(
        &self,
        item: &Value,
        usual: &Usual<'_>,
        applies: impl Fn(&Field) -> bool,
        problems: &mut Problems,
    ) -> Figures {
        let mut found = Vec::new();
        for (money, figure) in
            [(&self.cost, Figure::Cost as fn(_) -> _), (&self.revenue, Figure::Revenue)]
        {
            let money = money.as_ref().filter(|money| applies(&money.value));
            let amount = money.and_then(|money| {
                lenient::part(problems, (Currency::NONE, figures::UNREADABLE), |lost| {
                    money.amount(item, usual.variables, lost, Field::number)
                })
            });
            found.extend(amount.map(|(currency, amount)| (figure(currency), amount)));
        }
        for (ratio, field) in self.reported_ratios.iter().filter(|(_, field)| applies(field)) {
            let value = field.number(item, problems);
            found.extend(value.map(|value| (Figure::Ratio(*ratio), value)));
        }
        found.into_iter().collect()
    }

    /// The id of the campaign that an item is about.
    pub(super) fn id(
        &self,
        item: &Value,
        usual: &Usual<'_>,
        problems: &mut Problems,
    ) -> Option<String> {
        match &self.id {
            Some(field) => field.id(item, problems),
            None => usual.id.map(str::to_owned),
        }
    }

    /// The path of a list in an answer whose objects have the id of a campaign.
    pub(super) fn elsewhere(&self, root: &RawValue) -> Option<String> {
        fn list(field: &Field, value: &Value, path: &str) -> Option<String> {
            match value {
                Value::Array(items) if items.iter().any(|item| field.is_in(item)) => {
                    Some(format!("{path}[*]"))
                }
                Value::Object(members) => members
                    .iter()
                    .find_map(|(name, value)| list(field, value, &format!("{path}.{name}"))),
                _ => None,
            }
        }
        list(self.id.as_ref()?, &serde_json::from_str(root.get()).ok()?, "$")
    }

    fn channel(&self, item: &Value, channels: &[Channel], problems: &mut Problems) -> Channel {
        match (&self.channel, channels) {
            (Some(ChannelField::Fixed(channel)), _) | (None, [channel, ..]) => channel.clone(),
            (Some(ChannelField::Read(words)), _) => {
                match words.of(item, |field| field.id(item, problems)) {
                    Some(Ok(channel)) => channel,
                    Some(Err(word)) => Channel::from_word(&word),
                    // no series may lack this label
                    None => match channels {
                        [channel] => channel.clone(),
                        _ => Channel::Other("unknown".to_owned()),
                    },
                }
            }
            (None, []) => Channel::Other("unknown".to_owned()),
        }
    }

    /// The counts with the fields that they come from, as the manual shows them, and the channels that
    /// alone have them.
    pub(super) fn shown_counts(&self) -> Vec<(Count, String, &[String])> {
        let counts = self.counts.iter();
        counts
            .map(|(count, counted)| match counted {
                Counted::Field(field) => (*count, field.shown(), field.channels.as_slice()),
                Counted::Failures => {
                    (*count, "sum of the failures that are present".to_owned(), &[][..])
                }
            })
            .collect()
    }

    /// The settings that have to be currencies.
    pub(super) fn currencies(&self) -> impl Iterator<Item = &str> {
        self.cost.iter().chain(&self.revenue).filter_map(Money::setting)
    }

    /// The times.
    pub(super) fn all_times(&self) -> impl Iterator<Item = &TimeField> {
        self.last_sent.iter().chain(&self.scheduled).chain(&self.created)
    }

    /// The reasons of failures.
    pub(super) fn reasons(&self) -> impl Iterator<Item = &Arc<str>> {
        self.failures.iter().map(|(reason, _)| reason)
    }

    /// The statuses that the words mean.
    pub(super) fn statuses(&self) -> Vec<Status> {
        let meant: Vec<Status> = match &self.status {
            None => Vec::new(),
            Some(Words::Path(_, words)) => {
                let meant = words.iter().map(|(_, status)| *status);
                meant.chain([Status::Other]).collect()
            }
            Some(Words::When(conditions)) => conditions.iter().map(|(_, status)| *status).collect(),
        };
        let statuses = Status::ALL.into_iter();
        statuses.filter(|status| meant.contains(status)).collect()
    }

    /// The labels of `campaign_info`, with the fields that they come from.
    pub(super) fn shown_info(&self) -> impl Iterator<Item = (&Arc<str>, String)> {
        self.info.iter().map(|(label, field)| (label, field.shown()))
    }

    /// Further metrics, with the fields that they come from.
    pub(super) fn shown_extras(&self) -> Vec<(&'static str, String)> {
        let name = self.name.as_ref().map(Field::shown);
        let time = |field: &Option<TimeField>| field.as_ref().map(TimeField::shown);
        let money = |money: &Option<Money>| money.as_ref().map(Money::shown);
        let ratios = self.reported_ratios.iter();
        let ratios = ratios.map(|(ratio, field)| (ratio.reported_metric(), Some(field.shown())));
        [
            ("campaign_info", name),
            ("campaign_last_sent_timestamp_seconds", time(&self.last_sent)),
            ("campaign_scheduled_timestamp_seconds", time(&self.scheduled)),
            ("campaign_created_timestamp_seconds", time(&self.created)),
            ("campaign_cost_credits", self.cost_credits.as_ref().map(Field::shown)),
            ("campaign_cost", money(&self.cost)),
            ("campaign_revenue", money(&self.revenue)),
        ]
        .into_iter()
        .chain(ratios)
        .filter_map(|(metric, shown)| Some((metric, shown?)))
        .collect()
    }

    /// All fields.
    pub(super) fn fields(&self) -> Vec<&Field> {
        let counted = self.counts.iter().filter_map(|(_, counted)| match counted {
            Counted::Field(field) => Some(field),
            Counted::Failures => None,
        });
        let channel = match &self.channel {
            Some(ChannelField::Read(words)) => words.field(),
            _ => None,
        };
        let fields = self.id.iter().chain(&self.name).chain(channel);
        let fields = fields
            .chain(self.status.iter().filter_map(Words::field))
            .chain(counted)
            .chain(self.failures.iter().map(|(_, field)| field))
            .chain(&self.cost_credits)
            .chain(self.cost.iter().chain(&self.revenue).flat_map(Money::fields))
            .chain(self.reported_ratios.iter().map(|(_, field)| field))
            .chain(self.info.iter().map(|(_, field)| field))
            .chain(self.all_times().map(TimeField::field));
        fields.collect()
    }

    /// The status of an item, if its word has no meaning.
    pub(super) fn unknown_status(&self, item: &Value) -> Option<String> {
        let status = self.status.as_ref()?;
        status.of(item, |field| field.text(item, &mut Problems::default()))?.err()
    }
}

/// What holds for every item of an account.
pub(super) struct Usual<'a> {
    pub times: &'a Times,
    pub variables: &'a Variables,
    pub channels: &'a [Channel],
    /// The campaign that the answer as a whole is about.
    pub id: Option<&'a str>,
}

fn refuse_path(word: &str) -> Result<(), String> {
    if !word.starts_with('$') {
        return Ok(());
    }
    Err(format!("expected a word, or a mapping such as {{path: {word}, words: …}}"))
}

fn read_channel(mapping: &mut Mapping<'_, '_>, channels: &[Channel]) -> Option<ChannelField> {
    let check = |word: &str| {
        refuse_path(word)?;
        let channel = Channel::from_word(word);
        if channels.contains(&channel) {
            return Ok(channel);
        }
        let known: Vec<_> = channels.iter().map(Channel::as_str).collect();
        Err(format!("{word:?} is not among the channels: {}", known.join(", ")))
    };
    match mapping.node("channel").map(|node| &node.value) {
        None => {
            if channels.len() > 1 {
                mapping.problem("channel", "is missing: `channels` has more than one");
            }
            None
        }
        Some(Node::Text(_)) => mapping.parsed("channel", check).map(ChannelField::Fixed),
        Some(_) => read_words(mapping, "channel", check).map(ChannelField::Read),
    }
}

fn read_status(mapping: &mut Mapping<'_, '_>) -> Option<Words<Status>> {
    let meaning = |word: &str| {
        refuse_path(word)?;
        named("status", &Status::ALL, Status::as_str, word)
    };
    match mapping.node("status").map(|node| &node.value) {
        Some(Node::Text(_)) => mapping.parsed("status", |word| {
            // every item meets it
            let condition = Path::parse_condition("@")?;
            Ok(Words::When(vec![(condition, meaning(word)?)]))
        }),
        _ => read_words(mapping, "status", meaning),
    }
}

/// Reads a mapping with a path and the meaning of words, or with conditions.
fn read_words<T>(
    mapping: &mut Mapping<'_, '_>,
    key: &str,
    meaning: impl Fn(&str) -> Result<T, String>,
) -> Option<Words<T>> {
    let read = mapping.mapping(key, &WORDS, |mapping| {
        let path = mapping.path_of("path");
        let node = mapping.node("path");
        let field = node.and_then(|node| Field::read(mapping.reader(), &path, node));
        let mut words = Vec::new();
        let given = mapping.entries("words");
        let has_words = !given.is_empty();
        for (word, path, node) in given {
            let meant = mapping.reader().text(&path, node, "a word", &meaning);
            let word = word.trim().to_lowercase();
            if word.is_empty() {
                mapping.reader().problem(
                    &path,
                    node,
                    "an empty text is no value, and has no meaning",
                );
            }
            if words.iter().any(|(known, _)| *known == word) {
                mapping.reader().problem(&path, node, "the word is there twice: case is ignored");
            }
            words.extend(meant.map(|meant| (word, meant)));
        }
        let mut conditions = Vec::new();
        for (word, path, node) in mapping.entries("when") {
            let read = |text: &str| Ok((Path::parse_condition(text)?, meaning(&word)?));
            conditions.extend(mapping.reader().text(&path, node, "a condition", read));
        }
        if node.is_some() != mapping.node("when").is_none() {
            mapping.problem("", "needs either path or when");
        } else if key == "status" && node.is_some() && !has_words {
            mapping.problem("words", "is missing: without words, every status is `other`");
        }
        let path = field.map(|field| Words::Path(field, words));
        path.or_else(|| (!conditions.is_empty()).then_some(Words::When(conditions)))
    });
    read.flatten()
}

fn read_failures(mapping: &mut Mapping<'_, '_>) -> Vec<(Arc<str>, Field)> {
    let mut failures = Vec::new();
    for (reason, path, node) in mapping.entries("failures") {
        let reader = mapping.reader();
        reader.noted(&path, node, parse_name(&reason));
        if let Some(field) = Field::read(reader, &path, node) {
            failures.push((reason.into(), field));
        }
    }
    failures
}

fn read_counts(
    mapping: &mut Mapping<'_, '_>,
    failures: &[(Arc<str>, Field)],
) -> Vec<(Count, Counted)> {
    let mut counts: Vec<(Count, Counted)> = Vec::new();
    for (name, path, node) in mapping.entries("counts") {
        let reader = mapping.reader();
        let count = named("count", Count::ALL, Count::name, &name);
        let Some(count) = reader.noted(&path, node, count) else {
            continue;
        };
        match &node.value {
            Node::Text(text) if text == "sum_of_failures" => {
                if failures.is_empty() {
                    reader.problem(&path, node, "there are no failures to add");
                }
                counts.push((count, Counted::Failures));
            }
            _ => {
                let field = Field::read(reader, &path, node);
                counts.extend(field.map(|field| (count, Counted::Field(field))));
            }
        }
    }
    check_twice(mapping, &counts);
    counts
}

fn read_ratios(mapping: &mut Mapping<'_, '_>) -> Vec<(Ratio, Field)> {
    let mut ratios = Vec::new();
    for (name, path, node) in mapping.entries("reported_ratios") {
        let reader = mapping.reader();
        let ratio = named("ratio", Ratio::ALL, Ratio::name, &name);
        let ratio = reader.noted(&path, node, ratio);
        ratios.extend(ratio.zip(Field::read(reader, &path, node)));
    }
    ratios
}

/// A field that is two counts at once is most likely a mistake.
fn check_twice(mapping: &mut Mapping<'_, '_>, counts: &[(Count, Counted)]) {
    for (index, (count, counted)) in counts.iter().enumerate() {
        let Counted::Field(field) = counted else {
            continue;
        };
        let earlier = counts.iter().take(index).find(|(_, other)| match other {
            Counted::Field(other) => other.shown() == field.shown(),
            Counted::Failures => false,
        });
        if let Some((other, _)) = earlier {
            let (count, other) = (count.name(), other.name());
            let message =
                format!("{count} and {other} are read from the same field {}", field.shown());
            mapping.problem("counts", message);
        }
    }
}

fn read_info(mapping: &mut Mapping<'_, '_>) -> Vec<(Arc<str>, Field)> {
    let mut info = Vec::new();
    for (label, path, node) in mapping.entries("info") {
        let reader = mapping.reader();
        reader.noted(&path, node, parse_name(&label));
        if RESERVED_LABELS.contains(&label.as_str()) {
            reader.problem(&path, node, "every campaign has this label already");
        }
        if let Some(field) = Field::read(reader, &path, node) {
            info.push((label.into(), field));
        }
    }
    info
}
