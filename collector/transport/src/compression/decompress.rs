//! Decompression into one buffer that is charged before it grows.
//!
//! Most senders say how long the plain bytes are: then the buffer is made for them at once, within what the
//! compressed bytes can be believed to hold. Else it grows by doubling.

use std::cell::RefCell;
use std::io::{Cursor, Read};

use bytes::Bytes;
use flate2::{Crc, Decompress, FlushDecompress, Status};
use phoenix_component::{Charge, buffers};
use snap::read::FrameDecoder as Snappy;
use zstd::zstd_safe::{
    DCtx, DParameter, InBuffer, OutBuffer, ResetDirective, find_frame_compressed_size, get_error_name,
    get_frame_content_size,
};

use super::{DecodeError, Encoding, KEPT_CONTEXT_BYTES, SNAPPY_STREAM, gzip};

/// The first buffer, for small bodies.
const SMALL_BYTES: usize = 4096;
/// The largest zstd window: 8 MiB, what RFC 8878 asks decoders to support.
const ZSTD_WINDOW_LOG: u32 = 23;
/// No snappy block grows by more than this: its densest element makes 64 bytes of 3.
const SNAPPY_MAX_RATIO: usize = 22;
/// How much a body may say that it grows and be believed before it has done so.
const CREDIBLE_RATIO: usize = 64;

thread_local! {
    static RAW_INFLATE: RefCell<Option<Decompress>> = const { RefCell::new(None) };
    static ZLIB_INFLATE: RefCell<Option<Decompress>> = const { RefCell::new(None) };
    static ZSTD: RefCell<Option<DCtx<'static>>> = const { RefCell::new(None) };
    static SNAPPY: RefCell<Option<Snappy<Cursor<Bytes>>>> = const { RefCell::new(None) };
}

/// Whether a body is one frame and nothing else: then anybody who knows the encoding reads it alike. Some
/// decoders stop after the first of several frames, or mind what comes after the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    OneFrame,
    Other,
}

/// Decompresses all of `body` into `buffer`, which is empty; its capacity is charged to `charge`, beyond
/// what it had already.
pub(super) fn decompress(
    encoding: Encoding,
    body: &Bytes,
    limit: usize,
    charge: &mut Charge,
    buffer: &mut Vec<u8>,
) -> Result<Shape, DecodeError> {
    let mut out = Output { buffer, limit, charge, encoding };
    let shape = match encoding {
        Encoding::Identity => {
            out.make_room_for(body.len())?;
            out.buffer.extend_from_slice(body);
            Shape::OneFrame
        }
        Encoding::Gzip => gunzip(body, &mut out)?,
        Encoding::Zlib | Encoding::Deflate => ZLIB_INFLATE.with_borrow_mut(|context| {
            let context = context.get_or_insert_with(|| Decompress::new(true));
            context.reset(true);
            // What follows the stream is passed over, as in Go.
            let used = inflate(context, body, &mut out)?;
            Ok(if used == body.len() { Shape::OneFrame } else { Shape::Other })
        })?,
        Encoding::Snappy if is_snappy_block(body) => snappy_block(body, &mut out)?,
        Encoding::Snappy | Encoding::SnappyFramed => snappy(body, &mut out)?,
        Encoding::Zstd => zstd(body, &mut out)?,
        Encoding::Lz4 => lz4(body, &mut out)?,
    };
    out.check_length()?;
    Ok(shape)
}

/// Gives back what the buffer has too much of.
pub(super) fn trim(buffer: &mut Vec<u8>, charge: &mut Charge) {
    let capacity = buffer.capacity();
    if capacity - buffer.len() > buffer.len() / 4 {
        buffer.shrink_to_fit();
        charge.shrink(capacity - buffer.capacity());
    }
}

/// Under the name `snappy`, a framed stream is told by its first chunk. A framed stream of nothing is empty;
/// a block never is.
pub(super) fn is_snappy_block(body: &[u8]) -> bool {
    !body.is_empty() && !body.starts_with(SNAPPY_STREAM)
}

struct Output<'a> {
    buffer: &'a mut Vec<u8>,
    limit: usize,
    charge: &'a mut Charge,
    encoding: Encoding,
}

