//! What a listener asks before it reads the body of a request: who sends it, whether memory is short, and
//! whether its client sends too much.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::request;
use phoenix_component::auth::{Decision, Denied, DeniedBecause, Identity, Presented, ServerAuth};
use phoenix_component::limiter::Limiter;
use phoenix_component::{Arrival, ClientKey, RequestLimiter, Slot};
use tokio::time::Instant;

use crate::http::side::query;
use crate::socket::Peer;

/// The delay that clients hear while the authenticator that they need is about to be replaced.
const ABSENT_DELAY: Duration = Duration::from_secs(1);
/// What clients hear that send too much.
pub(crate) const RATE_TEXT: &str = "rate limit of this client exceeded";

/// Everybody whom a listener asks. An empty one lets everything pass.
#[derive(Clone, Default)]
pub struct Gate {
    auth: Option<Authentication>,
    limiters: Vec<Arc<Limiter>>,
    rates: Vec<Arc<Slot<dyn RequestLimiter>>>,
}

#[derive(Clone)]
struct Authentication {
    slot: Arc<Slot<dyn ServerAuth>>,
    /// Parameters of the query that count as headers.
    parameters: Vec<String>,
}

/// A request that may go on.
#[derive(Default)]
pub(crate) struct Passed {
    /// Who it is from.
    pub(crate) identity: Option<Arc<Identity>>,
    pub(crate) charged: Charged,
}

/// To whom a request is charged, for those that count what is in it.
#[derive(Default)]
pub struct Charged(Vec<(Arc<dyn RequestLimiter>, ClientKey)>);

/// Why a request may not go on.
pub(crate) enum NotPassed {
    Denied(Denied),
    MemoryIsShort,
    TooMany(Duration),
}

impl NotPassed {
    /// The label under which it is counted.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            NotPassed::MemoryIsShort => "memory_limit",
            NotPassed::TooMany(_) => "rate_limit",
            NotPassed::Denied(denied) => match denied.because {
                DeniedBecause::Missing => "auth_missing",
                DeniedBecause::Invalid => "auth_invalid",
                DeniedBecause::Expired => "auth_expired",
                DeniedBecause::Unavailable => "auth_unavailable",
            },
        }
    }
}

impl Gate {
    /// A gate that is shut while one of `limiters` refuses.
    pub fn new(limiters: Vec<Arc<Limiter>>) -> Gate {
        Gate { limiters, ..Gate::default() }
    }

    /// Lets only those in whom `slot` lets in; `parameters` of the query count as headers.
    #[must_use]
    pub fn with_auth(mut self, slot: Arc<Slot<dyn ServerAuth>>, parameters: Vec<String>) -> Gate {
        self.auth = Some(Authentication { slot, parameters });
        self
    }

    /// Also asks these, which look at who sends a request.
    #[must_use]
    pub fn with_rates(mut self, rates: Vec<Arc<Slot<dyn RequestLimiter>>>) -> Gate {
        self.rates = rates;
        self
    }

    /// Asks everybody.
    pub(crate) async fn ask(&self, head: &request::Parts, peer: &Peer) -> Result<Passed, NotPassed> {
        let parameters = self.parameters(head);
        let presented = Presented::new(&head.headers).with_parameters(&parameters);
        let identity = match &self.auth {
            None => None,
            Some(auth) => {
                let decision = match auth.slot.get() {
                    Some(judge) => judge.authenticate(presented),
                    None => Decision::Now(Err(Denied::unavailable(
                        "the authenticator is not running",
                        ABSENT_DELAY,
                    ))),
                };
                let verdict = match decision {
                    Decision::Now(verdict) => verdict,
                    Decision::Later(verdict) => verdict.await,
                };
                Some(verdict.map_err(NotPassed::Denied)?)
            }
        };
        if self.limiters.iter().any(|limiter| limiter.refuses()) {
            return Err(NotPassed::MemoryIsShort);
        }
        let mut passed = Passed { identity, charged: Charged::default() };
        if !self.rates.is_empty() {
            let address = match peer {
                Peer::Tcp(address) => Some(address.ip()),
                Peer::Unix { .. } => None,
            };
            let arrival = Arrival { presented, address, identity: passed.identity.as_deref() };
            let now = Instant::now();
            for limiter in self.rates.iter().filter_map(|slot| slot.get()) {
                let key = limiter.admit(&arrival, now).map_err(NotPassed::TooMany)?;
                passed.charged.0.push((limiter, key));
            }
        }
        Ok(passed)
    }

    fn parameters(&self, head: &request::Parts) -> Vec<(String, String)> {
        let wanted = self.auth.iter().flat_map(|auth| &auth.parameters);
        wanted.filter_map(|name| Some((name.clone(), query(head, name)?))).collect()
    }
}

impl Passed {
    /// Charges the body, by its size on the wire.
    pub(crate) fn received(&self, bytes: usize) {
        if !self.charged.0.is_empty() {
            let now = Instant::now();
            self.charged.0.iter().for_each(|(limiter, key)| limiter.received(*key, bytes, now));
        }
    }
}

