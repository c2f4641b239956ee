//! Formats the results, and compares them with the targets.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use crate::incident::{Incident, Kind};
use crate::month::{DAYS, Month};
use crate::rules::Firing;
use crate::score::{self, FalseAlert, Verdict};
use crate::sending::DAY;

/// Maximum delay relative to the minimum delay.
const SLOWEST: f64 = 1.2;

/// Upper bound for false alerts per week.
const FALSE_A_WEEK: f64 = 1.0;

/// Results.
pub(crate) struct Report<'a> {
    pub(crate) month: &'a Month,
    pub(crate) incidents: &'a [Incident],
    pub(crate) verdicts: &'a [Verdict],
    pub(crate) firings: &'a [Firing],
    pub(crate) rivals: &'a [(&'static str, Vec<Firing>)],
}

impl Report<'_> {
    /// Returns the report, and the missed targets.
    pub(crate) fn write(&self) -> Result<(String, Vec<String>), fmt::Error> {
        let mut out = String::new();
        let mut missed = Vec::new();
        let wrong = score::false_alerts(self.firings, self.incidents, &["warning", "critical"]);
        let info = score::false_alerts(self.firings, self.incidents, &["info"]);
        let judged = self.verdicts.iter().filter(|verdict| verdict.is_judged());
        writeln!(
            out,
            "# Alert quality, seed {}\n\n{} campaigns in {DAYS} days, {} planted incidents, of \
             which {} must fire an alert.\n",
            self.month.seed,
            self.month.sendings.iter().filter(|sending| sending.scheduled >= 0).count(),
            self.verdicts.len(),
            judged.count(),
        )?;
        self.write_kinds(&mut out, &mut missed)?;
        let a_week = per_week(wrong.len());
        if a_week >= FALSE_A_WEEK {
            missed.push(format!("{a_week:.1} false alerts per week"));
        }
        writeln!(
            out,
            "\nFalse alerts: {} in the month, {a_week:.2} per week; with severity info: {}, {:.2} per \
             week.\n",
            wrong.len(),
            info.len(),
            per_week(info.len())
        )?;
        self.write_false(&mut out, &wrong)?;
        self.write_false(&mut out, &info)?;
        self.write_rivals(&mut out, wrong.len())?;
        Ok((out, missed))
    }

    fn write_kinds(&self, out: &mut String, missed: &mut Vec<String>) -> fmt::Result {
        let mut kinds: BTreeMap<Kind, Vec<&Verdict>> = BTreeMap::new();
        for verdict in self.verdicts {
            kinds.entry(verdict.incident.kind).or_default().push(verdict);
        }
        out.push_str(
            "| incident | alert | planted | should fire | fired | median | worst | floor | \
             worst / floor |\n|---|---|--:|--:|--:|--:|--:|--:|--:|\n",
        );
        for (kind, verdicts) in kinds {
            let judged: Vec<_> = verdicts.iter().filter(|verdict| verdict.is_judged()).collect();
            let mut times: Vec<_> =
                judged.iter().filter_map(|verdict| verdict.fired_after).collect();
            times.sort_unstable();
            let (alert, severity) = kind.alert();
            let floor = verdicts.first().map_or(0, |verdict| verdict.floor);
            let worst = times.last().copied();
            let ratio = worst.map(|worst| worst as f64 / floor as f64);
            for verdict in &judged {
                let name = verdict.name();
                match verdict.fired_after {
                    None => missed.push(format!("no alert: {name}")),
                    Some(after) if after as f64 > SLOWEST * floor as f64 => {
                        missed.push(format!("alert after {after} minutes: {name}"));
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
            "\nTimes in minutes since the provider's own counts crossed the thresholds of docs/alerts.md. \
             Floor: a poll (5), a scrape (1), an evaluation (1), and the rule's `for`.\n",
        );
        let small: Vec<_> = self.verdicts.iter().filter(|verdict| verdict.incident.small).collect();
        let fired = small.iter().filter(|verdict| {
            let mut firings = self.firings.iter();
            firings.any(|firing| score::is_alert_for(firing, &verdict.incident))
        });
        writeln!(
            out,
            "\nBelow the documented minimum volume: {} planted, {} fired an alert.",
            small.len(),
            fired.count()
        )?;
        for verdict in self.verdicts {
            if !verdict.incident.small && verdict.bad_since.is_none() {
                writeln!(out, "\nNever above the documented thresholds: {}.", verdict.name())?;
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

    /// Describes the circumstances of a false alert.
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
            let account = incident.account.and_then(|place| crate::month::ACCOUNTS.get(place));
            let same = account.map(|account| account.name) == alert.account.as_deref();
            let in_time = incident.from - DAY < alert.from && alert.from < incident.until + 2 * DAY;
            in_time && (same || account.is_none())
        });
        causes.extend(
            near.map(|incident| format!("after {:?} from {}", incident.kind, time(incident.from))),
        );
        if causes.is_empty() {
            causes.push("no incident nearby".to_owned());
        }
        causes.join("; ")
    }

    fn write_rivals(&self, out: &mut String, wrong: usize) -> fmt::Result {
        let about: Vec<_> = self
            .verdicts
            .iter()
            .filter(|verdict| verdict.incident.kind.is_about_delivery() && verdict.is_judged())
            .collect();
        out.push_str(
            "\n## Delivery incidents, compared with commonly used rules\n\n| rules | should \
             fire | fired | median | worst | false alerts per week |\n|---|--:|--:|--:|--:|--:|\n",
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
        let own = about.iter().filter_map(|verdict| verdict.fired_after);
        row("the shipped rules, with all their false alerts", own.collect(), wrong)?;
        for (name, firings) in self.rivals {
            let times = about.iter().filter_map(|verdict| score::rival_delay(firings, verdict));
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
    /// Returns whether an alert is required.
    pub(crate) const fn is_judged(&self) -> bool {
        !self.incident.small && self.bad_since.is_some()
    }

    fn name(&self) -> String {
        let incident = &self.incident;
        let account = incident.account.and_then(|place| crate::month::ACCOUNTS.get(place));
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

/// Returns the median, or the upper of two.
fn median(sorted: &[i64]) -> Option<i64> {
    sorted.get(sorted.len() / 2).copied()
}

fn shown(number: Option<i64>) -> String {
    number.map_or_else(|| "–".to_owned(), |number| number.to_string())
}

/// Formats a minute of the month.
fn time(minute: i64) -> String {
    format!(
        "day {} {:02}:{:02}",
        minute.div_euclid(DAY) + 1,
        minute.rem_euclid(DAY) / 60,
        minute.rem_euclid(60)
    )
}
