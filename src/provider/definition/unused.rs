//! What of a definition finds nothing in saved answers: a path that is wrong is as quiet as a value that
//! is left out.

use std::collections::HashSet;

use serde_json::Value;
use serde_json::value::RawValue;

use super::campaign::Mapped;
use super::path::Path;
use super::request::Paging;
use super::{Definition, List};
use crate::provider::lenient::Problems;
use crate::upstream::answer::Answer;

impl Definition {
    /// The paths that find nothing in the answers of their part, and what is doubtful in its items. Each
    /// answer is for the part with this number.
    pub fn unused(&self, answers: &[(usize, &Answer)]) -> Vec<String> {
        let roots = |is_one: &dyn Fn(usize) -> bool| -> Vec<&RawValue> {
            let answers = answers.iter().filter(|(part, _)| is_one(*part));
            answers.filter_map(|(_, answer)| serde_json::from_slice(&answer.body).ok()).collect()
        };
        let mut all = Vec::new();
        let mut add_all = |lines: Vec<String>| {
            for line in lines {
                super::kind::add(&mut all, line);
            }
        };
        for list in &self.lists {
            // lists of the same form often share a mapping
            let place = list.items.text();
            let is_one = |part| {
                self.lists.get(part).is_some_and(|it: &List| {
                    it.items.text() == place && it.completes == list.completes
                })
            };
            let (roots, sums_rows) = (roots(&is_one), list.sums_rows);
            let items = Some(&list.items);
            add_all(unused_of(items, list.condition.as_ref(), sums_rows, &list.campaign, &roots));
            add_all(
                list.paging.iter().flat_map(|it| unused_paging(it, &list.items, &roots)).collect(),
            );
        }
        for (part, details) in (self.lists.len()..).zip(&self.details) {
            let items = details.items.as_ref();
            add_all(unused_of(
                items,
                None,
                details.sums_rows,
                &details.campaign,
                &roots(&|it| it == part),
            ));
        }
        if let Some(account) = &self.account {
            let part = self.lists.len() + self.details.len();
            let roots = roots(&|it| it == part);
            let values = roots.iter().filter_map(|root| serde_json::from_str(root.get()).ok());
            let values: Vec<Value> = values.collect();
            let unused = account.fields().filter(|field| !values.iter().any(|it| field.is_in(it)));
            let lines = unused.map(|field| format!("the account has no {}", field.shown()));
            add_all(if values.is_empty() { Vec::new() } else { lines.collect() });
        }
        all
    }
}

/// The paths of paging that no page has.
fn unused_paging(paging: &Paging, items: &Path, roots: &[&RawValue]) -> Vec<String> {
    let is_missing = |path: &&Path| !roots.iter().any(|root| path.raw_value(root).is_some());
    let missing = paging.paths().filter(is_missing).filter(|_| !roots.is_empty());
    let lines = missing.map(|path| {
        let path_text = path.text();
        let lengths = roots.iter().filter_map(|root| Some(items.raw(root).ok()??.len()));
        let full = paging.size.filter(|size| lengths.max() >= Some(*size));
        match full.filter(|_| paging.next_path().is_some_and(|next| next.text() == path_text)) {
            Some(size) => format!(
                "a page is full ({size} items), but `{path_text}` has no value, so it is taken for \
                 the last page"
            ),
            None => format!("no page has `{path_text}`"),
        }
    });
    let full = |root: &&&RawValue| {
        let length = items.raw(root).ok().flatten().map(|items| items.len());
        length.filter(|length| paging.size.is_some_and(|size| *length >= size))
    };
    let per_page = roots
        .iter()
        .filter(|root| full(root).is_some_and(|length| paging.total(root) == Some(length as u64)));
    let per_page = per_page.take(1).map(|_| {
        let text = paging.paths().next().map_or("", Path::text);
        format!("`{text}` is the number of items on a full page: is it that of all items?")
    });
    lines.chain(per_page).collect()
}

fn unused_of(
    path: Option<&Path>,
    condition: Option<&Path>,
    sums_rows: bool,
    campaign: &Mapped,
    roots: &[&RawValue],
) -> Vec<String> {
    let lists = roots.iter().filter_map(|root| match path {
        Some(path) => path.raw(root).ok()?,
        None => Some(vec![*root]),
    });
    let lists: Vec<_> = lists.collect();
    let place = path.map_or("$", Path::text);
    if lists.is_empty() {
        let is_answered = !roots.is_empty();
        return is_answered
            .then(|| format!("no answer has a list at `{place}`"))
            .into_iter()
            .collect();
    }
    let is_item = |item: &Value| condition.is_none_or(|condition| condition.is_met(item));
    let parsed = |list: Vec<&RawValue>| -> Vec<Value> {
        let items = list.into_iter().filter_map(|item| serde_json::from_str(item.get()).ok());
        items.filter(is_item).collect()
    };
    let lists: Vec<_> = lists.into_iter().map(parsed).collect();
    let twice = lists.iter().filter(|_| !sums_rows).flat_map(|items| twice(items, campaign));
    let twice = twice.map(|id| {
        format!(
            "{id:?} is the id of several items at `{place}`: the last one counts (see sum_rows)"
        )
    });
    let items: Vec<_> = lists.iter().flatten().collect();
    let fields = campaign.fields().into_iter().filter(|_| !items.is_empty());
    let unused = fields.filter(|field| !items.iter().any(|item| field.is_in(item)));
    let unused = unused.map(|field| format!("no item at `{place}` has {}", field.shown()));
    let statuses = items.iter().filter_map(|item| campaign.unknown_status(item));
    let statuses = statuses.map(|word| format!("{word:?} is not among the words of `status`"));
    unused.chain(statuses).chain(twice).collect()
}

/// The ids that several items of a list have.
fn twice(items: &[Value], campaign: &Mapped) -> Vec<String> {
    let ids =
        items.iter().filter_map(|item| campaign.id.as_ref()?.id(item, &mut Problems::default()));
    let mut seen = HashSet::new();
    ids.filter(|id| !seen.insert(id.clone())).collect()
}
