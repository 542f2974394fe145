//! Lists in pages.

use axum::Json;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::error::{Error, Result};
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
            Some(cursor) if cursor.len() <= 200 && cursor.is_ascii() => Ok(cursor.clone()),
            Some(_) => Err(Error::field("cursor", "is none that was given")),
        }
    }

    /// The same for lists by number.
    pub(crate) fn number(&self, start: i64) -> Result<i64> {
        match &self.cursor {
            None => Ok(start),
            Some(cursor) => cursor.parse().map_err(|_| Error::field("cursor", "is none that was given")),
        }
    }
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
    /// A page of at most `limit` items, each with its place in the list.
    pub(crate) fn new(items: Vec<T>, limit: i64, place: impl Fn(&T) -> String) -> Page<T> {
        let is_full = items.len() as i64 >= limit;
        let next_cursor = items.last().filter(|_| is_full).map(place);
        Page { items, next_cursor }
    }
}

/// A page of records, the oldest first.
pub(crate) async fn page<T: Record + Send + 'static>(app: &App, paging: &Paging) -> Result<Json<Page<T>>> {
    let (limit, after) = (paging.limit()?, paging.cursor(FIRST)?);
    let found = app.db.read(move |tx| record::list::<T>(tx, &after, limit)).await?;
    Ok(Json(Page::new(found, limit, |one| one.id().to_owned())))
}

/// A page of records, the newest first.
pub(crate) async fn newest<T: Record + Send + 'static>(app: &App, paging: &Paging) -> Result<Json<Page<T>>> {
    let (limit, before) = (paging.limit()?, paging.cursor(LAST)?);
    let found = app.db.read(move |tx| record::newest::<T>(tx, &before, limit)).await?;
    Ok(Json(Page::new(found, limit, |one| one.id().to_owned())))
}
