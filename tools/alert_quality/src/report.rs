//! Formats the results of one or more months, and compares them with the targets.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use crate::incident::{Demand, Incident, Kind};
use crate::month::{DAYS, Month};
use crate::rules::Firing;
use crate::score::{Scored, Verdict};
use crate::sending::DAY;

/// Least share of the incidents that must be told.
const TOLD: f64 = 0.95;

/// Most false alerts a week, and most critical ones.
const FALSE_A_WEEK: f64 = 0.5;
const FALSE_CRITICAL_A_WEEK: f64 = 0.0;

/// Most notifications of an incident.
const PAGES: f64 = 1.2;

/// Longest delay of a delivery incident, in minutes: of an account with a history, and of another one.
const LATEST: [(bool, i64); 2] = [(true, 30), (false, 150)];

/// Results.
#[derive(Default)]
pub(crate) struct Report {
    seeds: Vec<u64>,
    campaigns: usize,
    verdicts: Vec<Verdict>,
    missed: Vec<String>,
    /// False alerts, with descriptions.
    wrong: Vec<(Firing, String)>,
    rivals: BTreeMap<String, Rival>,
}

/// Results of a rule for comparison.
#[derive(Default)]
struct Rival {
    delays: Vec<Option<i64>>,
    wrong: usize,
}

impl Report {
    /// Adds the results of a month.
    pub(crate) fn add(&mut self, own: &Scored, rivals: &[(&str, Scored)]) {
        let month = own.month;
        self.seeds.push(month.seed);
        let sent = month.sendings.iter().filter(|sending| sending.scheduled >= 0);
        self.campaigns += sent.count();
        let verdicts = own.verdicts();
        for verdict in verdicts.iter().filter(|verdict| verdict.is_judged()) {
            let about = || described(month, &verdict.incident);
            match verdict.delay {
                None => self.missed.push(format!("not told: {}", about())),
                Some(delay) if verdict.is_late() => {
                    self.missed.push(format!("told after {delay} minutes: {}", about()));
                }
                Some(_) => {}
            }
            if verdict.pages > 2 {
                let alerts = verdict.alerts.join(", ");
                self.missed.push(format!("{} pages ({alerts}): {}", verdict.pages, about()));
            }
        }
        for alert in own.false_alerts() {
            let text = format!("seed {}, {}", month.seed, cause(own, &alert));
            self.wrong.push((alert, text));
        }
        for (name, scored) in rivals {
            let rival = self.rivals.entry((*name).to_owned()).or_default();
            let about = scored.verdicts().into_iter().filter(Verdict::is_about_delivery);
            rival.delays.extend(about.map(|verdict| verdict.delay));
            rival.wrong += scored.false_alerts().len();
        }
        self.verdicts.extend(verdicts);
    }

