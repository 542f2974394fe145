//! The chunked transfer coding (RFC 9112, 7.1), read.

use bytes::{Buf as _, BytesMut};

/// Longest line of a size with its extensions, or of a trailer.
const MAX_LINE_BYTES: usize = 4 << 10;
/// Trailers that are passed over.
const MAX_TRAILERS: usize = 100;

/// Where a body is.
#[derive(Debug, Default)]
pub(super) enum Chunked {
    /// Before the size of a chunk.
    #[default]
    Size,
    /// Within a chunk of which so much is left.
    Data(u64),
    /// Before the line break behind a chunk.
    DataEnd,
    /// Behind the last chunk and so many trailers.
    Trailers(usize),
    Ended,
}

impl Chunked {
    /// Takes what is there out of `read` and hands on its data; whether the body has ended.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub(super) fn read(
        &mut self,
        read: &mut BytesMut,
        mut data: impl FnMut(&[u8]),
    ) -> Result<bool, &'static str> {
        loop {
            *self = match self {
                Chunked::Size => {
                    let Some(line) = take_line(read)? else { return Ok(false) };
                    match size(&line)? {
                        0 => Chunked::Trailers(0),
                        size => Chunked::Data(size),
                    }
                }
                Chunked::Data(left) => {
                    if read.is_empty() {
                        return Ok(false);
                    }
                    let here = usize::try_from(*left).unwrap_or(usize::MAX).min(read.len());
                    data(&read[..here]);
                    read.advance(here);
                    match *left - here as u64 {
                        0 => Chunked::DataEnd,
                        left => Chunked::Data(left),
                    }
                }
                Chunked::DataEnd => match take_line(read)? {
                    None => return Ok(false),
                    Some(line) if line.is_empty() => Chunked::Size,
                    Some(_) => return Err("a chunk is longer than it says"),
                },
                Chunked::Trailers(count) => match take_line(read)? {
                    None => return Ok(false),
                    Some(line) if line.is_empty() => Chunked::Ended,
                    Some(_) if *count < MAX_TRAILERS => Chunked::Trailers(*count + 1),
                    Some(_) => return Err("too many trailers"),
                },
                Chunked::Ended => return Ok(true),
            }
        }
    }
}

/// A line without its end, if all of it is there.
fn take_line(read: &mut BytesMut) -> Result<Option<BytesMut>, &'static str> {
    let Some(end) = read.iter().take(MAX_LINE_BYTES).position(|byte| *byte == b'\n') else {
        return if read.len() < MAX_LINE_BYTES {
            Ok(None)
        } else {
            Err("a line of the chunked body is too long")
        };
    };
    let mut line = read.split_to(end);
    read.advance(1);
    if line.last() != Some(&b'\r') {
        return Err("a line of the chunked body ends without a carriage return");
    }
    line.truncate(end - 1);
    Ok(Some(line))
}

/// The size in a line that may have extensions behind it.
fn size(line: &[u8]) -> Result<u64, &'static str> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let is_size = !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(digits).ok().filter(|_| is_size);
    text.and_then(|text| u64::from_str_radix(text, 16).ok()).ok_or("the size of a chunk is no number")
}
