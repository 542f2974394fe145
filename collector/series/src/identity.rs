//! Who a series is.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash};

use phoenix_pdata::view::{Attributes, KeyValue, View as _};
use phoenix_pdata::write::put_attribute;
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// An identity in 128 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fingerprint([u64; 2]);

impl From<u128> for Fingerprint {
    fn from(bits: u128) -> Fingerprint {
        Fingerprint([(bits >> 64) as u64, bits as u64])
    }
}

impl From<Fingerprint> for u128 {
    fn from(fingerprint: Fingerprint) -> u128 {
        let [high, low] = fingerprint.0;
        u128::from(high) << 64 | u128::from(low)
    }
}

impl Fingerprint {
    /// Half of the bits, for sketches and for sharding.
    pub fn half(self) -> u64 {
        self.0[0]
    }

    /// The other half, for tables.
    pub(crate) fn spread(self) -> u64 {
        self.0[1]
    }

    /// Both as a set: the order does not matter.
    #[must_use]
    pub fn plus(self, other: Fingerprint) -> Fingerprint {
        u128::from(self).wrapping_add(other.into()).into()
    }

    /// Takes out of a set what [`plus`](Fingerprint::plus) put in.
    #[must_use]
    pub fn minus(self, other: Fingerprint) -> Fingerprint {
        u128::from(self).wrapping_sub(other.into()).into()
    }
}

impl Hash for Fingerprint {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write_u64(self.0[1]);
    }
}

/// Hands through what is a hash already.
#[derive(Clone, Copy, Debug, Default)]
pub struct Through(u64);

impl std::hash::Hasher for Through {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

/// Hashes fingerprints by handing them through.
pub type BuildThrough = BuildHasherDefault<Through>;

/// A map by fingerprints, which are not hashed again.
pub type FingerprintMap<T> = HashMap<Fingerprint, T, BuildThrough>;

/// Makes fingerprints. The seed keeps senders from aiming at each other.
#[derive(Clone, Debug)]
pub struct Hasher {
    seed: u64,
    scratch: Vec<u8>,
}

impl Hasher {
    /// With a seed, which must stay for as long as fingerprints are compared.
    pub fn new(seed: u64) -> Hasher {
        Hasher { seed, scratch: Vec::new() }
    }

    /// The fingerprint of bytes.
    pub fn bytes(&self, bytes: &[u8]) -> Fingerprint {
        xxh3_128_with_seed(bytes, self.seed).into()
    }

    /// The fingerprint of several, in this order.
    pub fn ordered<const N: usize>(&self, parts: [Fingerprint; N]) -> Fingerprint {
        let mut bytes = [[0; 16]; N];
        for (bytes, part) in bytes.iter_mut().zip(parts) {
            *bytes = u128::from(part).to_le_bytes();
        }
        self.bytes(bytes.as_flattened())
    }

    /// The fingerprint of attributes, whatever their order and however they are encoded. Maps and lists inside are
    /// compared by their bytes.
    pub fn attributes(&mut self, attributes: &Attributes<'_>) -> Fingerprint {
        let mut sum = Fingerprint::default();
        for body in attributes.bodies() {
            sum = sum.plus(self.attribute(body));
        }
        sum
    }

    /// The fingerprint of one attribute, by its body.
    pub fn attribute(&mut self, body: &[u8]) -> Fingerprint {
        if is_canonical(body) {
            return self.bytes(body);
        }
        let attribute = KeyValue::new(body);
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        phoenix_pdata::write::put_bytes(&mut scratch, 1, attribute.key().as_bytes());
        phoenix_pdata::write::put_value(&mut scratch, 2, &attribute.value());
        let fingerprint = self.bytes(&scratch);
        self.scratch = scratch;
        fingerprint
    }

    /// The fingerprint of an attribute that is not there yet.
    pub fn key_value(&mut self, key: &str, value: &str) -> Fingerprint {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        put_attribute(&mut scratch, 1, key, &value.into());
        // Behind the key of the field and its length is the body.
        let len = phoenix_pdata::wire::Fields::new(&scratch).next().map_or(0, |field| field.body.len());
        let fingerprint = self.bytes(&scratch[scratch.len() - len..]);
        self.scratch = scratch;
        fingerprint
    }
}

/// Whether an attribute is written as nearly all are, so that its bytes are the same for everybody: short key, then
/// short value of one plain kind.
fn is_canonical(body: &[u8]) -> bool {
    let [0x0a, key @ ..0x80, rest @ ..] = body else { return false };
    let Some((_, rest)) = rest.split_at_checked(usize::from(*key)) else { return false };
    let [0x12, len @ ..0x80, value @ ..] = rest else { return false };
    value.len() == usize::from(*len)
        && match value {
            [0x0a, len, text @ ..] => text.len() == usize::from(*len),
            [0x10, 0 | 1] => true,
            [0x18, varint @ .., last] => {
                *last < 0x80
                    && (*last != 0 || varint.is_empty())
                    && varint.len() < 10
                    && varint.iter().all(|byte| *byte >= 0x80)
            }
            [0x21, double @ ..] => double.len() == 8,
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use phoenix_pdata::view::{AnyValue, NumberPoint};
    use phoenix_pdata::write::{put_bytes, put_message, put_uint};

    use super::*;

    fn point(attributes: &[(&str, AnyValue<'_>)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (key, value) in attributes {
            put_attribute(&mut out, 7, key, value);
        }
        out
    }

    fn of(point: &[u8]) -> Fingerprint {
        Hasher::new(1).attributes(&NumberPoint::new(point).attributes())
    }

    #[test]
    fn order_and_encoding_do_not_matter_and_types_do() {
        let ab = of(&point(&[("a", "x".into()), ("b", 1.into())]));
        assert_eq!(ab, of(&point(&[("b", 1.into()), ("a", "x".into())])));
        assert_ne!(ab, of(&point(&[("b", "1".into()), ("a", "x".into())])), "text is no number");
        assert_ne!(ab, of(&point(&[("a", "x".into())])));
        assert_ne!(of(&point(&[("a", "b".into())])), of(&point(&[("b", "a".into())])));
        assert_ne!(of(&point(&[("a", "".into())])), of(&[]), "empty is not absent");
        // The value before the key, and a number that takes more bytes than it needs.
        let mut reversed = Vec::new();
        put_message(&mut reversed, 7, |out| {
            put_bytes(out, 2, &[0x18, 0x81, 0x00]);
            put_bytes(out, 1, b"b");
        });
        put_attribute(&mut reversed, 7, "a", &"x".into());
        put_uint(&mut reversed, 8, 0);
        assert_eq!(ab, of(&reversed));
    }

    #[test]
    fn long_values_and_made_attributes_are_the_same_as_read_ones() {
        for len in [0, 1, 100, 127, 128, 300, 20_000] {
            let value = "v".repeat(len);
            let read = of(&point(&[("key", value.as_str().into())]));
            assert_eq!(read, Fingerprint::default().plus(Hasher::new(1).key_value("key", &value)), "{len}");
        }
    }

    #[test]
    fn sets_lose_what_is_taken_out() {
        let mut hasher = Hasher::new(7);
        let (a, b) = (hasher.key_value("a", "1"), hasher.key_value("b", "2"));
        assert_eq!(a.plus(b).minus(b), a);
        assert_eq!(a.plus(b), b.plus(a));
        assert_ne!(hasher.ordered([a, b]), hasher.ordered([b, a]));
        assert_ne!(hasher.bytes(b"a"), Hasher::new(8).bytes(b"a"), "the seed matters");
    }
}
