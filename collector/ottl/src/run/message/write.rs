//! A message written with what was set of it.

use phoenix_pdata::wire::{Field, Fields, Wire};
use phoenix_pdata::write::{put_bytes, put_fixed32, put_fixed64, put_key, put_uint, put_varint};

use crate::run::shape::Layout;

use super::{MAX_FIELD, MONOTONIC, Message, TEMPORALITY};

impl Message<'_> {
    /// Appends the message as it stands.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        if let Some((start, end)) = self.attributes_at
            && self.touched == 0
            && self.attributes_touched
        {
            out.extend_from_slice(&self.raw[..start]);
            self.attributes.write(self.shape.attributes(), self.raw, out);
            out.extend_from_slice(&self.raw[end..]);
            return;
        }
        self.write_over(self.raw, out);
    }

    /// Appends `body`, which is this message with other records in it, and puts over it what was set.
    pub(crate) fn write_over(&self, body: &[u8], out: &mut Vec<u8>) {
        let attributes = self.shape.attributes();
        let kind = self.touched & (1 << TEMPORALITY | 1 << MONOTONIC);
        let mut pending = self.touched & ((2 << MAX_FIELD) - 1);
        let mut attributes_pending = self.attributes_touched;
        if pending | kind == 0 && !attributes_pending {
            out.extend_from_slice(body);
            return;
        }
        // What is copied is copied in runs.
        let (mut copied, mut at) = (0, 0);
        for field in Fields::new(body) {
            let number = field.number();
            let end = at + field.raw.len();
            let is_attribute = number == attributes && self.attributes_touched;
            let is_set = number <= MAX_FIELD && self.touched & (1 << number) != 0;
            let is_data = kind != 0 && matches!(number, 7 | 9 | 10);
            if is_attribute || is_set || is_data {
                out.extend_from_slice(&body[copied..at]);
                copied = end;
            }
            if is_attribute {
                if attributes_pending {
                    self.attributes.write(attributes, self.raw, out);
                    attributes_pending = false;
                }
            } else if is_set {
                if pending & (1 << number) != 0 {
                    self.put(number, out);
                    pending &= !(1 << number);
                }
            } else if is_data {
                self.put_data(&field, out);
            }
            at = end;
        }
        out.extend_from_slice(&body[copied..]);
        if attributes_pending {
            self.attributes.write(attributes, self.raw, out);
        }
        while pending != 0 {
            let number = pending.trailing_zeros();
            self.put(number, out);
            pending &= pending - 1;
        }
    }

    /// Appends a field that was set.
    fn put(&self, number: u32, out: &mut Vec<u8>) {
        let (scalar, bytes) = self.slots[number as usize];
        let is_there = self.present & (1 << number) != 0;
        match self.shape.layout(number) {
            Layout::Varint if scalar != 0 => put_uint(out, number, scalar),
            Layout::SInt if scalar != 0 => {
                put_key(out, number, Wire::Varint);
                put_varint(out, scalar);
            }
            Layout::Fixed32 if scalar != 0 => put_fixed32(out, number, scalar as u32),
            Layout::Fixed64 if scalar != 0 => put_fixed64(out, number, scalar),
            Layout::Bytes if !bytes.is_empty() => put_bytes(out, number, bytes),
            Layout::Message if is_there => put_bytes(out, number, bytes),
            Layout::Optional64 if is_there => put_fixed64(out, number, scalar),
            Layout::Repeated => out.extend_from_slice(bytes),
            _ => {}
        }
    }

    /// Appends the data of a metric with the temporality and monotonicity that were set.
    fn put_data(&self, data: &Field<'_>, out: &mut Vec<u8>) {
        let mut body = Vec::with_capacity(data.body.len() + 4);
        let set = |number| match number {
            2 => self.touched & (1 << TEMPORALITY) != 0,
            3 => self.touched & (1 << MONOTONIC) != 0 && data.number() == 7,
            _ => false,
        };
        for field in Fields::new(data.body).filter(|field| !set(field.number())) {
            body.extend_from_slice(field.raw);
        }
        for (number, slot) in [(2, TEMPORALITY), (3, MONOTONIC)] {
            let value = self.slots[slot as usize].0;
            if set(number) && value != 0 {
                put_uint(&mut body, number, value);
            }
        }
        put_bytes(out, data.number(), &body);
    }
}
