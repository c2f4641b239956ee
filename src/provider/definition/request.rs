//! Requests of a definition, and how their pages follow each other.

use reqwest::header::{HeaderName, HeaderValue, LINK};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use serde_saphyr::Spanned;

use super::field::scalar;
use super::path::Path;
use super::reader::{Entry, Mapping, Part, Reader, may, must, scalar_text};
use super::template::{Template, Variables};
use crate::document::node::Node;
use crate::provider::lenient::{Problems, Scalar};
use crate::provider::source;
use crate::provider::source::{Ask, Place, path};
use crate::upstream::PollError;
use crate::upstream::answer::Answer;
use crate::upstream::credential::PATH_PLACEHOLDER;
use crate::upstream::request::Body;

/// The variable that stands for the ids of campaigns in a request for details.
pub(super) const IDS: &str = "ids";

/// The variable that stands for a token in a path.
pub(super) const TOKEN: &str = "token";

/// Largest page that a definition can ask for: as many items as one page may have.
const MAX_PAGE: u64 = 10_000;

/// Keys of a request, which lists, details and the account have in common.
pub(crate) const GET: Entry =
    may("get", "text", "The path of a GET request, below `base_url`, with variables in braces.");
pub(crate) const POST: Entry = may("post", "text", "The path of a POST request instead.");
pub(crate) const QUERY: Entry = may(
    "query",
    "mapping of texts",
    "Parameters of the address. One whose variable has no value is left out.",
);
pub(crate) const FORM: Entry = may("form", "mapping of texts", "Fields of a form that is posted.");
pub(crate) const JSON: Entry = may(
    "json",
    "any value",
    "JSON that is posted. Its texts can have variables; `\"{ids}\"` becomes a list.",
);

/// A request without the place of its page.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// The segments of the path.
    segments: Vec<Template>,
    query: Vec<(String, Template)>,
    body: Option<BodyTemplate>,
}

#[derive(Clone, Debug)]
enum BodyTemplate {
    Form(Vec<(String, Template)>),
    Json(JsonTemplate),
}

#[derive(Clone, Debug)]
enum JsonTemplate {
    Plain(Value),
    Text(Template),
    List(Vec<JsonTemplate>),
    Map(Vec<(String, JsonTemplate)>),
}

impl Request {
    /// Reads the keys of a request.
    pub(super) fn read(mapping: &mut Mapping<'_, '_>, known: &[String]) -> Option<Self> {
        let get = mapping.text("get");
        let post = mapping.text("post");
        let (key, text) = match (get, &post) {
            (Some(get), None) => ("get", get),
            (None, Some(post)) => ("post", post.clone()),
            _ => {
                mapping.problem("", "needs either get or post");
                return None;
            }
        };
        let Some(rest) = text.strip_prefix('/') else {
            mapping.problem(key, "must begin with /: it is a path below base_url");
            return None;
        };
        if rest.contains(['?', '#']) {
            mapping.problem(key, "must not contain ? or #: use query");
            return None;
        }
        let token = mapping.reader().has_token.then(|| TOKEN.to_owned());
        let with_token: Vec<_> = known.iter().cloned().chain(token).collect();
        let mut segments = Vec::new();
        for segment in rest.split('/') {
            match Template::parse(segment, &with_token) {
                Ok(template) => segments.push(template),
                Err(message) => mapping.problem(key, message),
            }
        }
        let query = texts(mapping, "query", known);
        let form = mapping.node("form").is_some();
        let json = mapping.node("json");
        let body = match (form, json) {
            (true, Some(_)) => {
                mapping.problem("json", "a request has either form or json");
                None
            }
            (true, None) => Some(BodyTemplate::Form(texts(mapping, "form", known))),
            (false, Some(node)) => {
                let path = mapping.path_of("json");
                json_template(mapping.reader(), &path, node, known).map(BodyTemplate::Json)
            }
            (false, None) => None,
        };
        if post.is_none() && body.is_some() {
            mapping.problem("get", "a GET request has no body: use post");
        }
        let body = body.or_else(|| post.map(|_| BodyTemplate::Form(Vec::new())));
        Some(Self { segments, query, body })
    }

    /// Whether the request has a body.
    pub(super) const fn has_body(&self) -> bool {
        self.body.is_some()
    }

    /// Whether the request has a form.
    pub(super) const fn has_form(&self) -> bool {
        matches!(self.body, Some(BodyTemplate::Form(_)))
    }

