use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// How much is measured and shown. An instrument exists from its own level on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// Nothing.
    None,
    /// What is most important.
    Basic,
    /// What helps in everyday use.
    #[default]
    Normal,
    /// All there is.
    Detailed,
}

impl Level {
    /// The name in configurations.
    pub const fn name(self) -> &'static str {
        match self {
            Level::None => "none",
            Level::Basic => "basic",
            Level::Normal => "normal",
            Level::Detailed => "detailed",
        }
    }
}

/// The level that is in force, which may change while instruments are in use.
#[derive(Clone, Debug)]
pub(crate) struct Switch(Arc<AtomicU8>);

impl Default for Switch {
    fn default() -> Switch {
        Switch(Arc::new(AtomicU8::new(Level::Normal as u8)))
    }
}

impl Switch {
    pub(crate) fn set(&self, level: Level) {
        self.0.store(level as u8, Relaxed);
    }

    /// Whether instruments of `level` exist now.
    #[inline]
    pub(crate) fn allows(&self, level: Level) -> bool {
        level as u8 <= self.0.load(Relaxed)
    }
}
