//! Everything this crate does, against the types that prost generates from the same schema.
//!
//! Requests are made directly as bytes, from the schema: fields in any order, repeated where they should
//! not be, packed or not, with fields that nobody knows between. Each choice comes from a string of bytes
//! that proptest picks and shrinks.

mod decoded;
mod generate;
mod json;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1 as common;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;

use crate::validate::diagnose;
use crate::view::AnyValue;
use crate::write::put_bytes;
use crate::*;
use decoded::{Decoded, Item};
use generate::Entropy;

/// More cases than proptest's 256, for they are quick; as many as `PROPTEST_CASES` says, if it does.
fn config() -> ProptestConfig {
    let default = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_some() {
        default
    } else {
        ProptestConfig { cases: 1000, ..default }
    }
}

fn entropy() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..2000)
}

fn signal() -> impl Strategy<Value = Signal> {
    proptest::sample::select(Signal::ALL.to_vec())
}

/// A request that is valid, with what prost makes of it.
fn valid(signal: Signal, entropy: &[u8]) -> (Payload, Counts, Decoded) {
    let request = generate::request(signal, &mut Entropy::new(entropy));
    let expected = Decoded::of(signal, &request).expect("prost decodes it");
    let (payload, counts) = validate(signal, Bytes::from(request), InvalidUtf8::Reject).expect("valid");
    (payload, counts, expected)
}

/// Several requests, joined as `Payload::append` does.
fn joined(signal: Signal, entropies: &[Vec<u8>]) -> (Payload, Vec<Item>) {
    let mut payload = Payload::default();
    let mut items = Vec::new();
    for entropy in entropies {
        let (more, _, decoded) = valid(signal, entropy);
        payload.append(more);
        items.extend(decoded.items());
    }
    (payload, items)
}

fn items(signal: Signal, payload: &Payload) -> Vec<Item> {
    let bytes = payload.clone().into_contiguous();
    validate(signal, bytes.clone(), InvalidUtf8::Reject).expect("valid");
    Decoded::of(signal, &bytes).expect("prost decodes it").items()
}

/// Deals by a string of bytes, over and over.
struct Choices<'a> {
    signal: Signal,
    bytes: &'a [u8],
    at: usize,
}

impl Choices<'_> {
    fn next(&mut self) -> usize {
        self.at += 1;
        usize::from(self.bytes[self.at % self.bytes.len()])
    }

    fn maybe(&mut self) -> Option<usize> {
        let next = self.next();
        next.is_multiple_of(3).then_some(next / 3)
    }
}

