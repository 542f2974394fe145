//! Any bytes as a `google.rpc.Status`, in protobuf and JSON, and as headers that servers and backends choose.
#![no_main]

use std::time::SystemTime;

use http::HeaderValue;
use libfuzzer_sys::fuzz_target;
use phoenix_transport::grpc::{parse_rpc_status, retry_delay, rpc_status_from_json, rpc_status_to_json};
use phoenix_transport::http::retry_after;

fuzz_target!(|data: &[u8]| {
    let _ = (parse_rpc_status(data), retry_delay(data), rpc_status_to_json(data), rpc_status_from_json(data));
    if let Ok(value) = HeaderValue::from_bytes(data) {
        let _ = retry_after(&value, SystemTime::UNIX_EPOCH);
    }
});
