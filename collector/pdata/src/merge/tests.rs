use super::*;
use crate::view::{LogRecord, ScopeEntry};
use crate::write::{put_bytes, put_message, put_uint};

/// An entry: the resource, an unknown field, and for each scope its name and records.
fn entry(resource: u64, unknown: u64, scopes: &[(&str, &[u64])]) -> Payload {
    let mut out = Vec::new();
    put_message(&mut out, 1, |out| {
        put_message(out, 1, |out| put_uint(out, 2, resource));
        for (name, records) in scopes {
            put_message(out, 2, |out| {
                put_message(out, 1, |out| put_bytes(out, 1, name.as_bytes()));
                records.iter().for_each(|record| put_message(out, 2, |out| put_uint(out, 2, *record)));
            });
        }
        put_uint(out, 50, unknown);
    });
    Payload::from(Bytes::from(out))
}

fn joined(entries: Vec<Payload>) -> Payload {
    entries.into_iter().fold(Payload::default(), |mut payload, entry| {
        payload.append(entry);
        payload
    })
}

/// Resource, scope and records of each scope entry.
fn shown(payload: &Payload) -> Vec<(u32, String, Vec<i32>)> {
    let scope = |scope: ScopeEntry<'_, LogRecord<'_>>, resource| {
        let name = scope.scope().map(|scope| scope.name().to_string()).unwrap_or_default();
        (resource, name, scope.records().iter().map(|record| record.severity_number()).collect())
    };
    let entries = payload.resource_logs().flat_map(|entry| {
        let resource =
            entry.resource().map(|resource| resource.dropped_attributes_count()).unwrap_or_default();
        entry.scopes().iter().map(move |view| scope(view, resource))
    });
    entries.collect()
}

#[test]
fn equal_resources_and_scopes_are_joined_in_order() {
    let payload = joined(vec![
        entry(1, 0, &[("a", &[1, 2]), ("b", &[3])]),
        entry(2, 0, &[("a", &[4])]),
        entry(1, 0, &[("b", &[5]), ("a", &[6]), ("c", &[])]),
    ]);
    let payload = coalesce(Signal::Logs, payload);
    let expected = [
        (1, "a".to_string(), vec![1, 2, 6]),
        (1, "b".into(), vec![3, 5]),
        (1, "c".into(), vec![]),
        (2, "a".into(), vec![4]),
    ];
    assert_eq!(shown(&payload), expected);
    assert_eq!(payload.resource_logs().count(), 2);
}

#[test]
fn scopes_of_one_entry_are_joined() {
    let payload = coalesce(Signal::Logs, entry(1, 0, &[("a", &[1]), ("a", &[2])]));
    assert_eq!(shown(&payload), [(1, "a".to_string(), vec![1, 2])]);
}

#[test]
fn unknown_fields_keep_entries_apart_unless_they_are_equal() {
    let with = |unknown| joined(vec![entry(1, 7, &[("a", &[1])]), entry(1, unknown, &[("a", &[2])])]);
    assert_eq!(coalesce(Signal::Logs, with(8)).resource_logs().count(), 2);
    let same = coalesce(Signal::Logs, with(7));
    assert_eq!(same.resource_logs().count(), 1);
    assert!(
        Fields::new(same.resource_logs().next().expect("an entry").raw()).any(|field| field.number() == 50)
    );
}

#[test]
fn nothing_is_copied_if_there_is_nothing_to_join() {
    let payload = joined(vec![entry(1, 0, &[("a", &[1])]), entry(2, 0, &[("a", &[2])])]);
    let before: Vec<_> = payload.pieces().map(|piece| piece.as_ptr()).collect();
    let after = coalesce(Signal::Logs, payload);
    assert_eq!(after.pieces().map(|piece| piece.as_ptr()).collect::<Vec<_>>(), before);
}
