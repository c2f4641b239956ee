//! All series with their labels and values, from the exporter, recording rules, and Prometheus; and the
//! labels that an expression yields.

use std::collections::{BTreeMap, BTreeSet};

use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::token::{T_BOTTOMK, T_COUNT_VALUES, T_LOR, T_TOPK};
use promql_parser::parser::{
    AggregateExpr, BinaryExpr, Call, Expr, LabelModifier, VectorMatchCardinality, VectorSelector,
};
use testkit::exposition::Sample;
use xtask::manual::exposition::exposition;

use crate::expression;
use crate::rules::{Rule, rules};

/// Possible labels, each with its known values.
pub(crate) type Labels = BTreeMap<String, BTreeSet<String>>;

/// Labels whose values are all defined in this repository.
const CLOSED: [&str; 7] =
    ["alertname", "alertstate", "reason", "result", "severity", "status", "threshold"];

/// Metrics that Prometheus adds to every scrape.
pub(crate) const OF_A_SCRAPE: [&str; 3] =
    ["up", "scrape_duration_seconds", "scrape_samples_scraped"];

/// Overrides recorded by users, as described in `alerts/thresholds.yml`.
const OF_A_USER: &str = "campaign_threshold";

/// All known series.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics(BTreeMap<String, Labels>);

impl Metrics {
    /// Collects the series of the exporter, the rules, and Prometheus.
    pub(crate) async fn all() -> Self {
        let mut metrics = Self::default();
        for sample in samples().await {
            let labels = sample.labels.into_iter();
            let labels = labels.map(|(name, value)| (name, BTreeSet::from([value])));
            metrics.add(&sample.name, labels.collect());
        }
        // an account may be its own target
        let of_a_target = ["provider", "account"];
        let of_a_target = of_a_target.map(|name| (name.to_owned(), BTreeSet::new()));
        for name in OF_A_SCRAPE {
            metrics.add(name, of_a_target.clone().into());
        }
        // target labels added by Prometheus
        for labels in metrics.0.values_mut() {
            for name in ["job", "instance"] {
                labels.insert(name.to_owned(), BTreeSet::new());
            }
        }
        let of_a_user = ["threshold", "provider", "account", "channel"];
        let of_a_user = of_a_user.map(|name| (name.to_owned(), BTreeSet::new()));
        metrics.add(OF_A_USER, of_a_user.into());
        let rules = rules();
        metrics.record(&rules);
        // alerts may read any, also their own state
        let names = rules.iter().filter_map(|rule| rule.alert.clone()).collect();
        metrics.add("ALERTS", [("alertname".to_owned(), names)].into());
        // those that count others come last
        let known: Vec<_> =
            rules.iter().filter(|rule| metrics.of_rule(rule).is_ok()).cloned().collect();
        metrics.alert(&known);
        metrics.alert(&rules);
        metrics
    }

    fn add(&mut self, name: &str, labels: Labels) {
        unite(self.0.entry(name.to_owned()).or_default(), labels);
    }

    /// Adds the recorded series. Rules may depend on later ones, so this retries.
    fn record(&mut self, rules: &[Rule]) {
        let mut left: Vec<&Rule> = rules.iter().filter(|rule| rule.record.is_some()).collect();
        loop {
            let before = left.len();
            let mut problems = Vec::new();
            left.retain(|rule| match self.of_recording(rule) {
                Ok(labels) => {
                    self.add(rule.record.as_deref().unwrap(), labels);
                    false
                }
                Err(problem) => {
                    problems.push(problem);
                    true
                }
            });
            if left.is_empty() {
                return;
            }
            assert!(left.len() < before, "{problems:#?}");
        }
    }

    /// Returns the labels of a recording rule, which may use its own earlier results.
    fn of_recording(&self, rule: &Rule) -> Result<Labels, String> {
        let name = rule.record.as_deref().unwrap();
        if self.0.contains_key(name) || !rule.expr.contains(name) {
            return self.of_rule(rule);
        }
        let mut known = self.clone();
        known.add(name, Labels::new());
        known.of_rule(rule)
    }

