//! The stage: takes data points that are replaced by later ones, and lets the newest of each stream out.

use std::any::Any;
use std::time::Duration;

use bytes::Bytes;
use phoenix_component::{Ack, Adoption, Batch, Drained, Fragment, Held, Now, Output, Stage};
use phoenix_pdata::{Editor, Payload, Signal, count_items, prune, view};
use phoenix_series::Hasher;

use crate::config::{IntervalConfig, PassThrough};
use crate::latest::{Around, Kept, Latest};
use crate::leaving::Leaving;
use crate::metrics::IntervalMetrics;
use crate::reading::Read;

/// The `interval` processor of one pipeline.
pub(crate) struct IntervalStage {
    interval: Duration,
    pass_through: PassThrough,
    max_streams: usize,
    hasher: Hasher,
    latest: Latest,
    leaving: Option<Leaving>,
    /// When the newest data points go out next; none before the first data.
    due: Option<Duration>,
    /// Data points that were replaced when state was taken over, for the books.
    replaced: u64,
    metrics: IntervalMetrics,
}

/// What became of the data points of a request.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    /// Those that were replaced, or came too late to be kept.
    absorbed: u64,
    overflow: u64,
    stayed: usize,
}

impl IntervalStage {
    pub(crate) fn new(config: &IntervalConfig, metrics: IntervalMetrics, seed: u64) -> IntervalStage {
        IntervalStage {
            interval: config.interval.as_duration(),
            pass_through: config.pass_through.clone(),
            max_streams: config.max_streams,
            hasher: Hasher::new(seed),
            latest: Latest::new(config.max_streams),
            leaving: None,
            due: None,
            replaced: 0,
            metrics,
        }
    }

    /// Takes what is thinned out of a batch. Returns what is left.
    fn consume(&mut self, batch: Batch, out: &mut Output) -> Option<Batch> {
        let (mut tally, mut rest, mut is_cut) = (Tally::default(), Payload::default(), false);
        for piece in batch.payload.clone() {
            let mut editor = Editor::new(&piece);
            let stayed_before = tally.stayed;
            self.consume_piece(&piece, &mut editor, &mut tally);
            if editor.is_unchanged() {
                rest.append(Payload::from(piece));
                continue;
            }
            is_cut = true;
            if tally.stayed > stayed_before
                && let Some(edited) = editor.finish()
            {
                rest.append(Payload::from(Bytes::from(edited)));
            }
        }
        out.absorbed(tally.absorbed);
        self.metrics.overflow.add(tally.overflow);
        if !is_cut {
            return Some(batch);
        }
        let payload = prune(Signal::Metrics, rest);
        let items = count_items(Signal::Metrics, &payload);
        (items > 0).then(|| Batch { payload, items, ..batch })
    }