    /// Returns the report, and the missed targets.
    pub(crate) fn write(&self) -> Result<(String, Vec<String>), fmt::Error> {
        let (mut out, mut missed) = (String::new(), Vec::new());
        let judged: Vec<_> = self.verdicts.iter().filter(|verdict| verdict.is_judged()).collect();
        writeln!(
            out,
            "# Alert quality, seed {}\n\n{} campaigns in {} days, {} incidents, of which {} must be told.\n",
            self.seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", "),
            self.campaigns,
            self.days(),
            self.verdicts.len(),
            judged.len(),
        )?;
        out.push_str("| | result | target |\n|---|--:|--:|\n");
        let mut row = |what: &str, value: f64, target: f64, is_most: bool| {
            let met = if is_most { value <= target } else { value >= target };
            if !met {
                missed.push(format!("{what}: {value:.2}"));
            }
            let sign = if is_most { "≤" } else { "≥" };
            writeln!(out, "| {what} | {value:.2} | {sign} {target:.2} |")
        };
        let told = judged.iter().filter(|verdict| verdict.delay.is_some()).count();
        row("incidents told", share(told, judged.len()), TOLD, false)?;
        let about: Vec<_> =
            judged.iter().filter(|verdict| verdict.is_about_delivery()).copied().collect();
        for (has_history, minutes) in LATEST {
            let same = about.iter().filter(|verdict| verdict.incident.has_history == has_history);
            let soon = same.clone().filter(|verdict| verdict.delay.is_some() && !verdict.is_late());
            let history =
                if has_history { "with ten campaigns of history" } else { "with less history" };
            let what = format!("delivery incidents {history} told within {minutes} min");
            row(&what, share(soon.count(), same.count()), TOLD, false)?;
        }
        let all = self.wrong_of(&["warning", "critical"]);
        row("false alerts a week", self.per_week(all), FALSE_A_WEEK, true)?;
        let critical = self.per_week(self.wrong_of(&["critical"]));
        row("false critical alerts a week", critical, FALSE_CRITICAL_A_WEEK, true)?;
        let pages: usize = judged.iter().map(|verdict| verdict.pages).sum();
        row("notifications of an incident", share(pages, told), PAGES, true)?;
        let to_pagers: usize = judged.iter().map(|verdict| verdict.to_pagers).sum();
        writeln!(
            out,
            "\nNotifications that go to a pager: {:.2} of an incident. False alerts of severity info: {:.2} a week.\n",
            share(to_pagers, told),
            self.per_week(self.wrong_of(&["info"]))
        )?;

        self.write_kinds(&mut out)?;
        out.push_str("\n| false alert | in all |\n|---|--:|\n");
        let mut names: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for (alert, _) in &self.wrong {
            *names.entry((&alert.alert, alert.severity())).or_default() += 1;
        }
        for ((name, severity), number) in names {
            writeln!(out, "| `{name}` {severity} | {number} |")?;
        }
        self.write_rivals(&mut out, &about, all)?;
        out.push_str("\n## Not as it should be\n\n");
        for missed in &self.missed {
            writeln!(out, "- {missed}")?;
        }
        for (alert, text) in &self.wrong {
            writeln!(out, "- false {}: {text}", alert.severity())?;
        }
        Ok((out, missed))
    }

    fn write_kinds(&self, out: &mut String) -> fmt::Result {
        let mut kinds: BTreeMap<Kind, Vec<&Verdict>> = BTreeMap::new();
        for verdict in &self.verdicts {
            kinds.entry(verdict.incident.kind).or_default().push(verdict);
        }
        out.push_str(
            "| incident | planted | to be told | told | median | 90 % | notifications |\n\
             |---|--:|--:|--:|--:|--:|--:|\n",
        );
        for (kind, verdicts) in kinds {
            let judged: Vec<_> = verdicts.iter().filter(|verdict| verdict.is_judged()).collect();
            let delays = judged.iter().filter_map(|verdict| verdict.delay).collect();
            let (told, middle, most) = quantiles(delays);
            let pages: usize = judged.iter().map(|verdict| verdict.pages).sum();
            writeln!(
                out,
                "| {kind:?} | {} | {} | {told} | {middle} | {most} | {:.1} |",
                verdicts.len(),
                judged.len(),
                share(pages, told)
            )?;
        }
        Ok(())
    }

    fn write_rivals(&self, out: &mut String, about: &[&Verdict], wrong: usize) -> fmt::Result {
        out.push_str(
            "\n| rules, for incidents of delivery | to be told | told | median | 90 % | false alerts a week |\n\
             |---|--:|--:|--:|--:|--:|\n",
        );
        let mut row = |name: &str, delays: Vec<Option<i64>>, wrong: usize| {
            let all = delays.len();
            let (told, middle, most) = quantiles(delays.into_iter().flatten().collect());
            let wrong = self.per_week(wrong);
            writeln!(out, "| {name} | {all} | {told} | {middle} | {most} | {wrong:.2} |")
        };
        let own = about.iter().map(|verdict| verdict.delay).collect();
        row("these rules, with all their false alerts", own, wrong)?;
        for (name, rival) in &self.rivals {
            row(name, rival.delays.clone(), rival.wrong)?;
        }
        Ok(())
    }

    fn wrong_of(&self, severities: &[&str]) -> usize {
        self.wrong.iter().filter(|(alert, _)| severities.contains(&alert.severity())).count()
    }

    fn days(&self) -> i64 {
        self.seeds.iter().map(|_| DAYS).sum()
    }

    fn per_week(&self, count: usize) -> f64 {
        count as f64 * 7.0 / self.days() as f64
    }
}

