//! What every client and server shares.

mod ahead;
pub mod compression;
mod dial;
mod encoded;
pub mod endpoint;
mod gate;
pub mod grpc;
pub mod http;
mod http2;
pub mod instrumentation;
mod intake;
mod io;
mod listen;
mod metrics;
mod payload;
pub mod probe;
pub mod proxy;
mod running;
mod seats;
pub mod settings;
mod socket;
pub mod tls;
pub mod trace;

pub use dial::{Stream, dial};
pub use encoded::{EncodedBody, Undecodable};
pub use gate::{Charged, Gate};
pub use listen::{Aborted, Server};
pub use metrics::{CONNECTIONS, REFUSED, ServerMetrics};
pub use payload::Payload;
pub use running::Reconfigure;
pub use seats::WhenFull;
pub use socket::Peer;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A value in -1 to 1 that differs from one use to the next (golden ratio sequence), to spread in time
/// what would otherwise happen at once. Nothing depends on it being unpredictable.
fn spread() -> f64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let step = NEXT.fetch_add(0x9e37_79b9_7f4a_7c15, Relaxed);
    step as f64 / u64::MAX as f64 * 2.0 - 1.0
}
