//! Changes of the graph under load.

use std::sync::Arc;
use std::time::Duration;

use phoenix_component::{Adoption, Change, Refusal, Status};
use phoenix_engine::ApplyError;
use phoenix_pdata::Signal::{Logs, Traces};

use crate::rig::{Answer, Rig};
use crate::{TWO_SINKS, settle, with_processor};

fn names(keys: &[phoenix_component::ComponentKey]) -> Vec<String> {
    keys.iter().map(|key| key.id.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_swap_keeps_what_is_the_same_with_its_state() {
    let rig = Rig::start(&with_processor("hold: {}", "hold")).await;
    rig.send("source", Traces, &[1]).await.expect("held");
    let next = "
receivers: {source: {}, source/2: {}}
processors: {hold: {}, odd: {}}
exporters: {sink: {generation: 2}, sink/b: {}}
service: {pipelines: {traces: {receivers: [source, source/2], processors: [hold, odd], exporters: [sink, sink/b]}}}
";
    let report = rig.apply(next).await.expect("applied");
    assert_eq!(names(&report.kept), ["source", "hold"]);
    assert_eq!(names(&report.changed), ["sink"]);
    assert_eq!(names(&report.added), ["source/2", "odd", "sink/b"]);
    assert_eq!(names(&report.removed), [""; 0]);
    rig.send("source/2", Traces, &[3, 4]).await.expect("held with the other");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(
        rig.world.sink("sink/b").got(),
        [1, 3],
        "what was held before runs through the new neighbours"
    );
    assert_eq!(rig.world.sink("sink").drained.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_changed_stage_adopts_or_its_predecessor_drains() {
    for adopts in [true, false] {
        let rig = Rig::start(&with_processor("hold: {every_ms: 3600000}", "hold")).await;
        rig.send("source", Traces, &[1]).await.expect("held");
        let changed = format!("hold: {{every_ms: 5000, shards: 2, adopts: {adopts}}}");
        let report = rig.apply(&with_processor(&changed, "hold")).await.expect("applied");
        assert_eq!(names(&report.changed), ["hold"]);
        rig.send("source", Traces, &[2]).await.expect("held by the new one");
        settle().await;
        let drained = if adopts { vec![] } else { vec![1] };
        assert_eq!(rig.world.sink("sink").got(), drained, "adopts: {adopts}");
        tokio::time::sleep(Duration::from_secs(3601)).await;
        let mut got = rig.world.sink("sink").got();
        got.sort_unstable();
        assert_eq!(got, [1, 2]);
        rig.assert_balanced().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_build_changes_nothing_and_leaves_nothing_behind() {
    let rig = Rig::start(&with_processor("hold: {}", "hold")).await;
    rig.send("source", Traces, &[1]).await.expect("held");
    let before = rig.engine.host().health.snapshot();
    for broken in [
        "receivers: {source: {generation: 2}, source/2: {fails_to_bind: true}}\nexporters: {sink/new: {}}\nservice: {pipelines: {traces: {receivers: [source, source/2], exporters: [sink/new]}}}",
        "receivers: {source: {}}\nexporters: {sink: {fails_to_start: true}}\nservice: {pipelines: {traces: {receivers: [source], exporters: [sink]}}}",
    ] {
        let error = rig.apply(broken).await.expect_err("told to fail");
        assert!(error.to_string().contains("told to fail"), "{error}");
        assert_eq!(rig.engine.host().health.snapshot(), before);
    }
    rig.send("source", Traces, &[2]).await.expect("goes on");
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut got = rig.world.sink("sink").got();
    got.sort_unstable();
    assert_eq!(got, [1, 2]);
    assert_eq!(rig.world.sink("sink/new").drained.load(std::sync::atomic::Ordering::SeqCst), 1, "taken back");
}

#[tokio::test(start_paused = true)]
async fn at_most_two_old_graphs_drain() {
    let rig = Arc::new(Rig::start(TWO_SINKS).await);
    rig.world.sink("sink/a").answers(Answer::Hang);
    let graph =
        |generation: u32| TWO_SINKS.replace("sink/a: {}", &format!("sink/a: {{generation: {generation}}}"));
    for generation in 1..=2 {
        // A request that hangs in each old graph.
        let hanging = rig.clone();
        tokio::spawn(async move { hanging.send("source", Traces, &[1]).await });
        settle().await;
        rig.apply(&graph(generation)).await.expect("applied");
    }
    let hanging = rig.clone();
    tokio::spawn(async move { hanging.send("source", Traces, &[1]).await });
    settle().await;
    assert!(matches!(rig.apply(&graph(3)).await, Err(ApplyError::Busy)));
    tokio::time::sleep(Duration::from_secs(31)).await;
    rig.apply(&graph(4)).await.expect("the old ones were given up");
}

/// The second change finds nobody in the graph that it ends, and a request in the one before, which shares
/// the exporter.
#[tokio::test(start_paused = true)]
async fn an_exporter_ends_after_the_requests_of_all_graphs_that_it_was_in() {
    let both = "receivers: {source: {}}\nexporters: {sink/a: {}, sink/b: {owns: true}}\nservice: {pipelines: {traces: {receivers: [source], exporters: [sink/a, sink/b]}}}";
    let rig = Arc::new(Rig::start(both).await);
    rig.world.sink("sink/a").answers(Answer::Slow(Duration::from_secs(4)));
    let sender = rig.clone();
    let under_way = tokio::spawn(async move { sender.send("source", Traces, &[1]).await });
    settle().await;
    rig.apply(&both.replace("source: {}", "source: {generation: 1}")).await.expect("applied");
    settle().await;
    rig.apply(&both.replace(", sink/b]", "]")).await.expect("applied");
    assert_eq!(under_way.await.unwrap(), Ok(()));
    assert_eq!((rig.world.sink("sink/a").got(), rig.world.sink("sink/b").got()), (vec![1], vec![1]));
    assert_eq!(rig.engine.host().metrics.sum("phoenix_fanout_partial", &[]), 0);
}

#[tokio::test(start_paused = true)]
async fn an_exporter_ends_after_the_stages_of_all_graphs_that_it_was_in() {
    let holding = with_processor("hold: {}", "hold");
    let rig = Rig::start(&holding).await;
    rig.world.sink("sink").answers(Answer::Refuse);
    rig.send("source", Traces, &[1]).await.expect("held");
    let without_stage = holding.replace("[hold]", "[]");
    let plan = rig.plan(&without_stage).expect("valid");
    let mut first = rig.engine.apply_if(&plan, |_| true).await.expect("applied");
    settle().await;
    rig.apply(&without_stage.replace("sink", "sink/other")).await.expect("applied");
    tokio::time::sleep(Duration::from_secs(5)).await;
    rig.world.sink("sink").answers(Answer::Accept);
    let drained = first.draining.done_within(Duration::from_secs(40)).await.expect("drained");
    assert_eq!((drained.lost_items, rig.world.sink("sink").got()), (0, vec![1]));
}

#[tokio::test(start_paused = true)]
async fn a_signal_comes_and_goes() {
    let traces_only = "receivers: {source: {}}\nexporters: {sink: {}}\nservice: {pipelines: {traces: {receivers: [source], exporters: [sink]}}}";
    let both = "receivers: {source: {}}\nexporters: {sink: {}}\nservice: {pipelines: {traces: {receivers: [source], exporters: [sink]}, logs: {receivers: [source], exporters: [sink]}}}";
    let rig = Rig::start(traces_only).await;
    let unwired = |refusal: Refusal| refusal.reason() == "unwired" && refusal.is_retryable();
    assert!(unwired(rig.send("source", Logs, &[1]).await.expect_err("not wired")));
    rig.apply(both).await.expect("applied");
    rig.send("source", Logs, &[1]).await.expect("wired");
    rig.apply(traces_only).await.expect("applied");
    assert!(unwired(rig.send("source", Logs, &[1]).await.expect_err("not wired any more")));
}

/// Any order of requests, swaps and outages: what was accepted arrives exactly once at the sink that is
/// in every graph, and the books of every graph balance.
#[tokio::test(start_paused = true)]
async fn nothing_accepted_is_lost_or_doubled_over_many_swaps() {
    use rand::{Rng as _, SeedableRng as _};
    let graph = |rng: &mut rand::rngs::StdRng| {
        let hold = [
            "hold: {}",
            "hold: {every_ms: 50}",
            "hold: {shards: 3}",
            "hold: {every_ms: 7, adopts: false}",
            "hold: {delivered: true, every_ms: 20}",
        ];
        let names = ["hold", "hold", "hold", ""][rng.random_range(0..4)];
        let extra = ["", ", sink/b"][rng.random_range(0..2)];
        let generation = rng.random_range(0..2);
        format!(
            "receivers: {{source: {{generation: {}}}}}\nprocessors: {{{}}}\nexporters: {{sink: {{generation: {generation}}}, sink/b: {{}}}}\nservice: {{pipelines: {{traces: {{receivers: [source], processors: [{names}], exporters: [sink{extra}]}}}}}}",
            rng.random_range(0..2),
            hold[rng.random_range(0..hold.len())],
        )
    };
    for seed in 0..20u64 {
        let mut rng = rand::rngs::StdRng::seed_from_u64(seed);
        let rig = Arc::new(Rig::start_patient(&graph(&mut rng)).await);
        let mut senders = Vec::new();
        for sender in 0..4u64 {
            let rig = rig.clone();
            let mut rng = rand::rngs::StdRng::seed_from_u64(seed * 100 + sender);
            senders.push(tokio::spawn(async move {
                let mut accepted = Vec::new();
                for n in 0..100u64 {
                    let id = sender * 1_000_000 + n * 8 + 1;
                    if rig.send("source", Traces, &[id]).await.is_ok() {
                        accepted.push(id);
                    }
                    tokio::time::sleep(Duration::from_millis(rng.random_range(0..20))).await;
                }
                accepted
            }));
        }
        let mut applied = Vec::new();
        for _ in 0..30 {
            tokio::time::sleep(Duration::from_millis(rng.random_range(0..60))).await;
            let answer = if rng.random_bool(0.3) { Answer::RefuseEverySecond } else { Answer::Accept };
            rig.world.sink("sink").answers(answer);
            applied.push(rig.apply_as_foretold(&graph(&mut rng)).await.expect("applied"));
        }
        let mut accepted = Vec::new();
        for sender in senders {
            accepted.extend(sender.await.unwrap());
        }
        rig.world.sink("sink").answers(Answer::Accept);
        tokio::time::sleep(Duration::from_secs(60)).await;
        let mut compared = 0;
        for mut applied in applied {
            let drained = applied.draining.done_within(Duration::ZERO).await.expect("drained by now");
            assert_eq!(drained.lost_items, 0);
            assert!(drained.adoptions.len() <= applied.changes.changed.len());
            for outcome in drained.adoptions.into_iter().filter(|outcome| !outcome.overtaken) {
                compared += 1;
                let mut changed = applied.changes.changed.iter();
                let change = &changed.find(|change| change.component == outcome.component).unwrap().change;
                let as_foretold = match outcome.component.kind {
                    phoenix_config::Kind::Receiver => {
                        change.closes.is_empty() == (outcome.adoption == Adoption::Kept)
                    }
                    _ => change.state.foretells(&outcome.adoption),
                };
                assert!(as_foretold, "foretold {change:?}, and then {outcome:?}");
            }
        }
        assert!(compared > 10, "{compared}");
        rig.assert_balanced().await;
        assert_eq!(rig.shutdown().await.items, 0);
        let mut got = rig.world.sink("sink").got();
        got.sort_unstable();
        accepted.sort_unstable();
        assert_eq!(got, accepted, "seed {seed}");
    }
}

const HOLDING: &str = "receivers: {source: {}}\nprocessors: {hold: {every_ms: 60000}}\nexporters: {sink: {}}\nservice: {pipelines: {traces: {receivers: [source], processors: [hold], exporters: [sink]}}}";

#[tokio::test(start_paused = true)]
async fn a_plan_says_what_is_held_and_a_forbidden_change_is_none() {
    let rig = Rig::start(HOLDING).await;
    rig.send("source", Traces, &[1, 2, 3]).await.expect("held");
    let plan = rig.plan(&HOLDING.replace("every_ms: 60000", "adopts: false")).expect("valid");
    let changes = rig.engine.preview(&plan);
    assert_eq!(changes.changed.len(), 1, "{changes}");
    assert_eq!(changes.changed[0].change, Change::let_out());
    assert_eq!(changes.changed[0].held_items, Some(3));
    assert!(changes.losses().is_empty(), "it works, so it lets out what it holds");
    let error = rig.engine.apply_if(&plan, |changes| changes.is_empty()).await.expect_err("forbidden");
    assert!(matches!(error, ApplyError::Forbidden(found) if *found == changes));
    assert!(rig.world.sink("sink").got().is_empty(), "nothing has changed");
    let same = rig.plan(HOLDING).expect("valid");
    assert!(rig.engine.preview(&same).is_empty());
    let reordered = rig.plan(&HOLDING.replace("processors: [hold]", "processors: []")).expect("valid");
    assert_eq!(rig.engine.preview(&reordered).pipelines.changed, ["traces"]);
    let (pipelines, _) = rig.engine.pipelines();
    assert_eq!(pipelines[0].components().count(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_a_failing_component_holds_counts_as_a_likely_loss() {
    let rig = Rig::start(HOLDING).await;
    rig.send("source", Traces, &[1]).await.expect("held");
    rig.send("source", Traces, &[13]).await.expect("held");
    assert!(
        matches!(rig.status("hold"), Status::Recoverable(_) | Status::Permanent(_)),
        "{:?}",
        rig.status("hold")
    );
    let plan = rig.plan(&HOLDING.replace("every_ms: 60000", "adopts: false")).expect("valid");
    let losses = rig.engine.preview(&plan).losses();
    assert_eq!(losses.len(), 1, "{losses:?}");
    assert!(losses[0].1.starts_with("1 items that it holds may not be delivered"), "{losses:?}");
}

#[tokio::test(start_paused = true)]
async fn changes_take_turns_and_a_stop_sends_those_who_wait_away() {
    let rig = Arc::new(Rig::start(HOLDING).await);
    rig.world.sink("sink").answers(Answer::Hang);
    // Two graphs whose exporters are busy drain, so a third change has to wait.
    for step in 0..2 {
        rig.send("source", Traces, &[1]).await.expect("held");
        rig.apply(&HOLDING.replace("every_ms: 60000", &format!("adopts: false, every_ms: {step}")))
            .await
            .expect("applied");
    }
    let waiting: Vec<_> = (0..2)
        .map(|step| {
            let rig = rig.clone();
            let yaml = HOLDING.replace("every_ms: 60000", &format!("every_ms: {}", 100 + step));
            tokio::spawn(async move { rig.apply(&yaml).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert!(!rig.engine.books().await.is_empty(), "the books can be read meanwhile");
    rig.engine.shutdown(tokio::time::Instant::now() + Duration::from_secs(1)).await;
    for waiting in waiting {
        assert!(matches!(waiting.await.unwrap(), Err(ApplyError::Stopping)));
    }
}

/// A queue between two pipelines, behind which a stage holds as well.
const QUEUE_BETWEEN: &str = "
receivers: {source: {}}
processors: {hold: {every_ms: 3600000}}
connectors: {queue: {}}
exporters: {sink: {}}
service:
  pipelines:
    traces: {receivers: [source], exporters: [queue]}
    traces/behind: {receivers: [queue], processors: [hold], exporters: [sink]}
";

#[tokio::test(start_paused = true)]
async fn a_connector_with_a_queue_ends_before_what_is_behind_it() {
    let rig = Rig::start(QUEUE_BETWEEN).await;
    rig.send("source", Traces, &[1, 2]).await.expect("taken");
    let held: i64 = rig.engine.books().await.iter().map(|book| book.held).sum();
    assert_eq!((held, rig.world.sink("sink").got()), (2, vec![]));
    rig.send("source", Traces, &[3]).await.expect("taken");
    assert_eq!(rig.shutdown().await, phoenix_component::Lost::default());
    assert_eq!(rig.world.sink("sink").got(), [1, 2, 3]);
    let events = rig.world.events.lock().unwrap().clone();
    let at = |event: &str| events.iter().position(|other| other == event).expect(event);
    assert!(at("stop source") < at("drain queue") && at("drain queue") < at("drain sink"), "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn a_changed_connector_with_a_queue_takes_over_and_one_that_is_removed_lets_out() {
    let rig = Rig::start(QUEUE_BETWEEN).await;
    rig.send("source", Traces, &[1]).await.expect("taken");
    let changed = QUEUE_BETWEEN.replace("queue: {}", "queue: {generation: 2}");
    let mut applied = rig.apply_as_foretold(&changed).await.expect("applied");
    assert_eq!(names(&applied.report.changed), ["queue"]);
    let drained = applied.draining.done_within(Duration::from_secs(40)).await.expect("drained");
    let queue = drained.adoptions.iter().find(|adoption| adoption.component.id.to_string() == "queue");
    assert_eq!(queue.map(|adoption| adoption.adoption.clone()), Some(Adoption::Kept));
    assert_eq!(rig.world.sink("sink").got(), [0; 0], "it waits in the new one");
    rig.send("source", Traces, &[2]).await.expect("taken by the new one");

    let broken = QUEUE_BETWEEN.replace("queue: {}", "queue: {fails_to_start: true}");
    let error = rig.apply(&broken).await.expect_err("told to fail");
    assert!(error.to_string().contains("queue") && error.to_string().contains("told to fail"), "{error}");

    let without = "
receivers: {source: {}}
exporters: {sink: {}}
service: {pipelines: {traces: {receivers: [source], exporters: [sink]}}}
";
    rig.apply(without).await.expect("applied");
    settle().await;
    assert_eq!(rig.world.sink("sink").got(), [1, 2], "what the queue and the stage behind it held");
    rig.assert_balanced().await;
}

#[tokio::test(start_paused = true)]
async fn a_connector_with_a_queue_that_stays_lets_out_into_what_is_behind_it_now() {
    let rig = Rig::start(QUEUE_BETWEEN).await;
    rig.send("source", Traces, &[1]).await.expect("taken");
    let behind = QUEUE_BETWEEN.replace("sink: {}", "sink/b: {}").replace("[sink]", "[sink/b]");
    let report = rig.apply(&behind).await.expect("applied");
    assert!(names(&report.kept).contains(&"queue".to_owned()), "{report:?}");
    rig.send("source", Traces, &[2]).await.expect("taken");
    settle().await;
    assert_eq!(rig.shutdown().await, phoenix_component::Lost::default());
    assert_eq!((rig.world.sink("sink").got(), rig.world.sink("sink/b").got()), (vec![], vec![1, 2]));
}
