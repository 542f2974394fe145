//! OpenID Connect: whom a provider vouches for logs in, with the role that a claim of theirs is mapped to.
//!
//! - Tokens are judged by the collector's own code (signature, issuer, audience, times).
//! - Nothing of a login that is under way is kept here: what must fit together later is in a cookie of the browser, so
//!   any instance may take the answer.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use phoenix_collector::tokens::jwks::KeySet;
use phoenix_collector::tokens::jwt::{Expected, TokenError, Unverified};
use phoenix_transport::dial;
use phoenix_transport::proxy::Proxies;
use phoenix_transport::settings::TlsClientSettings;
use phoenix_transport::tls::{Alpn, TlsConnector};
use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;

use crate::error::{Error, Result};
use crate::principals::Grant;
use crate::roles::Role;

/// How long an answer of the provider may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest answer of the provider, in bytes.
const MAX_ANSWER: usize = 1 << 20;
/// What the provider said of itself is asked for again after this time.
const RENEWAL: Duration = Duration::from_secs(15 * 60);
/// Least time between two questions that an unknown key asks for: anybody can make one up.
const LEAST: Duration = Duration::from_secs(3);

/// How people log in with a provider.
#[derive(Clone, Debug)]
pub struct OidcSettings {
    /// The issuer, exactly as its tokens name it.
    pub issuer: String,
    /// What this service is called there; tokens must be meant for it.
    pub client_id: String,
    /// Its secret there; none for a public client.
    pub client_secret: Option<String>,
    /// Where browsers find this service, for example `https://control.example.com`.
    pub public_url: String,
    /// PEM file of the authorities of the provider's certificate; the system's without.
    pub ca: Option<PathBuf>,
    /// The claim that names the user.
    pub name_claim: String,
    /// The claim that says what they may do: a text, or a list of them.
    pub role_claim: String,
    /// What each of its values stands for; the first that fits counts.
    pub roles: Vec<RoleRule>,
}

/// What a value of the claim stands for: `VALUE=ROLE`, or `VALUE=ROLE:SCOPE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleRule {
    /// The value; `*` is any.
    pub value: String,
    /// The role, and with which agents.
    pub grant: Grant,
}

impl std::str::FromStr for RoleRule {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<RoleRule, String> {
        let wrong = || format!("{text:?} is not VALUE=ROLE or VALUE=ROLE:SCOPE");
        let (value, rest) = text.split_once('=').ok_or_else(wrong)?;
        let (role, scope) = rest.split_once(':').unwrap_or((rest, ""));
        let role = Role::parse(role).ok_or_else(|| format!("{role:?} is no role"))?;
        let grant = Grant::new(role, scope.to_owned()).map_err(|error| error.problem().detail)?;
        if value.is_empty() {
            return Err(wrong());
        }
        Ok(RoleRule { value: value.to_owned(), grant })
    }
}

/// Whom the provider vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Vouched {
    /// Issuer and subject: nobody else ever has both.
    pub(crate) subject: String,
    pub(crate) name: String,
    pub(crate) grant: Grant,
}

/// What must fit together at the end of a login, in the browser's cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) state: String,
    pub(crate) nonce: String,
    pub(crate) verifier: String,
}

impl Attempt {
    pub(crate) fn new() -> Attempt {
        let random = || URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        Attempt { state: random(), nonce: random(), verifier: random() }
    }

    pub(crate) fn cookie(&self) -> String {
        format!("{}.{}.{}", self.state, self.nonce, self.verifier)
    }

    pub(crate) fn of_cookie(cookie: &str) -> Option<Attempt> {
        let mut parts = cookie.split('.').map(str::to_owned);
        let attempt = Attempt { state: parts.next()?, nonce: parts.next()?, verifier: parts.next()? };
        (parts.next().is_none() && !attempt.state.is_empty()).then_some(attempt)
    }
}

