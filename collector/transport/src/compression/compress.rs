//! Compression of payloads in pieces.
//!
//! Output is written into a buffer that the thread lends and copied into one of exactly its size, which is
//! charged to the budget for as long as it lives. Contexts are kept by the thread; see [`contexts`](super).

use std::cell::RefCell;
use std::io::{self, Write};

use bytes::Bytes;
use libdeflater::{CompressionLvl, Compressor as Deflate};
use lz4_flex::frame::{BlockSize, FrameEncoder as Lz4, FrameInfo};
use phoenix_component::{Budget, buffers};
use phoenix_pdata::Codings;
use phoenix_pdata::write::{put_varint, varint_len};
use snap::write::FrameEncoder as Snappy;
use zstd::zstd_safe::{CCtx, CParameter, compress_bound, get_error_name};

use super::{Encoding, KEPT_CONTEXT_BYTES, SNAPPY_STREAM, scratch};
use crate::payload::Payload;

/// Contexts of different levels that one thread keeps.
const KEPT_LEVELS: usize = 2;
const ZSTD_DEFAULT_LEVEL: i32 = 3;
/// From 20 on windows are larger than the 8 MiB that decoders must support.
const ZSTD_MAX_LEVEL: i32 = 19;
const DEFLATE_DEFAULT_LEVEL: i32 = 6;

/// Compresses bodies with one encoding and level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compressor {
    encoding: Encoding,
    level: i32,
    is_default: bool,
}

struct Deflater {
    level: i32,
    context: Deflate,
}

struct Zstd {
    level: i32,
    context: CCtx<'static>,
}

thread_local! {
    static DEFLATERS: RefCell<Vec<Deflater>> = const { RefCell::new(Vec::new()) };
    static ZSTDS: RefCell<Vec<Zstd>> = const { RefCell::new(Vec::new()) };
    static SNAPPY_BLOCK: RefCell<snap::raw::Encoder> = RefCell::new(snap::raw::Encoder::new());
    static SNAPPY: RefCell<Option<Snappy<Vec<u8>>>> = const { RefCell::new(None) };
    static LZ4: RefCell<Option<Lz4<Vec<u8>>>> = const { RefCell::new(None) };
}

impl Compressor {
    /// `level` as otelcol counts: 0 and -1 mean the encoding's default; gzip, zlib and deflate take 1 to 9
    /// (-2, Huffman coding only, becomes 1), zstd takes 1 to 19; others have no levels. What is outside is
    /// brought inside.
    pub fn new(encoding: Encoding, level: i32) -> Compressor {
        let is_default = matches!(level, 0 | -1);
        let level = match (encoding, is_default) {
            (Encoding::Zstd, true) => ZSTD_DEFAULT_LEVEL,
            (Encoding::Zstd, false) => level.clamp(1, ZSTD_MAX_LEVEL),
            (_, true) => DEFLATE_DEFAULT_LEVEL,
            (_, false) => level.clamp(1, 9),
        };
        Compressor { encoding, level, is_default }
    }

    /// What it makes.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The coding of payloads that go out as they came: none where a level was asked for, since nobody knows
    /// with which one a sender compressed.
    pub fn forwards(&self) -> Codings {
        self.encoding.coding().filter(|_| self.is_default).map_or(Codings::NONE, Codings::only)
    }

    /// The message to send for `payload`: as it came, where that is what this compressor would make.
    pub fn message(&self, payload: phoenix_pdata::Payload) -> Payload {
        let as_it_came = self.encoding.coding().filter(|_| self.is_default);
        match as_it_came.and_then(|coding| payload.encoded(coding)) {
            Some(bytes) => Payload::encoded(self.encoding, bytes.clone()),
            None => payload.into_iter().collect(),
        }
    }

    /// The same, with gRPC's coding of that name.
    pub fn in_grpc(self) -> Compressor {
        Compressor { encoding: self.encoding.in_grpc(), ..self }
    }

    /// Compresses `payload`, charging what comes of it to the reserve of `budget`. Identity passes it on, as
    /// does one that is compressed in this encoding already.
    ///
    /// # Errors
    /// Where a context cannot be had, or the payload is compressed in another encoding.
    pub fn compress(&self, payload: Payload, budget: &Budget) -> io::Result<Payload> {
        if payload.encoding() == self.encoding {
            return Ok(payload);
        }
        if payload.encoding() != Encoding::Identity {
            return Err(io::Error::other(format!("the message is {} already", payload.encoding())));
        }
        let bytes = match self.encoding {
            Encoding::Snappy => scratch::lend_as_it_is(|room| {
                let written = in_one_piece(&payload, budget, |plain| snappy_block(plain, room))?;
                Ok::<_, io::Error>(exact(&room[..written], budget))
            }),
            _ => scratch::lend(|out| {
                self.write(&payload, budget, out)?;
                Ok(exact(out, budget))
            }),
        }?;
        Ok(Payload::encoded(self.encoding, bytes))
    }

    fn write(&self, payload: &Payload, budget: &Budget, out: &mut Vec<u8>) -> io::Result<()> {
        match self.encoding {
            Encoding::Identity => payload.pieces().for_each(|piece| out.extend_from_slice(piece)),
            Encoding::Gzip | Encoding::Zlib | Encoding::Deflate => {
                return in_one_piece(payload, budget, |plain| self.deflate(plain, out));
            }
            Encoding::Zstd => return in_one_piece(payload, budget, |plain| self.zstd(plain, out)),
            Encoding::Snappy => {
                let written = in_one_piece(payload, budget, |plain| snappy_block(plain, out))?;
                out.truncate(written);
            }
            Encoding::SnappyFramed => snappy(payload, out)?,
            Encoding::Lz4 => lz4(payload, out)?,
        }
        Ok(())
    }

