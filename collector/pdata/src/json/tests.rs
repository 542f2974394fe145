use super::*;
use crate::{MAX_DEPTH, validate};

macro_rules! files {
    ($($signal:ident $name:literal)*) => {
        [$((
            Signal::$signal,
            include_str!(concat!("../../tests/data/otelcol/input-", $name, ".json")),
            include_str!(concat!("../../tests/data/otelcol/file-", $name, ".json")),
        )),*]
    };
}

const FILES: [(Signal, &str, &str); 3] = files! { Traces "traces" Metrics "metrics" Logs "logs" };

fn encoded(signal: Signal, payload: &Payload) -> String {
    let mut out = Vec::new();
    encode(signal, payload, &mut out);
    String::from_utf8(out).expect("UTF-8")
}

/// A request for one span with these fields, and the path to them.
fn with_span(fields: &str) -> String {
    format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{{fields}}}]}}]}}]}}"#)
}

const SPAN: &str = "resourceSpans[0].scopeSpans[0].spans[0]";

/// What remains of the fields of a span.
fn span(fields: &str) -> String {
    let json = with_span(fields);
    let (payload, counts) = decode(Signal::Traces, json.as_bytes(), InvalidUtf8::Pass).expect(fields);
    let bytes = payload.clone().into_contiguous();
    assert_eq!(validate(Signal::Traces, bytes, InvalidUtf8::Reject).expect(fields).1, counts);
    let json = encoded(Signal::Traces, &payload);
    let span = json.strip_prefix(r#"{"resourceSpans":[{"resource":{},"scopeSpans":[{"scope":{},"spans":[{"#);
    span.and_then(|span| span.strip_suffix("}]}]}]}")).expect("a span").to_owned()
}

#[test]
fn what_otelcol_read_becomes_what_otelcol_wrote_byte_for_byte() {
    for (signal, input, file) in FILES {
        let (payload, counts) = decode(signal, input.as_bytes(), InvalidUtf8::Reject).expect("valid");
        let (_, validated) =
            validate(signal, payload.clone().into_contiguous(), InvalidUtf8::Reject).expect("valid protobuf");
        assert_eq!(counts, validated, "{signal}");
        assert_eq!(encoded(signal, &payload), file.trim_end(), "{signal}");
    }
}

#[test]
fn pieces_of_a_request_are_written_as_one() {
    for (signal, input, file) in FILES {
        let (mut payload, _) = decode(signal, input.as_bytes(), InvalidUtf8::Reject).expect("valid");
        payload.append(payload.clone());
        let entries = &file[file.find('[').expect("entries") + 1..file.rfind(']').expect("entries")];
        let expected = format!("{}{entries},{entries}]}}", &file[..file.find('[').expect("entries") + 1]);
        assert_eq!(encoded(signal, &payload), expected);
        assert_eq!(encoded(signal, &Payload::default()), "{}");
    }
}

#[test]
fn values_are_read_in_every_form_that_they_may_have() {
    // (fields of a span, what remains of them)
    let cases = [
        (
            r#""traceId":"0102030405060708090A0b0c0D0e0f10""#,
            r#""traceId":"0102030405060708090a0b0c0d0e0f10","status":{}"#,
        ),
        (r#""traceId":"","spanId":"0000000000000000""#, r#""status":{}"#),
        (
            r#""trace_id":"0102030405060708090a0b0c0d0e0f10""#,
            r#""traceId":"0102030405060708090a0b0c0d0e0f10","status":{}"#,
        ),
        (r#""na\u006de":"a\nb""#, r#""name":"a\nb","status":{}"#),
        (r#""kind":"SPAN_KIND_SERVER""#, r#""kind":2,"status":{}"#),
        (r#""kind":3,"status":{"code":"STATUS_CODE_ERROR"}"#, r#""kind":3,"status":{"code":2}"#),
        (r#""kind":-7"#, r#""kind":-7,"status":{}"#),
        (r#""kind":0,"name":"","events":[],"flags":0"#, r#""status":{}"#),
        (
            r#""startTimeUnixNano":1700000000000000000,"end_time_unix_nano":"18446744073709551615""#,
            r#""startTimeUnixNano":"1700000000000000000","endTimeUnixNano":"18446744073709551615","status":{}"#,
        ),
        (r#""startTimeUnixNano":1.7e18"#, r#""startTimeUnixNano":"1700000000000000000","status":{}"#),
        (
            r#""droppedAttributesCount":"3","flags":257"#,
            r#""flags":257,"droppedAttributesCount":3,"status":{}"#,
        ),
        (r#""name":null,"status":null,"attributes":null,"kind":null"#, r#""status":{}"#),
        (r#""unknown":{"a":[1,{"b":null}],"c":"\u0041"},"another":-1.5e3"#, r#""status":{}"#),
        (r#""unknown":1,"unknown":2"#, r#""status":{}"#),
        (r#""name" : "x" , "links" : [ { } ]"#, r#""name":"x","links":[{}],"status":{}"#),
        (r#""name":"half \ud83d of a pair""#, "\"name\":\"half \u{fffd} of a pair\",\"status\":{}"),
    ];
    for (fields, expected) in cases {
        assert_eq!(span(fields), expected, "{fields}");
    }
}

#[test]
fn attributes_are_read_in_every_form_that_they_may_have() {
    // (an attribute, what remains of it)
    let cases = [
        (r#"{"key":"a","value":{"stringValue":"b"}}"#, r#"{"key":"a","value":{"stringValue":"b"}}"#),
        (r#"{"key":"a","value":{"stringValue":""}}"#, r#"{"key":"a","value":{"stringValue":""}}"#),
        (
            r#"{"value":{"stringValue":"b\t"},"key":"\"a\""}"#,
            r#"{"key":"\"a\"","value":{"stringValue":"b\t"}}"#,
        ),
        (r#"{ "key": "a", "value": { "string_value": "b" } }"#, r#"{"key":"a","value":{"stringValue":"b"}}"#),
        (r#"{"key":"a","value":{"intValue":"-42"}}"#, r#"{"key":"a","value":{"intValue":"-42"}}"#),
        (r#"{"key":"a","value":{"intValue":42}}"#, r#"{"key":"a","value":{"intValue":"42"}}"#),
        (r#"{"key":"a","value":{"intValue":"0"}}"#, r#"{"key":"a","value":{"intValue":"0"}}"#),
        (
            r#"{"key":"a","value":{"intValue":"9223372036854775807"}}"#,
            r#"{"key":"a","value":{"intValue":"9223372036854775807"}}"#,
        ),
        (
            r#"{"key":"a","value":{"intValue":-9223372036854775808}}"#,
            r#"{"key":"a","value":{"intValue":"-9223372036854775808"}}"#,
        ),
        (r#"{"key":"a","value":{"intValue":1e3}}"#, r#"{"key":"a","value":{"intValue":"1000"}}"#),
        (r#"{"key":"a","value":{"boolValue":false}}"#, r#"{"key":"a","value":{"boolValue":false}}"#),
        (r#"{"key":"a","value":{"doubleValue":1}}"#, r#"{"key":"a","value":{"doubleValue":1}}"#),
        (r#"{"key":"a","value":{"doubleValue":"-0.5"}}"#, r#"{"key":"a","value":{"doubleValue":-0.5}}"#),
        (r#"{"key":"a","value":{"doubleValue":"NaN"}}"#, r#"{"key":"a","value":{"doubleValue":"NaN"}}"#),
        (
            r#"{"key":"a","value":{"doubleValue":"-Infinity"}}"#,
            r#"{"key":"a","value":{"doubleValue":"-Infinity"}}"#,
        ),
        (r#"{"key":"a","value":{"bytesValue":"AQID"}}"#, r#"{"key":"a","value":{"bytesValue":"AQID"}}"#),
        (r#"{"key":"a","value":{"bytesValue":"_-8"}}"#, r#"{"key":"a","value":{"bytesValue":"/+8="}}"#),
        (r#"{"key":"a","value":{"bytesValue":""}}"#, r#"{"key":"a","value":{"bytesValue":""}}"#),
        (
            r#"{"key":"a","value":{"arrayValue":{"values":[null,{},{"intValue":1}]}}}"#,
            r#"{"key":"a","value":{"arrayValue":{"values":[{},{},{"intValue":"1"}]}}}"#,
        ),
        (
            r#"{"key":"a","value":{"kvlistValue":{"values":[{"key":"b"}]}}}"#,
            r#"{"key":"a","value":{"kvlistValue":{"values":[{"key":"b","value":{}}]}}}"#,
        ),
        (
            r#"{"key":"a","value":{"stringValue":null,"intValue":"1"}}"#,
            r#"{"key":"a","value":{"intValue":"1"}}"#,
        ),
        (r#"{"key":"a","value":null}"#, r#"{"key":"a","value":{}}"#),
        (r#"{"key":"a","value":{"other":1}}"#, r#"{"key":"a","value":{}}"#),
        (r#"{"key":""}"#, r#"{"value":{}}"#),
        (r#"{"key":"","value":{"stringValue":"b"}}"#, r#"{"value":{"stringValue":"b"}}"#),
    ];
    for (attribute, expected) in cases {
        let fields = format!(r#""attributes":[{attribute}]"#);
        assert_eq!(span(&fields), format!(r#""attributes":[{expected}],"status":{{}}"#), "{attribute}");
    }
    let long = "x".repeat(70_000);
    let attribute = format!(
        r#"{{"key":"{long}","value":{{"kvlistValue":{{"values":[{{"key":"a\n","value":{{"stringValue":"{long}"}}}}]}}}}}}"#
    );
    let fields = format!(r#""attributes":[{attribute},{attribute}]"#);
    assert_eq!(span(&fields), format!(r#"{fields},"status":{{}}"#));
}

#[test]
fn a_refusal_says_what_is_wrong_and_where() {
    // (fields of a span, the field that is wrong, what is wrong with it)
    let cases = [
        (r#""name":5"#, ".name", "expected a string, found a number"),
        (r#""name":{"a":1}"#, ".name", "expected a string, found an object"),
        (r#""attributes":{"a":"b"}"#, ".attributes", "expected an array, found an object"),
        (
            r#""attributes":[{"key":"a","value":"b"}]"#,
            ".attributes[0].value",
            "expected an object, found a string",
        ),
        (r#""attributes":[{},5]"#, ".attributes[1]", "expected an object, found a number"),
        (r#""events":[null]"#, ".events[0]", "expected an object, found null"),
        (r#""status":[]"#, ".status", "expected an object, found an array"),
        (r#""name":"a","name":"b""#, ".name", "field is there twice"),
        (r#""start_time_unix_nano":1,"startTimeUnixNano":1"#, ".startTimeUnixNano", "field is there twice"),
        (
            r#""attributes":[{"key":"a","value":{"intValue":1,"stringValue":"b"}}]"#,
            ".attributes[0].value.stringValue",
            "only one such field may be set, and another is set already",
        ),
        (
            r#""startTimeUnixNano":18446744073709551616"#,
            ".startTimeUnixNano",
            "number beyond the range of an integer of 64 bits",
        ),
        (
            r#""startTimeUnixNano":"99999999999999999999""#,
            ".startTimeUnixNano",
            "number beyond the range of an integer of 64 bits",
        ),
        (r#""startTimeUnixNano":-1"#, ".startTimeUnixNano", "number beyond the range of uint64"),
        (r#""startTimeUnixNano":"2026-11-24T00:00:00Z""#, ".startTimeUnixNano", "text is not a number"),
        (
            r#""startTimeUnixNano":true"#,
            ".startTimeUnixNano",
            "expected an integer, as a number or a string, found a boolean",
        ),
        (
            r#""droppedAttributesCount":4294967296"#,
            ".droppedAttributesCount",
            "number beyond the range of uint32",
        ),
        (r#""droppedAttributesCount":2.5"#, ".droppedAttributesCount", "not an integer"),
        (r#""kind":01"#, ".kind", "not a number as JSON writes it"),
        (r#""kind":2147483648"#, ".kind", "number beyond the range of an enumeration"),
        (
            r#""kind":"SERVER""#,
            ".kind",
            "unknown string value: no name of this enumeration, which start with SPAN_KIND_",
        ),
        (
            r#""attributes":[{"key":"a","value":{"intValue":"9223372036854775808"}}]"#,
            ".attributes[0].value.intValue",
            "number beyond the range of int64",
        ),
        (
            r#""attributes":[{"key":"a","value":{"boolValue":"true"}}]"#,
            ".attributes[0].value.boolValue",
            "expected a boolean, found a string",
        ),
        (
            r#""attributes":[{"key":"a","value":{"doubleValue":NaN}}]"#,
            ".attributes[0].value.doubleValue",
            "expected a number, found `N`",
        ),
        (
            r#""attributes":[{"key":"a","value":{"doubleValue":1e999}}]"#,
            ".attributes[0].value.doubleValue",
            "number beyond the range of double",
        ),
        (
            r#""attributes":[{"key":"a","value":{"bytesValue":"A*"}}]"#,
            ".attributes[0].value.bytesValue",
            "not base64",
        ),
        (
            r#""traceId":"AQIDBAUGBwgJCgsMDQ4PEA==""#,
            ".traceId",
            "length mismatch: expected 32 hexadecimal digits, found 24 characters; identifiers are hexadecimal in OTLP/JSON, not base64",
        ),
        (
            r#""spanId":"AQIDBAUGBwg=""#,
            ".spanId",
            "length mismatch: expected 16 hexadecimal digits, found 12 characters; identifiers are hexadecimal in OTLP/JSON, not base64",
        ),
        (
            r#""spanId":"0102""#,
            ".spanId",
            "length mismatch: expected 16 hexadecimal digits, found 4 characters",
        ),
        (r#""spanId":"010203040506070g""#, ".spanId", "not hexadecimal digits"),
        (r#""name":"a\x""#, ".name", "invalid escape sequence"),
        ("\"name\":\"a\nb\"", ".name", "control character within text; it has to be escaped"),
        (r#""name":nul"#, ".name", "expected `true`, `false` or `null`, found null"),
        (r#""name":"a" "kind":1"#, "", "expected a comma or the end of the object, found a string"),
        (r#""name":"a","#, "", "expected the name of a field, found `}`"),
        (r#""name" "a""#, "", "expected a colon, found a string"),
        (r#""links":[{},]"#, ".links[1]", "expected an object, found `]`"),
        (r#""unknown":[1,2"#, "", "expected a comma or the end of the array, found `}`"),
        (r#""unknown":tru"#, "", "expected `true`, `false` or `null`, found a boolean"),
        (r#""unknown":+1"#, "", "expected a value, found `+`"),
    ];
    for (fields, path, reason) in cases {
        let json = with_span(fields);
        let error = decode(Signal::Traces, json.as_bytes(), InvalidUtf8::Reject).expect_err(fields);
        assert_eq!(
            (error.path.as_str(), error.reason.to_string().as_str()),
            (format!("{SPAN}{path}").as_str(), reason),
            "{fields}"
        );
        assert_eq!(error.to_string(), format!("{SPAN}{path} at byte {}: {reason}", error.offset));
    }
    let error =
        decode(Signal::Traces, with_span(r#""kind": "x""#).as_bytes(), InvalidUtf8::Pass).expect_err("kind");
    assert_eq!(error.offset, r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"kind": "#.len());
}

#[test]
fn what_is_no_request_at_all_is_refused() {
    let cases = [
        ("", "byte 0: the text ends before the request does"),
        ("  ", "byte 2: the text ends before the request does"),
        ("null", "byte 0: expected an object, found null"),
        ("[]", "byte 0: expected an object, found an array"),
        ("{", "byte 1: the text ends before the request does"),
        ("{}{}", "byte 2: something follows the request"),
        ("{\"resourceSpans\":[", "resourceSpans[0] at byte 18: the text ends before the request does"),
        (
            "{\"resourceSpans\":[{\"schemaUrl\":\"abc",
            "resourceSpans[0].schemaUrl at byte 35: the text ends before the request does",
        ),
        ("\u{a}\u{8}", "byte 1: expected an object, found byte 0x08"),
    ];
    for (json, expected) in cases {
        let error = decode(Signal::Traces, json.as_bytes(), InvalidUtf8::Pass).expect_err(json);
        assert_eq!(error.to_string(), expected, "{json}");
    }
    // Of another signal it has nothing but fields that nobody knows.
    let (payload, counts) = decode(Signal::Logs, with_span("").as_bytes(), InvalidUtf8::Pass).expect("JSON");
    assert_eq!((payload.len(), counts), (0, Counts::default()));
}

#[test]
fn text_that_is_not_unicode_is_treated_as_the_policy_says() {
    let json = [b"{\"resourceSpans\":[{\"schemaUrl\":\"a", &b"\xff"[..], b"b\\ud800\"}]}"].concat();
    let url = |policy| {
        decode(Signal::Traces, &json, policy).map(|(payload, _)| {
            let entry = payload.resource_spans().next().expect("an entry");
            entry.schema_url().as_bytes().to_vec()
        })
    };
    assert_eq!(url(InvalidUtf8::Pass).as_deref(), Ok(&b"a\xffb\xef\xbf\xbd"[..]));
    assert_eq!(url(InvalidUtf8::Repair).as_deref(), Ok("a\u{fffd}b\u{fffd}".as_bytes()));
    let error = url(InvalidUtf8::Reject).expect_err("invalid");
    assert_eq!((error.offset, error.reason), (33, JsonReason::Utf8));
    let json = br#"{"resourceSpans":[{"schemaUrl":"b\ud800"}]}"#;
    let error = decode(Signal::Traces, json, InvalidUtf8::Reject).expect_err("invalid");
    assert_eq!((error.offset, error.reason), (33, JsonReason::Surrogate));
}

#[test]
fn nesting_is_bounded_for_values_that_are_known_and_for_others() {
    let nested = |levels: usize| {
        let (start, end) = (r#"{"arrayValue":{"values":["#.repeat(levels), "]}}".repeat(levels));
        with_span(&format!(r#""attributes":[{{"key":"a","value":{start}{end}}}]"#))
    };
    let unknown = |levels: usize| with_span(&format!(r#""x":{}{}"#, "[".repeat(levels), "]".repeat(levels)));
    for make in [&nested as &dyn Fn(usize) -> String, &unknown] {
        let decoded = |levels| decode(Signal::Traces, make(levels).as_bytes(), InvalidUtf8::Reject);
        let deepest = (1..200).take_while(|levels| decoded(*levels).is_ok()).last().expect("some");
        assert!(deepest >= 40, "{deepest}");
        assert_eq!(decoded(deepest + 1).expect_err("too deep").reason, JsonReason::TooDeep);
        assert_eq!(decoded(100_000).expect_err("too deep").reason, JsonReason::TooDeep);
    }
    // As deep as `validate` allows, and no deeper.
    for levels in 1..MAX_DEPTH as usize {
        let mut value = Vec::new();
        for _ in 0..levels {
            let array = [
                &[0x0a][..],
                &crate::write::varint(value.len() as u64).0[..crate::write::varint_len(value.len() as u64)],
                &value,
            ]
            .concat();
            let array = if value.is_empty() { Vec::new() } else { array };
            value.clear();
            crate::write::put_bytes(&mut value, 5, &array);
        }
        let mut request = Vec::new();
        crate::write::put_message(&mut request, 1, |out| {
            crate::write::put_message(out, 2, |out| {
                crate::write::put_message(out, 2, |out| {
                    crate::write::put_message(out, 9, |out| {
                        crate::write::put_bytes(out, 1, b"a");
                        crate::write::put_bytes(out, 2, &value);
                    });
                });
            });
        });
        let validated = validate(Signal::Traces, Bytes::from(request), InvalidUtf8::Reject);
        let decoded = decode(Signal::Traces, nested(levels).as_bytes(), InvalidUtf8::Reject);
        assert_eq!(validated.is_ok(), decoded.is_ok(), "{levels} levels");
    }
    // Nobody validated this.
    let mut deep = vec![0x2a, 0];
    for _ in 0..2000 {
        let mut outer = Vec::new();
        crate::write::put_message(&mut outer, 5, |out| crate::write::put_bytes(out, 1, &deep));
        deep = outer;
    }
    let mut request = Vec::new();
    crate::write::put_message(&mut request, 1, |out| {
        crate::write::put_message(out, 2, |out| {
            crate::write::put_message(out, 2, |out| crate::write::put_bytes(out, 5, &deep));
        });
    });
    assert!(encoded(Signal::Logs, &Payload::from(Bytes::from(request))).ends_with("}]}]}]}"));
}

#[test]
fn mistakes_in_repaired_text_are_where_they_were_sent() {
    let sent = b"{\"resourceSpans\": [{\"schemaUrl\": \"\xff\xff\xff\", \"scopeSpans\": 7}]}";
    let error = decode(Signal::Traces, sent, InvalidUtf8::Repair).unwrap_err();
    assert_eq!(sent[error.offset], b'7', "{error}");
    let cut = decode(Signal::Traces, b"{\"resourceSpans\": [{\"schemaUrl\": \"\xff\xff", InvalidUtf8::Repair);
    assert!(cut.unwrap_err().offset <= 36);
}
