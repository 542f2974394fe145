//! Twice what the machine can carry: memory stays within the bound that is stated, who is refused may try again,
//! and what was accepted comes.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

use crate::backend::Behaviour;
use crate::binary::{Running, collector};
use crate::books;
use crate::scene::Scene;
use crate::setting;

/// The budget: what the limiter calls its soft limit.
const BUDGET_MIB: u64 = 128;
/// What resident memory may come to, as the architecture states it: 1.15 times the budget, and 32 MiB.
const BOUND_MIB: u64 = BUDGET_MIB * 115 / 100 + 32;
/// By how much the peak of one half of the time may differ from that of the other.
const FLAT_MIB: u64 = 16;
/// Bytes of a request beside its spans.
const PADDING: usize = 48 << 10;
const CONSUMERS: u32 = 32;

/// A queue in memory that has no bound of its own below the budget.
fn configure(scene: &Scene, timeout: Duration) -> PathBuf {
    scene.write(&format!(
        "
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:{port}'}}}}}}}}
processors: {{memory_limiter: {{check_interval: 100ms, limit_mib: {limit}, spike_limit_mib: 32}}}}
exporters:
  otlp:
    endpoint: '{backend}'
    tls: {{insecure: true}}
    compression: none
    timeout: {timeout:?}
    sending_queue: {{num_consumers: {CONSUMERS}, sizer: bytes, queue_size: 100000000000}}
    retry_on_failure: {{initial_interval: 20ms, max_interval: 100ms, max_elapsed_time: 0s}}
service:
  {telemetry}
  pipelines:
    traces: {{receivers: [otlp], processors: [memory_limiter], exporters: [otlp]}}
",
        port = scene.port,
        limit = BUDGET_MIB + 32,
        backend = scene.backend.address(),
        telemetry = scene.telemetry(),
    ))
}

/// Resident memory in MiB: what the kernel counts before it kills.
fn resident_mib(collector: &Running) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", collector.id())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
    let kib: u64 = line.split_whitespace().next().and_then(|text| text.parse().ok()).expect("a number");
    kib >> 10
}

/// The most that is resident within a time, in MiB, and the requests that the backend takes a second.
async fn half(scene: &Scene, collector: &Running, time: Duration) -> (u64, f64) {
    let (begun, before) = (Instant::now(), scene.backend.requests());
    let mut peak = 0;
    while begun.elapsed() < time {
        peak = peak.max(resident_mib(collector));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    (peak, (scene.backend.requests() - before) as f64 / begun.elapsed().as_secs_f64())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twice_what_the_machine_can_carry_is_refused_for_now_in_flat_memory() {
    // Five minutes in the long form.
    let time = Duration::from_millis(1_500) * u32::try_from(setting("FAULTS_ROUNDS", 4)).expect("few");
    let scene = Scene::new("", "").await;
    let path = configure(&scene, Duration::from_secs(20));
    let collector = collector().arg(format!("--config={}", path.display())).start_with_metrics();
    let idle = resident_mib(&collector);
    // What collector, backend and clients carry together on this machine, with more clients than cores.
    let load = scene.padded_load(16, PADDING);
    load.accepted(50).await;
    let (begun, before) = (Instant::now(), scene.backend.requests());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let carried = (scene.backend.requests() - before) as f64 / begun.elapsed().as_secs_f64();
    // The backend takes half of it, and twice as many clients go on as before.
    scene.backend.behave(Behaviour::Slow(Duration::from_secs_f64(2.0 * f64::from(CONSUMERS) / carried)));
    let more = scene.padded_load(16, PADDING);
    load.refused(20).await;
    let (first, first_taken) = half(&scene, &collector, time / 2).await;
    // A change in the middle of it: the queue is handed over.
    configure(&scene, Duration::from_secs(21));
    collector.signal("HUP");
    let (second, second_taken) = half(&scene, &collector, time / 2).await;
    collector.wait_for_log("configuration applied");
    let refused = load.refusals() + more.refusals();
    scene.backend.behave(Behaviour::Accept);
    let mut accepted = load.stop().await;
    accepted.extend(more.stop().await);
    let count = accepted.len();
    eprintln!(
        "{carried:.0} requests of {} KiB a second are carried; of twice what the backend takes for {time:?} it takes \
         {first_taken:.0} and then {second_taken:.0} a second; {idle} MiB idle, at most {first} and then {second} of \
         {BOUND_MIB} MiB; {count} accepted, {refused} refused",
        PADDING >> 10
    );
    scene.closes(accepted).await;
    let books = books::close(scene.metrics);
    assert_eq!(collector.terminate(), 0, "{books:?}");
    assert!(refused > 20, "it was too much: {refused}");
    assert!(
        second_taken > first_taken / 4.0,
        "and who comes later is served as well: {second_taken:.0} a second"
    );
    assert!(first.max(second) <= BOUND_MIB, "{first} and {second} MiB of {BOUND_MIB}");
    assert!(second <= first + FLAT_MIB, "it grows: {first} MiB, then {second}");
}
