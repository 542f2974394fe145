//! What comes out: one series, its open window, and what else of it is still needed.
//!
//! Streams are taken up to the next end of a window and no further, so a series has one window open, whatever order data
//! points came in.

use std::collections::VecDeque;
use std::sync::Arc;

use phoenix_pdata::view::Number;
use phoenix_series::Fingerprint;

use crate::accumulator::{Accumulator, Incompatible, Level};
use crate::examples::{Example, Examples};
use crate::kind::Kind;
use crate::members::Members;
use crate::route::Pending;
use crate::stream::Change;
use crate::value::{Value, as_double};

/// The most scale that an exponential histogram can have.
const MAX_SCALE: i32 = 20;

/// What series of one metric of one resource and scope share. Bodies are encoded as they go out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Different for every head of a processor.
    pub(crate) id: u64,
    /// Its identity, by which its plan finds it.
    pub(crate) key: Fingerprint,
    pub(crate) resource: Box<[u8]>,
    pub(crate) resource_schema: Box<[u8]>,
    pub(crate) scope: Box<[u8]>,
    pub(crate) scope_schema: Box<[u8]>,
    pub(crate) name: Box<[u8]>,
    pub(crate) description: Box<[u8]>,
    pub(crate) unit: Box<[u8]>,
    /// What comes out, related in time as the rule wants it.
    pub(crate) kind: Kind,
}

/// What was taken between two moments.
#[derive(Clone, Debug, Default)]
pub(crate) struct Window {
    pub(crate) points: u64,
    /// Streams with data points.
    pub(crate) series: u32,
    /// Since when the first data point counts, and the time of the last one.
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) accumulator: Accumulator,
    /// What each stream did, where that is asked for.
    pub(crate) members: Option<Box<Members>>,
}

/// A series that comes out.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) head: Arc<Head>,
    /// The fields of the attributes of its data points, as those of its kind have them.
    pub(crate) attributes: Box<[u8]>,
    /// Streams that go here, and those of them that have not ended.
    pub(crate) streams: u32,
    pub(crate) live: u32,
    /// The last of them ended since the last window.
    pub(crate) ended: bool,
    /// Whether it is one of the sample whose estimates are compared with the truth.
    pub(crate) is_sample: bool,
    /// Since when it counts; `u64::MAX` before its first data point. Stays once it came out.
    pub(crate) start: u64,
    pub(crate) window: Window,
    /// What all windows that were closed add up to, where what comes out is cumulative.
    pub(crate) running: Accumulator,
    pub(crate) more: Option<Box<More>>,
}

/// What only some kinds of windows need.
#[derive(Debug, Default)]
pub(crate) struct More {
    /// The open window of each tier.
    pub(crate) tiers: Vec<Window>,
    /// The parts of a hopping window that were closed, the oldest first.
    pub(crate) parts: VecDeque<Window>,
    /// Sessions by time, none of which meet.
    pub(crate) sessions: Vec<Session>,
    /// What was let out last, where there is a dead band.
    pub(crate) shown: Vec<Shown>,
    /// What came of windows that were let out, by their ends.
    pub(crate) corrections: Vec<(u64, Window)>,
    /// The bounds that all histograms that come here have.
    pub(crate) bounds: Option<Arc<[f64]>>,
    /// Exemplars, where some came.
    pub(crate) examples: Option<Box<Examples>>,
}

/// A session: what is in it, and the time of its first data point, which may count since before.
#[derive(Clone, Debug, Default)]
pub(crate) struct Session {
    pub(crate) earliest: u64,
    pub(crate) window: Window,
}

/// What was let out last of one output.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Shown {
    /// The output and the tier.
    pub(crate) which: u16,
    pub(crate) time: u64,
    pub(crate) value: f64,
    /// Windows in a row that stayed within the band.
    pub(crate) calm: u32,
}