impl Output<'_> {
    fn corrupt(&self, reason: impl ToString) -> DecodeError {
        DecodeError::Corrupt { encoding: self.encoding, reason: reason.to_string() }
    }

    fn is_full(&self) -> bool {
        self.buffer.len() == self.buffer.capacity()
    }

    fn check_length(&self) -> Result<(), DecodeError> {
        match self.buffer.len() > self.limit {
            true => Err(DecodeError::TooLarge { limit: self.limit }),
            false => Ok(()),
        }
    }

    fn make_room_for(&mut self, total: usize) -> Result<(), DecodeError> {
        if total > self.limit {
            return Err(DecodeError::TooLarge { limit: self.limit });
        }
        self.set_capacity(total)
    }

    /// Makes room for what the sender says that it will be, as far as `input` bytes make that credible.
    fn expect(&mut self, total: u64, input: usize) -> Result<(), DecodeError> {
        // One byte beyond the limit tells what just fits from what does not.
        let most = input.saturating_mul(CREDIBLE_RATIO).max(SMALL_BYTES).min(self.limit.saturating_add(1));
        self.set_capacity(usize::try_from(total).unwrap_or(usize::MAX).min(most))
    }

    fn set_capacity(&mut self, capacity: usize) -> Result<(), DecodeError> {
        let before = self.buffer.capacity();
        if capacity <= before {
            return Ok(());
        }
        if before == 0
            && let Some(kept) = buffers::take(capacity)
        {
            if !self.charge.try_grow(kept.capacity()) {
                return Err(DecodeError::Budget);
            }
            *self.buffer = kept;
            return Ok(());
        }
        if !self.charge.try_grow(capacity - before) {
            return Err(DecodeError::Budget);
        }
        self.buffer.reserve_exact(capacity - self.buffer.len());
        Ok(())
    }

    /// Makes room for more where there is none: twice as much, or a first guess from `input` bytes.
    fn grow_if_full(&mut self, input: usize) -> Result<(), DecodeError> {
        if !self.is_full() {
            return Ok(());
        }
        self.check_length()?;
        let wanted = match self.buffer.capacity() {
            0 => input.saturating_mul(4).max(SMALL_BYTES),
            capacity => capacity * 2,
        };
        self.set_capacity(wanted.min(self.limit.saturating_add(1)))
    }
}

fn gunzip(mut body: &[u8], out: &mut Output<'_>) -> Result<Shape, DecodeError> {
    let mut shape = Shape::OneFrame;
    if let Some(length) = gzip::declared_length(body) {
        // The last block ends after the last byte, which needs room to be looked for.
        out.expect(u64::from(length) + 1, body.len())?;
    }
    RAW_INFLATE.with_borrow_mut(|context| {
        let context = context.get_or_insert_with(|| Decompress::new(false));
        loop {
            let stream = gzip::after_header(body).map_err(|reason| out.corrupt(reason))?;
            let before = out.buffer.len();
            context.reset(false);
            let used = inflate(context, stream, out)?;
            let (trailer, rest) = stream[used..]
                .split_first_chunk::<{ gzip::TRAILER_BYTES }>()
                .ok_or_else(|| out.corrupt("unexpected end"))?;
            let mut crc = Crc::new();
            crc.update(&out.buffer[before..]);
            let [sum, amount] = [crc.sum(), crc.amount()].map(u32::to_le_bytes);
            if trailer[..4] != sum || trailer[4..] != amount {
                return Err(out.corrupt("invalid checksum"));
            }
            // A gzip file may have several members.
            if rest.is_empty() {
                return Ok(shape);
            }
            body = rest;
            shape = Shape::Other;
        }
    })
}

/// Inflates one stream; the number of input bytes that belong to it.
fn inflate(context: &mut Decompress, input: &[u8], out: &mut Output<'_>) -> Result<usize, DecodeError> {
    loop {
        out.grow_if_full(input.len())?;
        let used = context.total_in() as usize;
        let (before_in, before_out) = (context.total_in(), context.total_out());
        let status = context
            .decompress_vec(&input[used..], out.buffer, FlushDecompress::None)
            .map_err(|error| out.corrupt(error))?;
        match status {
            Status::StreamEnd => return Ok(context.total_in() as usize),
            _ if (context.total_in(), context.total_out()) == (before_in, before_out) && !out.is_full() => {
                return Err(out.corrupt("unexpected end"));
            }
            _ => {}
        }
    }
}

fn snappy_block(body: &[u8], out: &mut Output<'_>) -> Result<Shape, DecodeError> {
    let declared = snap::raw::decompress_len(body).map_err(|error| out.corrupt(error))?;
    if declared > body.len().saturating_mul(SNAPPY_MAX_RATIO) {
        return Err(out.corrupt("declares more than it can hold"));
    }
    out.make_room_for(declared)?;
    out.buffer.resize(declared, 0);
    let written =
        snap::raw::Decoder::new().decompress(body, out.buffer).map_err(|error| out.corrupt(error))?;
    out.buffer.truncate(written);
    Ok(Shape::OneFrame)
}

