//! What a provider says, made fit for labels: bounded, and without secrets. Its words are in many series,
//! in the log and on pages.

use std::borrow::Cow;
use std::sync::Arc;

use super::figures::Figure;
use super::{Campaign, Channel, Ratio};
use crate::redaction::{self, is_invisible};

/// Longest id or channel in bytes. Every series of a campaign has both. A UUID has 36.
pub const MAX_ID_BYTES: usize = 256;

/// Longest name and longest value of an additional label in bytes, which is what Prometheus'
/// `label_value_length_limit` counts. The limits of remote storage begin at 1,024.
pub const MAX_TEXT_BYTES: usize = 512;

/// Most bytes of an account in a scrape, for each campaign that `max_campaigns` allows: four times
/// those of a campaign with many counts.
pub(super) const MAX_MEAN_BYTES: usize = 8 * 1024;

/// Most memory of the campaigns of an account: more than 150,000 with short texts. While a poll replaces
/// all of them, they take twice as much, of the 512 MiB that the shipped deployments allow.
pub const MAX_ACCOUNT_BYTES: usize = 96 * 1024 * 1024;

/// Bytes of a campaign in memory without its texts.
const CAMPAIGN_BYTES: usize = 512;

/// Bytes of a sample without channel and id: names, the labels of the account and the value.
const SAMPLE_BYTES: usize = 128;

/// Most series besides those of counts, ratios, failures and figures, with five of the account for a channel
/// that no other campaign has.
const OTHER_SERIES: usize = 12;

impl Campaign {
    /// Cuts long texts and redacts secrets. Returns whether the id is short enough.
    #[must_use]
    pub fn bound(&mut self) -> bool {
        if let Some(name) = fit(&self.name, MAX_TEXT_BYTES) {
            self.name = name.into();
        }
        if let Channel::Other(word) = &mut self.channel
            && let Some(short) = fit(word, MAX_ID_BYTES)
        {
            *word = short;
        }
        // reasons of failures are words of the kind, not of the provider
        for (_, value) in &mut Arc::make_mut(&mut self.info).0 {
            if let Some(short) = fit(value, MAX_TEXT_BYTES) {
                *value = short;
            }
        }
        self.id.len() <= MAX_ID_BYTES
    }

    /// Whether a text of it has invisible characters, within which a secret could be.
    pub fn has_invisible(&self) -> bool {
        let info = self.info.0.iter().map(|(_, value)| value.as_str());
        let mut texts = [&*self.id, &*self.name, self.channel.as_str()].into_iter().chain(info);
        texts.any(has_invisible)
    }

    /// About the most bytes that the campaign takes in memory.
    pub fn kept_bytes(&self) -> usize {
        let info = self.info.0.iter().map(|(_, value)| value.len());
        let texts = self.id.len() + self.name.len() + self.channel.as_str().len();
        let figures = self.figures.iter().count() * size_of::<(Figure, f64)>();
        CAMPAIGN_BYTES + texts + info.sum::<usize>() + figures
    }

    /// About the most bytes that the campaign takes in a scrape.
    pub(super) fn scraped_bytes(&self) -> usize {
        let ratios = Ratio::ALL.iter();
        let ratios = ratios.filter(|ratio| ratio.parts(self).is_some()).count();
        let counts = self.counts.iter().count() + self.failures.iter().count();
        let counts = counts + self.figures.iter().count();
        let common = escaped_len(&self.id) + escaped_len(self.channel.as_str());
        let own = self.info.0.iter().map(|(_, value)| escaped_len(value));
        (OTHER_SERIES + counts + ratios) * (SAMPLE_BYTES + common)
            + escaped_len(&self.name)
            + own.sum::<usize>()
    }
}

/// The text without what exceeds a length, and without a secret that has invisible characters within;
/// `None` if it is fit as it is.
fn fit(text: &str, most: usize) -> Option<String> {
    let shown = visible(text);
    cut(&shown, most).or_else(|| (*shown != *text).then(|| shown.into_owned()))
}

/// The text without secrets that have invisible characters within. Others were removed from the answer.
pub fn visible(text: &str) -> Cow<'_, str> {
    if has_invisible(text) { redaction::redact_distinct(text) } else { text.into() }
}

fn has_invisible(text: &str) -> bool {
    // most characters are ASCII, of which these are visible
    text.contains(|char| !matches!(char, ' '..='~') && is_invisible(char))
}

/// The text with an ellipsis in place of what exceeds a length in bytes, if anything does.
fn cut(text: &str, most: usize) -> Option<String> {
    let end = text.floor_char_boundary(most - '…'.len_utf8());
    (text.len() > most).then(|| text.split_at(end).0.to_owned() + "…")
}

/// The bytes of a label's value in a scrape.
fn escaped_len(value: &str) -> usize {
    let is_escaped = |byte: &u8| matches!(byte, b'\\' | b'"' | b'\n');
    value.len() + value.bytes().filter(is_escaped).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invisible_characters_hide_no_secret_and_are_kept_otherwise() {
        let name = |text| fit(text, MAX_TEXT_BYTES);
        assert_eq!(name("a\u{202e}b\r\nc\u{200b} — 👩\u{200d}👧"), None);
        redaction::register(&"a-token-in-parts-of-a-name".into());
        assert_eq!(name("a-token-in\u{ad}-parts-of-a-name"), Some("[redacted]".to_owned()));
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut("12345", 5), None);
        assert_eq!(cut("123456", 5), Some("12…".to_owned()));
        assert_eq!(cut("1éééé", 6), Some("1é…".to_owned()));
    }
}