/// How a series takes a data point.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    /// Its time.
    pub(crate) time: u64,
    /// The time of the data point before it in its stream; 0 where there is none that came here.
    pub(crate) before: u64,
    /// Half of the fingerprint of the stream, and since when what it adds counts to how fast it grows.
    pub(crate) member: (u64, u64),
    /// Where the open window begins.
    pub(crate) window_start: u64,
    /// The gap after which a session ends; 0 where windows are no sessions.
    pub(crate) gap: u64,
    /// Whether levels stay until they are replaced.
    pub(crate) carries: bool,
    pub(crate) needs: crate::accumulator::Needs,
    pub(crate) max_scale: i32,
}

impl Window {
    pub(crate) fn is_empty(&self) -> bool {
        self.points == 0
    }

    /// Whether it says nothing at all, not even how long a level was held.
    pub(crate) fn is_nothing(&self) -> bool {
        self.points == 0 && self.accumulator.is_empty() && self.members.is_none()
    }

    /// Bytes on the heap, roughly.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.accumulator.heap_bytes() + self.members.as_ref().map_or(0, |members| members.bytes())
    }

    /// How many streams had data points.
    pub(crate) fn streams(&self) -> u64 {
        self.members.as_ref().map_or(u64::from(self.series), |members| members.count() as u64)
    }

    /// Adds a later window, or a later part of the same one.
    pub(crate) fn merge(&mut self, other: &Window, max_scale: i32) -> Result<(), Incompatible> {
        let series = self.series.max(other.series);
        self.add(other, series, max_scale)
    }

    /// Adds what other streams added to the same window.
    fn unite(&mut self, other: &Window, max_scale: i32) -> Result<(), Incompatible> {
        let series = self.series.saturating_add(other.series);
        self.add(other, series, max_scale)
    }

    fn add(&mut self, other: &Window, series: u32, max_scale: i32) -> Result<(), Incompatible> {
        // One without data points may still say how long a level was held, and which streams ended.
        if other.points > 0 {
            if self.points == 0 {
                (self.first, self.last) = (other.first, other.last);
            }
            self.points += other.points;
            self.series = series;
            self.first = self.first.min(other.first);
            self.last = self.last.max(other.last);
        }
        if let Some(members) = &other.members {
            self.members.get_or_insert_default().merge(members);
        }
        self.accumulator.merge(&other.accumulator, max_scale)
    }

    /// Begins anew. Levels that are carried stay.
    pub(crate) fn reset(&mut self, carries: bool) {
        let carried = match (&mut self.accumulator, carries) {
            (Accumulator::Level(level), true) => Accumulator::Level(Box::new(Level {
                series: level.series,
                latest: level.latest,
                ..Level::default()
            })),
            _ => Accumulator::Empty,
        };
        *self = Window { accumulator: carried, ..Window::default() };
    }

    pub(crate) fn take(&mut self, change: &Change<'_>, frame: Frame) -> Result<(), Incompatible> {
        let time = frame.time;
        if frame.needs.members {
            self.note(change, frame);
        }
        match change {
            Change::Increment { value, .. } => self.accumulator.add(value, frame.max_scale)?,
            // What adds nothing is there nevertheless.
            Change::Baseline { nothing } => self.accumulator.add(nothing, frame.max_scale)?,
            Change::Level { value, before } => self.take_level(*value, *before, frame)?,
            Change::Summary(bytes) => {
                let newest = Accumulator::Summary(Box::new((time, (*bytes).into())));
                self.accumulator.merge(&newest, frame.max_scale)?;
            }
            Change::Ended { before } => {
                if let Some((since, value)) = before
                    && frame.before != 0
                    && (frame.carries || *since > frame.window_start)
                    && let Some(level) = self.accumulator.level()
                {
                    level.leave(*value);
                }
                return Ok(());
            }
        }
        self.series += u32::from(frame.before == 0 || frame.before <= frame.window_start);
        let from = match change {
            // In a session no further back than it reaches, in a correction than a window does.
            Change::Increment { from, .. } if *from != 0 => {
                (*from).max(time.saturating_sub(frame.gap.max(1)))
            }
            _ => time.saturating_sub(1),
        };
        self.first = if self.points == 0 { from } else { self.first.min(from) };
        self.last = self.last.max(time);
        self.points += 1;
        Ok(())
    }

    /// Notes what the stream did.
    fn note(&mut self, change: &Change<'_>, frame: Frame) {
        let (time, (stream, before)) = (frame.time, frame.member);
        let members = self.members.get_or_insert_default();
        match change {
            Change::Increment { value: Value::Number(number), .. } => {
                members.grow(stream, before, time, as_double(*number));
            }
            Change::Level { value, .. } => members.level(stream, time, *value),
            Change::Ended { .. } => members.end(stream, time),
            _ => members.grow(stream, before, time, 0.0),
        }
    }

    fn take_level(
        &mut self,
        value: Number,
        before: Option<(u64, Number)>,
        frame: Frame,
    ) -> Result<(), Incompatible> {
        let level = self.accumulator.level().ok_or(Incompatible)?;
        let before = before.filter(|_| frame.before != 0);
        let replaces = before.filter(|(since, _)| frame.carries || *since > frame.window_start);
        level.take(frame.time, value, replaces.map(|(_, value)| value), frame.needs);
        if let Some((since, value)) = before.filter(|_| frame.needs.time_weighted) {
            level.hold(value, frame.time.saturating_sub(since.max(frame.window_start)));
        }
        Ok(())
    }

    /// A level was held until the window ended, without a data point.
    pub(crate) fn hold_until(&mut self, end: u64, since: u64, value: Number, window_start: u64) {
        if let Some(level) = self.accumulator.level() {
            level.hold(value, end.saturating_sub(since.max(window_start)));
        }
    }
}

