//! Pages of a simulated list: which one is asked for, and what its answer says about the others.

use campaign_simulator::Request;
use reqwest::header::HOST;
use serde_json::{Value, json};

use super::super::path::Path;
use super::super::request::{By, Paging, Stop};
use super::asked::Parts;
use crate::provider::source::Place;

/// Items per page if neither the request nor the definition tells.
pub(super) const PAGE: usize = 50;

/// The parameter of links to further pages.
const LINKED: &str = "page[cursor]";

/// Where a page begins, and the start of the period as a cursor carries it on.
#[derive(Clone, Copy)]
pub(super) struct Position {
    pub offset: usize,
    pub since: Option<i64>,
}

impl Position {
    pub(super) const fn first() -> Self {
        Self { offset: 0, since: None }
    }

    pub(super) fn cursor(self) -> String {
        let since = self.since.map_or_else(String::new, |since| since.to_string());
        format!("after.{}.{since}", self.offset)
    }

    fn read(cursor: &str) -> Option<Self> {
        let (offset, since) = cursor.strip_prefix("after.")?.split_once('.')?;
        let since = (!since.is_empty()).then(|| since.parse().ok());
        Some(Self { offset: offset.parse().ok()?, since: since.flatten() })
    }
}

/// Where a parameter can be.
fn places(place: Place, name: &str) -> Vec<String> {
    match place {
        Place::Query => vec![format!("?{name}")],
        Place::Body => vec![format!("={name}"), format!("/{name}")],
    }
}

/// The places of what selects a page.
pub(super) fn paging_places(paging: &Paging) -> Vec<String> {
    let (by, own) = match &paging.by {
        By::Place(place) => (Some(place.parameter.to_string()), place.place),
        By::Cursor(_, name, place) => (Some(name.clone()), *place),
        By::Link(_) | By::LinkHeader => (Some(LINKED.to_owned()), Place::Query),
    };
    let names = by.iter().chain(&paging.size_parameter);
    names.flat_map(|name| places(own, name)).collect()
}

fn value<'a>(values: &'a Parts, own: Place, name: &str) -> Option<&'a String> {
    places(own, name).iter().find_map(|place| values.get(place))
}

/// The number of items on a page; `None` if too many are asked for.
pub(super) fn size(paging: &Paging, values: &Parts) -> Option<usize> {
    let own = match &paging.by {
        By::Place(place) => place.place,
        By::Cursor(_, _, place) => *place,
        By::Link(_) | By::LinkHeader => Place::Query,
    };
    let most = paging.size.unwrap_or(PAGE);
    let asked = paging.size_parameter.as_ref().and_then(|name| value(values, own, name));
    let asked = asked.map_or(Some(most), |asked| asked.parse().ok())?;
    (1..=most).contains(&asked).then_some(asked)
}

/// Where the page that is asked for begins; `None` if that cannot be read.
pub(super) fn position(paging: &Paging, values: &Parts) -> Option<Position> {
    let first = Position::first();
    match &paging.by {
        By::Place(by) => {
            let number = value(values, by.place, &by.parameter);
            let number: usize = number.map_or(Some(0), |number| number.parse().ok())?;
            let offset = match by.first_page {
                Some(page) => number.checked_sub(page)? * size(paging, values)?,
                None => number,
            };
            Some(Position { offset, ..first })
        }
        By::Cursor(_, name, place) => {
            // a parameter that has the start of the period on the first page
            Some(
                value(values, *place, name)
                    .and_then(|cursor| Position::read(cursor))
                    .unwrap_or(first),
            )
        }
        By::Link(_) | By::LinkHeader => match value(values, Place::Query, LINKED) {
            Some(cursor) => Position::read(cursor),
            None => Some(first),
        },
    }
}

/// What an answer says about its pages.
pub(super) fn paged(
    paging: &Paging,
    total: usize,
    size: usize,
    cursor: Option<&str>,
    request: &Request,
) -> Vec<(String, Value)> {
    let mut facts = Vec::new();
    let mut tell = |path: &Path, value: Value| {
        let places = path.pointers(&Value::Null).into_iter();
        facts.extend(places.map(|place| (place, value.clone())));
    };
    match &paging.stop {
        Stop::Total(paths) => paths.iter().for_each(|path| tell(path, json!(total))),
        Stop::Pages(path) => tell(path, json!(total.div_ceil(size.max(1)))),
        Stop::More(path) => tell(path, json!(cursor.is_some())),
        Stop::ShortPage | Stop::EmptyPage => {}
    }
    if let Some(path) = &paging.answered_size {
        tell(path, json!(size));
    }
    match &paging.by {
        By::Cursor(path, ..) => tell(path, json!(cursor)),
        By::Link(path) => tell(path, json!(cursor.map(|cursor| link(request, cursor)))),
        By::Place(_) | By::LinkHeader => {}
    }
    facts
}

/// The address of the page after.
pub(super) fn link(request: &Request, cursor: &str) -> String {
    let host = request.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let (path, query) = request.path_and_query.split_once('?').unwrap_or((request.path(), ""));
    let query = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name != LINKED);
    let mut next = form_urlencoded::Serializer::new(String::new());
    let next = next.extend_pairs(query).append_pair(LINKED, cursor).finish();
    format!("http://{host}{path}?{next}")
}
