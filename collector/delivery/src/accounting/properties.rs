//! The books under random backends, limits, swaps and ends.

use phoenix_config::PresentBlock;
use proptest::prelude::*;

use super::*;
use crate::QueueBatchSettings;

fn answers() -> impl Strategy<Value = Vec<(Answer, u64)>> {
    let answer = prop_oneof![
        4 => Just(Answer::Take),
        1 => (0..9u64).prop_map(Answer::TakeBut),
        1 => (1..9u64, prop::bool::weighted(0.2)).prop_map(|(items, for_good)| Answer::Leave(items, for_good)),
        2 => Just(Answer::Busy(None)),
        1 => (1..40_000u64).prop_map(|millis| Answer::Busy(Some(millis))),
        1 => Just(Answer::Refuse),
        1 => Just(Answer::Hang),
    ];
    prop::collection::vec((answer, 0..3_000u64), 1..12)
}

fn queues() -> impl Strategy<Value = Option<QueueSettings>> {
    let sizer = prop_oneof![Just(Sizer::Requests), Just(Sizer::Items), Just(Sizer::Bytes)];
    let queue = (1..5i64, 1..60i64, sizer, any::<bool>(), any::<bool>(), batches()).prop_map(
        |(consumers, size, sizer, block_on_overflow, wait_for_result, batch)| QueueSettings {
            sizer: Some(sizer),
            block_on_overflow,
            wait_for_result,
            batch,
            ..queue(consumers, if sizer == Sizer::Bytes { 20 * size } else { size })
        },
    );
    prop::option::weighted(0.8, queue)
}

fn batches() -> impl Strategy<Value = PresentBlock<QueueBatchSettings>> {
    let sizer = prop_oneof![Just(Sizer::Items), Just(Sizer::Bytes)];
    let batch = (1..3_000u32, 0..30i64, 0..40i64, sizer).prop_map(|(millis, min, over, sizer)| {
        let unit = if sizer == Sizer::Bytes { 20 } else { 1 };
        let max = if over == 0 { 0 } else { unit * (min + over) };
        QueueBatchSettings {
            flush_timeout: GoDuration::from_millis(millis),
            min_size: Some(unit * min),
            max_size: Some(max),
            sizer: Some(sizer),
            ..QueueBatchSettings::default()
        }
    });
    prop_oneof![Just(PresentBlock::off()), batch.prop_map(PresentBlock::on)]
}

#[derive(Clone, Debug)]
enum Step {
    /// Offers batches of that many items, without waiting.
    Offer(Vec<u64>),
    /// Lets milliseconds pass.
    Pass(u64),
    /// Replaces the exporter by one with another queue; the old one gets that many milliseconds to end.
    Swap(Option<QueueSettings>, u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => prop::collection::vec(0..20u64, 1..12).prop_map(Step::Offer),
        3 => (0..20_000u64).prop_map(Step::Pass),
        1 => (queues(), 0..20_000u64).prop_map(|(queue, millis)| Step::Swap(queue, millis)),
    ];
    prop::collection::vec(step, 1..12)
}

/// What the senders heard.
#[derive(Default)]
struct Heard {
    accepted: BTreeMap<u64, u64>,
    /// Refused at the door, before anything was taken.
    turned_away: u64,
}

