//! The Huffman code of HPACK (RFC 7541, appendix B).
//!
//! The code is canonical: symbols of one length have consecutive codes, in the order of the symbols, and
//! shorter codes come first. So the lengths say everything, and the tables are computed from them.

/// Bits of the code of each byte, and at last of the end of the string.
const LENGTHS: [u8; SYMBOLS] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28,
    28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6,
    6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7,
    8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7,
    15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24,
    23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23,
    23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26,
    26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20,
    21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27,
    27, 27, 26, 30,
];
const SYMBOLS: usize = 257;
const END_OF_STRING: u16 = 256;
/// Longest code in bits.
const LONGEST: usize = 30;
/// Codes up to here are looked up by their first byte.
const SHORT: u32 = 8;

struct Tables {
    /// For each first byte the symbol and the length of its code; a length of 0 where the code is longer.
    short: [(u8, u8); 256],
    /// Of each length the first code, how many there are, and where their symbols begin in `symbols`.
    lengths: [(u32, u32, u16); LONGEST + 1],
    /// All symbols in the order of their codes.
    symbols: [u16; SYMBOLS],
}

const TABLES: Tables = tables();

const fn tables() -> Tables {
    let mut tables =
        Tables { short: [(0, 0); 256], lengths: [(0, 0, 0); LONGEST + 1], symbols: [0; SYMBOLS] };
    let (mut code, mut placed, mut length) = (0u32, 0, 1);
    while length <= LONGEST {
        code <<= 1;
        let (first, begin, mut symbol) = (code, placed, 0);
        while symbol < SYMBOLS {
            if LENGTHS[symbol] as usize == length {
                tables.symbols[placed] = symbol as u16;
                if length as u32 <= SHORT {
                    let spread = 1 << (SHORT - length as u32);
                    let (mut at, from) = (0, (code as usize) << (SHORT - length as u32));
                    while at < spread {
                        tables.short[from + at] = (symbol as u8, length as u8);
                        at += 1;
                    }
                }
                placed += 1;
                code += 1;
            }
            symbol += 1;
        }
        tables.lengths[length] = (first, code - first, begin as u16);
        length += 1;
    }
    tables
}

/// The string is no valid Huffman code.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Invalid;

/// Appends what `coded` says to `out`; at most eight fifths of its length.
pub(super) fn decode(coded: &[u8], out: &mut Vec<u8>) -> Result<(), Invalid> {
    let (mut bits, mut count) = (0u64, 0u32);
    let mut rest = coded.iter();
    loop {
        while count <= 56 {
            let Some(byte) = rest.next() else { break };
            bits = bits << 8 | u64::from(*byte);
            count += 8;
        }
        if count == 0 {
            return Ok(());
        }
        // Beyond the end stand ones, as the padding has them.
        let window = match count.checked_sub(LONGEST as u32) {
            Some(more) => (bits >> more) as u32,
            None => ((bits << (LONGEST as u32 - count)) as u32) | ((1 << (LONGEST as u32 - count)) - 1),
        } & ((1 << LONGEST) - 1);
        let (symbol, length) = match TABLES.short[(window >> (LONGEST as u32 - SHORT)) as usize] {
            (_, 0) => long(window)?,
            (symbol, length) => (u16::from(symbol), u32::from(length)),
        };
        if length > count || symbol == END_OF_STRING {
            // What is left must be padding: fewer than eight ones.
            let is_padding = count < 8 && window == (1 << LONGEST) - 1;
            return if is_padding { Ok(()) } else { Err(Invalid) };
        }
        out.push(symbol as u8);
        count -= length;
        bits &= (1 << count) - 1;
    }
}

fn long(window: u32) -> Result<(u16, u32), Invalid> {
    for length in SHORT as usize + 1..=LONGEST {
        let (first, codes, begin) = TABLES.lengths[length];
        let code = window >> (LONGEST - length);
        if let Some(index) = code.checked_sub(first).filter(|index| *index < codes) {
            return Ok((TABLES.symbols[usize::from(begin) + index as usize], length as u32));
        }
    }
    Err(Invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(coded: &[u8]) -> Result<String, Invalid> {
        let mut out = Vec::new();
        decode(coded, &mut out)?;
        Ok(String::from_utf8_lossy(&out).into_owned())
    }

    /// Every byte by its code, written without the tables that decoding uses.
    fn encode(plain: &[u8]) -> Vec<u8> {
        let mut order: Vec<usize> = (0..SYMBOLS).collect();
        order.sort_by_key(|symbol| (LENGTHS[*symbol], *symbol));
        let (mut codes, mut code, mut before) = ([0u32; SYMBOLS], 0u32, 0);
        for symbol in order {
            code <<= LENGTHS[symbol] - before;
            before = LENGTHS[symbol];
            codes[symbol] = code;
            code = code.wrapping_add(1);
        }
        let mut bits: Vec<bool> = Vec::new();
        for byte in plain {
            let (code, length) = (codes[usize::from(*byte)], LENGTHS[usize::from(*byte)]);
            bits.extend((0..length).rev().map(|bit| code >> bit & 1 == 1));
        }
        bits.resize(bits.len().next_multiple_of(8), true);
        bits.chunks(8).map(|byte| byte.iter().fold(0, |sum, bit| sum << 1 | u8::from(*bit))).collect()
    }

    #[test]
    fn examples_of_the_rfc() {
        let coded = [0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff];
        assert_eq!(text(&coded).unwrap(), "www.example.com");
        assert_eq!(text(&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf]).unwrap(), "no-cache");
        assert_eq!(text(&[0x64, 0x02]).unwrap(), "302");
        let date = [
            0xd0, 0x7a, 0xbe, 0x94, 0x10, 0x54, 0xd4, 0x44, 0xa8, 0x20, 0x05, 0x95, 0x04, 0x0b, 0x81, 0x66,
            0xe0, 0x82, 0xa6, 0x2d, 0x1b, 0xff,
        ];
        assert_eq!(text(&date).unwrap(), "Mon, 21 Oct 2013 20:13:21 GMT");
    }

    #[test]
    fn every_byte_comes_back() {
        for length in 0..40 {
            for begin in 0..=255u8 {
                let plain: Vec<u8> =
                    (0..length).map(|at| begin.wrapping_add(u8::wrapping_mul(at, 7))).collect();
                let mut out = Vec::new();
                decode(&encode(&plain), &mut out).expect("valid");
                assert_eq!(out, plain);
            }
        }
    }

    #[test]
    fn bad_padding_and_the_end_of_string_are_refused() {
        assert_eq!(text(&[0xff]), Err(Invalid), "eight bits of padding");
        assert_eq!(text(&[0x00]), Err(Invalid), "'0' and then zeroes");
        assert_eq!(text(&[0xff, 0xff, 0xff, 0xff]), Err(Invalid), "the end of the string, and two bits");
        assert_eq!(text(&[0x07]).unwrap(), "0", "and three bits of padding");
    }
}
