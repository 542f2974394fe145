//! Finds the records of an OTLP request in its bytes, without decoding them.
//!
//! All three requests nest alike: field 1 of the request is a resource block, field 2 of that a scope block,
//! field 2 of that a span, a log record or a metric; the data points of a metric are field 1 of whichever
//! data field it has. Anything else is stepped over. Bounds are checked, contents are not.

use std::ops::Range;

use crate::signal::Signal;

/// The bytes are no protobuf message, or are cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed protobuf at byte {0}")]
pub(crate) struct Malformed(usize);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WireType {
    Varint,
    Fixed64,
    Length,
    Fixed32,
}

/// A field of a message: `body` is the value without tag and length, as offsets into the whole request.
struct Field {
    number: u64,
    wire_type: WireType,
    body: Range<usize>,
}

/// Calls `visit` with the bytes' range of each field of the message in `range`.
fn each_field(
    bytes: &[u8],
    range: Range<usize>,
    mut visit: impl FnMut(Field) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let mut at = range.start;
    while at < range.end {
        let tag = varint(bytes, &mut at, range.end)?;
        let start = at;
        let (wire_type, body) = match tag & 7 {
            0 => {
                varint(bytes, &mut at, range.end)?;
                (WireType::Varint, start..at)
            }
            1 => (WireType::Fixed64, start..start + 8),
            2 => {
                let length = varint(bytes, &mut at, range.end)?;
                let length = usize::try_from(length).map_err(|_| Malformed(start))?;
                (WireType::Length, at..at.checked_add(length).ok_or(Malformed(start))?)
            }
            5 => (WireType::Fixed32, start..start + 4),
            _ => return Err(Malformed(start)),
        };
        if body.end > range.end {
            return Err(Malformed(start));
        }
        at = body.end;
        visit(Field { number: tag >> 3, wire_type, body })?;
    }
    Ok(())
}

