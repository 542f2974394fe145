//! Whether text is UTF-8, quick for the short ASCII that attributes are made of.

/// From here on the vector code of `simdutf8` beats the loop over words.
const LONG: usize = 64;

/// Whether `text` is UTF-8.
#[inline(always)]
pub(crate) fn is_valid(text: &[u8]) -> bool {
    (text.len() < LONG && is_ascii(text)) || is_valid_slow(text)
}

#[inline(never)]
fn is_valid_slow(text: &[u8]) -> bool {
    simdutf8::basic::from_utf8(text).is_ok()
}

/// Reads whole words, the last one overlapping the one before, so that there is no loop over bytes.
#[inline(always)]
fn is_ascii(text: &[u8]) -> bool {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    if let Some(last) = text.last_chunk::<8>() {
        let mut bits = u64::from_le_bytes(*last);
        for word in text.as_chunks::<8>().0 {
            bits |= u64::from_le_bytes(*word);
        }
        return bits & HIGH == 0;
    }
    if let (Some(first), Some(last)) = (text.first_chunk::<4>(), text.last_chunk::<4>()) {
        return (u32::from_le_bytes(*first) | u32::from_le_bytes(*last)) & HIGH as u32 == 0;
    }
    text.iter().fold(0, |bits, byte| bits | byte) < 0x80
}

#[cfg(test)]
mod tests {
    use super::is_valid;

    #[test]
    fn each_byte_of_each_length_is_looked_at() {
        for len in 0..200 {
            let ascii = vec![b'a'; len];
            assert!(is_valid(&ascii), "{len}");
            for at in 0..len {
                let mut invalid = ascii.clone();
                invalid[at] = 0xff;
                assert!(!is_valid(&invalid), "{at} of {len}");
                let mut valid = ascii.clone();
                valid.splice(at..=at, "é".bytes());
                assert!(is_valid(&valid), "{at} of {len}");
            }
        }
    }
}