/// What the provider says of itself.
#[derive(Clone, Debug, Deserialize)]
struct Discovery {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
}

struct Provider {
    discovery: Discovery,
    keys: KeySet,
    asked_at: Instant,
}

/// A provider.
pub struct Oidc {
    settings: OidcSettings,
    tls: TlsConnector,
    proxies: Proxies,
    provider: Mutex<Option<Arc<Provider>>>,
}

fn away(error: impl std::fmt::Display) -> Error {
    Error::Unavailable(format!("the provider of logins: {error}"))
}

impl Oidc {
    /// Prepares for a provider; it is asked with the first login.
    ///
    /// # Errors
    /// Where the settings make no sense.
    pub fn new(settings: OidcSettings) -> Result<Oidc> {
        for (key, url) in [("issuer", &settings.issuer), ("public URL", &settings.public_url)] {
            let parsed = url.parse::<Uri>().ok();
            let scheme = parsed.as_ref().and_then(Uri::scheme_str).unwrap_or_default();
            let host = parsed.as_ref().and_then(Uri::host).unwrap_or_default();
            let is_here = ["localhost", "127.0.0.1", "[::1]"].contains(&host);
            if scheme != "https" && !(scheme == "http" && is_here) {
                return Err(Error::Unavailable(format!("the OIDC {key} must be an https URL: {url:?}")));
            }
        }
        if settings.roles.is_empty() {
            return Err(Error::Unavailable("with OIDC, name at least one role for a claim".to_owned()));
        }
        let ca_file = settings.ca.as_ref().map(|path| path.to_string_lossy().into_owned());
        let tls = TlsClientSettings { ca_file: ca_file.unwrap_or_default(), ..TlsClientSettings::default() };
        Ok(Oidc {
            tls: TlsConnector::new(&tls, Alpn::Http1).map_err(away)?,
            proxies: Proxies::from_environment().map_err(away)?,
            settings,
            provider: Mutex::default(),
        })
    }

    fn redirect_url(&self) -> String {
        format!("{}/api/v1/sessions/oidc/callback", self.settings.public_url.trim_end_matches('/'))
    }

