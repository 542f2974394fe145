//! One path for both transports.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message as Frame, WebSocket, WebSocketUpgrade};
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use phoenix_opamp::{
    AgentToServer, CONTENT_TYPE, JSON_TYPE, MESSAGES_PATH, Message as _, PATH, ServerErrorResponseType,
    ServerToAgent, UID_HEADER, decode_frame, encode_frame, from_json, to_json,
};
use tokio::sync::SemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::message::{agent_id, refused, serve};
use crate::agents::{self, Admission};
use crate::app::App;
use crate::error::{Error, Result};
use crate::hub::{Gone, NotWaiting};
use crate::instances;
use crate::store::Tx;
use crate::time::now_ms;

/// Largest message of an agent.
const MAX_MESSAGE: usize = 16 << 20;
/// What each connection reads and writes at once: the usual 128 KiB each way are 2.5 GiB for ten thousand agents.
const BUFFER: usize = 4 << 10;
/// A connection that is silent for so many heartbeats is given up.
const SILENCE: u32 = 3;
/// How long a connection may take to say who it is.
const FIRST_MESSAGE: Duration = Duration::from_secs(30);
/// Longest that a request waits for a message, in seconds: what is between may cut off after a minute.
const LONGEST_WAIT: u64 = 55;
/// Close codes of WebSocket.
const TOO_LARGE: u16 = 1009;
const GOING_AWAY: u16 = 1001;
const POLICY: u16 = 1008;
const UNSUPPORTED: u16 = 1003;

/// What the listener shares.
#[derive(Clone)]
struct Listener {
    app: App,
    stop: CancellationToken,
}

/// The OpAMP endpoint.
pub fn router(app: App, stop: CancellationToken) -> Router {
    Router::new()
        .route(PATH, get(upgrade))
        .route(PATH, post(poll))
        .route(MESSAGES_PATH, get(wait))
        .layer(DefaultBodyLimit::max(MAX_MESSAGE))
        .with_state(Listener { app, stop })
}

async fn admit(app: &App, headers: &HeaderMap) -> Result<Admission> {
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let secret = shown.strip_prefix("Bearer ").unwrap_or_default().to_owned();
    let admit = move |tx: &mut dyn Tx| {
        let now = tx.clock()?;
        agents::admit(tx, now, &secret)
    };
    let admission = app.db.read(admit).await?;
    admission.ok_or_else(|| {
        Error::Unauthorized(
            "show an enrolment token, or the agent's own credential, as `Authorization: Bearer …`".to_owned(),
        )
    })
}

/// Lets an agent in by the identity of its first message.
async fn enter(app: &App, message: &AgentToServer, admission: &Admission) -> Result<String> {
    let id = agent_id(message)?;
    if admission.agent().is_some_and(|own| own != id) {
        return Err(Error::Forbidden("the credential is another agent's".to_owned()));
    }
    let (who, with) = (id.clone(), admission.clone());
    app.db.write(move |tx| agents::enrol(tx, now_ms(), &who, &with)).await?;
    Ok(id)
}

/// Longest time that an agent is sent away for while others are let in, in seconds.
const COME_BACK: u64 = 10;

/// A place among those who are let in now; without one an agent is told to come back, each at another moment.
fn turn(app: &App) -> Result<SemaphorePermit<'_>> {
    app.admission.try_acquire().map_err(|_| Error::TooMany(rand::random_range(1..=COME_BACK)))
}

async fn upgrade(
    State(listener): State<Listener>,
    headers: HeaderMap,
    upgrade: std::result::Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let admitted = match turn(&listener.app) {
        Ok(_turn) => admit(&listener.app, &headers).await,
        Err(error) => Err(error),
    };
    let admission = match admitted {
        Ok(admission) => admission,
        Err(error) => return error.into_response(),
    };
    match upgrade {
        Ok(upgrade) => upgrade
            .max_message_size(MAX_MESSAGE)
            .max_frame_size(MAX_MESSAGE)
            .read_buffer_size(BUFFER)
            .write_buffer_size(BUFFER)
            .on_upgrade(move |socket| talk(listener, socket, admission)),
        Err(rejection) => rejection.into_response(),
    }
}

