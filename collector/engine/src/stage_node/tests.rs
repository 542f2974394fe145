use std::any::Any;
use std::sync::mpsc;

use bytes::Bytes;
use phoenix_component::{ComponentKey, Unpartitioned};
use phoenix_config::Kind;
use phoenix_pdata::{Payload, Signal};

use super::*;

type Hook = Arc<Mutex<Option<Box<dyn FnOnce() + Send>>>>;

/// Keeps what comes until it is told to let go; calls its hook whenever somebody asks what it holds.
#[derive(Default)]
struct Keep {
    kept: Vec<Fragment>,
    /// Items from which on it lets go by itself; 0 for never.
    enough: usize,
    /// What it keeps waits for its time, not for more to come.
    is_patient: bool,
    when_asked: Hook,
}

impl Stage for Keep {
    fn ingest(&mut self, fragment: Fragment, _: phoenix_component::Now, out: &mut Output) {
        self.kept.push(fragment);
        if self.kept.len() == self.enough {
            self.kept.drain(..).for_each(|fragment| out.send(fragment.batch, fragment.ack));
        }
    }

    fn tick(&mut self, _: phoenix_component::Now, _: &mut Output) {}

    fn drain(&mut self, _: phoenix_component::Now, out: &mut Output) -> Drained {
        self.kept.drain(..).for_each(|fragment| out.send(fragment.batch, fragment.ack));
        Drained::Done
    }

    fn wake_at(&self) -> Option<Duration> {
        None
    }

    fn held(&self) -> Held {
        let hook = self.when_asked.lock().unwrap().take();
        hook.into_iter().for_each(|hook| hook());
        Held { items: self.kept.iter().map(|fragment| fragment.batch.items).sum(), bytes: 0 }
    }

    fn fills_up(&self) -> bool {
        !self.is_patient
    }

    fn adopt(&mut self, old: &mut dyn Stage) -> Adoption {
        self.kept.append(&mut old.as_any().downcast_mut::<Keep>().unwrap().kept);
        Adoption::Kept
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

/// Where a stage lets out to.
#[derive(Default)]
struct Taken(AtomicUsize);

impl phoenix_component::Consumer for Taken {
    fn consume(self: Arc<Self>, batch: Batch) -> phoenix_component::BoxFuture<'static, Result<(), Refusal>> {
        self.0.fetch_add(batch.items as usize, Ordering::SeqCst);
        Box::pin(std::future::ready(Ok(())))
    }
}

fn node<C: phoenix_component::Consumer + 'static>(
    host: &Host,
    taken: &Arc<C>,
    stage: Keep,
) -> Arc<StageNode> {
    let outlet = Outlet::unwired(Signal::Traces);
    outlet.wire(Some(taken.clone()));
    let id: phoenix_config::ComponentId = "keep".parse().unwrap();
    let key = ComponentKey { kind: Kind::Processor, id: id.clone(), scope: String::new() };
    let spec = StageSpec {
        partition: Arc::new(Unpartitioned),
        shards: vec![Box::new(stage)],
        acknowledge: Acknowledge::Held,
    };
    let status = StatusReporter::detached(Kind::Processor, id);
    let meter = Meter::new(&host.metrics, &key);
    StageNode::new(spec, outlet, status, meter, host, Clock::start(), &Admission::default())
}

fn batch() -> Batch {
    Batch::new(Signal::Traces, Payload::from(Bytes::from_static(&[0; 8])), 1)
}

/// Runs `work` on a runtime of its own, on a thread of its own.
fn elsewhere<F: Future<Output = ()>>(work: impl FnOnce() -> F + Send + 'static) -> mpsc::Receiver<()> {
    let (done, is_done) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(work());
        let _ = done.send(());
    });
    is_done
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

