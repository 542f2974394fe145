//! The scan that every request goes through: structure in one pass, counts on the way.
//!
//! `None` stands for "refused" throughout: what is wrong, and where, is found by a second, slower walk
//! (`diagnose`), so that the fast one carries no positions, names or error values.
//!
//! `TEXT` is whether text is looked at.

use super::Counts;
use crate::wire::{self, MAX_DEPTH, match_key, read_key, read_len, read_varint};
use crate::{Signal, utf8};

pub(super) struct Scan<const TEXT: bool> {
    pub(super) counts: Counts,
    /// Accept text that is not UTF-8, and ask for a rewrite.
    pub(super) repair: bool,
    /// The request is valid, but has to be rewritten: see `rewrite`.
    pub(super) rewrite: bool,
}

/// Walks the fields of a message: each arm gets what follows the key and gives what follows the value.
///
/// A field that is known by number but not with this wire type is refused, as protobuf's own decoders
/// for Go and Rust do; an unknown one is skipped.
macro_rules! walk {
    ($body:ident, $depth:expr, $rest:ident, { $($number:literal $wire:ident => $then:expr,)* }) => {{
        const KNOWN: u32 = 0 $(| 1 << $number)*;
        let mut bytes = $body;
        while !bytes.is_empty() {
            let (key, $rest) = read_key(bytes)?;
            bytes = match_key!(key, { $($number $wire => $then,)* _ => unknown(key, $rest, KNOWN, $depth)? });
        }
        Some(())
    }};
}

#[cold]
#[inline(never)]
fn unknown(key: u32, rest: &[u8], known: u32, depth: u32) -> Option<&[u8]> {
    if key >> 3 < 32 && known & 1 << (key >> 3) != 0 {
        return None;
    }
    wire::skip_value(key, rest, depth)
}

#[inline(always)]
fn varint(rest: &[u8]) -> Option<&[u8]> {
    Some(read_varint(rest)?.1)
}

#[inline(always)]
fn fixed32(rest: &[u8]) -> Option<&[u8]> {
    rest.get(4..)
}

#[inline(always)]
fn fixed64(rest: &[u8]) -> Option<&[u8]> {
    rest.get(8..)
}

#[inline(always)]
fn bytes(rest: &[u8]) -> Option<&[u8]> {
    Some(read_len(rest)?.1)
}

/// An identifier of `LEN` bytes, or none.
#[inline(always)]
fn id<const LEN: usize>(rest: &[u8]) -> Option<&[u8]> {
    let (id, rest) = read_len(rest)?;
    (id.len() == LEN || id.is_empty()).then_some(rest)
}

fn packed_fixed64(rest: &[u8]) -> Option<&[u8]> {
    let (numbers, rest) = read_len(rest)?;
    numbers.len().is_multiple_of(8).then_some(rest)
}

fn packed_varints(rest: &[u8]) -> Option<&[u8]> {
    let (mut numbers, rest) = read_len(rest)?;
    while !numbers.is_empty() {
        numbers = varint(numbers)?;
    }
    Some(rest)
}

impl<const TEXT: bool> Scan<TEXT> {
    pub(super) fn request(&mut self, signal: Signal, body: &[u8]) -> Option<()> {
        match signal {
            Signal::Traces => walk!(body, 0, rest, {
                1 Len => self.message(rest, |scan, body| scan.resource_spans(body))?,
            }),
            Signal::Metrics => walk!(body, 0, rest, {
                1 Len => self.message(rest, |scan, body| scan.resource_metrics(body))?,
            }),
            Signal::Logs => walk!(body, 0, rest, {
                1 Len => self.message(rest, |scan, body| scan.resource_logs(body))?,
            }),
        }
    }

