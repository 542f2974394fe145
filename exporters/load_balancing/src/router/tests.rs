//! Against backends of the test's own, by their names; time stands still.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use phoenix_component::ComponentKey;
use phoenix_config::{ComponentId, Kind};
use prost::Message as _;

use super::*;

/// How a backend behaves.
#[derive(Clone, Debug, Default, PartialEq)]
enum Mood {
    #[default]
    Works,
    /// Answers after so many milliseconds.
    Slow(u64),
    Refuses,
    /// Until the attempt's own limit of a second.
    Hangs,
    Throttles,
    RejectsForGood,
}

#[derive(Default)]
struct World {
    moods: BTreeMap<String, Mood>,
    /// Traces of every request that a backend took, by backend.
    taken: BTreeMap<String, Vec<Vec<u8>>>,
    asked: BTreeMap<String, u64>,
    stopped: BTreeSet<String>,
}

type Shared = Arc<Mutex<World>>;

struct Fake {
    name: String,
    world: Shared,
}

impl Push for Fake {
    async fn push(&self, batch: Batch) -> Result<Delivered, Refusal> {
        let mood = {
            let mut world = self.world.lock().unwrap();
            *world.asked.entry(self.name.clone()).or_default() += 1;
            world.moods.get(&self.name).cloned().unwrap_or_default()
        };
        let unavailable =
            || Refusal::retryable("Unavailable", "down").with_status(Code::UNAVAILABLE, Bytes::new());
        match mood {
            Mood::Works => {}
            Mood::Slow(millis) => tokio::time::sleep(Duration::from_millis(millis)).await,
            Mood::Refuses => return Err(unavailable()),
            Mood::Hangs => {
                tokio::time::sleep(Duration::from_secs(1)).await;
                return Err(unavailable());
            }
            Mood::Throttles => return Err(unavailable().after(Duration::from_secs(3))),
            Mood::RejectsForGood => return Err(Refusal::permanent("InvalidArgument", "bad")),
        }
        let ids = ids(&batch.payload);
        assert_eq!(ids.len() as u64, batch.items);
        self.world.lock().unwrap().taken.entry(self.name.clone()).or_default().push(ids);
        Ok(Delivered::whole())
    }

    fn stop(&self) {
        self.world.lock().unwrap().stopped.insert(self.name.clone());
    }
}

struct FakeDial(Shared);

impl Dial for FakeDial {
    type Push = Fake;

    async fn dial(&self, endpoint: String) -> Result<Fake, StartError> {
        match endpoint.starts_with("broken") {
            true => Err(StartError::new("no such thing")),
            false => Ok(Fake { name: endpoint, world: self.0.clone() }),
        }
    }
}

fn ids(payload: &Payload) -> Vec<u8> {
    let spans = payload.resource_spans().flat_map(|entry| entry.scopes()).flat_map(|scope| scope.records());
    spans.map(|span| span.trace_id()[15]).collect()
}

/// One span of each of so many traces.
fn batch(traces: u8) -> Batch {
    let span = |id| Span { trace_id: [vec![0; 15], vec![id]].concat(), ..Span::default() };
    let spans = ScopeSpans { spans: (0..traces).map(span).collect(), ..ScopeSpans::default() };
    let resource = ResourceSpans { scope_spans: vec![spans], ..ResourceSpans::default() };
    let request = ExportTraceServiceRequest { resource_spans: vec![resource] };
    Batch::new(Signal::Traces, Payload::from(Bytes::from(request.encode_to_vec())), traces.into())
}

struct Rig {
    router: Router<FakeDial>,
    world: Shared,
    metrics: Metrics,
}

impl Rig {
    async fn new(backends: &[&str]) -> Rig {
        let (world, metrics) = (Shared::default(), Metrics::default());
        let id = ComponentId::parse("load_balancing").unwrap();
        let key = ComponentKey { kind: Kind::Exporter, id, scope: "traces".into() };
        let state = State::new(
            FakeDial(world.clone()),
            Ring::V2,
            &metrics,
            ResolverMeter::new(&metrics, "static"),
            RouterMeter::new(&metrics, &key, Signal::Traces),
        );
        let rig = Rig {
            router: Router {
                state: Arc::new(state),
                signal: Signal::Traces,
                key: RoutingKey::TraceId,
                attributes: Vec::new(),
                budget: Budget::unlimited(),
                resolver: Mutex::new(None),
                has_retries: true,
                stop: CancellationToken::new(),
            },
            world,
            metrics,
        };
        rig.update(backends).await;
        rig
    }

    async fn update(&self, backends: &[&str]) {
        self.router.state.update(backends.iter().map(|name| (*name).to_owned()).collect()).await;
    }

    fn mood(&self, name: &str, mood: Mood) {
        self.world.lock().unwrap().moods.insert(name.to_owned(), mood);
    }

