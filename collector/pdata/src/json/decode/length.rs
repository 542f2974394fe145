//! Lengths of messages, which are known when these are written: room is left for them, as wide as the last one's was.

use super::Decoder;
use crate::write::{varint, varint_len};

impl Decoder<'_> {
    /// Makes room for the lengths of entries as large as the request may be.
    pub(super) fn expect_large(&mut self, len: usize) {
        let width = varint_len(len as u64) as u8;
        self.widths[0] = width;
        self.widths[1] = width;
        self.widths[2] = 2;
    }

    /// Leaves room for the length of a message in one at `depth`, and says where.
    #[inline(always)]
    pub(super) fn open(&mut self, depth: u32) -> usize {
        let start = self.out.len();
        self.out.resize(start + self.width(depth), 0);
        start
    }

    #[inline(always)]
    pub(super) fn width(&self, depth: u32) -> usize {
        self.widths.get(depth as usize).map_or(1, |width| usize::from(*width))
    }

    /// Writes the length of the message that goes from `start` to the end.
    #[inline(always)]
    pub(super) fn close(&mut self, start: usize, depth: u32) {
        let width = self.put_len(start, self.width(depth));
        if let Some(last) = self.widths.get_mut(depth as usize) {
            *last = width as u8;
        }
    }

    /// Writes the length of what follows the `width` bytes from `start` on there, and says how many bytes
    /// it takes. If these are not as many, what follows is moved.
    #[inline(always)]
    pub(super) fn put_len(&mut self, start: usize, width: usize) -> usize {
        let (bytes, needed) = varint((self.out.len() - start - width) as u64);
        if needed != width {
            self.make_room(start, width, needed);
        }
        self.out[start..start + needed].copy_from_slice(&bytes[..needed]);
        needed
    }

    #[inline(never)]
    pub(super) fn make_room(&mut self, start: usize, width: usize, needed: usize) {
        let len = self.out.len();
        if needed > width {
            self.out.resize(len + needed - width, 0);
        }
        self.out.copy_within(start + width..len, start + needed);
        self.out.truncate(len + needed - width);
    }
}
