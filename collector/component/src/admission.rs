//! What limits requests by who sends them.

use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

use crate::auth::{Identity, Presented};

/// A request that has just come: its head, not its body.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// Its headers.
    pub presented: Presented<'a>,
    /// The peer's address, where it has one.
    pub address: Option<IpAddr>,
    /// Who it is, where an authenticator has said so.
    pub identity: Option<&'a Identity>,
}

/// Whom a request was charged to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientKey(pub u64);

/// Refuses requests of clients that send too much.
pub trait RequestLimiter: Send + Sync {
    /// Takes a request, or says when its client may come again.
    ///
    /// # Errors
    /// The time for which the client should wait.
    fn admit(&self, arrival: &Arrival<'_>, now: Instant) -> Result<ClientKey, Duration>;

    /// Charges the body of a request that was taken, by its size on the wire.
    fn received(&self, key: ClientKey, bytes: usize, now: Instant);

    /// Charges the items of a request that was taken, once they are counted.
    fn counted(&self, key: ClientKey, items: u64, now: Instant);
}
