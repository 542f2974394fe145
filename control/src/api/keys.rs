//! API keys, and the tokens that agents enrol with.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::extract::{Body, Path, Query};
use super::page::{Page, Paging, page, page_where};
use crate::agents::{self, EnrolmentToken};
use crate::app::App;
use crate::audit::Caller;
use crate::error::{Error, Result};
use crate::principals::{self, ApiKey, Grant, NewSecret};
use crate::roles::{Permission, Role};
use crate::selector::Labels;
use crate::time::parse_rfc3339;

/// A key as it is asked for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewKey {
    /// What it is for.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// What it may do.
    role: Role,
    /// With which agents, and groups of them, by labels: `env=prod`; with all without.
    #[serde(default)]
    scope: String,
    /// Until when it is good; for ever without.
    expires_at: Option<String>,
}

/// A token as it is asked for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewToken {
    /// What it is for.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// Labels that its agents get.
    #[serde(default)]
    labels: Labels,
    /// Until when it is good; for ever without.
    expires_at: Option<String>,
    /// How many agents may enrol with it; any number without.
    #[schema(minimum = 1)]
    max_uses: Option<i64>,
}

fn moment(text: Option<&String>) -> Result<Option<i64>> {
    let read = |text: &String| {
        parse_rfc3339(text).ok_or_else(|| Error::field("expires_at", "must be a moment as in RFC 3339"))
    };
    text.map(read).transpose()
}

/// Lists API keys.
#[utoipa::path(get, path = "/api-keys", tag = "credentials", params(Paging),
    responses((status = 200, body = Page<ApiKey>)))]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<ApiKey>>> {
    caller.require_everywhere(Permission::Administer)?;
    page::<ApiKey>(&app, &paging).await
}

/// Makes an API key; the answer alone holds its secret.
#[utoipa::path(post, path = "/api-keys", tag = "credentials", request_body = NewKey,
    responses((status = 201, body = NewSecret)))]
pub(crate) async fn create(
    State(app): State<App>,
    caller: Caller,
    Body(new): Body<NewKey>,
) -> Result<(StatusCode, Json<NewSecret>)> {
    caller.require_everywhere(Permission::Administer)?;
    let (expires_at, grant) = (moment(new.expires_at.as_ref())?, Grant::new(new.role, new.scope)?);
    let made = app
        .db
        .write_at(move |tx, now| principals::add_key(tx, &caller, now, &new.name, &grant, expires_at))
        .await?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// Revokes an API key.
#[utoipa::path(delete, path = "/api-keys/{id}", tag = "credentials", params(("id" = String, Path)),
    responses((status = 204)))]
pub(crate) async fn revoke(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode> {
    caller.require_everywhere(Permission::Administer)?;
    app.db.write_at(move |tx, now| principals::revoke_key(tx, &caller, now, &id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists enrolment tokens.
#[utoipa::path(get, path = "/enrolment-tokens", tag = "credentials", params(Paging),
    responses((status = 200, body = Page<EnrolmentToken>)))]
pub(crate) async fn list_tokens(
    State(app): State<App>,
    caller: Caller,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<EnrolmentToken>>> {
    caller.require(Permission::Administer)?;
    page_where(&app, &paging, move |_, token: &EnrolmentToken| Ok(caller.sees(&token.labels))).await
}

/// Makes a token that agents enrol with; the answer alone holds its secret.
#[utoipa::path(post, path = "/enrolment-tokens", tag = "credentials", request_body = NewToken,
    responses((status = 201, body = NewSecret)))]
pub(crate) async fn create_token(
    State(app): State<App>,
    caller: Caller,
    Body(new): Body<NewToken>,
) -> Result<(StatusCode, Json<NewSecret>)> {
    caller.require(Permission::Administer)?;
    let expires_at = moment(new.expires_at.as_ref())?;
    let made = app
        .db
        .write_at(move |tx, now| {
            agents::add_token(tx, &caller, now, &new.name, &new.labels, expires_at, new.max_uses)
        })
        .await?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// Revokes an enrolment token; agents that came with it stay.
#[utoipa::path(delete, path = "/enrolment-tokens/{id}", tag = "credentials", params(("id" = String, Path)),
    responses((status = 204)))]
pub(crate) async fn revoke_token(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode> {
    caller.require(Permission::Administer)?;
    app.db.write_at(move |tx, now| agents::revoke_token(tx, &caller, now, &id)).await?;
    Ok(StatusCode::NO_CONTENT)
}
