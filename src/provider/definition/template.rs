//! Texts of requests with values in braces: settings of the account, times, and ids.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::str::FromStr;
use std::time::Duration;

use chrono::format::Item;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use chrono_tz::Tz;

use super::reader::{Mapping, Part, may, must};
use super::time::{self, TimeFormat};
use crate::campaign::window::Window;
use crate::document::parse_duration;

/// Text with values in braces. `{{` and `}}` stand for braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Variable(String),
}

/// The values that templates can have, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Variables(pub BTreeMap<String, String>);

impl Variables {
    /// The time zone that a setting names.
    pub(super) fn zone(&self, name: &str) -> Option<Tz> {
        Tz::from_str(self.0.get(name)?).ok()
    }
}

impl Template {
    /// Reads a text, whose variables have to be known.
    pub(super) fn parse(text: &str, known: &[String]) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, brace) = rest.split_at_checked(at).unwrap_or((rest, ""));
            plain.push_str(before);
            rest = brace.get(1..).unwrap_or_default();
            let first = brace.get(..1).unwrap_or_default();
            if rest.starts_with(first) {
                plain.push_str(first);
                rest = rest.get(1..).unwrap_or_default();
            } else if first == "{" {
                let (name, after) =
                    rest.split_once('}').ok_or_else(|| format!("{text:?} has a {{ without }}"))?;
                if !known.iter().any(|known| known == name) {
                    let hint = match known {
                        _ if name == "token" => {
                            "only a path has it, with auth: {in: path}".to_owned()
                        }
                        [] => "there are none: name one in settings or times".to_owned(),
                        known => format!("expected one of: {}", known.join(", ")),
                    };
                    return Err(format!("unknown variable {{{name}}}; {hint}"));
                }
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
                pieces.push(Piece::Variable(name.to_owned()));
                rest = after;
            } else {
                return Err(format!("{text:?} has a }} without {{"));
            }
        }
        plain.push_str(rest);
        pieces.push(Piece::Text(plain));
        Ok(Self(pieces))
    }

    /// The text; `None` if a variable has no value.
    pub(super) fn render(&self, variables: &Variables) -> Option<String> {
        let mut text = String::new();
        for piece in &self.0 {
            text.push_str(match piece {
                Piece::Text(plain) => plain,
                Piece::Variable(name) => variables.0.get(name)?,
            });
        }
        Some(text)
    }

    /// The variables of the text.
    pub(super) fn variables(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Variable(name) => Some(name.as_str()),
            Piece::Text(_) => None,
        })
    }

    /// Whether the text has this variable.
    pub(super) fn has(&self, name: &str) -> bool {
        self.variables().any(|known| known == name)
    }

    /// Whether the text is this variable and nothing else.
    pub(super) fn is_only(&self, name: &str) -> bool {
        let mut pieces = self.0.iter();
        let mut texts =
            pieces.clone().filter(|piece| matches!(piece, Piece::Text(text) if !text.is_empty()));
        texts.next().is_none()
            && pieces.any(|piece| matches!(piece, Piece::Variable(known) if known == name))
    }
}

