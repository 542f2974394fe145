//! A connection to the server, over one of the two transports.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use phoenix_component::Slot;
use phoenix_component::auth::ClientAuth;
use phoenix_config::Opaque;
use phoenix_opamp::{
    AgentToServer, CONTENT_TYPE as PROTOBUF, JSON_TYPE, MAX_MESSAGE_BYTES, Message as _, ServerToAgent,
    UID_HEADER, decode_frame, encode_frame, from_json, to_json,
};
use phoenix_transport::proxy::Proxies;
use phoenix_transport::tls::TlsConnector;
use phoenix_transport::{Stream, dial};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as WsError, Message as Frame};

/// How long a message may take to be sent, and an answer over HTTP to come.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a connection reads and writes at once.
const BUFFER: usize = 8 << 10;

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

/// How messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    WebSocket,
    /// Each message is a request, and the answer to it.
    Http,
    /// As JSON; besides, a request waits for what the server has to say.
    LongPoll {
        wait: Duration,
    },
}

/// Where the server is and how it is reached.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) url: Uri,
    pub(crate) tls: TlsConnector,
    pub(crate) proxies: Proxies,
    pub(crate) headers: HeaderMap,
    /// What adds credentials to each request.
    pub(crate) auth: Option<Arc<Slot<dyn ClientAuth>>>,
    pub(crate) uid: String,
    pub(crate) user_agent: String,
    pub(crate) transport: Transport,
}

/// An open connection.
pub(crate) enum Link {
    WebSocket(Box<WebSocketStream<Stream>>),
    /// Answers that were not taken yet: each message is a request of its own.
    Http {
        answers: VecDeque<ServerToAgent>,
        /// Shown with each request.
        credential: Option<Opaque>,
        /// Waits for what the server has to say, once it knows this agent.
        waiter: Option<Waiter>,
    },
}

impl Server {
    /// The headers of a request. A credential that the server gave counts before what the settings and an authenticator
    /// say.
    async fn headers(&self, credential: Option<&Opaque>) -> Result<HeaderMap, LinkError> {
        let mut headers = self.headers.clone();
        if let Some(auth) = &self.auth {
            let auth = auth.get().ok_or_else(|| broken("the authenticator is not running"))?;
            auth.authorize(&mut headers, None)
                .await
                .map_err(|refusal| broken(format!("no credentials: {refusal}")))?;
        }
        if let Some(credential) = credential
            && let Ok(mut value) = HeaderValue::from_str(credential.reveal())
        {
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        if let Ok(uid) = HeaderValue::from_str(&self.uid) {
            headers.insert(HeaderName::from_static(UID_HEADER), uid);
        }
        if let Ok(agent) = HeaderValue::from_str(&self.user_agent) {
            headers.entry(http::header::USER_AGENT).or_insert(agent);
        }
        Ok(headers)
    }

    /// Connects; `credential` takes the place of the `Authorization` that is configured.
    pub(crate) async fn open(&self, credential: Option<&Opaque>) -> Result<Link, LinkError> {
        if self.transport != Transport::WebSocket {
            let credential = credential.cloned();
            return Ok(Link::Http { answers: VecDeque::new(), credential, waiter: None });
        }
        let headers = tokio::time::timeout(PATIENCE, self.headers(credential)).await.map_err(broken)??;
        let stream = dial(&self.url, &self.tls, &self.proxies).await.map_err(broken)?;
        let mut request = self.url.clone().into_client_request().map_err(broken)?;
        request.headers_mut().extend(headers);
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER)
            .write_buffer_size(BUFFER)
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
            Link::Http { answers, credential, waiter } => {
                let posted = post(server, credential.as_ref(), message);
                answers.push_back(tokio::time::timeout(PATIENCE, posted).await.map_err(broken)??);
                if let (None, Transport::LongPoll { wait }) = (&waiter, server.transport) {
                    *waiter = Some(Waiter::begin(server.clone(), credential.clone(), wait));
                }
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
            Link::Http { answers, waiter, .. } => match (answers.pop_front(), waiter) {
                (Some(answer), _) => Ok(answer),
                (None, Some(waiter)) => waiter.next().await,
                (None, None) => std::future::pending().await,
            },
        }
    }

