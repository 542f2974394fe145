//! A body that is handed over in pieces of a chosen size, with trailers after it.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

/// Bytes, cut as the sender wants its DATA frames, and optional trailers.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    rest: Bytes,
    piece_bytes: Option<usize>,
    trailers: Option<HeaderMap>,
}

impl Pieces {
    /// The whole body at once: HTTP/2 then cuts it into frames as large as the peer accepts.
    pub(crate) fn whole(bytes: Bytes) -> Pieces {
        Pieces { rest: bytes, piece_bytes: None, trailers: None }
    }

    /// Pieces of at most `piece_bytes`, each a frame of its own.
    pub(crate) fn cut(bytes: Bytes, piece_bytes: usize) -> Pieces {
        Pieces { rest: bytes, piece_bytes: Some(piece_bytes.max(1)), trailers: None }
    }

    /// Adds trailers.
    pub(crate) fn with_trailers(mut self, trailers: HeaderMap) -> Pieces {
        self.trailers = Some(trailers);
        self
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))));
        }
        let length = self.piece_bytes.unwrap_or(usize::MAX).min(self.rest.len());
        let piece = self.rest.split_to(length);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

/// Length of what gRPC puts before a message: a flag for compression and the length.
pub(crate) const GRPC_PREFIX_BYTES: usize = 5;

/// Puts the gRPC prefix before a message.
pub(crate) fn grpc_framed(message: &[u8], compressed: bool) -> Bytes {
    let length = u32::try_from(message.len()).expect("a message is shorter than 4 GiB");
    let mut framed = BytesMut::with_capacity(GRPC_PREFIX_BYTES + message.len());
    framed.put_u8(u8::from(compressed));
    framed.put_u32(length);
    framed.put_slice(message);
    framed.freeze()
}

/// Takes the one message out of a gRPC body: whether it is compressed, and its bytes.
/// `None` if the body is cut off or has more than one message.
pub(crate) fn grpc_message(body: &Bytes) -> Option<(bool, Bytes)> {
    let (prefix, _) = body.split_first_chunk::<GRPC_PREFIX_BYTES>()?;
    let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
    (body.len() == GRPC_PREFIX_BYTES + length).then(|| (prefix[0] == 1, body.slice(GRPC_PREFIX_BYTES..)))
}
