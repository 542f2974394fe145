use super::*;
use crate::write::{put_bytes, put_message};
use bytes::Bytes;

/// Resources, each with a name and the trace identifiers of its spans.
fn spans(resources: &[(&str, &[u8])]) -> Payload {
    let mut out = Vec::new();
    for (name, ids) in resources {
        put_message(&mut out, 1, |out| {
            put_message(out, 1, |out| {
                put_message(out, 1, |out| put_bytes(out, 1, name.as_bytes()));
            });
            put_message(out, 2, |out| {
                for id in *ids {
                    put_message(out, 2, |out| {
                        put_bytes(out, 1, &[*id; 16]);
                        put_bytes(out, 5, &[b'n'; 600]);
                    });
                }
            });
        });
    }
    Payload::from(Bytes::from(out))
}

/// By the first byte of the trace identifier.
struct ByTrace;

impl Deal for ByTrace {
    fn resource(&mut self, _: Option<Resource<'_>>) -> Option<usize> {
        None
    }

    fn record(&mut self, span: &[u8]) -> Option<usize> {
        Some(usize::from(crate::view::Span::new(span).trace_id()[0]))
    }
}

fn ids(chunk: &Chunk) -> Vec<u8> {
    let records = chunk.payload.resource_spans().flat_map(|entry| entry.scopes()).flat_map(|s| s.records());
    records.map(|span| span.trace_id()[0]).collect()
}

#[test]
fn each_destination_gets_its_records_in_one_request() {
    let dealt = deal(Signal::Traces, spans(&[("a", &[0, 1, 2, 0]), ("b", &[1, 0])]), 3, &mut ByTrace);
    assert_eq!(dealt.iter().map(ids).collect::<Vec<_>>(), [vec![0, 0, 0], vec![1, 1], vec![2]]);
    assert_eq!(dealt.iter().map(|chunk| chunk.items).collect::<Vec<_>>(), [3, 2, 1]);
    assert!(dealt.iter().all(|chunk| chunk.payload.pieces().count() == 1), "joined to one buffer each");
    let resources = |chunk: &Chunk| chunk.payload.resource_spans().count();
    assert_eq!(dealt.iter().map(resources).collect::<Vec<_>>(), [2, 2, 1]);
}

#[test]
fn what_goes_to_one_place_is_shared() {
    let payload = spans(&[("a", &[1, 1]), ("b", &[1])]);
    let start = payload.pieces().next().map(|piece| piece.as_ptr());
    let dealt = deal(Signal::Traces, payload, 2, &mut ByTrace);
    assert_eq!(dealt[1].payload.pieces().next().map(|piece| piece.as_ptr()), start, "the whole request");
    assert_eq!((dealt[0].items, dealt[1].items), (0, 3));

    let payload = spans(&[("a", &[0, 0]), ("b", &[1, 1])]);
    let start = payload.pieces().next().map(|piece| piece.as_ptr());
    let dealt = deal(Signal::Traces, payload, 2, &mut ByTrace);
    assert_eq!(dealt[0].payload.pieces().next().map(|piece| piece.as_ptr()), start, "whole entries");
    assert_eq!(ids(&dealt[1]), [1, 1]);
}

#[test]
fn a_number_beyond_the_destinations_is_the_last_one() {
    let dealt = deal(Signal::Traces, spans(&[("a", &[0, 200])]), 2, &mut ByTrace);
    assert_eq!(dealt.iter().map(ids).collect::<Vec<_>>(), [[0], [200]]);
    assert!(deal(Signal::Traces, Payload::default(), 2, &mut ByTrace).iter().all(|chunk| chunk.items == 0));
}
