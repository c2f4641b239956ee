//! Items of answers: the reverse of what the mapping reads, on an item of a saved answer.

use campaign_simulator::{Campaign, Counts};
use chrono::{DateTime, SecondsFormat, Utc};
use chrono_tz::Tz;
use serde_json::{Value, json};

use super::super::campaign::{ChannelField, Counted, Mapped, Usual, Words};
use super::super::field::{Field, TimeField};
use super::super::path::Path;
use super::super::time::TimeFormat;
use crate::campaign::counts::Count;
use crate::campaign::{Channel, Denominator, Status};
use crate::provider::lenient::Problems;

/// What of an answer is kept for others: the answer without its items, and items to fill in.
pub(super) struct Sample {
    pub envelope: Value,
    /// Where the items are; the answer as a whole is the item without it.
    pub place: Option<String>,
    models: Vec<Model>,
}

/// An item of a saved answer that has most of the values that the mapping reads, among those with the
/// same channel and status.
struct Model {
    item: Value,
    channel: Channel,
    status: Option<Status>,
    fields: usize,
}

impl Sample {
    /// Finds what an answer of a list or of details looks like.
    pub(super) fn find(
        answers: &[Value],
        items: Option<&Path>,
        condition: Option<&Path>,
        mapped: &Mapped,
        usual: &Usual<'_>,
    ) -> Option<Self> {
        let usual = Usual { id: Some("0"), ..*usual };
        let fields = mapped.fields();
        let (mut models, mut best): (Vec<Model>, Option<(usize, &Value, &str)>) =
            (Vec::new(), None);
        let places: Vec<(&Value, String)> = answers
            .iter()
            .flat_map(|answer| {
                let places =
                    items.map_or_else(|| vec![String::new()], |path| path.pointers(answer));
                places.into_iter().map(move |place| (answer, place))
            })
            .collect();
        for (answer, place) in &places {
            let Some(item) = answer.pointer(place) else { continue };
            let found = fields.iter().filter(|field| field.is_in(item)).count();
            let has_id = mapped.id.as_ref().is_none_or(|id| id.is_in(item));
            let is_listed = condition.is_none_or(|condition| condition.is_met(item));
            let campaign = mapped.campaign(item, &usual, &mut Problems::default());
            let Some(campaign) = campaign.filter(|_| found > 0 && has_id && is_listed) else {
                continue;
            };
            let channel = campaign.channel;
            // a word can be written into any item
            let status = campaign.status.filter(|_| matches!(mapped.status, Some(Words::When(_))));
            if best.is_none_or(|(most, ..)| found > most) {
                best = Some((found, answer, place));
            }
            let known = models.iter().position(|m| m.channel == channel && m.status == status);
            let model = Model { item: item.clone(), channel, status, fields: found };
            match known.and_then(|index| models.get_mut(index)) {
                Some(known) if known.fields < found => *known = model,
                Some(_) => {}
                None => models.push(model),
            }
        }
        let (_, envelope, place) = best?;
        let mut envelope = envelope.clone();
        let place = items.and(place.rsplit_once('/')).map(|(list, _)| list.to_owned());
        if let Some(list) = &place {
            set(&mut envelope, list, json!([]));
        }
        Some(Self { envelope, place, models })
    }

    /// An answer that is not about campaigns.
    pub(super) const fn whole(envelope: Value) -> Self {
        Self { envelope, place: None, models: Vec::new() }
    }