    /// Adds the series that Prometheus writes for alerts.
    fn alert(&mut self, rules: &[Rule]) {
        let mut labels = Labels::new();
        for rule in rules {
            let Some(name) = &rule.alert else { continue };
            unite(&mut labels, self.of_rule(rule).unwrap());
            let names = labels.entry("alertname".to_owned()).or_default();
            names.insert(name.clone());
        }
        self.add("ALERTS_FOR_STATE", labels.clone());
        let states = ["pending", "firing"].map(str::to_owned);
        labels.insert("alertstate".to_owned(), states.into());
        self.add("ALERTS", labels);
    }

    /// Returns the labels of a rule's result, including its own.
    pub(crate) fn of_rule(&self, rule: &Rule) -> Result<Labels, String> {
        let mut labels = self.of(&expression::parse(&rule.expr)?)?;
        for (name, value) in &rule.labels {
            labels.insert(name.clone(), [value.clone()].into());
        }
        Ok(labels)
    }

    /// Returns the labels that an expression may yield, or the unknown names in it.
    pub(crate) fn of(&self, expr: &Expr) -> Result<Labels, String> {
        match expr {
            Expr::VectorSelector(selector) => self.of_selector(selector),
            Expr::MatrixSelector(matrix) => self.of_selector(&matrix.vs),
            Expr::Aggregate(aggregate) => self.of_aggregate(aggregate),
            Expr::Binary(binary) => self.of_binary(binary),
            Expr::Call(call) => self.of_call(call),
            Expr::Paren(paren) => self.of(&paren.expr),
            Expr::Unary(unary) => self.of(&unary.expr),
            Expr::Subquery(subquery) => self.of(&subquery.expr),
            Expr::NumberLiteral(_) | Expr::StringLiteral(_) => Ok(Labels::new()),
            Expr::Extension(_) => Err(format!("not PromQL: {expr}")),
        }
    }

    fn of_selector(&self, selector: &VectorSelector) -> Result<Labels, String> {
        let Some(name) = selector.name.as_deref() else {
            return self.of_several(selector);
        };
        let labels = self.0.get(name);
        let labels = labels.ok_or_else(|| format!("unknown metric {name}"))?;
        for matcher in &selector.matchers.matchers {
            let values = labels.get(&matcher.name);
            let values = values.ok_or_else(|| format!("{name} has no label {}", matcher.name))?;
            known(matcher, values).map_err(|problem| format!("{name}: {problem}"))?;
        }
        Ok(labels.clone())
    }

    /// Returns the labels of the metrics whose names match `prefix(one|other)` or `prefix.+`.
    fn of_several(&self, selector: &VectorSelector) -> Result<Labels, String> {
        let mut names = selector.matchers.matchers.iter().filter(|it| it.name == "__name__");
        let names = names.next().map(|names| names.value.as_str()).unwrap_or_default();
        let mut labels = Labels::from([("__name__".to_owned(), BTreeSet::new())]);
        if let Some(prefix) = names.strip_suffix(".+") {
            for (_, own) in self.0.iter().filter(|(name, _)| name.starts_with(prefix)) {
                unite(&mut labels, own.clone());
            }
            return Ok(labels);
        }
        let names = names.strip_suffix(')').and_then(|names| names.split_once('('));
        let (prefix, ends) = names.ok_or_else(|| format!("no metric in {selector}"))?;
        for end in ends.split('|') {
            let name = format!("{prefix}{end}");
            let own = self.0.get(&name).ok_or_else(|| format!("unknown metric {name}"))?;
            unite(&mut labels, own.clone());
        }
        Ok(labels)
    }

    fn of_aggregate(&self, aggregate: &AggregateExpr) -> Result<Labels, String> {
        let mut labels = self.of(&aggregate.expr)?;
        if let Some(parameter) = &aggregate.param {
            self.of(parameter)?;
        }
        if let (T_COUNT_VALUES, Some(Expr::StringLiteral(name))) =
            (aggregate.op.id(), aggregate.param.as_deref())
        {
            labels.insert(name.val.clone(), BTreeSet::new());
        }
        if let Some(modifier) = &aggregate.modifier {
            has(&labels, modifier.labels().labels.iter(), &aggregate.expr)?;
        }
        // these select series and keep their labels
        if [T_TOPK, T_BOTTOMK].contains(&aggregate.op.id()) {
            return Ok(labels);
        }
        match &aggregate.modifier {
            Some(LabelModifier::Include(kept)) => {
                labels.retain(|name, _| kept.labels.contains(name));
            }
            Some(LabelModifier::Exclude(dropped)) => {
                labels.retain(|name, _| !dropped.labels.contains(name));
            }
            None => labels.clear(),
        }
        Ok(labels)
    }

