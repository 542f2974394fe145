//! Makes requests of bytes, with all that a protobuf encoder may do and most that none does.

use crate::Signal;
use crate::schema::{Field, Kind, Message};
use crate::wire::{Wire, key};
use crate::write::{put_bytes, put_fixed32, put_fixed64, put_uint, put_varint, varint};

/// Choices, made from bytes; all zero once they are used up.
pub(super) struct Entropy<'a> {
    bytes: &'a [u8],
    tidy: bool,
}

impl<'a> Entropy<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Entropy<'a> {
        Entropy { bytes, tidy: false }
    }

    fn byte(&mut self) -> u8 {
        let Some((byte, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        *byte
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        usize::from(self.byte()) % limit
    }

    fn number(&mut self) -> u64 {
        match self.below(8) {
            0 => 0,
            1 => u64::MAX,
            2 => u64::from(self.byte()) << 56 | u64::from(self.byte()) << 20,
            3 => (f64::from(self.byte()) / 4.0).to_bits(),
            4 => u64::from(self.byte()) << 7,
            5 => f64::NAN.to_bits(),
            _ => u64::from(self.byte() % 4),
        }
    }

    fn text(&mut self) -> String {
        match self.below(8) {
            0 => String::new(),
            1 => "grüße, 世界 🌍".into(),
            2 => "long ".repeat(20 + self.below(20)),
            3 => "key".into(),
            4 => "x".repeat(self.below(20)),
            _ => "a".into(),
        }
    }
}

/// A request that is valid, as [`crate::validate()`] sees it. Every other one is tidy: it has nothing that
/// has to be merged.
pub(super) fn request(signal: Signal, entropy: &mut Entropy<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    entropy.tidy = entropy.below(2) == 1;
    message(&mut out, Message::request(signal), entropy, 0);
    out
}

/// The depth of data points.
const DEEPEST_ITEM: u32 = 5;

fn message(out: &mut Vec<u8>, message: &'static Message, entropy: &mut Entropy<'_>, depth: u32) {
    let (most, stop) = if depth < DEEPEST_ITEM { (24, 12) } else { (6, 5) };
    // Bits of what may be there once; bit 0 is for the oneof.
    let mut written = 0u32;
    for _ in 0..most {
        let choice = entropy.byte();
        if choice.is_multiple_of(stop) {
            return;
        }
        if choice < 12 {
            unknown(out, entropy);
            continue;
        }
        // Most of the time what leads to the items, lest attributes use up all choices.
        let onward = |field: &&Field| match field.kind {
            Kind::Many(inner) => !matches!(inner.name, "attribute" | "entity reference"),
            Kind::One(_) => field.is_oneof(),
            _ => false,
        };
        let ways: Vec<_> = message.fields.iter().filter(onward).collect();
        let chosen = match ways.is_empty() || choice < 80 || depth >= DEEPEST_ITEM {
            true => &message.fields[entropy.below(message.fields.len())],
            false => ways[entropy.below(ways.len())],
        };
        let bit = if chosen.is_oneof() { 1 } else { 1 << chosen.number };
        if entropy.tidy && (chosen.is_oneof() || matches!(chosen.kind, Kind::One(_))) {
            if written & bit != 0 {
                continue;
            }
            written |= bit;
        }
        field(out, chosen, entropy, depth);
    }
}

fn field(out: &mut Vec<u8>, field: &'static Field, entropy: &mut Entropy<'_>, depth: u32) {
    let number = field.number;
    let mut encoded = Vec::new();
    match field.kind {
        Kind::Varint(_) => put_uint(&mut encoded, number, entropy.number()),
        Kind::Fixed32 => put_fixed32(&mut encoded, number, entropy.number() as u32),
        Kind::Fixed64(_) => put_fixed64(&mut encoded, number, entropy.number()),
        Kind::Varints if entropy.below(3) == 0 => put_uint(&mut encoded, number, entropy.number()),
        Kind::Fixed64s(_) if entropy.below(3) == 0 => put_fixed64(&mut encoded, number, entropy.number()),
        Kind::Varints | Kind::Fixed64s(_) => {
            let mut packed = Vec::new();
            for _ in 0..entropy.below(4) {
                match field.kind {
                    Kind::Varints => put_varint(&mut packed, entropy.number()),
                    _ => packed.extend(entropy.number().to_le_bytes()),
                }
            }
            put_bytes(&mut encoded, number, &packed);
        }
        Kind::Text | Kind::Texts => put_bytes(&mut encoded, number, entropy.text().as_bytes()),
        Kind::Bytes => put_bytes(&mut encoded, number, &entropy.number().to_be_bytes()[..entropy.below(9)]),
        Kind::TraceId | Kind::SpanId if entropy.below(8) == 0 => put_bytes(&mut encoded, number, &[]),
        Kind::TraceId => put_bytes(&mut encoded, number, &[entropy.byte(); 16]),
        Kind::SpanId => put_bytes(&mut encoded, number, &[entropy.byte(); 8]),
        Kind::One(inner) | Kind::Many(inner) => {
            let mut body = Vec::new();
            if depth < 16 {
                message(&mut body, inner, entropy, depth + 1);
            }
            put_bytes(&mut encoded, number, &body);
        }
    }
    // A key may take more bytes than it needs to.
    if entropy.below(32) == 1 && number < 16 {
        out.extend([encoded[0] | 0x80, 0]);
        encoded.remove(0);
    }
    out.extend(encoded);
}

fn unknown(out: &mut Vec<u8>, entropy: &mut Entropy<'_>) {
    let number = [17, 31, 32, 33, 50, 1000, (1 << 29) - 1][entropy.below(7)];
    match entropy.below(5) {
        0 => put_uint(out, number, entropy.number()),
        1 => put_fixed32(out, number, entropy.number() as u32),
        2 => put_fixed64(out, number, entropy.number()),
        3 => put_bytes(out, number, &[0xff; 9][..entropy.below(10)]),
        _ => {
            put_varint(out, u64::from(key(number, Wire::StartGroup)));
            put_uint(out, 1, entropy.number());
            let (end, len) = varint(u64::from(key(number, Wire::EndGroup)));
            out.extend(&end[..len]);
        }
    }
}
