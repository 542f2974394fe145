use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::extract::{Body, IfMatch, Path, Query, Tagged};
use super::page::{Page, Paging, page_where};
use crate::app::App;
use crate::audit::Caller;
use crate::error::Result;
use crate::roles::Permission;
use crate::schedules::{self, NewSchedule, Schedule, ScheduleChange};

/// Lists schedules.
#[utoipa::path(get, path = "/schedules", tag = "tasks", params(Paging), responses((status = 200, body = Page<Schedule>)))]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<Schedule>>> {
    caller.require(Permission::View)?;
    page_where(&app, &paging, move |tx, schedule: &Schedule| schedule.is_seen(tx, &caller)).await
}

/// Has agents do a task again and again.
#[utoipa::path(post, path = "/schedules", tag = "tasks", request_body = NewSchedule,
    responses((status = 201, body = Schedule)))]
pub(crate) async fn create(
    State(app): State<App>,
    caller: Caller,
    Body(new): Body<NewSchedule>,
) -> Result<Tagged<Schedule>> {
    caller.require(Permission::Deploy)?;
    let made = app.db.write_at(move |tx, now| schedules::create(tx, &caller, now, &new)).await?;
    app.hub.work_came();
    Ok(Tagged::created(made))
}

/// Tells of a schedule.
#[utoipa::path(get, path = "/schedules/{id}", tag = "tasks", params(("id" = String, Path)),
    responses((status = 200, body = Schedule)))]
pub(crate) async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Tagged<Schedule>> {
    caller.require(Permission::View)?;
    Ok(Tagged::ok(app.db.read(move |tx| schedules::find_for(tx, &caller, &id)).await?))
}

/// Changes a schedule, or stops it for a while.
#[utoipa::path(patch, path = "/schedules/{id}", tag = "tasks", params(("id" = String, Path), ("If-Match" = String, Header)),
    request_body = ScheduleChange, responses((status = 200, body = Schedule)))]
pub(crate) async fn change(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    seen: IfMatch,
    Body(change): Body<ScheduleChange>,
) -> Result<Tagged<Schedule>> {
    caller.require(Permission::Deploy)?;
    let seen = seen.required()?;
    let after =
        app.db.write_at(move |tx, now| schedules::change(tx, &caller, now, &id, &seen, &change)).await?;
    app.hub.work_came();
    Ok(Tagged::ok(after))
}

/// Removes a schedule; tasks that it gave stay.
#[utoipa::path(delete, path = "/schedules/{id}", tag = "tasks", params(("id" = String, Path), ("If-Match" = String, Header)),
    responses((status = 204)))]
pub(crate) async fn remove(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    seen: IfMatch,
) -> Result<StatusCode> {
    caller.require(Permission::Deploy)?;
    let seen = seen.required()?;
    app.db.write_at(move |tx, now| schedules::remove(tx, &caller, now, &id, &seen)).await?;
    Ok(StatusCode::NO_CONTENT)
}
