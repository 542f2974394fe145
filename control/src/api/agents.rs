use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::extract::{Body, IfMatch, Path, Query, Tagged};
use super::page::{FIRST, Page, Paging, gather};
use crate::agents::{self, Agent, AgentDetails};
use crate::app::App;
use crate::audit::Caller;
use crate::error::Result;
use crate::groups;
use crate::hub::EVERY_CONNECTION;
use crate::roles::Permission;
use crate::selector::Labels;
use crate::store::{Row, Tx};

/// Lists agents.
#[utoipa::path(get, path = "/agents", tag = "agents", params(Paging), responses((status = 200, body = Page<Agent>)))]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<Agent>>> {
    caller.require(Permission::View)?;
    let (limit, after) = (paging.limit()?, paging.cursor(FIRST)?);
    let read = app.db.read(move |tx| {
        let fetch = |tx: &mut dyn Tx, after: &str| agents::rows(tx, after, limit);
        let is_seen = |_: &mut dyn Tx, row: &Row| Ok(caller.sees(&agents::labels_of(row, [2, 14, 3])));
        Ok((gather(tx, limit, &after, fetch, |row| row.text(0), is_seen)?, tx.clock()?))
    });
    let (rows, now) = read.await?;
    let found = rows.iter().map(|row| agents::agent(row, app.hub.seen(&row.text(0)), now)).collect();
    Ok(Json(Page::new(found, limit, |agent: &Agent| agent.id.clone())))
}

async fn details(app: &App, caller: Caller, id: String) -> Result<Tagged<AgentDetails>> {
    let (row, failures, now) = app
        .db
        .read(move |tx| Ok((agents::row_for(tx, &caller, &id)?, agents::failures(tx, &id)?, tx.clock()?)))
        .await?;
    let agent = agents::agent(&row, app.hub.seen(&row.text(0)), now);
    let (health, components, connection_settings) = (row.json(16), row.json(18), row.json(19));
    let effective_config = row.maybe_text(17);
    let operator_labels = agents::labels_of(&row, [3, usize::MAX, usize::MAX]);
    let revision = agent.revision;
    let details = AgentDetails {
        agent,
        operator_labels,
        health,
        effective_config,
        connection_settings,
        components,
        failures,
    };
    Ok(Tagged::more(revision, details))
}

/// Tells of an agent: health, effective configuration, components, failures.
#[utoipa::path(get, path = "/agents/{id}", tag = "agents", params(("id" = String, Path)),
    responses((status = 200, body = AgentDetails)))]
pub(crate) async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Tagged<AgentDetails>> {
    caller.require(Permission::View)?;
    details(&app, caller, id).await
}

/// Sets the labels that operators give an agent; it may come to another group by that.
#[utoipa::path(put, path = "/agents/{id}/labels", tag = "agents", params(("id" = String, Path), ("If-Match" = String, Header)),
    request_body = Labels, responses((status = 200, body = AgentDetails)))]
pub(crate) async fn label(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    seen: IfMatch,
    Body(labels): Body<Labels>,
) -> Result<Tagged<AgentDetails>> {
    caller.require(Permission::Deploy)?;
    let (seen, of, who) = (seen.required()?, id.clone(), caller.clone());
    let labelled = app.db.write_at(move |tx, now| {
        groups::require_moving(tx, &caller)?;
        agents::label(tx, &caller, now, &of, &seen, &labels)
    });
    labelled.await?;
    app.hub.changed();
    details(&app, who, id).await
}

/// Changes what an agent is let in with, and ends its connection, be it one that is about to be.
async fn change_and_expel(
    app: &App,
    caller: Caller,
    id: String,
    change: fn(&mut dyn Tx, &Caller, i64, &str) -> Result<()>,
) -> Result<()> {
    caller.require(Permission::Administer)?;
    let of = id.clone();
    app.db.write_at(move |tx, now| change(tx, &caller, now, &of)).await?;
    app.hub.expel(&id, EVERY_CONNECTION);
    Ok(())
}

/// Locks an agent out, and ends its connection.
#[utoipa::path(post, path = "/agents/{id}/revoke", tag = "agents", params(("id" = String, Path)), responses((status = 204)))]
pub(crate) async fn revoke(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode> {
    change_and_expel(&app, caller, id, agents::revoke).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Forgets the credential of an agent and ends its connection; it enrols again with a token. For one that lost its
/// storage, or whose credential may be known to others.
#[utoipa::path(delete, path = "/agents/{id}/credential", tag = "agents", params(("id" = String, Path)), responses((status = 204)))]
pub(crate) async fn forget_credential(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode> {
    change_and_expel(&app, caller, id, agents::forget_credential).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives an agent another credential: its connection ends, and it gets one when it comes back. The former one counts
/// until the new one was shown.
#[utoipa::path(post, path = "/agents/{id}/credential/rotation", tag = "agents", params(("id" = String, Path)), responses((status = 202)))]
pub(crate) async fn rotate_credential(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode> {
    change_and_expel(&app, caller, id, agents::rotate_credential).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Forgets which configurations failed on an agent, so that they are offered again.
#[utoipa::path(delete, path = "/agents/{id}/failures", tag = "agents", params(("id" = String, Path)), responses((status = 204)))]
pub(crate) async fn forgive(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode> {
    caller.require(Permission::Deploy)?;
    app.db.write_at(move |tx, now| agents::forgive(tx, &caller, now, &id)).await?;
    app.hub.changed();
    Ok(StatusCode::NO_CONTENT)
}
