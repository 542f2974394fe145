//! A batch as a record of a log: what is known of its sender, then the request.
//!
//! The head is its length (4 bytes, little-endian) and fields, each a tag (1), a length (4) and a value. Fields with
//! other tags are passed over.

use std::sync::Arc;

use bytes::Bytes;
use phoenix_component::{Batch, ClientInfo};
use phoenix_pdata::{InvalidUtf8, Signal, validate};
use phoenix_storage::{Entry, Weight};
use phoenix_telemetry::traces::SpanContext;

const ADDRESS: u8 = 1;
const KEY: u8 = 2;
/// Of the key before it.
const VALUE: u8 = 3;
/// Trace (16), span (8), sampled (1).
const TRACE: u8 = 4;

/// Four bytes for the length of nothing.
const NO_HEAD: &[u8] = &[0; 4];

/// The batch, to be written.
pub(crate) fn encode(batch: &Batch) -> Entry {
    let mut body = Vec::with_capacity(2);
    body.push(head(batch));
    body.extend(batch.payload.pieces().cloned());
    Entry { weight: Weight::of(batch.items, batch.payload.len() as u64), body }
}

fn head(batch: &Batch) -> Bytes {
    if batch.client.is_none() && batch.trace.is_none() {
        return Bytes::from_static(NO_HEAD);
    }
    let mut head = NO_HEAD.to_vec();
    let mut field = |tag: u8, value: &[u8]| {
        head.push(tag);
        head.extend_from_slice(&(value.len() as u32).to_le_bytes());
        head.extend_from_slice(value);
    };
    if let Some(client) = &batch.client {
        if let Some(address) = client.address {
            field(ADDRESS, address.to_string().as_bytes());
        }
        for (key, value) in &client.metadata {
            field(KEY, key.as_bytes());
            field(VALUE, value.as_bytes());
        }
    }
    if let Some(trace) = batch.trace {
        let mut value = [0; 25];
        value[..16].copy_from_slice(&trace.trace_id);
        value[16..24].copy_from_slice(&trace.span_id);
        value[24] = u8::from(trace.sampled);
        field(TRACE, &value);
    }
    let len = (head.len() - NO_HEAD.len()) as u32;
    head[..4].copy_from_slice(&len.to_le_bytes());
    head.into()
}

/// The batch that was written; none where these bytes are not one.
pub(crate) fn decode(signal: Signal, body: &Bytes) -> Option<Batch> {
    let (len, _) = body.split_first_chunk()?;
    let begin = 4_usize.checked_add(u32::from_le_bytes(*len) as usize)?;
    let mut head = body.get(4..begin)?;
    let (mut client, mut trace) = (ClientInfo::default(), None);
    while let Some((tag, value, rest)) = field(head) {
        head = rest;
        match tag {
            ADDRESS => client.address = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()),
            KEY => client.metadata.push((String::from_utf8_lossy(value).into_owned(), String::new())),
            VALUE => client.metadata.last_mut()?.1 = String::from_utf8_lossy(value).into_owned(),
            TRACE => trace = span_context(value),
            _ => {}
        }
    }
    if !head.is_empty() {
        return None;
    }
    // Whoever can write into the directory could have put anything there.
    let (payload, counts) = validate(signal, body.slice(begin..), InvalidUtf8::Pass).ok()?;
    let is_known = client != ClientInfo::default();
    let client = is_known.then(|| Arc::new(client));
    Some(Batch { client, trace, waiting: 0, ..Batch::new(signal, payload, counts.items) })
}

fn field(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (len, rest) = rest.split_first_chunk()?;
    let (value, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
    Some((*tag, value, rest))
}

fn span_context(value: &[u8]) -> Option<SpanContext> {
    let (trace_id, rest) = value.split_first_chunk()?;
    let (span_id, rest) = rest.split_first_chunk()?;
    Some(SpanContext {
        trace_id: *trace_id,
        span_id: *span_id,
        sampled: rest.first() == Some(&1),
        remote: true,
    })
}

#[cfg(test)]
mod tests {
    use phoenix_pdata::Payload;

    use super::*;

    fn body(entry: &Entry) -> Bytes {
        entry.body.concat().into()
    }

    /// Two empty entries of `resource_spans`, in two pieces.
    fn batch() -> Batch {
        let mut payload = Payload::from(Bytes::from_static(&[0x0a, 0]));
        payload.append(Bytes::from_static(&[0x0a, 0]).into());
        Batch::new(Signal::Traces, payload, 0)
    }

    #[test]
    fn a_batch_comes_back_with_its_sender() {
        let client = ClientInfo {
            address: Some(([10, 0, 0, 1], 4317).into()),
            metadata: vec![("x-tenant".into(), "a".into()), ("x-tenant".into(), "".into())],
            auth: None,
        };
        let trace = SpanContext { trace_id: [7; 16], span_id: [9; 8], sampled: true, remote: false };
        let full = Batch { client: Some(Arc::new(client)), trace: Some(trace), ..batch() };
        for batch in [batch(), full] {
            let entry = encode(&batch);
            assert_eq!((entry.weight, entry.body.len()), (Weight::of(0, 4), 3), "no piece is copied");
            let back = decode(Signal::Traces, &body(&entry)).expect("a batch");
            assert_eq!((back.client, back.payload.len()), (batch.client, 4));
            let expected = batch.trace.map(|trace| SpanContext { remote: true, ..trace });
            assert_eq!((back.trace, back.waiting, back.deadline), (expected, 0, None));
        }
    }

    #[test]
    fn what_is_no_batch_is_told_and_does_not_panic() {
        let client = ClientInfo { metadata: vec![("key".into(), "value".into())], ..ClientInfo::default() };
        let good = body(&encode(&Batch { client: Some(Arc::new(client)), ..batch() }));
        for len in 0..good.len() - 4 {
            assert!(decode(Signal::Traces, &good.slice(..len)).is_none(), "{len} bytes");
        }
        for at in 0..good.len() {
            let mut bad = good.to_vec();
            bad[at] ^= 0xff;
            // Some changes make another batch; none makes a panic.
            let _ = decode(Signal::Traces, &bad.into());
        }
    }
}
