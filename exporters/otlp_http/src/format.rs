//! Requests in the encoding that was set, and answers in the one that they name.

use bytes::Bytes;
use phoenix_component::Budget;
use phoenix_delivery::PartialSuccess;
use phoenix_pdata::{Payload, Signal, json};
use phoenix_transport::http::Format;
use serde::{Deserialize, Deserializer};

/// Larger requests become JSON off the I/O runtimes: that takes about two milliseconds for each MiB.
const OFFLOAD_BYTES: usize = 256 << 10;

/// The answer is not what its content type says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable;

/// The body of a request. As JSON it is charged to the reserve: it goes as soon as it is sent.
pub(crate) async fn body(
    format: Format,
    signal: Signal,
    payload: Payload,
    budget: &Budget,
) -> phoenix_transport::Payload {
    if format == Format::Protobuf {
        return payload.into_iter().collect();
    }
    let budget = budget.clone();
    if payload.len() < OFFLOAD_BYTES {
        return to_json(signal, &payload, &budget).into();
    }
    let shared = (payload.clone(), budget.clone());
    match tokio::task::spawn_blocking(move || to_json(signal, &shared.0, &shared.1)).await {
        Ok(body) => body.into(),
        // The runtime ends, and this task will as well.
        Err(_) => to_json(signal, &payload, &budget).into(),
    }
}

/// What was taken in part, if an export response says so.
pub(crate) fn partial_success(format: Format, response: &[u8]) -> Result<Option<PartialSuccess>, Unreadable> {
    match format {
        Format::Protobuf => PartialSuccess::parse(response).map_err(|_| Unreadable),
        Format::Json => {
            // An array would be taken for the fields in their order.
            if !response.trim_ascii_start().starts_with(b"{") {
                return Err(Unreadable);
            }
            let response: ExportResponse = serde_json::from_slice(response).map_err(|_| Unreadable)?;
            let mut partial = PartialSuccess::from(response.partial_success.unwrap_or_default());
            partial.message.truncate(partial.message.floor_char_boundary(MAX_MESSAGE_BYTES));
            Ok((partial != PartialSuccess::default()).then_some(partial))
        }
    }
}

fn to_json(signal: Signal, payload: &Payload, budget: &Budget) -> Bytes {
    let mut out = Vec::with_capacity(payload.len() / 2 * 5);
    json::encode(signal, payload, &mut out);
    out.shrink_to_fit();
    budget.charge_reserve(out.capacity()).attach(out)
}

/// Bytes of a backend's message that are kept.
const MAX_MESSAGE_BYTES: usize = 4096;

/// The responses of the three signals, which differ in the name of what was rejected.
#[derive(Deserialize)]
struct ExportResponse {
    #[serde(default, rename = "partialSuccess", alias = "partial_success")]
    partial_success: Option<Partial>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Partial {
    #[serde(alias = "rejected_spans", rename = "rejectedSpans", deserialize_with = "integer")]
    spans: i64,
    #[serde(alias = "rejected_data_points", rename = "rejectedDataPoints", deserialize_with = "integer")]
    data_points: i64,
    #[serde(alias = "rejected_log_records", rename = "rejectedLogRecords", deserialize_with = "integer")]
    log_records: i64,
    #[serde(alias = "error_message", rename = "errorMessage")]
    message: Option<String>,
}

impl From<Partial> for PartialSuccess {
    fn from(partial: Partial) -> PartialSuccess {
        let rejected = [partial.spans, partial.data_points, partial.log_records];
        PartialSuccess {
            rejected: rejected.into_iter().find(|count| *count != 0).unwrap_or(0),
            message: partial.message.unwrap_or_default(),
        }
    }
}

/// An integer of 64 bits, which is text or a number in JSON.
fn integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Integer {
        Number(i64),
        Text(String),
        Null(()),
    }
    match Integer::deserialize(deserializer)? {
        Integer::Number(value) => Ok(value),
        Integer::Text(text) => text.parse().map_err(serde::de::Error::custom),
        Integer::Null(()) => Ok(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_in_json_are_read_and_nonsense_is_told_apart() {
        let partial =
            |rejected, message: &str| Ok(Some(PartialSuccess { rejected, message: message.into() }));
        // (response, what it says)
        let cases = [
            ("{}", Ok(None)),
            (r#"{"partialSuccess":{}}"#, Ok(None)),
            (r#"{"partialSuccess":null,"other":1}"#, Ok(None)),
            (r#"{"partialSuccess":{"rejectedSpans":"3","errorMessage":"no"}}"#, partial(3, "no")),
            (r#"{"partialSuccess":{"rejectedLogRecords":2}}"#, partial(2, "")),
            (r#"{"partial_success":{"rejected_data_points":"1","error_message":"x"}}"#, partial(1, "x")),
            (r#"{"partialSuccess":{"rejectedSpans":null,"errorMessage":"warning"}}"#, partial(0, "warning")),
            (r#"{"partialSuccess":{"rejectedSpans":"x"}}"#, Err(Unreadable)),
            ("[null]", Err(Unreadable)),
            ("<html>", Err(Unreadable)),
            ("", Err(Unreadable)),
        ];
        for (response, expected) in cases {
            assert_eq!(partial_success(Format::Json, response.as_bytes()), expected, "{response}");
        }
    }
}
