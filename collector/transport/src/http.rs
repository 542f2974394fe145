//! HTTP for OTLP: a server for HTTP/1.1 and HTTP/2, and a client with pools of connections.

pub mod client;
pub mod cors;
mod format;
pub mod server;
pub mod side;
#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime};

pub use format::Format;

/// Reads `Retry-After`: seconds, or a date, which is compared with `now`. Dates that have passed and
/// texts that make no sense are none.
pub fn retry_after(value: &http::HeaderValue, now: SystemTime) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(Duration::from_secs(u64::from(seconds)));
    }
    httpdate::parse_http_date(text).ok()?.duration_since(now).ok()
}
