//! Whatever comes when, nothing appears, vanishes, overtakes or grows too large, and everybody is answered.

use std::task::{Context, Poll, Waker};

use phoenix_component::{Ack, AckWait, Drained, Held, Now, Output, Refusal, Stage};
use phoenix_config::GoDuration;
use proptest::prelude::*;

use super::*;

/// One tenant is one too many.
const LIMIT: usize = TENANTS - 1;

/// Who sends; with metadata keys their data is never in one batch.
const TENANTS: usize = 4;

#[derive(Clone, Debug)]
enum Step {
    /// Items, whether the sender waits, and which tenant it is.
    Send(usize, bool, usize),
    Advance(u64),
    AllWait,
    /// Other settings from here on.
    Swap(Box<BatchConfig>),
    Drain,
}

fn configs() -> impl Strategy<Value = BatchConfig> {
    let sizes = prop_oneof![Just((0, 0)), (0u32..20, 0u32..10).prop_map(|(size, more)| (size, size + more))];
    let bytes =
        prop_oneof![Just((0, 0)), (0usize..150, 0usize..100).prop_map(|(size, more)| (size, size + more))];
    (0u32..50, sizes, bytes, any::<bool>()).prop_map(|(timeout, sizes, bytes, keyed)| BatchConfig {
        timeout: GoDuration::from_millis(timeout),
        send_batch_size: sizes.0,
        send_batch_max_size: sizes.1,
        send_batch_bytes: bytes.0,
        send_batch_max_bytes: bytes.1,
        metadata_keys: if keyed { vec!["Tenant".to_owned()] } else { Vec::new() },
        metadata_cardinality_limit: LIMIT,
        ..BatchConfig::default()
    })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0usize..25, any::<bool>(), 0..TENANTS)
            .prop_map(|(items, waits, tenant)| Step::Send(items, waits, tenant)),
        4 => (0u64..60).prop_map(Step::Advance),
        1 => Just(Step::AllWait),
        1 => configs().prop_map(|config| Step::Swap(Box::new(config))),
        1 => Just(Step::Drain),
    ];
    prop::collection::vec(step, 1..40)
}

fn tenant_of(client: &ClientInfo) -> usize {
    assert!(client.address.is_none() && client.metadata.len() == 1, "nothing else is passed on");
    client.metadata("TENANT").next().and_then(|tenant| tenant.parse().ok()).expect("a tenant")
}

struct Run {
    config: BatchConfig,
    partition: Arc<dyn phoenix_component::Partition>,
    stage: Box<dyn Stage>,
    now: Duration,
    sent: i64,
    received: Vec<i64>,
    /// The combination of each item, in the order in which they were taken.
    combinations: Vec<Option<usize>>,
    /// Tenants that the partition knows, if it keeps them apart.
    known: std::collections::BTreeSet<usize>,
    was_keyed: bool,
    waits: Vec<AckWait>,
    /// Requests that wait by the books of the stage.
    waiting: usize,
    released: usize,
}

impl Run {
    fn new(config: BatchConfig) -> Run {
        let mut spec = stage(&config, &Metrics::default(), "batch");
        let stage = spec.shards.pop().expect("one shard");
        Run {
            was_keyed: !config.metadata_keys.is_empty(),
            config,
            partition: spec.partition,
            stage,
            now: Duration::ZERO,
            sent: 0,
            received: Vec::new(),
            combinations: Vec::new(),
            known: std::collections::BTreeSet::new(),
            waits: Vec::new(),
            waiting: 0,
            released: 0,
        }
    }

    fn now(&self) -> Now {
        Now { monotonic: self.now, unix_nanos: 0 }
    }

    fn call(&mut self, act: impl FnOnce(&mut dyn Stage, Now, &mut Output)) {
        let (mut out, now) = (Output::with_room(2), self.now());
        act(&mut *self.stage, now, &mut out);
        for Fragment { batch, ack } in out.take_batches() {
            self.check(&batch);
            assert_eq!(batch.waiting > 0 || ack.is_awaited(), ack.is_awaited());
            self.waiting -= batch.waiting;
            self.released += 1;
            let came = numbers(&batch.payload);
            let tenant = batch.client.as_deref().map(tenant_of);
            assert!(came.iter().all(|number| self.combinations[*number as usize] == tenant), "kept apart");
            self.received.extend(came);
            // Every third delivery fails.
            let outcome = match self.released % 3 {
                0 => Err(Refusal::retryable("backend", "not now")),
                _ => Ok(()),
            };
            ack.resolve(outcome);
        }
        let held = self.stage.held();
        assert_eq!(self.received.len() as u64 + held.items, self.sent as u64, "conserved");
        assert_eq!(held.items == 0, held.bytes == 0);
    }

    fn check(&self, batch: &Batch) {
        assert_eq!(phoenix_pdata::count_items(Signal::Logs, &batch.payload), batch.items);
        let config = &self.config;
        if config.send_batch_max_size > 0 {
            assert!(batch.items <= u64::from(config.send_batch_max_size), "{} items", batch.items);
        }
        if config.send_batch_max_bytes > 0 {
            let bytes = batch.payload.len();
            assert!(bytes <= config.send_batch_max_bytes || batch.items == 1, "{bytes} bytes");
        }
    }

