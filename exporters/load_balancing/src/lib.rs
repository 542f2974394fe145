//! The `load_balancing` exporter (also `loadbalancing`): deals the records of each request out to a fleet of
//! backends, so that what has the same key (a trace, a service, a stream) meets at one of them.
//!
//! - [`keys`]: what a record's key is. [`placement`]: which backend a key belongs to. [`fleet`]: the backends, and
//!   which of them work. [`resolver`]: where the list of them comes from.
//! - [`router`] is one attempt to deliver a batch: it is cut by key over its bytes, each backend gets one request, and
//!   what a backend did not take goes to the next one in line. Only what nobody took is left for a retry.
//! - Queue and retries stand in front of the routing (`phoenix-delivery`), so what waits is dealt by the fleet as it
//!   is when it goes out; connections are `phoenix-otlp`'s.

mod config;
mod factory;
mod fleet;
mod identity;
mod keys;
mod metrics;
mod placement;
mod resolver;
mod router;

pub use config::{
    Dns, Kubernetes, LoadBalancingConfig, Protocol, ResolverSettings, Ring, RoutingKey, Static, SubExporter,
};
pub use factory::LoadBalancingFactory;
