//! A tonic codec that leaves messages as they are.

use bytes::{Buf, BufMut, Bytes};
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// Bytes in, the same bytes out.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Untouched;

impl Codec for Untouched {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Untouched;
    type Decoder = Untouched;

    fn encoder(&mut self) -> Untouched {
        Untouched
    }

    fn decoder(&mut self) -> Untouched {
        Untouched
    }
}

impl Encoder for Untouched {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(message);
        Ok(())
    }
}

impl Decoder for Untouched {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(message.copy_to_bytes(message.remaining())))
    }
}
