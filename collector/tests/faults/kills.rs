use std::time::Duration;

use crate::backend::Behaviour;
use crate::books;
use crate::scene::Scene;
use crate::setting;

/// A generator of numbers that is good enough to pick faults by.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Kills the collector in the middle of its work, again and again.
async fn killed_under_load(storage: &str, sending: &str) {
    let (rounds, seed) = (setting("FAULTS_ROUNDS", 8), setting("FAULTS_SEED", 1));
    let mut dice = Dice(seed);
    let mut scene = Scene::new(storage, sending).await;
    let mut collector = scene.start();
    let load = scene.load(8);
    let mut swaps = 0;
    for round in 0..rounds {
        match dice.below(5) {
            0 => scene.backend.behave(Behaviour::Slow(Duration::from_millis(20))),
            1 => scene.backend.behave(Behaviour::RefuseOneIn(2)),
            2 => scene.backend.kill().await,
            _ => scene.backend.behave(Behaviour::Accept),
        }
        tokio::time::sleep(Duration::from_millis(30 + dice.below(250))).await;
        if dice.below(2) == 0 {
            // A change of the configuration, in the middle of which the kill comes, or behind it.
            scene.swap(&collector);
            swaps += 1;
            tokio::time::sleep(Duration::from_millis(dice.below(60))).await;
        }
        drop(collector);
        if round % 3 == 0 {
            scene.backend.kill().await;
        }
        if !scene.backend.lives() {
            scene.backend.revive().await;
        }
        collector = scene.start();
    }
    scene.backend.behave(Behaviour::Accept);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let accepted = load.stop().await;
    scene.closes(accepted).await;
    // Of the last one that was started: what it found on the disk and took is what it sent.
    let books = books::close(scene.metrics);
    eprintln!(
        "{rounds} kills, {swaps} of them in or behind a change of the configuration; the last process: {books:?}"
    );
    assert_eq!(collector.terminate(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_accepted_survives_kills_with_fsync() {
    killed_under_load("fsync: true,", "num_consumers: 4,").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_accepted_survives_kills_without_fsync() {
    killed_under_load("", "num_consumers: 4,").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_accepted_survives_kills_while_batches_are_made() {
    let batch = "num_consumers: 2, batch: {min_size: 4000, max_size: 6000, flush_timeout: 100ms},";
    killed_under_load("", batch).await;
}
