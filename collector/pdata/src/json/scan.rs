//! Steps over JSON, eight bytes at a time where it pays.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// The high bits of the bytes that end a run of plain text: quotes, backslashes and control characters.
/// Above the lowest such byte others may be marked that are none.
#[inline(always)]
fn special(word: u64) -> u64 {
    let quotes = word ^ (ONES * b'"' as u64);
    let backslashes = word ^ (ONES * b'\\' as u64);
    let controls = word.wrapping_sub(ONES * 0x20) & !word;
    (quotes.wrapping_sub(ONES) & !quotes | backslashes.wrapping_sub(ONES) & !backslashes | controls) & HIGHS
}

/// How many bytes of text need no attention: up to the first quote, backslash or control character, or to
/// the end.
#[inline(always)]
pub(super) fn plain(text: &[u8]) -> usize {
    run(text, special)
}

/// As [`plain`], but stops at everything that is not ASCII as well.
#[inline(always)]
pub(super) fn plain_ascii(text: &[u8]) -> usize {
    run(text, |word| special(word) | word & HIGHS)
}

#[inline(always)]
fn run(text: &[u8], stops: impl Fn(u64) -> u64) -> usize {
    let mut at = 0;
    let mut rest = text;
    while let Some((word, after)) = rest.split_first_chunk::<8>() {
        let found = stops(u64::from_le_bytes(*word));
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
        rest = after;
    }
    // What is left, filled up with bytes that are plain.
    let mut word = [b' '; 8];
    word[..rest.len()].copy_from_slice(rest);
    let found = stops(u64::from_le_bytes(word));
    if found == 0 { text.len() } else { at + (found.trailing_zeros() / 8) as usize }
}

/// Skips white space.
#[inline(always)]
pub(super) fn space(text: &[u8]) -> &[u8] {
    match text.first() {
        Some(b' ' | b'\n' | b'\r' | b'\t') => long_space(text),
        _ => text,
    }
}

#[inline(never)]
fn long_space(text: &[u8]) -> &[u8] {
    let len = text.iter().take_while(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t')).count();
    &text[len..]
}

#[cfg(test)]
mod tests {
    use super::{plain, plain_ascii};

    #[test]
    fn a_run_ends_at_the_first_byte_that_is_special() {
        for len in 0..40 {
            for special in [b'"', b'\\', 0, 0x1f, b'\n', 0x80, 0xff, 0x7f, b'!', b'#', b'[', b']', b' '] {
                for at in 0..len {
                    let mut text = vec![b'a'; len];
                    text[at] = special;
                    let stops = matches!(special, b'"' | b'\\' | 0..=0x1f);
                    assert_eq!(plain(&text), if stops { at } else { len }, "{special} at {at} of {len}");
                    let stops = stops || special >= 0x80;
                    assert_eq!(
                        plain_ascii(&text),
                        if stops { at } else { len },
                        "{special} at {at} of {len}"
                    );
                }
            }
            assert_eq!(plain(&vec![b'a'; len]), len);
        }
    }
}
