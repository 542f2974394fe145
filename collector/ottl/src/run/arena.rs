use std::cell::{Cell, RefCell};

use bumpalo::Bump;

use crate::EvalError;

/// The most that a single text may grow to by a function or editor.
pub(crate) const MAX_VALUE_BYTES: usize = 16 << 20;
/// The most that one pass over a piece of a request may make.
const MAX_ARENA_BYTES: usize = 256 << 20;

/// What a pass makes, kept until the pass is over: so values are references and need no owner.
#[derive(Debug, Default)]
pub(crate) struct Arena {
    bump: Bump,
    /// Where something is put together before its length is known.
    scratch: RefCell<Vec<u8>>,
    used: Cell<usize>,
}

impl Arena {
    pub(crate) fn copy(&self, bytes: &[u8]) -> &[u8] {
        if bytes.is_empty() {
            return &[];
        }
        self.used.set(self.used.get().saturating_add(bytes.len()));
        self.bump.alloc_slice_copy(bytes)
    }

    pub(crate) fn copy_str(&self, text: &str) -> &str {
        self.used.set(self.used.get().saturating_add(text.len()));
        self.bump.alloc_str(text)
    }

    /// Keeps what `write` writes. Calls may be nested.
    pub(crate) fn write<E>(&self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<&[u8], E> {
        let mut scratch = self.scratch.take();
        scratch.clear();
        let result = write(&mut scratch).map(|()| self.copy(&scratch));
        if scratch.capacity() <= MAX_VALUE_BYTES {
            self.scratch.replace(scratch);
        }
        result
    }

    /// Refuses to go on once a pass has made too much.
    pub(crate) fn check(&self) -> Result<(), EvalError> {
        match self.used.get() <= MAX_ARENA_BYTES {
            true => Ok(()),
            false => Err(EvalError::new("the statements make more than 256 MiB out of one request")),
        }
    }
}
