//! Buffers of request bodies and of what is made of them, kept for the next request.
//!
//! A body of 50 KB that is allocated and freed for each request makes the allocator give memory back to
//! the kernel and fault it in again: two page faults a request (`perf stat -e page-faults`). So each
//! thread keeps a few, within a bound.

use std::cell::RefCell;

use bytes::Bytes;

/// Bytes that a thread keeps in buffers of common sizes: more would only be colder in the cache.
const KEPT_BYTES: usize = 1 << 20;
/// Bytes that it keeps in all, with large buffers; these cost a page fault for each 4 KiB when they are new.
const KEPT_BYTES_WITH_LARGE: usize = 2 << 20;
/// From here on a buffer is large.
const LARGE_BYTES: usize = 128 << 10;
/// Smaller buffers are the allocator's matter: it has them at hand.
const SMALLEST_BYTES: usize = 8 << 10;
/// To this new buffers are rounded up.
const ROUNDED_BYTES: usize = 4 << 10;
/// Larger ones are rare, and a few would fill the bound.
const LARGEST_BYTES: usize = 1 << 20;

#[derive(Default)]
struct Spare {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
}

thread_local!(static SPARE: RefCell<Spare> = RefCell::default());

/// An empty buffer of at least `bytes`, and at most an eighth more, if one is kept.
pub fn take(bytes: usize) -> Option<Vec<u8>> {
    let fits = |buffer: &Vec<u8>| (bytes..=bytes + bytes / 8).contains(&buffer.capacity());
    SPARE.with_borrow_mut(|kept| {
        // The last one is the most likely to be in the cache.
        let index = kept.buffers.iter().rposition(fits)?;
        let buffer = kept.buffers.swap_remove(index);
        kept.bytes -= buffer.capacity();
        Some(buffer)
    })
}

/// An empty buffer for about `bytes`: one that is kept, or a new one of a size that the next request of this kind
/// can use, too.
pub fn room(bytes: usize) -> Vec<u8> {
    let bytes = bytes.next_multiple_of(ROUNDED_BYTES);
    take(bytes).unwrap_or_else(|| Vec::with_capacity(bytes))
}

/// Bytes that share `buffer`, which is kept once nobody needs it any more.
pub fn share(buffer: Vec<u8>) -> Bytes {
    if buffer.capacity() < SMALLEST_BYTES {
        return buffer.into();
    }
    Bytes::from_owner(Kept(buffer))
}

/// A buffer that comes back.
struct Kept(Vec<u8>);

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        give_back(std::mem::take(&mut self.0));
    }
}

/// Keeps a buffer for later, if there is room.
pub fn give_back(mut buffer: Vec<u8>) {
    let bytes = buffer.capacity();
    if !(SMALLEST_BYTES..=LARGEST_BYTES).contains(&bytes) {
        return;
    }
    buffer.clear();
    // While a thread ends there is nothing to keep it in.
    let _ = SPARE.try_with(|kept| {
        let mut kept = kept.borrow_mut();
        let bound = if bytes < LARGE_BYTES { KEPT_BYTES } else { KEPT_BYTES_WITH_LARGE };
        if kept.bytes + bytes <= bound {
            kept.bytes += bytes;
            kept.buffers.push(buffer);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_for_a_body_of_about_its_size() {
        let buffer = Vec::with_capacity(50_000);
        let address = buffer.as_ptr();
        give_back(buffer);
        assert!(take(30_000).is_none(), "too large for that");
        let again = take(48_000).expect("kept");
        assert_eq!((again.as_ptr(), again.len()), (address, 0));
        assert!(take(48_000).is_none());
    }

    #[test]
    fn what_was_shared_comes_back_when_nobody_needs_it() {
        let mut buffer = room(50_000);
        buffer.extend_from_slice(b"abc");
        let address = buffer.as_ptr();
        let shared = share(buffer);
        let slice = shared.slice(1..);
        drop(shared);
        assert!(take(53_248).is_none());
        assert_eq!(&slice[..], b"bc");
        drop(slice);
        let again = room(50_500);
        assert_eq!((again.as_ptr(), again.len()), (address, 0));
        assert_eq!(&share(b"small".to_vec())[..], b"small");
    }

    #[test]
    fn what_is_kept_is_bounded() {
        (0..100).for_each(|_| give_back(Vec::with_capacity(500_000)));
        give_back(Vec::with_capacity(10));
        give_back(Vec::with_capacity(2 << 20));
        SPARE.with_borrow(|kept| assert_eq!((kept.buffers.len(), kept.bytes), (4, 2_000_000)));
        (0..4).for_each(|_| drop(take(500_000)));
        (0..100).for_each(|_| give_back(Vec::with_capacity(50_000)));
        SPARE.with_borrow(|kept| assert_eq!((kept.buffers.len(), kept.bytes), (20, 1_000_000)));
    }
}