    /// The item of a campaign; `None` if the platform has none, for lack of a word for its status.
    pub(super) fn item(
        &self,
        mapped: &Mapped,
        campaign: &Campaign,
        now: DateTime<Utc>,
        usual: &Usual<'_>,
        off_by: f64,
    ) -> Option<Value> {
        let channel = channel(campaign, usual.channels);
        let status = self.status(mapped, campaign, &channel)?;
        let rank =
            |model: &&Model| (model.channel == channel, model.status == status, model.fields);
        let mut item = self.models.iter().max_by_key(rank)?.item.clone();
        let counts = campaign.counts_at(now);
        if let Some(id) = &mapped.id {
            write(id, &mut item, |old| word(old, &campaign.id));
        }
        if let Some(name) = &mapped.name {
            write(name, &mut item, |_| json!(campaign.name));
        }
        if let Some(ChannelField::Read(Words::Path(field, words))) = &mapped.channel {
            let own = words.iter().find(|(_, meaning)| *meaning == channel);
            let own = own.map_or(channel.as_str(), |(own, _)| own.as_str());
            write(field, &mut item, |old| word(old, own));
        }
        if let (Some(Words::Path(field, words)), Some(status)) = (&mapped.status, status) {
            let own = words.iter().find(|(_, meaning)| *meaning == status);
            write(field, &mut item, |old| own.map_or(Value::Null, |(own, _)| word(old, own)));
        }
        let is_sent = !status.is_some_and(Status::nothing_sent_yet);
        for (field, time) in [
            (&mapped.last_sent, is_sent.then_some(campaign.sent_at)),
            (&mapped.scheduled, Some(campaign.sent_at)),
            (&mapped.created, Some(campaign.created_at)),
        ] {
            if let Some(field) = field {
                write_time(field, &mut item, time, usual);
            }
        }
        write_counts(mapped, &mut item, &channel, &counts);
        write_amounts(mapped, &mut item, campaign.cost(now), &counts, off_by);
        Some(item)
    }

    /// The status that the platform shows, if it shows any; `None` if it has no word for it.
    #[expect(clippy::option_option, reason = "none to show, or none there")]
    pub(super) fn status(
        &self,
        mapped: &Mapped,
        campaign: &Campaign,
        channel: &Channel,
    ) -> Option<Option<Status>> {
        let status = match campaign.status {
            "In progress" => Status::InProgress,
            "Waiting" => Status::Waiting,
            "In moderation" => Status::InModeration,
            "Denied" => Status::Denied,
            _ => Status::Sent,
        };
        let has = |status: Status| match &mapped.status {
            Some(Words::Path(_, words)) => words.iter().any(|(_, meaning)| *meaning == status),
            Some(Words::When(_)) => self
                .models
                .iter()
                .any(|model| model.channel == *channel && model.status == Some(status)),
            None => false,
        };
        match (&mapped.status, status) {
            (None, status) => (!status.nothing_sent_yet()).then_some(None),
            (Some(_), status) if has(status) => Some(Some(status)),
            (Some(_), Status::InProgress) if has(Status::Sent) => Some(Some(Status::Sent)),
            _ => None,
        }
    }
}

/// Writes counts, and failures by reason, which add up to the bounces.
fn write_counts(mapped: &Mapped, item: &mut Value, channel: &Channel, counts: &Counts) {
    let applies = |field: &Field| {
        field.channels.is_empty() || field.channels.iter().any(|on| on == channel.as_str())
    };
    let last = mapped.failures.len().saturating_sub(1);
    let mut left = counts.bounces;
    let shares = [counts.error, counts.expired, counts.network_error];
    for (index, (_, field)) in mapped.failures.iter().enumerate() {
        let share = shares.get(index).copied().unwrap_or(0).min(left);
        let share = if index == last { left } else { share };
        left -= share;
        if applies(field) {
            write(field, item, |old| number(old, share));
        }
    }
    for (count, counted) in &mapped.counts {
        match counted {
            Counted::Field(field) if applies(field) => {
                write(field, item, |old| number(old, of(*count, counts)));
            }
            _ => {}
        }
    }
}

/// Writes costs and rates.
fn write_amounts(mapped: &Mapped, item: &mut Value, cost: u64, counts: &Counts, off_by: f64) {
    if let Some(field) = &mapped.cost_credits {
        write(field, item, |old| number(old, cost));
    }
    if let Some(money) = &mapped.cost {
        // a cent each
        let amount = cost as f64 / 100.0;
        write(&money.value, item, |old| decimal(old, amount));
    }
    for (ratio, field) in &mapped.reported_ratios {
        let (numerator, denominator) = ratio.counts();
        let denominator = match denominator {
            Denominator::Deliveries => counts.deliveries,
            Denominator::Attempted => counts.sends,
        };
        let share = of(numerator, counts) as f64 / denominator.max(1) as f64;
        let scale = if field.is_percent { 100.0 } else { 1.0 };
        let rounded = (share * scale * 100.0).round() / 100.0 + off_by;
        write(field, item, |old| decimal(old, rounded));
    }
}

/// The channel of a campaign among those of the definition.
pub(super) fn channel(campaign: &Campaign, channels: &[Channel]) -> Channel {
    let word = match campaign.channel {
        campaign_simulator::Channel::Sms => Channel::Sms,
        campaign_simulator::Channel::Whatsapp => Channel::Whatsapp,
        campaign_simulator::Channel::Email => Channel::Email,
    };
    let known = channels.iter().find(|channel| **channel == word);
    known.or(channels.first()).cloned().unwrap_or(word)
}

