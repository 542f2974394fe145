//! Compression in both directions, with contexts that are reused and output that is bounded.
//!
//! Contexts belong to the thread that uses them, so an I/O runtime keeps one of each kind that it needs: made
//! on first use, and not kept where they have grown beyond [`KEPT_CONTEXT_BYTES`].
//! A body that is large takes long: [`decode`] and [`look`] move it to a blocking thread, as many at a time
//! as the machine has cores, so that the runtime goes on with the others.

use std::fmt;
use std::io;
use std::sync::LazyLock;

use bytes::Bytes;
use phoenix_component::{Budget, Charge};
use phoenix_pdata::{Coding, Codings, Decode};
use tokio::sync::Semaphore;

use crate::payload::Payload;

mod compress;
mod decompress;
mod gzip;
#[cfg(test)]
mod properties;
mod scratch;
#[cfg(test)]
mod tests;

pub use compress::Compressor;

/// Compressed bytes from which on a body is decompressed off the runtime: with usual ratios of 4 to 10,
/// those that grow beyond 1 MiB.
const OFFLOAD_BYTES: usize = 256 * 1024;
/// Plain bytes from which on compression takes more than a few milliseconds.
const OFFLOAD_PLAIN_BYTES: usize = 1 << 20;

/// Memory of a context that a thread keeps. What is usual needs a tenth (inflating) to a half of it.
const KEPT_CONTEXT_BYTES: usize = 4 << 20;
/// The first chunk of a framed snappy stream.
const SNAPPY_STREAM: &[u8] = b"\xff\x06\0\0sNaPpY";

/// A content coding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// As it is.
    #[default]
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 1950, under the name `zlib`.
    Zlib,
    /// RFC 1950 too, under the name `deflate`, as RFC 9110 has it.
    Deflate,
    /// One snappy block; when reading, framed streams are recognised too.
    Snappy,
    /// The framed snappy format.
    SnappyFramed,
    /// RFC 8878.
    Zstd,
    /// The lz4 frame format.
    Lz4,
}

impl Encoding {
    /// All that HTTP servers take, in the order of otelcol's default.
    pub const ALL: [Encoding; 8] = [
        Encoding::Identity,
        Encoding::Gzip,
        Encoding::Zstd,
        Encoding::Zlib,
        Encoding::Snappy,
        Encoding::Deflate,
        Encoding::Lz4,
        Encoding::SnappyFramed,
    ];

    /// Reads a name as it stands in `Content-Encoding`; the empty name is identity.
    pub fn parse(name: &str) -> Option<Encoding> {
        if name.is_empty() {
            return Some(Encoding::Identity);
        }
        Encoding::ALL.into_iter().find(|encoding| encoding.name().eq_ignore_ascii_case(name))
    }

    /// The coding that gRPC has under the name of this one. Its `snappy` is the framed format, of which every
    /// implementation (gRPC-Go's codec among them) makes a stream; a block is not understood there.
    pub(crate) const fn in_grpc(self) -> Encoding {
        match self {
            Encoding::Snappy => Encoding::SnappyFramed,
            other => other,
        }
    }