    fn deflate(&self, plain: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        DEFLATERS.with_borrow_mut(|kept| {
            let mut deflater = match kept.iter().position(|one| one.level == self.level) {
                Some(index) => kept.swap_remove(index),
                None => {
                    let level = CompressionLvl::new(self.level)
                        .map_err(|_| io::Error::other("no such level of compression"))?;
                    Deflater { level: self.level, context: Deflate::new(level) }
                }
            };
            let context = &mut deflater.context;
            let written = if self.encoding == Encoding::Gzip {
                out.resize(context.gzip_compress_bound(plain.len()), 0);
                context.gzip_compress(plain, out)
            } else {
                out.resize(context.zlib_compress_bound(plain.len()), 0);
                context.zlib_compress(plain, out)
            };
            out.truncate(written.map_err(io::Error::other)?);
            kept.truncate(KEPT_LEVELS - 1);
            kept.push(deflater);
            Ok(())
        })
    }

    fn zstd(&self, plain: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let failed = |code| io::Error::other(get_error_name(code));
        ZSTDS.with_borrow_mut(|kept| {
            let mut zstd = match kept.iter().position(|one| one.level == self.level) {
                Some(index) => kept.swap_remove(index),
                None => {
                    let mut context =
                        CCtx::try_create().ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
                    context.set_parameter(CParameter::CompressionLevel(self.level)).map_err(failed)?;
                    Zstd { level: self.level, context }
                }
            };
            out.reserve(compress_bound(plain.len()));
            zstd.context.compress2(out, plain).map_err(failed)?;
            kept.truncate(KEPT_LEVELS - 1);
            if zstd.context.sizeof() <= KEPT_CONTEXT_BYTES {
                kept.push(zstd);
            }
            Ok(())
        })
    }
}

/// Says how much of `room` it wrote. The encoder wants room for the worst case, and to fill that with zeros each time
/// would cost a tenth of the compression: what is in there already stays.
fn snappy_block(plain: &[u8], room: &mut Vec<u8>) -> io::Result<usize> {
    let most = snap::raw::max_compress_len(plain.len());
    if room.len() < most {
        room.resize(most, 0);
    }
    Ok(SNAPPY_BLOCK.with_borrow_mut(|encoder| encoder.compress(plain, room))?)
}

/// The beginning of a block with `more` bytes behind `plain`.
pub(super) fn snappy_head(plain: &[u8], more: usize, budget: &Budget) -> io::Result<Bytes> {
    let len =
        u32::try_from(plain.len() + more).map_err(|_| io::Error::other("too long for a snappy block"))?;
    scratch::lend_as_it_is(|room| {
        let written = snappy_block(plain, room)?;
        // It says how long it is, which is how long the whole is.
        let elements = &room[varint_len(plain.len() as u64)..written];
        let capacity = varint_len(len.into()) + elements.len();
        let mut head = buffers::take(capacity).unwrap_or_else(|| Vec::with_capacity(capacity));
        put_varint(&mut head, len.into());
        head.extend_from_slice(elements);
        Ok(budget.charge_reserve(head.capacity()).attach(head))
    })
}

fn snappy(payload: &Payload, out: &mut Vec<u8>) -> io::Result<()> {
    SNAPPY.with_borrow_mut(|kept| {
        let mut writer = match kept.take() {
            Some(mut writer) => {
                // It says what it is only once.
                out.extend_from_slice(SNAPPY_STREAM);
                std::mem::swap(writer.get_mut(), out);
                writer
            }
            None => Snappy::new(std::mem::take(out)),
        };
        payload.pieces().try_for_each(|piece| writer.write_all(piece))?;
        writer.flush()?;
        std::mem::swap(writer.get_mut(), out);
        *kept = Some(writer);
        Ok(())
    })
}

fn lz4(payload: &Payload, out: &mut Vec<u8>) -> io::Result<()> {
    LZ4.with_borrow_mut(|kept| {
        // A writer that is used again cannot write a frame of nothing.
        let mut writer = kept.take().filter(|_| !payload.is_empty()).unwrap_or_else(|| {
            Lz4::with_frame_info(FrameInfo::new().block_size(BlockSize::Max256KB), Vec::new())
        });
        std::mem::swap(writer.get_mut(), out);
        payload.pieces().try_for_each(|piece| writer.write_all(piece))?;
        writer.try_finish().map_err(io::Error::other)?;
        std::mem::swap(writer.get_mut(), out);
        *kept = Some(writer);
        Ok(())
    })
}

/// For encoders that want all at once: faster, and their contexts stay small. A copy of several pieces is
/// charged while it is needed.
fn in_one_piece<T>(
    payload: &Payload,
    budget: &Budget,
    work: impl FnOnce(&[u8]) -> io::Result<T>,
) -> io::Result<T> {
    let mut pieces = payload.pieces();
    match (pieces.next(), pieces.next()) {
        (None, _) => work(&[]),
        (Some(only), None) => work(only),
        _ => {
            let _charge = budget.charge_reserve(payload.len());
            let mut joined = Vec::with_capacity(payload.len());
            payload.pieces().for_each(|piece| joined.extend_from_slice(piece));
            work(&joined)
        }
    }
}

/// A copy that is charged for as long as it lives.
fn exact(bytes: &[u8], budget: &Budget) -> Bytes {
    let mut copy = buffers::take(bytes.len()).unwrap_or_else(|| Vec::with_capacity(bytes.len()));
    copy.extend_from_slice(bytes);
    budget.charge_reserve(copy.capacity()).attach(copy)
}
