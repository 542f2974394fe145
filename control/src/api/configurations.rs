use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::extract::{Body, IfMatch, Path, Query, Tagged};
use super::page::{Page, Paging, page};
use crate::app::App;
use crate::audit::Caller;
use crate::configurations::{self, Configuration, MAX_TEXT, Version};
use crate::error::{Error, Result};
use crate::roles::Permission;
use crate::store::record::find;
use crate::templates::{Origin, Template};
use crate::validation::{self, Difference, Layer, Provenance, Validation};

/// A configuration as it is asked for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewConfiguration {
    /// Name, unique.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// What it is for.
    #[serde(default)]
    #[schema(max_length = 10000)]
    description: String,
    /// The configuration that it is laid over.
    parent_id: Option<String>,
}

/// What is to change of a configuration.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfigurationChange {
    /// What it is for.
    #[schema(max_length = 10000)]
    description: String,
}

fn check_description(text: &str) -> Result<()> {
    match text.chars().count() <= 10_000 {
        true => Ok(()),
        false => Err(Error::field("description", "must have at most 10000 characters")),
    }
}

/// Lists configurations.
#[utoipa::path(get, path = "/configurations", tag = "configurations", params(Paging),
    responses((status = 200, body = Page<Configuration>)))]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<Configuration>>> {
    caller.require(Permission::View)?;
    page::<Configuration>(&app, &paging).await
}

/// Makes a configuration, without a version yet.
#[utoipa::path(post, path = "/configurations", tag = "configurations", request_body = NewConfiguration,
    responses((status = 201, body = Configuration)))]
pub(crate) async fn create(
    State(app): State<App>,
    caller: Caller,
    Body(new): Body<NewConfiguration>,
) -> Result<Tagged<Configuration>> {
    caller.require(Permission::Edit)?;
    check_description(&new.description)?;
    let made = app
        .db
        .write_at(move |tx, now| {
            configurations::create(tx, &caller, now, &new.name, &new.description, new.parent_id.as_ref())
        })
        .await?;
    Ok(Tagged::created(made))
}

/// Tells of a configuration.
#[utoipa::path(get, path = "/configurations/{id}", tag = "configurations", params(("id" = String, Path)),
    responses((status = 200, body = Configuration)))]
pub(crate) async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Tagged<Configuration>> {
    caller.require(Permission::View)?;
    let found: Configuration = app.db.read(move |tx| find(tx, &id)).await?;
    Ok(Tagged::ok(found))
}

/// Changes what is said of a configuration.
#[utoipa::path(patch, path = "/configurations/{id}", tag = "configurations",
    params(("id" = String, Path), ("If-Match" = String, Header)), request_body = ConfigurationChange,
    responses((status = 200, body = Configuration)))]
pub(crate) async fn change(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    seen: IfMatch,
    Body(change): Body<ConfigurationChange>,
) -> Result<Tagged<Configuration>> {
    caller.require(Permission::Edit)?;
    let seen = seen.required()?;
    check_description(&change.description)?;
    let after = app
        .db
        .write_at(move |tx, now| configurations::change(tx, &caller, now, &id, &seen, &change.description))
        .await?;
    Ok(Tagged::ok(after))
}

/// A text to be checked.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Draft {
    /// YAML.
    text: String,
    /// The configuration that it is laid over, with its latest version.
    parent_id: Option<String>,
}

fn check_length(text: &str) -> Result<()> {
    match text.len() <= MAX_TEXT {
        true => Ok(()),
        false => Err(Error::field("text", format!("must have at most {MAX_TEXT} bytes"))),
    }
}

/// Checks a text without keeping it: every mistake with line, column and help.
#[utoipa::path(post, path = "/configurations/validate", tag = "configurations", request_body = Draft,
    responses((status = 200, body = Validation)))]
