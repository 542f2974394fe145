//! Decompression into one buffer that grows by doubling and is charged before it grows.

use std::cell::RefCell;
use std::io::Read;

use flate2::{Crc, Decompress, FlushDecompress, Status};
use phoenix_component::Charge;
use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation as _, OutBuffer};

use super::{DecodeError, Encoding, gzip};

/// The first buffer, for small bodies.
const SMALL_BYTES: usize = 4096;
/// The largest zstd window: 8 MiB, what RFC 8878 asks decoders to support.
const ZSTD_WINDOW_LOG: u32 = 23;
/// No snappy block grows by more than this: its densest element makes 64 bytes of 3.
const SNAPPY_MAX_RATIO: usize = 22;
/// The first chunk of a framed snappy stream.
const SNAPPY_STREAM: &[u8] = b"\xff\x06\0\0sNaPpY";

thread_local! {
    static RAW_INFLATE: RefCell<Option<Decompress>> = const { RefCell::new(None) };
    static ZLIB_INFLATE: RefCell<Option<Decompress>> = const { RefCell::new(None) };
    static ZSTD: RefCell<Option<Decoder<'static>>> = const { RefCell::new(None) };
}

/// Decompresses all of `body`, charging the buffer that it returns to `charge`.
pub(super) fn decompress(
    encoding: Encoding,
    body: &[u8],
    limit: usize,
    charge: &mut Charge,
) -> Result<Vec<u8>, DecodeError> {
    let mut out = Output { buffer: Vec::new(), limit, charge, encoding };
    match encoding {
        Encoding::Identity => {
            out.make_room_for(body.len())?;
            out.buffer.extend_from_slice(body);
        }
        Encoding::Gzip => gunzip(body, &mut out)?,
        Encoding::Zlib | Encoding::Deflate => ZLIB_INFLATE.with_borrow_mut(|context| {
            let context = context.get_or_insert_with(|| Decompress::new(true));
            context.reset(true);
            inflate(context, body, &mut out).map(drop)
        })?,
        // A framed stream of nothing is empty; a block never is.
        Encoding::Snappy if !body.is_empty() && !body.starts_with(SNAPPY_STREAM) => {
            snappy_block(body, &mut out)?
        }
        Encoding::Snappy | Encoding::SnappyFramed => {
            read_all(snap::read::FrameDecoder::new(body), body.len(), &mut out)?;
        }
        Encoding::Zstd => zstd(body, &mut out)?,
        Encoding::Lz4 => read_all(lz4_flex::frame::FrameDecoder::new(body), body.len(), &mut out)?,
    }
    out.finish()
}

struct Output<'a> {
    buffer: Vec<u8>,
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

    fn make_room_for(&mut self, total: usize) -> Result<(), DecodeError> {
        if total > self.limit {
            return Err(DecodeError::TooLarge { limit: self.limit });
        }
        self.set_capacity(total)
    }

    fn set_capacity(&mut self, capacity: usize) -> Result<(), DecodeError> {
        let more = capacity.saturating_sub(self.buffer.capacity());
        if more > 0 {
            if !self.charge.try_grow(more) {
                return Err(DecodeError::Budget);
            }
            self.buffer.reserve_exact(capacity - self.buffer.len());
        }
        Ok(())
    }

    /// Makes room for more where there is none: twice as much, or a first guess from `input` bytes.
    fn grow_if_full(&mut self, input: usize) -> Result<(), DecodeError> {
        if !self.is_full() {
            return Ok(());
        }
        if self.buffer.len() > self.limit {
            return Err(DecodeError::TooLarge { limit: self.limit });
        }
        let wanted = match self.buffer.capacity() {
            0 => input.saturating_mul(4).max(SMALL_BYTES),
            capacity => capacity * 2,
        };
        // One byte beyond the limit tells what just fits from what does not.
        self.set_capacity(wanted.min(self.limit.saturating_add(1)))
    }

    fn finish(mut self) -> Result<Vec<u8>, DecodeError> {
        if self.buffer.len() > self.limit {
            return Err(DecodeError::TooLarge { limit: self.limit });
        }
        let unused = self.buffer.capacity() - self.buffer.len();
        if unused > self.buffer.len() / 4 {
            self.buffer.shrink_to_fit();
            self.charge.shrink(unused);
        }
        Ok(self.buffer)
    }
}

fn gunzip(mut body: &[u8], out: &mut Output<'_>) -> Result<(), DecodeError> {
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
                return Ok(());
            }
            body = rest;
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
            .decompress_vec(&input[used..], &mut out.buffer, FlushDecompress::None)
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

fn snappy_block(body: &[u8], out: &mut Output<'_>) -> Result<(), DecodeError> {
    let declared = snap::raw::decompress_len(body).map_err(|error| out.corrupt(error))?;
    if declared > body.len().saturating_mul(SNAPPY_MAX_RATIO) {
        return Err(out.corrupt("declares more than it can hold"));
    }
    out.make_room_for(declared)?;
    out.buffer.resize(declared, 0);
    let written =
        snap::raw::Decoder::new().decompress(body, &mut out.buffer).map_err(|error| out.corrupt(error))?;
    out.buffer.truncate(written);
    Ok(())
}

fn zstd(body: &[u8], out: &mut Output<'_>) -> Result<(), DecodeError> {
    ZSTD.with_borrow_mut(|context| {
        let context = match context {
            Some(context) => context,
            None => {
                let mut fresh = Decoder::new().map_err(|error| out.corrupt(error))?;
                fresh
                    .set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG))
                    .map_err(|error| out.corrupt(error))?;
                context.insert(fresh)
            }
        };
        context.reinit().map_err(|error| out.corrupt(error))?;
        let mut input = InBuffer::around(body);
        loop {
            out.grow_if_full(body.len())?;
            let (before_in, before_out) = (input.pos(), out.buffer.len());
            let mut buffer = std::mem::take(&mut out.buffer);
            let outcome = context.run(&mut input, &mut OutBuffer::around_pos(&mut buffer, before_out));
            out.buffer = buffer;
            let expects = outcome.map_err(|error| out.corrupt(error))?;
            if input.pos() == body.len() && !out.is_full() {
                return if expects == 0 { Ok(()) } else { Err(out.corrupt("unexpected end")) };
            }
            if (input.pos(), out.buffer.len()) == (before_in, before_out) && !out.is_full() {
                return Err(out.corrupt("no progress"));
            }
        }
    })
}

/// For the rarer formats, whose decoders are readers.
fn read_all(mut reader: impl Read, input: usize, out: &mut Output<'_>) -> Result<(), DecodeError> {
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
