//! What authenticators are: those that judge who sends a request, and those that add credentials to one.
//!
//! An extension publishes either side or both under its identifier ([`AuthPublication`]); listeners and
//! clients that name it in their `auth` find it there. What judges is asked before a body is read. Most
//! answers are there at once; one that has to wait (a slow hash, keys that are fetched) is a future.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use phoenix_config::{ComponentId, Kind};
use serde_json::Value;
use subtle::ConstantTimeEq as _;

use crate::factory::CreateContext;
use crate::files::{self, Fingerprint, LOOK_INTERVAL, Watched};
use crate::{BoxFuture, Capabilities, ClientInfo, Host, Publication, Refusal, Slot};

/// What a request shows of who sends it.
#[derive(Clone, Copy, Debug)]
pub struct Presented<'a> {
    headers: &'a HeaderMap,
    parameters: &'a [(String, String)],
}

impl<'a> Presented<'a> {
    /// Headers or gRPC metadata.
    pub fn new(headers: &'a HeaderMap) -> Presented<'a> {
        Presented { headers, parameters: &[] }
    }

    /// The same with parameters of the query, which count before headers of the same name.
    pub fn with_parameters(self, parameters: &'a [(String, String)]) -> Presented<'a> {
        Presented { parameters, ..self }
    }

    /// The first value of that name, whose case does not matter.
    pub fn first(&self, name: &str) -> Option<&'a [u8]> {
        let parameter = self.parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        parameter
            .map(|(_, value)| value.as_bytes())
            .or_else(|| self.headers.get(name).map(|value| value.as_bytes()))
    }
}

/// Who a request comes from, as an authenticator found it: attributes by name.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Identity(Vec<(Cow<'static, str>, Value)>);

impl Identity {
    /// Somebody with these attributes.
    pub fn new(attributes: Vec<(Cow<'static, str>, Value)>) -> Identity {
        Identity(attributes)
    }

    /// An attribute; of a claim, its name may have `claims.` before it.
    pub fn get(&self, name: &str) -> Option<&Value> {
        let named = |name: &str| self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value);
        named(name).or_else(|| named(name.strip_prefix("claims.")?))
    }

    /// An attribute as text, where it is one or a list of them; lists are joined by semicolons.
    pub fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        match self.get(name)? {
            Value::String(text) => Some(text.into()),
            Value::Array(items) => {
                let texts: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
                texts.map(|texts| texts.join(";").into())
            }
            _ => None,
        }
    }

    /// Whether nothing is known but that somebody was let in.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All attributes, in the order in which the authenticator gave them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value))
    }
}

/// Names alone: among the values are credentials.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// Why somebody is not let in, which is also how it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeniedBecause {
    /// There are no credentials.
    Missing,
    /// They are wrong.
    Invalid,
    /// They were right once.
    Expired,
    /// It cannot be said now: the sender may try again.
    Unavailable,
}

/// Somebody is not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// Why.
    pub because: DeniedBecause,
    /// The text for the sender, without anything of the credentials in it.
    pub message: Cow<'static, str>,
    /// Where trying again may help: after how long.
    pub delay: Option<Duration>,
    /// The `WWW-Authenticate` header of the answer over HTTP, where there is a scheme for it.
    pub challenge: Option<&'static str>,
}

impl Denied {
    /// For good: the credentials have to change first.
    pub fn new(because: DeniedBecause, message: impl Into<Cow<'static, str>>) -> Denied {
        Denied { because, message: message.into(), delay: None, challenge: None }
    }

    /// For now.
    pub fn unavailable(message: impl Into<Cow<'static, str>>, delay: Duration) -> Denied {
        Denied { delay: Some(delay), ..Denied::new(DeniedBecause::Unavailable, message) }
    }

