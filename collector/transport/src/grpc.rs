//! Unary gRPC over `h2`: the data plane's server and client.

pub mod client;
mod keepalive;
pub mod server;
mod status;

pub use status::json::{rpc_status_from_json, rpc_status_to_json};
pub use status::{Status, parse_rpc_status, retry_delay, rpc_status};

use std::time::Duration;

/// Largest frame that is accepted: a message of 100 spans comes in one, and a connection whose frame is
/// not complete yet holds little.
const MAX_FRAME_BYTES: u32 = 256 * 1024;
/// What a peer may send on one stream before it is consumed.
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
/// What a peer may send on one connection before it is consumed.
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;
/// What one stream may hold that the peer does not take.
const SEND_BUFFER_BYTES: usize = 4 << 20;

/// Reads `grpc-timeout`: at most 8 digits and a unit.
fn parse_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(amount * 3600),
        "M" => Duration::from_secs(amount * 60),
        "S" => Duration::from_secs(amount),
        "m" => Duration::from_millis(amount),
        "u" => Duration::from_micros(amount),
        "n" => Duration::from_nanos(amount),
        _ => return None,
    })
}

/// Writes `grpc-timeout` in the finest unit that has room, rounded up.
fn format_timeout(timeout: Duration) -> String {
    const LARGEST: u128 = 99_999_999;
    let nanos = timeout.as_nanos();
    for (unit, size) in [("n", 1), ("u", 1_000), ("m", 1_000_000), ("S", 1_000_000_000)] {
        let amount = nanos.div_ceil(size);
        if amount <= LARGEST {
            return format!("{amount}{unit}");
        }
    }
    format!("{}H", nanos.div_ceil(3_600_000_000_000).min(LARGEST))
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod timeout_tests {
    use super::*;

    #[test]
    fn timeouts_survive_and_bad_ones_are_refused() {
        for timeout in [Duration::ZERO, Duration::from_millis(5), Duration::from_secs(7200)] {
            assert_eq!(parse_timeout(&format_timeout(timeout)), Some(timeout));
        }
        let long = Duration::from_secs(1_000_000_000);
        assert!(parse_timeout(&format_timeout(long)).is_some_and(|back| back >= long));
        for bad in ["", "S", "1", "123456789S", "-1S", "1x", "é"] {
            assert_eq!(parse_timeout(bad), None, "{bad}");
        }
    }
}