/// A message, or why the connection ends.
enum Received {
    Message(Box<AgentToServer>),
    /// Control frames.
    Nothing,
    Malformed(String),
    End(u16, &'static str),
}

fn read(frame: Option<std::result::Result<Frame, axum::Error>>) -> Received {
    match frame {
        Some(Ok(Frame::Binary(bytes))) => match decode_frame::<AgentToServer>(&bytes) {
            Ok(message) => Received::Message(Box::new(message)),
            Err(error) => Received::Malformed(error.to_string()),
        },
        Some(Ok(Frame::Text(_))) => Received::End(UNSUPPORTED, "only binary messages are understood"),
        Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => Received::Nothing,
        Some(Ok(Frame::Close(_))) | None => Received::End(0, ""),
        Some(Err(error))
            if error.to_string().contains("too long") || error.to_string().contains("too big") =>
        {
            Received::End(TOO_LARGE, "the message is too large")
        }
        Some(Err(_)) => Received::End(0, ""),
    }
}

async fn send(socket: &mut WebSocket, message: &ServerToAgent) -> bool {
    socket.send(Frame::Binary(encode_frame(message))).await.is_ok()
}

async fn close(mut socket: WebSocket, code: u16, reason: &'static str) {
    if code != 0 {
        let frame = CloseFrame { code, reason: reason.into() };
        // Who is gone does not hear it.
        let _ = socket.send(Frame::Close(Some(frame))).await;
    }
}

async fn talk(listener: Listener, mut socket: WebSocket, admission: Admission) {
    let app = &listener.app;
    let first = loop {
        let frame = tokio::select! {
            frame = tokio::time::timeout(FIRST_MESSAGE, socket.recv()) => frame,
            () = listener.stop.cancelled() => return close(socket, GOING_AWAY, "the service stops").await,
        };
        match frame.map_or(Received::End(POLICY, "no message came"), read) {
            Received::Message(message) => break *message,
            Received::Nothing => {}
            Received::Malformed(error) => {
                let answer = refused(&[], ServerErrorResponseType::BadRequest, error);
                send(&mut socket, &answer).await;
                return close(socket, POLICY, "malformed message").await;
            }
            Received::End(code, reason) => return close(socket, code, reason).await,
        }
    };
    // Until all that it told first is written down.
    let entered = match turn(app) {
        Ok(turn) => enter(app, &first, &admission).await.map(|id| (id, turn)),
        Err(error) => Err(error),
    };
    let (id, turn) = match entered {
        Ok(entered) => entered,
        Err(error) => {
            send(&mut socket, &refusal(&first.instance_uid, &error)).await;
            return close(socket, POLICY, "refused").await;
        }
    };
    let mut session = app.hub.open(&id, now_ms(), None);
    if session.replaced {
        tracing::warn!(agent = id, "a new connection of an agent that is connected; the former one ends");
    }
    let (mut next, mut is_first, mut turn) = (Some(first), true, Some(turn));
    let silence = Duration::from_secs(app.heartbeat_seconds) * SILENCE + Duration::from_secs(5);
    let (code, reason) = loop {
        if let Some(message) = next.take() {
            let leaves = message.agent_disconnect.is_some();
            let uid = message.instance_uid.clone();
            let answer = match agent_id(&message) {
                Ok(named) if named != id => {
                    Err(Error::BadRequest("one connection speaks for one agent".to_owned()))
                }
                Ok(_) => serve(app, &id, session.number, &admission, message, is_first).await,
                Err(error) => Err(error),
            };
            is_first = false;
            drop(turn.take());
            let (answer, ends) = match answer {
                Ok(answer) => (answer, false),
                Err(error) => (refusal(&uid, &error), matches!(error, Error::Forbidden(_))),
            };
            if !send(&mut socket, &answer).await || leaves {
                break (0, "");
            }
            if ends {
                break (POLICY, "refused");
            }
        }
        tokio::select! {
            frame = tokio::time::timeout(silence, socket.recv()) => {
                match frame.map_or(Received::End(POLICY, "no heartbeat came"), read) {
                    Received::Message(message) => next = Some(*message),
                    Received::Nothing => {}
                    Received::Malformed(error) => {
                        let answer = refused(&[], ServerErrorResponseType::BadRequest, error);
                        send(&mut socket, &answer).await;
                        break (POLICY, "malformed message");
                    }
                    Received::End(code, reason) => break (code, reason),
                }
            }
            message = session.inbox.recv() => match message {
                Some(message) => {
                    if !send(&mut socket, &message).await {
                        break (0, "");
                    }
                }
                None => break (POLICY, "another connection of this agent came, or it was locked out"),
            },
            () = listener.stop.cancelled() => break (GOING_AWAY, "the service stops"),
        }
    };
    close(socket, code, reason).await;
    if let Some(gone) = app.hub.close(&id, session.number) {
        note_gone(app, vec![gone]).await;
    }
}

fn refusal(uid: &[u8], cause: &Error) -> ServerToAgent {
    let kind = match cause {
        Error::Unavailable(_) | Error::Internal(_) | Error::TooMany(_) => {
            ServerErrorResponseType::Unavailable
        }
        _ => ServerErrorResponseType::BadRequest,
    };
    if let Error::Internal(cause) = cause {
        tracing::error!(cause, "a message of an agent could not be served");
    }
    let mut answer = refused(uid, kind, cause.problem().detail);
    if kind == ServerErrorResponseType::Unavailable
        && let Some(error) = &mut answer.error_response
    {
        let seconds = if let Error::TooMany(seconds) = cause { *seconds } else { 5 };
        let retry_after_nanoseconds = seconds * 1_000_000_000;
        error.retry_info = Some(phoenix_opamp::RetryInfo { retry_after_nanoseconds });
    }
    answer
}

/// Writes down when agents that are gone were last heard of.
pub(crate) async fn note_gone(app: &App, gone: Vec<Gone>) {
    let instance = app.instance.clone();
    let noted = app.db.beside(move |tx| {
        for one in &gone {
            instances::detach(tx, &instance, one)?;
        }
        Ok(())
    });
    if let Err(error) = noted.await {
        tracing::error!(%error, "could not note when agents were last heard of");
    }
}

/// How the messages of a request are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Protobuf,
    Json,
}