fn zstd(body: &[u8], out: &mut Output<'_>) -> Result<Shape, DecodeError> {
    // With room for all of it, the frame is decoded straight into the buffer.
    if let Ok(Some(length)) = get_frame_content_size(body) {
        out.expect(length, body.len())?;
    }
    let is_one = find_frame_compressed_size(body) == Ok(body.len());
    ZSTD.with_borrow_mut(|kept| {
        let mut context = match kept.take() {
            Some(context) => context,
            None => {
                let mut fresh = DCtx::try_create().ok_or_else(|| out.corrupt("out of memory"))?;
                fresh
                    .set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG))
                    .map_err(|code| out.corrupt(get_error_name(code)))?;
                fresh
            }
        };
        context.reset(ResetDirective::SessionOnly).map_err(|code| out.corrupt(get_error_name(code)))?;
        run_zstd(&mut context, body, out)?;
        // A frame that does not say its length leaves a window of the size that its sender chose.
        if context.sizeof() <= KEPT_CONTEXT_BYTES {
            *kept = Some(context);
        }
        Ok(if is_one { Shape::OneFrame } else { Shape::Other })
    })
}

fn run_zstd(context: &mut DCtx<'static>, body: &[u8], out: &mut Output<'_>) -> Result<(), DecodeError> {
    let mut input = InBuffer::around(body);
    // No frame at all is nothing.
    let mut expects = 0;
    while input.pos() < body.len() || expects > 0 {
        if expects > 0 || out.buffer.capacity() == 0 {
            out.grow_if_full(body.len())?;
        }
        let (before_in, before_out) = (input.pos(), out.buffer.len());
        let outcome =
            context.decompress_stream(&mut OutBuffer::around_pos(out.buffer, before_out), &mut input);
        expects = outcome.map_err(|code| out.corrupt(get_error_name(code)))?;
        let is_stuck = (input.pos(), out.buffer.len()) == (before_in, before_out);
        if is_stuck && !out.is_full() {
            return Err(out.corrupt("unexpected end"));
        }
        if is_stuck && expects == 0 {
            out.grow_if_full(body.len())?;
        }
    }
    Ok(())
}

fn snappy(body: &Bytes, out: &mut Output<'_>) -> Result<Shape, DecodeError> {
    if is_snappy_block(body) {
        return Err(out.corrupt("the stream does not begin as one"));
    }
    SNAPPY.with_borrow_mut(|kept| {
        let mut reader = match kept.take() {
            Some(mut reader) => {
                *reader.get_mut() = Cursor::new(body.clone());
                reader
            }
            None => Snappy::new(Cursor::new(body.clone())),
        };
        read_all(&mut reader, body.len(), out)?;
        *reader.get_mut() = Cursor::default();
        *kept = Some(reader);
        Ok(Shape::OneFrame)
    })
}

/// Frames may follow each other. The decoder takes the end of its input for the end of a frame, so it is
/// watched that it never gets there.
fn lz4(body: &[u8], out: &mut Output<'_>) -> Result<Shape, DecodeError> {
    let mut reader = lz4_flex::frame::FrameDecoder::new(Watched { left: body, ended: false });
    let mut shape = Shape::OneFrame;
    while !reader.get_ref().left.is_empty() {
        let before = reader.get_ref().left.len();
        if before < body.len() {
            shape = Shape::Other;
        }
        read_all(&mut reader, body.len(), out)?;
        let after = reader.get_ref();
        if after.ended || after.left.len() == before {
            return Err(out.corrupt("unexpected end"));
        }
    }
    Ok(shape)
}

/// Knows whether somebody wanted more than there is.
struct Watched<'a> {
    left: &'a [u8],
    ended: bool,
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.ended |= self.left.is_empty() && !buffer.is_empty();
        self.left.read(buffer)
    }
}

/// For decoders that are readers: to the end, or to the end of a frame.
fn read_all(reader: &mut impl Read, input: usize, out: &mut Output<'_>) -> Result<(), DecodeError> {
    loop {
        out.grow_if_full(input)?;
        let filled = out.buffer.len();
        out.buffer.resize(out.buffer.capacity(), 0);
        let outcome = reader.read(&mut out.buffer[filled..]);
        out.buffer.truncate(filled + *outcome.as_ref().unwrap_or(&0));
        match outcome {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(out.corrupt(error)),
        }
    }
}
