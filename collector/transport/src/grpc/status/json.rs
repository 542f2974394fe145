//! `google.rpc.Status` as JSON, as far as it travels here: code, message, and a `RetryInfo`.

use std::time::Duration;

use bytes::Bytes;
use phoenix_component::Code;
use serde::{Deserialize, Serialize};

use super::{MAX_MESSAGE_BYTES, RETRY_INFO, parse_rpc_status, retry_delay, rpc_status};

/// Zeros, empty text and empty lists are left out, as protobuf's mapping to JSON has it.
#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
struct RpcStatus {
    #[serde(skip_serializing_if = "is_zero")]
    code: i32,
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<Detail>,
}

/// One of the details. Others than `RetryInfo` have fields that are not known here.
#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
struct Detail {
    #[serde(rename = "@type")]
    name: String,
    #[serde(rename = "retryDelay", alias = "retry_delay", skip_serializing_if = "String::is_empty")]
    retry_delay: String,
}

fn is_zero(code: &i32) -> bool {
    *code == 0
}

/// Writes a serialized `google.rpc.Status` as JSON. Of its details a `RetryInfo` is kept: what others hold
/// cannot be named without their schema.
pub fn rpc_status_to_json(status: &[u8]) -> Bytes {
    let (code, message) = parse_rpc_status(status);
    let details =
        retry_delay(status).map(|delay| Detail { name: RETRY_INFO.to_owned(), retry_delay: duration(delay) });
    let status = RpcStatus { code: i32::from(code.0), message, details: details.into_iter().collect() };
    // Strings and integers always have a form in JSON.
    serde_json::to_vec(&status).unwrap_or_default().into()
}

/// Reads a `google.rpc.Status` in JSON and serializes it, with a `RetryInfo` if it has one; of the message
/// 4 KiB are kept. None where it is no such JSON.
pub fn rpc_status_from_json(json: &[u8]) -> Option<Bytes> {
    // An array would be taken for the fields in their order.
    let object = json.trim_ascii_start().starts_with(b"{");
    let mut status: RpcStatus = serde_json::from_slice(json).ok().filter(|_| object)?;
    status.message.truncate(status.message.floor_char_boundary(MAX_MESSAGE_BYTES));
    let delay = status.details.iter().find(|detail| detail.name == RETRY_INFO);
    let delay = delay.and_then(|detail| parse_duration(&detail.retry_delay));
    let code = u8::try_from(status.code).map_or(Code::UNKNOWN, Code);
    Some(rpc_status(code, &status.message, delay))
}

/// As protobuf writes a `Duration`: seconds with none, three, six or nine digits behind the point.
fn duration(delay: Duration) -> String {
    let (seconds, nanos) = (delay.as_secs(), delay.subsec_nanos());
    match nanos {
        0 => format!("{seconds}s"),
        _ if nanos % 1_000_000 == 0 => format!("{seconds}.{:03}s", nanos / 1_000_000),
        _ if nanos % 1000 == 0 => format!("{seconds}.{:06}s", nanos / 1000),
        _ => format!("{seconds}.{nanos:09}s"),
    }
}

fn parse_duration(text: &str) -> Option<Duration> {
    let (seconds, fraction) = {
        let number = text.strip_suffix('s')?;
        number.split_once('.').unwrap_or((number, ""))
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if fraction.len() > 9 || !digits(seconds) || !digits(fraction) {
        return None;
    }
    let nanos = format!("{fraction:0<9}").parse().ok()?;
    // The most that protobuf allows, ten thousand years.
    seconds
        .parse()
        .ok()
        .filter(|seconds| *seconds <= 315_576_000_000)
        .map(|seconds| Duration::new(seconds, nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_becomes_json_and_comes_back() {
        // (code, message, delay, JSON)
        let retry = r#""details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"#;
        let cases = [
            (
                Code::INVALID_ARGUMENT,
                "a \"bad\"\nbody",
                None,
                r#"{"code":3,"message":"a \"bad\"\nbody"}"#.to_owned(),
            ),
            (Code(0), "", None, "{}".to_owned()),
            (
                Code::UNAVAILABLE,
                "x",
                Some(Duration::from_secs(7)),
                format!(r#"{{"code":14,"message":"x",{retry}"7s"}}]}}"#),
            ),
            (
                Code::UNAVAILABLE,
                "",
                Some(Duration::from_millis(1500)),
                format!(r#"{{"code":14,{retry}"1.500s"}}]}}"#),
            ),
            (
                Code::UNAVAILABLE,
                "",
                Some(Duration::new(0, 1)),
                format!(r#"{{"code":14,{retry}"0.000000001s"}}]}}"#),
            ),
        ];
        for (code, message, delay, json) in cases {
            let status = rpc_status(code, message, delay);
            assert_eq!(rpc_status_to_json(&status), json);
            assert_eq!(rpc_status_from_json(json.as_bytes()), Some(status), "{json}");
        }
    }

    #[test]
    fn other_details_do_not_matter_and_nonsense_is_no_status() {
        let json = br#"{"message":"m","x":1,"details":[{"@type":"other","reason":{}},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"soon"}]}"#;
        assert_eq!(rpc_status_from_json(json), Some(rpc_status(Code(0), "m", None)));
        assert_eq!(rpc_status_from_json(br#"{"code":-1}"#), Some(rpc_status(Code::UNKNOWN, "", None)));
        let long = format!(r#"{{"message":"{}"}}"#, "\u{e9}".repeat(10_000));
        assert!(rpc_status_from_json(long.as_bytes()).is_some_and(|status| status.len() < 4200));
        for nonsense in [&b""[..], b"<html>", b"[1]", b"{\"code\":\"x\"}"] {
            assert_eq!(rpc_status_from_json(nonsense), None);
        }
    }
}
