//! Bytes as text and text as bytes: hexadecimal, base64 and character sets.

use std::fmt::Write as _;

use base64::{
    Engine as _,
    alphabet::{Alphabet, STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use encoding_rs::Encoding;

use crate::EvalError;

/// Bytes in lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        write!(out, "{byte:02x}").expect("a string takes every write");
    }
    out
}

/// Reads hexadecimal of either case into exactly `N` bytes.
pub fn from_hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| (byte as char).to_digit(16).map(|digit| digit as u8);
    let mut bytes = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

/// An alphabet of base64, with padding or without.
#[derive(Clone, Copy, Debug)]
pub struct Base64(&'static GeneralPurpose);

static PADDED: GeneralPurpose = engine(&STANDARD, true);
static RAW: GeneralPurpose = engine(&STANDARD, false);
static PADDED_URL: GeneralPurpose = engine(&URL_SAFE, true);
static RAW_URL: GeneralPurpose = engine(&URL_SAFE, false);

const fn engine(alphabet: &Alphabet, padded: bool) -> GeneralPurpose {
    let padding = if padded { DecodePaddingMode::RequireCanonical } else { DecodePaddingMode::RequireNone };
    // Go does not look at the bits that the last character has too many.
    let config = GeneralPurposeConfig::new()
        .with_encode_padding(padded)
        .with_decode_padding_mode(padding)
        .with_decode_allow_trailing_bits(true);
    GeneralPurpose::new(alphabet, config)
}

impl Base64 {
    /// The standard alphabet, padded.
    pub fn standard() -> Self {
        Self(&PADDED)
    }

    /// The variant of a name: `base64`, `base64-raw`, `base64-url` or `base64-raw-url`.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "base64" => Some(Self(&PADDED)),
            "base64-raw" => Some(Self(&RAW)),
            "base64-url" => Some(Self(&PADDED_URL)),
            "base64-raw-url" => Some(Self(&RAW_URL)),
            _ => None,
        }
    }

    /// Writes bytes as text.
    pub fn encode(&self, bytes: &[u8]) -> String {
        self.0.encode(bytes)
    }

    /// Reads bytes from text; line breaks are passed over, as in Go.
    ///
    /// # Errors
    ///
    /// Characters of another alphabet, and other padding than the variant has.
    pub fn decode(&self, text: &[u8]) -> Result<Vec<u8>, EvalError> {
        let breaks = text.iter().any(|byte| matches!(byte, b'\r' | b'\n'));
        let joined: Vec<u8>;
        let text = if breaks {
            joined = text.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
            &joined
        } else {
            text
        };
        self.0.decode(text).map_err(|error| EvalError::new(format!("invalid base64: {error}")))
    }
}

/// How bytes become text.
#[derive(Clone, Copy, Debug)]
pub enum Charset {
    /// One of the variants of base64, whose bytes are then text.
    Base64(Base64),
    /// Text already; what is not UTF-8 becomes U+FFFD.
    Utf8,
    /// ISO 8859-1: each byte is the character of its number.
    Latin1,
    /// ISO 8859-9: ISO 8859-1 with six Turkish letters.
    Latin5,
    /// A character set of the Encoding Standard.
    Standard(&'static Encoding),
}

impl Charset {
    /// Finds a character set by a name of any case: a variant of base64, an IANA name, or `""`,
    /// `utf8`, `utf16` (little endian), `ascii`, `nop`.
    pub fn named(name: &str) -> Option<Self> {
        let lower = name.to_ascii_lowercase();
        if let Some(variant) = Base64::named(&lower) {
            return Some(Self::Base64(variant));
        }
        Some(match lower.as_str() {
            "" | "utf8" | "utf-8" | "utf-8-raw" | "ascii" | "us-ascii" | "nop" => Self::Utf8,
            "utf16" | "utf-16" => Self::Standard(encoding_rs::UTF_16LE),
            // The Encoding Standard takes these for Windows code pages.
            "iso-8859-1" | "iso_8859-1" | "iso_8859-1:1987" | "iso-ir-100" | "latin1" | "l1" | "ibm819"
            | "cp819" | "csisolatin1" => Self::Latin1,
            "iso-8859-9" | "iso_8859-9" | "iso_8859-9:1989" | "iso-ir-148" | "latin5" | "l5"
            | "csisolatin5" => Self::Latin5,
            label => Self::Standard(Encoding::for_label_no_replacement(label.as_bytes())?),
        })
    }

