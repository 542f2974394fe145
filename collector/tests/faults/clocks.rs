//! A wall clock that jumps under a collector that works: `clock_gettime` is put before the system's by the loader, and adds
//! what a file says.

use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::backend::Behaviour;
use crate::binary::collector;
use crate::scene::Scene;

const SHIM: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const volatile long long *offset;

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("CLOCK_OFFSET");
  int file = path ? open(path, O_RDONLY) : -1;
  void *map = file < 0 ? MAP_FAILED : mmap(NULL, sizeof *offset, PROT_READ, MAP_SHARED, file, 0);
  if (map != MAP_FAILED) offset = map;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  int outcome = syscall(SYS_clock_gettime, clock, now);
  if (outcome == 0 && clock == CLOCK_REALTIME && offset) now->tv_sec += *offset;
  return outcome;
}
"#;

/// Builds the shim; false where there is no C compiler.
fn build(folder: &Path, shim: &Path) -> bool {
    let source = folder.join("clock.c");
    std::fs::write(&source, SHIM).expect("written");
    let built = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(shim).arg(&source).output();
    built.is_ok_and(|output| output.status.success())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_jumps_forward_and_back_costs_nothing() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let (shim, offset) = (folder.path().join("clock.so"), folder.path().join("offset"));
    if !build(folder.path(), &shim) {
        return eprintln!("skipped: there is no C compiler");
    }
    std::fs::write(&offset, 0_i64.to_ne_bytes()).expect("written");
    let clock = std::fs::File::options().write(true).open(&offset).expect("there");
    let jump = |days: i64| clock.write_all_at(&(days * 86_400).to_ne_bytes(), 0).expect("written");

    let scene = Scene::new("", "num_consumers: 2,").await;
    let path = scene.configure("timeout: 2s");
    // State with a time in it: a window, a batch, retries, a queue on disk.
    let text = std::fs::read_to_string(&path)
        .expect("there")
        .replace("{receivers: [otlp], ", "{receivers: [otlp], processors: [tail_sampling, batch], ");
    let processors = "
processors:
  batch: {timeout: 50ms, send_batch_size: 200}
  tail_sampling: {decision_wait: 300ms, policies: [{name: all, type: always_sample}]}
";
    std::fs::write(&path, text + processors).expect("written");
    let collector = collector()
        .arg(format!("--config={}", path.display()))
        .env("LD_PRELOAD", &shim)
        .env("CLOCK_OFFSET", &offset)
        .start();
    let load = scene.load(4);
    let mut wanted = 0;
    for (count, days) in [1, -2, 3_650, -3_650, 0].into_iter().enumerate() {
        scene.backend.behave(if count % 2 == 0 { Behaviour::RefuseOneIn(3) } else { Behaviour::Accept });
        jump(days);
        // A change in the middle of it: nothing differs, and the log tells the time.
        collector.signal("HUP");
        collector.wait_for_log_count("reading the configuration again", count + 1);
        wanted += 100;
        load.accepted(wanted).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    scene.backend.behave(Behaviour::Accept);
    let accepted = load.stop().await;
    scene.closes(accepted).await;
    let log = collector.log();
    let years: std::collections::BTreeSet<&str> = log
        .lines()
        .filter(|line| line.contains("reading the configuration"))
        .filter_map(|line| line.get(..4))
        .collect();
    assert!(years.len() >= 3, "the clock has jumped by ten years each way: {years:?}");
    assert_eq!(collector.terminate(), 0);
}
