//! Steps over JSON, sixteen bytes at a time where it pays.

use wide::u8x16;

/// The bytes that end a run of plain text, a bit for each: quotes, backslashes and control characters.
#[inline(always)]
fn special(bytes: u8x16) -> u8x16 {
    let quotes = bytes.simd_eq(u8x16::splat(b'"'));
    let backslashes = bytes.simd_eq(u8x16::splat(b'\\'));
    let controls = bytes.min(u8x16::splat(0x1f)).simd_eq(bytes);
    quotes | backslashes | controls
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
    // The mask is of high bits, so that a byte beyond ASCII marks itself.
    run(text, |bytes| special(bytes) | bytes)
}

/// `stops` sets the high bit of the bytes that end a run.
// Without optimisation each vector has a place of its own on the stack, which recursion must not multiply.
#[cfg_attr(not(debug_assertions), inline(always))]
fn run(text: &[u8], stops: impl Fn(u8x16) -> u8x16) -> usize {
    let mut at = 0;
    let mut rest = text;
    while let Some((block, after)) = rest.split_first_chunk::<16>() {
        let found = stops(u8x16::new(*block)).to_bitmask();
        if found != 0 {
            return at + found.trailing_zeros() as usize;
        }
        at += 16;
        rest = after;
    }
    // What is left, filled up with bytes that are plain.
    let mut block = [b' '; 16];
    block[..rest.len()].copy_from_slice(rest);
    let found = stops(u8x16::new(block)).to_bitmask();
    if found == 0 { text.len() } else { at + found.trailing_zeros() as usize }
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
