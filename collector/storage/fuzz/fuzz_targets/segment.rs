//! Any bytes as a segment: what is found lies within them, and no header makes a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (records, bytes) = phoenix_storage::inspect(data);
    assert!(bytes <= data.len() && records <= data.len());
});
