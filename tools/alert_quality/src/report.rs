//! The figures as a table, and whether they are good enough.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use crate::incident::{Incident, Kind};
use crate::month::{DAYS, Month};
use crate::rules::Firing;
use crate::score::{self, FalseAlert, Verdict};
use crate::sending::DAY;

/// How much longer than the least possible the slowest alert may take.
const SLOWEST: f64 = 1.2;

/// False alerts a week, less than which there have to be.
const FALSE_A_WEEK: f64 = 1.0;

/// What was found.
pub(crate) struct Report<'a> {
    pub(crate) month: &'a Month,
    pub(crate) incidents: &'a [Incident],
    pub(crate) verdicts: &'a [Verdict],
    pub(crate) firings: &'a [Firing],
    pub(crate) rivals: &'a [(&'static str, Vec<Firing>)],
}

impl Report<'_> {
    /// The report, and what misses its target.
    pub(crate) fn write(&self) -> Result<(String, Vec<String>), fmt::Error> {
        let mut out = String::new();
        let mut missed = Vec::new();
        let told = score::false_alerts(self.firings, self.incidents, &["warning", "critical"]);
        let info = score::false_alerts(self.firings, self.incidents, &["info"]);
        let judged = self.verdicts.iter().filter(|verdict| verdict.is_judged());
        writeln!(
            out,
            "# Alert quality, seed {}\n\n{} campaigns in {DAYS} days, {} incidents planted, {} of \
             them to be told.\n",
            self.month.seed,
            self.month
                .sendings
                .iter()
                .filter(|sending| sending.scheduled >= 0)
                .count(),
            self.verdicts.len(),
            judged.count(),
        )?;
        self.write_kinds(&mut out, &mut missed)?;
        let a_week = per_week(told.len());
        if a_week >= FALSE_A_WEEK {
            missed.push(format!("{a_week:.1} false alerts a week"));
        }
        writeln!(
            out,
            "\nFalse alerts: {} in the month, {a_week:.2} a week; of severity info: {}, {:.2} a \
             week.\n",
            told.len(),
            info.len(),
            per_week(info.len())
        )?;
        self.write_false(&mut out, &told)?;
        self.write_false(&mut out, &info)?;
        self.write_rivals(&mut out, told.len())?;
        Ok((out, missed))
    }

    fn write_kinds(&self, out: &mut String, missed: &mut Vec<String>) -> fmt::Result {
        let mut kinds: BTreeMap<Kind, Vec<&Verdict>> = BTreeMap::new();
        for verdict in self.verdicts {
            kinds
                .entry(verdict.incident.kind)
                .or_default()
                .push(verdict);
        }
        out.push_str(
            "| incident | alert | planted | to be told | told | median | worst | floor | \
             worst / floor |\n|---|---|--:|--:|--:|--:|--:|--:|--:|\n",
        );
        for (kind, verdicts) in kinds {
            let judged: Vec<_> = verdicts
                .iter()
                .filter(|verdict| verdict.is_judged())
                .collect();
            let mut times: Vec<_> = judged
                .iter()
                .filter_map(|verdict| verdict.told_after)
                .collect();
            times.sort_unstable();
            let (alert, severity) = kind.alert();
            let floor = verdicts.first().map_or(0, |verdict| verdict.floor);
            let worst = times.last().copied();
            let ratio = worst.map(|worst| worst as f64 / floor as f64);
            for verdict in &judged {
                let name = verdict.name();
                match verdict.told_after {
                    None => missed.push(format!("never told: {name}")),
                    Some(after) if after as f64 > SLOWEST * floor as f64 => {
                        missed.push(format!("told after {after} minutes: {name}"));
                    }
                    Some(_) => {}
                }
            }
            writeln!(
                out,
                "| {kind:?} | `{alert}` {severity} | {} | {} | {} | {} | {} | {floor} | {} |",
                verdicts.len(),
                judged.len(),
                times.len(),
                shown(median(&times)),
                shown(worst),
                ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}")),
            )?;
        }
        out.push_str(
            "\nTimes in minutes since the provider's own counts are bad by docs/alerts.md. Floor: \
             a poll (5), a scrape (1), an evaluation (1) and the rule's `for`.\n",
        );
        let small: Vec<_> = self
            .verdicts
            .iter()
            .filter(|verdict| verdict.incident.small)
            .collect();
        let told = small.iter().filter(|verdict| {
            let mut firings = self.firings.iter();
            firings.any(|firing| score::tells_of(firing, &verdict.incident))
        });
        writeln!(
            out,
            "\nBelow the documented minimum of messages: {} planted, {} told.",
            small.len(),
            told.count()
        )?;
        for verdict in self.verdicts {
            if !verdict.incident.small && verdict.bad_since.is_none() {
                writeln!(out, "\nNever bad by the documents: {}.", verdict.name())?;
            }
        }
        Ok(())
    }

    fn write_false(&self, out: &mut String, alerts: &[FalseAlert]) -> fmt::Result {
        for alert in alerts {
            writeln!(
                out,
                "- `{}` {} {}, {} for {} minutes: {}",
                alert.alert,
                alert.account.as_deref().unwrap_or("–"),
                alert.campaign.as_deref().unwrap_or(""),
                time(alert.from),
                alert.until - alert.from,
                self.cause(alert)
            )?;
        }
        Ok(())
    }

    /// What is true at the time of a false alert.
    fn cause(&self, alert: &FalseAlert) -> String {
        let mut sendings = self.month.sendings.iter();
        let campaign = alert.campaign.as_ref();
        let sending = campaign.and_then(|id| sendings.find(|sending| sending.id == *id));
        let mut causes = Vec::new();
        if let Some(sending) = sending {
            let counted = sending.counted(alert.from);
            causes.push(format!(
                "{:?}, {} attempted, {} delivered, {} bounced, {} opted out, {} clicked, {} read, \
                 {} minutes old",
                counted.status,
                counted.attempted,
                counted.deliveries,
                counted.bounces,
                counted.opt_outs,
                counted.clicks,
                counted.reads,
                sending.age(alert.from).unwrap_or_default(),
            ));
            if self.month.first_sends.contains(&sending.id) {
                causes.push("a first send to an old list".to_owned());
            }
        }
        if let (None, Some(place)) = (sending, place_of(alert.account.as_deref())) {
            let recent = self.month.of(place).filter(|sending| {
                let age = sending.age(alert.from);
                age.is_some_and(|age| age < DAY)
            });
            causes.extend(recent.map(|sending| {
                let counted = sending.counted(alert.from);
                let first = self.month.first_sends.contains(&sending.id);
                format!(
                    "{}{}: {} attempted, {} delivered, {} bounced",
                    sending.id,
                    if first { " (a first send)" } else { "" },
                    counted.attempted,
                    counted.deliveries,
                    counted.bounces
                )
            }));
        }
        let near = self.incidents.iter().filter(|incident| {
            let account = incident
                .account
                .and_then(|place| crate::month::ACCOUNTS.get(place));
            let same = account.map(|account| account.name) == alert.account.as_deref();
            let in_time = incident.from - DAY < alert.from && alert.from < incident.until + 2 * DAY;
            in_time && (same || account.is_none())
        });
        causes.extend(
            near.map(|incident| format!("after {:?} from {}", incident.kind, time(incident.from))),
        );
        if causes.is_empty() {
            causes.push("nothing planted near".to_owned());
        }
        causes.join("; ")
    }

    fn write_rivals(&self, out: &mut String, told: usize) -> fmt::Result {
        let about: Vec<_> = self
            .verdicts
            .iter()
            .filter(|verdict| verdict.incident.kind.is_about_delivery() && verdict.is_judged())
            .collect();
        out.push_str(
            "\n## Delivery incidents, beside the rules that people write today\n\n| rules | to be \
             told | told | median | worst | false alerts a week |\n|---|--:|--:|--:|--:|--:|\n",
        );
        let mut row = |name: &str, mut times: Vec<i64>, false_alerts: usize| {
            times.sort_unstable();
            writeln!(
                out,
                "| {name} | {} | {} | {} | {} | {:.2} |",
                about.len(),
                times.len(),
                shown(median(&times)),
                shown(times.last().copied()),
                per_week(false_alerts)
            )
        };
        let own = about.iter().filter_map(|verdict| verdict.told_after);
        row("these, false alerts of all of them", own.collect(), told)?;
        for (name, firings) in self.rivals {
            let times = about
                .iter()
                .filter_map(|verdict| score::rival_told(firings, verdict));
            let wrong = score::false_rivals(firings, self.incidents);
            row(name, times.collect(), wrong.len())?;
        }
        out.push_str(
            "\nA negative time: it fired before the figures were bad, as it does for nearly every \
             campaign that is being sent.\n",
        );
        Ok(())
    }
}