impl Frame {
    /// Of an increment of a stream, whose data point before it was at `before`, in a window that is no session.
    pub(crate) fn of_increments(time: u64, before: u64, window_start: u64) -> Frame {
        let needs = crate::accumulator::Needs::default();
        Frame {
            time,
            before,
            member: (0, 0),
            window_start,
            gap: 0,
            carries: false,
            needs,
            max_scale: MAX_SCALE,
        }
    }
}

/// Since when a series counts that a change comes to first.
pub(crate) fn since(change: &Change<'_>, frame: &Frame) -> u64 {
    match change {
        Change::Increment { from: 0, .. } => frame.window_start,
        Change::Increment { from, .. } => *from,
        Change::Level { .. } | Change::Ended { .. } => frame.time.saturating_sub(1),
        _ => frame.time,
    }
}

impl Series {
    pub(crate) fn new(head: Arc<Head>, attributes: Box<[u8]>, more: Option<Box<More>>) -> Series {
        Series {
            head,
            attributes,
            streams: 0,
            live: 0,
            ended: false,
            is_sample: false,
            start: u64::MAX,
            window: Window::default(),
            running: Accumulator::default(),
            more,
        }
    }

    /// Whether the histograms of a further stream go together with those of the others; then what they have in common is all
    /// that is kept.
    pub(crate) fn join(&mut self, value: &Value) -> bool {
        let Value::Explicit(histogram) = value else { return true };
        // Few series are histograms with bounds.
        let own = &mut self.more.get_or_insert_default().bounds;
        let Some(bounds) = own else {
            *own = Some(histogram.bounds.clone());
            return true;
        };
        if **bounds == *histogram.bounds {
            return true;
        }
        let common = bounds.iter().copied().filter(|bound| histogram.bounds.contains(bound));
        let common: Arc<[f64]> = common.collect();
        if common.is_empty() {
            return false;
        }
        *bounds = common;
        true
    }

    /// Takes a data point into the open window, or into its session.
    pub(crate) fn take(&mut self, change: &Change<'_>, frame: Frame) -> Result<(), Incompatible> {
        if self.running.is_empty() {
            self.start = self.start.min(since(change, &frame));
        }
        if frame.gap > 0 {
            return self.take_session(change, frame);
        }
        self.window.take(change, frame)
    }

