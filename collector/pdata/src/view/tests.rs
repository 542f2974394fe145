use super::*;
use crate::write::{put_bytes, put_double, put_fixed64, put_message, put_sint32, put_uint, put_varint};

fn built(build: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    build(&mut out);
    out
}

fn attribute(out: &mut Vec<u8>, number: u32, key: &str, value: &str) {
    put_message(out, number, |out| {
        put_bytes(out, 1, key.as_bytes());
        put_message(out, 2, |out| put_bytes(out, 1, value.as_bytes()));
    });
}

#[test]
fn fields_come_in_any_order_and_the_last_scalar_counts() {
    let body = built(|out| {
        attribute(out, 9, "a", "1");
        put_bytes(out, 5, b"first");
        put_bytes(out, 77, b"unknown");
        attribute(out, 9, "b", "2");
        put_uint(out, 6, 2);
        put_bytes(out, 5, b"last");
        attribute(out, 9, "b", "3");
        put_bytes(out, 1, &[7; 16]);
    });
    let span = Span::new(&body);
    assert_eq!(span.name(), "last");
    assert_eq!((span.kind(), span.trace_id()), (2, &[7; 16][..]));
    assert_eq!(span.attributes().count(), 3);
    let keys: Vec<_> = span.attributes().iter().map(|attribute| attribute.key().to_string()).collect();
    assert_eq!(keys, ["a", "b", "b"]);
    assert!(matches!(span.attributes().get("b"), Some(AnyValue::String(text)) if text == "2"));
    assert!(span.attributes().get("c").is_none());
    assert!(span.status().is_none());
    assert!(span.events().is_empty());
}

#[test]
fn numbers_are_read_packed_and_one_by_one() {
    let packed = built(|out| {
        put_varint(out, 300);
        put_varint(out, 2);
    });
    let buckets = built(|out| {
        put_uint(out, 2, 1);
        put_sint32(out, 1, -5);
        put_bytes(out, 2, &packed);
        put_bytes(out, 2, &[]);
        put_uint(out, 2, 3);
    });
    let buckets = Buckets::new(&buckets);
    assert_eq!(buckets.offset(), -5);
    assert_eq!(buckets.bucket_counts().iter().collect::<Vec<_>>(), [1, 300, 2, 3]);

    let point = built(|out| {
        put_double(out, 7, 0.5);
        put_bytes(out, 7, &[1.5f64.to_le_bytes(), 2.5f64.to_le_bytes()].concat());
        put_fixed64(out, 6, 9);
        put_double(out, 11, 0.0);
    });
    let point = HistogramPoint::new(&point);
    assert_eq!(point.explicit_bounds().iter().collect::<Vec<_>>(), [0.5, 1.5, 2.5]);
    assert_eq!(point.bucket_counts().iter().collect::<Vec<_>>(), [9]);
    assert_eq!((point.sum(), point.min(), point.max()), (None, Some(0.0), None));
}

#[test]
fn text_that_is_not_utf8_is_shown_with_replacement_characters() {
    let text = Text::new(b"ok\xff\xfe.");
    assert_eq!(text.to_str(), None);
    assert_eq!(text.to_string(), "ok\u{fffd}\u{fffd}.");
    assert_eq!(text.to_string(), text.to_string_lossy());
}

#[test]
fn views_of_bytes_that_are_no_message_end() {
    for body in [&[0xff; 40][..], &[0x0a, 0x7f, 1], &[0x4a, 0], &[0x13, 0x13], &[0]] {
        let _ = format!("{:?}", Span::new(body));
        let _ = format!("{:?}", Metric::new(body));
        let _ = format!("{:?}", LogRecord::new(body));
        let _ = format!("{:?}", ResourceMetrics::new(body));
        let _ = format!("{:?}", ExponentialPoint::new(body));
    }
}

#[test]
fn attributes_are_found_however_they_are_written() {
    let text = |text: &str| built(|out| put_bytes(out, 1, text.as_bytes()));
    let long = "v".repeat(300);
    let body = built(|out| {
        // The last key counts, so this one is called "b".
        put_message(out, 9, |out| {
            put_bytes(out, 1, b"a");
            put_bytes(out, 2, &text("1"));
            put_bytes(out, 1, b"b");
        });
        put_message(out, 9, |out| {
            put_bytes(out, 2, &text("2"));
            put_bytes(out, 1, b"a");
        });
        put_message(out, 9, |out| put_bytes(out, 2, &text("no key")));
        attribute(out, 9, "long", &long);
        attribute(out, 9, &long, "3");
        put_message(out, 9, |out| put_bytes(out, 1, b"no value"));
        attribute(out, 9, "a", "4");
    });
    let attributes = Span::new(&body).attributes();
    let show = |key: &str| attributes.get(key).map(|value| format!("{value:?}"));
    assert_eq!(show("a").as_deref(), Some(r#"String("2")"#));
    assert_eq!(show("b").as_deref(), Some(r#"String("1")"#));
    assert_eq!(show("").as_deref(), Some(r#"String("no key")"#));
    assert_eq!(show(&long).as_deref(), Some(r#"String("3")"#));
    assert_eq!(show("no value").as_deref(), Some("Empty"));
    assert!(show("long").is_some_and(|value| value.len() > 300));
    assert_eq!(show("c"), None);
    assert_eq!(attributes.with_key("a").count(), 2);
}
