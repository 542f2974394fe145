use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::extract::{Body, IfMatch, Path, Query, Tagged};
use super::page::{Page, Paging, page};
use crate::app::App;
use crate::audit::Caller;
use crate::error::Result;
use crate::roles::Permission;
use crate::store::record::find;
use crate::templates::{self, NewTemplate, Origin, Template};
use crate::validation::{self, Layer, Validation};

/// Lists templates.
#[utoipa::path(get, path = "/templates", tag = "templates", params(Paging), responses((status = 200, body = Page<Template>)))]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<Template>>> {
    caller.require(Permission::View)?;
    page::<Template>(&app, &paging).await
}

/// Makes a template.
#[utoipa::path(post, path = "/templates", tag = "templates", request_body = NewTemplate,
    responses((status = 201, body = Template)))]
pub(crate) async fn create(
    State(app): State<App>,
    caller: Caller,
    Body(new): Body<NewTemplate>,
) -> Result<Tagged<Template>> {
    caller.require(Permission::Edit)?;
    Ok(Tagged::created(app.db.write_at(move |tx, now| templates::create(tx, &caller, now, &new)).await?))
}

/// Tells of a template.
#[utoipa::path(get, path = "/templates/{id}", tag = "templates", params(("id" = String, Path)),
    responses((status = 200, body = Template)))]
pub(crate) async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Tagged<Template>> {
    caller.require(Permission::View)?;
    Ok(Tagged::ok(app.db.read(move |tx| find::<Template>(tx, &id)).await?))
}

/// Puts another in the place of a template; versions that were made from it stay as they are.
#[utoipa::path(put, path = "/templates/{id}", tag = "templates", params(("id" = String, Path), ("If-Match" = String, Header)),
    request_body = NewTemplate, responses((status = 200, body = Template)))]
pub(crate) async fn replace(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    seen: IfMatch,
    Body(new): Body<NewTemplate>,
) -> Result<Tagged<Template>> {
    caller.require(Permission::Edit)?;
    let seen = seen.required()?;
    let after = app.db.write_at(move |tx, now| templates::replace(tx, &caller, now, &id, &seen, &new));
    Ok(Tagged::ok(after.await?))
}

/// Removes a template; versions that were made from it stay.
#[utoipa::path(delete, path = "/templates/{id}", tag = "templates", params(("id" = String, Path), ("If-Match" = String, Header)),
    responses((status = 204)))]
pub(crate) async fn remove(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    seen: IfMatch,
) -> Result<StatusCode> {
    caller.require(Permission::Edit)?;
    let seen = seen.required()?;
    app.db.write_at(move |tx, now| templates::remove(tx, &caller, now, &id, &seen)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Values for the parameters of a template.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Values {
    /// By name; those with a default may be left out.
    #[serde(default)]
    values: BTreeMap<String, serde_json::Value>,
}

/// A text with values put in.
#[derive(Serialize, ToSchema)]
pub(crate) struct Rendered {
    /// YAML.
    text: String,
    /// What it was made from, defaults filled in.
    template: Origin,
    /// What a check of it finds.
    validation: Validation,
}

/// Puts values into a template and checks the result; keeps nothing.
#[utoipa::path(post, path = "/templates/{id}/render", tag = "templates", params(("id" = String, Path)), request_body = Values,
    responses((status = 200, body = Rendered)))]
pub(crate) async fn render(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Body(asked): Body<Values>,
) -> Result<Json<Rendered>> {
    caller.require(Permission::View)?;
    let found: Template = app.db.read(move |tx| find(tx, &id)).await?;
    let (text, template) = found.render(&asked.values)?;
    let layer = Layer { name: format!("{}.yaml", found.name), text: text.clone() };
    let (validation, _) = validation::check_off_the_runtime(vec![layer]).await?;
    Ok(Json(Rendered { text, template, validation }))
}