    /// Takes what several streams added to the open window.
    pub(crate) fn unite(&mut self, pending: &Pending, max_scale: i32) -> Result<(), Incompatible> {
        if self.running.is_empty() {
            self.start = self.start.min(pending.start);
        }
        self.window.unite(&pending.window, max_scale)
    }

    /// Takes an increment of the window that ended at `end`, which was let out.
    pub(crate) fn correct(
        &mut self,
        end: u64,
        change: &Change<'_>,
        frame: Frame,
    ) -> Result<(), Incompatible> {
        let corrections = &mut self.more.get_or_insert_default().corrections;
        let place = corrections.partition_point(|(other, _)| *other < end);
        if corrections.get(place).is_none_or(|(other, _)| *other != end) {
            corrections.insert(place, (end, Window::default()));
        }
        corrections[place].1.take(change, frame)
    }

    fn take_session(&mut self, change: &Change<'_>, frame: Frame) -> Result<(), Incompatible> {
        let sessions = &mut self.more.get_or_insert_default().sessions;
        let Frame { time, gap, .. } = frame;
        let meets = |session: &Session| {
            time.saturating_add(gap) >= session.earliest && time <= session.window.last.saturating_add(gap)
        };
        let Some(index) = sessions.iter().position(meets) else {
            let mut window = Window::default();
            window.take(change, Frame { window_start: time.saturating_sub(1), ..frame })?;
            if !window.is_empty() {
                let place = sessions.partition_point(|other| other.window.last < time);
                sessions.insert(place, Session { earliest: time, window });
            }
            return Ok(());
        };
        let session = &mut sessions[index];
        let window_start = session.earliest.saturating_sub(1);
        session.window.take(change, Frame { window_start, ..frame })?;
        if !matches!(change, Change::Ended { .. }) {
            session.earliest = session.earliest.min(time);
        }
        // It may have closed the gap to the next one.
        let last = session.window.last;
        if sessions.get(index + 1).is_some_and(|next| last.saturating_add(gap) >= next.earliest) {
            let next = sessions.remove(index + 1);
            sessions[index].window.merge(&next.window, frame.max_scale)?;
        }
        Ok(())
    }

    /// Takes the exemplars that `take` takes out of those of open windows.
    pub(crate) fn take_examples(&mut self, take: impl FnOnce(&mut Examples) -> Vec<Example>) -> Vec<Example> {
        let examples = self.more.as_deref_mut().and_then(|more| more.examples.as_deref_mut());
        examples.map(take).unwrap_or_default()
    }

    /// Whether nothing is left that will come out.
    pub(crate) fn is_empty(&self) -> bool {
        let more = self.more.as_deref();
        self.window.is_empty()
            && !self.ended
            && more.is_none_or(|more| {
                more.tiers.iter().all(Window::is_empty)
                    && more.parts.iter().all(Window::is_empty)
                    && more.sessions.is_empty()
                    && more.corrections.is_empty()
            })
    }

    /// Bytes that it takes, without what it shares.
    pub(crate) fn bytes(&self) -> usize {
        let windows = self.more.iter().flat_map(|more| {
            let corrections = more.corrections.iter().map(|(_, window)| window);
            let sessions = more.sessions.iter().map(|session| &session.window);
            more.tiers.iter().chain(&more.parts).chain(sessions).chain(corrections)
        });
        let windows: usize = windows.map(|window| size_of::<Window>() + window.heap_bytes()).sum();
        size_of::<Series>()
            + self.attributes.len()
            + self.window.heap_bytes()
            + self.running.heap_bytes()
            + self.more.as_ref().map_or(0, |more| {
                size_of::<More>() + more.examples.as_ref().map_or(0, |examples| examples.bytes())
            })
            + windows
    }
}

impl Head {
    /// Bytes that it takes.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        let texts = [
            &self.resource,
            &self.resource_schema,
            &self.scope,
            &self.scope_schema,
            &self.name,
            &self.description,
            &self.unit,
        ];
        size_of::<Head>() + 16 + texts.iter().map(|text| text.len()).sum::<usize>()
    }
}