    /// Whether the path has a place for the token.
    pub(super) fn has_token(&self) -> bool {
        self.segments.iter().any(|segment| segment.has(TOKEN))
    }

    /// Whether the request has a variable.
    pub(super) fn has(&self, name: &str) -> bool {
        let texts = self.query.iter().map(|(_, text)| text);
        let mut texts = self.segments.iter().chain(texts);
        texts.any(|text| text.has(name))
            || match &self.body {
                None => false,
                Some(BodyTemplate::Form(fields)) => fields.iter().any(|(_, text)| text.has(name)),
                Some(BodyTemplate::Json(json)) => json.has(name),
            }
    }

    /// The method and the path, for the manual.
    pub(super) fn shown(&self) -> String {
        let braces = |name: &str| (name.to_owned(), format!("{{{name}}}"));
        let mut names = Variables::default();
        for segment in &self.segments {
            names.0.extend(segment.variables().map(braces));
        }
        let segments = self.segments.iter().filter_map(|segment| segment.render(&names));
        let method = if self.body.is_some() { "POST" } else { "GET" };
        format!("{method} /{}", segments.collect::<Vec<_>>().join("/"))
    }

    /// The request with its variables.
    pub(super) fn ask(&self, variables: &Variables, ids: &[String]) -> Ask {
        let mut variables = variables.clone();
        variables.0.insert(IDS.to_owned(), ids.join(","));
        variables.0.insert(TOKEN.to_owned(), PATH_PLACEHOLDER.to_owned());
        let rendered = |texts: &[(String, Template)]| -> Vec<(String, String)> {
            let texts = texts.iter();
            texts
                .filter_map(|(name, text)| Some((name.clone(), text.render(&variables)?)))
                .collect()
        };
        let segments: Vec<_> = self
            .segments
            .iter()
            .map(|segment| segment.render(&variables).unwrap_or_default())
            .collect();
        let mut ask = Ask::path(path(segments.iter().map(String::as_str)));
        for (name, value) in rendered(&self.query) {
            ask = ask.with(name, value);
        }
        ask.body = self.body.as_ref().map(|body| match body {
            BodyTemplate::Form(fields) => Body::Form(rendered(fields)),
            BodyTemplate::Json(json) => {
                Body::Json(json.render(&variables, ids).unwrap_or(Value::Null))
            }
        });
        ask
    }
}

impl JsonTemplate {
    fn has(&self, name: &str) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Text(text) => text.has(name),
            Self::List(items) => items.iter().any(|item| item.has(name)),
            Self::Map(members) => members.iter().any(|(_, item)| item.has(name)),
        }
    }

    /// The value; `None` for a text whose variable has no value.
    fn render(&self, variables: &Variables, ids: &[String]) -> Option<Value> {
        Some(match self {
            Self::Plain(value) => value.clone(),
            Self::Text(text) if text.is_only(IDS) => {
                // ids that are numbers are written as such
                let id = |id: &String| {
                    let number = id.parse::<u64>().ok();
                    let number = number.filter(|number| number.to_string() == *id);
                    number.map_or_else(|| Value::from(id.as_str()), Value::from)
                };
                ids.iter().map(id).collect()
            }
            Self::Text(text) => text.render(variables)?.into(),
            Self::List(items) => {
                let items = items.iter();
                items.filter_map(|item| item.render(variables, ids)).collect()
            }
            Self::Map(members) => {
                let members = members.iter();
                let members = members
                    .filter_map(|(name, item)| Some((name.clone(), item.render(variables, ids)?)));
                Value::Object(members.collect::<Map<_, _>>())
            }
        })
    }
}

/// Reads a mapping of texts. Numbers and booleans are taken as they are written.
pub(super) fn texts(
    mapping: &mut Mapping<'_, '_>,
    key: &str,
    known: &[String],
) -> Vec<(String, Template)> {
    let mut texts = Vec::new();
    for (name, path, node) in mapping.entries(key) {
        let text = scalar_text(&node.value);
        let template = text.and_then(|text| Template::parse(&text, known));
        let template = mapping.reader().noted(&path, node, template);
        texts.extend(template.map(|template| (name, template)));
    }
    texts
}

