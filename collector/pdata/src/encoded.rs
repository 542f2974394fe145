//! A request that is still compressed, beside or instead of its plain bytes.

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

/// A format in which a request may come compressed. This crate can read none of them: it only carries
/// the bytes to whoever can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coding {
    /// RFC 1952, one member.
    Gzip,
    /// RFC 1950.
    Zlib,
    /// RFC 8878, one frame.
    Zstd,
    /// One snappy block.
    SnappyBlock,
    /// A framed snappy stream.
    SnappyFramed,
    /// One lz4 frame.
    Lz4,
}

/// A set of codings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Codings(u8);

impl Codings {
    /// None of them.
    pub const NONE: Codings = Codings(0);
    /// All of them.
    pub const ALL: Codings = Codings(u8::MAX);

    /// Just one.
    pub const fn only(coding: Coding) -> Codings {
        Codings(1 << coding as u8)
    }

    /// Whether `coding` is one of them.
    pub const fn contains(self, coding: Coding) -> bool {
        self.0 & Codings::only(coding).0 != 0
    }

    /// Those that are in both.
    #[must_use]
    pub const fn and(self, other: Codings) -> Codings {
        Codings(self.0 & other.0)
    }

    /// Those that are in either.
    #[must_use]
    pub const fn or(self, other: Codings) -> Codings {
        Codings(self.0 | other.0)
    }
}

/// Reads what a sender compressed.
pub trait Decode: Send + Sync {
    /// The plain bytes of `encoded`, which this decoder has read before and found to be valid and
    /// `plain_len` bytes long.
    fn decode(&self, coding: Coding, encoded: &Bytes, plain_len: usize) -> Bytes;
}

/// The compressed form of a payload, as it came, and the plain one once somebody asked for it.
pub(crate) struct Encoded {
    pub(crate) coding: Coding,
    pub(crate) bytes: Bytes,
    plain: OnceLock<Bytes>,
    plain_len: usize,
    /// None where the plain bytes are there.
    decoder: Option<Arc<dyn Decode>>,
}

impl Encoded {
    pub(crate) fn new(coding: Coding, bytes: Bytes, plain_len: usize, decoder: Arc<dyn Decode>) -> Encoded {
        Encoded { coding, bytes, plain: OnceLock::new(), plain_len, decoder: Some(decoder) }
    }

    pub(crate) fn beside(plain: Bytes, coding: Coding, bytes: Bytes) -> Encoded {
        Encoded { coding, bytes, plain_len: plain.len(), plain: plain.into(), decoder: None }
    }

    /// The plain bytes; whoever asks first pays for them, whoever shares this payload has them then.
    pub(crate) fn plain(&self) -> &Bytes {
        self.plain.get_or_init(|| {
            let decoder = self.decoder.as_ref().expect("without plain bytes there is a decoder");
            decoder.decode(self.coding, &self.bytes, self.plain_len)
        })
    }
}

impl fmt::Debug for Encoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Encoded({:?}, {} of {} bytes)", self.coding, self.bytes.len(), self.plain_len)
    }
}
