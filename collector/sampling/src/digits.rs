/// Up to 14 hexadecimal digits, as `tracestate` holds them: as they were written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digits {
    bytes: [u8; Digits::MOST],
    len: u8,
}

impl Digits {
    /// The digits of 56 bits.
    pub const MOST: usize = 14;

    /// Reads a number from 1 to 14 digits of either case; its digits are the upper ones of 14.
    pub(crate) fn read(text: &[u8]) -> Option<(Digits, u64)> {
        if text.is_empty() || text.len() > Digits::MOST {
            return None;
        }
        let mut digits = Digits { len: text.len() as u8, ..Digits::default() };
        digits.bytes[..text.len()].copy_from_slice(text);
        let mut value = 0;
        for byte in text {
            value = value << 4 | u64::from((*byte as char).to_digit(16)?);
        }
        Some((digits, value << (4 * (Digits::MOST - text.len()))))
    }

    /// All 14 digits of a number.
    pub(crate) fn all_of(mut value: u64) -> Digits {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut digits = Digits { len: Digits::MOST as u8, ..Digits::default() };
        for byte in digits.bytes.iter_mut().rev() {
            *byte = HEX[(value & 15) as usize];
            value >>= 4;
        }
        digits
    }

    /// Without the zeros at the end; one digit stays.
    pub(crate) fn trimmed(mut self) -> Digits {
        while self.len > 1 && self.bytes[usize::from(self.len) - 1] == b'0' {
            self.len -= 1;
        }
        self
    }

    /// The digits.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}