#[tokio::test]
async fn a_request_that_comes_while_somebody_asks_what_is_held_is_not_left_lying() {
    let (host, taken) = (Host::for_tests(), Arc::new(Taken::default()));
    let hook = Hook::default();
    let node = node(&host, &taken, Keep { enough: 2, when_asked: hook.clone(), ..Keep::default() });
    node.take(batch()).await.expect("held");
    let sender = node.clone();
    *hook.lock().unwrap() = Some(Box::new(move || {
        let sent = elsewhere(|| async move { sender.take(batch()).await.expect("held") });
        sent.recv().unwrap();
    }));
    node.held();
    while node.undelivered.load(Ordering::Acquire) > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(taken.0.load(Ordering::SeqCst), 2, "the second completes the batch");
}

#[tokio::test]
async fn what_was_let_out_is_undelivered_before_the_shard_is_free() {
    let (host, taken) = (Host::for_tests(), Arc::new(Taken::default()));
    let node = node(&host, &taken, Keep::default());
    node.take(batch()).await.expect("held");
    // What `run` does, up to where its thread may be kept from going on.
    let shard = &node.shards[0];
    let mut out = Output::with_room(SLICE);
    let let_out = {
        let mut state = shard.state();
        state.drain(node.clock.now(), &mut out);
        node.account(shard, out)
    };
    let drained = tokio::spawn({
        let node = node.clone();
        async move { node.drain(soon()).await }
    });
    tokio::time::sleep(3 * DRAIN_POLL).await;
    assert!(!drained.is_finished(), "it waits for the delivery");
    node.send_off(let_out);
    assert_eq!(drained.await.unwrap(), Lost::default());
    assert_eq!(taken.0.load(Ordering::SeqCst), 1);
}

/// The drain of a node begins while its predecessor hands over to it.
#[tokio::test]
async fn what_is_handed_over_comes_before_the_end_of_the_heir() {
    let (host, taken) = (Host::for_tests(), Arc::new(Taken::default()));
    let hook = Hook::default();
    let old = node(&host, &taken, Keep { when_asked: hook.clone(), ..Keep::default() });
    let heir = node(&host, &taken, Keep::default());
    old.take(batch()).await.expect("held");
    let (ends, has_ended) = mpsc::channel();
    let ending = heir.clone();
    *hook.lock().unwrap() = Some(Box::new(move || {
        let ended = elsewhere(|| async move {
            let _ = ending.drain(soon()).await;
        });
        // It must not come to its end; one that does has all the time for it.
        let _ = ended.recv_timeout(Duration::from_millis(100));
        ends.send(ended).unwrap();
    }));
    old.hand_over(&heir);
    let ended = has_ended.recv().unwrap();
    while ended.try_recv() == Err(mpsc::TryRecvError::Empty) {
        tokio::task::yield_now().await;
    }
    assert_eq!((taken.0.load(Ordering::SeqCst), heir.held()), (1, Held::default()));
}

/// A backend that takes nothing for as long as the test runs.
struct Stuck;

impl phoenix_component::Consumer for Stuck {
    fn consume(self: Arc<Self>, _: Batch) -> phoenix_component::BoxFuture<'static, Result<(), Refusal>> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn senders_are_held_up_for_what_fills_up_and_not_for_what_waits_for_its_time() {
    for is_patient in [false, true] {
        let host = Host::for_tests();
        // Every third request lets out what there is, and the next one is held.
        let keep = Keep { enough: 3, is_patient, ..Keep::default() };
        let node = node(&host, &Arc::new(Stuck), keep);
        let rounds = host.cores.count() / 3 + 1;
        for _ in 0..3 * rounds {
            node.take(batch()).await.expect("held");
        }
        assert_eq!(node.undelivered.load(Ordering::Acquire), 3 * rounds, "more than every core delivers");
        assert!(!node.is_ahead(), "nothing is held beside that");
        node.take(batch()).await.expect("held");
        assert_eq!(
            node.is_ahead(),
            !is_patient,
            "more than a quarter of a batch is held; patient: {is_patient}"
        );
    }
}
