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
    charged: Vec<(Arc<dyn RequestLimiter>, ClientKey)>,
}

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
        let mut passed = Passed { identity, charged: Vec::new() };
        if !self.rates.is_empty() {
            let address = match peer {
                Peer::Tcp(address) => Some(address.ip()),
                Peer::Unix { .. } => None,
            };
            let arrival = Arrival { presented, address, identity: passed.identity.as_deref() };
            let now = Instant::now();
            for limiter in self.rates.iter().filter_map(|slot| slot.get()) {
                let key = limiter.admit(&arrival, now).map_err(NotPassed::TooMany)?;
                passed.charged.push((limiter, key));
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
        if !self.charged.is_empty() {
            let now = Instant::now();
            self.charged.iter().for_each(|(limiter, key)| limiter.received(*key, bytes, now));
        }
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
