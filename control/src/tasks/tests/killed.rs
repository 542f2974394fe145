//! Workers that are killed: before each statement of each step, at the moment of the commit, and after it.

use super::*;
use crate::schedules::{self, NewSchedule};
use crate::store::rig::open;

/// How a worker ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Its process: what it had begun is rolled back.
    Process,
    /// Its connection, cut by the database in the middle of a transaction; over SQLite, which has none, as above.
    Connection,
}

/// A transaction of a worker that ends before its statement of a number.
struct Mortal<'t> {
    tx: &'t mut dyn Tx,
    left: usize,
    end: End,
}

impl Mortal<'_> {
    fn live(&mut self) -> Result<()> {
        if let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            return Ok(());
        }
        if self.end == End::Connection && self.tx.dialect() == Dialect::Postgres {
            self.tx.query("SELECT pg_terminate_backend(pg_backend_pid())", &[])?;
        }
        Err(Error::Unavailable("killed".to_owned()))
    }
}

impl Tx for Mortal<'_> {
    fn execute(&mut self, sql: &str, args: &[Value]) -> Result<u64> {
        self.live()?;
        self.tx.execute(sql, args)
    }

    fn query(&mut self, sql: &str, args: &[Value]) -> Result<Vec<Row>> {
        self.live()?;
        self.tx.query(sql, args)
    }

    fn dialect(&self) -> Dialect {
        self.tx.dialect()
    }

    fn alone(&mut self) -> Result<()> {
        self.live()?;
        self.tx.alone()
    }

    fn clock(&mut self) -> Result<i64> {
        self.live()?;
        self.tx.clock()
    }
}

/// All that a step may change.
async fn state_of(db: &Db) -> Vec<Vec<Row>> {
    let read = db.read(|tx| {
        let tables = [
            "SELECT * FROM tasks ORDER BY id",
            "SELECT id, next_at, last_at, enabled FROM schedules ORDER BY id",
            "SELECT count(*) FROM audit",
        ];
        tables.iter().map(|sql| tx.query(sql, &[])).collect::<Result<Vec<_>>>()
    });
    read.await.expect("read")
}

/// Waits until the database has rolled back what a dead worker had begun: until then its agent is locked, and passed over.
async fn buried(db: &Db) {
    let wait = db.write(|tx| tx.execute("UPDATE agents SET id = id WHERE id = ?1", args![AGENT]));
    assert_eq!(wait.await, Ok(1));
}

type Step = fn(&mut dyn Tx) -> Result<()>;

/// The only task of the agent that is out.
fn leased(tx: &mut dyn Tx) -> Result<Task> {
    let all = of_agent(tx, AGENT, "~", 100)?;
    all.into_iter().find(|task| task.state == "leased").ok_or(Error::NotFound("a leased task".to_owned()))
}

fn give(tx: &mut dyn Tx, now: i64, kind: TaskKind, coalesce: Option<&str>) -> Result<()> {
    let new = NewTask { kind, coalesce: coalesce.map(str::to_owned), ..new(9, 3) };
    add(tx, &Caller::system(), now, AGENT, &new).map(|_| ())
}

fn hand_out(tx: &mut dyn Tx, now: i64) -> Result<()> {
    let claimed = claim(tx, now, &[AGENT.to_owned()])?;
    assert_eq!(claimed.len(), 1, "one at a time");
    Ok(())
}

fn answer(tx: &mut dyn Tx, now: i64, error: Option<&str>, retryable: bool) -> Result<()> {
    let task = leased(tx)?;
    let result = error.is_none().then(|| json!({"fine": true}));
    let error = error.map(str::to_owned);
    let outcome = Outcome { id: task.id, fence: task.fence, result, error, retryable };
    assert!(complete(tx, now, AGENT, &outcome, 1.0)?, "its lease counts");
    Ok(())
}