async fn run(script: Vec<(Answer, u64)>, first: Option<QueueSettings>, elapsed: u32, steps: Vec<Step>) {
    let rig = Rig::new(script);
    let with = |queue| {
        let mut settings = settings(queue);
        settings.retry.max_elapsed_time = GoDuration::from_secs(elapsed);
        Arc::new(rig.exporter(settings))
    };
    let mut exporter = with(first);
    let heard: Arc<Mutex<Heard>> = Arc::default();
    let (mut offered, mut next_id) = (0u64, 0u64);
    let (mut senders, mut drains, mut all) = (Vec::new(), Vec::new(), vec![exporter.clone()]);
    for step in steps {
        match step {
            Step::Offer(sizes) => {
                for items in sizes {
                    let (id, exporter, heard) = (next_id, exporter.clone(), heard.clone());
                    next_id += 1;
                    offered += items;
                    senders.push(tokio::spawn(async move {
                        let deadline = id.is_multiple_of(3).then(|| Instant::now() + seconds(9));
                        let outcome = exporter.export(Batch { deadline, ..batch(id, items) }).await;
                        let mut heard = heard.lock().unwrap();
                        match outcome {
                            Ok(()) => drop(heard.accepted.insert(id, items)),
                            Err(refusal)
                                if matches!(refusal.reason(), "queue_full" | "too_large" | "closed") =>
                            {
                                heard.turned_away += items;
                            }
                            Err(_) => {}
                        }
                    }));
                }
                tokio::task::yield_now().await;
            }
            Step::Pass(millis) => tokio::time::sleep(Duration::from_millis(millis)).await,
            Step::Swap(queue, millis) => {
                let old = std::mem::replace(&mut exporter, with(queue));
                all.push(exporter.clone());
                exporter.adopt(&*old);
                let deadline = Instant::now() + Duration::from_millis(millis);
                drains.push(tokio::spawn(async move { old.drain(deadline).await }));
            }
        }
    }
    let deadline = Instant::now() + seconds(40);
    let mut lost = exporter.drain(deadline).await;
    for drain in drains {
        lost += drain.await.unwrap();
    }
    for sender in senders {
        sender.await.unwrap();
    }
    let heard = heard.lock().unwrap();
    let exporters: Vec<&Delivery<Backend>> = all.iter().map(|exporter| &**exporter).collect();
    // A batch without items takes no room where items count: it is accepted and not sent.
    rig.assert_balanced(offered - heard.turned_away, &exporters);
    assert!(exporters.iter().all(|exporter| exporter.held() == Held::default()));
    for gauge in ["otelcol_exporter_queue_size", "otelcol_exporter_in_flight_requests"] {
        assert_eq!(rig.sum(gauge), 0, "{gauge}");
    }
    let book = rig.backend.0.lock().unwrap();
    assert!(book.taken.values().all(|times| *times == 1), "sent twice: {:?}", book.taken);
    let failed = rig.sum("otelcol_exporter_send_failed_spans");
    assert!(lost.items <= failed, "lost {lost:?} of {failed} that failed");
    // Whoever heard OK either has a delivery, or the failure was counted.
    let undelivered: u64 = heard
        .accepted
        .iter()
        .map(|(id, items)| {
            (0..*items).filter(|place| !book.taken.contains_key(&(*id, *place))).count() as u64
        })
        .sum();
    assert!(undelivered <= failed);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn nothing_is_lost_or_sent_twice_and_the_books_balance(
        script in answers(),
        first in queues(),
        elapsed in 30..120u32,
        steps in steps(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(run(script, first, elapsed, steps));
    }
}

/// Two cores, a backend that fails now and then, and an exporter that is replaced all the time.
#[test]
fn the_books_balance_on_real_cores() {
    const SENDERS: u64 = 4;
    const BATCHES: u64 = 1_000;
    let script = vec![(Answer::Take, 0), (Answer::Take, 0), (Answer::Busy(None), 0), (Answer::Take, 1)];
    let (cores, _threads) = phoenix_component::Cores::start(2).unwrap();
    let control = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    control.block_on(async {
        let mut rig = Rig::new(script);
        rig.host.cores = cores.clone();
        let new = || {
            let mut settings = settings(Some(queue(8, 100)));
            settings.retry.initial_interval = GoDuration::from_millis(1);
            settings.retry.max_interval = GoDuration::from_millis(2);
            settings.queue.as_mut().unwrap().block_on_overflow = true;
            Arc::new(rig.exporter(settings))
        };
        let current = Arc::new(Mutex::new(new()));
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let current = current.clone();
                let core = cores.iter().nth(sender as usize % 2).unwrap();
                core.spawn(async move {
                    for number in 0..BATCHES {
                        let batch = batch(sender * BATCHES + number, 3);
                        loop {
                            let exporter = current.lock().unwrap().clone();
                            match exporter.export(batch.clone()).await {
                                Ok(()) => break,
                                // It was replaced meanwhile.
                                Err(refusal) => assert_eq!(refusal.reason(), "closed"),
                            }
                        }
                    }
                })
            })
            .collect();
        let mut lost = Lost::default();
        for _ in 0..40 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let successor = new();
            let old = std::mem::replace(&mut *current.lock().unwrap(), successor.clone());
            assert_eq!(successor.adopt(&*old), Adoption::Kept);
            lost += old.drain(Instant::now() + seconds(5)).await;
            assert_eq!(old.held(), Held::default());
        }
        for sender in senders {
            sender.await.unwrap();
        }
        let last = current.lock().unwrap().clone();
        while last.held().items > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        lost += last.drain(Instant::now() + seconds(5)).await;
        assert_eq!(lost, Lost::default());
        rig.assert_balanced(3 * SENDERS * BATCHES, &[&last]);
        let book = rig.backend.0.lock().unwrap();
        assert_eq!(book.taken.len() as u64, 3 * SENDERS * BATCHES);
        assert!(book.taken.values().all(|times| *times == 1));
    });
}