pub(crate) async fn validate(
    State(app): State<App>,
    caller: Caller,
    Body(draft): Body<Draft>,
) -> Result<Json<Validation>> {
    caller.require(Permission::View)?;
    check_length(&draft.text)?;
    let mut layers = match draft.parent_id {
        None => Vec::new(),
        Some(parent) => {
            app.db
                .read(move |tx| {
                    let found: Configuration = find(tx, &parent)
                        .map_err(|_| Error::field("parent_id", "there is no such configuration"))?;
                    let version = configurations::find_version(tx, &parent, found.latest)?;
                    configurations::layers(tx, &version.id)
                })
                .await?
        }
    };
    layers.push(Layer { name: "draft.yaml".to_owned(), text: draft.text });
    Ok(Json(validation::check_off_the_runtime(layers).await?.0))
}

/// Lists versions, the newest first.
#[utoipa::path(get, path = "/configurations/{id}/versions", tag = "configurations",
    params(("id" = String, Path), Paging), responses((status = 200, body = Page<Version>)))]
pub(crate) async fn versions(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<Version>>> {
    caller.require(Permission::View)?;
    let (limit, before) = (paging.limit()?, paging.number(i64::MAX)?);
    let found = app.db.read(move |tx| configurations::versions(tx, &id, before, limit)).await?;
    Ok(Json(Page::new(found, limit, |version| version.number.to_string())))
}

/// A text that is made from a template.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FromTemplate {
    /// Which.
    id: String,
    /// By name; those with a default may be left out.
    #[serde(default)]
    values: BTreeMap<String, serde_json::Value>,
}

impl NewVersion {
    /// The text, and what it is made from.
    async fn text(&self, app: &App) -> Result<(String, Option<Origin>)> {
        match (&self.text, &self.template) {
            (Some(text), None) => Ok((text.clone(), None)),
            (None, Some(from)) => {
                let id = from.id.clone();
                let found = app.db.read(move |tx| find::<Template>(tx, &id)).await;
                let found = found.map_err(|_| Error::field("template.id", "there is no such template"))?;
                found.render(&from.values).map(|(text, origin)| (text, Some(origin)))
            }
            _ => Err(Error::field("text", "give either `text` or `template`")),
        }
    }
}

/// A version as it is asked for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewVersion {
    /// YAML, kept as it is written; this or `template`.
    #[serde(default)]
    text: Option<String>,
    /// The template that the text is made from; this or `text`.
    #[serde(default)]
    template: Option<FromTemplate>,
    /// Why.
    #[schema(max_length = 10000)]
    message: String,
}

/// Whether to do it.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct DryRun {
    /// Checks everything and keeps nothing.
    #[serde(default)]
    dry_run: bool,
}

/// A version that was added, and what the check said of it.
#[derive(Serialize, ToSchema)]
pub(crate) struct AddedVersion {
    /// The version; none in a dry run.
    version: Option<Version>,
    /// Warnings.
    validation: Validation,
}

/// Adds a version. One with mistakes is refused with all of them, each with line and column.
#[utoipa::path(post, path = "/configurations/{id}/versions", tag = "configurations",
    params(("id" = String, Path), DryRun, ("If-Match" = Option<String>, Header)), request_body = NewVersion,
    responses((status = 201, body = AddedVersion), (status = 200, body = AddedVersion, description = "a dry run")))]
pub(crate) async fn add_version(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Query(run): Query<DryRun>,
    seen: IfMatch,
    Body(new): Body<NewVersion>,
) -> Result<(StatusCode, Json<AddedVersion>)> {
    caller.require(Permission::Edit)?;
    let (text, template) = new.text(&app).await?;
    check_length(&text)?;
    if new.message.chars().count() > 10_000 {
        return Err(Error::field("message", "must have at most 10000 characters"));
    }
    let of = id.clone();
    let (name, parent_version, mut layers) = app
        .db
        .read(move |tx| {
            let found: Configuration = find(tx, &of)?;
            let (parent_version, layers) = configurations::base(tx, &found)?;
            Ok((found.name, parent_version, layers))
        })
        .await?;
    layers.push(Layer { name: format!("{name}.yaml"), text: text.clone() });
    let (validation, _) = validation::check_off_the_runtime(layers).await?;
    if !validation.valid {
        return Err(Error::Invalid(validation.findings));
    }
    if run.dry_run {
        return Ok((StatusCode::OK, Json(AddedVersion { version: None, validation })));
    }
    let seen = seen.given();
    let version = app
        .db
        .write_at(move |tx, now| {
            let parent = parent_version.as_ref();
            let (message, template) = (&new.message, template.as_ref());
            configurations::add_version(tx, &caller, now, &id, &seen, &text, message, parent, template)
        })
        .await?;
    Ok((StatusCode::CREATED, Json(AddedVersion { version: Some(version), validation })))
}