    /// Where a browser logs in.
    pub(crate) async fn login_url(&self, attempt: &Attempt) -> Result<String> {
        let provider = self.provider(RENEWAL).await?;
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&attempt.verifier));
        let parameters = form(&[
            ("response_type", "code"),
            ("client_id", &self.settings.client_id),
            ("redirect_uri", &self.redirect_url()),
            ("scope", "openid profile email"),
            ("state", &attempt.state),
            ("nonce", &attempt.nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]);
        let endpoint = &provider.discovery.authorization_endpoint;
        let separator = if endpoint.contains('?') { '&' } else { '?' };
        Ok(format!("{endpoint}{separator}{parameters}"))
    }

    /// Takes the code that the provider gave a browser, and asks whom it stands for.
    pub(crate) async fn redeem(&self, code: &str, attempt: &Attempt) -> Result<Vouched> {
        #[derive(Deserialize)]
        struct Tokens {
            id_token: String,
        }
        let provider = self.provider(RENEWAL).await?;
        let body = form(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.redirect_url()),
            ("client_id", &self.settings.client_id),
            ("code_verifier", &attempt.verifier),
        ]);
        let tokens = self.ask(Method::POST, &provider.discovery.token_endpoint, body).await?;
        let tokens: Tokens = serde_json::from_slice(&tokens).map_err(away)?;
        self.judge(&tokens.id_token, Some(&attempt.nonce)).await
    }

    /// Judges an ID token; `nonce` is the one that it must have.
    pub(crate) async fn judge(&self, token: &str, nonce: Option<&str>) -> Result<Vouched> {
        let now = crate::time::now_ms() as f64 / 1000.0;
        let settings = &self.settings;
        let expected = Expected {
            issuer: &settings.issuer,
            audience: Some(&settings.client_id),
            may_be_endless: false,
            now,
        };
        let refused = |error: TokenError| Error::Unauthorized(format!("the ID token: {error}"));
        let read = || Unverified::parse(token.as_bytes()).map_err(refused);
        let claims = match read()?.verify(&self.provider(RENEWAL).await?.keys, expected) {
            // The provider may have changed its keys since.
            Err(TokenError::NoKey) => read()?.verify(&self.provider(LEAST).await?.keys, expected),
            judged => judged,
        };
        let claims = claims.map_err(refused)?;
        if nonce.is_some_and(|nonce| claims.get("nonce").and_then(Value::as_str) != Some(nonce)) {
            return Err(Error::Unauthorized("the ID token is of another login".to_owned()));
        }
        self.vouched(&claims)
    }

    fn vouched(&self, claims: &Map<String, Value>) -> Result<Vouched> {
        let settings = &self.settings;
        let text = |name: &str| claims.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let subject =
            text("sub").ok_or_else(|| Error::Unauthorized("the ID token names nobody".to_owned()))?;
        let name = text(&settings.name_claim).unwrap_or(subject);
        let values: Vec<&str> = match claims.get(&settings.role_claim) {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let fits = |rule: &&RoleRule| rule.value == "*" || values.contains(&rule.value.as_str());
        let rule = settings.roles.iter().find(fits).ok_or_else(|| {
            Error::Forbidden(format!("the claim {:?} of {name} stands for no role here", settings.role_claim))
        })?;
        let subject = format!("{} {subject}", settings.issuer);
        Ok(Vouched { subject, name: name.to_owned(), grant: rule.grant.clone() })
    }

    /// What the provider says of itself, asked for again where that is older than `age`.
    async fn provider(&self, age: Duration) -> Result<Arc<Provider>> {
        let mut known = self.provider.lock().await;
        if let Some(provider) = known.as_ref().filter(|provider| provider.asked_at.elapsed() < age) {
            return Ok(provider.clone());
        }
        let fetched = match (self.fetch().await, known.as_ref()) {
            (Ok(fetched), _) => Arc::new(fetched),
            // What is known goes on to be used.
            (Err(error), Some(known)) => {
                tracing::warn!(%error, "the provider of logins could not be asked again");
                known.clone()
            }
            (Err(error), None) => return Err(error),
        };
        *known = Some(fetched.clone());
        Ok(fetched)
    }

    async fn fetch(&self) -> Result<Provider> {
        let issuer = &self.settings.issuer;
        let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let answer = self.ask(Method::GET, &url, String::new()).await?;
        let discovery: Discovery = serde_json::from_slice(&answer).map_err(away)?;
        if discovery.issuer != *issuer {
            return Err(away(format!("{url} speaks for another issuer: {:?}", discovery.issuer)));
        }
        let endpoints = [&discovery.authorization_endpoint, &discovery.token_endpoint, &discovery.jwks_uri];
        if issuer.starts_with("https://") && endpoints.iter().any(|url| !url.starts_with("https://")) {
            return Err(away(format!("{url} names endpoints without TLS")));
        }
        let keys = self.ask(Method::GET, &discovery.jwks_uri, String::new()).await?;
        let keys = KeySet::parse(&keys).map_err(away)?;
        Ok(Provider { discovery, keys, asked_at: Instant::now() })
    }

    async fn ask(&self, method: Method, url: &str, body: String) -> Result<Bytes> {
        let asked = tokio::time::timeout(PATIENCE, self.exchange(method, url, body)).await;
        asked.map_err(|_| away(format!("{url} does not answer")))?
    }

    async fn exchange(&self, method: Method, url: &str, body: String) -> Result<Bytes> {
        let target: Uri = url.parse().map_err(away)?;
        let stream = dial(&target, &self.tls, &self.proxies).await.map_err(away)?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(away)?;
        let connection = tokio::spawn(connection);
        let host = target.authority().map(|authority| authority.as_str()).unwrap_or_default();
        let path = target.path_and_query().map_or("/", |path| path.as_str());
        let mut request = Request::builder().method(&method).uri(path).header(HOST, host);
        request = request.header(ACCEPT, "application/json");
        if method == Method::POST {
            request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
            if let Some(secret) = &self.settings.client_secret {
                let pair = format!("{}:{}", escape(&self.settings.client_id), escape(secret));
                request = request.header(AUTHORIZATION, format!("Basic {}", STANDARD.encode(pair)));
            }
        }
        let request = request.body(Full::new(Bytes::from(body))).map_err(away)?;
        let answer = sender.send_request(request).await.map_err(away)?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await.map_err(away)?.to_bytes();
        connection.abort();
        match status.as_u16() {
            200 => Ok(body),
            // A code that is used up or made up, for example.
            400 | 401 if method == Method::POST => {
                Err(Error::Unauthorized("the provider does not take the login".to_owned()))
            }
            status => Err(away(format!("{url} answered {status}"))),
        }
    }
}

