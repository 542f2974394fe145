use super::*;
use crate::view;
use crate::write::{put_bytes, put_message, put_uint};

/// A request with these many records in each resource entry, each entry with an unknown field.
fn logs(entries: &[u64]) -> Bytes {
    let mut out = Vec::new();
    for (index, records) in entries.iter().enumerate() {
        put_message(&mut out, 1, |out| {
            put_message(out, 2, |out| {
                put_message(out, 1, |out| put_bytes(out, 1, b"scope"));
                (0..*records).for_each(|record| put_message(out, 2, |out| put_uint(out, 2, record)));
                put_bytes(out, 3, b"https://schema");
            });
            put_message(out, 1, |out| put_uint(out, 2, index as u64));
            put_uint(out, 99, index as u64);
        });
    }
    Bytes::from(out)
}

fn counts(chunks: &[Chunk]) -> Vec<u64> {
    chunks.iter().map(|chunk| chunk.items).collect()
}

#[test]
fn chunks_are_full_but_for_the_last() {
    // (records by entry, at most, items of the chunks)
    let cases: &[(&[u64], u64, &[u64])] = &[
        (&[], 5, &[]),
        (&[0], 5, &[0]),
        (&[5], 5, &[5]),
        (&[5], 1, &[1, 1, 1, 1, 1]),
        (&[3, 3, 3], 4, &[4, 4, 1]),
        (&[10], 4, &[4, 4, 2]),
        (&[2, 2], 2, &[2, 2]),
        (&[2, 0, 2], 0, &[1, 1, 1, 1]),
    ];
    for (entries, max, expected) in cases {
        let chunks = split_items(Signal::Logs, Payload::from(logs(entries)), *max);
        assert_eq!(counts(&chunks), *expected, "{entries:?} by {max}");
    }
}

#[test]
fn what_fits_is_returned_as_it_came() {
    let request = logs(&[3, 3]);
    let chunks = split_items(Signal::Logs, Payload::from(request.clone()), 6);
    assert_eq!(chunks[0].payload.clone().into_contiguous().as_ptr(), request.as_ptr());
    let chunks = split_bytes(Signal::Logs, Payload::from(request.clone()), request.len());
    assert_eq!(chunks[0].payload.clone().into_contiguous().as_ptr(), request.as_ptr());
    let (head, tail) = take_items(Signal::Logs, Payload::from(request.clone()), 6);
    assert_eq!((head.items, tail.items), (6, 0));
    let (head, tail) = take_items(Signal::Logs, Payload::from(request), 0);
    assert_eq!((head.items, tail.items), (0, 6));
}

#[test]
fn whole_entries_are_shared() {
    let request = logs(&[400, 400]);
    let (head, tail) = take_items(Signal::Logs, Payload::from(request.clone()), 400);
    let (head, tail) = (head.payload.into_contiguous(), tail.payload.into_contiguous());
    assert_eq!(head.as_ptr(), request.as_ptr());
    assert_eq!(tail.as_ptr().addr(), request.as_ptr().addr() + head.len());
}

#[test]
fn a_cut_repeats_resource_scope_schema_and_unknown_fields() {
    for chunk in split_items(Signal::Logs, Payload::from(logs(&[3])), 1) {
        let entry = chunk.payload.resource_logs().next().expect("an entry");
        assert_eq!(entry.resource().map(|resource| resource.dropped_attributes_count()), Some(0));
        assert!(Fields::new(entry.raw()).any(|field| field.number() == 99));
        let scope = entry.scopes().iter().next().expect("a scope");
        assert_eq!(scope.scope().map(|scope| scope.name() == "scope"), Some(true));
        assert_eq!(scope.schema_url(), "https://schema");
        assert_eq!(scope.records().count(), 1);
    }
}

#[test]
fn a_metric_is_cut_between_its_data_points() {
    let mut out = Vec::new();
    put_message(&mut out, 1, |out| {
        put_message(out, 2, |out| {
            put_message(out, 2, |out| {
                put_message(out, 7, |out| {
                    (0..5).for_each(|point| put_message(out, 1, |out| put_uint(out, 8, point)));
                    put_uint(out, 2, 2);
                    put_uint(out, 3, 1);
                });
                put_bytes(out, 1, b"requests");
            });
        });
    });
    let chunks = split_items(Signal::Metrics, Payload::from(Bytes::from(out)), 2);
    assert_eq!(counts(&chunks), [2, 2, 1]);
    let mut flags = Vec::new();
    for chunk in &chunks {
        let entry = chunk.payload.resource_metrics().next().expect("an entry");
        let metric = entry.scopes().iter().flat_map(|scope| scope.records()).next().expect("a metric");
        assert_eq!(metric.name(), "requests");
        let Some(view::Data::Sum(sum)) = metric.data() else { panic!("no sum") };
        assert!(sum.is_monotonic());
        assert_eq!(sum.aggregation_temporality(), view::Temporality::Cumulative);
        flags.extend(sum.data_points().iter().map(|point| point.flags()));
    }
    assert_eq!(flags, [0, 1, 2, 3, 4]);
}

#[test]
fn many_cuts_of_a_large_scope_copy_each_record_once() {
    let request = logs(&[20_000]);
    let chunks = split_items(Signal::Logs, Payload::from(request.clone()), 10);
    assert_eq!(chunks.len(), 2000);
    let bytes: usize = chunks.iter().map(|chunk| chunk.payload.len()).sum();
    assert!(bytes < request.len() + 2000 * 60);
}