impl Form {
    fn of(headers: &HeaderMap) -> Result<Form> {
        let kind =
            headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        match kind.split(';').next().unwrap_or_default().trim() {
            CONTENT_TYPE => Ok(Form::Protobuf),
            JSON_TYPE => Ok(Form::Json),
            _ => Err(Error::MediaType("application/x-protobuf` or `application/json")),
        }
    }

    fn read(self, body: &Bytes) -> std::result::Result<AgentToServer, String> {
        match self {
            Form::Protobuf => AgentToServer::decode(body.clone()).map_err(|error| error.to_string()),
            Form::Json => from_json(body).map_err(|error| error.to_string()),
        }
    }

    fn answer(self, message: &ServerToAgent) -> Response {
        let (kind, body) = match self {
            Form::Protobuf => (CONTENT_TYPE, message.encode_to_vec()),
            Form::Json => (JSON_TYPE, to_json(message)),
        };
        ([(header::CONTENT_TYPE, HeaderValue::from_static(kind))], Bytes::from(body)).into_response()
    }
}

async fn poll(State(listener): State<Listener>, headers: HeaderMap, body: Body) -> Response {
    let answered = async {
        let form = Form::of(&headers)?;
        Ok::<_, Error>(form.answer(&answer_poll(&listener, &headers, form, body).await?))
    };
    answered.await.unwrap_or_else(IntoResponse::into_response)
}

/// How long a request waits.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Patience {
    #[serde(default)]
    wait_seconds: u64,
}