impl Charged {
    /// Charges the items of the request.
    pub fn counted(&self, items: u64) {
        if !self.0.is_empty() {
            let now = Instant::now();
            self.0.iter().for_each(|(limiter, key)| limiter.counted(*key, items, now));
        }
    }
}

impl fmt::Debug for Charged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Charged").field(&self.0.len()).finish()
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("auth", &self.auth.is_some())
            .field("limiters", &self.limiters.len())
            .field("rates", &self.rates.len())
            .finish()
    }
}

/// Whether both ask the same.
impl PartialEq for Gate {
    fn eq(&self, other: &Gate) -> bool {
        fn same<T: ?Sized>(a: &[Arc<T>], b: &[Arc<T>]) -> bool {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| Arc::ptr_eq(a, b))
        }
        let same_auth = match (&self.auth, &other.auth) {
            (None, None) => true,
            (Some(a), Some(b)) => Arc::ptr_eq(&a.slot, &b.slot) && a.parameters == b.parameters,
            _ => false,
        };
        same_auth && same(&self.limiters, &other.limiters) && same(&self.rates, &other.rates)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use http::Request;
    use phoenix_component::auth::AuthPublication;
    use phoenix_component::factory::{CreateContext, Shared};
    use phoenix_component::{Host, StatusReporter};
    use phoenix_config::{ComponentId, Kind};

    use super::*;

    const PEER: Peer = Peer::Unix { uid: None };

    /// Lets in whose header `who` is there, and keeps what it saw.
    struct Doorman(Mutex<Vec<String>>);

    impl ServerAuth for Doorman {
        fn authenticate(&self, presented: Presented<'_>) -> Decision {
            match presented.first("who") {
                None => Decision::Now(Err(Denied::new(DeniedBecause::Missing, "who?"))),
                Some(who) => {
                    let who = String::from_utf8_lossy(who).into_owned();
                    self.0.lock().unwrap().push(who);
                    Decision::Later(Box::pin(async { Ok(Arc::default()) }))
                }
            }
        }
    }

    /// Takes one request.
    struct One(Mutex<Vec<usize>>);

    impl RequestLimiter for One {
        fn admit(&self, arrival: &Arrival<'_>, _: Instant) -> Result<ClientKey, Duration> {
            assert!(arrival.identity.is_some(), "who it is comes first");
            match self.0.lock().unwrap().is_empty() {
                true => Ok(ClientKey(7)),
                false => Err(Duration::from_secs(3)),
            }
        }

        fn received(&self, key: ClientKey, bytes: usize, _: Instant) {
            assert_eq!(key, ClientKey(7));
            self.0.lock().unwrap().push(bytes);
        }

        fn counted(&self, key: ClientKey, items: u64, _: Instant) {
            assert_eq!(key, ClientKey(7));
            self.0.lock().unwrap().push(items as usize);
        }
    }

    #[tokio::test]
    async fn everybody_is_asked_in_turn() {
        let (host, shared) = (Host::for_tests(), Shared::default());
        let id = ComponentId::parse("doorman").unwrap();
        let status = StatusReporter::detached(Kind::Extension, id.clone());
        let cx = CreateContext { id: &id, host: &host, status, shared: &shared };
        let doorman = Arc::new(Doorman(Mutex::default()));
        let publication = AuthPublication::new(&cx, Some(doorman.clone()), None);
        publication.start(&host);
        let slot = host.capabilities.server_auth(&id).unwrap();
        let rates: Arc<Slot<dyn RequestLimiter>> = Arc::default();
        let rate =
            phoenix_component::Publication::new(&id, rates.clone(), Arc::new(One(Mutex::default())) as _);
        rate.start(&host);
        let gate = Gate::default().with_auth(slot, vec!["who".to_owned()]).with_rates(vec![rates]);
        let head = |uri: &str| Request::get(uri).body(()).unwrap().into_parts().0;
        let reason = |refused: Result<Passed, NotPassed>| refused.err().map(|refused| refused.reason());
        assert_eq!(reason(gate.ask(&head("/x"), &PEER).await), Some("auth_missing"));
        let passed = gate.ask(&head("/x?who=me%21"), &PEER).await.ok().unwrap();
        assert!(passed.identity.is_some());
        passed.received(5);
        assert_eq!(reason(gate.ask(&head("/x?who=me"), &PEER).await), Some("rate_limit"));
        assert_eq!(*doorman.0.lock().unwrap(), ["me!", "me"]);
        publication.stop();
        let refused = gate.ask(&head("/x?who=me"), &PEER).await;
        assert!(matches!(&refused, Err(NotPassed::Denied(denied)) if denied.delay.is_some()));
        assert_eq!(reason(refused), Some("auth_unavailable"));
        assert!(Gate::default().ask(&head("/"), &PEER).await.is_ok());
    }
}
