//! Compression of payloads in pieces.

use std::cell::RefCell;
use std::io::{self, Write};

use flate2::{Compress, Compression, Crc, FlushCompress, Status};
use zstd::stream::raw::{InBuffer, Operation as _, OutBuffer};

use super::{Encoding, gzip};
use crate::payload::Payload;

/// Contexts of different levels that one thread keeps.
const KEPT_LEVELS: usize = 2;
const ZSTD_DEFAULT_LEVEL: i32 = 3;

/// Compresses bodies with one encoding and level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compressor {
    encoding: Encoding,
    level: i32,
}

struct Deflater {
    level: i32,
    zlib: bool,
    context: Compress,
}

struct Zstd {
    level: i32,
    context: zstd::bulk::Compressor<'static>,
}

thread_local! {
    static DEFLATERS: RefCell<Vec<Deflater>> = const { RefCell::new(Vec::new()) };
    static ZSTDS: RefCell<Vec<Zstd>> = const { RefCell::new(Vec::new()) };
    static SNAPPY: RefCell<snap::raw::Encoder> = RefCell::new(snap::raw::Encoder::new());
}

impl Compressor {
    /// `level` as otelcol counts: 0 and -1 mean the encoding's default; gzip, zlib and deflate take 1 to 9
    /// (-2, Huffman coding only, becomes 1), zstd takes 1 to 22; others have no levels. What is outside is
    /// brought inside.
    pub fn new(encoding: Encoding, level: i32) -> Compressor {
        let level = match (encoding, level) {
            (Encoding::Zstd, 0 | -1) => ZSTD_DEFAULT_LEVEL,
            (Encoding::Zstd, level) => level.clamp(1, 22),
            (_, 0 | -1) => 6,
            (_, level) => level.clamp(1, 9),
        };
        Compressor { encoding, level }
    }

    /// What it makes.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The same, with gRPC's coding of that name.
    pub(crate) fn in_grpc(self) -> Compressor {
        Compressor { encoding: self.encoding.in_grpc(), ..self }
    }

    /// Compresses `payload`; identity passes it on.
    ///
    /// # Errors
    /// Where a context cannot be had.
    pub fn compress(&self, payload: Payload) -> io::Result<Payload> {
        let guess = payload.len() / 4 + 256;
        let compressed = match self.encoding {
            Encoding::Identity => return Ok(payload),
            Encoding::Gzip => {
                let mut out = Vec::with_capacity(guess);
                out.extend_from_slice(&gzip::PLAIN_HEADER);
                let mut crc = Crc::new();
                payload.pieces().for_each(|piece| crc.update(piece));
                self.deflate(false, &payload, &mut out)?;
                out.extend_from_slice(&crc.sum().to_le_bytes());
                out.extend_from_slice(&crc.amount().to_le_bytes());
                out
            }
            Encoding::Zlib | Encoding::Deflate => {
                let mut out = Vec::with_capacity(guess);
                self.deflate(true, &payload, &mut out)?;
                out
            }
            Encoding::Zstd => self.zstd(&payload)?,
            Encoding::Snappy => {
                let joined = joined(&payload);
                SNAPPY.with_borrow_mut(|encoder| encoder.compress_vec(&joined)).map_err(io::Error::other)?
            }
            Encoding::SnappyFramed => {
                let mut writer = snap::write::FrameEncoder::new(Vec::with_capacity(guess));
                write_pieces(&mut writer, &payload)?;
                writer.into_inner().map_err(|error| error.into_error())?
            }
            Encoding::Lz4 => {
                let mut writer = lz4_flex::frame::FrameEncoder::new(Vec::with_capacity(guess));
                write_pieces(&mut writer, &payload)?;
                writer.finish().map_err(io::Error::other)?
            }
        };
        Ok(bytes::Bytes::from(compressed).into())
    }

    fn deflate(&self, zlib: bool, payload: &Payload, out: &mut Vec<u8>) -> io::Result<()> {
        DEFLATERS.with_borrow_mut(|kept| {
            let found = kept.iter().position(|one| (one.level, one.zlib) == (self.level, zlib));
            let mut deflater = match found {
                Some(index) => kept.swap_remove(index),
                None => {
                    let level = Compression::new(self.level.unsigned_abs());
                    Deflater { level: self.level, zlib, context: Compress::new(level, zlib) }
                }
            };
            deflater.context.reset();
            for piece in payload.pieces() {
                run_deflate(&mut deflater.context, piece, FlushCompress::None, out)?;
            }
            run_deflate(&mut deflater.context, &[], FlushCompress::Finish, out)?;
            kept.truncate(KEPT_LEVELS - 1);
            kept.push(deflater);
            Ok(())
        })
    }

    fn zstd(&self, payload: &Payload) -> io::Result<Vec<u8>> {
        ZSTDS.with_borrow_mut(|kept| {
            let mut zstd = match kept.iter().position(|one| one.level == self.level) {
                Some(index) => kept.swap_remove(index),
                None => Zstd { level: self.level, context: zstd::bulk::Compressor::new(self.level)? },
            };
            let mut pieces = payload.pieces();
            let out = match (pieces.next(), pieces.next()) {
                (Some(only), None) => zstd.context.compress(only)?,
                (None, _) => zstd.context.compress(&[])?,
                _ => stream_zstd(&mut zstd.context, payload)?,
            };
            kept.truncate(KEPT_LEVELS - 1);
            kept.push(zstd);
            Ok(shrunk(out))
        })
    }
}

fn run_deflate(
    context: &mut Compress,
    input: &[u8],
    flush: FlushCompress,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    let start = context.total_in();
    loop {
        if out.len() == out.capacity() {
            out.reserve(out.capacity().max(1024));
        }
        let used = (context.total_in() - start) as usize;
        let status = context.compress_vec(&input[used..], out, flush).map_err(io::Error::other)?;
        let finished = match flush {
            FlushCompress::Finish => status == Status::StreamEnd,
            _ => (context.total_in() - start) as usize == input.len(),
        };
        if finished {
            return Ok(());
        }
    }
}

fn stream_zstd(context: &mut zstd::bulk::Compressor<'static>, payload: &Payload) -> io::Result<Vec<u8>> {
    let mut encoder = zstd::stream::raw::Encoder::with_context(context.context_mut());
    encoder.reinit()?;
    encoder.set_pledged_src_size(Some(payload.len() as u64))?;
    let mut out = Vec::with_capacity(payload.len() / 4 + 1024);
    for piece in payload.pieces() {
        let mut input = InBuffer::around(piece);
        while input.pos() < piece.len() {
            let filled = out.len();
            encoder.run(&mut input, &mut OutBuffer::around_pos(&mut out, filled))?;
            out.reserve(1024);
        }
    }
    loop {
        let filled = out.len();
        let left = encoder.finish(&mut OutBuffer::around_pos(&mut out, filled), true)?;
        if left == 0 {
            return Ok(out);
        }
        out.reserve(left);
    }
}

fn joined(payload: &Payload) -> Vec<u8> {
    let mut joined = Vec::with_capacity(payload.len());
    payload.pieces().for_each(|piece| joined.extend_from_slice(piece));
    joined
}

fn write_pieces(writer: &mut impl Write, payload: &Payload) -> io::Result<()> {
    payload.pieces().try_for_each(|piece| writer.write_all(piece))
}

/// zstd asks for room for the worst case, far more than it needs.
fn shrunk(mut out: Vec<u8>) -> Vec<u8> {
    out.shrink_to_fit();
    out
}
