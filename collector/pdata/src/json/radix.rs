//! Identifiers in hexadecimal digits, and bytes in base64.

const NO_DIGIT: u8 = 0xff;

const fn table(alphabet: &[u8]) -> [u8; 256] {
    let mut table = [NO_DIGIT; 256];
    let mut value = 0;
    while value < alphabet.len() {
        table[alphabet[value] as usize] = value as u8;
        value += 1;
    }
    table
}

static HEX: [u8; 256] = {
    let mut table = table(b"0123456789abcdef");
    let mut value = 10;
    while value < 16 {
        table[b"0123456789ABCDEF"[value] as usize] = value as u8;
        value += 1;
    }
    table
};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Both alphabets, as protobuf wants it.
static BASE64: [u8; 256] = {
    let mut table = table(ALPHABET);
    table[b'-' as usize] = 62;
    table[b'_' as usize] = 63;
    table
};

/// Reads the digits of `N` bytes; there must be `2 * N`.
#[inline]
pub(super) fn from_hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let mut invalid = 0;
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    if pairs.len() != N {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        let (high, low) = (HEX[usize::from(*high)], HEX[usize::from(*low)]);
        invalid |= high | low;
        *byte = high << 4 | low;
    }
    (invalid < 16).then_some(bytes)
}

/// Appends the digits of bytes, in lower case.
#[inline]
pub(super) fn put_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend(
        bytes.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]),
    );
}

/// Appends what base64 stands for: with padding or without, of either alphabet, line breaks ignored.
/// `None` if it is not base64; then part of it may have been appended.
pub(super) fn from_base64(out: &mut Vec<u8>, text: &[u8]) -> Option<()> {
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    let digits = &text[..text.len() - padding];
    let (mut bits, mut count) = (0u32, 0usize);
    for digit in digits {
        let value = BASE64[usize::from(*digit)];
        if value == NO_DIGIT {
            if matches!(digit, b'\n' | b'\r') {
                continue;
            }
            return None;
        }
        bits = bits << 6 | u32::from(value);
        count += 1;
        if count.is_multiple_of(4) {
            out.extend_from_slice(&bits.to_be_bytes()[1..]);
        }
    }
    let padded = |needed: usize| padding == 0 || padding == needed;
    match count % 4 {
        0 if padding == 0 => Some(()),
        2 if padded(2) && bits & 15 == 0 => {
            out.push((bits >> 4) as u8);
            Some(())
        }
        3 if padded(1) && bits & 3 == 0 => {
            out.extend_from_slice(&[(bits >> 10) as u8, (bits >> 2) as u8]);
            Some(())
        }
        _ => None,
    }
}

/// Appends bytes in base64, in the standard alphabet and with padding.
pub(super) fn put_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    let digit = |bits: u32, at: u32| ALPHABET[(bits >> at & 63) as usize];
    let (groups, rest) = bytes.as_chunks::<3>();
    for [a, b, c] in groups {
        let bits = u32::from_be_bytes([0, *a, *b, *c]);
        out.extend_from_slice(&[digit(bits, 18), digit(bits, 12), digit(bits, 6), digit(bits, 0)]);
    }
    match *rest {
        [a] => {
            let bits = u32::from(a) << 16;
            out.extend_from_slice(&[digit(bits, 18), digit(bits, 12), b'=', b'=']);
        }
        [a, b] => {
            let bits = u32::from(a) << 16 | u32::from(b) << 8;
            out.extend_from_slice(&[digit(bits, 18), digit(bits, 12), digit(bits, 6), b'=']);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::{from_base64, from_hex, put_base64, put_hex};

    #[test]
    fn hexadecimal_digits_of_either_case() {
        assert_eq!(from_hex::<3>(b"00aBfF"), Some([0, 0xab, 0xff]));
        for wrong in ["00aBf", "00aBfFf", "00aBfG", "", "0x0000", "+1+1+1"] {
            assert_eq!(from_hex::<3>(wrong.as_bytes()), None, "{wrong}");
        }
        let mut out = Vec::new();
        put_hex(&mut out, &[0, 0xab, 0xff]);
        assert_eq!(out, b"00abff");
    }

    #[test]
    fn base64_there_and_back() {
        for len in 0..20u8 {
            let bytes: Vec<u8> = (0..len).map(|byte| byte.wrapping_mul(83)).collect();
            let mut text = Vec::new();
            put_base64(&mut text, &bytes);
            let bare: Vec<u8> = text.iter().copied().filter(|byte| *byte != b'=').collect();
            let url: Vec<u8> = text
                .iter()
                .map(|byte| [*byte, b'-', b'_'][usize::from(*byte == b'+') + 2 * usize::from(*byte == b'/')])
                .collect();
            for text in [text, bare, url] {
                let mut back = Vec::new();
                assert_eq!(from_base64(&mut back, &text), Some(()), "{text:?}");
                assert_eq!(back, bytes);
            }
        }
        let mut out = Vec::new();
        put_base64(&mut out, b"\x01\x02\x03\xff\xfe");
        assert_eq!(out, b"AQID//4=");
        for wrong in ["A", "A===", "AQ=", "AQID=", "AQ=A", "AB==", "A!==", "====", "AQI D"] {
            assert_eq!(from_base64(&mut Vec::new(), wrong.as_bytes()), None, "{wrong}");
        }
    }
}