fn varint(bytes: &[u8], at: &mut usize, end: usize) -> Result<u64, Malformed> {
    let mut value = 0u64;
    for shift in (0..70).step_by(7) {
        if *at >= end {
            return Err(Malformed(*at));
        }
        let byte = bytes[*at];
        *at += 1;
        // Bits beyond the sixty-fourth are dropped, as decoders do.
        value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(Malformed(*at))
}

/// Calls `visit` with the range of each span, log record or data point.
fn each_record(
    bytes: &[u8],
    signal: Signal,
    visit: &mut impl FnMut(Range<usize>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let block = |field: &Field, number| field.number == number && field.wire_type == WireType::Length;
    each_field(bytes, 0..bytes.len(), |resource| {
        if !block(&resource, 1) {
            return Ok(());
        }
        each_field(bytes, resource.body, |scope| {
            if !block(&scope, 2) {
                return Ok(());
            }
            each_field(bytes, scope.body, |record| {
                if !block(&record, 2) {
                    return Ok(());
                }
                if signal != Signal::Metrics {
                    return visit(record.body);
                }
                each_field(bytes, record.body, |data| {
                    // gauge, sum, histogram, exponential histogram, summary
                    if data.wire_type != WireType::Length || !matches!(data.number, 5 | 7 | 9 | 10 | 11) {
                        return Ok(());
                    }
                    each_field(
                        bytes,
                        data.body,
                        |point| {
                            if block(&point, 1) { visit(point.body) } else { Ok(()) }
                        },
                    )
                })
            })
        })
    })
}

/// Counts the spans, log records or data points of a request.
///
/// # Errors
/// If the bytes are malformed as far as the records.
pub(crate) fn count(bytes: &[u8], signal: Signal) -> Result<u64, Malformed> {
    let mut records = 0;
    each_record(bytes, signal, &mut |_| {
        records += 1;
        Ok(())
    })?;
    Ok(records)
}

/// Calls `visit` once for each record, with the offset of the eight bytes that tell it from all others: the
/// span id of a span or log record, the time of a data point. A record without them gives `None`.
///
/// # Errors
/// If the bytes are malformed, inside the records too.
pub(crate) fn each_id(
    bytes: &[u8],
    signal: Signal,
    mut visit: impl FnMut(Option<usize>),
) -> Result<(), Malformed> {
    let (number, wire_type) = match signal {
        Signal::Traces => (2, WireType::Length),
        Signal::Logs => (10, WireType::Length),
        Signal::Metrics => (3, WireType::Fixed64),
    };
    each_record(bytes, signal, &mut |record| {
        let mut id = None;
        each_field(bytes, record, |field| {
            if field.number == number && field.wire_type == wire_type && field.body.len() == 8 {
                id = Some(field.body.start);
            }
            Ok(())
        })?;
        visit(id);
        Ok(())
    })
}

/// Calls `visit` with the offset of the sixteen bytes of each span's trace id.
///
/// # Errors
/// If the bytes are malformed, inside the spans too.
pub(crate) fn each_trace_id(bytes: &[u8], mut visit: impl FnMut(usize)) -> Result<(), Malformed> {
    each_record(bytes, Signal::Traces, &mut |record| {
        each_field(bytes, record, |field| {
            if field.number == 1 && field.wire_type == WireType::Length && field.body.len() == 16 {
                visit(field.body.start);
            }
            Ok(())
        })
    })
}

/// What is looked at of a span that a tail sampler let out.
#[derive(Clone, Debug, Default)]
pub(crate) struct SpanParts {
    /// Where the eight bytes of its id begin.
    pub(crate) id: Option<usize>,
    /// Where its `tracestate` is.
    pub(crate) trace_state: Range<usize>,
    /// Its status is an error.
    pub(crate) has_failed: bool,
}

/// Calls `visit` for each span.
///
/// # Errors
/// If the bytes are malformed, inside the spans too.
pub(crate) fn each_span(bytes: &[u8], mut visit: impl FnMut(SpanParts)) -> Result<(), Malformed> {
    const ERROR: u64 = 2;
    each_record(bytes, Signal::Traces, &mut |record| {
        let mut parts = SpanParts::default();
        each_field(bytes, record, |field| {
            match (field.number, field.wire_type) {
                (2, WireType::Length) if field.body.len() == 8 => parts.id = Some(field.body.start),
                (3, WireType::Length) => parts.trace_state = field.body,
                (15, WireType::Length) => each_field(bytes, field.body, |status| {
                    if (status.number, status.wire_type) == (3, WireType::Varint) {
                        let mut at = status.body.start;
                        parts.has_failed = varint(bytes, &mut at, status.body.end)? == ERROR;
                    }
                    Ok(())
                })?,
                _ => {}
            }
            Ok(())
        })?;
        visit(parts);
        Ok(())
    })
}

/// Calls `visit` with the offset of each eight bytes that grow from one report of a data point to the next, and by how much
/// in ten seconds: its time, the value of a whole number, the count and the first bucket of a histogram.
///
/// # Errors
/// If the bytes are malformed, inside the data points too.
pub(crate) fn each_growing(bytes: &[u8], mut visit: impl FnMut(usize, u64)) -> Result<(), Malformed> {
    each_record(bytes, Signal::Metrics, &mut |point| {
        // In a histogram the fourth field is the count and the sixth its buckets; in a number these are the value.
        let (mut fourth, mut buckets) = (None, None);
        each_field(bytes, point, |field| {
            let start = field.body.start;
            match (field.number, field.wire_type) {
                (3, WireType::Fixed64) => visit(start, REPORT_NANOS),
                (4, WireType::Fixed64) => fourth = Some(start),
                (6, WireType::Fixed64) => visit(start, 10),
                (6, WireType::Length) if field.body.len() >= 8 => buckets = Some(start),
                _ => {}
            }
            Ok(())
        })?;
        if let (Some(count), Some(bucket)) = (fourth, buckets) {
            visit(count, 1);
            visit(bucket, 1);
        }
        Ok(())
    })
}

/// How far the reports of a series are apart.
const REPORT_NANOS: u64 = 10_000_000_000;

/// Reads the record number at `offset`, as [`write_id`] put it there.
pub(crate) fn read_id(bytes: &[u8], offset: usize, signal: Signal) -> u64 {
    let raw: [u8; 8] = bytes[offset..offset + 8].try_into().expect("eight bytes");
    match signal {
        Signal::Metrics => u64::from_le_bytes(raw).wrapping_sub(FIRST_TIME_UNIX_NANO),
        Signal::Traces | Signal::Logs => u64::from_be_bytes(raw),
    }
}

/// Writes a record number, 1 or more, at `offset`: as a span id, or as nanoseconds after a fixed time.
pub(crate) fn write_id(bytes: &mut [u8], offset: usize, signal: Signal, id: u64) {
    let raw = match signal {
        Signal::Metrics => FIRST_TIME_UNIX_NANO.wrapping_add(id).to_le_bytes(),
        Signal::Traces | Signal::Logs => id.to_be_bytes(),
    };
    bytes[offset..offset + 8].copy_from_slice(&raw);
}

/// The time at which all made-up telemetry begins.
pub(crate) const FIRST_TIME_UNIX_NANO: u64 = 1_767_225_600_000_000_000;