    /// Tells over HTTP which scheme is wanted.
    #[must_use]
    pub fn with_challenge(mut self, challenge: &'static str) -> Denied {
        self.challenge = Some(challenge);
        self
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// What an authenticator says of a request.
pub type Verdict = Result<Arc<Identity>, Denied>;

/// A verdict, or the way to one.
pub enum Decision {
    /// It is there.
    Now(Verdict),
    /// It takes a while.
    Later(BoxFuture<'static, Verdict>),
}

/// Judges who sends requests.
pub trait ServerAuth: Send + Sync {
    /// Judges one request by what it shows. Never waits, and never blocks.
    fn authenticate(&self, presented: Presented<'_>) -> Decision;
}

/// Adds credentials to requests.
pub trait ClientAuth: Send + Sync {
    /// Changes the headers of a request that is about to be sent, for data of `client`.
    ///
    /// # Errors
    /// Why there are no credentials to send it with.
    fn authorize<'a>(
        &'a self,
        headers: &'a mut HeaderMap,
        client: Option<&'a ClientInfo>,
    ) -> BoxFuture<'a, Result<(), Refusal>>;

    /// Whether these credentials must not go over a connection without TLS where the protocol is gRPC.
    fn needs_tls(&self) -> bool {
        true
    }
}

/// What the extensions of one identifier share: configurations change, and whoever found this keeps it.
#[derive(Default)]
struct Slots {
    server: Arc<Slot<dyn ServerAuth>>,
    client: Arc<Slot<dyn ClientAuth>>,
}

/// The sides of an authenticator, as an extension publishes them.
pub struct AuthPublication {
    server: Option<Publication<dyn ServerAuth>>,
    client: Option<Publication<dyn ClientAuth>>,
    /// The files that the credentials came from.
    watched: Mutex<Vec<Watched>>,
}

impl AuthPublication {
    /// What the extension that `cx` is about will publish.
    pub fn new(
        cx: &CreateContext<'_>,
        server: Option<Arc<dyn ServerAuth>>,
        client: Option<Arc<dyn ClientAuth>>,
    ) -> AuthPublication {
        let slots = cx.shared.get_or_make(Kind::Extension, cx.id, Slots::default);
        AuthPublication {
            server: server.map(|server| Publication::new(cx.id, slots.server.clone(), server)),
            client: client.map(|client| Publication::new(cx.id, slots.client.clone(), client)),
            watched: Mutex::default(),
        }
    }

    /// Calls `reread` whenever `files` differ from what they were when `seen`, until it is stopped. For none, nothing.
    pub fn watch(
        &self,
        host: &Host,
        files: Vec<PathBuf>,
        seen: Fingerprint,
        reread: impl Fn() + Send + Sync + 'static,
    ) {
        if !files.is_empty() {
            let watched = files::watch(&host.control, files, seen, LOOK_INTERVAL, reread);
            self.watched.lock().unwrap_or_else(PoisonError::into_inner).push(watched);
        }
    }

    /// Publishes, for [`Extension::start`](crate::Extension::start).
    pub fn start(&self, host: &Host) {
        self.server.iter().for_each(|server| server.start(host));
        self.client.iter().for_each(|client| client.start(host));
    }

    /// Takes the place of a former extension, for [`Extension::pipelines_ready`](crate::Extension::pipelines_ready).
    pub fn pipelines_ready(&self, ready: bool) {
        self.server.iter().for_each(|server| server.pipelines_ready(ready));
        self.client.iter().for_each(|client| client.pipelines_ready(ready));
    }

    /// Withdraws, for [`Extension::stop`](crate::Extension::stop). From then on nobody is let in.
    pub fn stop(&self) {
        self.server.iter().for_each(Publication::stop);
        self.client.iter().for_each(Publication::stop);
        self.watched.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Why an authenticator cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// No extension of that identifier runs.
    #[error(
        "failed to resolve authenticator \"{0}\": authenticator not found; name it in `service::extensions` too"
    )]
    NotFound(String),
    /// It does not judge requests.
    #[error("requested authenticator \"{0}\" is not a server authenticator")]
    NotServer(String),
    /// It adds no credentials.
    #[error("requested authenticator \"{0}\" is not a client authenticator")]
    NotClient(String),
}

impl Capabilities {
    /// The authenticator `id`, for a listener.
    ///
    /// # Errors
    /// Where there is none, or none for listeners.
    pub fn server_auth(&self, id: &ComponentId) -> Result<Arc<Slot<dyn ServerAuth>>, AuthError> {
        self.find::<Slot<dyn ServerAuth>>(id).ok_or_else(|| match self.find::<Slot<dyn ClientAuth>>(id) {
            Some(_) => AuthError::NotServer(id.to_string()),
            None => AuthError::NotFound(id.to_string()),
        })
    }

    /// The authenticator `id`, for a client.
    ///
    /// # Errors
    /// Where there is none, or none for clients.
    pub fn client_auth(&self, id: &ComponentId) -> Result<Arc<Slot<dyn ClientAuth>>, AuthError> {
        self.find::<Slot<dyn ClientAuth>>(id).ok_or_else(|| match self.find::<Slot<dyn ServerAuth>>(id) {
            Some(_) => AuthError::NotClient(id.to_string()),
            None => AuthError::NotFound(id.to_string()),
        })
    }
}

/// Compares secrets in a time that depends on their lengths alone.
pub fn same_secret(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::StatusReporter;
    use crate::factory::Shared;

    struct Open(&'static str);

    impl ServerAuth for Open {
        fn authenticate(&self, _: Presented<'_>) -> Decision {
            Decision::Now(Ok(Arc::new(Identity::new(vec![("by".into(), json!(self.0))]))))
        }
    }

    fn who(slot: &Slot<dyn ServerAuth>) -> Option<String> {
        let auth = slot.get()?;
        match auth.authenticate(Presented::new(&HeaderMap::new())) {
            Decision::Now(Ok(identity)) => identity.text("by").map(Cow::into_owned),
            _ => None,
        }
    }

    #[tokio::test]
    async fn the_latest_authenticator_judges_and_after_the_last_nobody_does() {
        let (host, shared) = (Host::for_tests(), Shared::default());
        let id = ComponentId::parse("auth").expect("an identifier");
        let make = |name| {
            let status = StatusReporter::detached(Kind::Extension, id.clone());
            let cx = CreateContext { id: &id, host: &host, status, shared: &shared };
            AuthPublication::new(&cx, Some(Arc::new(Open(name))), None)
        };
        assert_eq!(host.capabilities.server_auth(&id).err(), Some(AuthError::NotFound("auth".into())));
        let old = make("old");
        old.start(&host);
        old.pipelines_ready(true);
        let slot = host.capabilities.server_auth(&id).expect("published");
        assert_eq!(host.capabilities.client_auth(&id).err(), Some(AuthError::NotClient("auth".into())));
        // Made, and given up since something else did not start.
        let given_up = make("given up");
        given_up.start(&host);
        given_up.stop();
        assert_eq!(who(&slot).as_deref(), Some("old"));
        let new = make("new");
        new.start(&host);
        assert_eq!(who(&slot).as_deref(), Some("old"), "its pipelines do not run yet");
        new.pipelines_ready(true);
        old.stop();
        assert_eq!(who(&slot).as_deref(), Some("new"));
        new.stop();
        assert_eq!(who(&slot), None);
        assert!(host.capabilities.server_auth(&id).is_err());
    }

    #[test]
    fn attributes_are_found_and_never_printed() {
        let identity = Identity::new(vec![
            ("subject".into(), json!("ann")),
            ("membership".into(), json!(["a", "b"])),
            ("tenant".into(), json!({"id": 7})),
        ]);
        assert_eq!(identity.text("subject").as_deref(), Some("ann"));
        assert_eq!(identity.text("claims.membership").as_deref(), Some("a;b"));
        assert_eq!((identity.text("tenant"), identity.get("tenant")), (None, Some(&json!({"id": 7}))));
        let printed = format!("{identity:?}");
        assert!(printed.contains("tenant") && !printed.contains("ann"), "{printed}");
    }

    #[test]
    fn parameters_count_before_headers() {
        let headers = HeaderMap::from_iter([(http::header::AUTHORIZATION, "h".parse().expect("a value"))]);
        let presented = Presented::new(&headers);
        assert_eq!(presented.first("Authorization"), Some(&b"h"[..]));
        let parameters = [("Authorization".to_owned(), "p".to_owned())];
        assert_eq!(presented.with_parameters(&parameters).first("authorization"), Some(&b"p"[..]));
        assert_eq!(presented.first("x"), None);
    }
}
