//! When batches are sent: the stage, one shard for each pipeline.

use std::any::Any;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use phoenix_component::{Adoption, ClientInfo, Drained, Fragment, Held, Now, Output, Stage};
use phoenix_telemetry::Counter;

use crate::BatchConfig;
use crate::metrics::BatchMetrics;
use crate::open::{Most, Open};

/// The settings in the form that is asked for with every request.
#[derive(Clone, Copy, Debug)]
struct Rules {
    timeout: Duration,
    /// Whether data waits for more at all.
    waits: bool,
    /// Items and bytes from which on a batch is sent.
    enough: Most,
    most: Most,
}

impl Rules {
    fn new(config: &BatchConfig) -> Rules {
        let or_unlimited = |items: u32| if items == 0 { u64::MAX } else { u64::from(items) };
        let or_any = |bytes: usize| if bytes == 0 { usize::MAX } else { bytes };
        let has_size = config.send_batch_size > 0 || config.send_batch_bytes > 0;
        Rules {
            timeout: config.timeout.as_duration(),
            waits: config.timeout.is_positive() && has_size,
            enough: Most {
                items: or_unlimited(config.send_batch_size),
                bytes: or_any(config.send_batch_bytes),
            },
            most: Most {
                items: or_unlimited(config.send_batch_max_size),
                bytes: or_any(config.send_batch_max_bytes),
            },
        }
    }

    /// Whether a batch goes out whatever the time.
    fn is_enough(&self, open: &Open) -> bool {
        let full = open.items() >= self.enough.items
            || open.bytes() >= self.enough.bytes
            || open.items() > self.most.items
            || open.bytes() > self.most.bytes;
        !open.is_empty() && (full || !self.waits)
    }

    fn due(&self, open: &Open) -> Duration {
        open.since().saturating_add(self.timeout)
    }
}

/// The client metadata that batches of one kind have in common, compared by content.
#[derive(Clone, Debug)]
struct Combination(Option<Arc<ClientInfo>>);

impl Combination {
    fn metadata(&self) -> Option<&[(String, String)]> {
        self.0.as_ref().map(|client| client.metadata.as_slice())
    }
}

impl Ord for Combination {
    fn cmp(&self, other: &Combination) -> Ordering {
        match (&self.0, &other.0) {
            (Some(a), Some(b)) if Arc::ptr_eq(a, b) => Ordering::Equal,
            _ => self.metadata().cmp(&other.metadata()),
        }
    }
}

impl PartialOrd for Combination {
    fn partial_cmp(&self, other: &Combination) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Combination {
    fn eq(&self, other: &Combination) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Combination {}

/// The batches in the making of one pipeline.
pub(crate) struct BatchStage {
    rules: Rules,
    open: BTreeMap<Combination, Open>,
    held: Held,
    /// No open batch is due earlier. May be too early, never too late.
    next_due: Option<Duration>,
    /// Batches that go out whatever the time, and found the output full.
    is_behind: bool,
    metrics: BatchMetrics,
}

impl BatchStage {
    pub(crate) fn new(config: &BatchConfig, metrics: BatchMetrics) -> BatchStage {
        BatchStage {
            rules: Rules::new(config),
            open: BTreeMap::new(),
            held: Held::default(),
            next_due: None,
            is_behind: false,
            metrics,
        }
    }

    /// Lets out what `wants` of each open batch says, until the output is full. True where all of it is out.
    fn send(
        &mut self,
        now: Duration,
        out: &mut Output,
        trigger: fn(&BatchMetrics) -> &Counter,
        wants: impl Fn(&Rules, &Open) -> bool,
    ) -> bool {
        let pass = Pass { rules: self.rules, metrics: &self.metrics, trigger, now, wants };
        let held = &mut self.held;
        let done = self.open.values_mut().all(|open| pass.over(open, held, out));
        self.forget_empty();
        done
    }

    /// Open batches of metadata are as many as the combinations; those of one that has nothing are let go.
    fn forget_empty(&mut self) {
        self.open.retain(|combination, open| combination.0.is_none() || !open.is_empty());
        let due = |open: &Open| self.rules.due(open);
        self.next_due = self.open.values().filter(|open| !open.is_empty()).map(due).min();
    }
}

/// One look at open batches: what goes out, and why.
struct Pass<'a, W> {
    rules: Rules,
    metrics: &'a BatchMetrics,
    trigger: fn(&BatchMetrics) -> &Counter,
    now: Duration,
    wants: W,
}

impl<W: Fn(&Rules, &Open) -> bool> Pass<'_, W> {
    /// Cuts batches off `open` while that is wanted. False where the output is full first.
    fn over(&self, open: &mut Open, held: &mut Held, out: &mut Output) -> bool {
        while !open.is_empty() && (self.wants)(&self.rules, open) {
            if out.is_full() {
                return false;
            }
            let (items, bytes) = (open.items(), open.bytes());
            let Some(cut) = open.cut(self.rules.most) else { break };
            // Cutting through a fragment repeats its resource and scope, so bytes can come to be.
            held.items = held.items + open.items() - items;
            held.bytes = held.bytes + open.bytes() - bytes;
            (self.trigger)(self.metrics).add(1);
            if cut.oversized {
                self.metrics.oversized.add(1);
            }
            self.metrics.sent(cut.fragment.batch.items, cut.fragment.batch.payload.len());
            out.send(cut.fragment.batch, cut.fragment.ack);
            if !(self.wants)(&self.rules, open) {
                open.restart(self.now);
            }
        }
        true
    }
}

