//! The REST API: what is asked how is in the code below, and the OpenAPI document is made from it.

mod agents;
mod audit;
mod conditions;
mod configurations;
mod docs;
mod events;
mod extract;
mod gate;
mod groups;
mod idempotency;
mod keys;
mod logins;
mod metrics;
mod page;
mod queries;
mod roles;
mod rollouts;
mod schedules;
mod sessions;
mod signing_keys;
mod tasks;
mod templates;
mod users;

use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use utoipa::OpenApi as _;
use utoipa::openapi::path::{Operation, Parameter};
use utoipa::openapi::schema::Type;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{
    ContentBuilder, ObjectBuilder, PathItem, Ref, RefOr, Response as OpenApiResponse, ResponseBuilder,
};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::error::{Error, Problem};

/// Largest body of a request, in bytes: the longest text of a configuration, escaped as JSON.
pub(crate) const MAX_BODY: usize = 2 * crate::configurations::MAX_TEXT;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Phoenix control",
        description = "Configurations, rollouts and agents of a fleet of collectors. Errors are `application/problem+json` (RFC 9457). Lists are paged by `cursor`. What is changed names the state that was seen with `If-Match`; `If-None-Match` is answered as RFC 9110 has it. A `POST` with an `Idempotency-Key` is done once, however often it is sent."
    ),
    security(("bearer" = []), ("session" = [])),
    components(schemas(Problem))
)]
struct Document;

fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(sessions::open))
        .routes(routes!(sessions::close))
        .routes(routes!(logins::begin, logins::exchange))
        .routes(routes!(logins::finish))
        .routes(routes!(sessions::me))
        .routes(routes!(roles::list))
        .routes(routes!(users::list, users::create))
        .routes(routes!(users::get, users::change, users::remove))
        .routes(routes!(keys::list, keys::create))
        .routes(routes!(keys::revoke))
        .routes(routes!(keys::list_tokens, keys::create_token))
        .routes(routes!(keys::revoke_token))
        .routes(routes!(signing_keys::list, signing_keys::replace))
        .routes(routes!(configurations::list, configurations::create))
        .routes(routes!(configurations::validate))
        .routes(routes!(configurations::get, configurations::change))
        .routes(routes!(configurations::versions, configurations::add_version))
        .routes(routes!(configurations::version))
        .routes(routes!(configurations::effective))
        .routes(routes!(configurations::diff))
        .routes(routes!(templates::list, templates::create))
        .routes(routes!(templates::get, templates::replace, templates::remove))
        .routes(routes!(templates::render))
        .routes(routes!(groups::list, groups::create))
        .routes(routes!(groups::get, groups::change, groups::remove))
        .routes(routes!(groups::plan))
        .routes(routes!(rollouts::list, rollouts::start))
        .routes(routes!(rollouts::get))
        .routes(routes!(rollouts::order))
        .routes(routes!(agents::list))
        .routes(routes!(agents::get))
        .routes(routes!(agents::label))
        .routes(routes!(agents::revoke))
        .routes(routes!(agents::forget_credential))
        .routes(routes!(agents::rotate_credential))
        .routes(routes!(agents::forgive))
        .routes(routes!(tasks::of_agent, tasks::create))
        .routes(routes!(tasks::list))
        .routes(routes!(tasks::get))
        .routes(routes!(tasks::requeue))
        .routes(routes!(tasks::cancel))
        .routes(routes!(schedules::list, schedules::create))
        .routes(routes!(schedules::get, schedules::change, schedules::remove))
        .routes(routes!(events::list))
        .routes(routes!(audit::list))
        .routes(routes!(audit::verify))
        .routes(routes!(audit::export))
}

/// The OpenAPI document.
pub fn document() -> utoipa::openapi::OpenApi {
    assembled().1
}

fn assembled() -> (Router<App>, utoipa::openapi::OpenApi) {
    let (router, mut document) = OpenApiRouter::new().nest("/api/v1", routes()).split_for_parts();
    let whole = Document::openapi();
    document.info = whole.info;
    document.security = whole.security;
    for operation in document.paths.paths.values_mut().flat_map(operations) {
        operation.responses.responses.insert("default".to_owned(), RefOr::T(refusal()));
        for parameter in operation.parameters.iter_mut().flatten() {
            describe_tags(parameter);
        }
    }
    let components = document.components.get_or_insert_default();
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    components.add_security_scheme("bearer", bearer);
    let cookie = SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(gate::COOKIE)));
    components.add_security_scheme("session", cookie);
    (router, document)
}

fn operations(path: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let all = [&mut path.get, &mut path.put, &mut path.post, &mut path.patch, &mut path.delete];
    all.into_iter().filter_map(Option::as_mut)
}

/// Says of `If-Match` what is read of it, which no type does.
fn describe_tags(parameter: &mut RefOr<Parameter>) {
    if let RefOr::T(parameter) = parameter
        && parameter.name == "If-Match"
    {
        parameter.description = Some("`*`, or the `ETag` that was read, or several of them.".to_owned());
        let tag = ObjectBuilder::new().schema_type(Type::String).pattern(Some(r#"^(\*|"[!#-~]+")$"#));
        let tag = tag.examples(["\"1\""]);
        parameter.schema = Some(tag.build().into());
    }
}

/// What every answer that refuses looks like.
fn refusal() -> OpenApiResponse {
    let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    ResponseBuilder::new().description("why not").content("application/problem+json", problem).build()
}

async fn nothing_here() -> Error {
    Error::NotFound("this path".to_owned())
}

async fn no_such_method() -> Error {
    Error::Method
}

/// Whether the database answers.
async fn ready(axum::extract::State(app): axum::extract::State<App>) -> Response {
    match app.db.read(|tx| tx.one("SELECT 1", &[])).await {
        Ok(_) => "ready\n".into_response(),
        Err(error) => error.into_response(),
    }
}

/// Everything that is served over HTTP but OpAMP.
pub fn router(app: App) -> Router {
    let (router, document) = assembled();
    let queried = queries::Queried::of(&document);
    router
        .method_not_allowed_fallback(no_such_method)
        .layer(from_fn(conditions::conditions))
        .layer(from_fn_with_state(queried, queries::only_known))
        .layer(from_fn_with_state(app.clone(), idempotency::once))
        .layer(from_fn_with_state(app.clone(), gate::admit))
        .route("/api/v1/openapi.json", get(move || async move { Json(document) }))
        .route("/api/v1/docs", get(docs::page))
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics::show))
        .fallback(nothing_here)
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn(gate::name_request))
        .layer(from_fn_with_state(app.clone(), metrics::measure))
        .with_state(app)
}