/// As `application/x-www-form-urlencoded`.
fn form(pairs: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = pairs.iter().map(|(key, value)| format!("{key}={}", escape(value))).collect();
    pairs.join("&")
}

fn escape(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn oidc(roles: &[&str]) -> Result<Oidc> {
        Oidc::new(OidcSettings {
            issuer: "https://issuer.example".into(),
            client_id: "phoenix".into(),
            client_secret: None,
            public_url: "https://control.example".into(),
            ca: None,
            name_claim: "email".into(),
            role_claim: "groups".into(),
            roles: roles.iter().map(|rule| rule.parse().expect("a rule")).collect(),
        })
    }

    #[test]
    fn claims_stand_for_roles() {
        let oidc = oidc(&["platform=admin", "payments=deployer:team=payments", "*=viewer"]).expect("sound");
        let role = |claims: Value| {
            let claims = claims.as_object().expect("claims").clone();
            oidc.vouched(&claims).map(|who| (who.name, who.grant.role, who.grant.scope))
        };
        let found = |claims| role(claims).expect("known");
        let who = json!({"sub": "1", "email": "a@x", "groups": ["other", "payments"]});
        assert_eq!(found(who), ("a@x".into(), Role::Deployer, "team=payments".into()));
        let both = json!({"sub": "1", "groups": ["payments", "platform"]});
        assert_eq!(found(both), ("1".into(), Role::Admin, String::new()), "the first rule that fits");
        assert_eq!(found(json!({"sub": "1", "groups": "platform"})).1, Role::Admin);
        assert_eq!(found(json!({"sub": "1"})).1, Role::Viewer);
        assert!(matches!(role(json!({"groups": ["platform"]})), Err(Error::Unauthorized(_))));
    }

    #[test]
    fn who_stands_for_nothing_is_refused_and_rules_are_checked() {
        let oidc = oidc(&["platform=admin"]).expect("sound");
        let claims = json!({"sub": "1", "groups": ["other"]});
        assert!(matches!(oidc.vouched(claims.as_object().expect("claims")), Err(Error::Forbidden(_))));
        for wrong in ["admin", "=admin", "a=god", "a=viewer:x y"] {
            assert!(wrong.parse::<RoleRule>().is_err(), "{wrong}");
        }
        assert!(super::tests::oidc(&[]).is_err(), "nobody could log in");
    }

    #[test]
    fn an_attempt_goes_through_its_cookie() {
        let attempt = Attempt::new();
        assert_eq!(Attempt::of_cookie(&attempt.cookie()), Some(attempt));
        for wrong in ["", "a.b", "a.b.c.d", "..", ".b.c"] {
            assert_eq!(Attempt::of_cookie(wrong), None, "{wrong}");
        }
        assert_eq!(escape("a b/ä"), "a%20b%2F%C3%A4");
    }
}
