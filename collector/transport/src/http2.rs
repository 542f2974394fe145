//! The server's half of HTTP/2 (RFC 9113) for unary calls: what a collector does for every request, and no more.
//!
//! The general implementation cost two fifths of the instructions of a small request. This one
//! - reads what the socket has at once, and copies a body once, from there into its sink; the rest of a large frame
//!   is read straight into the sink;
//! - shares the head of a request with the next one whose header block is the same few bytes;
//! - answers from constant header blocks, and writes the answers of one round together;
//! - keeps the requests of a connection in its own task, so that nothing is sent between tasks.
//!
//! Limits: the windows bound what a client may send ahead, [`Limits`] the rest. A client that resets streams as fast
//! as it opens them, breaks the rules of streams again and again, or never ends a header block, is told to calm down
//! and cut off; one that asks and does not listen is not read any further.
//!
//! Left out, since unary calls have no use for it: server push, priorities, CONNECT, and the dynamic table for what
//! this side sends.

use std::sync::Arc;

use http::request;

mod connection;
mod exchange;
mod frame;
mod head;
mod hpack;
mod parser;
mod streams;
#[cfg(test)]
mod tests;

pub(crate) use connection::{Connection, Ending};
pub(crate) use exchange::{Broken, Exchange};
pub(crate) use frame::Reason;
pub(crate) use hpack::Block;

/// What a client may do.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// What it may send on one stream before that is taken.
    pub(crate) stream_window_bytes: u32,
    /// What it may send on all of them.
    pub(crate) connection_window_bytes: u32,
    /// Largest payload of a frame, from 16 KiB.
    pub(crate) max_frame_bytes: u32,
    /// Streams at a time; more are refused, and may be sent again.
    pub(crate) max_concurrent_streams: u32,
    /// Largest header list, counted as the protocol does; one that is larger is answered 431.
    pub(crate) max_header_list_bytes: u32,
    /// Streams that may end for a violation, in the life of the connection.
    pub(crate) max_violations: usize,
}

/// Takes the body of a request as it arrives.
pub(crate) trait Sink: Send + 'static {
    /// Takes the next bytes. False where it wants no more: the client is not given room for them either.
    fn push(&mut self, bytes: &[u8]) -> bool;

    /// A buffer whose spare room is for the next bytes, of which `left` are announced; they need no
    /// [`push`](Sink::push). None where it has no room.
    fn room(&mut self, left: usize) -> Option<&mut Vec<u8>>;
}

/// A request whose head is there; its body may follow.
pub(crate) struct Incoming<B: Sink> {
    /// Shared with other requests that have the same.
    pub(crate) head: Arc<request::Parts>,
    pub(crate) exchange: Exchange<B>,
}
