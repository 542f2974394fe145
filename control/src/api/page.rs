//! Lists in pages.

use axum::Json;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::error::{Error, Result};
use crate::store::Tx;
use crate::store::record::{self, Record};

/// Most items of a page.
const MAX_LIMIT: i64 = 500;
/// Items of a page where nobody says how many.
const DEFAULT_LIMIT: i64 = 100;

/// Which part of a list.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Paging {
    /// Items at most, 1 to 500; 100 without.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<i64>,
    /// `next_cursor` of the page before.
    #[param(max_length = 200)]
    cursor: Option<String>,
}

impl Paging {
    /// How many.
    pub(crate) fn limit(&self) -> Result<i64> {
        match self.limit.unwrap_or(DEFAULT_LIMIT) {
            limit @ 1..=MAX_LIMIT => Ok(limit),
            _ => Err(Error::field("limit", format!("must be 1 to {MAX_LIMIT}"))),
        }
    }

    /// Behind which; `start` without.
    pub(crate) fn cursor(&self, start: &str) -> Result<String> {
        match &self.cursor {
            None => Ok(start.to_owned()),
            Some(cursor) if is_identifier(cursor) => Ok(cursor.clone()),
            Some(_) => Err(Error::field("cursor", "is none that was given")),
        }
    }

    /// The same for lists by number.
    pub(crate) fn number(&self, start: i64) -> Result<i64> {
        match &self.cursor {
            None => Ok(start),
            Some(cursor) => {
                let number = cursor.parse().ok().filter(|number: &i64| number.to_string() == *cursor);
                number.ok_or_else(|| Error::field("cursor", "is none that was given"))
            }
        }
    }
}

/// Whether a text looks like what records are known by.
fn is_identifier(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    (1..=200).contains(&text.len()) && text.bytes().all(is_part)
}

/// A cursor before everything, and one behind everything.
pub(crate) const FIRST: &str = "";
pub(crate) const LAST: &str = "~";

/// Part of a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Page<T> {
    /// The items.
    items: Vec<T>,
    /// What to send as `cursor` for the items behind them; none where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// The same places with other items.
    pub(crate) fn map<U>(self, change: impl Fn(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(change).collect(), next_cursor: self.next_cursor }
    }

    /// A page of at most `limit` items, each with its place in the list.
    pub(crate) fn new(items: Vec<T>, limit: i64, place: impl Fn(&T) -> String) -> Page<T> {
        let is_full = items.len() as i64 >= limit;
        let next_cursor = items.last().filter(|_| is_full).map(place);
        Page { items, next_cursor }
    }
}

/// A page of a list that is there as a whole.
pub(crate) fn page_of<T>(
    all: Vec<T>,
    paging: &Paging,
    place: impl Fn(&T) -> String,
) -> Result<Json<Page<T>>> {
    let (limit, after) = (paging.limit()?, paging.cursor(FIRST)?);
    let from = match after.as_str() {
        FIRST => 0,
        after => all.iter().position(|one| place(one) == after).map_or(all.len(), |last| last + 1),
    };
    let count = usize::try_from(limit).unwrap_or(usize::MAX);
    Ok(Json(Page::new(all.into_iter().skip(from).take(count).collect(), limit, place)))
}

/// A page of records, the oldest first.
pub(crate) async fn page<T: Record + Send + 'static>(app: &App, paging: &Paging) -> Result<Json<Page<T>>> {
    page_where(app, paging, |_, _: &T| Ok(true)).await
}

/// A page of those records that the caller is to see, the oldest first.
pub(crate) async fn page_where<T: Record + Send + 'static>(
    app: &App,
    paging: &Paging,
    is_seen: impl Fn(&mut dyn Tx, &T) -> Result<bool> + Send + 'static,
) -> Result<Json<Page<T>>> {
    let (limit, after) = (paging.limit()?, paging.cursor(FIRST)?);
    let fetch = move |tx: &mut dyn Tx, after: &str| record::list::<T>(tx, after, limit);
    let found = app.db.read(move |tx| gather(tx, limit, &after, fetch, |one| one.id().to_owned(), &is_seen));
    Ok(Json(Page::new(found.await?, limit, |one| one.id().to_owned())))
}

/// So many items that are to be seen, from the pages of a list that holds others, too.
pub(crate) fn gather<T>(
    tx: &mut dyn Tx,
    limit: i64,
    start: &str,
    fetch: impl Fn(&mut dyn Tx, &str) -> Result<Vec<T>>,
    place: impl Fn(&T) -> String,
    is_seen: impl Fn(&mut dyn Tx, &T) -> Result<bool>,
) -> Result<Vec<T>> {
    let (mut found, mut from) = (Vec::new(), start.to_owned());
    loop {
        let batch = fetch(tx, &from)?;
        let is_last = (batch.len() as i64) < limit;
        if let Some(last) = batch.last() {
            from = place(last);
        }
        for one in batch {
            if is_seen(tx, &one)? {
                found.push(one);
                if found.len() as i64 == limit {
                    return Ok(found);
                }
            }
        }
        if is_last {
            return Ok(found);
        }
    }
}

/// A page of those records that the caller is to see, the newest first.
pub(crate) async fn newest_where<T: Record + Send + 'static>(
    app: &App,
    paging: &Paging,
    is_seen: impl Fn(&mut dyn Tx, &T) -> Result<bool> + Send + 'static,
) -> Result<Json<Page<T>>> {
    let (limit, before) = (paging.limit()?, paging.cursor(LAST)?);
    let fetch = move |tx: &mut dyn Tx, before: &str| record::newest::<T>(tx, before, limit);
    let found = app.db.read(move |tx| gather(tx, limit, &before, fetch, |one| one.id().to_owned(), &is_seen));
    Ok(Json(Page::new(found.await?, limit, |one| one.id().to_owned())))
}