fn json_template(
    reader: &mut Reader,
    path: &str,
    node: &Spanned<Node>,
    known: &[String],
) -> Option<JsonTemplate> {
    Some(match &node.value {
        Node::Null => JsonTemplate::Plain(Value::Null),
        Node::Bool(value) => JsonTemplate::Plain((*value).into()),
        Node::Integer(number) => {
            let number = i64::try_from(*number).map(Value::from);
            JsonTemplate::Plain(number.unwrap_or(Value::Null))
        }
        Node::Float(number) => JsonTemplate::Plain((*number).into()),
        Node::Text(text) => match Template::parse(text, known) {
            Ok(template) => JsonTemplate::Text(template),
            Err(message) => {
                reader.problem(path, node, message);
                return None;
            }
        },
        Node::List(items) => {
            let read = items.iter().filter_map(|item| json_template(reader, path, item, known));
            let read: Vec<_> = read.collect();
            let is_ids =
                |item: &JsonTemplate| matches!(item, JsonTemplate::Text(text) if text.is_only(IDS));
            if read.iter().any(is_ids) {
                reader.problem(
                    path,
                    node,
                    "\"{ids}\" is a list already: write it without brackets",
                );
            }
            JsonTemplate::List(read)
        }
        Node::Map(members) => {
            let members = members.iter().filter_map(|(name, item)| {
                let path = format!("{path}.{}", name.value);
                Some((name.value.clone(), json_template(reader, &path, item, known)?))
            });
            JsonTemplate::Map(members.collect())
        }
    })
}

/// How the pages of a list follow each other.
#[derive(Clone, Debug)]
pub(super) struct Paging {
    pub by: By,
    pub size: Option<usize>,
    pub size_parameter: Option<String>,
    pub stop: Stop,
    /// The number of items on a page as the answer tells it.
    pub answered_size: Option<Path>,
}

#[derive(Clone, Debug)]
pub(super) enum By {
    /// The place of the first item, or the number of the page.
    Place(source::Paging),
    /// A word of the answer, in a parameter.
    Cursor(Path, String, Place),
    /// A link in the answer.
    Link(Path),
    /// A link in the `Link` header (RFC 8288).
    LinkHeader,
}

#[derive(Clone, Debug)]
pub(super) enum Stop {
    ShortPage,
    EmptyPage,
    Total(Vec<Path>),
    Pages(Path),
    More(Path),
}

/// The keys of paging.
pub(crate) const PAGING: Part = Part {
    title: "Paging",
    keys: &[
        must(
            "by",
            "`offset`, `page`, `cursor`, `link` or `link_header`",
            "What selects a page: the number of items before it, its own number, a word of the answer before, or a link of the answer before.",
        ),
        may(
            "parameter",
            "text",
            "The parameter that has the offset, the number of the page, or the cursor.",
        ),
        may("in", "`query` or `body`", "Where the parameters go; `query` by default."),
        may("first", "0 or 1", "The number of the first page; 1 by default."),
        may(
            "size",
            "whole number",
            "The largest number of items on a page. Offsets need it, and page numbers that a short page or a total ends.",
        ),
        may("size_parameter", "text", "The parameter that has the size."),
        may(
            "answered_size",
            "path",
            "Where the answer has the page size that the API used instead.",
        ),
        may(
            "next",
            "path",
            "Where the cursor or the link is. Without a value, or with `false` or 0, the page is the last.",
        ),
        may(
            "stop",
            "`short_page`, `empty_page`, or mapping",
            "What ends pages by offset or number: a page with fewer items than the size, one without any, or what the answer says. Cursors and links end without `next`; `empty_page` ends them sooner.",
        ),
    ],
};

/// The keys of what an answer says about the end of the pages.
pub(crate) const STOP: Part = Part {
    title: "Stop",
    keys: &[
        may(
            "total",
            "path, or list of paths",
            "The number of all items. If pages have different totals, the largest counts until a page is short, and the smallest after that.",
        ),
        may("pages", "path", "Or the number of all pages."),
        may(
            "more",
            "path",
            "Or whether another page follows: true or false, yes or no, 1 or 0, also in quotes. `null` is no. Without a value, a page with fewer items than the `size` is the last.",
        ),
    ],
};

/// What follows a page.
pub(super) enum Next {
    Nothing,
    /// The page after, as its place says.
    Place,
    /// Another request, and what no two pages share.
    Request(Box<Ask>, String),
}