fn of(count: Count, counts: &Counts) -> u64 {
    match count {
        Count::Recipients => counts.recipients,
        Count::Sends => counts.sends,
        Count::Deliveries => counts.deliveries,
        Count::Opens | Count::Reads => counts.reads,
        Count::Clicks => counts.clicks,
        Count::Bounces => counts.bounces,
        Count::OptOuts => counts.opt_outs,
        Count::Replies => counts.replies,
        Count::Pending => counts.pending,
        Count::Complaints | Count::Conversions => 0,
    }
}

/// Writes a value where the field is read; of a sum, into its first part.
pub(super) fn write(field: &Field, item: &mut Value, value: impl Fn(Option<&Value>) -> Value) {
    let sources = field.sources.iter();
    let found = sources.clone().find(|source| source.path.first(item).is_some_and(is_there));
    let places: Vec<String> = if field.is_sum {
        let places = sources.flat_map(|source| source.path.pointers(item));
        places.filter(|place| item.pointer(place).is_some()).collect()
    } else {
        let source = found.or(field.sources.first());
        source.map_or_else(Vec::new, |source| source.path.pointers(item))
    };
    for (index, place) in places.iter().enumerate() {
        let old = item.pointer(place);
        let new = if index == 0 { value(old) } else { number(old, 0) };
        set(item, place, new);
    }
}

/// Writes a time wherever the field is read.
pub(super) fn write_time(
    field: &TimeField,
    item: &mut Value,
    time: Option<DateTime<Utc>>,
    usual: &Usual<'_>,
) {
    let format = field.format.as_ref().unwrap_or(&usual.times.format);
    let zone = field.zone.as_ref().or(usual.times.zone.as_ref());
    let zone = zone.and_then(|zone| zone.of(item, usual.variables)).unwrap_or(Tz::UTC);
    let value = time.map_or(Value::Null, |time| match format {
        TimeFormat::Rfc3339 => json!(time.to_rfc3339_opts(SecondsFormat::Millis, true)),
        TimeFormat::Unix => json!(time.timestamp()),
        TimeFormat::UnixMilliseconds => json!(time.timestamp_millis()),
        TimeFormat::Pattern(pattern) => {
            json!(time.with_timezone(&zone).format_with_items(pattern.iter()).to_string())
        }
    });
    let sources = &field.field.sources;
    let found = sources.iter().position(|source| source.path.first(item).is_some_and(is_there));
    // nothing is sent if no alternative has a time
    let written = if time.is_none() {
        0..sources.len()
    } else {
        let found = found.unwrap_or(0);
        found..found + 1
    };
    for source in sources.get(written).unwrap_or_default() {
        for place in source.path.pointers(item) {
            set(item, &place, value.clone());
        }
    }
}

fn is_there(value: &Value) -> bool {
    !value.is_null()
}

/// Sets a value, and makes the objects and lists on the way.
pub(super) fn set(value: &mut Value, pointer: &str, new: Value) {
    let mut place = value;
    for name in pointer.split('/').skip(1) {
        let name = name.replace("~1", "/").replace("~0", "~");
        if name == "0" && !place.is_array() && !place.is_object() {
            *place = json!([null]);
        } else if !place.is_array() && !place.is_object() {
            *place = json!({});
        }
        place = match place {
            Value::Object(members) => members.entry(name).or_insert(Value::Null),
            other => match name.parse().ok().and_then(|index: usize| other.get_mut(index)) {
                Some(item) => item,
                None => return,
            },
        };
    }
    *place = new;
}

/// A word, as a number if it was one.
fn word(old: Option<&Value>, text: &str) -> Value {
    let number = text.parse::<u64>().ok().filter(|_| old.is_some_and(Value::is_number));
    number.map_or_else(|| json!(text), |number| json!(number))
}

/// A number, as a text if it was one.
pub(super) fn number(old: Option<&Value>, number: u64) -> Value {
    if old.is_some_and(Value::is_string) { json!(number.to_string()) } else { json!(number) }
}

fn decimal(old: Option<&Value>, number: f64) -> Value {
    if old.is_some_and(Value::is_string) { json!(number.to_string()) } else { json!(number) }
}
