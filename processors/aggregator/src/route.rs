//! Streams that go to the same series of several rules: what they add meets once, and is handed on when a window is closed.
//!
//! Ten rules over the same streams would otherwise add each data point ten times, in ten places of memory. Increments can be
//! added up in any order, so they are: windows of all rules of a route end at the same times. What is late, levels, and
//! streams that share their series with no other go their own way.

use phoenix_series::{Fingerprint, Hasher, Slot};

use crate::accumulator::Incompatible;
use crate::plan::Quality;
use crate::series::{Frame, Window, since};
use crate::stream::Change;

/// Where some streams go, all of them.
#[derive(Debug)]
pub(crate) struct Route {
    /// The series, each of another plan.
    pub(crate) targets: Box<[(u16, Slot)]>,
    /// The pace of these plans.
    pub(crate) pace: u16,
    /// How many streams go there.
    pub(crate) streams: u32,
    /// What they added to the open windows, where there is something.
    pub(crate) pending: Option<Box<Pending>>,
    /// Bytes of their data points that were not counted yet.
    pub(crate) bytes_in: u64,
}

/// What streams added to the open windows of all series of a route.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) window: Window,
    /// Since when it counts.
    pub(crate) start: u64,
    /// How good the data was.
    pub(crate) quality: Quality,
    /// Data points that did not go together with the others.
    pub(crate) incompatible: u64,
}

impl Default for Pending {
    fn default() -> Pending {
        Pending { window: Window::default(), start: u64::MAX, quality: Quality::default(), incompatible: 0 }
    }
}

impl Pending {
    /// Takes an increment, or a baseline.
    pub(crate) fn take(&mut self, change: &Change<'_>, frame: Frame) -> Result<(), Incompatible> {
        self.start = self.start.min(since(change, &frame));
        let taken = self.window.take(change, frame);
        self.incompatible += u64::from(taken.is_err());
        taken
    }
}

impl Route {
    /// By what a route to these series is found.
    pub(crate) fn key(targets: impl Iterator<Item = (u16, Slot)>, hasher: &Hasher) -> Fingerprint {
        let mut bytes = Vec::with_capacity(64);
        for (plan, slot) in targets {
            bytes.extend_from_slice(&plan.to_le_bytes());
            bytes.extend_from_slice(&(slot.number() as u32).to_le_bytes());
        }
        hasher.bytes(&bytes)
    }

    pub(crate) fn bytes(&self) -> usize {
        let pending = self.pending.as_ref();
        size_of::<Route>()
            + size_of_val(&*self.targets)
            + pending.map_or(0, |pending| size_of::<Pending>() + pending.window.heap_bytes())
    }
}

/// Plans whose windows end at the same times.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    pub(crate) step: u64,
    /// Up to where the windows of all of them were let out, and where the open one begins; none while they differ.
    pub(crate) open: Option<Open>,
}

/// The window that is open in all plans of a pace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Open {
    pub(crate) closed: u64,
    pub(crate) start: u64,
    pub(crate) end: u64,
}
