//! Parses `PromQL` expressions.

use std::time::Duration;

use promql_parser::label::Matcher;
use promql_parser::parser::{Call, Expr, FunctionArgs, VectorSelector};

/// Unique placeholder for `$__rate_interval`.
pub(crate) const RATE_INTERVAL: &str = "4241s";

/// A selector with its range and enclosing function.
#[derive(Debug)]
pub(crate) struct Selected<'a> {
    pub(crate) selector: &'a VectorSelector,
    pub(crate) range: Option<Duration>,
    pub(crate) function: Option<&'static str>,
}

impl Selected<'_> {
    /// Name of the metric.
    pub(crate) fn name(&self) -> &str {
        self.selector.name.as_deref().unwrap_or_default()
    }

    /// Returns the matchers of a label.
    pub(crate) fn matchers(&self, label: &str) -> impl Iterator<Item = &Matcher> {
        let matchers = self.selector.matchers.matchers.iter();
        matchers.filter(move |matcher| matcher.name == label)
    }
}

/// An expression.
pub(crate) fn parse(expr: &str) -> Result<Expr, String> {
    promql_parser::parser::parse(expr).map_err(|problem| format!("{problem}: {expr}"))
}

/// Returns every selector, in order.
pub(crate) fn selectors(expr: &Expr) -> Vec<Selected<'_>> {
    let mut found = Vec::new();
    select(expr, None, &mut found);
    found
}

fn select<'a>(expr: &'a Expr, function: Option<&'static str>, found: &mut Vec<Selected<'a>>) {
    match expr {
        Expr::VectorSelector(selector) => found.push(Selected { selector, range: None, function }),
        Expr::MatrixSelector(matrix) => {
            found.push(Selected { selector: &matrix.vs, range: Some(matrix.range), function });
        }
        Expr::Call(call) => {
            for argument in &call.args.args {
                select(argument, Some(call.func.name), found);
            }
        }
        Expr::Aggregate(aggregate) => {
            if let Some(parameter) = &aggregate.param {
                select(parameter, None, found);
            }
            select(&aggregate.expr, None, found);
        }
        Expr::Binary(binary) => {
            select(&binary.lhs, None, found);
            select(&binary.rhs, None, found);
        }
        Expr::Unary(unary) => select(&unary.expr, None, found),
        Expr::Paren(paren) => select(&paren.expr, function, found),
        Expr::Subquery(subquery) => select(&subquery.expr, None, found),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {}
    }
}

/// Returns the string arguments of a call.
pub(crate) fn texts(call: &Call) -> Vec<&str> {
    let FunctionArgs { args } = &call.args;
    let texts = args.iter().filter_map(|argument| match argument.as_ref() {
        Expr::StringLiteral(text) => Some(text.val.as_str()),
        _ => None,
    });
    texts.collect()
}
