use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::encoded::{Coding, Decode, Encoded};

/// A validated OTLP export request as the bytes of the wire, in one or more pieces.
///
/// Each piece is itself a valid request of the same signal, cut between top-level entries; the request
/// is their concatenation, since the only top-level field is `repeated`. Merging requests is therefore
/// joining lists, and copies nothing. Cloning shares the bytes.
///
/// # Still compressed
///
/// A payload may carry the bytes that its sender compressed: beside the plain ones, or instead of them,
/// and then whoever looks inside first decompresses them for everybody who shares the payload. Sizes are
/// those of the plain bytes in any case. Since no payload is ever changed, only joined ([`append`]) or
/// replaced by another, the compressed form cannot differ from the plain one: joining drops it, and what
/// an edit or a split makes never has it.
///
/// [`append`]: Payload::append
#[derive(Clone, Debug, Default)]
pub struct Payload {
    /// Empty where `encoded` stands for it.
    first: Bytes,
    rest: Vec<Bytes>,
    len: usize,
    encoded: Option<Arc<Encoded>>,
}

impl Payload {
    /// A request that stays compressed until somebody looks inside. It was validated: `decoder` gives
    /// its `plain_len` bytes.
    pub fn still_encoded(
        coding: Coding,
        bytes: Bytes,
        plain_len: usize,
        decoder: Arc<dyn Decode>,
    ) -> Payload {
        let encoded = Encoded::new(coding, bytes, plain_len, decoder);
        Payload { len: plain_len, encoded: Some(Arc::new(encoded)), ..Payload::default() }
    }

    /// A request in both forms, for when some look inside and others do not.
    pub fn beside_encoded(plain: Bytes, coding: Coding, bytes: Bytes) -> Payload {
        let len = plain.len();
        let encoded = Encoded::beside(plain, coding, bytes);
        Payload { len, encoded: Some(Arc::new(encoded)), ..Payload::default() }
    }

    /// The bytes as their sender compressed them with `coding`, where that is known.
    pub fn encoded(&self, coding: Coding) -> Option<&Bytes> {
        self.encoded.as_ref().filter(|encoded| encoded.coding == coding).map(|encoded| &encoded.bytes)
    }

    /// Bytes over all pieces.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no bytes, and so no items.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn first(&self) -> &Bytes {
        match &self.encoded {
            Some(encoded) => encoded.plain(),
            None => &self.first,
        }
    }

    /// The pieces, in order; none of them is empty.
    pub fn pieces(&self) -> impl Iterator<Item = &Bytes> + Clone {
        let first = (!self.is_empty()).then(|| self.first());
        first.into_iter().chain(&self.rest)
    }

    /// Appends the entries of another request of the same signal, sharing its bytes.
    pub fn append(&mut self, other: Payload) {
        if self.is_empty() {
            *self = other;
            return;
        }
        if other.is_empty() {
            return;
        }
        self.first = self.first().clone();
        self.encoded = None;
        self.len += other.len;
        self.rest.push(other.first().clone());
        self.rest.extend(other.rest);
    }

    /// The request in one piece; copies only where there are several.
    pub fn into_contiguous(self) -> Bytes {
        if self.rest.is_empty() {
            return self.first().clone();
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
        Payload { len: bytes.len(), first: bytes, ..Payload::default() }
    }
}

impl IntoIterator for Payload {
    type Item = Bytes;
    type IntoIter = std::iter::Chain<std::option::IntoIter<Bytes>, std::vec::IntoIter<Bytes>>;

    fn into_iter(self) -> Self::IntoIter {
        let first = match (self.is_empty(), self.encoded) {
            (true, _) => None,
            (false, Some(encoded)) => Some(encoded.plain().clone()),
            (false, None) => Some(self.first),
        };
        first.into_iter().chain(self.rest)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;

    /// Its plain bytes are the encoded ones, twice.
    #[derive(Default)]
    struct Twice(AtomicUsize);

    impl Decode for Twice {
        fn decode(&self, _: Coding, encoded: &Bytes, plain_len: usize) -> Bytes {
            self.0.fetch_add(1, Relaxed);
            let plain = encoded.repeat(2);
            assert_eq!(plain.len(), plain_len);
            plain.into()
        }
    }

    fn encoded(decoder: &Arc<Twice>) -> Payload {
        Payload::still_encoded(Coding::Zstd, Bytes::from_static(b"ab"), 4, decoder.clone())
    }

    #[test]
    fn an_encoded_payload_is_decoded_once_for_all_who_look_and_never_for_others() {
        let decoder = Arc::new(Twice::default());
        let payload = encoded(&decoder);
        let clone = payload.clone();
        assert_eq!((payload.len(), decoder.0.load(Relaxed)), (4, 0));
        assert_eq!(payload.encoded(Coding::Zstd).map(|bytes| &bytes[..]), Some(&b"ab"[..]));
        assert_eq!(payload.encoded(Coding::Gzip), None);
        assert_eq!(payload.pieces().collect::<Vec<_>>(), ["abab"]);
        assert_eq!(clone.clone().into_contiguous(), "abab");
        assert_eq!(clone.into_iter().collect::<Vec<_>>(), ["abab"]);
        assert_eq!(decoder.0.load(Relaxed), 1);
    }

    #[test]
    fn joining_drops_the_encoded_form() {
        let decoder = Arc::new(Twice::default());
        let plain = || Payload::from(Bytes::from_static(b"xyz"));
        for (mut left, right, joined) in [
            (encoded(&decoder), plain(), "ababxyz"),
            (plain(), encoded(&decoder), "xyzabab"),
            (encoded(&decoder), encoded(&decoder), "abababab"),
        ] {
            left.append(right);
            assert_eq!((left.len(), left.encoded(Coding::Zstd)), (joined.len(), None));
            assert_eq!(left.into_contiguous(), joined);
        }
        for (mut left, right) in
            [(encoded(&decoder), Payload::default()), (Payload::default(), encoded(&decoder))]
        {
            left.append(right);
            assert!(left.encoded(Coding::Zstd).is_some(), "nothing was joined");
        }
    }
}
