//! The keys that the credentials of agents are signed with.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::extract::{Body, Query};
use super::page::{Page, Paging, page_of};
use crate::agents::credential::{self, SigningKey};
use crate::app::App;
use crate::audit::Caller;
use crate::error::Result;
use crate::roles::Permission;

/// The next key as it is asked for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSigningKey {
    /// Whether agents get credentials of the new key now: they are sent for them, a few at a time. Else each gets its next
    /// one when that is due.
    #[serde(default)]
    renew: bool,
}

/// Lists the keys, the newest first.
#[utoipa::path(get, path = "/signing-keys", tag = "credentials", params(Paging),
    responses((status = 200, body = Page<SigningKey>)))]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<SigningKey>>> {
    caller.require_everywhere(Permission::Administer)?;
    let read = app.db.read(|tx| {
        let now = tx.clock()?;
        credential::keys(tx, now)
    });
    page_of(read.await?, &paging, |key| key.id.clone())
}

/// Makes the next key before its time. Agents stay connected, and the credentials that they have go on to count.
#[utoipa::path(post, path = "/signing-keys", tag = "credentials", request_body = NewSigningKey, responses((status = 201, body = SigningKey)))]
pub(crate) async fn replace(
    State(app): State<App>,
    caller: Caller,
    Body(new): Body<NewSigningKey>,
) -> Result<(StatusCode, Json<SigningKey>)> {
    caller.require_everywhere(Permission::Administer)?;
    let made = app.db.write_at(move |tx, now| credential::replace_key(tx, &caller, now, new.renew)).await?;
    app.hub.changed();
    Ok((StatusCode::CREATED, Json(made)))
}