/// A worker's whole life, one task after the other.
const STEPS: [(&str, Step); 15] = [
    ("put", |tx| give(tx, 0, TaskKind::Reload, Some("key"))),
    ("take the place of it", |tx| give(tx, 1, TaskKind::Diagnostics, Some("key"))),
    ("make a schedule", |tx| {
        let (name, cron) = ("nightly".to_owned(), "* * * * *".to_owned());
        let selector = String::new();
        let (kind, payload) = (TaskKind::Restart, json!(null));
        let new =
            NewSchedule { name, agent_id: None, selector, cron, kind, payload, priority: 0, max_attempts: 1 };
        schedules::create(tx, &Caller::system(), 2, &new).map(|_| ())
    }),
    ("the schedule is due", |tx| schedules::fire(tx, 60_000)),
    ("hand out", |tx| hand_out(tx, 60_000)),
    ("take back what was leased too long", |tx| reap(tx, 60_000 + LEASE_MS, 0.0).map(|_| ())),
    ("hand out again", |tx| hand_out(tx, 60_000 + LEASE_MS)),
    ("it went wrong, and is tried again", |tx| answer(tx, 130_000, Some("busy"), true)),
    ("hand out for the last time", |tx| hand_out(tx, 150_000)),
    ("it failed for good", |tx| answer(tx, 150_001, Some("never"), false)),
    ("put back", |tx| {
        let all = of_agent(tx, AGENT, "~", 100)?;
        let dead = all.iter().find(|task| task.state == "dead").expect("one is dead");
        requeue(tx, &Caller::system(), 150_002, &dead.id).map(|_| ())
    }),
    ("hand out what was put back", |tx| hand_out(tx, 150_003)),
    ("done", |tx| answer(tx, 150_004, None, false)),
    ("give something up", |tx| {
        let all = of_agent(tx, AGENT, "~", 100)?;
        let ready = all.iter().find(|task| task.state == "ready").expect("that of the schedule");
        cancel(tx, &Caller::system(), 150_005, &ready.id).map(|_| ())
    }),
    ("look", |tx| glance(tx, 150_006).map(|_| ())),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_before_any_statement_leaves_all_as_it_was_and_another_goes_on() {
    for end in [End::Process, End::Connection] {
        for (test, db) in queues().await {
            let mut deaths = 0;
            for (name, step) in STEPS {
                let before = state_of(&db).await;
                let mut left = 0;
                loop {
                    // Each worker is another instance: one that died does not come back.
                    let worker = open(&test.url).await.expect("a worker");
                    let done = worker
                        .beside(move |tx| {
                            let mut mortal = Mortal { tx, left, end };
                            step(&mut mortal)?;
                            // Whoever used up its last statement dies before the commit.
                            mortal.live()
                        })
                        .await;
                    match done {
                        Ok(()) => break,
                        Err(Error::Unavailable(_)) => {
                            buried(&db).await;
                            assert_eq!(state_of(&db).await, before, "{name}, killed before statement {left}");
                            deaths += 1;
                        }
                        Err(error) => panic!("{name}: {error}"),
                    }
                    left += 1;
                    assert!(left < 100, "{name}: it never ends");
                }
            }
            assert!(deaths > 40, "{deaths}");
            let all = db.read(|tx| of_agent(tx, AGENT, "~", 100)).await.expect("read");
            let mut ended: Vec<_> = all.iter().map(|task| (task.state.as_str(), task.fence)).collect();
            ended.sort_unstable();
            assert_eq!(ended, [("cancelled", 0), ("done", 4)], "each handing out counted once");
            let checked = db.read(|tx| audit::verify(tx)).await.expect("read");
            assert!(checked.intact, "{checked:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_worker_took_before_it_was_killed_comes_back_and_its_late_word_counts_no_more() {
    for (test, db) in queues().await {
        let id = put(&db, 0, new(0, 3)).await;
        // Handed out and committed; the worker dies before the agent hears of it.
        let worker = open(&test.url).await.expect("a worker");
        let lost = take(&worker, 0).await.expect("a task");
        drop(worker);
        let other = open(&test.url).await.expect("another");
        assert!(take(&other, LEASE_MS - 1).await.is_none(), "it is leased");
        assert_eq!(other.write(|tx| reap(tx, LEASE_MS, 0.0)).await, Ok(1));
        let again = take(&other, LEASE_MS).await.expect("handed out again");
        assert_eq!((again.id.as_str(), again.fence), (id.as_str(), lost.fence + 1));
        // It did reach the agent, and the agent's answer to the first comes after all.
        let before = state_of(&db).await;
        assert!(!end(&db, LEASE_MS, &lost, None, false).await);
        assert!(!end(&db, LEASE_MS, &lost, Some("no"), true).await);
        assert_eq!(state_of(&db).await, before, "an old fence changes nothing");
        assert!(end(&db, LEASE_MS, &again, None, false).await);
        assert_eq!(state(&db, &id).await, "done");
    }
}