impl Verdict {
    /// Whether somebody has to be told.
    pub(crate) const fn is_judged(&self) -> bool {
        !self.incident.small && self.bad_since.is_some()
    }

    fn name(&self) -> String {
        let incident = &self.incident;
        let account = incident
            .account
            .and_then(|place| crate::month::ACCOUNTS.get(place));
        format!(
            "{:?} {} {} since {}",
            incident.kind,
            account.map_or("–", |account| account.name),
            incident.campaigns.join(" "),
            self.bad_since.map_or_else(|| "never".to_owned(), time),
        )
    }
}

fn place_of(account: Option<&str>) -> Option<usize> {
    let mut accounts = crate::month::ACCOUNTS.iter();
    accounts.position(|known| Some(known.name) == account)
}

fn per_week(count: usize) -> f64 {
    count as f64 * 7.0 / DAYS as f64
}

/// The one in the middle, or the later of two.
fn median(sorted: &[i64]) -> Option<i64> {
    sorted.get(sorted.len() / 2).copied()
}

fn shown(number: Option<i64>) -> String {
    number.map_or_else(|| "–".to_owned(), |number| number.to_string())
}

/// A minute of the month as people write it.
fn time(minute: i64) -> String {
    format!(
        "day {} {:02}:{:02}",
        minute.div_euclid(DAY) + 1,
        minute.rem_euclid(DAY) / 60,
        minute.rem_euclid(60)
    )
}
