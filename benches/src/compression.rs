//! Compression of request bodies.

use std::io::{Read, Write};

use anyhow::{Result, bail, ensure};
use clap::ValueEnum;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Compression {
    /// Not at all.
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

impl Compression {
    /// The name in `content-encoding` and `grpc-encoding`, if one is sent.
    pub(crate) fn header(self) -> Option<&'static str> {
        match self {
            Compression::None => None,
            Compression::Gzip => Some("gzip"),
            Compression::Zstd => Some("zstd"),
        }
    }

    /// The compression that a header names.
    ///
    /// # Errors
    /// If it is none of these.
    pub(crate) fn of_header(name: &str) -> Result<Compression> {
        match name {
            "" | "identity" => Ok(Compression::None),
            "gzip" => Ok(Compression::Gzip),
            "zstd" => Ok(Compression::Zstd),
            other => bail!("unknown compression {other}"),
        }
    }

    /// Compresses `bytes`.
    pub(crate) fn compress(self, bytes: &[u8]) -> Result<Vec<u8>> {
        Ok(match self {
            Compression::None => bytes.to_vec(),
            Compression::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(bytes)?;
                encoder.finish()?
            }
            Compression::Zstd => zstd::bulk::compress(bytes, 0)?,
        })
    }

    /// Decompresses `bytes`.
    ///
    /// # Errors
    /// If they are damaged, or give more than `limit_bytes`.
    pub(crate) fn decompress(self, bytes: &[u8], limit_bytes: usize) -> Result<Vec<u8>> {
        let reader: Box<dyn Read + '_> = match self {
            Compression::None => Box::new(bytes),
            Compression::Gzip => Box::new(flate2::read::GzDecoder::new(bytes)),
            Compression::Zstd => Box::new(zstd::stream::read::Decoder::new(bytes)?),
        };
        let mut out = Vec::new();
        reader.take(limit_bytes as u64 + 1).read_to_end(&mut out)?;
        ensure!(out.len() <= limit_bytes, "decompressed body is larger than {limit_bytes} bytes");
        Ok(out)
    }
}
