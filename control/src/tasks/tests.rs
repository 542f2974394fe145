use serde_json::json;

use super::*;
use crate::agents::{self, Admission};
use crate::store::Db;
use crate::store::rig::{TestDb, all};

mod killed;

const AGENT: &str = "0a";

/// A queue of two agents over each kind of database: every test of this folder holds over all of them.
async fn queues() -> Vec<(TestDb, Db)> {
    let mut queues = Vec::new();
    for test in all().await {
        let db = test.db.clone();
        enrol(&db).await;
        queues.push((test, db));
    }
    queues
}

async fn enrol(db: &Db) {
    let enrolled = db.write(|tx| {
        let labels = crate::selector::Labels::new();
        let token = agents::add_token(tx, &Caller::system(), 0, "t", &labels, None, None)?;
        agents::enrol(tx, 0, AGENT, &Admission::Token(token.id.clone()))?;
        agents::enrol(tx, 0, "0b", &Admission::Token(token.id))
    });
    enrolled.await.expect("enrolled");
}

fn new(priority: i64, max_attempts: i64) -> NewTask {
    let kind = TaskKind::Diagnostics;
    NewTask { kind, payload: json!(null), priority, run_at: None, max_attempts, coalesce: None }
}

async fn put(db: &Db, now: i64, task: NewTask) -> String {
    let added = db.write(move |tx| add(tx, &Caller::system(), now, AGENT, &task)).await;
    added.expect("added").id
}

async fn take(db: &Db, now: i64) -> Option<Task> {
    db.write(move |tx| claim(tx, now, &[AGENT.to_owned()])).await.expect("asked").pop()
}

async fn end(db: &Db, now: i64, task: &Task, error: Option<&str>, retryable: bool) -> bool {
    let outcome = Outcome {
        id: task.id.clone(),
        fence: task.fence,
        result: error.is_none().then(|| json!(1)),
        error: error.map(str::to_owned),
        retryable,
    };
    db.write(move |tx| complete(tx, now, AGENT, &outcome, 1.0)).await.expect("asked")
}

