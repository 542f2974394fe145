//! What the connections of a server look at for each request, and how that is changed while they are open.

use std::io;
use std::sync::Arc;

use arc_swap::ArcSwap;
use phoenix_component::{Budget, Cores, ListenerLease};

use crate::listen::{self, Listen, Protocol, Server};
use crate::metrics::ServerMetrics;
use crate::seats::WhenFull;
use crate::tls::TlsAcceptor;

/// What a server shares with all of its connections.
pub(crate) struct Shared<S, O> {
    pub(crate) service: Arc<S>,
    pub(crate) options: O,
    pub(crate) budget: Budget,
    pub(crate) cores: Cores,
    pub(crate) metrics: ServerMetrics,
}

/// The present state of that. Each server's protocol is implemented for it.
pub(crate) struct Current<S, O>(ArcSwap<Shared<S, O>>);

impl<S, O> Current<S, O> {
    /// What holds for a request that comes now.
    pub(crate) fn load(&self) -> Arc<Shared<S, O>> {
        self.0.load_full()
    }
}

/// Changes a server while its connections stay open.
pub struct Reconfigure<S, O>(Arc<Current<S, O>>);

impl<S, O> Reconfigure<S, O> {
    /// Puts another service and other options in place. They hold for every request that comes from now
    /// on; what is agreed when a connection opens (streams, header sizes, keepalive) holds for new ones.
    pub fn set(&self, service: S, options: O) {
        let now = self.0.0.load();
        let (budget, cores, metrics) = (now.budget.clone(), now.cores.clone(), now.metrics.clone());
        self.0.0.store(Arc::new(Shared { service: Arc::new(service), options, budget, cores, metrics }));
    }
}

/// Starts to serve on `lease`, with at most `max_connections` open at a time; `when_full` says what becomes of
/// those beyond.
pub(crate) fn start<S, O>(
    lease: &ListenerLease,
    tls: Option<TlsAcceptor>,
    (max_connections, when_full): (usize, WhenFull),
    shared: Shared<S, O>,
) -> io::Result<(Server, Reconfigure<S, O>)>
where
    Current<S, O>: Protocol,
{
    let (cores, metrics) = (shared.cores.clone(), shared.metrics.clone());
    let current = Arc::new(Current(ArcSwap::from_pointee(shared)));
    let listen = Listen { cores, tls, max_connections, when_full, metrics };
    Ok((listen::start(lease, listen, current.clone())?, Reconfigure(current)))
}