impl Paging {
    /// Reads how a list is paged.
    pub(super) fn read(mapping: &mut Mapping<'_, '_>, request: &Request) -> Option<Self> {
        let parameter = mapping.text("parameter");
        let place = read_place(mapping, request);
        let first = mapping.number("first", 0, 1).and_then(|first| usize::try_from(first).ok());
        let size = mapping.number("size", 1, MAX_PAGE);
        let size = size.and_then(|size| usize::try_from(size).ok());
        let size_parameter = mapping.text("size_parameter");
        let answered_size = mapping.parsed("answered_size", Path::parse_plain);
        let next = mapping.parsed("next", Path::parse_plain);
        let has_stop = mapping.node("stop").is_some();
        let stop = read_stop(mapping);
        let by = mapping.text("by");
        let mut need = |key: &str, is_good: bool, why: &str| {
            if !is_good {
                mapping.problem(key, why);
            }
        };
        if size_parameter.is_some() {
            need("size", size.is_some(), "is missing: the size_parameter needs it");
        }
        let by = by?;
        // numbers lead from page to page, whatever is on them
        let needs_size = by != "page" || matches!(stop, Stop::ShortPage | Stop::Total(_));
        let by_place = |first_page| {
            let size = size.or((!needs_size).then_some(1));
            let (parameter, size) = (parameter.clone()?, size?);
            let parameter = parameter.into();
            Some(By::Place(source::Paging { parameter, place, size, first_page }))
        };
        if !matches!(by.as_str(), "offset" | "page") {
            let can_end = !has_stop || matches!(stop, Stop::EmptyPage);
            need("stop", can_end, "cursors and links end without a next one, or with empty_page");
        }
        let by = match by.as_str() {
            "offset" | "page" => {
                let full = "is missing: how many items a full page has";
                need("parameter", parameter.is_some(), "is missing");
                need("size", size.is_some() || !needs_size, full);
                need("stop", has_stop, "is missing: nothing else ends the pages");
                need("next", next.is_none(), "is for cursors and links");
                by_place((by == "page").then(|| first.unwrap_or(1)))
            }
            "cursor" => {
                need("parameter", parameter.is_some(), "is missing");
                need("next", next.is_some(), "is missing: where the cursor is");
                next.zip(parameter).map(|(next, name)| By::Cursor(next, name, place))
            }
            "link" => {
                need("next", next.is_some(), "is missing: where the link is");
                next.map(By::Link)
            }
            "link_header" => Some(By::LinkHeader),
            other => {
                let message = format!(
                    "unknown paging {other:?}; expected offset, page, cursor, link or link_header"
                );
                mapping.problem("by", message);
                None
            }
        };
        Some(Self { by: by?, size, size_parameter, stop, answered_size })
    }

    /// Whether pages can have items of others: the first item of an offset is the last of the page
    /// before, and a page is read again if the list moves.
    pub(super) const fn overlaps(&self) -> bool {
        matches!(self.by, By::Place(_))
    }

    /// The request for the first page.
    pub(super) fn first(&self, mut ask: Ask) -> Ask {
        if let (Some(name), Some(size)) = (&self.size_parameter, self.size) {
            let place = match &self.by {
                By::Place(paging) => paging.place,
                By::Cursor(_, _, place) => *place,
                By::Link(_) | By::LinkHeader => Place::Query,
            };
            ask = ask.setting(place, name, &size.to_string());
        }
        match &self.by {
            By::Place(paging) => ask.paged_by(paging.clone()),
            _ => ask,
        }
    }