/// A time that requests have.
#[derive(Clone, Debug)]
pub(super) struct RequestTime {
    pub of: Of,
    /// Seconds that are added.
    pub shift: i64,
    /// How long ago it may be at most.
    longest: Option<Duration>,
    pub format: OutFormat,
    pub zone: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Of {
    WindowStart,
    Now,
}

#[derive(Clone, Debug)]
pub(super) enum OutFormat {
    Rfc3339(SecondsFormat),
    Unix,
    UnixMilliseconds,
    Pattern(Vec<Item<'static>>),
}

/// The keys of a time that requests have.
pub(crate) const REQUEST_TIME: Part = Part {
    title: "Time of a request",
    keys: &[
        must(
            "of",
            "`window_start` or `now`",
            "The start of the period that a poll reads, or the time of the poll.",
        ),
        may("add", "duration", "Added to the time, for example to end after the provider's clock."),
        may("subtract", "duration", "Subtracted from it, for example to stay below it."),
        may(
            "longest_ago",
            "duration",
            "The longest period that the provider accepts. An earlier time is replaced by the earliest one accepted.",
        ),
        must(
            "format",
            "format",
            "`rfc3339`, `rfc3339_ms`, `unix`, `unix_ms`, or a strftime pattern.",
        ),
        may("zone", "zone", "The time zone of a pattern, or a setting in braces; UTC by default."),
    ],
};

impl RequestTime {
    /// Reads a time of requests.
    pub(super) fn read(mapping: &mut Mapping<'_, '_>, settings: &[String]) -> Option<Self> {
        let of = mapping.parsed("of", |text| match text {
            "window_start" => Ok(Of::WindowStart),
            "now" => Ok(Of::Now),
            other => Err(format!("unknown time {other:?}; expected window_start or now")),
        });
        let mut duration = |key| {
            mapping.parsed(key, |text| {
                parse_duration(text).ok_or_else(|| format!("{text:?} is not a duration"))
            })
        };
        let seconds = |duration: Option<Duration>| {
            let seconds = duration.unwrap_or_default().as_secs();
            i64::try_from(seconds).unwrap_or(i64::MAX)
        };
        let (add, subtract) = (seconds(duration("add")), seconds(duration("subtract")));
        let longest = duration("longest_ago");
        let format = mapping.parsed("format", |text| {
            Ok(match text {
                "rfc3339" => OutFormat::Rfc3339(SecondsFormat::Secs),
                "rfc3339_ms" => OutFormat::Rfc3339(SecondsFormat::Millis),
                "unix" => OutFormat::Unix,
                "unix_ms" => OutFormat::UnixMilliseconds,
                pattern => match TimeFormat::parse(pattern)? {
                    TimeFormat::Pattern(items) if is_writable(&items) => OutFormat::Pattern(items),
                    TimeFormat::Pattern(_) => {
                        return Err(format!("{pattern:?} can only be read, not written"));
                    }
                    _ => return Err(format!("unknown format {pattern:?}")),
                },
            })
        });
        let zone = mapping.parsed("zone", |text| {
            let setting = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
            match setting {
                Some(name) if settings.iter().any(|known| known == name) => Ok(text.to_owned()),
                Some(name) => Err(format!("no setting is called {name:?}")),
                None => time::zone(text).map(|_| text.to_owned()),
            }
        });
        Some(Self { of: of?, shift: add.saturating_sub(subtract), longest, format: format?, zone })
    }

    /// The setting that has to be a zone.
    pub(super) fn zone_setting(&self) -> Option<&str> {
        self.zone.as_deref()?.strip_prefix('{')?.strip_suffix('}')
    }

    /// The time as a request has it.
    pub(super) fn text(&self, window: Window, settings: &Variables) -> String {
        let time = match self.of {
            Of::WindowStart => window.created_start(),
            Of::Now => window.now,
        };
        let shifted =
            TimeDelta::try_seconds(self.shift).and_then(|shift| time.checked_add_signed(shift));
        let mut time = shifted.unwrap_or(time);
        if let Some(longest) = self.longest {
            time = time.max(Window::ending(window.now, longest).start);
        }
        self.written(time, settings)
    }

    fn written(&self, time: DateTime<Utc>, settings: &Variables) -> String {
        match &self.format {
            OutFormat::Rfc3339(seconds) => time.to_rfc3339_opts(*seconds, true),
            OutFormat::Unix => time.timestamp().to_string(),
            OutFormat::UnixMilliseconds => time.timestamp_millis().to_string(),
            OutFormat::Pattern(pattern) => {
                let name = self.zone.as_deref().unwrap_or("UTC");
                let setting = name.strip_prefix('{').and_then(|name| name.strip_suffix('}'));
                let zone = match setting {
                    Some(setting) => settings.zone(setting),
                    None => Tz::from_str(name).ok(),
                };
                let local = time.with_timezone(&zone.unwrap_or(Tz::UTC));
                local.format_with_items(pattern.iter()).to_string()
            }
        }
    }
}

/// Whether times can be written in a pattern: some can only be read, which `Display` tells too late.
fn is_writable(pattern: &[Item<'static>]) -> bool {
    write!(String::new(), "{}", DateTime::UNIX_EPOCH.format_with_items(pattern.iter())).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_replaced_and_have_to_be_known() {
        let known = ["id".to_owned(), "none".to_owned()];
        let variables = Variables([("id".to_owned(), "7".to_owned())].into());
        let none = Template::parse("{x}", &[]).unwrap_err();
        assert_eq!(none, "unknown variable {x}; there are none: name one in settings or times");
        for (text, expected) in [
            ("", Ok(Some(""))),
            ("{token}", Err("unknown variable {token}; only a path has it, with auth")),
            ("/v1/{id}/x", Ok(Some("/v1/7/x"))),
            ("{{{id}}}", Ok(Some("{7}"))),
            ("a{none}", Ok(None)),
            ("{other}", Err("unknown variable {other}; expected one of: id, none")),
            ("{id", Err("has a { without }")),
            ("id}", Err("has a } without {")),
        ] {
            let rendered =
                Template::parse(text, &known).map(|template| template.render(&variables));
            match (rendered, expected) {
                (Ok(rendered), Ok(expected)) => assert_eq!(rendered.as_deref(), expected, "{text}"),
                (Err(error), Err(expected)) => assert!(error.contains(expected), "{error}"),
                (rendered, _) => panic!("{text}: {rendered:?}"),
            }
        }
    }
}
