//! A POST with an `Idempotency-Key` is done once: a repetition hears what the first one heard.
//!
//! That it was done is noted in the transaction that does it, with its entry in the audit log; the answer is kept after
//! that. So a service that is killed in between does nothing twice, and a client that goes away finds the answer later.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::MAX_BODY;
use crate::app::App;
use crate::args;
use crate::audit::Caller;
use crate::error::{Error, Result};
use crate::ids::sha256;

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
    match (key, caller) {
        (Some(key), Some(caller)) if request.method() == Method::POST => {
            let served = served(app, key, caller, request, next);
            served.await.unwrap_or_else(|error| error.into_response())
        }
        _ => next.run(request).await,
    }
}

async fn served(
    app: App,
    key: HeaderValue,
    caller: Caller,
    request: Request,
    next: Next,
) -> Result<Response> {
    let key = key.to_str().ok().filter(|key| (1..=255).contains(&key.len())).map(str::to_owned);
    let key = key.ok_or_else(|| Error::field("Idempotency-Key", "must have 1 to 255 visible characters"))?;
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, MAX_BODY).await.map_err(|_| Error::TooLarge(MAX_BODY))?;
    // Goes on where the client goes away: what is done once is to have an answer.
    let running = tokio::spawn(repeat_or_run(app, key, caller, parts, body, next));
    running.await.map_err(|panic| Error::Internal(format!("a request was not served: {panic}")))?
}

async fn repeat_or_run(
    app: App,
    key: String,
    caller: Caller,
    mut parts: Parts,
    body: Bytes,
    next: Next,
) -> Result<Response> {
    let hash = sha256([parts.uri.to_string().as_bytes(), b"\n", &body].concat());
    let who = caller.actor.clone();
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
    parts.extensions.insert(Caller { once: Some(key.clone()), ..caller });
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    let (head, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX)
        .await
        .map_err(|error| Error::Internal(format!("an answer could not be read: {error}")))?;
    let tag = head.headers.get(header::ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
    keep(&app, who, key, head.status, &body, tag).await;
    Ok(Response::from_parts(head, Body::from(body)))
}

fn look(tx: &mut dyn crate::store::Tx, who: &str, key: &str, hash: &str) -> Result<Known> {
    // The database's: instances whose clocks are apart must not take a request that is under way for an abandoned one.
    let now = tx.clock()?;
    tx.execute("DELETE FROM idempotency WHERE created_at < ?1", args![now - KEPT_MS])?;
    // Whoever did not answer within that time never will: the client went away, or the service was killed.
    tx.execute(
        "DELETE FROM idempotency WHERE status IS NULL AND created_at < ?1",
        args![now - ABANDONED_MS],
    )?;
    let sql = "SELECT request_hash, status, body, headers, created_at FROM idempotency WHERE principal = ?1 AND key = ?2";
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
    // Done, and still without an answer.
    let is_being_answered = row.maybe_text(2).is_none() && now - row.int(4) < ABANDONED_MS;
    Ok(match row.maybe_int(1).filter(|_| !is_being_answered) {
        Some(status) => Known::Answered { status: status as u16, body: row.text(2), tag: row.maybe_text(3) },
        None => Known::UnderWay,
    })
}

fn again(status: u16, body: String, tag: Option<String>) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let mut response = match status {
        // What was done is not done again. The answer held a secret, or nobody was left to keep it.
        StatusCode::CONFLICT => {
            let text = "this was done, and its answer was not kept; the audit log tells what was done";
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit;
    use crate::store::rig::all;

    fn name(known: &Known) -> (&'static str, u16) {
        match known {
            Known::New => ("new", 0),
            Known::Answered { status, .. } => ("answered", *status),
            Known::UnderWay => ("under way", 0),
            Known::Other => ("other", 0),
        }
    }

    #[tokio::test]
    async fn what_was_done_is_not_done_again_though_nobody_kept_the_answer() {
        for test in all().await {
            let looked = test.db.write(|tx| {
                let mut seen = Vec::new();
                for is_done in [false, true] {
                    let key = format!("{is_done}");
                    let look = |tx: &mut dyn crate::store::Tx| {
                        look(tx, "system", &key, "hash").map(|known| name(&known))
                    };
                    seen.push(look(tx)?);
                    if is_done {
                        let caller = Caller { once: Some(key.clone()), ..Caller::system() };
                        audit::record(tx, &caller, 0, "group.create", "grp_1", "", "x")?;
                    }
                    seen.push(look(tx)?);
                    // The service is killed, and somebody asks again much later.
                    let sql = "UPDATE idempotency SET created_at = created_at - ?1";
                    tx.execute(sql, args![ABANDONED_MS + 1])?;
                    seen.push(look(tx)?);
                }
                Ok(seen)
            });
            let expected =
                [("new", 0), ("under way", 0), ("new", 0), ("new", 0), ("under way", 0), ("answered", 409)];
            assert_eq!(looked.await.expect("looked"), expected);
        }
    }
}
