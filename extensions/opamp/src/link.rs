//! A connection to the server, over one of the two transports.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use phoenix_config::Opaque;
use phoenix_opamp::{
    AgentToServer, CONTENT_TYPE as PROTOBUF, MAX_MESSAGE_BYTES, Message as _, ServerToAgent, decode_frame,
    encode_frame,
};
use phoenix_transport::proxy::Proxies;
use phoenix_transport::tls::TlsConnector;
use phoenix_transport::{Stream, dial};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as WsError, Message as Frame};

/// How long a message may take to be sent, and an answer over HTTP to come.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why there is no connection, or no longer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    /// The server does not know the credentials.
    #[error("the server does not take the credentials (401)")]
    Unauthorized,
    /// The server says when to come again.
    #[error("the server is busy ({status})")]
    Busy { status: u16, after: Option<Duration> },
    /// Anything else.
    #[error("{0}")]
    Broken(String),
}

fn broken(error: impl std::fmt::Display) -> LinkError {
    LinkError::Broken(error.to_string())
}

/// Where the server is and how it is reached.
pub(crate) struct Server {
    pub(crate) url: Uri,
    pub(crate) tls: TlsConnector,
    pub(crate) proxies: Proxies,
    pub(crate) headers: HeaderMap,
    pub(crate) uid: String,
    pub(crate) user_agent: String,
    pub(crate) over_http: bool,
}

/// An open connection.
pub(crate) enum Link {
    WebSocket(Box<WebSocketStream<Stream>>),
    /// Answers that were not taken yet: each message is a request of its own.
    Http {
        answers: VecDeque<ServerToAgent>,
        headers: HeaderMap,
    },
}

impl Server {
    fn headers(&self, credential: Option<&Opaque>) -> HeaderMap {
        let mut headers = self.headers.clone();
        if let Some(credential) = credential
            && let Ok(mut value) = HeaderValue::from_str(credential.reveal())
        {
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        if let Ok(uid) = HeaderValue::from_str(&self.uid) {
            headers.insert(HeaderName::from_static("opamp-instance-uid"), uid);
        }
        if let Ok(agent) = HeaderValue::from_str(&self.user_agent) {
            headers.entry(http::header::USER_AGENT).or_insert(agent);
        }
        headers
    }

    /// Connects; `credential` takes the place of the `Authorization` that is configured.
    pub(crate) async fn open(&self, credential: Option<&Opaque>) -> Result<Link, LinkError> {
        let headers = self.headers(credential);
        if self.over_http {
            return Ok(Link::Http { answers: VecDeque::new(), headers });
        }
        let stream = dial(&self.url, &self.tls, &self.proxies).await.map_err(broken)?;
        let mut request = self.url.clone().into_client_request().map_err(broken)?;
        request.headers_mut().extend(headers);
        let config = WebSocketConfig::default()
            .max_message_size(Some(MAX_MESSAGE_BYTES))
            .max_frame_size(Some(MAX_MESSAGE_BYTES));
        let shaken = tokio_tungstenite::client_async_with_config(request, stream, Some(config));
        match tokio::time::timeout(PATIENCE, shaken).await.map_err(broken)? {
            Ok((socket, _)) => Ok(Link::WebSocket(Box::new(socket))),
            Err(WsError::Http(answer)) => Err(refused(answer.status(), answer.headers())),
            Err(error) => Err(broken(error)),
        }
    }
}

fn refused(status: StatusCode, headers: &HeaderMap) -> LinkError {
    let after = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    match status {
        StatusCode::UNAUTHORIZED => LinkError::Unauthorized,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            LinkError::Busy { status: status.as_u16(), after: after.map(Duration::from_secs) }
        }
        status => LinkError::Broken(format!("the server answers {status}")),
    }
}

impl Link {
    /// Sends a message.
    pub(crate) async fn send(&mut self, server: &Server, message: &AgentToServer) -> Result<(), LinkError> {
        match self {
            Link::WebSocket(socket) => {
                let sent = socket.send(Frame::Binary(encode_frame(message)));
                tokio::time::timeout(PATIENCE, sent).await.map_err(broken)?.map_err(broken)
            }
            Link::Http { answers, headers } => {
                let posted = post(server, headers.clone(), message);
                answers.push_back(tokio::time::timeout(PATIENCE, posted).await.map_err(broken)??);
                Ok(())
            }
        }
    }

    /// The next message of the server; waits for ever where only a request brings one.
    pub(crate) async fn receive(&mut self) -> Result<ServerToAgent, LinkError> {
        match self {
            Link::WebSocket(socket) => loop {
                match socket.next().await {
                    Some(Ok(Frame::Binary(frame))) => return decode_frame(&frame).map_err(broken),
                    Some(Ok(Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_))) => {}
                    Some(Ok(Frame::Text(_))) => return Err(broken("the server sends text")),
                    Some(Ok(Frame::Close(frame))) => {
                        let why = frame.map(|frame| frame.reason.to_string()).unwrap_or_default();
                        return Err(broken(format!("the server closed the connection: {why}")));
                    }
                    Some(Err(error)) => return Err(broken(error)),
                    None => return Err(broken("the connection ended")),
                }
            },
            Link::Http { answers, .. } => match answers.pop_front() {
                Some(answer) => Ok(answer),
                None => std::future::pending().await,
            },
        }
    }

    /// Shows another credential from now on, where each message is a request of its own.
    pub(crate) fn renew(&mut self, server: &Server, credential: Option<&Opaque>) {
        if let Link::Http { headers, .. } = self {
            *headers = server.headers(credential);
        }
    }

    /// Says that there is nothing more.
    pub(crate) async fn close(self) {
        if let Link::WebSocket(mut socket) = self {
            // Whoever is gone does not hear it.
            let _ =
                tokio::time::timeout(Duration::from_secs(1), WebSocketStream::close(&mut socket, None)).await;
        }
    }
}

async fn post(
    server: &Server,
    headers: HeaderMap,
    message: &AgentToServer,
) -> Result<ServerToAgent, LinkError> {
    let stream = dial(&server.url, &server.tls, &server.proxies).await.map_err(broken)?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let path = server.url.path_and_query().map_or("/", |path| path.as_str());
    let host = server.url.authority().map(|authority| authority.as_str()).unwrap_or_default();
    let mut request = Request::builder().method(Method::POST).uri(path).header(HOST, host);
    if let Some(all) = request.headers_mut() {
        all.extend(headers);
        all.insert(CONTENT_TYPE, HeaderValue::from_static(PROTOBUF));
    }
    let request = request.body(Full::new(Bytes::from(message.encode_to_vec()))).map_err(broken)?;
    let exchange = async {
        let answer = sender.send_request(request).await.map_err(broken)?;
        let (head, body) = answer.into_parts();
        if !head.status.is_success() {
            return Err(refused(head.status, &head.headers));
        }
        let body = Limited::new(body, MAX_MESSAGE_BYTES).collect().await.map_err(broken)?.to_bytes();
        ServerToAgent::decode(body).map_err(broken)
    };
    tokio::pin!(exchange);
    tokio::select! {
        answer = &mut exchange => answer,
        // The connection may end with the answer that was read.
        _ = connection => exchange.await,
    }
}