    fn of_binary(&self, binary: &BinaryExpr) -> Result<Labels, String> {
        let (left, right) = (self.of(&binary.lhs)?, self.of(&binary.rhs)?);
        let (is_number, other_is) = (is_number(&binary.lhs), is_number(&binary.rhs));
        if is_number || other_is {
            return Ok(if is_number { right } else { left });
        }
        let modifier = binary.modifier.as_ref();
        let matching = modifier.and_then(|modifier| modifier.matching.as_ref());
        if let Some(LabelModifier::Include(on)) = matching {
            has(&left, on.labels.iter(), &binary.lhs)?;
            has(&right, on.labels.iter(), &binary.rhs)?;
        }
        let card = modifier.map(|modifier| &modifier.card);
        match card {
            Some(VectorMatchCardinality::ManyToMany) => {
                let mut labels = left;
                if binary.op.id() == T_LOR {
                    unite(&mut labels, right);
                }
                Ok(labels)
            }
            Some(VectorMatchCardinality::ManyToOne(brought)) => {
                has(&right, brought.labels.iter(), &binary.rhs)?;
                Ok(with(left, &right, &brought.labels))
            }
            Some(VectorMatchCardinality::OneToMany(brought)) => {
                has(&left, brought.labels.iter(), &binary.lhs)?;
                Ok(with(right, &left, &brought.labels))
            }
            _ => {
                let mut labels = left;
                match matching {
                    Some(LabelModifier::Include(on)) => {
                        labels.retain(|name, _| on.labels.contains(name));
                    }
                    Some(LabelModifier::Exclude(ignored)) => {
                        labels.retain(|name, _| !ignored.labels.contains(name));
                    }
                    None => {}
                }
                Ok(labels)
            }
        }
    }

    fn of_call(&self, call: &Call) -> Result<Labels, String> {
        let mut labels = Labels::new();
        for argument in &call.args.args {
            unite(&mut labels, self.of(argument)?);
        }
        let texts = expression::texts(call);
        match (call.func.name, texts.as_slice()) {
            ("absent" | "vector" | "time" | "scalar", _) => labels.clear(),
            ("histogram_quantile", _) => {
                labels.remove("le");
            }
            ("label_join", [made, _, from @ ..]) => {
                has(&labels, from.iter(), call)?;
                labels.insert((*made).to_owned(), BTreeSet::new());
            }
            ("label_replace", [made, _, from, _]) => {
                // an empty one stands for no label
                has(&labels, [from].into_iter().filter(|from| !from.is_empty()), call)?;
                labels.insert((*made).to_owned(), BTreeSet::new());
            }
            _ => {}
        }
        Ok(labels)
    }
}

/// Returns the series of the exporter, with all labels that the dashboards take from `campaign_info`.
pub(crate) async fn samples() -> Vec<Sample> {
    let families = exposition(&campaign_exporter::provider::built_in()).await.unwrap().into_iter();
    let mut samples: Vec<Sample> = families.flat_map(|family| family.samples).collect();
    for sample in samples.iter_mut().filter(|sample| sample.name == "campaign_info") {
        let reported = ["sender", "template", "created_by"];
        sample.labels.extend(reported.map(|name| (name.to_owned(), "Ann".to_owned())));
    }
    samples
}

/// Returns whether a matcher matches existing values. Checks only labels whose values are all known, and
/// no variables.
fn known(matcher: &Matcher, values: &BTreeSet<String>) -> Result<(), String> {
    let words: Vec<&str> = match matcher.op {
        MatchOp::Equal | MatchOp::NotEqual => vec![&matcher.value],
        MatchOp::Re(_) | MatchOp::NotRe(_) => matcher.value.split('|').collect(),
    };
    if !CLOSED.contains(&matcher.name.as_str()) || values.is_empty() {
        return Ok(());
    }
    for word in words {
        let is_a_word = word.chars().all(|char| char.is_alphanumeric() || char == '_');
        if is_a_word && !word.is_empty() && !values.contains(word) {
            return Err(format!("{} is never {word:?}", matcher.name));
        }
    }
    Ok(())
}