    /// Who took each trace, in the order of taking; forgets it.
    fn take(&self) -> BTreeMap<u8, Vec<String>> {
        let mut owners: BTreeMap<u8, Vec<String>> = BTreeMap::new();
        for (name, requests) in std::mem::take(&mut self.world.lock().unwrap().taken) {
            for id in requests.into_iter().flatten() {
                owners.entry(id).or_default().push(name.clone());
            }
        }
        owners
    }

    fn asked(&self, name: &str) -> u64 {
        self.world.lock().unwrap().asked.get(name).copied().unwrap_or_default()
    }
}

const FLEET: [&str; 4] = ["a:1", "b:1", "c:1", "d:1"];

#[tokio::test(start_paused = true)]
async fn each_backend_gets_one_request_with_its_traces() {
    let rig = Rig::new(&FLEET).await;
    let delivered = rig.router.push(batch(200)).await.unwrap();
    assert!(delivered.left.is_none());
    assert!(FLEET.iter().all(|name| rig.asked(name) == 1));
    let first = rig.take();
    assert_eq!((first.len(), first.values().all(|owners| owners.len() == 1)), (200, true));
    rig.router.push(batch(200)).await.unwrap();
    assert_eq!(rig.take(), first, "a trace stays where it is");
    let outcome = [("endpoint", "a:1"), ("success", "true")];
    assert_eq!(rig.metrics.sum("otelcol_loadbalancer_backend_outcome", &outcome), 2);
    assert_eq!(rig.metrics.sum("otelcol_loadbalancer_num_backends", &[("resolver", "static")]), 4);
}

