//! What happened to one thing: its part of the audit log, for whoever may see the thing.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::extract::Query;
use super::page::Page;
use crate::app::App;
use crate::audit::{self, Caller, Entry};
use crate::error::{Error, Result};
use crate::roles::Permission;
use crate::store::Tx;
use crate::{agents, groups, rollouts, schedules, tasks};

/// Events of a page where nobody says how many, and at most.
const DEFAULT_LIMIT: i64 = 100;
const MAX_LIMIT: i64 = 500;

/// Of what, and which part.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    /// The identifier of an agent, a group, a configuration, a template, a rollout, a task or a schedule; for
    /// administrators also of a user, a key or a token.
    #[param(max_length = 200)]
    of: String,
    /// Events at most, 1 to 500; 100 without.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<i64>,
    /// `next_cursor` of the page before.
    #[param(max_length = 20)]
    cursor: Option<String>,
}

/// Something that happened.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Event {
    /// Its number in the audit log.
    seq: i64,
    /// When.
    at: String,
    /// Who did it.
    actor: String,
    /// What, for example `rollout.stage`.
    action: String,
    /// To what: the thing, or a version of it.
    target: String,
    /// The request.
    request_id: String,
}

impl From<Entry> for Event {
    fn from(entry: Entry) -> Event {
        let Entry { seq, at, actor, action, target, request_id, .. } = entry;
        Event { seq, at, actor, action, target, request_id }
    }
}

/// Refuses who may not see the thing; what is no longer there was seen by everybody, or is an administrator's.
fn require_sight(tx: &mut dyn Tx, caller: &Caller, id: &str) -> Result<()> {
    match id.split_once('_').map(|(kind, _)| kind) {
        Some("cfg" | "tpl") => Ok(()),
        Some("grp") => groups::find_for(tx, caller, id).map(|_| ()),
        Some("rol") => rollouts::find_for(tx, caller, id).map(|_| ()),
        Some("tsk") => tasks::find_for(tx, caller, id).map(|_| ()),
        Some("sch") => schedules::find_for(tx, caller, id).map(|_| ()),
        None => agents::row_for(tx, caller, id).map(|_| ()),
        Some(_) => caller.require_everywhere(Permission::Administer),
    }
}

/// Lists what happened to one thing, the newest first.
#[utoipa::path(get, path = "/events", tag = "audit", params(Asked), responses((status = 200, body = Page<Event>)))]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(asked): Query<Asked>,
) -> Result<Json<Page<Event>>> {
    caller.require(Permission::View)?;
    let limit = asked.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(Error::field("limit", format!("must be 1 to {MAX_LIMIT}")));
    }
    let before = match &asked.cursor {
        None => i64::MAX,
        Some(cursor) => cursor.parse().map_err(|_| Error::field("cursor", "is none that was given"))?,
    };
    let events = app.db.read(move |tx| {
        require_sight(tx, &caller, &asked.of)?;
        audit::of(tx, &asked.of, before, limit)
    });
    let events = events.await?.into_iter().map(Event::from).collect();
    Ok(Json(Page::new(events, limit, |event: &Event| event.seq.to_string())))
}
