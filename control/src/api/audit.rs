use axum::Json;
use axum::extract::State;

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

/// Checks that the audit log is as it was written.
#[utoipa::path(get, path = "/audit/verification", tag = "audit", responses((status = 200, body = Verification)))]
pub(crate) async fn verify(State(app): State<App>, caller: Caller) -> Result<Json<Verification>> {
    caller.require_everywhere(Permission::Administer)?;
    Ok(Json(app.db.read(|tx| audit::verify(tx)).await?))
}