    #[inline(always)]
    fn message<'a>(
        &mut self,
        rest: &'a [u8],
        inner: impl FnOnce(&mut Self, &'a [u8]) -> Option<()>,
    ) -> Option<&'a [u8]> {
        let (body, rest) = read_len(rest)?;
        inner(self, body)?;
        Some(rest)
    }

    /// A message of which there may be one. Everything downstream relies on that, so a second one asks
    /// for the rewrite that merges them.
    #[inline(always)]
    fn single<'a>(
        &mut self,
        seen: &mut bool,
        rest: &'a [u8],
        inner: impl FnOnce(&mut Self, &'a [u8]) -> Option<()>,
    ) -> Option<&'a [u8]> {
        self.rewrite |= *seen;
        *seen = true;
        self.message(rest, inner)
    }

    #[inline(always)]
    fn text<'a>(&mut self, rest: &'a [u8]) -> Option<&'a [u8]> {
        let (text, rest) = read_len(rest)?;
        if TEXT && !utf8::is_valid(text) {
            if !self.repair {
                return None;
            }
            self.rewrite = true;
        }
        Some(rest)
    }

    fn resource_spans(&mut self, body: &[u8]) -> Option<()> {
        self.counts.resources += 1;
        let mut resource = false;
        walk!(body, 1, rest, {
            1 Len => self.single(&mut resource, rest, |scan, body| scan.resource(body))?,
            2 Len => self.message(rest, |scan, body| scan.scope_spans(body))?,
            3 Len => self.text(rest)?,
        })
    }

    fn resource_metrics(&mut self, body: &[u8]) -> Option<()> {
        self.counts.resources += 1;
        let mut resource = false;
        walk!(body, 1, rest, {
            1 Len => self.single(&mut resource, rest, |scan, body| scan.resource(body))?,
            2 Len => self.message(rest, |scan, body| scan.scope_metrics(body))?,
            3 Len => self.text(rest)?,
        })
    }

    fn resource_logs(&mut self, body: &[u8]) -> Option<()> {
        self.counts.resources += 1;
        let mut resource = false;
        walk!(body, 1, rest, {
            1 Len => self.single(&mut resource, rest, |scan, body| scan.resource(body))?,
            2 Len => self.message(rest, |scan, body| scan.scope_logs(body))?,
            3 Len => self.text(rest)?,
        })
    }

    fn resource(&mut self, body: &[u8]) -> Option<()> {
        walk!(body, 2, rest, {
            1 Len => self.attribute(rest, 3)?,
            2 Varint => varint(rest)?,
            3 Len => self.message(rest, |scan, body| scan.entity_ref(body))?,
        })
    }

    fn entity_ref(&mut self, body: &[u8]) -> Option<()> {
        walk!(body, 3, rest, {
            1 Len => self.text(rest)?,
            2 Len => self.text(rest)?,
            3 Len => self.text(rest)?,
            4 Len => self.text(rest)?,
        })
    }

    fn scope(&mut self, body: &[u8]) -> Option<()> {
        walk!(body, 3, rest, {
            1 Len => self.text(rest)?,
            2 Len => self.text(rest)?,
            3 Len => self.attribute(rest, 4)?,
            4 Varint => varint(rest)?,
        })
    }

    /// An attribute, itself at `depth`.
    #[inline(always)]
    fn attribute<'a>(&mut self, rest: &'a [u8], depth: u32) -> Option<&'a [u8]> {
        self.message(rest, |scan, body| scan.key_value(body, depth))
    }

    #[inline(always)]
    fn key_value(&mut self, body: &[u8], depth: u32) -> Option<()> {
        // The usual attribute, in its entirety: a short key, then a short value.
        if let [0x0a, key_len, rest @ ..] = body
            && *key_len < 0x80
            && let Some((key, [0x12, value_len, value @ ..])) = rest.split_at_checked(usize::from(*key_len))
            && usize::from(*value_len) == value.len()
            && *value_len < 0x80
            && depth < MAX_DEPTH
            && (!TEXT || utf8::is_valid(key))
        {
            return self.any_value(value, depth + 1);
        }
        self.uncommon_key_value(body, depth)
    }

    #[inline(never)]
    fn uncommon_key_value(&mut self, body: &[u8], depth: u32) -> Option<()> {
        let mut value = false;
        walk!(body, depth, rest, {
            1 Len => self.text(rest)?,
            2 Len => {
                if depth >= MAX_DEPTH {
                    return None;
                }
                self.single(&mut value, rest, |scan, body| scan.any_value(body, depth + 1))?
            },
            3 Varint => varint(rest)?,
        })
    }

    #[inline(always)]
    fn any_value(&mut self, body: &[u8], depth: u32) -> Option<()> {
        // The usual value, in its entirety: a short text.
        if let [0x0a, len, text @ ..] = body
            && usize::from(*len) == text.len()
            && *len < 0x80
            && (!TEXT || utf8::is_valid(text))
        {
            return Some(());
        }
        // The next: a truth value, a number.
        match body {
            [0x10 | 0x18, number @ ..] if matches!(read_varint(number), Some((_, []))) => return Some(()),
            [0x21, _, _, _, _, _, _, _, _] => return Some(()),
            _ => {}
        }
        self.uncommon_value(body, depth)
    }

    #[inline(never)]
    fn uncommon_value(&mut self, body: &[u8], depth: u32) -> Option<()> {
        let mut members = 0u32;
        let walked = walk!(body, depth, rest, {
            1 Len => { members += 1; self.text(rest)? },
            2 Varint => { members += 1; varint(rest)? },
            3 Varint => { members += 1; varint(rest)? },
            4 Fixed64 => { members += 1; fixed64(rest)? },
            5 Len => { members += 1; self.message(rest, |scan, body| scan.array(body, depth))? },
            6 Len => { members += 1; self.message(rest, |scan, body| scan.key_values(body, depth))? },
            7 Len => { members += 1; bytes(rest)? },
            8 Varint => { members += 1; varint(rest)? },
        });
        self.rewrite |= members > 1;
        walked
    }

    /// The values of an array that is itself in a value at `depth`.
    fn array(&mut self, body: &[u8], depth: u32) -> Option<()> {
        let depth = deeper(depth)?;
        walk!(body, depth, rest, {
            1 Len => {
                let depth = deeper(depth)?;
                self.message(rest, |scan, body| scan.any_value(body, depth))?
            },
        })
    }

    /// The entries of a map that is itself in a value at `depth`.
    fn key_values(&mut self, body: &[u8], depth: u32) -> Option<()> {
        let depth = deeper(depth)?;
        walk!(body, depth, rest, {
            1 Len => {
                let depth = deeper(depth)?;
                self.attribute(rest, depth)?
            },
        })
    }

    fn scope_spans(&mut self, body: &[u8]) -> Option<()> {
        self.counts.scopes += 1;
        let mut scope = false;
        walk!(body, 2, rest, {
            1 Len => self.single(&mut scope, rest, |scan, body| scan.scope(body))?,
            2 Len => {
                self.counts.items += 1;
                self.message(rest, |scan, body| scan.span(body))?
            },
            3 Len => self.text(rest)?,
        })
    }

    fn span(&mut self, body: &[u8]) -> Option<()> {
        let mut status = false;
        walk!(body, 3, rest, {
            1 Len => id::<16>(rest)?,
            2 Len => id::<8>(rest)?,
            3 Len => self.text(rest)?,
            4 Len => id::<8>(rest)?,
            5 Len => self.text(rest)?,
            6 Varint => varint(rest)?,
            7 Fixed64 => fixed64(rest)?,
            8 Fixed64 => fixed64(rest)?,
            9 Len => self.attribute(rest, 4)?,
            10 Varint => varint(rest)?,
            11 Len => self.message(rest, |scan, body| scan.event(body))?,
            12 Varint => varint(rest)?,
            13 Len => self.message(rest, |scan, body| scan.link(body))?,
            14 Varint => varint(rest)?,
            15 Len => self.single(&mut status, rest, |scan, body| scan.status(body))?,
            16 Fixed32 => fixed32(rest)?,
        })
    }

    fn event(&mut self, body: &[u8]) -> Option<()> {
        walk!(body, 4, rest, {
            1 Fixed64 => fixed64(rest)?,
            2 Len => self.text(rest)?,
            3 Len => self.attribute(rest, 5)?,
            4 Varint => varint(rest)?,
        })
    }

    fn link(&mut self, body: &[u8]) -> Option<()> {
        walk!(body, 4, rest, {
            1 Len => id::<16>(rest)?,
            2 Len => id::<8>(rest)?,
            3 Len => self.text(rest)?,
            4 Len => self.attribute(rest, 5)?,
            5 Varint => varint(rest)?,
            6 Fixed32 => fixed32(rest)?,
        })
    }

    fn status(&mut self, body: &[u8]) -> Option<()> {
        walk!(body, 4, rest, {
            2 Len => self.text(rest)?,
            3 Varint => varint(rest)?,
        })
    }

    fn scope_logs(&mut self, body: &[u8]) -> Option<()> {
        self.counts.scopes += 1;
        let mut scope = false;
        walk!(body, 2, rest, {
            1 Len => self.single(&mut scope, rest, |scan, body| scan.scope(body))?,
            2 Len => {
                self.counts.items += 1;
                self.message(rest, |scan, body| scan.log_record(body))?
            },
            3 Len => self.text(rest)?,
        })
    }

    fn log_record(&mut self, body: &[u8]) -> Option<()> {
        let mut text = false;
        walk!(body, 3, rest, {
            1 Fixed64 => fixed64(rest)?,
            2 Varint => varint(rest)?,
            3 Len => self.text(rest)?,
            5 Len => self.single(&mut text, rest, |scan, body| scan.any_value(body, 4))?,
            6 Len => self.attribute(rest, 4)?,
            7 Varint => varint(rest)?,
            8 Fixed32 => fixed32(rest)?,
            9 Len => id::<16>(rest)?,
            10 Len => id::<8>(rest)?,
            11 Fixed64 => fixed64(rest)?,
            12 Len => self.text(rest)?,
        })
    }

    fn scope_metrics(&mut self, body: &[u8]) -> Option<()> {
        self.counts.scopes += 1;
        let mut scope = false;
        walk!(body, 2, rest, {
            1 Len => self.single(&mut scope, rest, |scan, body| scan.scope(body))?,
            2 Len => {
                self.counts.metrics += 1;
                self.message(rest, |scan, body| scan.metric(body))?
            },
            3 Len => self.text(rest)?,
        })
    }

    fn metric(&mut self, body: &[u8]) -> Option<()> {
        let mut data = false;
        walk!(body, 3, rest, {
            1 Len => self.text(rest)?,
            2 Len => self.text(rest)?,
            3 Len => self.text(rest)?,
            5 Len => self.single(&mut data, rest, |scan, body| scan.gauge(body))?,
            7 Len => self.single(&mut data, rest, |scan, body| scan.sum(body))?,
            9 Len => self.single(&mut data, rest, |scan, body| scan.histogram(body))?,
            10 Len => self.single(&mut data, rest, |scan, body| scan.exponential_histogram(body))?,
            11 Len => self.single(&mut data, rest, |scan, body| scan.summary(body))?,
            12 Len => self.attribute(rest, 4)?,
        })
    }

    #[inline(always)]
    fn point<'a>(
        &mut self,
        rest: &'a [u8],
        inner: impl FnOnce(&mut Self, &'a [u8]) -> Option<()>,
    ) -> Option<&'a [u8]> {
        self.counts.items += 1;
        self.message(rest, inner)
    }

    fn gauge(&mut self, body: &[u8]) -> Option<()> {
        walk!(body, 4, rest, {
            1 Len => self.point(rest, |scan, body| scan.number_point(body))?,
        })
    }

    fn sum(&mut self, body: &[u8]) -> Option<()> {
        walk!(body, 4, rest, {
            1 Len => self.point(rest, |scan, body| scan.number_point(body))?,
            2 Varint => varint(rest)?,
            3 Varint => varint(rest)?,
        })
    }

    fn histogram(&mut self, body: &[u8]) -> Option<()> {
        walk!(body, 4, rest, {
            1 Len => self.point(rest, |scan, body| scan.histogram_point(body))?,
            2 Varint => varint(rest)?,
        })
    }

    fn exponential_histogram(&mut self, body: &[u8]) -> Option<()> {
        walk!(body, 4, rest, {
            1 Len => self.point(rest, |scan, body| scan.exponential_point(body))?,
            2 Varint => varint(rest)?,
        })
    }

    fn summary(&mut self, body: &[u8]) -> Option<()> {
        walk!(body, 4, rest, {
            1 Len => self.point(rest, |scan, body| scan.summary_point(body))?,
        })
    }

    fn number_point(&mut self, body: &[u8]) -> Option<()> {
        walk!(body, 5, rest, {
            2 Fixed64 => fixed64(rest)?,
            3 Fixed64 => fixed64(rest)?,
            4 Fixed64 => fixed64(rest)?,
            5 Len => self.message(rest, |scan, body| scan.exemplar(body))?,
            6 Fixed64 => fixed64(rest)?,
            7 Len => self.attribute(rest, 6)?,
            8 Varint => varint(rest)?,
        })
    }

    fn histogram_point(&mut self, body: &[u8]) -> Option<()> {
        walk!(body, 5, rest, {
            2 Fixed64 => fixed64(rest)?,
            3 Fixed64 => fixed64(rest)?,
            4 Fixed64 => fixed64(rest)?,
            5 Fixed64 => fixed64(rest)?,
            6 Len => packed_fixed64(rest)?,
            6 Fixed64 => fixed64(rest)?,
            7 Len => packed_fixed64(rest)?,
            7 Fixed64 => fixed64(rest)?,
            8 Len => self.message(rest, |scan, body| scan.exemplar(body))?,
            9 Len => self.attribute(rest, 6)?,
            10 Varint => varint(rest)?,
            11 Fixed64 => fixed64(rest)?,
            12 Fixed64 => fixed64(rest)?,
        })
    }

    fn exponential_point(&mut self, body: &[u8]) -> Option<()> {
        let mut positive = false;
        let mut negative = false;
        walk!(body, 5, rest, {
            1 Len => self.attribute(rest, 6)?,
            2 Fixed64 => fixed64(rest)?,
            3 Fixed64 => fixed64(rest)?,
            4 Fixed64 => fixed64(rest)?,
            5 Fixed64 => fixed64(rest)?,
            6 Varint => varint(rest)?,
            7 Fixed64 => fixed64(rest)?,
            8 Len => self.single(&mut positive, rest, |scan, body| scan.buckets(body))?,
            9 Len => self.single(&mut negative, rest, |scan, body| scan.buckets(body))?,
            10 Varint => varint(rest)?,
            11 Len => self.message(rest, |scan, body| scan.exemplar(body))?,
            12 Fixed64 => fixed64(rest)?,
            13 Fixed64 => fixed64(rest)?,
            14 Fixed64 => fixed64(rest)?,
        })
    }

    fn buckets(&mut self, body: &[u8]) -> Option<()> {
        walk!(body, 6, rest, {
            1 Varint => varint(rest)?,
            2 Len => packed_varints(rest)?,
            2 Varint => varint(rest)?,
        })
    }

    fn summary_point(&mut self, body: &[u8]) -> Option<()> {
        walk!(body, 5, rest, {
            2 Fixed64 => fixed64(rest)?,
            3 Fixed64 => fixed64(rest)?,
            4 Fixed64 => fixed64(rest)?,
            5 Fixed64 => fixed64(rest)?,
            6 Len => self.message(rest, |scan, body| scan.quantile(body))?,
            7 Len => self.attribute(rest, 6)?,
            8 Varint => varint(rest)?,
        })
    }

    fn quantile(&mut self, body: &[u8]) -> Option<()> {
        walk!(body, 6, rest, {
            1 Fixed64 => fixed64(rest)?,
            2 Fixed64 => fixed64(rest)?,
        })
    }

    fn exemplar(&mut self, body: &[u8]) -> Option<()> {
        walk!(body, 6, rest, {
            2 Fixed64 => fixed64(rest)?,
            3 Fixed64 => fixed64(rest)?,
            4 Len => id::<8>(rest)?,
            5 Len => id::<16>(rest)?,
            6 Fixed64 => fixed64(rest)?,
            7 Len => self.attribute(rest, 7)?,
        })
    }
}

#[inline(always)]
fn deeper(depth: u32) -> Option<u32> {
    (depth < MAX_DEPTH).then_some(depth + 1)
}