    fn consume_piece<'a>(&mut self, piece: &'a [u8], editor: &mut Editor<'a>, tally: &mut Tally) {
        for entry in view::resource_metrics(piece) {
            let mut resource: Option<Around> = None;
            for scope_entry in entry.scopes() {
                let mut scope: Option<Around> = None;
                for metric in scope_entry.records() {
                    let read = Read::of(&metric).filter(|read| !read.passes(&self.pass_through));
                    let count = metric.data().map_or(0, |data| data.count());
                    let Some(read) = read.filter(|_| count > 0) else {
                        tally.stayed += count;
                        continue;
                    };
                    let resource =
                        *resource.get_or_insert_with(|| self.latest.resource(&mut self.hasher, &entry));
                    let scope = *scope
                        .get_or_insert_with(|| self.latest.scope(&mut self.hasher, resource, &scope_entry));
                    let around = self.latest.metric(&self.hasher, scope, &metric, read.field);
                    let full = self.keep(read, around, editor, tally);
                    if full == 0 {
                        // Within what goes as a whole no other change counts.
                        editor.remove(metric.raw());
                    }
                    tally.stayed += full;
                }
            }
        }
    }

    /// Keeps the data points of a metric. Returns how many there is no room for.
    fn keep<'a>(
        &mut self,
        read: Read<'a>,
        around: Around,
        editor: &mut Editor<'a>,
        tally: &mut Tally,
    ) -> usize {
        let mut full = 0;
        let mut kept: Vec<&[u8]> = Vec::new();
        read.each_point(|point| {
            let key = point.key(&mut self.hasher, around.id);
            match self.latest.take(around, key, point.time, point.raw) {
                Kept::First => {}
                Kept::Newer | Kept::Older => tally.absorbed += 1,
                Kept::Full => {
                    full += 1;
                    return;
                }
            }
            kept.push(point.raw);
        });
        if full > 0 {
            for point in kept {
                editor.remove(point);
            }
            tally.overflow += full as u64;
        }
        full
    }

    /// Lets out what is due. What is left is due at once.
    fn export(&mut self, now: Now, out: &mut Output) {
        out.absorbed(std::mem::take(&mut self.replaced));
        let due = *self.due.get_or_insert(now.monotonic + self.interval);
        // The interval may have become shorter.
        let due = due.min(now.monotonic + self.interval);
        self.due = Some(due);
        if due <= now.monotonic && self.leaving.is_none() {
            // The next one is on the same grid, whatever was missed.
            let behind = (now.monotonic - due).as_nanos() / self.interval.as_nanos().max(1);
            let steps = u32::try_from(behind + 1).unwrap_or(u32::MAX);
            self.due = Some(due + self.interval.saturating_mul(steps));
            self.leave();
        }
        self.send(out);
    }

    fn leave(&mut self) {
        if !self.latest.is_empty() {
            let latest = std::mem::replace(&mut self.latest, Latest::new(self.max_streams));
            self.leaving = Some(Leaving::new(latest));
        }
    }

    fn send(&mut self, out: &mut Output) {
        while let Some(leaving) = self.leaving.as_mut().filter(|_| !out.is_full()) {
            match leaving.next() {
                Some(request) => {
                    let payload = Payload::from(Bytes::from(request.bytes));
                    let batch = Batch::new(Signal::Metrics, payload, request.points);
                    out.send(Batch { waiting: 0, ..batch }, Ack::none());
                }
                None => self.leaving = None,
            }
        }
        self.metrics.streams.set(i64::try_from(self.latest.points()).unwrap_or(i64::MAX));
    }
}

impl Stage for IntervalStage {
    fn ingest(&mut self, fragment: Fragment, now: Now, out: &mut Output) {
        self.export(now, out);
        let Fragment { batch, ack } = fragment;
        match self.consume(batch, out) {
            Some(rest) => out.send(rest, ack),
            None => ack.resolve(Ok(())),
        }
        self.metrics.streams.set(i64::try_from(self.latest.points()).unwrap_or(i64::MAX));
    }

    fn tick(&mut self, now: Now, out: &mut Output) {
        self.export(now, out);
    }

    fn drain(&mut self, _now: Now, out: &mut Output) -> Drained {
        out.absorbed(std::mem::take(&mut self.replaced));
        self.send(out);
        if self.leaving.is_none() {
            self.leave();
            self.send(out);
        }
        if self.leaving.is_none() { Drained::Done } else { Drained::More }
    }

    fn wake_at(&self) -> Option<Duration> {
        match (&self.leaving, self.latest.is_empty()) {
            (Some(_), _) => Some(Duration::ZERO),
            (None, true) => None,
            (None, false) => self.due,
        }
    }

    fn held(&self) -> Held {
        let (points, bytes) = self.leaving.as_ref().map_or((0, 0), Leaving::held);
        Held { items: self.latest.points() + points, bytes: self.latest.bytes() + bytes }
    }

    fn adopt(&mut self, old: &mut dyn Stage) -> Adoption {
        let Some(old) = old.as_any().downcast_mut::<IntervalStage>() else { return Adoption::Rebuilt };
        let theirs = std::mem::replace(&mut old.latest, Latest::new(old.max_streams));
        // What came here before is newer than what is taken over, or else goes into it.
        self.hasher = old.hasher.clone();
        let mine = std::mem::replace(&mut self.latest, Latest::new(self.max_streams));
        let (mut gone, rest) = self.latest.absorb(&mut self.hasher, theirs);
        let (replaced, more) = self.latest.absorb(&mut self.hasher, mine);
        gone += replaced;
        // What there is no room for goes out: theirs by way of them, mine at once.
        if let Some(rest) = rest {
            old.latest = rest;
        }
        if let Some(more) = more {
            self.leaving = Some(Leaving::new(more));
        }
        self.replaced += gone;
        self.due = [self.due, old.due].into_iter().flatten().min();
        Adoption::Kept
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}
