//! Buffers for bytes that nobody keeps.

use std::cell::RefCell;

/// What one thread keeps; larger ones are freed after use.
const KEPT_BYTES: usize = 1 << 20;

thread_local!(static SPARE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) });

/// Lends the thread's buffer, empty, to `work`. One that is lent while it is lent is a new one.
pub(super) fn lend<T>(work: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    lend_as_it_is(|buffer| {
        buffer.clear();
        work(buffer)
    })
}

/// Lends it with whatever was left in it, for work that overwrites it and would have to fill it with zeros first.
pub(super) fn lend_as_it_is<T>(work: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    let mut buffer = SPARE.take();
    let outcome = work(&mut buffer);
    if buffer.capacity() <= KEPT_BYTES {
        SPARE.set(buffer);
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_buffer_comes_back_unless_it_has_grown_large() {
        lend(|buffer| buffer.extend_from_slice(&[1; 1000]));
        lend(|buffer| assert!(buffer.is_empty() && buffer.capacity() >= 1000));
        lend(|buffer| {
            buffer.reserve(KEPT_BYTES + 1);
            lend(|inner| assert_eq!(inner.capacity(), 0));
        });
        lend(|buffer| assert_eq!(buffer.capacity(), 0));
    }
}
