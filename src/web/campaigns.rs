//! The campaigns: the page that lists them, the page of one, and files for spreadsheets and programs.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::exposition::publisher::Published;
use crate::report::csv;
use crate::report::json;
use crate::report::record::Fields;
use crate::report::row::{Place, Row, rows};
use crate::report::summary::Summary;
use crate::state::campaigns::AccountCampaigns;
use crate::web::body::Body;
use crate::web::pages;
use crate::web::pages::campaigns::{Content, ROWS};
use crate::web::view::{Format, View};

/// How many requests select and sort campaigns at the same time. With 100,000 campaigns, each takes up
/// to a tenth of a second and some megabytes.
const CONCURRENT: usize = 2;

static SLOTS: Semaphore = Semaphore::const_new(CONCURRENT);

/// How many files are sent at the same time. Each keeps the campaigns of its request until the client has
/// read them: with 100,000 campaigns, some megabytes.
const MAX_FILES: usize = 8;

static FILES: Semaphore = Semaphore::const_new(MAX_FILES);

/// Campaigns in a chunk of a file: a millisecond of work, so that scrapes do not wait.
const CHUNK: usize = 100;

/// A response to a request for campaigns.
#[derive(Debug)]
pub enum Answer {
    /// A page.
    Page(String),
    /// A file: its content type, its disposition, and its body.
    File(&'static str, &'static str, Body),
    /// What the request asks for does not exist.
    NotFound(String),
    /// The request has an error.
    Invalid(String),
    /// Too many files are being sent.
    Busy,
    /// The answer could not be made.
    Failed(String),
}

/// Runs work that would delay scrapes.
pub async fn apart(work: impl FnOnce() -> Answer + Send + 'static) -> Answer {
    let Ok(slot) = SLOTS.acquire().await else { return Answer::Busy };
    let done = tokio::task::spawn_blocking(move || {
        // kept while it works, even if the client is gone
        let _slot = slot;
        work()
    });
    done.await.unwrap_or_else(|error| Answer::Failed(error.to_string()))
}

/// Lists the campaigns that a query selects.
pub fn list(published: &Arc<Published>, telemetry_path: &str, query: &str) -> Answer {
    let mut view = match View::read(query) {
        Ok(view) => view,
        Err(problem) => return Answer::Invalid(problem),
    };
    let accounts = &published.campaigns;
    if let Some(name) =
        view.filter.account.as_ref().filter(|_| !accounts.iter().any(|it| view.filter.has(it)))
    {
        return Answer::NotFound(format!("Unknown account {name:?}."));
    }
    let now = Utc::now();
    let mut places = view.filter.select(accounts, now);
    let pages = places.len().div_ceil(ROWS).max(1);
    view.page = view.page.clamp(1, pages);
    let end = match view.format {
        Format::Html => view.page * ROWS,
        Format::Csv | Format::Json => usize::MAX,
    };
    view.sort.sort(view.descending, accounts, &mut places, end);
    if view.format == Format::Html {
        let shown = places.iter().skip(end - ROWS).take(ROWS);
        let content = Content {
            summary: Summary::of(accounts, &view.filter, now),
            rows: shown.filter_map(|place| place.row(accounts)).collect(),
            found: places.len(),
            view: &view,
            accounts,
            now,
        };
        return Answer::Page(pages::campaigns::page(telemetry_path, &content));
    }
    let Ok(permit) = FILES.try_acquire() else { return Answer::Busy };
    let file =
        File { accounts: Arc::clone(accounts), fields: Fields::of(accounts), _permit: permit };
    let answer = match view.format {
        Format::Json => file.json(places, &view, now),
        Format::Csv | Format::Html => file.csv(places),
    };
    answer.unwrap_or_else(Answer::Failed)
}

/// Shows the campaign that a query names.
pub fn detail(published: &Arc<Published>, telemetry_path: &str, query: &str) -> Answer {
    let (mut account, mut id) = (None, None);
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        match key.as_ref() {
            "account" => account = Some(value.into_owned()),
            "id" => id = Some(value.into_owned()),
            _ => {
                return Answer::Invalid(format!(
                    "Unsupported parameter {key}; expected account and id."
                ));
            }
        }
    }
    let Some((account, id)) = account.zip(id) else {
        return Answer::Invalid("The parameters account and id are required.".to_owned());
    };
    let mut rows = rows(&published.campaigns);
    let found = rows.find(|(_, row)| row.account.account == account && row.campaign.id == id);
    match found {
        Some((_, row)) => Answer::Page(pages::campaign::page(telemetry_path, row, Utc::now())),
        None => Answer::NotFound("No such campaign. Its provider may have removed it.".to_owned()),
    }
}

/// What is needed to make the chunks of a file.
struct File {
    accounts: Arc<[AccountCampaigns]>,
    fields: Fields,
    _permit: SemaphorePermit<'static>,
}

impl File {
    /// Borrows the whole file, so that the chunks keep the permit.
    fn rows(&self, places: &[Place]) -> impl Iterator<Item = Row<'_>> {
        places.iter().filter_map(|place| place.row(&self.accounts))
    }

    fn csv(self, places: Vec<Place>) -> Result<Answer, String> {
        let header = csv::header(&self.fields).map_err(|error| error.to_string())?;
        let chunks = chunks(places).map_while(move |places| {
            // a vector takes all that is written
            csv::rows(&self.fields, self.rows(&places)).ok().map(Bytes::from)
        });
        let chunks = [Bytes::from(header)].into_iter().chain(chunks);
        let (content_type, disposition) =
            ("text/csv; charset=utf-8; header=present", "attachment; filename=\"campaigns.csv\"");
        Ok(Answer::File(content_type, disposition, Body::Chunks(Box::new(chunks))))
    }

    fn json(self, places: Vec<Place>, view: &View, now: DateTime<Utc>) -> Result<Answer, String> {
        let summary = Summary::of(&self.accounts, &view.filter, now);
        let head = json::head(&summary.total, &summary.missing, view.filter.start(now), now);
        let head = head.map_err(|error| error.to_string())?;
        let mut separator = "";
        let chunks = chunks(places).map_while(move |places| {
            let mut text = String::new();
            for row in self.rows(&places) {
                text += std::mem::replace(&mut separator, ",\n");
                text += &json::record(&self.fields, row).ok()?;
            }
            Some(Bytes::from(text))
        });
        let tail = Bytes::from_static(json::TAIL.as_bytes());
        let chunks = [Bytes::from(head)].into_iter().chain(chunks).chain([tail]);
        Ok(Answer::File("application/json", "inline", Body::Chunks(Box::new(chunks))))
    }
}

fn chunks(places: Vec<Place>) -> impl Iterator<Item = Vec<Place>> {
    let mut places = places.into_iter();
    std::iter::from_fn(move || {
        let chunk: Vec<_> = places.by_ref().take(CHUNK).collect();
        (!chunk.is_empty()).then_some(chunk)
    })
}
