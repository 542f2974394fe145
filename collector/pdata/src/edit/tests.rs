use super::*;
use crate::view::{self, AnyValue, Span};
use crate::wire::Wire;
use crate::write::{put_attribute, put_bytes, put_key, put_message, put_uint};

/// A request with one span of this body.
fn traces(span: impl FnOnce(&mut Vec<u8>)) -> Payload {
    let mut out = Vec::new();
    put_message(&mut out, 1, |out| put_message(out, 2, |out| put_message(out, 2, span)));
    Payload::from(Bytes::from(out))
}

fn with_span<T>(payload: &Payload, read: impl FnOnce(Span<'_>) -> T) -> Option<T> {
    let scopes = payload.resource_spans().flat_map(|entry| entry.scopes());
    scopes.flat_map(|scope| scope.records()).next().map(read)
}

fn edit_span(payload: Payload, mut change: impl FnMut(&mut Editor<'_>, Span<'_>)) -> Payload {
    edit(payload, |editor| {
        let message = editor.message();
        for entry in view::resource_spans(message) {
            for span in entry.scopes().into_iter().flat_map(|scope| scope.records()) {
                change(editor, span);
            }
        }
    })
}

#[test]
fn without_changes_the_bytes_are_shared() {
    let payload = traces(|out| put_bytes(out, 5, b"name"));
    let before = payload.clone().into_contiguous();
    assert_eq!(edit(payload, |_| {}).into_contiguous().as_ptr(), before.as_ptr());
}

#[test]
fn lengths_around_a_change_grow_and_shrink_by_as_many_bytes_as_they_need() {
    for len in [0usize, 1, 100, 127, 128, 129, 16_383, 16_384, 70_000] {
        let name = "n".repeat(len);
        let payload = traces(|out| {
            put_bytes(out, 5, b"a name");
            put_uint(out, 99, 7);
        });
        let edited = edit_span(payload, |editor, span| {
            assert!(editor.replace(span.name().as_bytes(), name.as_bytes()));
        });
        assert_eq!(with_span(&edited, |span| span.name() == name.as_str()), Some(true), "{len}");
        let restored = edit_span(edited, |editor, span| {
            editor.set_field(span.raw(), 5, |out| put_bytes(out, 5, b"a name"));
        });
        let expected = traces(|out| {
            put_bytes(out, 5, b"a name");
            put_uint(out, 99, 7);
        });
        assert_eq!(restored.into_contiguous(), expected.into_contiguous(), "{len}");
    }
}

#[test]
fn an_empty_message_takes_fields() {
    let edited = edit_span(traces(|_| {}), |editor, span| {
        assert!(editor.append(span.raw(), |out| put_uint(out, 6, 2)));
        assert!(editor.append(span.raw(), |out| put_bytes(out, 5, b"name")));
    });
    assert_eq!(with_span(&edited, |span| (span.kind(), span.name().to_string())), Some((2, "name".into())));
}

#[test]
fn within_what_is_removed_nothing_counts() {
    let payload = traces(|out| {
        put_message(out, 11, |out| put_bytes(out, 2, b"event"));
        put_bytes(out, 5, b"name");
    });
    let edited = edit_span(payload, |editor, span| {
        let event = span.events().iter().next().expect("an event");
        editor.replace(event.name().as_bytes(), b"renamed");
        editor.append(event.raw(), |out| put_uint(out, 4, 1));
        editor.remove(event.raw());
    });
    assert_eq!(with_span(&edited, |span| span.raw().to_vec()), Some(vec![0x2a, 4, b'n', b'a', b'm', b'e']));
}

#[test]
fn of_two_changes_of_one_thing_the_later_counts() {
    let edited = edit_span(traces(|out| put_bytes(out, 5, b"name")), |editor, span| {
        editor.remove(span.name().as_bytes());
        editor.replace(span.name().as_bytes(), b"second");
    });
    assert_eq!(with_span(&edited, |span| span.name() == "second"), Some(true));
}

#[test]
fn bytes_from_elsewhere_change_nothing() {
    let payload = traces(|out| put_bytes(out, 5, b"name"));
    let edited = edit_span(payload.clone(), |editor, span| {
        let copy = span.name().as_bytes().to_vec();
        assert!(!editor.remove(&copy));
        assert!(!editor.remove(span.trace_state().as_bytes()), "a field that is not there");
        assert!(editor.is_unchanged());
    });
    assert_eq!(edited.into_contiguous(), payload.into_contiguous());
}

#[test]
fn attributes_are_set_in_place_and_duplicates_go() {
    let payload = traces(|out| {
        put_attribute(out, 9, "a", &1i64.into());
        put_bytes(out, 5, b"name");
        put_attribute(out, 9, "b", &"text".into());
        put_attribute(out, 9, "a", &2i64.into());
    });
    let edited = edit_span(payload, |editor, span| {
        assert!(editor.set_attribute(&span, "a", &AnyValue::Int(3), Upsert::Upsert));
        assert!(!editor.set_attribute(&span, "b", &AnyValue::Int(3), Upsert::Insert));
        assert!(!editor.set_attribute(&span, "c", &AnyValue::Int(3), Upsert::Update));
        assert!(editor.set_attribute(&span, "d", &true.into(), Upsert::Insert));
    });
    let shown = with_span(&edited, |span| {
        format!("{:?}", span.attributes().iter().map(|a| (a.key(), a.value())).collect::<Vec<_>>())
    });
    assert_eq!(shown.as_deref(), Some(r#"[("a", Int(3)), ("b", String("text")), ("d", Bool(true))]"#));
}

#[test]
fn a_request_that_ends_up_empty_disappears() {
    let edited = edit(traces(|_| {}), |editor| {
        for entry in view::resource_spans(editor.message()) {
            editor.remove(entry.raw());
        }
    });
    assert!(edited.is_empty());
}

#[test]
fn bytes_that_are_no_message_do_no_harm() {
    let mut broken = Vec::new();
    put_key(&mut broken, 1, Wire::Len);
    broken.extend([3, 0x12, 0x7f, 1, 0xff]);
    let mut editor = Editor::new(&broken);
    for start in 0..broken.len() {
        for end in start..broken.len() {
            editor.remove(&broken[start..end]);
            editor.append(&broken[start..end], |out| put_uint(out, 1, 1));
        }
    }
    editor.finish();
}

#[test]
fn pruning_removes_what_holds_no_items_and_nothing_else() {
    let mut out = Vec::new();
    let scope = |out: &mut Vec<u8>, metrics: &[&[u64]]| {
        put_message(out, 2, |out| {
            put_message(out, 1, |out| put_bytes(out, 1, b"scope"));
            for points in metrics {
                put_message(out, 2, |out| {
                    put_bytes(out, 1, b"metric");
                    put_message(out, 5, |out| {
                        points.iter().for_each(|point| put_message(out, 1, |out| put_uint(out, 8, *point)));
                    });
                });
            }
        });
    };
    put_message(&mut out, 1, |out| {
        scope(out, &[]);
        scope(out, &[&[], &[1, 2]]);
        put_uint(out, 50, 1);
    });
    put_message(&mut out, 1, |out| scope(out, &[&[]]));
    let mut expected = Vec::new();
    put_message(&mut expected, 1, |out| {
        scope(out, &[&[1, 2]]);
        put_uint(out, 50, 1);
    });
    let pruned = prune(Signal::Metrics, Payload::from(Bytes::from(out))).into_contiguous();
    assert_eq!(pruned, expected);
    let again = prune(Signal::Metrics, Payload::from(pruned.clone())).into_contiguous();
    assert_eq!(again.as_ptr(), pruned.as_ptr());
}

#[test]
fn a_change_of_an_empty_message_goes_with_one_of_what_follows_it() {
    let payload = traces(|out| {
        put_message(out, 11, |_| {});
        put_bytes(out, 5, b"name");
        put_message(out, 15, |_| {});
    });
    let edited = edit_span(payload, |editor, span| {
        let event = span.events().iter().next().expect("an event");
        editor.set_field(span.raw(), 5, |out| put_bytes(out, 5, b"renamed"));
        editor.append(event.raw(), |out| put_bytes(out, 2, b"event"));
        editor.append(span.raw(), |out| put_uint(out, 6, 1));
        let status = span.status().expect("a status");
        editor.append(status.raw(), |out| put_uint(out, 3, 2));
    });
    let expected = traces(|out| {
        put_message(out, 11, |out| put_bytes(out, 2, b"event"));
        put_bytes(out, 5, b"renamed");
        put_message(out, 15, |out| put_uint(out, 3, 2));
        put_uint(out, 6, 1);
    });
    assert_eq!(edited.into_contiguous(), expected.into_contiguous());
}
