//! A wall clock that jumps under a collector that works: `clock_gettime` is put before the system's by the loader, and adds
//! what a file says.

use std::time::Duration;

use crate::backend::Behaviour;
use crate::binary::collector;
use crate::books;
use crate::scene::Scene;
use crate::shim::Shim;

const JUMPING: &str = r#"
int clock_gettime(clockid_t clock, struct timespec *now) {
  int outcome = syscall(SYS_clock_gettime, clock, now);
  if (outcome == 0 && clock == CLOCK_REALTIME && knob) now->tv_sec += *knob;
  return outcome;
}
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_jumps_forward_and_back_costs_nothing() {
    let Some(clock) = Shim::build(JUMPING) else {
        return eprintln!("skipped: there is no C compiler");
    };
    let jump = |days: i64| clock.set(days * 86_400);

    let scene = Scene::new("", "num_consumers: 2,").await;
    // State with a time in it: a window, a batch, retries, a queue on disk.
    let configure = |step: usize| {
        let path = scene.configure(&format!("timeout: {}s", 2 + step));
        let text = std::fs::read_to_string(&path)
            .expect("there")
            .replace("{receivers: [otlp], ", "{receivers: [otlp], processors: [tail_sampling, batch], ");
        let processors = format!(
            "
processors:
  batch: {{timeout: 50ms, send_batch_size: {}}}
  tail_sampling: {{decision_wait: 300ms, policies: [{{name: all, type: always_sample}}]}}
",
            200 + step
        );
        scene.write(&(text + &processors))
    };
    let path = configure(0);
    let command = collector().arg(format!("--config={}", path.display()));
    let collector = clock.before(command).start_with_metrics();
    let load = scene.load(4);
    let mut wanted = 0;
    for (count, days) in [1, -2, 3_650, -3_650, 0].into_iter().enumerate() {
        scene.backend.behave(if count % 2 == 0 { Behaviour::RefuseOneIn(3) } else { Behaviour::Accept });
        jump(days);
        // A change in the middle of it, and the log tells the time.
        configure(count + 1);
        collector.signal("HUP");
        collector.wait_for_log_count("reading the configuration again", count + 1);
        wanted += 100;
        load.accepted(wanted).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    scene.backend.behave(Behaviour::Accept);
    let accepted = load.stop().await;
    scene.closes(accepted).await;
    books::close(scene.metrics);
    let log = collector.log();
    let years: std::collections::BTreeSet<&str> = log
        .lines()
        .filter(|line| line.contains("reading the configuration"))
        .filter_map(|line| line.get(..4))
        .collect();
    assert!(years.len() >= 3, "the clock has jumped by ten years each way: {years:?}");
    assert_eq!(collector.terminate(), 0);
}