    /// The name in `Content-Encoding` and `grpc-encoding`.
    pub const fn name(self) -> &'static str {
        match self {
            Encoding::Identity => "identity",
            Encoding::Gzip => "gzip",
            Encoding::Zlib => "zlib",
            Encoding::Deflate => "deflate",
            Encoding::Snappy => "snappy",
            Encoding::SnappyFramed => "x-snappy-framed",
            Encoding::Zstd => "zstd",
            Encoding::Lz4 => "lz4",
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a body could not be decompressed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DecodeError {
    /// It grew beyond the limit.
    #[error("the decompressed body is larger than {limit} bytes")]
    TooLarge {
        /// Bytes that were allowed.
        limit: usize,
    },
    /// It is not what it says it is.
    #[error("corrupt {encoding} body: {reason}")]
    Corrupt {
        /// What it should have been.
        encoding: Encoding,
        /// What is wrong.
        reason: String,
    },
    /// The budget has no room for it.
    #[error("no memory left in the budget")]
    Budget,
}

/// Decompresses `body` into at most `limit` bytes, which are charged to `charge` as they appear; on the
/// caller's thread where it is small, else on a blocking thread. With them comes the coding under which
/// everybody reads `body` alike, where it is in one.
///
/// # Errors
/// See [`DecodeError`].
pub async fn decode(
    encoding: Encoding,
    body: Bytes,
    limit: usize,
    mut charge: Charge,
) -> Result<(Bytes, Option<Coding>), DecodeError> {
    if encoding == Encoding::Identity {
        return if body.len() > limit { Err(DecodeError::TooLarge { limit }) } else { Ok((body, None)) };
    }
    let large = body.len() > OFFLOAD_BYTES;
    let work = move || {
        let mut plain = Vec::new();
        let shape = decompress::decompress(encoding, &body, limit, &mut charge, &mut plain)?;
        decompress::trim(&mut plain, &mut charge);
        Ok((charge.attach(plain), encoding.coding_of(&body, shape)))
    };
    if large { off_the_runtime(work).await } else { work() }
}

/// Decompresses `body` like [`decode`] into a buffer that the thread keeps, and shows it to `work`.
///
/// # Errors
/// See [`DecodeError`].
pub async fn look<T: Send + 'static>(
    encoding: Encoding,
    body: Bytes,
    limit: usize,
    mut charge: Charge,
    work: impl FnOnce(&[u8]) -> T + Send + 'static,
) -> Result<(T, Option<Coding>), DecodeError> {
    let large = body.len() > OFFLOAD_BYTES;
    let work = move || {
        scratch::lend(|plain| {
            let shape = decompress::decompress(encoding, &body, limit, &mut charge, plain)?;
            Ok((work(plain), encoding.coding_of(&body, shape)))
        })
    };
    if large { off_the_runtime(work).await } else { work() }
}

/// Compresses `payload`; on the caller's thread where it is small, else on a blocking thread.
///
/// # Errors
/// See [`Compressor::compress`].
pub(crate) async fn encode(compressor: Compressor, payload: Payload, budget: &Budget) -> io::Result<Payload> {
    if payload.encoding() == compressor.encoding() {
        return Ok(payload);
    }
    if payload.len() <= OFFLOAD_PLAIN_BYTES {
        return compressor.compress(payload, budget);
    }
    let budget = budget.clone();
    off_the_runtime(move || compressor.compress(payload, &budget)).await
}

/// A snappy block of `plain`, compressed, and of `elements`, which are taken as they are and stand for `stand_for`
/// bytes behind it. Charges what comes of `plain` to the reserve of `budget`.
///
/// # Errors
/// Where the whole is longer than a block can be, 4 GiB.
pub async fn encode_snappy(
    plain: Bytes,
    elements: Bytes,
    stand_for: usize,
    budget: &Budget,
) -> io::Result<Payload> {
    let len = plain.len();
    let budget = budget.clone();
    let work = move || {
        let mut payload =
            Payload::encoded(Encoding::Snappy, compress::snappy_head(&plain, stand_for, &budget)?);
        payload.push(elements);
        Ok(payload)
    };
    if len <= OFFLOAD_PLAIN_BYTES { work() } else { off_the_runtime(work).await }
}

/// Decompresses once more what [`look`] has seen, charging it to the reserve of a budget.
///
/// # Panics
/// Its `decode` does for what was not seen to be whole: decompression is a function of its input.
#[derive(Clone, Debug)]
pub struct DecodeAgain(pub Budget);

impl Decode for DecodeAgain {
    fn decode(&self, coding: Coding, encoded: &Bytes, plain_len: usize) -> Bytes {
        let mut charge = self.0.charge_reserve(plain_len + 1);
        // With one byte to spare no decoder asks for more.
        let mut plain = Vec::with_capacity(plain_len + 1);
        decompress::decompress(coding.into(), encoded, plain_len, &mut charge, &mut plain)
            .expect("these bytes were decompressed before");
        charge.attach(plain)
    }
}

impl Encoding {
    /// The formats that bodies in this encoding may have.
    pub fn codings(self) -> Codings {
        let own = self.coding().map_or(Codings::NONE, Codings::only);
        match self {
            Encoding::Snappy => own.or(Codings::only(Coding::SnappyFramed)),
            _ => own,
        }
    }

    /// The format of bodies in this encoding; none for identity.
    pub fn coding(self) -> Option<Coding> {
        Some(match self {
            Encoding::Identity => return None,
            Encoding::Gzip => Coding::Gzip,
            Encoding::Zlib | Encoding::Deflate => Coding::Zlib,
            Encoding::Snappy => Coding::SnappyBlock,
            Encoding::SnappyFramed => Coding::SnappyFramed,
            Encoding::Zstd => Coding::Zstd,
            Encoding::Lz4 => Coding::Lz4,
        })
    }

    /// The format of this `body`, where that is one frame: under the name `snappy` come two.
    fn coding_of(self, body: &[u8], shape: decompress::Shape) -> Option<Coding> {
        match self {
            _ if shape != decompress::Shape::OneFrame => None,
            Encoding::Snappy if !decompress::is_snappy_block(body) => Some(Coding::SnappyFramed),
            encoding => encoding.coding(),
        }
    }
}

impl From<Coding> for Encoding {
    fn from(coding: Coding) -> Encoding {
        match coding {
            Coding::Gzip => Encoding::Gzip,
            Coding::Zlib => Encoding::Zlib,
            Coding::SnappyBlock => Encoding::Snappy,
            Coding::SnappyFramed => Encoding::SnappyFramed,
            Coding::Zstd => Encoding::Zstd,
            Coding::Lz4 => Encoding::Lz4,
        }
    }
}

/// Runs long work on a blocking thread; at most as many at a time as the machine has cores.
///
/// # Panics
/// Where the work does.
pub async fn off_the_runtime<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    static PERMITS: LazyLock<Semaphore> =
        LazyLock::new(|| Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from)));
    let _permit = PERMITS.acquire().await;
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        // Blocking tasks are never cancelled once they run, so it panicked.
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => panic!("the runtime is shutting down: {error}"),
        },
    }
}
