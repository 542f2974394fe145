//! Requests from the JSON of the corpus.

use phoenix_pdata::Signal;
use phoenix_pdata::write::{
    put_bytes, put_double, put_fixed32, put_fixed64, put_message, put_sint32, put_uint, put_varint,
};
use serde_json::Value as Json;

use crate::functions::encode::from_hex;

/// The request that holds the one record of an input.
pub(super) fn request(signal: Signal, input: &Json) -> Vec<u8> {
    let mut out = Vec::new();
    put_message(&mut out, 1, |out| {
        let resource = &input["resource"];
        put_message(out, 1, |out| {
            attributes(out, 1, &resource["attributes"]);
            uint(out, 2, &resource["dropped_attributes_count"]);
        });
        put_message(out, 2, |out| {
            let scope = &input["scope"];
            put_message(out, 1, |out| {
                text(out, 1, &scope["name"]);
                text(out, 2, &scope["version"]);
                attributes(out, 3, &scope["attributes"]);
                uint(out, 4, &scope["dropped_attributes_count"]);
            });
            put_message(out, 2, |out| match signal {
                Signal::Traces => span(out, &input["span"]),
                Signal::Metrics => metric(out, &input["metric"]),
                Signal::Logs => log(out, &input["log"]),
            });
            text(out, 3, &scope["schema_url"]);
        });
        text(out, 3, &resource["schema_url"]);
    });
    out
}

fn uint(out: &mut Vec<u8>, number: u32, value: &Json) {
    if let Some(value) = value.as_i64() {
        put_uint(out, number, value as u64);
    }
}

fn fixed(out: &mut Vec<u8>, number: u32, value: &Json) {
    if let Some(value) = value.as_i64() {
        put_fixed64(out, number, value as u64);
    }
}

fn double(value: &Json) -> Option<f64> {
    match &value["$double"] {
        Json::String(text) => text.parse().ok(),
        value => value.as_f64(),
    }
}

fn put_some_double(out: &mut Vec<u8>, number: u32, value: &Json) {
    if let Some(value) = double(value) {
        put_double(out, number, value);
    }
}

fn text(out: &mut Vec<u8>, number: u32, value: &Json) {
    if let Some(value) = value.as_str() {
        put_bytes(out, number, value.as_bytes());
    }
}

fn id<const N: usize>(out: &mut Vec<u8>, number: u32, value: &Json) {
    if let Some(value) = value.as_str() {
        put_bytes(out, number, &from_hex::<N>(value.as_bytes()).unwrap());
    }
}

fn hex(value: &str) -> Vec<u8> {
    (0..value.len()).step_by(2).map(|at| u8::from_str_radix(&value[at..at + 2], 16).unwrap()).collect()
}

fn attributes(out: &mut Vec<u8>, number: u32, map: &Json) {
    for (key, value) in map.as_object().into_iter().flatten() {
        put_message(out, number, |out| {
            put_bytes(out, 1, key.as_bytes());
            put_message(out, 2, |out| any(out, value));
        });
    }
}

fn any(out: &mut Vec<u8>, value: &Json) {
    match value {
        Json::Null => {}
        Json::Bool(value) => put_uint(out, 2, u64::from(*value)),
        Json::Number(number) => match number.as_i64() {
            Some(value) => put_uint(out, 3, value as u64),
            None => put_double(out, 4, number.as_f64().unwrap()),
        },
        Json::String(text) => put_bytes(out, 1, text.as_bytes()),
        Json::Array(values) => put_message(out, 5, |out| {
            values.iter().for_each(|value| put_message(out, 1, |out| any(out, value)));
        }),
        Json::Object(fields) => match (double(value), fields.get("$bytes")) {
            (Some(value), _) => put_double(out, 4, value),
            (_, Some(bytes)) => put_bytes(out, 7, &hex(bytes.as_str().unwrap())),
            _ => put_message(out, 6, |out| attributes(out, 1, value)),
        },
    }
}

fn log(out: &mut Vec<u8>, log: &Json) {
    fixed(out, 1, &log["time_unix_nano"]);
    uint(out, 2, &log["severity_number"]);
    text(out, 3, &log["severity_text"]);
    if let Some(body) = log.get("body") {
        put_message(out, 5, |out| any(out, body));
    }
    attributes(out, 6, &log["attributes"]);
    uint(out, 7, &log["dropped_attributes_count"]);
    if let Some(flags) = log["flags"].as_u64() {
        put_fixed32(out, 8, flags as u32);
    }
    id::<16>(out, 9, &log["trace_id"]);
    id::<8>(out, 10, &log["span_id"]);
    fixed(out, 11, &log["observed_time_unix_nano"]);
    text(out, 12, &log["event_name"]);
}

