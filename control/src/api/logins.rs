//! Logins with a provider of OpenID Connect: for browsers by its pages, for programs by an ID token that they have.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::extract::{Body, Query};
use super::gate::{RequestId, address, cookie_of};
use super::sessions::{Session, opened};
use crate::app::App;
use crate::audit::Caller;
use crate::error::{Error, Result};
use crate::ids::same;
use crate::oidc::{Attempt, Oidc, Vouched};
use crate::principals;
use crate::time::now_ms;

/// What a browser keeps of a login under way.
const COOKIE: &str = "phoenix_login";
/// Where the cookie is sent.
const PATH: &str = "/api/v1/sessions/oidc";
/// How long a login may take.
const PATIENCE_SECONDS: u32 = 600;
/// Where a browser goes once it is logged in.
const HOME: &str = "/api/v1/docs";

fn provider(app: &App) -> Result<&Oidc> {
    app.oidc.as_ref().ok_or_else(|| Error::NotFound("a provider of logins".to_owned()))
}

fn limit(app: &App, request: &Request) -> Result<String> {
    let allowance = app.login_limiter.take(&address(request), now_ms());
    match allowance.is_allowed {
        true => Ok(request.extensions().get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default()),
        false => Err(Error::TooMany(allowance.reset_seconds)),
    }
}

fn cookie(app: &App, value: &str, seconds: u32) -> Result<HeaderValue> {
    // Lax: the provider's page sends the browser back here.
    let secure = if app.is_secure { "; Secure" } else { "" };
    let text = format!("{COOKIE}={value}; Path={PATH}; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}");
    HeaderValue::from_str(&text).map_err(|error| Error::Internal(error.to_string()))
}

fn sent_to(url: &str) -> Result<Response> {
    let mut response = StatusCode::SEE_OTHER.into_response();
    let url = HeaderValue::from_str(url).map_err(|error| Error::Internal(error.to_string()))?;
    response.headers_mut().insert(header::LOCATION, url);
    Ok(response)
}

/// Opens a session for whom the provider vouches.
async fn open(app: &App, who: Vouched, request_id: String) -> Result<(Session, HeaderValue)> {
    let caller = Caller { request_id: request_id.clone(), ..Caller::system() };
    let user = app.db.write_at(move |tx, now| principals::vouched_user(tx, &caller, now, &who)).await?;
    opened(app, user, request_id).await
}

/// Sends a browser to the provider, where people log in.
#[utoipa::path(get, path = "/sessions/oidc", tag = "sessions", security(()),
    responses((status = 303, description = "to the provider")))]
pub(crate) async fn begin(State(app): State<App>, request: Request) -> Result<Response> {
    limit(&app, &request)?;
    let attempt = Attempt::new();
    let mut response = sent_to(&provider(&app)?.login_url(&attempt).await?)?;
    let kept = cookie(&app, &attempt.cookie(), PATIENCE_SECONDS)?;
    response.headers_mut().insert(header::SET_COOKIE, kept);
    Ok(response)
}

/// What the provider sends a browser back with.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Returned {
    /// Which login it is about.
    #[serde(default)]
    state: String,
    /// What stands for the user.
    code: Option<String>,
    /// Why there is no code.
    error: Option<String>,
}

/// Where the provider sends a browser back to: opens the session.
#[utoipa::path(get, path = "/sessions/oidc/callback", tag = "sessions", params(Returned), security(()),
    responses((status = 303, description = "logged in")))]
pub(crate) async fn finish(
    State(app): State<App>,
    headers: HeaderMap,
    Query(returned): Query<Returned>,
    request: Request,
) -> Result<Response> {
    let request_id = limit(&app, &request)?;
    let provider = provider(&app)?;
    let attempt = cookie_of(&headers, COOKIE).and_then(|cookie| Attempt::of_cookie(&cookie));
    // Another site may send a browser here, but knows no login that this browser began.
    let attempt = attempt.filter(|attempt| same(&attempt.state, &returned.state));
    let attempt =
        attempt.ok_or_else(|| Error::Unauthorized("this browser began no such login".to_owned()))?;
    let Some(code) = returned.code else {
        let why: String = returned.error.unwrap_or_default().chars().take(100).collect();
        return Err(Error::Unauthorized(format!("the provider let nobody in: {why}")));
    };
    let who = provider.redeem(&code, &attempt).await?;
    let (_, session) = open(&app, who, request_id).await?;
    let mut response = sent_to(HOME)?;
    response.headers_mut().append(header::SET_COOKIE, session);
    response.headers_mut().append(header::SET_COOKIE, cookie(&app, "", 0)?);
    Ok(response)
}

/// A token of the provider.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Token {
    /// An ID token that is meant for this service.
    id_token: String,
}

/// Opens a session for whom an ID token names: for programs that the provider knows.
#[utoipa::path(post, path = "/sessions/oidc", tag = "sessions", request_body = Token, security(()),
    responses((status = 201, body = Session)))]
pub(crate) async fn exchange(
    State(app): State<App>,
    request: Request,
) -> Result<(StatusCode, Json<Session>)> {
    let request_id = limit(&app, &request)?;
    let Body(token) = <Body<Token> as axum::extract::FromRequest<App>>::from_request(request, &app).await?;
    let who = provider(&app)?.judge(&token.id_token, None).await?;
    Ok((StatusCode::CREATED, Json(open(&app, who, request_id).await?.0)))
}
