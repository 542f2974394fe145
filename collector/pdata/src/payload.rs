use bytes::{Bytes, BytesMut};

/// A validated OTLP export request as the bytes of the wire, in one or more pieces.
///
/// Each piece is itself a valid request of the same signal, cut between top-level entries; the request
/// is their concatenation, since the only top-level field is `repeated`. Merging requests is therefore
/// joining lists, and copies nothing. Cloning shares the bytes.
#[derive(Clone, Debug, Default)]
pub struct Payload {
    first: Bytes,
    rest: Vec<Bytes>,
    len: usize,
}

impl Payload {
    /// Bytes over all pieces.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no bytes, and so no items.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The pieces, in order; none of them is empty.
    pub fn pieces(&self) -> impl Iterator<Item = &Bytes> + Clone {
        let first = (!self.first.is_empty()).then_some(&self.first);
        first.into_iter().chain(&self.rest)
    }

    /// Appends the entries of another request of the same signal, sharing its bytes.
    pub fn append(&mut self, other: Payload) {
        if self.is_empty() {
            *self = other;
            return;
        }
        self.len += other.len;
        if !other.first.is_empty() {
            self.rest.push(other.first);
        }
        self.rest.extend(other.rest);
    }

    /// The request in one piece; copies only where there are several.
    pub fn into_contiguous(self) -> Bytes {
        if self.rest.is_empty() {
            return self.first;
        }
        let mut joined = BytesMut::with_capacity(self.len);
        for piece in self.pieces() {
            joined.extend_from_slice(piece);
        }
        joined.freeze()
    }
}

impl From<Bytes> for Payload {
    /// Takes bytes that have been validated.
    fn from(bytes: Bytes) -> Payload {
        Payload { len: bytes.len(), first: bytes, rest: Vec::new() }
    }
}

impl IntoIterator for Payload {
    type Item = Bytes;
    type IntoIter = std::iter::Chain<std::option::IntoIter<Bytes>, std::vec::IntoIter<Bytes>>;

    fn into_iter(self) -> Self::IntoIter {
        let first = (!self.first.is_empty()).then_some(self.first);
        first.into_iter().chain(self.rest)
    }
}