    /// Reads bytes as text.
    ///
    /// # Errors
    ///
    /// What is not base64. Character sets replace what they do not know by U+FFFD.
    pub fn decode(&self, bytes: &[u8]) -> Result<String, EvalError> {
        Ok(match self {
            Self::Base64(variant) => String::from_utf8_lossy(&variant.decode(bytes)?).into_owned(),
            Self::Utf8 => String::from_utf8_lossy(bytes).into_owned(),
            Self::Latin1 => bytes.iter().map(|&byte| char::from(byte)).collect(),
            Self::Latin5 => bytes.iter().map(|&byte| latin5(byte)).collect(),
            Self::Standard(encoding) => encoding.decode_without_bom_handling(bytes).0.into_owned(),
        })
    }
}

fn latin5(byte: u8) -> char {
    match byte {
        0xd0 => 'Ğ',
        0xdd => 'İ',
        0xde => 'Ş',
        0xf0 => 'ğ',
        0xfd => 'ı',
        0xfe => 'ş',
        other => char::from(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal() {
        assert_eq!(hex(&[0xbe, 0xef, 0x01]), "beef01");
        assert_eq!(from_hex(b"bEEf"), Some([0xbe, 0xef]));
        assert_eq!(from_hex::<2>(b"bee"), None);
        assert_eq!(from_hex::<2>(b"zzzz"), None);
    }

    #[test]
    fn base64_variants() {
        let cases = [
            ("base64", "a>b?", "YT5iPw=="),
            ("base64-raw", "a", "YQ"),
            ("base64-url", "a>b?>>", "YT5iPz4-"),
            ("base64-raw-url", "a>b?", "YT5iPw"),
        ];
        for (name, text, encoded) in cases {
            let variant = Base64::named(name).unwrap();
            assert_eq!(variant.encode(text.as_bytes()), encoded);
            assert_eq!(variant.decode(encoded.as_bytes()).unwrap(), text.as_bytes());
        }
        let standard = Base64::standard();
        assert_eq!(standard.decode(b"aGVs\r\nbG8=").unwrap(), b"hello");
        assert_eq!(standard.decode(b"YR==").unwrap(), b"a", "surplus bits do not matter");
        for bad in ["!!", "YQ", "YQ=", "Y"] {
            assert!(standard.decode(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(Base64::named("base32").is_none());
    }

    #[test]
    fn character_sets() {
        let cases: [(&str, &[u8], &str); 10] = [
            ("ISO-8859-1", &[0xde, 0xad, 0xbe, 0xef, 0x80], "Þ\u{ad}¾ï\u{80}"),
            ("utf-16be", &[0, 0x68, 0, 0x69], "hi"),
            ("UTF16", &[0x68, 0, 0x69, 0], "hi"),
            ("base64-raw", b"aGk", "hi"),
            ("shift_jis", &[0x93, 0xfa], "日"),
            ("windows-1252", &[0x80], "€"),
            ("", b"x", "x"),
            ("ascii", &[0xff], "\u{fffd}"),
            ("iso-8859-9", &[0xfd], "ı"),
            ("utf-16le", &[0xff, 0xfe, 0x68, 0], "\u{feff}h"),
        ];
        for (name, bytes, text) in cases {
            assert_eq!(Charset::named(name).unwrap().decode(bytes).unwrap(), text, "{name}");
        }
        assert!(Charset::named("nope-enc").is_none());
    }
}
