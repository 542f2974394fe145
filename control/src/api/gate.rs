//! What every request goes through: its name, who asks, and how much they may ask.

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::app::App;
use crate::audit::Caller;
use crate::error::{Error, Result};
use crate::ids::{new_id, same};
use crate::limits::Allowance;
use crate::principals::{self, Identity, csrf_token};
use crate::time::now_ms;
use crate::tls::Peer;

/// The name of the cookie that a browser's session has.
pub(crate) const COOKIE: &str = "phoenix_session";
const REQUEST_ID: &str = "x-request-id";
/// What a page shows besides the cookie.
const CSRF: &str = "x-csrf-token";

/// The name of a request.
#[derive(Clone)]
pub(crate) struct RequestId(pub(crate) String);

/// Gives each request a name, or keeps the one that it came with, and says it in the answer.
pub(crate) async fn name_request(mut request: Request, next: Next) -> Response {
    let fits = |name: &&str| {
        (1..=64).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    let given = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(fits);
    let id = given.map_or_else(|| new_id("req", now_ms()), str::to_owned);
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, value);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// How somebody shows who they are.
enum Shown {
    Bearer(String),
    Cookie(String),
    Nothing,
}

pub(crate) fn session_of(headers: &HeaderMap) -> Option<String> {
    cookie_of(headers, COOKIE)
}

pub(crate) fn cookie_of(headers: &HeaderMap, wanted: &str) -> Option<String> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs =
        cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == wanted).map(|(_, token)| token.to_owned())
}

fn shown(headers: &HeaderMap) -> Shown {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if let Some(token) = bearer.and_then(|value| value.strip_prefix("Bearer ")) {
        return Shown::Bearer(token.to_owned());
    }
    session_of(headers).map_or(Shown::Nothing, Shown::Cookie)
}

/// Another site's page sends the cookie along, but cannot know what this site's pages were told.
fn check_origin(method: &Method, headers: &HeaderMap, session: &str) -> Result<()> {
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let token = headers.get(CSRF).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if same(token, &csrf_token(session)) {
        return Ok(());
    }
    Err(Error::Forbidden("send the session's `csrf_token` as `X-CSRF-Token`".to_owned()))
}

async fn identify(app: &App, method: &Method, headers: &HeaderMap) -> Result<Option<Caller>> {
    let token = match shown(headers) {
        Shown::Bearer(token) => token,
        Shown::Cookie(session) => {
            check_origin(method, headers, &session)?;
            session
        }
        Shown::Nothing => return Ok(None),
    };
    let found = app.db.read(move |tx| principals::identify(tx, now_ms(), &token)).await?;
    let Identity { actor, role, scope } =
        found.ok_or_else(|| Error::Unauthorized("the credentials are not valid".to_owned()))?;
    Ok(Some(Caller { actor, role, scope, request_id: String::new(), once: None }))
}

fn told(mut response: Response, allowance: Allowance) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        ("ratelimit-limit", allowance.limit),
        ("ratelimit-remaining", allowance.remaining),
        ("ratelimit-reset", allowance.reset_seconds),
    ] {
        headers.insert(name, HeaderValue::from(value));
    }
    response
}

/// The address that a request came from.
pub(crate) fn address(request: &Request) -> String {
    let info = request.extensions().get::<ConnectInfo<Peer>>();
    info.map_or_else(|| "unknown".to_owned(), |ConnectInfo(Peer(address))| address.ip().to_string())
}

/// Finds out who asks, and whether they ask too much. Handlers decide what they may.
pub(crate) async fn admit(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let now = now_ms();
    let caller = match identify(&app, request.method(), request.headers()).await {
        Ok(caller) => caller,
        Err(error) => {
            // Guessing is limited as well.
            let allowance = app.limiter.take(&format!("guess:{}", address(&request)), now);
            let error = if allowance.is_allowed { error } else { Error::TooMany(allowance.reset_seconds) };
            return told(error.into_response(), allowance);
        }
    };
    let client = caller.as_ref().map_or_else(|| address(&request), |caller| caller.actor.clone());
    let allowance = app.limiter.take(&client, now);
    if !allowance.is_allowed {
        return told(Error::TooMany(allowance.reset_seconds).into_response(), allowance);
    }
    if let Some(mut caller) = caller {
        if let Some(RequestId(id)) = request.extensions().get::<RequestId>() {
            caller.request_id = id.clone();
        }
        note_use(&app, &caller, now).await;
        request.extensions_mut().insert(caller);
    }
    told(next.run(request).await, allowance)
}

async fn note_use(app: &App, caller: &Caller, now: i64) {
    let Some(id) = caller.actor.strip_prefix("key:").and_then(|rest| rest.split(':').next()) else { return };
    if app.is_use_to_be_noted(id, now) {
        let id = id.to_owned();
        if let Err(error) = app.db.beside(move |tx| principals::note_use(tx, now, &id)).await {
            tracing::warn!(%error, "the use of a key could not be noted");
        }
    }
}
