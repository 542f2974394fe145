//! Buffers of request bodies, kept for the next request.
//!
//! A body of 50 KB that is allocated and freed for each request makes the allocator give memory back to
//! the kernel and fault it in again: two page faults a request (`perf stat -e page-faults`). So each
//! thread keeps a few, within a bound.

use std::cell::RefCell;

/// Bytes that a thread keeps in buffers of common sizes: more would only be colder in the cache.
const KEPT_BYTES: usize = 1 << 20;
/// Bytes that it keeps in all, with large buffers; these cost a page fault for each 4 KiB when they are new.
const KEPT_BYTES_WITH_LARGE: usize = 2 << 20;
/// From here on a buffer is large.
const LARGE_BYTES: usize = 128 << 10;
/// Smaller buffers are the allocator's matter: it has them at hand.
const SMALLEST_BYTES: usize = 8 << 10;
/// Larger ones are rare, and a few would fill the bound.
const LARGEST_BYTES: usize = 1 << 20;

#[derive(Default)]
struct Kept {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
}

thread_local!(static KEPT: RefCell<Kept> = RefCell::default());

/// An empty buffer of at least `bytes`, and at most an eighth more, if one is kept.
pub fn take(bytes: usize) -> Option<Vec<u8>> {
    let fits = |buffer: &Vec<u8>| (bytes..=bytes + bytes / 8).contains(&buffer.capacity());
    KEPT.with_borrow_mut(|kept| {
        // The last one is the most likely to be in the cache.
        let index = kept.buffers.iter().rposition(fits)?;
        let buffer = kept.buffers.swap_remove(index);
        kept.bytes -= buffer.capacity();
        Some(buffer)
    })
}

/// Keeps a buffer for later, if there is room.
pub(crate) fn give_back(mut buffer: Vec<u8>) {
    let bytes = buffer.capacity();
    if !(SMALLEST_BYTES..=LARGEST_BYTES).contains(&bytes) {
        return;
    }
    buffer.clear();
    // While a thread ends there is nothing to keep it in.
    let _ = KEPT.try_with(|kept| {
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
    fn what_is_kept_is_bounded() {
        (0..100).for_each(|_| give_back(Vec::with_capacity(500_000)));
        give_back(Vec::with_capacity(10));
        give_back(Vec::with_capacity(2 << 20));
        KEPT.with_borrow(|kept| assert_eq!((kept.buffers.len(), kept.bytes), (4, 2_000_000)));
        (0..4).for_each(|_| drop(take(500_000)));
        (0..100).for_each(|_| give_back(Vec::with_capacity(50_000)));
        KEPT.with_borrow(|kept| assert_eq!((kept.buffers.len(), kept.bytes), (20, 1_000_000)));
    }
}
