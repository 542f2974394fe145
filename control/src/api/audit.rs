use axum::Json;
use axum::extract::State;
use axum::http::HeaderName;
use axum::response::{IntoResponse as _, Response};

use super::extract::Query;
use super::page::{Page, Paging};
use crate::app::App;
use crate::args;
use crate::audit::{self, COLUMNS, Caller, Entry, Verification};
use crate::error::Result;
use crate::roles::Permission;

/// Lists the audit log, the newest first.
#[utoipa::path(get, path = "/audit", tag = "audit", params(Paging), responses((status = 200, body = Page<Entry>)))]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<Entry>>> {
    caller.require_everywhere(Permission::Administer)?;
    let (limit, before) = (paging.limit()?, paging.number(i64::MAX)?);
    let entries = app
        .db
        .read(move |tx| {
            let sql = format!("SELECT {COLUMNS} FROM audit WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2");
            Ok(tx.query(&sql, args![before, limit])?.iter().map(audit::entry).collect())
        })
        .await?;
    Ok(Json(Page::new(entries, limit, |entry: &Entry| entry.seq.to_string())))
}

/// Says where the next export goes on.
const NEXT: HeaderName = HeaderName::from_static("phoenix-next-cursor");

/// Exports the audit log as OTLP logs in JSON, the oldest first: a body that any OTLP/HTTP receiver takes at `/v1/logs`. The
/// header `phoenix-next-cursor` is the `cursor` to go on with, now or later.
#[utoipa::path(get, path = "/audit/otlp", tag = "audit", params(Paging),
    responses((status = 200, body = serde_json::Value, description = "an ExportLogsServiceRequest")))]
pub(crate) async fn export(
    State(app): State<App>,
    caller: Caller,
    Query(paging): Query<Paging>,
) -> Result<Response> {
    caller.require_everywhere(Permission::Administer)?;
    let (limit, after) = (paging.limit()?, paging.number(0)?);
    let sql = format!("SELECT {COLUMNS} FROM audit WHERE seq > ?1 ORDER BY seq LIMIT ?2");
    let rows = app.db.read(move |tx| tx.query(&sql, args![after, limit])).await?;
    let next = rows.last().map_or(after, |row| row.int(0));
    let body = audit::export(rows.iter().map(audit::log_record).collect());
    Ok(([(NEXT, next.to_string())], Json(body)).into_response())
}

/// Checks that the audit log is as it was written.
#[utoipa::path(get, path = "/audit/verification", tag = "audit", responses((status = 200, body = Verification)))]
pub(crate) async fn verify(State(app): State<App>, caller: Caller) -> Result<Json<Verification>> {
    caller.require_everywhere(Permission::Administer)?;
    Ok(Json(app.db.read(|tx| audit::verify(tx)).await?))
}
