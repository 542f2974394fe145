//! OTLP/JSON, written from what the generator makes and read again, here and by `serde`.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;

use super::*;
use crate::json::{JsonReason, decode, encode};

fn encoded(signal: Signal, payload: &Payload) -> Vec<u8> {
    let mut out = Vec::new();
    encode(signal, payload, &mut out);
    out
}

fn text(json: &[u8]) -> String {
    String::from_utf8_lossy(json).into_owned()
}

/// What `serde` makes of spans and logs, by the annotations of the types that prost generates. Of metrics it
/// drops data that it finds something unusual in.
fn by_serde(signal: Signal, json: &[u8]) -> serde_json::Result<Decoded> {
    Ok(match signal {
        Signal::Logs => Decoded::Logs(serde_json::from_slice::<ExportLogsServiceRequest>(json)?),
        _ => Decoded::Traces(serde_json::from_slice::<ExportTraceServiceRequest>(json)?),
    })
}

/// The same JSON with white space, names in snake_case and escapes, as far as entropy goes.
fn disguised(value: &serde_json::Value, entropy: &mut Entropy<'_>, out: &mut String) {
    let space =
        |entropy: &mut Entropy<'_>, out: &mut String| out.push_str(["", " ", "\n\t ", ""][entropy.below(4)]);
    let text = |text: &str, entropy: &mut Entropy<'_>, out: &mut String| {
        if entropy.below(4) == 1 {
            out.push('"');
            text.encode_utf16().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
            out.push('"');
        } else {
            out.push_str(&serde_json::Value::from(text).to_string());
        }
    };
    space(entropy, out);
    match value {
        serde_json::Value::Object(fields) => {
            out.push('{');
            for (index, (name, value)) in fields.iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                space(entropy, out);
                match entropy.below(4) {
                    1 => out.push_str("\"unknown\": [1, {\"a\": \"}\\\"\"}, null, true, -1.5e3, \"]\"], "),
                    2 => out.push_str(&format!("\"not_there{index}\": {{}}, ")),
                    _ => {}
                }
                let name = match entropy.below(3) {
                    1 => name.chars().fold(String::new(), |name, c| match c.is_ascii_uppercase() {
                        true => format!("{name}_{}", c.to_ascii_lowercase()),
                        false => format!("{name}{c}"),
                    }),
                    _ => name.clone(),
                };
                text(&name, entropy, out);
                space(entropy, out);
                out.push(':');
                disguised(value, entropy, out);
            }
            out.push('}');
        }
        serde_json::Value::Array(values) => {
            out.push('[');
            for (index, value) in values.iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                disguised(value, entropy, out);
            }
            out.push(']');
        }
        serde_json::Value::String(value) => text(value, entropy, out),
        other => out.push_str(&other.to_string()),
    }
    space(entropy, out);
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_is_written_is_read_again(signal in signal(), entropy in entropy()) {
        let (payload, counts, _) = valid(signal, &entropy);
        let json = encoded(signal, &payload);
        let (again, again_counts) = decode(signal, &json, InvalidUtf8::Reject).expect("its own JSON");
        prop_assert_eq!(text(&encoded(signal, &again)), text(&json));
        prop_assert_eq!(Counts { bytes: 0, ..again_counts }, Counts { bytes: 0, ..counts });
        // It holds what `validate` promises, and counts as that does.
        let bytes = again.into_contiguous();
        let (validated, validated_counts) = validate(signal, bytes.clone(), InvalidUtf8::Reject).expect("valid");
        prop_assert_eq!(validated_counts, again_counts);
        prop_assert_eq!(validated.into_contiguous(), bytes);
    }

    #[test]
    fn broken_text_is_refused_or_holds_what_validate_promises(
        signal in signal(),
        entropy in entropy(),
        cut in any::<prop::sample::Index>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 0..5),
        truncated in any::<bool>(),
    ) {
        let (payload, _, _) = valid(signal, &entropy);
        let mut json = encoded(signal, &payload);
        for (at, byte, how) in flips {
            let at = at.index(json.len());
            match how {
                0 => json[at] = byte,
                1 => json.insert(at, b"{}[],:\"\\0e-. \n"[usize::from(byte) % 14]),
                _ => drop(json.remove(at)),
            }
            prop_assume!(!json.is_empty());
        }
        if truncated {
            json.truncate(cut.index(json.len()));
        }
        match decode(signal, &json, InvalidUtf8::Repair) {
            Err(error) => prop_assert!(error.offset <= json.len() && !error.to_string().is_empty()),
            Ok((payload, counts)) => {
                prop_assert!(payload.len() <= 12 * json.len());
                let (_, validated) =
                    validate(signal, payload.into_contiguous(), InvalidUtf8::Reject).expect("valid");
                prop_assert_eq!(validated, counts);
            }
        }
    }

    #[test]
    fn however_it_is_written_it_is_read(signal in signal(), entropy in entropy(), disguise in entropy_of_text()) {
        let (payload, _, _) = valid(signal, &entropy);
        // The numbers are those that serde made of them: it does not always find the nearest.
        let value: serde_json::Value = serde_json::from_slice(&encoded(signal, &payload)).expect("JSON");
        let mut other = String::new();
        disguised(&value, &mut Entropy::new(&disguise), &mut other);
        let read = |json: &str| encoded(signal, &decode(signal, json.as_bytes(), InvalidUtf8::Reject).expect(json).0);
        prop_assert_eq!(text(&read(&other)), text(&read(&value.to_string())));
    }

    #[test]
    fn serde_reads_the_same(signal in proptest::sample::select(&[Signal::Traces, Signal::Logs]), entropy in entropy()) {
        let (payload, _, _) = valid(signal, &entropy);
        let json = encoded(signal, &payload);
        let (again, _) = decode(signal, &json, InvalidUtf8::Reject).expect("its own JSON");
        // Not all that OTLP/JSON allows is known there, and some of it is dropped without a word.
        let unknown = ["\"NaN\"", "\"bytesValue\"", "Strindex\""];
        if unknown.iter().any(|unknown| text(&json).contains(unknown)) {
            return Ok(());
        }
        if let Ok(expected) = by_serde(signal, &json) {
            let decoded = Decoded::of(signal, &again.into_contiguous()).expect("valid");
            prop_assert_eq!(decoded.bytes(), expected.bytes());
        }
    }

    #[test]
    fn broken_json_is_refused_where_it_breaks_or_read_and_valid(
        signal in signal(),
        entropy in entropy(),
        cut in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        truncated in any::<bool>(),
    ) {
        let (payload, _, _) = valid(signal, &entropy);
        let whole = encoded(signal, &payload);
        let mut json = whole.clone();
        changes.iter().for_each(|(at, byte)| *at.get_mut(&mut json) = *byte);
        if truncated {
            json.truncate(cut.index(whole.len()));
        }
        for policy in InvalidUtf8::ALL {
            match decode(signal, &json, policy) {
                Ok((payload, counts)) => {
                    let bytes = payload.into_contiguous();
                    let policy = if policy == InvalidUtf8::Pass { policy } else { InvalidUtf8::Reject };
                    let (_, validated) = validate(signal, bytes, policy).expect("valid");
                    prop_assert_eq!(validated, counts);
                    if policy != InvalidUtf8::Pass {
                        prop_assert!(String::from_utf8_lossy(&json).parse::<serde_json::Value>().is_ok());
                    }
                }
                Err(error) => {
                    prop_assert!(error.offset <= 3 * json.len(), "{}", error);
                    if changes.is_empty() {
                        prop_assert!(truncated);
                        prop_assert!(
                            matches!(error.reason, JsonReason::Truncated | JsonReason::Number | JsonReason::Utf8),
                            "{}", error
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn any_bytes_do_no_harm(
        signal in signal(),
        json in prop::collection::vec(prop_oneof![
            Just(&b"{"[..]), Just(&b"}"[..]), Just(&b"["[..]), Just(&b"]"[..]), Just(&b","[..]), Just(&b":"[..]),
            Just(&b"\""[..]), Just(&b"\\u"[..]), Just(&b"\xff"[..]), Just(&b"-"[..]), Just(&b"1e9"[..]),
            Just(&b"0"[..]), Just(&b"null"[..]), Just(&b"tru"[..]), Just(&b" "[..]), Just(&b"\"resourceSpans\":"[..]),
            Just(&b"\"scopeSpans\":"[..]), Just(&b"\"attributes\":"[..]), Just(&b"{\"key\":\"a\",\"value\":{"[..]),
            Just(&b"\"stringValue\":\""[..]), Just(&b"\"intValue\":"[..]), Just(&b"\"spans\":[{\"traceId\":"[..]),
        ], 0..60),
    ) {
        for policy in InvalidUtf8::ALL {
            let _ = decode(signal, &json.concat(), policy);
        }
    }
}

fn entropy_of_text() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..4000)
}