/// Waits for what there is to say to an agent that speaks JSON: a message, or 204 after a while. It tells by `POST`, and
/// has said who it is before.
async fn wait(
    State(listener): State<Listener>,
    headers: HeaderMap,
    patience: std::result::Result<Query<Patience>, QueryRejection>,
) -> Response {
    let answered = async {
        let app = &listener.app;
        let Query(patience) = patience.map_err(|error| Error::BadRequest(error.body_text()))?;
        let admission = admit(app, &headers).await?;
        let id = match admission.agent() {
            Some(id) => id.to_owned(),
            None => {
                let id = named(&headers)?;
                let who = id.clone();
                if app.hub.seen(&id).is_some() {
                    app.db.read(move |tx| agents::enrol(tx, now_ms(), &who, &admission)).await?;
                }
                id
            }
        };
        // Longer than a heartbeat, and the agent would count as gone.
        let wait = Duration::from_secs(patience.wait_seconds.min(app.heartbeat_seconds).min(LONGEST_WAIT));
        let until = tokio::time::Instant::now() + wait;
        let heard = tokio::select! {
            heard = app.hub.wait(&id, now_ms(), until) => heard,
            () = listener.stop.cancelled() => Ok(None),
        };
        match heard {
            Ok(Some(message)) => Ok(Form::Json.answer(&message)),
            Ok(None) => Ok(StatusCode::NO_CONTENT.into_response()),
            Err(NotWaiting::NoSession) => {
                Err(Error::Conflict(format!("say first who you are, by POST to {PATH}")))
            }
            Err(NotWaiting::Waits) => Err(Error::Conflict("another request of this agent waits".to_owned())),
        }
    };
    answered.await.unwrap_or_else(IntoResponse::into_response)
}

/// The agent that a header names.
fn named(headers: &HeaderMap) -> Result<String> {
    let shown = headers.get(UID_HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let id: String = shown.chars().filter(|c| *c != '-').collect::<String>().to_ascii_lowercase();
    match id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => Ok(id),
        false => Err(Error::BadRequest(format!("name the agent in the header {UID_HEADER}: a UUID"))),
    }
}

async fn answer_poll(
    listener: &Listener,
    headers: &HeaderMap,
    form: Form,
    body: Body,
) -> Result<ServerToAgent> {
    let app = &listener.app;
    let admission = admit(app, headers).await?;
    let body = axum::body::to_bytes(body, MAX_MESSAGE).await.map_err(|_| Error::TooLarge(MAX_MESSAGE))?;
    let body = match headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"identity") => body,
        Some(b"gzip") => unzip(&body)?,
        Some(_) => return Err(Error::BadRequest("`Content-Encoding` must be gzip or identity".to_owned())),
    };
    let message = match form.read(&body) {
        Ok(message) => message,
        Err(error) => {
            let text = format!("malformed message: {error}");
            return Ok(refused(&[], ServerErrorResponseType::BadRequest, text));
        }
    };
    // Only who is not there yet waits for a turn.
    let is_known = agent_id(&message).is_ok_and(|id| app.hub.seen(&id).is_some());
    let _turn = if is_known { None } else { Some(turn(app)?) };
    let id = match enter(app, &message, &admission).await {
        Ok(id) => id,
        Err(error) => return Ok(refusal(&message.instance_uid, &error)),
    };
    let uid = message.instance_uid.clone();
    let every = i64::try_from(app.heartbeat_seconds * 1000).unwrap_or(i64::MAX);
    let (number, is_first) = app.hub.polling(&id, now_ms(), every);
    // Whoever still shows the credential before did not take the new one.
    let is_first = is_first || matches!(admission, Admission::Former(_));
    let leaves = message.agent_disconnect.is_some();
    let mut answer = match serve(app, &id, number, &admission, message, is_first).await {
        Ok(answer) => answer,
        Err(error) => refusal(&uid, &error),
    };
    if leaves {
        if let Some(gone) = app.hub.close(&id, number) {
            note_gone(app, vec![gone]).await;
        }
        return Ok(answer);
    }
    if answer.custom_message.is_none()
        && answer.error_response.is_none()
        && let Some(waiting) = app.hub.waiting(&id)
    {
        answer.custom_message = waiting.custom_message;
        answer.remote_config = answer.remote_config.or(waiting.remote_config);
        answer.connection_settings = answer.connection_settings.or(waiting.connection_settings);
    }
    Ok(answer)
}

fn unzip(body: &[u8]) -> Result<Bytes> {
    use std::io::Read as _;
    let mut plain = Vec::new();
    let reader = flate2::read::GzDecoder::new(body);
    reader
        .take(MAX_MESSAGE as u64 + 1)
        .read_to_end(&mut plain)
        .map_err(|error| Error::BadRequest(format!("the body is no gzip: {error}")))?;
    if plain.len() > MAX_MESSAGE {
        return Err(Error::TooLarge(MAX_MESSAGE));
    }
    Ok(plain.into())
}