#[tokio::test(start_paused = true)]
async fn only_the_share_of_a_backend_that_left_moves_and_it_gets_nothing_new() {
    let rig = Rig::new(&FLEET).await;
    rig.router.push(batch(250)).await.unwrap();
    let before = rig.take();
    rig.update(&["d:1", "a:1", "c:1", "a:1"]).await;
    rig.router.push(batch(250)).await.unwrap();
    let after = rig.take();
    assert_eq!(rig.asked("b:1"), 1);
    let moved = before.iter().filter(|(id, owners)| after[id] != **owners);
    assert!(moved.clone().all(|(_, owners)| owners[0] == "b:1"), "{:?}", moved.collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn what_a_failing_backend_did_not_take_goes_to_others_once_and_it_is_tried_again() {
    for failure in [Mood::Refuses, Mood::Hangs] {
        let rig = Rig::new(&FLEET).await;
        rig.router.push(batch(100)).await.unwrap();
        let before = rig.take();
        rig.mood("b:1", failure.clone());
        let delivered = rig.router.push(batch(100)).await.unwrap();
        assert!(delivered.left.is_none(), "{failure:?}");
        let detour = rig.take();
        assert!(
            detour.len() == 100 && detour.values().all(|owners| owners.len() == 1),
            "none twice, none lost"
        );
        assert!(before.iter().all(|(id, owners)| owners[0] == "b:1" || detour[id] == *owners));
        let rerouted = [("exporter", "load_balancing"), ("data_type", "traces")];
        let share = before.values().filter(|owners| owners[0] == "b:1").count() as i64;
        assert_eq!(rig.metrics.sum("phoenix_loadbalancer_rerouted_items", &rerouted), share);
        assert_eq!(rig.metrics.sum("phoenix_loadbalancer_backends_failing", &rerouted), 1);

        let asked = rig.asked("b:1");
        rig.router.push(batch(100)).await.unwrap();
        assert_eq!((rig.asked("b:1"), rig.take()), (asked, detour), "avoided");
        rig.mood("b:1", Mood::Works);
        tokio::time::sleep(Duration::from_secs(3)).await;
        rig.router.push(batch(100)).await.unwrap();
        assert_eq!(rig.take(), before, "it has its share again");
        assert_eq!(rig.metrics.sum("phoenix_loadbalancer_backends_failing", &rerouted), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_part_that_nobody_takes_is_left_and_the_rest_is_delivered() {
    let rig = Rig::new(&["a:1", "b:1"]).await;
    rig.mood("b:1", Mood::Throttles);
    let delivered = rig.router.push(batch(60)).await.unwrap();
    let left = delivered.left.unwrap();
    assert_eq!(left.refusal.delay(), Some(Duration::from_secs(3)));
    assert_eq!(rig.take().len() as u64 + left.items, 60);
    rig.mood("b:1", Mood::Works);
    let rest = Batch { payload: left.payload, items: left.items, ..batch(0) };
    rig.router.push(rest).await.unwrap();
    assert!(rig.take().values().all(|owners| *owners == ["b:1"]), "its keys stay its own");

    for name in ["a:1", "b:1"] {
        rig.mood(name, Mood::Refuses);
    }
    let refusal = rig.router.push(batch(60)).await.unwrap_err();
    assert!(refusal.is_retryable());
    assert_eq!(rig.router.push(batch(60)).await.unwrap_err().code(), Code::UNAVAILABLE, "tried all the same");
    assert!(rig.take().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_a_backend_rejects_for_good_fails_alone() {
    let rig = Rig::new(&["a:1", "b:1"]).await;
    rig.mood("b:1", Mood::RejectsForGood);
    let left = rig.router.push(batch(60)).await.unwrap().left.unwrap();
    assert!(!left.refusal.is_retryable());
    assert_eq!(rig.take().len() as u64 + left.items, 60);
    rig.mood("a:1", Mood::Throttles);
    let delivered = rig.router.push(batch(60)).await.unwrap();
    let left = delivered.left.unwrap();
    assert!(left.refusal.is_retryable());
    assert_eq!(delivered.rejected + left.items, 60);
    rig.mood("a:1", Mood::RejectsForGood);
    assert!(!rig.router.push(batch(60)).await.unwrap_err().is_retryable());
}

#[tokio::test(start_paused = true)]
async fn the_rest_is_tried_on_where_the_sender_would_send_all_of_it_again() {
    let mut rig = Rig::new(&["a:1", "b:1"]).await;
    rig.router.has_retries = false;
    rig.mood("b:1", Mood::Throttles);
    let world = rig.world.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(2)).await;
        world.lock().unwrap().moods.clear();
    });
    let start = Instant::now();
    assert!(rig.router.push(batch(60)).await.unwrap().left.is_none());
    assert!(start.elapsed() >= Duration::from_secs(2));
    assert!(rig.take().len() == 60 && rig.asked("a:1") == 1, "only the rest");

    rig.mood("b:1", Mood::Throttles);
    let start = Instant::now();
    assert!(rig.router.push(batch(60)).await.unwrap().left.is_some());
    assert!(start.elapsed() < Duration::from_secs(6));
    let hasty = Batch { deadline: Some(Instant::now() + Duration::from_secs(1)), ..batch(60) };
    let start = Instant::now();
    assert!(rig.router.push(hasty).await.unwrap().left.is_some());
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn without_backends_data_waits_and_backends_that_cannot_be_made_are_left_out() {
    let rig = Rig::new(&[]).await;
    let refusal = rig.router.push(batch(3)).await.unwrap_err();
    assert_eq!((refusal.is_retryable(), refusal.reason()), (true, "no_backend"));
    rig.update(&["broken", "a"]).await;
    rig.router.push(batch(3)).await.unwrap();
    assert!(rig.take().values().all(|owners| *owners == ["a:4317"]));
    rig.router.stop();
    assert!(rig.world.lock().unwrap().stopped.contains("a:4317"));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_given_up_leaves_the_probe_to_the_next() {
    let rig = Rig::new(&["a:1", "b:1"]).await;
    rig.mood("b:1", Mood::Refuses);
    rig.router.push(batch(60)).await.unwrap();
    rig.mood("b:1", Mood::Slow(10_000));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(tokio::time::timeout(Duration::from_secs(1), rig.router.push(batch(60))).await.is_err());
    rig.mood("b:1", Mood::Works);
    let asked = rig.asked("b:1");
    rig.router.push(batch(60)).await.unwrap();
    assert_eq!(rig.asked("b:1"), asked + 1);
}

#[tokio::test(start_paused = true)]
async fn changes_of_the_list_in_the_middle_lose_and_double_nothing() {
    let rig = Arc::new(Rig::new(&FLEET).await);
    for name in FLEET {
        rig.mood(name, Mood::Slow(30));
    }
    let pushes: Vec<_> = (0..20)
        .map(|round: u64| {
            let rig = rig.clone();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(10 * round)).await;
                rig.router.push(batch(100)).await.unwrap().left.is_none()
            })
        })
        .collect();
    for round in 0..10_usize {
        tokio::time::sleep(Duration::from_millis(19)).await;
        let gone = FLEET[round % 4];
        rig.update(&FLEET.into_iter().filter(|name| *name != gone).collect::<Vec<_>>()).await;
    }
    for push in pushes {
        assert!(push.await.unwrap());
    }
    assert!(rig.take().values().all(|owners| owners.len() == 20));
}

#[tokio::test(start_paused = true)]
async fn copies_are_charged_while_they_are_under_way() {
    let rig = Rig::new(&["a:1", "b:1"]).await;
    let bytes = batch(60).payload.len();
    for (mood, charged) in [(Mood::Slow(10), bytes), (Mood::Works, 0)] {
        rig.mood("a:1", mood);
        let push = rig.router.push(batch(60));
        let used = async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            rig.router.budget.used()
        };
        let (_, used) = futures_util::future::join(push, used).await;
        assert!(used >= charged && used <= charged + 100, "{used}");
        assert_eq!(rig.router.budget.used(), 0);
    }
    rig.update(&["a:1"]).await;
    rig.mood("a:1", Mood::Slow(10));
    let used = async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        rig.router.budget.used()
    };
    let (_, used) = futures_util::future::join(rig.router.push(batch(60)), used).await;
    assert_eq!(used, 0, "nothing was copied");
}