async fn state(db: &Db, id: &str) -> String {
    let id = id.to_owned();
    db.read(move |tx| find::<Task>(tx, &id)).await.expect("there").state
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_ran_out_is_handed_out_again_and_the_old_fence_is_refused() {
    for (_test, db) in queues().await {
        let id = put(&db, 0, new(0, 3)).await;
        let first = take(&db, 0).await.expect("a task");
        assert!(take(&db, 0).await.is_none(), "one at a time");
        let reaped = db.write(|tx| reap(tx, LEASE_MS - 1, 1.0)).await;
        assert_eq!(reaped, Ok(0));
        assert_eq!(db.write(|tx| reap(tx, LEASE_MS, 1.0)).await, Ok(1));
        assert!(take(&db, LEASE_MS).await.is_none(), "not before a pause");
        let second = take(&db, 2 * LEASE_MS).await.expect("again");
        assert_eq!((second.id.as_str(), second.fence, second.attempt), (id.as_str(), 2, 2));
        assert!(!end(&db, 2 * LEASE_MS, &first, None, false).await);
        assert_eq!(state(&db, &id).await, "leased");
        assert!(end(&db, 2 * LEASE_MS, &second, None, false).await);
        assert_eq!(state(&db, &id).await, "done");
        assert!(!end(&db, 2 * LEASE_MS, &second, None, false).await, "done is done");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_glance_tells_what_is_due_and_when_to_look_again() {
    for (_test, db) in queues().await {
        let look = async |now| {
            let found = db.read(move |tx| glance(tx, now)).await.expect("asked");
            (found.is_due, found.next_at)
        };
        assert_eq!(look(0).await, (false, None));
        put(&db, 0, NewTask { run_at: Some(rfc3339(5_000)), ..new(0, 3) }).await;
        assert_eq!(look(4_999).await, (false, Some(5_000)));
        assert_eq!(look(5_000).await, (true, None));
        take(&db, 5_000).await.expect("a task");
        assert_eq!(look(5_000).await, (false, Some(5_000 + LEASE_MS)));
        assert_eq!(look(5_000 + LEASE_MS).await, (true, None));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_end_and_crashes_count() {
    for (_test, db) in queues().await {
        let id = put(&db, 0, new(0, 2)).await;
        let first = take(&db, 0).await.expect("a task");
        assert!(end(&db, 0, &first, Some("busy"), true).await);
        assert!(take(&db, 1999).await.is_none(), "twice the base, with all of the jitter");
        take(&db, 2000).await.expect("the second attempt");
        // The agent dies with it.
        assert_eq!(db.write(|tx| reap(tx, 2000 + LEASE_MS, 0.0)).await, Ok(1));
        assert_eq!(state(&db, &id).await, "dead");
        assert!(take(&db, i64::MAX / 2).await.is_none());
        let again = db.write(move |tx| requeue(tx, &Caller::system(), 5, &id)).await.expect("put back");
        assert_eq!((again.state.as_str(), again.attempt, again.fence), ("ready", 0, 2));
        let once = take(&db, 5).await.expect("a task");
        assert!(end(&db, 5, &once, Some("never"), false).await);
        assert_eq!(state(&db, &once.id).await, "dead", "there is no sense in trying again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_task_takes_the_place_of_another_that_waits() {
    for (_test, db) in queues().await {
        let keyed = |level: &str, priority, run_at: i64| NewTask {
            kind: TaskKind::LogLevel,
            payload: json!({"level": level, "for_seconds": 60}),
            run_at: Some(rfc3339(run_at)),
            coalesce: Some("level".to_owned()),
            ..new(priority, 3)
        };
        let first = put(&db, 0, keyed("debug", 5, 1_000)).await;
        assert_eq!(put(&db, 10, keyed("warn", 1, 9_000)).await, first, "one stands for both");
        let taken = take(&db, 1_000).await.expect("at the earlier time");
        assert_eq!((taken.id.as_str(), taken.priority), (first.as_str(), 5), "the higher one counts");
        assert_eq!(taken.payload["level"], "warn", "the later wish counts");
        // What is under way is not touched, and where it is to be tried again, who came since does that.
        let second = put(&db, 2_000, keyed("info", 0, 2_000)).await;
        assert_ne!(second, first);
        assert!(end(&db, 2_000, &taken, Some("busy"), true).await);
        assert_eq!(state(&db, &first).await, "cancelled");
        let taken = take(&db, 2_000).await.expect("the other");
        assert_eq!(taken.id, second);
        assert!(end(&db, 2_000, &taken, Some("never"), false).await);
        let third = put(&db, 3_000, keyed("info", 0, 3_000)).await;
        let back = db.write(move |tx| requeue(tx, &Caller::system(), 5, &second)).await;
        assert!(back.is_err_and(|error| error.to_string().contains("took its place")));
        // No key, no place to take; and not that of another agent.
        assert_ne!(put(&db, 3_000, new(0, 3)).await, put(&db, 3_000, new(0, 3)).await);
        let other = db.write(move |tx| super::put(tx, &Caller::system(), 0, 0, "0b", &keyed("info", 0, 0)));
        assert_ne!(other.await.expect("added"), third);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_raises_the_priority() {
    for (_test, db) in queues().await {
        let low = put(&db, 0, new(1, 1)).await;
        let high = put(&db, 10 * AGEING_MS, new(9, 1)).await;
        let first = take(&db, 10 * AGEING_MS).await.expect("a task");
        assert_eq!(first.id, low, "it waited for ten minutes");
        end(&db, 10 * AGEING_MS, &first, None, false).await;
        let next = put(&db, 10 * AGEING_MS, new(1, 1)).await;
        assert_eq!(take(&db, 10 * AGEING_MS).await.expect("a task").id, high, "{next} comes later");
        let cancelled = db.write(move |tx| cancel(tx, &Caller::system(), 0, &next)).await;
        assert_eq!(cancelled.expect("not begun").state, "cancelled");
    }
}
