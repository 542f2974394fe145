use phoenix_config::{Described, Problems, Shape, Written};
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::compression::{Compressor, Encoding};

/// `compression`: an encoding by name; `none` and the empty name are identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compression(pub Encoding);

impl<'de> Deserialize<'de> for Compression {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Compression, D::Error> {
        let name = String::deserialize(deserializer)?;
        match name.as_str() {
            "none" | "" => Ok(Compression(Encoding::Identity)),
            "identity" => Err(D::Error::custom("unsupported compression type \"identity\"")),
            _ => Encoding::ALL
                .into_iter()
                .find(|encoding| encoding.name() == name)
                .map(Compression)
                .ok_or_else(|| D::Error::custom(format!("unsupported compression type {name:?}"))),
        }
    }
}

/// How hard to compress.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct CompressionParams {
    /// 0 is the default. gzip, zlib and deflate take -2, -1 and 1 to 9, zstd any; others have no levels.
    pub level: i32,
}

impl Described for Compression {
    fn shape() -> Shape {
        let names = Encoding::ALL.into_iter().filter(|encoding| *encoding != Encoding::Identity);
        let names: Vec<&'static str> = names.map(Encoding::name).chain(["none", ""]).collect();
        Shape::words(&names)
    }

    fn written(&self) -> Option<Written> {
        let name = if self.0 == Encoding::Identity { "none" } else { self.0.name() };
        Some(name.into())
    }
}

impl Compression {
    /// Reports a level that the encoding does not have.
    pub fn validate(self, params: &CompressionParams, problems: &mut Problems) {
        let level = params.level;
        let fits = match self.0 {
            Encoding::Gzip | Encoding::Zlib | Encoding::Deflate => (-2..=9).contains(&level),
            Encoding::Zstd => true,
            _ => level == 0,
        };
        let name = if self.0 == Encoding::Identity { "" } else { self.0.name() };
        problems.require(
            fits,
            "compression_params.level",
            format!("unsupported parameters {{Level:{level}}} for compression type {name:?}"),
        );
    }

    /// As clients want it.
    pub fn compressor(self, params: &CompressionParams) -> Compressor {
        Compressor::new(self.0, params.level)
    }
}
