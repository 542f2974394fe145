use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::extract::{Body, IfMatch, Path, Query, Tagged};
use super::page::{Page, Paging, page};
use crate::app::App;
use crate::audit::Caller;
use crate::error::Result;
use crate::principals::{self, Grant, User};
use crate::roles::{Permission, Role};
use crate::store::record::find;

/// A user as an administrator makes one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewUser {
    /// Name to log in with, unique.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// What they may do.
    role: Role,
    /// With which agents, and groups of them, by labels: `env=prod`; with all without.
    #[serde(default)]
    scope: String,
    /// At least 12 characters.
    #[schema(min_length = 12, max_length = 1024)]
    password: String,
}

/// What is to change of a user.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserChange {
    /// What they may do.
    role: Option<Role>,
    /// With which agents; empty is all.
    scope: Option<String>,
    /// Whether they are locked out.
    disabled: Option<bool>,
    /// A new password; ends their sessions.
    #[schema(min_length = 12, max_length = 1024)]
    password: Option<String>,
}

/// Lists users.
#[utoipa::path(get, path = "/users", tag = "users", params(Paging),
    responses((status = 200, body = Page<User>)))]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<User>>> {
    caller.require_everywhere(Permission::Administer)?;
    page::<User>(&app, &paging).await
}

/// Adds a user.
#[utoipa::path(post, path = "/users", tag = "users", request_body = NewUser,
    responses((status = 201, body = User)))]
pub(crate) async fn create(
    State(app): State<App>,
    caller: Caller,
    Body(new): Body<NewUser>,
) -> Result<Tagged<User>> {
    caller.require_everywhere(Permission::Administer)?;
    let grant = Grant::new(new.role, new.scope)?;
    let hash = app.passwords.hash(new.password).await?;
    let user = app
        .db
        .write_at(move |tx, now| principals::add_user(tx, &caller, now, &new.name, &grant, &hash))
        .await?;
    Ok(Tagged::created(user))
}

/// Tells of a user.
#[utoipa::path(get, path = "/users/{id}", tag = "users", params(("id" = String, Path)),
    responses((status = 200, body = User)))]
pub(crate) async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Tagged<User>> {
    caller.require_everywhere(Permission::Administer)?;
    let user: User = app.db.read(move |tx| find(tx, &id)).await?;
    Ok(Tagged::ok(user))
}

/// Changes a user.
#[utoipa::path(patch, path = "/users/{id}", tag = "users", params(("id" = String, Path), ("If-Match" = String, Header)),
    request_body = UserChange, responses((status = 200, body = User)))]
pub(crate) async fn change(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    seen: IfMatch,
    Body(change): Body<UserChange>,
) -> Result<Tagged<User>> {
    caller.require_everywhere(Permission::Administer)?;
    let seen = seen.required()?;
    let hash = match change.password {
        Some(password) => Some(app.passwords.hash(password).await?),
        None => None,
    };
    let (role, scope, disabled) = (change.role, change.scope, change.disabled);
    let user = app
        .db
        .write_at(move |tx, now| {
            let (scope, hash) = (scope.as_ref(), hash.as_ref());
            principals::change_user(tx, &caller, now, &id, &seen, role, scope, disabled, hash)
        })
        .await?;
    Ok(Tagged::ok(user))
}

/// Removes a user.
#[utoipa::path(delete, path = "/users/{id}", tag = "users", params(("id" = String, Path), ("If-Match" = String, Header)),
    responses((status = 204)))]
pub(crate) async fn remove(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    seen: IfMatch,
) -> Result<StatusCode> {
    caller.require_everywhere(Permission::Administer)?;
    let seen = seen.required()?;
    app.db.write_at(move |tx, now| principals::remove_user(tx, &caller, now, &id, &seen)).await?;
    Ok(StatusCode::NO_CONTENT)
}
