//! What of a definition finds nothing in saved answers: a path that is wrong is as quiet as a value that
//! is left out.

use serde_json::Value;
use serde_json::value::RawValue;

use super::Definition;
use super::campaign::Mapped;
use super::path::Path;
use crate::upstream::answer::Answer;

impl Definition {
    /// The paths that find nothing in any answer, and the statuses of items that have no meaning.
    pub fn unused(&self, answers: &[Answer]) -> Vec<String> {
        let roots = answers.iter().filter_map(|answer| serde_json::from_slice(&answer.body).ok());
        let roots: Vec<&RawValue> = roots.collect();
        let lists = self.lists.iter();
        let lists = lists.map(|list| (Some(&list.items), list.condition.as_ref(), &list.campaign));
        let details = self.details.iter();
        let details = details.map(|details| (details.items.as_ref(), None, &details.campaign));
        let mut all = Vec::new();
        for (items, condition, campaign) in lists.chain(details) {
            for line in unused_of(items, condition, campaign, &roots) {
                super::kind::add(&mut all, line);
            }
        }
        all
    }
}

fn unused_of(
    path: Option<&Path>,
    condition: Option<&Path>,
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
        return vec![format!("no answer has a list at `{place}`")];
    }
    let items = lists.concat();
    let items = items.iter().filter_map(|item| serde_json::from_str(item.get()).ok());
    let items = items.filter(|item| condition.is_none_or(|condition| condition.is_met(item)));
    let items: Vec<Value> = items.collect();
    if items.is_empty() {
        return Vec::new();
    }
    let fields = campaign.fields().into_iter();
    let unused = fields.filter(|field| !items.iter().any(|item| field.is_in(item)));
    let unused = unused.map(|field| format!("no item at `{place}` has {}", field.shown()));
    let statuses = items.iter().filter_map(|item| campaign.unknown_status(item));
    unused
        .chain(statuses.map(|word| format!("{word:?} is not among the words of `status`")))
        .collect()
}
