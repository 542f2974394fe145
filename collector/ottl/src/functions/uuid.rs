//! Identifiers of RFC 9562. Randomness and time are handed in.

use std::fmt::Write as _;

/// A random identifier, version 4.
pub fn v4(random: [u8; 16]) -> String {
    text(random, 4)
}

/// An identifier that sorts by time, version 7: milliseconds since 1970 and randomness.
pub fn v7(unix_millis: u64, random: [u8; 16]) -> String {
    let mut bytes = random;
    bytes[..6].copy_from_slice(&unix_millis.to_be_bytes()[2..]);
    text(bytes, 7)
}

fn text(mut bytes: [u8; 16], version: u8) -> String {
    bytes[6] = bytes[6] & 0x0f | version << 4;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut out = String::with_capacity(36);
    for (position, byte) in bytes.iter().enumerate() {
        if matches!(position, 4 | 6 | 8 | 10) {
            out.push('-');
        }
        write!(out, "{byte:02x}").expect("a string takes every write");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_version_and_variant() {
        assert_eq!(v4([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(v7(0x0123_4567_89ab, [0; 16]), "01234567-89ab-7000-8000-000000000000");
    }
}
