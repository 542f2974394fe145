//! Carries changes out: first the lengths, from the inside out, then one copy.

use std::cmp::Reverse;
use std::ops::Range;

use crate::wire::{Fields, Wire};
use crate::write::{put_varint, varint_len};

use super::{Change, Kind};

/// A part of the result.
enum Segment {
    /// A range of the message as it was.
    Old(Range<usize>),
    /// A range of what the changes insert.
    Fresh(Range<usize>),
    /// The length of the message that follows.
    Len(usize),
}

/// The message with the changes, which lie within it.
pub(super) fn carry_out(message: &[u8], mut changes: Vec<Change>, fresh: &[u8]) -> Vec<u8> {
    // In the order of the message, the outer before the inner. An empty place belongs to what ends there,
    // for a key stands before whatever begins there. Changes of one place stay in the order of the calls.
    changes.sort_by_key(|change| {
        (change.at.start, !change.at.is_empty(), Reverse(change.at.end), change.kind != Kind::Append)
    });
    let mut plan = Plan { message, segments: Vec::with_capacity(4 * changes.len() + 1) };
    let len = plan.message(0..message.len(), &changes);
    let mut out = Vec::with_capacity(len);
    for segment in plan.segments {
        match segment {
            Segment::Old(range) => out.extend_from_slice(&message[range]),
            Segment::Fresh(range) => out.extend_from_slice(&fresh[range]),
            Segment::Len(len) => put_varint(&mut out, len as u64),
        }
    }
    debug_assert_eq!(out.len(), len);
    out
}

struct Plan<'a> {
    message: &'a [u8],
    segments: Vec<Segment>,
}

impl Plan<'_> {
    /// Plans the message whose body is `body`, gives its new length. The changes lie within.
    fn message(&mut self, body: Range<usize>, changes: &[Change]) -> usize {
        let own = |change: &&Change| change.kind == Kind::Append && change.at == body;
        let (appended, mut changes) = changes.split_at(changes.iter().take_while(own).count());
        let mut len = 0;
        let mut at = body.start;
        for field in Fields::new(&self.message[body.clone()]) {
            if changes.is_empty() {
                break;
            }
            let end = at + field.raw.len();
            let inside =
                |change: &&Change| change.at.start < end || (change.at.start == end && change.at.is_empty());
            let (here, after) = changes.split_at(changes.iter().take_while(inside).count());
            changes = after;
            len += match here {
                [] => self.old(at..end),
                _ if field.key & 7 == Wire::Len as u32 => self.field(at..end, field.body.len(), here),
                _ => self.scalar(at..end, here),
            };
            at = end;
        }
        len += self.old(at..body.end);
        len + appended.iter().map(|change| self.fresh(change)).sum::<usize>()
    }

    /// Plans a length-delimited field in which something changes.
    fn field(&mut self, raw: Range<usize>, value_len: usize, changes: &[Change]) -> usize {
        let value = raw.end - value_len..raw.end;
        let whole = |change: &&Change| match change.kind {
            Kind::Field => change.at == raw,
            Kind::Value | Kind::Remove => change.at == value,
            Kind::Append => false,
        };
        let key = raw.start..raw.start + self.key_len(raw.start);
        match changes.iter().rfind(whole) {
            Some(change) if change.kind == Kind::Value => {
                let key = self.old(key);
                self.segments.push(Segment::Len(change.fresh.len()));
                key + varint_len(change.fresh.len() as u64) + self.fresh(change)
            }
            Some(change) => self.fresh(change),
            None if changes.iter().all(|change| value.start <= change.at.start) => {
                let key = self.old(key);
                let len_at = self.segments.len();
                self.segments.push(Segment::Len(0));
                let len = self.message(value, changes);
                self.segments[len_at] = Segment::Len(len);
                key + varint_len(len as u64) + len
            }
            None => self.old(raw),
        }
    }

    /// Plans a field that is not length-delimited, which can only be replaced.
    fn scalar(&mut self, raw: Range<usize>, changes: &[Change]) -> usize {
        match changes.iter().rfind(|change| change.kind == Kind::Field && change.at == raw) {
            Some(change) => self.fresh(change),
            None => self.old(raw),
        }
    }

    fn key_len(&self, at: usize) -> usize {
        self.message[at..].iter().take_while(|byte| **byte >= 0x80).count() + 1
    }

    fn old(&mut self, range: Range<usize>) -> usize {
        let len = range.len();
        match self.segments.last_mut() {
            Some(Segment::Old(last)) if last.end == range.start => last.end = range.end,
            _ if len > 0 => self.segments.push(Segment::Old(range)),
            _ => {}
        }
        len
    }

    fn fresh(&mut self, change: &Change) -> usize {
        if !change.fresh.is_empty() {
            self.segments.push(Segment::Fresh(change.fresh.clone()));
        }
        change.fresh.len()
    }
}
