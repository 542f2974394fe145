//! A POST with an `Idempotency-Key` is done once: a repetition hears what the first one heard.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::MAX_BODY;
use crate::app::App;
use crate::args;
use crate::audit::Caller;
use crate::error::{Error, Result};
use crate::ids::sha256;
use crate::time::now_ms;

const KEY: &str = "idempotency-key";
/// How long answers are kept.
const KEPT_MS: i64 = 24 * 3600 * 1000;
/// After that time a request that was begun and not answered counts as never made.
const ABANDONED_MS: i64 = 60_000;
/// Longest answer that is kept, in bytes.
const MAX_ANSWER: usize = 1 << 20;

/// What is known of a key.
enum Known {
    New,
    Answered { status: u16, body: String, tag: Option<String> },
    UnderWay,
    Other,
}

pub(crate) async fn once(State(app): State<App>, request: Request, next: Next) -> Response {
    let key = request.headers().get(KEY).cloned();
    let caller = request.extensions().get::<Caller>().cloned();
    // Answers with secrets are not kept: a path that makes some says so by being listed.
    match (key, caller) {
        (Some(key), Some(caller)) if request.method() == Method::POST => {
            repeat_or_run(&app, &key, &caller, request, next)
                .await
                .unwrap_or_else(|error| error.into_response())
        }
        _ => next.run(request).await,
    }
}

async fn repeat_or_run(
    app: &App,
    key: &HeaderValue,
    caller: &Caller,
    request: Request,
    next: Next,
) -> Result<Response> {
    let key = key.to_str().ok().filter(|key| (1..=255).contains(&key.len()));
    let key = key.ok_or_else(|| Error::field("Idempotency-Key", "must have 1 to 255 visible characters"))?;
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, MAX_BODY).await.map_err(|_| Error::TooLarge(MAX_BODY))?;
    let request_hash = sha256([parts.uri.to_string().as_bytes(), b"\n", &body].concat());
    let (who, key, hash) = (caller.actor.clone(), key.to_owned(), request_hash);
    let known = {
        let (who, key) = (who.clone(), key.clone());
        app.db.write(move |tx| look(tx, &who, &key, &hash)).await?
    };
    match known {
        Known::Answered { status, body, tag } => return Ok(again(status, body, tag)),
        Known::UnderWay => {
            return Err(Error::Conflict("a request with this key is under way".to_owned()));
        }
        Known::Other => {
            return Err(Error::field("Idempotency-Key", "was used for another request"));
        }
        Known::New => {}
    }
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    let (head, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX)
        .await
        .map_err(|error| Error::Internal(format!("an answer could not be read: {error}")))?;
    let tag = head.headers.get(header::ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
    keep(app, who, key, head.status, &body, tag).await;
    Ok(Response::from_parts(head, Body::from(body)))
}

fn look(tx: &mut dyn crate::store::Tx, who: &str, key: &str, hash: &str) -> Result<Known> {
    let now = now_ms();
    tx.execute("DELETE FROM idempotency WHERE created_at < ?1", args![now - KEPT_MS])?;
    // Whoever did not answer within that time never will: the client went away, or the service was killed.
    tx.execute(
        "DELETE FROM idempotency WHERE status IS NULL AND created_at < ?1",
        args![now - ABANDONED_MS],
    )?;
    let sql = "SELECT request_hash, status, body, headers FROM idempotency WHERE principal = ?1 AND key = ?2";
    let Some(row) = tx.one(sql, args![who, key])? else {
        tx.execute(
            "INSERT INTO idempotency (principal, key, request_hash, created_at) VALUES (?1, ?2, ?3, ?4)",
            args![who, key, hash, now],
        )?;
        return Ok(Known::New);
    };
    if row.text(0) != hash {
        return Ok(Known::Other);
    }
    Ok(match row.maybe_int(1) {
        Some(status) => Known::Answered { status: status as u16, body: row.text(2), tag: row.maybe_text(3) },
        None => Known::UnderWay,
    })
}

fn again(status: u16, body: String, tag: Option<String>) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let mut response = match status {
        // What was done is not done again, and the secret in the answer was not kept either.
        StatusCode::CONFLICT => {
            let text = "this was done; its answer held a secret and is not kept";
            Error::Conflict(text.to_owned()).into_response()
        }
        status => {
            let kind = HeaderValue::from_static("application/json");
            (status, [(header::CONTENT_TYPE, kind)], body).into_response()
        }
    };
    let headers = response.headers_mut();
    headers.insert("idempotent-replay", HeaderValue::from_static("true"));
    if let Some(tag) = tag.and_then(|tag| HeaderValue::from_str(&tag).ok()) {
        headers.insert(header::ETAG, tag);
    }
    response
}

/// Keeps an answer that counts. After any other the key is free again, so that the client may try.
async fn keep(app: &App, who: String, key: String, status: StatusCode, body: &Bytes, tag: Option<String>) {
    let text = String::from_utf8_lossy(body).into_owned();
    let kept = app.db.write(move |tx| {
        if status.is_success() && text.len() <= MAX_ANSWER && !text.contains("\"token\":\"phx_") {
            let sql = "UPDATE idempotency SET status = ?3, body = ?4, headers = ?5 WHERE principal = ?1 AND key = ?2";
            tx.execute(sql, args![&who, &key, i64::from(status.as_u16()), &text, tag.as_ref()])
        } else if status.is_success() {
            let sql = "UPDATE idempotency SET status = 409, body = '' WHERE principal = ?1 AND key = ?2";
            tx.execute(sql, args![&who, &key])
        } else {
            tx.execute("DELETE FROM idempotency WHERE principal = ?1 AND key = ?2", args![&who, &key])
        }
    });
    if let Err(error) = kept.await {
        tracing::error!(%error, "an answer could not be kept for its repetition");
    }
}