    /// The paths whose values show that an answer is the documented one.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        let stop = match &self.stop {
            Stop::ShortPage | Stop::EmptyPage => &[],
            Stop::Total(paths) => paths.as_slice(),
            Stop::Pages(path) | Stop::More(path) => std::slice::from_ref(path),
        };
        stop.iter().chain(self.next_path()).chain(&self.answered_size)
    }

    /// Where the cursor or the link to the next page is.
    pub(super) const fn next_path(&self) -> Option<&Path> {
        match &self.by {
            By::Cursor(path, ..) | By::Link(path) => Some(path),
            By::Place(_) | By::LinkHeader => None,
        }
    }

    /// The number of all items, if the answer tells it.
    pub(super) fn total(&self, root: &RawValue) -> Option<u64> {
        let Stop::Total(paths) = &self.stop else {
            return None;
        };
        // of several, none is known to be that of the list
        let [path] = paths.as_slice() else {
            return None;
        };
        scalar(&path.raw_value(root)?).count(path.field(), &mut Problems::default())
    }

    /// What follows a page with `items`.
    pub(super) fn next(
        &self,
        ask: &Ask,
        answer: &Answer,
        root: &RawValue,
        items: usize,
        problems: &mut Problems,
    ) -> Result<Next, PollError> {
        let followed = |mut next: Ask, mark: String| {
            next.part = ask.part;
            next.offset = ask.offset + items;
            Next::Request(Box::new(next), mark)
        };
        if items == 0 && matches!(self.stop, Stop::EmptyPage) {
            return Ok(Next::Nothing);
        }
        Ok(match &self.by {
            By::Place(paging) => {
                if self.has_more(ask, paging, answer, root, items, problems)? {
                    Next::Place
                } else {
                    Next::Nothing
                }
            }
            By::Cursor(path, name, place) => match next_word(path, answer, root)? {
                Some(cursor) => followed(ask.clone().setting(*place, name, &cursor), cursor),
                None => Next::Nothing,
            },
            By::Link(path) => match next_word(path, answer, root)? {
                Some(href) => followed(linked(ask, &href), href),
                None => Next::Nothing,
            },
            By::LinkHeader => {
                let mut links = answer.headers.get_all(LINK).iter();
                let next = links.find_map(|link| {
                    next_link(&String::from_utf8_lossy(link.as_bytes())).map(str::to_owned)
                });
                match next {
                    Some(href) => followed(linked(ask, &href), href),
                    None => Next::Nothing,
                }
            }
        })
    }

    fn has_more(
        &self,
        ask: &Ask,
        paging: &source::Paging,
        answer: &Answer,
        root: &RawValue,
        items: usize,
        problems: &mut Problems,
    ) -> Result<bool, PollError> {
        let mut number = |path: &Path| {
            let value = path.raw_value(root)?;
            scalar(&value).count(path.field(), problems)
        };
        // a page has as many items as it says, not as many as were asked for
        let size = self.answered_size.as_ref().and_then(&mut number);
        let size = size.and_then(|size| usize::try_from(size).ok());
        let size = size.filter(|size| *size > 0).unwrap_or(paging.size);
        let is_short = items < size;
        let page = ask.offset / paging.size.max(1);
        let received = match paging.first_page {
            Some(_) => ask.received.saturating_add(items),
            None => ask.offset.saturating_add(items),
        };
        // a page can be empty because its items are hidden, but no offset leads past it
        let can_be_empty = paging.first_page.is_some()
            && match &self.stop {
                Stop::Pages(_) => true,
                Stop::More(path) => path.raw_value(root).is_some(),
                _ => false,
            };
        if items == 0 && !can_be_empty {
            return Ok(false);
        }
        Ok(match &self.stop {
            Stop::EmptyPage => true,
            Stop::ShortPage => !is_short,
            // a number that is less than what was received already says nothing about the end
            Stop::Total(paths) => {
                let totals = paths.iter().filter_map(number);
                let totals: Vec<_> = totals.filter(|total| *total >= received as u64).collect();
                let totals = totals.into_iter();
                let total = if is_short { totals.min() } else { totals.max() };
                total.map_or(!is_short, |total| (received as u64) < total)
            }
            Stop::Pages(path) => {
                let pages = number(path).filter(|pages| *pages > page as u64);
                pages.map_or(!is_short, |pages| ((page + 1) as u64) < pages)
            }
            Stop::More(path) => match path.raw_value(root).map(|value| scalar(&value)) {
                None if self.size.is_some() => !is_short,
                value => {
                    let truth = value.as_ref().and_then(Scalar::truth);
                    truth.ok_or_else(|| {
                        let found = value.unwrap_or_default();
                        odd(answer, path, &found, "true or false, or a `size` of pages without it")
                    })?
                }
            },
        })
    }
}

/// The cursor or the link at a path; `None` after the last page. Anything else would end the list early.
fn next_word(path: &Path, answer: &Answer, root: &RawValue) -> Result<Option<String>, PollError> {
    let Some(text) = path.raw_text(root) else {
        let is_blocked = serde_json::from_str(root.get()).is_ok_and(|root| path.is_blocked(&root));
        if is_blocked {
            let detail = "a member on the way is no object";
            return Err(answer.lacking(&format!("a readable `{}`", path.text()), detail));
        }
        return Ok(None);
    };
    match serde_json::from_str(text).unwrap_or(Scalar::Other) {
        Scalar::Absent | Scalar::Bool(false) | Scalar::Whole(0) => Ok(None),
        // with all its digits
        Scalar::Whole(_) | Scalar::Number(_) => Ok(Some(text.to_owned())),
        Scalar::Text(text) => Ok(Some(text).filter(|text| !text.trim().is_empty())),
        other => Err(odd(answer, path, &other, "what leads to the next page")),
    }
}

fn odd(answer: &Answer, path: &Path, found: &Scalar, expected: &str) -> PollError {
    answer
        .lacking(&format!("a readable `{}`", path.text()), &format!("{found}; expected {expected}"))
}