    fn run_due(&mut self) {
        for _ in 0..1000 {
            if self.stage.wake_at().is_none_or(|at| at > self.now) {
                return self.check_nothing_is_late();
            }
            self.call(|stage, now, out| stage.tick(now, out));
        }
        panic!("called again without end");
    }

    /// What is enough for a batch is out, however often the output was full.
    fn check_nothing_is_late(&self) {
        let (held, config) = (self.stage.held(), &self.config);
        let has_size = config.send_batch_size > 0 || config.send_batch_bytes > 0;
        if config.timeout.is_zero() || !has_size {
            assert_eq!(held, Held::default());
        }
        // Each combination has its own.
        let open = if self.was_keyed { TENANTS + 1 } else { 1 };
        if config.send_batch_size > 0 {
            assert!(held.items == 0 || held.items < u64::from(config.send_batch_size) * open as u64);
        }
        if config.send_batch_bytes > 0 {
            assert!(held.bytes == 0 || held.bytes < config.send_batch_bytes * open);
        }
    }

    fn advance(&mut self, to: Duration) {
        while let Some(at) = self.stage.wake_at().filter(|at| *at <= to) {
            self.now = self.now.max(at);
            self.run_due();
        }
        self.now = to;
        if self.stage.held() != Held::default() {
            let wake_at = self.stage.wake_at().expect("what is held is due some time");
            assert!(wake_at <= self.now + self.config.timeout.as_duration());
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Send(items, waits, tenant) => {
                let client = client(&[("x", "1"), ("tenant", &tenant.to_string())]);
                let batch = Batch { client, ..logs(self.sent..self.sent + items as i64) };
                let (ack, wait) = Ack::pair();
                let mut fragments = Vec::new();
                let taken = self.partition.prepare(batch, &mut |_, fragment| fragments.push(fragment));
                let keyed = !self.config.metadata_keys.is_empty() && items > 0;
                if keyed && !self.known.contains(&tenant) && self.known.len() == LIMIT {
                    assert!(!taken.expect_err("one combination too many").is_retryable());
                    assert!(fragments.is_empty());
                    return;
                }
                taken.expect("taken");
                if keyed {
                    self.known.insert(tenant);
                }
                self.sent += items as i64;
                self.combinations.extend(std::iter::repeat_n(keyed.then_some(tenant), items));
                for mut batch in fragments {
                    batch.waiting = usize::from(waits);
                    self.waiting += batch.waiting;
                    let ack = if waits { ack.split() } else { Ack::none() };
                    let fragment = Fragment { batch, ack };
                    self.call(|stage, now, out| stage.ingest(fragment, now, out));
                }
                ack.resolve(Ok(()));
                self.waits.push(wait);
                self.run_due();
            }
            Step::Advance(millis) => self.advance(self.now + Duration::from_millis(millis)),
            Step::AllWait => self.call(|stage, now, out| stage.all_wait(now, out)),
            Step::Swap(config) => {
                let mut next = Run::new(*config);
                let adoption = next.stage.adopt(&mut *self.stage);
                assert_eq!(adoption, phoenix_component::Adoption::Kept);
                assert_eq!(self.stage.held(), Held::default());
                self.call_drain();
                self.was_keyed |= next.was_keyed;
                (self.config, self.partition, self.stage) = (next.config, next.partition, next.stage);
                self.known.clear();
                self.run_due();
            }
            Step::Drain => self.call_drain(),
        }
    }

    fn call_drain(&mut self) {
        // A stage that was adopted from is drained too, and has nothing: count what its successor holds.
        if self.stage.held() == Held::default() {
            let mut out = Output::with_room(2);
            let now = self.now();
            assert_eq!(self.stage.drain(now, &mut out), Drained::Done);
            assert!(out.take_batches().is_empty());
            assert_eq!(self.stage.wake_at(), None);
            return;
        }
        let mut drained = Drained::More;
        for _ in 0..10_000 {
            self.call(|stage, now, out| drained = stage.drain(now, out));
            if drained == Drained::Done {
                return;
            }
        }
        panic!("drains without end");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn items_are_conserved_in_order_and_everybody_is_answered(config in configs(), steps in steps()) {
        let mut run = Run::new(config);
        for step in steps {
            run.step(step);
        }
        run.call_drain();
        prop_assert_eq!(run.stage.held(), Held::default());
        let mut received = run.received.clone();
        for tenant in (0..TENANTS).map(Some).chain([None]) {
            let of_tenant = received.iter().filter(|number| run.combinations[**number as usize] == tenant);
            prop_assert!(of_tenant.is_sorted(), "in order");
        }
        received.sort_unstable();
        prop_assert_eq!(&received, &(0..run.sent).collect::<Vec<_>>(), "all of it, once");
        prop_assert_eq!(run.waiting, 0);
        for mut wait in run.waits {
            match std::pin::Pin::new(&mut wait).poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Err(refusal)) => prop_assert_eq!(refusal.reason(), "backend"),
                Poll::Ready(Ok(())) => {}
                Poll::Pending => prop_assert!(false, "somebody was never answered"),
            }
        }
    }
}
