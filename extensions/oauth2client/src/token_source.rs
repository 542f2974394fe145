//! Fetches tokens: one request at a time, whoever waits for it.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::StatusCode;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use phoenix_component::auth::ClientAuth;
use phoenix_component::{BoxFuture, ClientInfo, Host, Refusal, StartError};
use phoenix_telemetry::Metrics;
use phoenix_transport::compression::Encoding;
use phoenix_transport::http::client::{Client, Destination, Response};
use phoenix_transport::http::retry_after;
use phoenix_transport::settings::{Compression, HttpClientBlock};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::OAuth2ClientConfig;
use crate::metrics::TokenRequests;
use crate::token::{Token, failure};

/// For a request for a token, where the settings say nothing.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Rest after a request that failed, doubled with each that follows, up to the second.
const FIRST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(30);
/// Longest rest that a server may ask for by `Retry-After`.
const LONGEST_ASKED: Duration = Duration::from_secs(300);

/// Where tokens come from.
pub(crate) struct TokenSource {
    config: OAuth2ClientConfig,
    client: OnceLock<(Client, Destination)>,
    requests: TokenRequests,
    current: std::sync::Mutex<Option<Arc<Token>>>,
    fetching: Mutex<Fetching>,
}

#[derive(Default)]
struct Fetching {
    /// How the server wants to hear of the client, once that is known.
    style: Option<Style>,
    failures: u32,
    rest: Option<(Instant, String)>,
}

/// Why there is no token.
#[derive(Debug)]
struct Failed {
    reason: String,
    /// The server has too much to do: it is not to be asked in another way at once.
    throttled: bool,
    /// The rest that it asks for.
    rest: Option<Duration>,
}

impl From<String> for Failed {
    fn from(reason: String) -> Failed {
        Failed { reason, throttled: false, rest: None }
    }
}

impl Failed {
    /// What an answer without a token says that came at `now`.
    fn of(answer: &Response, now: SystemTime) -> Failed {
        let code = failure(&answer.body).map(|code| format!(" ({code})")).unwrap_or_default();
        let throttled =
            matches!(answer.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        let rest = answer.headers.get(RETRY_AFTER).filter(|_| throttled);
        Failed {
            reason: format!("the server answered {}{code}", answer.status.as_u16()),
            throttled,
            rest: rest.and_then(|value| retry_after(value, now)),
        }
    }
}

/// How the client shows its identifier and secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// As basic authentication.
    Header,
    /// Among the parameters.
    Parameters,
}

impl TokenSource {
    pub(crate) fn new(config: OAuth2ClientConfig, metrics: &Metrics, extension: &str) -> TokenSource {
        TokenSource {
            config,
            client: OnceLock::new(),
            requests: TokenRequests::new(metrics, extension),
            current: Default::default(),
            fetching: Mutex::default(),
        }
    }

    /// Prepares the requests. Nothing is connected.
    pub(crate) fn start(&self, host: &Host) -> Result<(), StartError> {
        let block = HttpClientBlock {
            tls: self.config.tls.clone(),
            compression: Compression(Encoding::Identity),
            disable_keep_alives: true,
            ..HttpClientBlock::default()
        };
        let mut options = block.options(host).map_err(StartError::because)?;
        let timeout = self.config.timeout;
        options.timeout = Some(if timeout.is_positive() { timeout.as_duration() } else { TIMEOUT });
        let client = Client::new(options, &host.cores).map_err(StartError::because)?;
        let destination = client.destination(&self.config.token_url).map_err(StartError::because)?;
        self.client.get_or_init(|| (client, destination));
        Ok(())
    }