impl Stage for BatchStage {
    fn ingest(&mut self, fragment: Fragment, now: Now, out: &mut Output) {
        let now = now.monotonic;
        self.held.items += fragment.batch.items;
        self.held.bytes += fragment.batch.payload.len();
        let combination = Combination(fragment.batch.client.clone());
        let open = self.open.entry(combination).or_default();
        open.push(fragment, now);
        if self.rules.is_enough(open) {
            let pass = Pass {
                rules: self.rules,
                metrics: &self.metrics,
                trigger: |metrics| &metrics.size_trigger,
                now,
                wants: Rules::is_enough,
            };
            self.is_behind |= !pass.over(open, &mut self.held, out);
            self.forget_empty();
        } else if self.next_due.is_none() {
            self.next_due = Some(self.rules.due(open));
        }
    }

    fn tick(&mut self, now: Now, out: &mut Output) {
        let now = now.monotonic;
        self.is_behind = !self.send(now, out, |metrics| &metrics.size_trigger, Rules::is_enough);
        let is_due = |rules: &Rules, open: &Open| rules.due(open) <= now;
        self.send(now, out, |metrics| &metrics.timeout_trigger, is_due);
    }

    fn all_wait(&mut self, now: Now, out: &mut Output) {
        self.send(now.monotonic, out, |metrics| &metrics.wait_trigger, |_, open| open.is_awaited());
    }

    fn drain(&mut self, now: Now, out: &mut Output) -> Drained {
        let done = self.send(now.monotonic, out, |metrics| &metrics.timeout_trigger, |_, _| true);
        if done { Drained::Done } else { Drained::More }
    }

    fn wake_at(&self) -> Option<Duration> {
        if self.is_behind { Some(Duration::ZERO) } else { self.next_due }
    }

    fn held(&self) -> Held {
        self.held
    }

    /// Batches in the making go on under the new settings, whatever changed.
    fn adopt(&mut self, old: &mut dyn Stage) -> Adoption {
        let Some(old) = old.as_any().downcast_mut::<BatchStage>() else { return Adoption::Rebuilt };
        for (combination, open) in std::mem::take(&mut old.open) {
            let mine = self.open.entry(combination).or_default();
            let newer = std::mem::replace(mine, open);
            mine.append(newer);
            self.is_behind |= self.rules.is_enough(mine);
        }
        let held = std::mem::take(&mut old.held);
        self.held.items += held.items;
        self.held.bytes += held.bytes;
        old.forget_empty();
        old.is_behind = false;
        self.forget_empty();
        Adoption::Kept
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}