impl Verdict {
    /// Returns whether an alert is required.
    fn is_judged(&self) -> bool {
        self.incident.demand == Demand::Told
    }

    fn is_about_delivery(&self) -> bool {
        self.is_judged() && self.incident.kind.is_about_delivery()
    }

    fn is_late(&self) -> bool {
        let limit =
            LATEST.iter().find(|(has_history, _)| *has_history == self.incident.has_history);
        let limit = limit.map_or(0, |(_, minutes)| *minutes);
        self.is_about_delivery() && self.delay.is_some_and(|delay| delay > limit)
    }
}

/// Describes an incident.
fn described(month: &Month, incident: &Incident) -> String {
    let accounts = incident.accounts.iter().filter_map(|place| month.accounts.get(*place));
    let accounts: Vec<_> = accounts.map(|account| account.name).collect();
    let mut parts = vec![format!(
        "{:?} of seed {}, {}, from {} to {}",
        incident.kind,
        month.seed,
        accounts.join(" "),
        time(incident.from),
        time(incident.until)
    )];
    let of = month.sendings.iter().filter(|sending| incident.campaigns.contains(&sending.id));
    for sending in of.take(3) {
        let outcome = &sending.outcome;
        parts.push(format!(
            "{} {:?}, {} messages in {} min, {} delivered, {} rejected, {} expired, {} clicks, {} opt-outs",
            sending.id,
            sending.channel,
            sending.recipients,
            sending.takes,
            outcome.deliveries,
            outcome.bounces,
            outcome.expired,
            outcome.clicks,
            outcome.opt_outs
        ));
    }
    parts.join("; ")
}

/// Describes a false alert and its circumstances.
fn cause(scored: &Scored, alert: &Firing) -> String {
    let [name, account, campaign] = alert.subject().map(Option::unwrap_or_default);
    let lasts = alert.until - alert.from;
    let begins = format!("`{name}` {account} {campaign}, {} for {lasts} min", time(alert.from));
    let (month, mut parts) = (scored.month, vec![begins]);
    for sending in &month.sendings {
        let place = month.accounts.get(sending.account);
        let of_account = campaign.is_empty() && place.is_some_and(|place| place.name == account);
        let Some(age) = sending.age(alert.from) else { continue };
        if age < DAY && of_account || sending.id == campaign {
            let counted = sending.counted(alert.from);
            let first = month.first_sends.contains(&sending.id);
            parts.push(format!(
                "{}{} {:?} {:?}, {age} min old, of {}: {} delivered, {} bounced, {} opted out, {} clicked, {} read",
                sending.id,
                if first { " (a first send)" } else { "" },
                sending.channel,
                counted.status,
                counted.attempted,
                counted.deliveries,
                counted.bounces,
                counted.opt_outs,
                counted.clicks,
                counted.reads,
            ));
        }
    }
    for incident in scored.incidents {
        let of = incident.accounts.iter().filter_map(|place| month.accounts.get(*place));
        let same = of.clone().next().is_none() || of.clone().any(|of| of.name == account);
        if same && (incident.from - DAY..incident.until + 2 * DAY).contains(&alert.from) {
            parts.push(format!("near {:?} of {}", incident.kind, time(incident.from)));
        }
    }
    parts.join("; ")
}

fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// Returns the number, the median and the 90 % quantile.
fn quantiles(mut numbers: Vec<i64>) -> (usize, String, String) {
    numbers.sort_unstable();
    let at = |tenths: usize| {
        let place = numbers.len() * tenths / 10;
        numbers.get(place).map_or_else(|| "–".to_owned(), i64::to_string)
    };
    (numbers.len(), at(5), at(9))
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