fn span(out: &mut Vec<u8>, span: &Json) {
    id::<16>(out, 1, &span["trace_id"]);
    id::<8>(out, 2, &span["span_id"]);
    text(out, 3, &span["trace_state"]);
    id::<8>(out, 4, &span["parent_span_id"]);
    text(out, 5, &span["name"]);
    uint(out, 6, &span["kind"]);
    fixed(out, 7, &span["start_time_unix_nano"]);
    fixed(out, 8, &span["end_time_unix_nano"]);
    attributes(out, 9, &span["attributes"]);
    uint(out, 10, &span["dropped_attributes_count"]);
    for event in span["events"].as_array().into_iter().flatten() {
        put_message(out, 11, |out| {
            fixed(out, 1, &event["time_unix_nano"]);
            text(out, 2, &event["name"]);
            attributes(out, 3, &event["attributes"]);
            uint(out, 4, &event["dropped_attributes_count"]);
        });
    }
    uint(out, 12, &span["dropped_events_count"]);
    uint(out, 14, &span["dropped_links_count"]);
    if let Some(status) = span.get("status") {
        put_message(out, 15, |out| {
            text(out, 2, &status["message"]);
            uint(out, 3, &status["code"]);
        });
    }
    if let Some(flags) = span["flags"].as_u64() {
        put_fixed32(out, 16, flags as u32);
    }
}

fn metric(out: &mut Vec<u8>, metric: &Json) {
    text(out, 1, &metric["name"]);
    text(out, 2, &metric["description"]);
    text(out, 3, &metric["unit"]);
    let number = match metric["type"].as_str() {
        Some("gauge") => 5,
        Some("sum") => 7,
        Some("histogram") => 9,
        Some("exponential_histogram") => 10,
        Some("summary") => 11,
        _ => return,
    };
    put_message(out, number, |out| {
        for point in metric["data_points"].as_array().into_iter().flatten() {
            put_message(out, 1, |out| match number {
                9 => histogram(out, point),
                10 => exponential(out, point),
                11 => summary(out, point),
                _ => numeric(out, point),
            });
        }
        uint(out, 2, &metric["aggregation_temporality"]);
        if metric["is_monotonic"].as_bool() == Some(true) {
            put_uint(out, 3, 1);
        }
    });
    attributes(out, 12, &metric["metadata"]);
}

fn times(out: &mut Vec<u8>, point: &Json) {
    fixed(out, 2, &point["start_time_unix_nano"]);
    fixed(out, 3, &point["time_unix_nano"]);
}

fn numeric(out: &mut Vec<u8>, point: &Json) {
    times(out, point);
    put_some_double(out, 4, &point["value_double"]);
    fixed(out, 6, &point["value_int"]);
    attributes(out, 7, &point["attributes"]);
    uint(out, 8, &point["flags"]);
}

fn packed(out: &mut Vec<u8>, number: u32, values: &Json, bits: impl Fn(&Json) -> u64) {
    put_message(out, number, |out| {
        for value in values.as_array().into_iter().flatten() {
            out.extend_from_slice(&bits(value).to_le_bytes());
        }
    });
}

fn histogram(out: &mut Vec<u8>, point: &Json) {
    times(out, point);
    fixed(out, 4, &point["count"]);
    put_some_double(out, 5, &point["sum"]);
    packed(out, 6, &point["bucket_counts"], |value| value.as_u64().unwrap());
    packed(out, 7, &point["explicit_bounds"], |value| double(value).unwrap().to_bits());
    attributes(out, 9, &point["attributes"]);
    uint(out, 10, &point["flags"]);
    put_some_double(out, 11, &point["min"]);
    put_some_double(out, 12, &point["max"]);
}

fn exponential(out: &mut Vec<u8>, point: &Json) {
    attributes(out, 1, &point["attributes"]);
    times(out, point);
    fixed(out, 4, &point["count"]);
    put_some_double(out, 5, &point["sum"]);
    put_sint32(out, 6, point["scale"].as_i64().unwrap_or(0) as i32);
    fixed(out, 7, &point["zero_count"]);
    for (number, side) in [(8, "positive"), (9, "negative")] {
        put_message(out, number, |out| {
            put_sint32(out, 1, point[side]["offset"].as_i64().unwrap_or(0) as i32);
            put_message(out, 2, |out| {
                for count in point[side]["bucket_counts"].as_array().into_iter().flatten() {
                    put_varint(out, count.as_u64().unwrap());
                }
            });
        });
    }
    uint(out, 10, &point["flags"]);
    put_some_double(out, 12, &point["min"]);
    put_some_double(out, 13, &point["max"]);
    put_some_double(out, 14, &point["zero_threshold"]);
}

fn summary(out: &mut Vec<u8>, point: &Json) {
    times(out, point);
    fixed(out, 4, &point["count"]);
    put_some_double(out, 5, &point["sum"]);
    for quantile in point["quantile_values"].as_array().into_iter().flatten() {
        put_message(out, 6, |out| {
            put_some_double(out, 1, &quantile["quantile"]);
            put_some_double(out, 2, &quantile["value"]);
        });
    }
    attributes(out, 7, &point["attributes"]);
    uint(out, 8, &point["flags"]);
}
