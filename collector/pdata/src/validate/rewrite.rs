//! Brings a valid request into the form that the rest of the crate relies on: invalid text repaired, and
//! messages merged that occur more than once though they are not `repeated`.
//!
//! The result is written from its end to its beginning, so that each length is known before it is
//! written, and the cost stays linear however deep the messages nest. Protobuf defines merging as
//! decoding the concatenation, so a merged message is a list of bodies that are walked one after the other.

use crate::Signal;
use crate::schema::{Kind, Message};
use crate::wire::{Field, Fields};

/// Rewrites a request that the scan accepted.
pub(super) fn rewrite(signal: Signal, request: &[u8], repair: bool) -> Vec<u8> {
    let mut out = Reversed { bytes: Vec::with_capacity(request.len()), repair };
    out.message(Message::request(signal), &[request]);
    out.bytes.reverse();
    out.bytes
}

/// The bytes of the result, the last one first.
struct Reversed {
    bytes: Vec<u8>,
    repair: bool,
}

impl Reversed {
    /// Writes the fields of a message that is the concatenation of `bodies`.
    fn message(&mut self, message: &'static Message, bodies: &[&[u8]]) {
        // Bits of the single messages that were written; bit 0 is for the oneof.
        let mut written = 0u32;
        for body in bodies.iter().rev() {
            // A field takes two bytes or more, so this is at most four times the body.
            let mut starts = Vec::new();
            starts.extend(Fields::new(body).map(|field| field.raw.as_ptr().addr() - body.as_ptr().addr()));
            for start in starts.into_iter().rev() {
                let Some((field, _)) = Field::read(&body[start..]) else { continue };
                self.field(message, bodies, field, &mut written);
            }
        }
    }

    fn field(&mut self, message: &'static Message, bodies: &[&[u8]], field: Field<'_>, written: &mut u32) {
        let Some(known) = message.field(field.number()) else { return self.raw(field.raw) };
        let single = matches!(known.kind, Kind::One(_));
        if single || known.is_oneof() {
            let bit = if known.is_oneof() { 1 } else { 1 << known.number };
            if *written & bit != 0 {
                return;
            }
            *written |= bit;
        }
        let start = self.bytes.len();
        match known.kind {
            Kind::One(inner) => self.message(inner, &occurrences(message, bodies, field)),
            Kind::Many(inner) => self.message(inner, &[field.body]),
            Kind::Text | Kind::Texts if self.repair => {
                self.raw(String::from_utf8_lossy(field.body).as_bytes())
            }
            _ => return self.raw(field.raw),
        }
        self.varint((self.bytes.len() - start) as u64);
        self.varint(u64::from(field.key));
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes.iter().rev());
    }

    fn varint(&mut self, value: u64) {
        let (bytes, len) = crate::write::varint(value);
        self.raw(&bytes[..len]);
    }
}

/// The bodies that make up the value of a message that is not `repeated`: all of them, or in a oneof those
/// after which no other member was set.
fn occurrences<'a>(message: &'static Message, bodies: &[&'a [u8]], last: Field<'a>) -> Vec<&'a [u8]> {
    let oneof = message.field(last.number()).is_some_and(|known| known.is_oneof());
    let mut found = Vec::new();
    for field in bodies.iter().flat_map(|body| Fields::new(body)) {
        if field.key == last.key {
            if !field.body.is_empty() {
                found.push(field.body);
            }
        } else if oneof && message.field(field.number()).is_some_and(|other| other.is_oneof()) {
            found.clear();
        }
    }
    found
}
