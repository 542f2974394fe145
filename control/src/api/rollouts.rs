use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::extract::{Body, IfMatch, Path, Query, Tagged};
use super::page::{Page, Paging, newest_where};
use crate::app::App;
use crate::audit::Caller;
use crate::components::{self, Components};
use crate::configurations;
use crate::error::{Error, Result};
use crate::instances;
use crate::roles::Permission;
use crate::rollouts::{self, Gates, Order, Progress, Rollout, Stage};
use crate::validation;

/// A rollout as it is asked for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRollout {
    /// To which group.
    group_id: String,
    /// Which version.
    version_id: String,
    /// Its steps; everybody at once without.
    #[serde(default = "at_once")]
    stages: Vec<Stage>,
    /// When it is stopped.
    #[serde(default)]
    gates: Gates,
    /// Starts it although agents of the group say that they lack components of the version: it will fail on them.
    #[serde(default)]
    allow_missing_components: bool,
}

fn at_once() -> Vec<Stage> {
    vec![Stage { percent: 100, soak_seconds: 0 }]
}

/// A rollout, and how its agents are.
#[derive(Serialize, ToSchema)]
pub(crate) struct RolloutDetails {
    /// The rollout.
    #[serde(flatten)]
    rollout: Rollout,
    /// How its agents are.
    progress: Progress,
}

/// Lists rollouts, the newest first.
#[utoipa::path(get, path = "/rollouts", tag = "rollouts", params(Paging), responses((status = 200, body = Page<Rollout>)))]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<Rollout>>> {
    caller.require(Permission::View)?;
    newest_where(&app, &paging, move |tx, rollout: &Rollout| rollout.is_seen(tx, &caller)).await
}

/// The components that a version needs; none where there is no such version, which is found out later.
async fn needed(app: &App, version_id: &str) -> Result<Components> {
    let of = version_id.to_owned();
    match app.db.read(move |tx| configurations::layers(tx, &of)).await {
        Ok(layers) => Ok(components::needed(&validation::check_off_the_runtime(layers).await?.1.json)),
        Err(Error::NotFound(_)) => Ok(Components::new()),
        Err(error) => Err(error),
    }
}

/// Starts a rollout. Where the group requires approval, it waits for a second person.
#[utoipa::path(post, path = "/rollouts", tag = "rollouts", request_body = NewRollout,
    responses((status = 202, body = Rollout)))]
pub(crate) async fn start(
    State(app): State<App>,
    caller: Caller,
    Body(new): Body<NewRollout>,
) -> Result<Tagged<Rollout>> {
    caller.require(Permission::Deploy)?;
    let needed = match new.allow_missing_components {
        true => Components::new(),
        false => needed(&app, &new.version_id).await?,
    };
    let (instance, here) = (app.instance.clone(), app.hub.connected());
    let started = app
        .db
        .write(move |tx| {
            let connected = instances::connected(tx, &instance, &here)?;
            let (group, version, now) = (&new.group_id, &new.version_id, tx.clock()?);
            if !needed.is_empty() {
                components::require(&components::lacking(tx, group, &needed)?)?;
            }
            rollouts::start(tx, &caller, now, group, version, &new.stages, &new.gates, &connected)
        })
        .await?;
    app.hub.changed();
    Ok(Tagged::accepted(started))
}

/// Tells of a rollout and how its agents are.
#[utoipa::path(get, path = "/rollouts/{id}", tag = "rollouts", params(("id" = String, Path)),
    responses((status = 200, body = RolloutDetails)))]
pub(crate) async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Tagged<RolloutDetails>> {
    caller.require(Permission::View)?;
    let (instance, here) = (app.instance.clone(), app.hub.connected());
    let (rollout, progress) = app
        .db
        .read(move |tx| {
            let connected = instances::connected(tx, &instance, &here)?;
            let rollout = rollouts::find_for(tx, &caller, &id)?;
            let seen = rollouts::observe(tx, &rollout, &connected)?;
            Ok((rollout, seen.progress))
        })
        .await?;
    Ok(Tagged::more(rollout.revision, RolloutDetails { rollout, progress }))
}

/// What is to become of a rollout.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewOrder {
    /// What.
    order: Order,
}

/// Pauses a rollout, resumes it, takes it back, or approves one that somebody else started.
#[utoipa::path(post, path = "/rollouts/{id}/orders", tag = "rollouts",
    params(("id" = String, Path), ("If-Match" = Option<String>, Header)), request_body = NewOrder,
    responses((status = 200, body = Rollout)))]
pub(crate) async fn order(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    seen: IfMatch,
    Body(asked): Body<NewOrder>,
) -> Result<Tagged<Rollout>> {
    caller.require(Permission::Deploy)?;
    let seen = seen.given();
    let (instance, here) = (app.instance.clone(), app.hub.connected());
    let after = app
        .db
        .write_at(move |tx, now| {
            let connected = instances::connected(tx, &instance, &here)?;
            rollouts::order(tx, &caller, now, &id, &seen, asked.order, &connected)
        })
        .await?;
    app.hub.changed();
    Ok(Tagged::ok(after))
}