/// Tells of a version, with its text.
#[utoipa::path(get, path = "/configurations/{id}/versions/{number}", tag = "configurations",
    params(("id" = String, Path), ("number" = i64, Path)), responses((status = 200, body = Version)))]
pub(crate) async fn version(
    State(app): State<App>,
    caller: Caller,
    Path((id, number)): Path<(String, i64)>,
) -> Result<Json<Version>> {
    caller.require(Permission::View)?;
    Ok(Json(app.db.read(move |tx| configurations::find_version(tx, &id, number)).await?))
}

/// What an agent gets with a version: everything that it is laid over, merged.
#[derive(Serialize, ToSchema)]
pub(crate) struct Effective {
    /// YAML, secrets hidden.
    yaml: String,
    /// Where each value was written.
    provenance: Vec<Provenance>,
    /// The hash by which agents know it.
    offer_hash: String,
}

/// Merges a version with what it is laid over, and tells where each value was written.
#[utoipa::path(get, path = "/configurations/{id}/versions/{number}/effective", tag = "configurations",
    params(("id" = String, Path), ("number" = i64, Path)), responses((status = 200, body = Effective)))]
pub(crate) async fn effective(
    State(app): State<App>,
    caller: Caller,
    Path((id, number)): Path<(String, i64)>,
) -> Result<Json<Effective>> {
    caller.require(Permission::View)?;
    let layers = app
        .db
        .read(move |tx| {
            let version = configurations::find_version(tx, &id, number)?;
            configurations::layers(tx, &version.id)
        })
        .await?;
    let offer_hash = validation::offer(&layers).1;
    let (_, checked) = validation::check_off_the_runtime(layers).await?;
    let provenance = validation::provenance(&checked);
    Ok(Json(Effective { yaml: checked.yaml, provenance, offer_hash }))
}

/// Which versions to compare.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Between {
    /// The older version.
    from: i64,
    /// The newer version.
    to: i64,
}

/// What differs between two versions.
#[derive(Serialize, ToSchema)]
pub(crate) struct Diff {
    /// Differences of meaning: comments, layout and order of keys do not count.
    differences: Vec<Difference>,
    /// What a collector would do: components that are kept, changed, added, removed; state that would be lost.
    changes: Option<serde_json::Value>,
}

/// Compares two versions by their meaning, and tells what a collector would make of the change.
#[utoipa::path(get, path = "/configurations/{id}/diff", tag = "configurations",
    params(("id" = String, Path), Between), responses((status = 200, body = Diff)))]
pub(crate) async fn diff(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Query(between): Query<Between>,
) -> Result<Json<Diff>> {
    caller.require(Permission::View)?;
    let (old, new) = app
        .db
        .read(move |tx| {
            let mut layers = |number| {
                let version = configurations::find_version(tx, &id, number)?;
                configurations::layers(tx, &version.id)
            };
            Ok((layers(between.from)?, layers(between.to)?))
        })
        .await?;
    Ok(Json(compare(old, new).await?))
}

pub(super) async fn compare(old: Vec<Layer>, new: Vec<Layer>) -> Result<Diff> {
    let compared = tokio::task::spawn_blocking(move || {
        let json = |layers: &[Layer]| {
            if layers.is_empty() { "{}".to_owned() } else { validation::check(layers).1.json }
        };
        let differences = validation::differences(&json(&old), &json(&new));
        let changes = if old.is_empty() { None } else { validation::changes(&old, &new) };
        Diff { differences, changes }
    });
    compared.await.map_err(|panic| Error::Internal(format!("versions could not be compared: {panic}")))
}
