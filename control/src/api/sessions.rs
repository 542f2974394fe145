use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::extract::Body;
use super::gate::{COOKIE, RequestId, address, session_of};
use crate::app::App;
use crate::audit::Caller;
use crate::error::{Error, Result};
use crate::principals::{self, SESSION_MS, User, csrf_token};
use crate::roles::Role;
use crate::selector::Selector;
use crate::time::{now_ms, rfc3339};

/// A login.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Login {
    /// Name of the user.
    name: String,
    /// Their password.
    password: String,
}

/// A session that was opened.
#[derive(Serialize, ToSchema)]
pub(crate) struct Session {
    /// What programs send as `Authorization: Bearer …`; browsers have it as a cookie.
    token: String,
    /// What pages send as `X-CSRF-Token` with whatever changes something.
    csrf_token: String,
    /// Until when it is good.
    expires_at: String,
}

/// Logs in.
#[utoipa::path(post, path = "/sessions", tag = "sessions", request_body = Login, security(()),
    responses((status = 201, body = Session)))]
pub(crate) async fn open(State(app): State<App>, request: Request) -> Result<Response> {
    let now = now_ms();
    let allowance = app.login_limiter.take(&address(&request), now);
    if !allowance.is_allowed {
        return Err(Error::TooMany(allowance.reset_seconds));
    }
    let request_id = request.extensions().get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
    let Body(login) = <Body<Login> as axum::extract::FromRequest<App>>::from_request(request, &app).await?;
    let name = login.name.clone();
    let found = app.db.read(move |tx| principals::login(tx, &name)).await?;
    let (user, hash) = found.map_or((None, None), |(user, hash)| (Some(user), Some(hash)));
    let is_right = app.passwords.verify(login.password, hash).await?;
    let Some(user) = user.filter(|_| is_right) else {
        tracing::warn!(name = login.name, "a login failed");
        return Err(Error::Unauthorized("name or password are wrong".to_owned()));
    };
    let (session, cookie) = opened(&app, user, request_id, now).await?;
    let mut response = (StatusCode::CREATED, Json(session)).into_response();
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(response)
}

/// Opens a session, and makes the cookie that browsers have it as.
pub(super) async fn opened(
    app: &App,
    user: User,
    request_id: String,
    now: i64,
) -> Result<(Session, HeaderValue)> {
    let caller = Caller {
        actor: format!("user:{}", user.name),
        role: user.role,
        scope: Selector::default(),
        request_id,
        once: None,
    };
    let secret = app.db.write(move |tx| principals::open_session(tx, &caller, now, &user)).await?;
    let cookie = format!(
        "{COOKIE}={}; Path=/; HttpOnly; SameSite=Strict; Max-Age={}{}",
        secret.token,
        SESSION_MS / 1000,
        if app.is_secure { "; Secure" } else { "" }
    );
    let cookie = HeaderValue::from_str(&cookie).map_err(|error| Error::Internal(error.to_string()))?;
    let session = Session {
        csrf_token: csrf_token(&secret.token),
        token: secret.token,
        expires_at: rfc3339(now + SESSION_MS),
    };
    Ok((session, cookie))
}

/// Logs out.
#[utoipa::path(delete, path = "/sessions/current", tag = "sessions",
    responses((status = 204)))]
pub(crate) async fn close(State(app): State<App>, caller: Caller, headers: HeaderMap) -> Result<Response> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = bearer.and_then(|value| value.strip_prefix("Bearer ")).map(str::to_owned);
    let token = bearer.or_else(|| session_of(&headers)).unwrap_or_default();
    app.db.write_at(move |tx, now| principals::close_session(tx, &caller, now, &token)).await?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    let gone = HeaderValue::from_static("phoenix_session=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    response.headers_mut().insert(header::SET_COOKIE, gone);
    Ok(response)
}

/// Who asks.
#[derive(Serialize, ToSchema)]
pub(crate) struct Me {
    /// For example `user:admin`.
    actor: String,
    /// What they may do.
    role: Role,
    /// With which agents, and groups of them; empty is all.
    scope: String,
    /// What pages send as `X-CSRF-Token`, where a cookie says who asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    csrf_token: Option<String>,
}

/// Tells who asks.
#[utoipa::path(get, path = "/me", tag = "sessions",
    responses((status = 200, body = Me)))]
pub(crate) async fn me(caller: Caller, headers: HeaderMap) -> Json<Me> {
    let session = session_of(&headers).filter(|_| !headers.contains_key(header::AUTHORIZATION));
    Json(Me {
        actor: caller.actor,
        role: caller.role,
        scope: caller.scope.to_string(),
        csrf_token: session.map(|token| csrf_token(&token)),
    })
}