impl Deal for Choices<'_> {
    fn resource(&mut self, _: Option<view::Resource<'_>>) -> Option<usize> {
        self.maybe()
    }

    fn scope(&mut self, _: Option<view::Scope<'_>>) -> Option<usize> {
        self.maybe()
    }

    fn record(&mut self, _: &[u8]) -> Option<usize> {
        if self.signal == Signal::Metrics { self.maybe() } else { Some(self.next()) }
    }

    fn point(&mut self, _: u32, _: &[u8]) -> usize {
        self.next()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn views_and_counts_are_what_prost_decodes(signal in signal(), entropy in entropy()) {
        let (payload, counts, expected) = valid(signal, &entropy);
        prop_assert_eq!(Decoded::through_views(signal, &payload).bytes(), expected.bytes());
        prop_assert_eq!(counts, Counts { bytes: payload.len() as u64, ..expected.counts() });
        prop_assert_eq!(count_items(signal, &payload), counts.items);
    }

    #[test]
    fn broken_bytes_are_refused_exactly_if_prost_refuses_them(
        signal in signal(),
        entropy in entropy(),
        cut in any::<prop::sample::Index>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        truncated in any::<bool>(),
    ) {
        let mut request = generate::request(signal, &mut Entropy::new(&entropy));
        if !request.is_empty() {
            flips.iter().for_each(|(at, byte)| *at.get_mut(&mut request) = *byte);
            if truncated {
                request.truncate(cut.index(request.len()));
            }
        }
        let decoded = Decoded::of(signal, &request);
        let validated = validate(signal, Bytes::from(request.clone()), InvalidUtf8::Reject);
        prop_assert_eq!(validated.is_ok(), diagnose::check(signal, &request, true).is_ok());
        match (&validated, decoded) {
            (Ok((payload, _)), Some(decoded)) => {
                prop_assert_eq!(Decoded::through_views(signal, payload).bytes(), decoded.bytes());
            }
            (Ok(_), None) => prop_assert!(false, "prost refuses it"),
            (Err(error), Some(_)) => prop_assert!(
                matches!(error.reason, Reason::TraceId(_) | Reason::SpanId(_) | Reason::TooDeep),
                "prost accepts it: {}", error
            ),
            (Err(_), None) => {}
        }
        let repaired = validate(signal, Bytes::from(request.clone()), InvalidUtf8::Repair);
        let passed = validate(signal, Bytes::from(request.clone()), InvalidUtf8::Pass);
        prop_assert_eq!(repaired.is_ok(), passed.is_ok());
        if let Ok((payload, counts)) = repaired {
            prop_assert_eq!(payload.len() as u64, counts.bytes);
            prop_assert!(payload.len() <= 3 * request.len());
            prop_assert!(Decoded::of(signal, &payload.into_contiguous()).is_some());
        }
    }

    #[test]
    fn anything_at_all_is_accepted_or_refused_but_does_no_harm(
        signal in signal(),
        bytes in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let validated = validate(signal, Bytes::from(bytes.clone()), InvalidUtf8::Reject);
        prop_assert!(validated.is_err() || Decoded::of(signal, &bytes).is_some());
        let payload = Payload::from(Bytes::from(bytes));
        let _ = Decoded::through_views(signal, &payload);
        let _ = split_items(signal, payload.clone(), 2);
        let _ = split_bytes(signal, payload.clone(), 20);
        let _ = deal(signal, payload.clone(), 3, &mut Choices { signal, bytes: &[1, 4, 7, 2, 9], at: 0 });
        let _ = coalesce(signal, payload);
    }

    #[test]
    fn splitting_by_items_keeps_each_item_with_all_around_it(
        signal in signal(),
        entropies in prop::collection::vec(entropy(), 1..4),
        max in 1u64..12,
    ) {
        let (payload, expected) = joined(signal, &entropies);
        let chunks = split_items(signal, payload, max);
        let mut found = Vec::new();
        for (index, chunk) in chunks.iter().enumerate() {
            let inside = items(signal, &chunk.payload);
            prop_assert_eq!(inside.len() as u64, chunk.items);
            prop_assert!(chunk.items == max || (index + 1 == chunks.len() && chunk.items <= max));
            found.extend(inside);
        }
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn dealing_keeps_each_item_with_all_around_it_and_their_order(
        signal in signal(),
        entropies in prop::collection::vec(entropy(), 1..4),
        choices in prop::collection::vec(any::<u8>(), 1..60),
        count in 1usize..5,
    ) {
        let (payload, mut expected) = joined(signal, &entropies);
        let chunks = deal(signal, payload, count, &mut Choices { signal, bytes: &choices, at: 0 });
        prop_assert_eq!(chunks.len(), count);
        let mut found = Vec::new();
        for chunk in &chunks {
            let inside = items(signal, &chunk.payload);
            prop_assert_eq!(inside.len() as u64, chunk.items);
            let mut rest = expected.iter();
            prop_assert!(inside.iter().all(|item| rest.any(|other| other == item)), "in order");
            found.extend(inside);
        }
        found.sort();
        expected.sort();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn taking_items_cuts_there(
        signal in signal(),
        entropies in prop::collection::vec(entropy(), 1..4),
        n in 0u64..20,
    ) {
        let (payload, expected) = joined(signal, &entropies);
        let (head, tail) = take_items(signal, payload, n);
        prop_assert_eq!(head.items, n.min(expected.len() as u64));
        prop_assert_eq!(tail.items, expected.len() as u64 - head.items);
        let mut found = items(signal, &head.payload);
        prop_assert_eq!(found.len() as u64, head.items);
        found.extend(items(signal, &tail.payload));
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn splitting_by_bytes_stays_within_them_unless_a_record_cannot(
        signal in signal(),
        entropies in prop::collection::vec(entropy(), 1..4),
        max in 1usize..2000,
    ) {
        let (payload, expected) = joined(signal, &entropies);
        let mut found = Vec::new();
        for chunk in split_bytes(signal, payload, max) {
            let inside = items(signal, &chunk.payload);
            prop_assert_eq!(inside.len() as u64, chunk.items);
            prop_assert!(chunk.payload.len() <= max || chunk.items <= 1);
            found.extend(inside);
        }
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn coalescing_moves_items_but_keeps_each_with_all_around_it(
        signal in signal(),
        entropies in prop::collection::vec(entropy(), 1..3),
    ) {
        let (mut payload, _) = joined(signal, &entropies);
        let (again, _) = joined(signal, &entropies);
        payload.append(again);
        let mut expected = items(signal, &payload);
        let once = coalesce(signal, payload);
        let mut found = items(signal, &once);
        expected.sort();
        found.sort();
        prop_assert_eq!(found, expected);
        let entries = |payload: &Payload| {
            let (_, counts) =
                validate(signal, payload.clone().into_contiguous(), InvalidUtf8::Pass).expect("valid");
            (counts.resources, counts.scopes)
        };
        let twice = coalesce(signal, once.clone());
        prop_assert_eq!(entries(&twice), entries(&once));
        let alone = coalesce(signal, joined(signal, &entropies).0);
        prop_assert_eq!(entries(&alone), entries(&once));
    }

    #[test]
    fn edits_change_what_they_name_and_nothing_else(entropy in entropy(), choices in entropy()) {
        let (payload, _, expected) = valid(Signal::Traces, &entropy);
        let Decoded::Traces(mut expected) = expected else { unreachable!() };
        let mut choices_of_edit = Entropy::new(&choices);
        let edited = edit(payload, |editor| edit_bytes(editor, &mut choices_of_edit));
        edit_decoded(&mut expected, &mut Entropy::new(&choices));
        let found = items(Signal::Traces, &edited);
        prop_assert_eq!(found, Decoded::Traces(expected.clone()).items());
        let Some(Decoded::Traces(found)) = Decoded::of(Signal::Traces, &edited.into_contiguous()) else {
            unreachable!()
        };
        prop_assert_eq!(Decoded::Traces(found).bytes(), Decoded::Traces(expected).bytes());
    }
}

const KEYS: [&str; 3] = ["a", "key", "fresh"];

fn edit_bytes(editor: &mut Editor<'_>, choices: &mut Entropy<'_>) {
    for entry in view::resource_spans(editor.message()) {
        let key = KEYS[choices.below(3)];
        if let Some(resource) = entry.resource() {
            editor.set_attribute(&resource, key, &AnyValue::Int(-1), Upsert::Upsert);
        }
        for span in entry.scopes().into_iter().flat_map(|scope| scope.records()) {
            let key = KEYS[choices.below(3)];
            match choices.below(8) {
                0 => assert!(editor.remove(span.raw())),
                1 => {
                    editor.set_attribute(&span, key, &"new".into(), Upsert::Upsert);
                    editor.set_field(span.raw(), 5, |out| put_bytes(out, 5, b"renamed"));
                }
                2 => drop(editor.set_attribute(&span, key, &true.into(), Upsert::Insert)),
                3 => drop(editor.set_attribute(&span, key, &1.5.into(), Upsert::Update)),
                4 => drop(editor.remove_attribute(&span, key)),
                5 => drop(editor.clear_field(span.raw(), 11)),
                6 => {
                    for event in span.events() {
                        editor.set_attribute(&event, key, &AnyValue::Bytes(&[1; 200]), Upsert::Upsert);
                        editor.set_field(event.raw(), 2, |out| put_bytes(out, 2, b"event"));
                    }
                }
                _ => {}
            }
        }
    }
}

fn edit_decoded(request: &mut ExportTraceServiceRequest, choices: &mut Entropy<'_>) {
    use common::any_value::Value;
    for entry in &mut request.resource_spans {
        let key = KEYS[choices.below(3)];
        if let Some(resource) = &mut entry.resource {
            set(&mut resource.attributes, key, Value::IntValue(-1), Upsert::Upsert);
        }
        for scope in &mut entry.scope_spans {
            scope.spans.retain_mut(|span| {
                let key = KEYS[choices.below(3)];
                let attributes = &mut span.attributes;
                match choices.below(8) {
                    0 => return false,
                    1 => {
                        set(attributes, key, Value::StringValue("new".into()), Upsert::Upsert);
                        span.name = "renamed".into();
                    }
                    2 => set(attributes, key, Value::BoolValue(true), Upsert::Insert),
                    3 => set(attributes, key, Value::DoubleValue(1.5), Upsert::Update),
                    4 => attributes.retain(|attribute| attribute.key != key),
                    5 => span.events.clear(),
                    6 => {
                        for event in &mut span.events {
                            set(&mut event.attributes, key, Value::BytesValue(vec![1; 200]), Upsert::Upsert);
                            event.name = "event".into();
                        }
                    }
                    _ => {}
                }
                true
            });
        }
    }
}

fn set(attributes: &mut Vec<common::KeyValue>, key: &str, value: common::any_value::Value, how: Upsert) {
    let value = Some(common::AnyValue { value: Some(value) });
    let new = common::KeyValue { key: key.into(), value, ..Default::default() };
    match (attributes.iter().position(|attribute| attribute.key == key), how) {
        (None, Upsert::Update) | (Some(_), Upsert::Insert) => {}
        (None, _) => attributes.push(new),
        (Some(first), _) => {
            let mut index = 0;
            attributes.retain(|attribute| {
                index += 1;
                attribute.key != key || index - 1 == first
            });
            attributes[first] = new;
        }
    }
}

#[test]
fn the_generator_makes_items_and_also_what_has_to_be_merged() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for signal in Signal::ALL {
        let (mut items, mut rewritten) = (0, 0);
        for _ in 0..200 {
            let choices = entropy().new_tree(&mut runner).expect("a tree").current();
            let request = Bytes::from(generate::request(signal, &mut Entropy::new(&choices)));
            let (payload, counts) = validate(signal, request.clone(), InvalidUtf8::Reject).expect("valid");
            items += counts.items;
            rewritten += u64::from(payload.into_contiguous().as_ptr() != request.as_ptr());
        }
        assert!(items > 200 && (40..160).contains(&rewritten), "{signal}: {items}, {rewritten}");
    }
}

/// The scan is written by hand, so each field of each message is tried on every way to it.
#[test]
fn each_field_takes_the_wire_types_and_texts_that_prost_takes() {
    let values: [&[u8]; 5] = [&[1], &[0; 8], &[0], &[4, 0xff, 0, 0, 0], &[0; 4]];
    for signal in Signal::ALL {
        let mut tried = 0;
        let mut ways = vec![(schema::Message::request(signal), Vec::new())];
        while let Some((message, way)) = ways.pop() {
            for number in 0..18 {
                for wire in 0..8u8 {
                    for value in values {
                        let mut bytes = Vec::new();
                        write::put_varint(&mut bytes, u64::from(number << 3 | u32::from(wire)));
                        bytes.extend(value);
                        for outer in way.iter().rev() {
                            let mut around = Vec::new();
                            put_bytes(&mut around, *outer, &bytes);
                            bytes = around;
                        }
                        agree(signal, &bytes, &format!("{} {number} {wire} {value:?}", message.name));
                        tried += 1;
                    }
                }
            }
            for field in message.fields {
                if let schema::Kind::One(inner) | schema::Kind::Many(inner) = field.kind
                    && way.len() < 9
                {
                    ways.push((inner, way.iter().copied().chain([field.number]).collect()));
                }
            }
        }
        assert!(tried > 10_000, "{signal}: {tried}");
    }
}

fn agree(signal: Signal, request: &[u8], case: &str) {
    let ours = validate(signal, Bytes::copy_from_slice(request), InvalidUtf8::Reject);
    let table = diagnose::check(signal, request, true);
    assert_eq!(ours.is_ok(), table.is_ok(), "{case}");
    match (ours, Decoded::of(signal, request)) {
        (Ok(_), decoded) => assert!(decoded.is_some(), "{case}: prost refuses it"),
        (Err(error), Some(_)) => {
            assert!(matches!(error.reason, Reason::TraceId(_) | Reason::SpanId(_)), "{case}: {error}");
        }
        (Err(_), None) => {}
    }
}
