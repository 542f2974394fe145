//! The binary under faults: what it accepted comes, whatever breaks. See README.md.

#![expect(clippy::print_stderr, reason = "a test that skips says so")]

#[allow(dead_code, reason = "shared with the tests of the collector, which use more of it")]
#[path = "../collector/backend.rs"]
mod backend;
#[allow(dead_code, reason = "shared with the tests of the collector, which use more of it")]
#[path = "../collector/binary.rs"]
mod binary;
#[allow(dead_code, reason = "shared with the tests of the collector, which use more of it")]
#[path = "../collector/load.rs"]
mod load;

mod books;
mod clocks;
mod disks;
mod kills;
mod network;
mod overload;
mod proxy;
mod restarts;
mod scene;
mod shim;
mod spill;

/// A number from the environment.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