/// Reads one or more paths without a filter.
pub(super) fn read_paths(mapping: &mut Mapping<'_, '_>, key: &str) -> Vec<Path> {
    let mut paths = Vec::new();
    for (path, node) in mapping.one_or_more(key) {
        let parsed = match &node.value {
            Node::Text(text) => Path::parse_plain(text),
            _ => Err("expected a path".to_owned()),
        };
        match parsed {
            Ok(parsed) => paths.push(parsed),
            Err(message) => mapping.reader().problem(&path, node, message),
        }
    }
    paths
}

fn read_place(mapping: &mut Mapping<'_, '_>, request: &Request) -> Place {
    let place = mapping.parsed("in", |text| match text {
        "query" => Ok(Place::Query),
        "body" if request.has_body() => Ok(Place::Body),
        "body" => Err("the request has no body".to_owned()),
        other => Err(format!("unknown place {other:?}; expected query or body")),
    });
    place.unwrap_or(Place::Query)
}

fn read_stop(mapping: &mut Mapping<'_, '_>) -> Stop {
    let default = Stop::ShortPage;
    match mapping.node("stop").map(|node| &node.value) {
        Some(Node::Map(_)) => {
            let stop = mapping.mapping("stop", &STOP, |mapping| {
                let totals = read_paths(mapping, "total");
                let total = (!totals.is_empty()).then_some(Stop::Total(totals));
                let pages = mapping.parsed("pages", Path::parse_plain).map(Stop::Pages);
                let more = mapping.parsed("more", Path::parse_plain).map(Stop::More);
                let mut stops = [total, pages, more].into_iter().flatten();
                let stop = stops.next();
                if stops.next().is_some() {
                    mapping.problem("", "has more than one of: total, pages, more");
                }
                stop
            });
            stop.flatten().unwrap_or(default)
        }
        Some(_) => {
            let stop = mapping.parsed("stop", |text| match text {
                "short_page" => Ok(Stop::ShortPage),
                "empty_page" => Ok(Stop::EmptyPage),
                other => Err(format!(
                    "unknown condition {other:?}; expected short_page, empty_page, or a mapping with \
                     total, pages or more"
                )),
            });
            stop.unwrap_or(default)
        }
        None => default,
    }
}

/// The request for a link of an answer. It has to stay below the first segment of the path.
fn linked(ask: &Ask, href: &str) -> Ask {
    let mut next = Ask::link(href, "/");
    next.body.clone_from(&ask.body);
    next
}

/// The target of a `Link` header with the relation `next`. Targets have commas and semicolons of their own.
fn next_link(header: &str) -> Option<&str> {
    header.split('<').find_map(|link| {
        let (target, parameters) = link.split_once('>')?;
        let is_next = parameters.split([';', ',']).any(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let mut relations = value.trim().trim_matches('"').split_whitespace();
            name.trim().eq_ignore_ascii_case("rel")
                && relations.any(|relation| relation.eq_ignore_ascii_case("next"))
        });
        is_next.then_some(target)
    })
}

/// Reads fixed headers.
pub(super) fn headers(
    mapping: &mut Mapping<'_, '_>,
    settings: &[String],
) -> Vec<(HeaderName, Template)> {
    let mut headers = Vec::new();
    for (name, text) in texts(mapping, "headers", settings) {
        match HeaderName::from_bytes(name.as_bytes()) {
            Ok(name) => headers.push((name, text)),
            Err(_) => mapping.problem("headers", format!("{name:?} is not the name of a header")),
        }
    }
    headers
}

/// A header's value of a template.
pub(super) fn header_value(template: &Template, settings: &Variables) -> Option<HeaderValue> {
    HeaderValue::from_str(&template.render(settings)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_header_has_commas_and_semicolons() {
        for (header, expected) in [
            (
                r#"<https://x.example/c?f=a,b&page=2>; rel="next""#,
                Some("https://x.example/c?f=a,b&page=2"),
            ),
            (
                r#"</c;v=1?p=1>; rel="prev", </c;v=1?p=3>; title="a, b"; rel="last next""#,
                Some("/c;v=1?p=3"),
            ),
            (r#"</a>; rel=prev,</b>;REL=Next , </d>; rel="last""#, Some("/b")),
            (r#"</a>; rel="first", </b>; rel="nextish""#, None),
            ("rel=next", None),
            ("", None),
        ] {
            assert_eq!(next_link(header), expected, "{header}");
        }
    }
}