    /// Shows another credential from now on, where each message is a request of its own.
    pub(crate) fn renew(&mut self, renewed: Option<&Opaque>) {
        if let Link::Http { credential, waiter, .. } = self {
            *credential = renewed.cloned();
            // The next message begins another one, with the new credential.
            *waiter = None;
        }
    }

    /// Whether it is one connection, which shows its credential once.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self, Link::WebSocket(_))
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

/// A request that waits at the server, and the next one after it. Ends when it is let go.
pub(crate) struct Waiter {
    said: mpsc::Receiver<Result<ServerToAgent, LinkError>>,
    _task: AbortOnDrop,
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Waiter {
    fn begin(server: Server, credential: Option<Opaque>, wait: Duration) -> Waiter {
        let (says, said) = mpsc::channel(4);
        let task = tokio::spawn(async move {
            loop {
                let asked = wait_once(&server, credential.as_ref(), wait);
                let asked = tokio::time::timeout(wait + PATIENCE, asked);
                let heard = asked.await.map_err(broken).and_then(|heard| heard);
                let ends = heard.is_err();
                if let Some(heard) = heard.transpose()
                    && (says.send(heard).await.is_err() || ends)
                {
                    return;
                }
            }
        });
        Waiter { said, _task: AbortOnDrop(task) }
    }

    async fn next(&mut self) -> Result<ServerToAgent, LinkError> {
        self.said.recv().await.unwrap_or_else(|| Err(broken("the waiting for the server ended")))
    }
}

/// What the server says within `wait`.
async fn wait_once(
    server: &Server,
    credential: Option<&Opaque>,
    wait: Duration,
) -> Result<Option<ServerToAgent>, LinkError> {
    let headers = server.headers(credential).await?;
    let path =
        format!("{}/messages?wait_seconds={}", server.url.path().trim_end_matches('/'), wait.as_secs());
    let (status, body) = exchange(server, Method::GET, &path, headers, Bytes::new()).await?;
    match status {
        StatusCode::NO_CONTENT => Ok(None),
        _ => from_json(&body).map(Some).map_err(broken),
    }
}

async fn post(
    server: &Server,
    credential: Option<&Opaque>,
    message: &AgentToServer,
) -> Result<ServerToAgent, LinkError> {
    let mut headers = server.headers(credential).await?;
    let is_json = server.transport != Transport::Http;
    let (kind, body) =
        if is_json { (JSON_TYPE, to_json(message)) } else { (PROTOBUF, message.encode_to_vec()) };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    let path = server.url.path_and_query().map_or("/", |path| path.as_str());
    let (_, body) = exchange(server, Method::POST, path, headers, body.into()).await?;
    if is_json { from_json(&body).map_err(broken) } else { ServerToAgent::decode(body).map_err(broken) }
}

/// One request on a connection of its own.
async fn exchange(
    server: &Server,
    method: Method,
    path: &str,
    headers: HeaderMap,
    body: Bytes,
) -> Result<(StatusCode, Bytes), LinkError> {
    let stream = dial(&server.url, &server.tls, &server.proxies).await.map_err(broken)?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let host = server.url.authority().map(|authority| authority.as_str()).unwrap_or_default();
    let mut request = Request::builder().method(method).uri(path).header(HOST, host);
    if let Some(all) = request.headers_mut() {
        all.extend(headers);
    }
    let request = request.body(Full::new(body)).map_err(broken)?;
    let exchange = async {
        let answer = sender.send_request(request).await.map_err(broken)?;
        let (head, body) = answer.into_parts();
        if !head.status.is_success() {
            return Err(refused(head.status, &head.headers));
        }
        let body = Limited::new(body, MAX_MESSAGE_BYTES).collect().await.map_err(broken)?.to_bytes();
        Ok((head.status, body))
    };
    tokio::pin!(exchange);
    tokio::select! {
        answer = &mut exchange => answer,
        // The connection may end with the answer that was read.
        _ = connection => exchange.await,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use phoenix_component::auth::AuthPublication;
    use phoenix_component::factory::{CreateContext, Shared};
    use phoenix_component::{BoxFuture, ClientInfo, Host, Refusal, StatusReporter};
    use phoenix_config::{ComponentId, Kind};
    use phoenix_transport::settings::TlsClientSettings;
    use phoenix_transport::tls::Alpn;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// Says which request it is, and has nothing to say to the third.
    struct Counting(AtomicU32);

    impl ClientAuth for Counting {
        fn authorize<'a>(
            &'a self,
            headers: &'a mut HeaderMap,
            _: Option<&'a ClientInfo>,
        ) -> BoxFuture<'a, Result<(), Refusal>> {
            let number = self.0.fetch_add(1, Ordering::SeqCst) + 1;
            Box::pin(async move {
                if number == 3 {
                    return Err(Refusal::retryable("auth", "no token today"));
                }
                let value = HeaderValue::from_str(&format!("Bearer {number}"));
                headers.insert(AUTHORIZATION, value.expect("a value"));
                Ok(())
            })
        }
    }

