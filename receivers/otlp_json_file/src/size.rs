use std::fmt;

use phoenix_config::{Described, Shape, Written};
use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// A number of bytes: `1048576`, `1MiB`, `1kb`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub usize);

/// Letters, and what they multiply by; those with an `i` by powers of 1024.
const UNITS: [(&str, f64); 11] = [
    ("", 1.0),
    ("k", 1e3),
    ("m", 1e6),
    ("g", 1e9),
    ("t", 1e12),
    ("p", 1e15),
    ("ki", 1024.0),
    ("mi", 1_048_576.0),
    ("gi", 1_073_741_824.0),
    ("ti", 1_099_511_627_776.0),
    ("pi", 1_125_899_906_842_624.0),
];

impl ByteSize {
    fn parse(text: &str) -> Option<ByteSize> {
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let unit = unit.trim_start().to_ascii_lowercase();
        let unit = unit.strip_suffix('b').unwrap_or(&unit);
        let factor = UNITS.iter().find(|(name, _)| *name == unit)?.1;
        let bytes = number.parse::<f64>().ok()? * factor;
        (bytes < 9e15).then_some(ByteSize(bytes as usize))
    }
}

/// A number, or a text with a unit.
impl Described for ByteSize {
    fn shape() -> Shape {
        Shape::Any
    }

    fn written(&self) -> Option<Written> {
        Some(self.0.into())
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ByteSize, D::Error> {
        struct Size;

        impl Visitor<'_> for Size {
            type Value = ByteSize;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size such as `1MiB` or a number of bytes")
            }

            fn visit_u64<E: Error>(self, bytes: u64) -> Result<ByteSize, E> {
                usize::try_from(bytes).map(ByteSize).map_err(E::custom)
            }

            fn visit_i64<E: Error>(self, bytes: i64) -> Result<ByteSize, E> {
                usize::try_from(bytes).map(ByteSize).map_err(|_| E::custom("must not be negative"))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<ByteSize, E> {
                let size = ByteSize::parse(text);
                size.ok_or_else(|| E::custom(format!("{text:?} is no size such as `1MiB`")))
            }
        }

        deserializer.deserialize_any(Size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_as_in_otelcol() {
        let cases = [("7", 7), ("1kb", 1000), ("1KiB", 1024), ("1.5 MiB", 1_572_864), ("2g", 2_000_000_000)];
        for (text, bytes) in cases {
            assert_eq!(ByteSize::parse(text), Some(ByteSize(bytes)), "{text}");
        }
        for text in ["", "x", "1x", "-1", "1 2", "1e9", "99999p"] {
            assert_eq!(ByteSize::parse(text), None, "{text}");
        }
    }
}
