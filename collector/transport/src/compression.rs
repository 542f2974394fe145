//! Compression in both directions, with contexts that are reused and output that is bounded.
//!
//! Contexts belong to the thread that uses them, so an I/O runtime keeps one of each kind that it needs.
//! A body that is large takes long: [`decode`] moves it to a blocking thread, as many at a time as the
//! machine has cores, so that the runtime goes on with the others.

use std::fmt;
use std::sync::LazyLock;

use bytes::Bytes;
use phoenix_component::Charge;
use tokio::sync::Semaphore;

mod compress;
mod decompress;
mod gzip;
#[cfg(test)]
mod tests;

pub use compress::Compressor;

/// Compressed bytes from which on a body is decompressed off the runtime: with usual ratios of 4 to 10,
/// those that grow beyond 1 MiB.
const OFFLOAD_BYTES: usize = 256 * 1024;

/// A content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// As it is.
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
/// caller's thread where it is small, else on a blocking thread.
///
/// # Errors
/// See [`DecodeError`].
pub async fn decode(
    encoding: Encoding,
    body: Bytes,
    limit: usize,
    mut charge: Charge,
) -> Result<Bytes, DecodeError> {
    if encoding == Encoding::Identity {
        return if body.len() > limit { Err(DecodeError::TooLarge { limit }) } else { Ok(body) };
    }
    let large = body.len() > OFFLOAD_BYTES;
    let work = move || {
        let plain = decompress::decompress(encoding, &body, limit, &mut charge)?;
        drop(body);
        Ok(charge.attach(plain))
    };
    if large { off_the_runtime(work).await } else { work() }
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