    /// The head of a request, line by line in small letters; what follows stays unread.
    async fn head(stream: &mut TcpStream) -> String {
        let mut read = Vec::new();
        while !read.ends_with(b"\r\n\r\n") {
            read.push(stream.read_u8().await.expect("a request"));
        }
        String::from_utf8(read).expect("a head").to_ascii_lowercase()
    }

    /// Answers each request with 401, and tells what it showed.
    async fn watching(listener: TcpListener, shown: mpsc::Sender<String>) {
        while let Ok((mut stream, _)) = listener.accept().await {
            let head = head(&mut stream).await;
            let line = head.lines().find(|line| line.starts_with("authorization:"));
            shown.send(line.unwrap_or_default().to_owned()).await.expect("the test listens");
            let answer = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            stream.write_all(answer).await.expect("written");
        }
    }

    #[tokio::test]
    async fn an_authenticator_is_asked_for_each_request_of_each_transport() {
        for (scheme, transport) in [
            ("ws", Transport::WebSocket),
            ("http", Transport::Http),
            ("http", Transport::LongPoll { wait: Duration::from_secs(1) }),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
            let address = listener.local_addr().expect("an address");
            let (says, mut shown) = mpsc::channel(8);
            tokio::spawn(watching(listener, says));
            let (host, shared) = (Host::for_tests(), Shared::default());
            let id = ComponentId::parse("auth").expect("an id");
            let status = StatusReporter::detached(Kind::Extension, id.clone());
            let cx = CreateContext { id: &id, host: &host, status, shared: &shared };
            let published = AuthPublication::new(&cx, None, Some(Arc::new(Counting(AtomicU32::new(0)))));
            published.start(&host);
            let server = Server {
                url: format!("{scheme}://{address}/v1/opamp").parse().expect("a URL"),
                tls: TlsConnector::new(&TlsClientSettings::default(), Alpn::Http1).expect("TLS"),
                proxies: Proxies::default(),
                headers: HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static("Bearer settings"))]),
                auth: Some(host.capabilities.client_auth(&id).expect("published")),
                uid: "u".to_owned(),
                user_agent: "test".to_owned(),
                transport,
            };
            let ask = async |credential: Option<&Opaque>| -> LinkError {
                match server.open(credential).await {
                    Ok(mut link) => link.send(&server, &AgentToServer::default()).await.expect_err("refused"),
                    Err(error) => error,
                }
            };
            for expected in ["authorization: bearer 1", "authorization: bearer 2"] {
                assert!(matches!(ask(None).await, LinkError::Unauthorized), "{transport:?}");
                assert_eq!(shown.recv().await.as_deref(), Some(expected), "{transport:?}");
            }
            // Without credentials nothing is sent.
            let failed = ask(None).await.to_string();
            assert!(failed.contains("no credentials: ") && failed.contains("no token today"), "{failed}");
            // What the server gave counts first.
            let own = Opaque::new("Bearer own".to_owned());
            assert!(matches!(ask(Some(&own)).await, LinkError::Unauthorized), "{transport:?}");
            assert_eq!(shown.recv().await.as_deref(), Some("authorization: bearer own"), "{transport:?}");
            published.stop();
            let failed = ask(None).await.to_string();
            assert!(failed.contains("the authenticator is not running"), "{failed}");
            assert!(shown.try_recv().is_err(), "nothing more was sent");
        }
    }
}
