use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::configurations::{Diff, compare};
use super::extract::{Body, IfMatch, Path, Query, Tagged};
use super::page::{Page, Paging, page_where};
use crate::agents;
use crate::app::App;
use crate::audit::Caller;
use crate::components::{self, Lack};
use crate::configurations::layers;
use crate::error::{Error, Result};
use crate::groups::{self, Assignment, Group, GroupChange};
use crate::roles::Permission;
use crate::validation;

/// A group as it is asked for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewGroup {
    /// Name, unique.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// Which agents, by labels: `env=prod,region!=eu`; all without.
    #[serde(default)]
    selector: String,
    /// An agent that several groups mean belongs to the one with the highest.
    #[serde(default)]
    priority: i64,
}

/// Lists groups.
#[utoipa::path(get, path = "/groups", tag = "groups", params(Paging), responses((status = 200, body = Page<Group>)))]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<Group>>> {
    caller.require(Permission::View)?;
    page_where(&app, &paging, move |_, group: &Group| group.is_seen(&caller)).await
}

/// Makes a group.
#[utoipa::path(post, path = "/groups", tag = "groups", request_body = NewGroup, responses((status = 201, body = Group)))]
pub(crate) async fn create(
    State(app): State<App>,
    caller: Caller,
    Body(new): Body<NewGroup>,
) -> Result<Tagged<Group>> {
    caller.require(Permission::Deploy)?;
    let made = app
        .db
        .write_at(move |tx, now| groups::create(tx, &caller, now, &new.name, &new.selector, new.priority))
        .await?;
    app.hub.changed();
    Ok(Tagged::created(made))
}

/// Tells of a group.
#[utoipa::path(get, path = "/groups/{id}", tag = "groups", params(("id" = String, Path)), responses((status = 200, body = Group)))]
pub(crate) async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Tagged<Group>> {
    caller.require(Permission::View)?;
    let found = app.db.read(move |tx| groups::find_for(tx, &caller, &id)).await?;
    Ok(Tagged::ok(found))
}

/// Changes a group. Agents that come to it by this get its version at once.
#[utoipa::path(patch, path = "/groups/{id}", tag = "groups", params(("id" = String, Path), ("If-Match" = String, Header)),
    request_body = GroupChange, responses((status = 200, body = Group)))]
pub(crate) async fn change(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    seen: IfMatch,
    Body(change): Body<GroupChange>,
) -> Result<Tagged<Group>> {
    caller.require(Permission::Deploy)?;
    let seen = seen.required()?;
    let after = app.db.write_at(move |tx, now| groups::change(tx, &caller, now, &id, &seen, &change)).await?;
    app.hub.changed();
    Ok(Tagged::ok(after))
}

/// Removes a group that never had a rollout.
#[utoipa::path(delete, path = "/groups/{id}", tag = "groups", params(("id" = String, Path), ("If-Match" = String, Header)),
    responses((status = 204)))]
pub(crate) async fn remove(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    seen: IfMatch,
) -> Result<StatusCode> {
    caller.require(Permission::Deploy)?;
    let seen = seen.required()?;
    app.db.write_at(move |tx, now| groups::remove(tx, &caller, now, &id, &seen)).await?;
    app.hub.changed();
    Ok(StatusCode::NO_CONTENT)
}

/// What is planned.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlanRequest {
    /// The version that the group would get.
    version_id: String,
}

/// What a rollout would change.
#[derive(Serialize, ToSchema)]
pub(crate) struct GroupPlan {
    /// Agents of the group, at most 1000.
    agents: Vec<String>,
    /// How many there are.
    agent_count: i64,
    /// Components that the version needs and agents of the group do not have, as they say.
    missing_components: Vec<Lack>,
    /// The hash by which agents know the version.
    offer_hash: String,
    /// What each of them would do.
    #[serde(flatten)]
    diff: Diff,
}

/// Tells what a version would change for a group, and changes nothing.
#[utoipa::path(post, path = "/groups/{id}/plan", tag = "groups", params(("id" = String, Path)), request_body = PlanRequest,
    responses((status = 200, body = GroupPlan)))]
pub(crate) async fn plan(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Body(asked): Body<PlanRequest>,
) -> Result<Json<GroupPlan>> {
    caller.require(Permission::View)?;
    let of = id.clone();
    let (agents, old, new) = app
        .db
        .read(move |tx| {
            let group = groups::find_for(tx, &caller, &id)?;
            let new = layers(tx, &asked.version_id)
                .map_err(|_| Error::field("version_id", "there is no such version"))?;
            let old = match &group.live_version_id {
                Some(version) => layers(tx, version)?,
                None => Vec::new(),
            };
            let assignment = Assignment::load(tx)?;
            let agents = agents::meant(tx, |labels| assignment.means(labels, &id))?;
            Ok((agents, old, new))
        })
        .await?;
    let offer_hash = validation::offer(&new).1;
    let needed = components::needed(&validation::check_off_the_runtime(new.clone()).await?.1.json);
    let missing_components = app.db.read(move |tx| components::lacking(tx, &of, &needed)).await?;
    let diff = compare(old, new).await?;
    let agent_count = agents.len() as i64;
    let agents = agents.into_iter().take(1000).collect();
    Ok(Json(GroupPlan { agents, agent_count, missing_components, offer_hash, diff }))
}
