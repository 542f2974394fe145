use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::extract::{Body, Path, Query};
use super::page::{LAST, Page, Paging, newest_where};
use crate::agents;
use crate::app::App;
use crate::audit::Caller;
use crate::error::{Error, Result};
use crate::roles::Permission;
use crate::store::Tx;
use crate::tasks::{self, NewTask, Task};

/// Lists tasks, the newest first.
#[utoipa::path(get, path = "/tasks", tag = "tasks", params(Paging), responses((status = 200, body = Page<Task>)))]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<Task>>> {
    caller.require(Permission::View)?;
    let who = caller.clone();
    let is_seen = move |tx: &mut dyn Tx, task: &Task| agents::is_seen(tx, &caller, &task.agent_id);
    let Json(page) = newest_where(&app, &paging, is_seen).await?;
    Ok(Json(page.map(|task: Task| task.shown_to(&who))))
}

/// Lists the tasks of an agent, the newest first.
#[utoipa::path(get, path = "/agents/{id}/tasks", tag = "tasks", params(("id" = String, Path), Paging),
    responses((status = 200, body = Page<Task>)))]
pub(crate) async fn of_agent(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<Task>>> {
    caller.require(Permission::View)?;
    let (limit, before) = (paging.limit()?, paging.cursor(LAST)?);
    let found = app.db.read(move |tx| {
        if !agents::is_seen(tx, &caller, &id)? {
            return Err(Error::NotFound(format!("agent {id}")));
        }
        let found = tasks::of_agent(tx, &id, &before, limit)?;
        Ok(found.into_iter().map(|task| task.shown_to(&caller)).collect())
    });
    let found = found.await?;
    Ok(Json(Page::new(found, limit, |task: &Task| task.id.clone())))
}

/// Gives an agent a task.
#[utoipa::path(post, path = "/agents/{id}/tasks", tag = "tasks", params(("id" = String, Path)), request_body = NewTask,
    responses((status = 202, body = Task)))]
pub(crate) async fn create(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Body(new): Body<NewTask>,
) -> Result<(StatusCode, Json<Task>)> {
    caller.require(Permission::Deploy)?;
    let made = app.db.write_at(move |tx, now| tasks::add(tx, &caller, now, &id, &new)).await?;
    app.hub.work_came();
    Ok((StatusCode::ACCEPTED, Json(made)))
}

/// Tells of a task.
#[utoipa::path(get, path = "/tasks/{id}", tag = "tasks", params(("id" = String, Path)), responses((status = 200, body = Task)))]
pub(crate) async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Task>> {
    caller.require(Permission::View)?;
    Ok(Json(app.db.read(move |tx| Ok(tasks::find_for(tx, &caller, &id)?.shown_to(&caller))).await?))
}

/// Puts a task back that failed for good.
#[utoipa::path(post, path = "/tasks/{id}/requeue", tag = "tasks", params(("id" = String, Path)), responses((status = 200, body = Task)))]
pub(crate) async fn requeue(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Task>> {
    caller.require(Permission::Deploy)?;
    let after = app.db.write_at(move |tx, now| tasks::requeue(tx, &caller, now, &id)).await?;
    app.hub.work_came();
    Ok(Json(after))
}

/// Takes a task back that is not under way.
#[utoipa::path(post, path = "/tasks/{id}/cancel", tag = "tasks", params(("id" = String, Path)), responses((status = 200, body = Task)))]
pub(crate) async fn cancel(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Task>> {
    caller.require(Permission::Deploy)?;
    Ok(Json(app.db.write_at(move |tx, now| tasks::cancel(tx, &caller, now, &id)).await?))
}
