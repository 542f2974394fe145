//! Counts the PING frames of an HTTP/2 client by walking over the frame headers.

const PREFACE_BYTES: usize = 24;
const HEADER_BYTES: usize = 9;
const PING: u8 = 6;
const ACK: u8 = 1;

/// Knows where the next frame header begins. Malformed input is the protocol's matter: here it can at
/// worst give a wrong count.
pub(super) struct PingWatch {
    /// Bytes to pass over before the next header.
    skip: usize,
    header: [u8; HEADER_BYTES],
    have: usize,
    count: u64,
}

impl PingWatch {
    /// Starts before the client's preface.
    pub(super) fn new() -> PingWatch {
        PingWatch { skip: PREFACE_BYTES, header: [0; HEADER_BYTES], have: 0, count: 0 }
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Looks at what was read next.
    pub(super) fn observe(&mut self, mut read: &[u8]) {
        while !read.is_empty() {
            let skipped = self.skip.min(read.len());
            self.skip -= skipped;
            read = &read[skipped..];
            let taken = (HEADER_BYTES - self.have).min(read.len());
            self.header[self.have..self.have + taken].copy_from_slice(&read[..taken]);
            self.have += taken;
            read = &read[taken..];
            if self.have == HEADER_BYTES {
                let [a, b, c, kind, flags, ..] = self.header;
                self.skip = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
                self.have = 0;
                self.count += u64::from(kind == PING && flags & ACK == 0);
            }
        }
    }
}
