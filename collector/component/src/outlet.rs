use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use phoenix_pdata::Signal;

use crate::{Batch, Forwards, Refusal};

/// A boxed future, for the object-safe contracts: one allocation for a request, never for an item.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Whatever takes a batch: the rest of a pipeline as its receiver sees it. The engine implements it.
pub trait Consumer: Send + Sync {
    /// Takes `batch`, or says why not. The data is accepted when this returns, not before.
    fn consume(self: Arc<Self>, batch: Batch) -> BoxFuture<'static, Result<(), Refusal>>;

    /// What is wanted as it came.
    fn forwards(&self) -> Forwards {
        Forwards::NOTHING
    }
}

/// Where a receiver, a stage or a connector sends its data of one signal.
///
/// The engine points it at the pipelines of the running graph, and elsewhere when the configuration
/// changes; each batch sees one graph, the one that ran when it was sent. Clones share the target.
#[derive(Clone)]
pub struct Outlet {
    signal: Signal,
    target: Arc<ArcSwapOption<Arc<dyn Consumer>>>,
}

impl Outlet {
    /// An outlet that leads nowhere yet.
    pub fn unwired(signal: Signal) -> Outlet {
        Outlet { signal, target: Arc::default() }
    }

    /// What it carries.
    pub fn signal(&self) -> Signal {
        self.signal
    }

    /// Whether a pipeline takes this signal from here.
    pub fn is_wired(&self) -> bool {
        self.target.load().is_some()
    }

    /// Points it at `target`, or nowhere.
    pub fn wire(&self, target: Option<Arc<dyn Consumer>>) {
        self.target.store(target.map(Arc::new));
    }

    /// What the pipelines that run now want as it came. They may be others by the time that a batch is
    /// sent, which is none the worse for it.
    pub fn forwards(&self) -> Forwards {
        self.target.load().as_deref().map_or(Forwards::NOTHING, |consumer| consumer.forwards())
    }

    /// Sends a batch into the graph that runs now.
    ///
    /// # Errors
    /// What the pipelines answered; a retryable refusal where no pipeline is wired, which happens for a
    /// moment when a configuration takes a signal away.
    pub async fn send(&self, batch: Batch) -> Result<(), Refusal> {
        let consumer = self.target.load().as_deref().cloned();
        match consumer {
            Some(consumer) => consumer.consume(batch).await,
            None => {
                Err(Refusal::retryable("unwired", format!("no pipeline takes {} from here", self.signal)))
            }
        }
    }
}

impl std::fmt::Debug for Outlet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Outlet({}, wired: {})", self.signal, self.is_wired())
    }
}

/// The outlets of a component that may carry several signals.
#[derive(Clone, Debug)]
pub struct Outlets([Outlet; 3]);

impl Outlets {
    /// Outlets that lead nowhere yet.
    pub fn unwired() -> Outlets {
        Outlets(Signal::ALL.map(Outlet::unwired))
    }

    /// The outlet for `signal`.
    pub fn of(&self, signal: Signal) -> &Outlet {
        &self.0[signal.index()]
    }
}