    fn current(&self) -> Option<Arc<Token>> {
        self.current.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// A token that is valid now.
    pub(crate) async fn token(&self) -> Result<Arc<Token>, Refusal> {
        let current = self.current();
        if let Some(token) = current.as_ref().filter(|token| token.is_fresh(Instant::now())) {
            return Ok(token.clone());
        }
        let valid = current.filter(|token| token.is_valid(Instant::now()));
        // Who has a valid one does not wait for another's request.
        let mut fetching = match (&valid, self.fetching.try_lock()) {
            (_, Ok(fetching)) => fetching,
            (Some(valid), Err(_)) => return Ok(valid.clone()),
            (None, Err(_)) => self.fetching.lock().await,
        };
        if let Some(token) = self.current().filter(|token| token.is_fresh(Instant::now())) {
            return Ok(token);
        }
        match (self.fetch(&mut fetching).await, valid) {
            (Ok(token), _) => {
                *self.current.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(token.clone());
                Ok(token)
            }
            (Err(_), Some(valid)) => Ok(valid),
            (Err(reason), None) => {
                let text = format!("cannot get a token from {}: {reason}", self.config.token_url);
                let refusal = Refusal::retryable("auth", text);
                let left =
                    fetching.rest.as_ref().map(|(end, _)| end.saturating_duration_since(Instant::now()));
                // Whoever waits is not told to wait for longer than it may keep its data: to come again costs nothing.
                Err(left.map_or(refusal.clone(), |left| refusal.after(left.min(LONGEST_REST))))
            }
        }
    }

    /// Asks for a token, unless that failed a moment ago.
    async fn fetch(&self, fetching: &mut Fetching) -> Result<Arc<Token>, String> {
        if let Some((end, reason)) = &fetching.rest
            && Instant::now() < *end
        {
            return Err(reason.clone());
        }
        let styles = match fetching.style {
            Some(style) => vec![style],
            None => vec![Style::Header, Style::Parameters],
        };
        let mut failed = Failed::from(String::new());
        for style in styles {
            match self.ask(style).await {
                Ok(token) => {
                    self.requests.granted.add(1);
                    *fetching = Fetching { style: Some(style), ..Fetching::default() };
                    return Ok(Arc::new(token));
                }
                Err(error) => failed = error,
            }
            match failed.throttled {
                true => self.requests.throttled.add(1),
                false => self.requests.failed.add(1),
            }
            if failed.throttled {
                break;
            }
        }
        let Failed { reason, rest, .. } = failed;
        let own = FIRST_REST.saturating_mul(1 << fetching.failures.min(10)).min(LONGEST_REST);
        let rest = rest.map_or(own, |asked| asked.clamp(own, LONGEST_ASKED));
        fetching.failures += 1;
        fetching.rest = Some((Instant::now() + rest, reason.clone()));
        tracing::warn!(token_url = self.config.token_url, reason, "cannot get a token");
        Err(reason)
    }

    async fn ask(&self, style: Style) -> Result<Token, Failed> {
        let started = self.client.get();
        let (client, destination) = started.ok_or_else(|| "the extension has not started".to_owned())?;
        let config = self.config.clone();
        let credentials = tokio::task::spawn_blocking(move || credentials(&config)).await;
        let (id, secret) = credentials.map_err(|error| error.to_string())??;
        let (headers, body) = request(&self.config, style, &id, &secret)?;
        let answer = client.post(destination, &headers, Bytes::from(body).into()).await;
        let answer = answer.map_err(|error| error.to_string())?;
        if !answer.status.is_success() {
            return Err(Failed::of(&answer, SystemTime::now()));
        }
        Ok(Token::parse(&answer.body, Instant::now(), self.config.expiry_buffer.as_duration())?)
    }
}

fn credentials(config: &OAuth2ClientConfig) -> Result<(String, String), String> {
    let read = |key: &str, file: &str, text: &str| match file {
        "" => Ok(text.to_owned()),
        file => std::fs::read_to_string(file)
            .map(|text| text.trim().to_owned())
            .map_err(|error| format!("{key} {file:?}: {error}")),
    };
    let id = read("client_id_file", &config.client_id_file, &config.client_id)?;
    let secret = read("client_secret_file", &config.client_secret_file, config.client_secret.reveal())?;
    Ok((id, secret))
}

/// The request for a token (RFC 6749, sections 2.3.1 and 4.4.2).
fn request(
    config: &OAuth2ClientConfig,
    style: Style,
    id: &str,
    secret: &str,
) -> Result<(HeaderMap, String), String> {
    let mut form = Form::default();
    form.put("grant_type", "client_credentials");
    if !config.scopes.is_empty() {
        form.put("scope", &config.scopes.join(" "));
    }
    for (name, values) in &config.endpoint_params {
        values.iter().for_each(|value| form.put(name, value));
    }
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    match style {
        Style::Header => {
            let pair = format!("{}:{}", encoded(id), encoded(secret));
            headers.insert(AUTHORIZATION, basic(&pair)?);
        }
        Style::Parameters => {
            form.put("client_id", id);
            form.put("client_secret", secret);
        }
    }
    Ok((headers, form.0))
}

fn basic(pair: &str) -> Result<HeaderValue, String> {
    use base64::Engine as _;
    let text = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair));
    let mut value = HeaderValue::try_from(text).map_err(|error| error.to_string())?;
    value.set_sensitive(true);
    Ok(value)
}

/// Parameters in `application/x-www-form-urlencoded`.
#[derive(Default)]
struct Form(String);

impl Form {
    fn put(&mut self, name: &str, value: &str) {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.0 += &encoded(name);
        self.0.push('=');
        self.0 += &encoded(value);
    }
}

fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out += &format!("%{byte:02X}"),
        }
    }
    out
}

impl ClientAuth for TokenSource {
    fn authorize<'a>(
        &'a self,
        headers: &'a mut HeaderMap,
        _client: Option<&'a ClientInfo>,
    ) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(async move {
            let token = self.token().await?;
            headers.insert(AUTHORIZATION, token.header.clone());
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests;