fn is_number(expr: &Expr) -> bool {
    match expr {
        Expr::NumberLiteral(_) => true,
        Expr::Paren(paren) => is_number(&paren.expr),
        Expr::Unary(unary) => is_number(&unary.expr),
        Expr::Call(call) => ["time", "scalar", "pi"].contains(&call.func.name),
        Expr::Binary(binary) => is_number(&binary.lhs) && is_number(&binary.rhs),
        _ => false,
    }
}

/// Merges labels.
fn unite(labels: &mut Labels, more: Labels) {
    for (name, values) in more {
        labels.entry(name).or_default().extend(values);
    }
}

/// Adds labels from the other side of an operator.
fn with(mut labels: Labels, other: &Labels, brought: &[String]) -> Labels {
    for name in brought {
        labels.insert(name.clone(), other[name].clone());
    }
    labels
}

/// Returns whether all labels exist.
fn has(
    labels: &Labels,
    mut names: impl Iterator<Item = impl AsRef<str>>,
    expr: &impl std::fmt::Display,
) -> Result<(), String> {
    let missing = names.find(|name| !labels.contains_key(name.as_ref()));
    missing.map_or(Ok(()), |name| Err(format!("no label {} in {expr}", name.as_ref())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of a table of expressions and what is found.
    fn rows(table: &str) -> impl Iterator<Item = (&str, &str)> {
        let lines = table.trim().lines();
        lines
            .map(|line| line.trim().split_once(" =>").unwrap())
            .map(|(expr, found)| (expr, found.trim()))
    }

    fn labels(metrics: &Metrics, expr: &str) -> Result<String, String> {
        let labels = metrics.of(&expression::parse(expr).unwrap())?;
        Ok(labels.into_keys().collect::<Vec<_>>().join(" "))
    }

    #[tokio::test]
    async fn expressions_yield_the_same_labels_as_in_prometheus() {
        let metrics = Metrics::all().await;
        let cases = r#"
            campaign_exporter_series => instance job
            campaign_attempted => account campaign_id channel instance job provider
            sum(campaign_attempted) =>
            sum by (channel) (campaign_attempted) => channel
            sum without (campaign_id, channel) (campaign_attempted) => account instance job provider
            topk by (channel) (3, campaign_account_campaigns) => account channel instance job provider
            campaign_cost_credits / on (job, account) campaign_cost_credits => account job
            campaign_account_up * on (job, instance) group_left (version) campaign_exporter_build_info => account instance job provider version
            count(up) or sum by (version) (campaign_exporter_build_info) => version
            up and on (job) campaign_account_up => account instance job provider
            histogram_quantile(0.5, sum by (le, job) (rate(campaign_exporter_api_request_duration_seconds_bucket[5m]))) => job
            1 - campaign_exporter_series => instance job
            time() - campaign_exporter_series => instance job
            label_join(up, "both", "-", "job", "instance") => account both instance job provider
            absent(up) =>
            account:delivery_ratio:recent => account channel instance job provider
        "#;
        for (expr, wanted) in rows(cases) {
            assert_eq!(labels(&metrics, expr).as_deref(), Ok(wanted), "{expr}");
        }
    }

    #[tokio::test]
    async fn unknown_metrics_and_labels_are_detected() {
        let metrics = Metrics::all().await;
        let cases = r#"
            campaign_atempted => unknown metric campaign_atempted
            campaign_attempted{chanel="sms"} => no label chanel
            campaign_status{status="done"} => status is never "done"
            campaign_status{status=~"sent|done"} => status is never "done"
            account:campaign_threshold:effective{threshold="delivery"} => threshold is never "delivery"
            sum by (campaign_name) (campaign_attempted) => no label campaign_name
            campaign_attempted * on (campaign_id) group_left (name) campaign_info => no label name
            campaign_account_up and on (campaign_id) campaign_info => no label campaign_id
            label_join(up, "both", "-", "job", "host") => no label host
            ALERTS{alertname="CampaignDelayed"} => alertname is never "CampaignDelayed"
        "#;
        for (expr, problem) in rows(cases) {
            let found = labels(&metrics, expr).unwrap_err();
            assert!(found.contains(problem), "{expr}: {found}");
        }
    }
}
