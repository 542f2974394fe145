//! What the rest of the service relies on, whatever database it is over.

use super::rig::{TestDb, all, open};
use super::{Dialect, record};
use crate::agents::{self, Admission};
use crate::audit::{self, Caller};
use crate::error::{Error, Result};
use crate::hub::Gone;
use crate::instances::{self, Attached, LEASE_MS};
use crate::principals::{self, Grant};
use crate::roles::Role;
use crate::selector::Labels;
use crate::tasks::{self, NewTask, Task, TaskKind};

const INSERT: &str = "INSERT INTO schema_steps (step) VALUES (?1)";

async fn steps(test: &TestDb) -> super::Row {
    let sql = "SELECT count(*), max(step) FROM schema_steps";
    test.db.read(move |tx| tx.one(sql, &[])).await.expect("read").expect("a row")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_leaves_nothing_and_what_is_written_stays() {
    for test in all().await {
        let failed: Result<()> = test
            .db
            .write(|tx| {
                tx.execute(INSERT, args![100i64])?;
                Err(Error::Conflict("no".to_owned()))
            })
            .await;
        assert_eq!(failed, Err(Error::Conflict("no".to_owned())));
        let twice = test.db.write(|tx| tx.execute(INSERT, args![1i64])).await;
        assert!(matches!(twice, Err(Error::Conflict(_))), "{twice:?}");
        let before = steps(&test).await;
        assert_eq!(before.int(0), before.int(1), "one row for each step");
        let again = open(&test.url).await.expect("opened again, and no step is taken twice");
        drop(again);
        assert_eq!(steps(&test).await, before);
        test.db.write(|tx| tx.execute(INSERT, args![999i64])).await.expect("written");
        let newer = open(&test.url).await;
        assert!(newer.is_err_and(|error| error.to_string().contains("newer")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_take_turns_over_every_instance() {
    for test in all().await {
        let other = open(&test.url).await.expect("a second instance");
        test.db.write(|tx| tx.execute("CREATE TABLE counters (n BIGINT)", &[])).await.expect("made");
        test.db.write(|tx| tx.execute("INSERT INTO counters (n) VALUES (0)", &[])).await.expect("written");
        let mut adding = tokio::task::JoinSet::new();
        for number in 0..40 {
            let db = if number % 2 == 0 { test.db.clone() } else { other.clone() };
            adding.spawn(async move {
                db.write(|tx| {
                    let found = tx.one("SELECT n FROM counters", &[])?.map_or(0, |row| row.int(0));
                    tx.execute("UPDATE counters SET n = ?1", args![found + 1])?;
                    audit::record(tx, &Caller::system(), 0, "count", "counters", "", "x")
                })
                .await
                .expect("written");
            });
        }
        adding.join_all().await;
        let total = test.db.read(|tx| tx.one("SELECT n FROM counters", &[])).await.expect("read");
        assert_eq!(total.map(|row| row.int(0)), Some(40));
        let checked = test.db.read(|tx| audit::verify(tx)).await.expect("read");
        assert_eq!((checked.entries, checked.intact), (40, true));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_are_kept_and_sort_by_their_bytes() {
    for test in all().await {
        let sorted = test.db.write(|tx| {
            for id in ["b", "B", "~", "ä", "zero\0byte"] {
                let sql = "INSERT INTO leases (name, holder, until) VALUES (?1, ?1, 0)";
                tx.execute(sql, args![id])?;
            }
            let rows = tx.query("SELECT name FROM leases ORDER BY name", &[])?;
            Ok(rows.iter().map(|row| row.text(0)).collect::<Vec<_>>())
        });
        assert_eq!(sorted.await.expect("sorted"), ["B", "b", "zero\u{fffd}byte", "~", "ä"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_instance_leads_and_another_takes_over() {
    for test in all().await {
        let beat = |instance: &'static str| test.db.beside(move |tx| instances::beat(tx, instance));
        let leads = |instance: &'static str| test.db.write(move |tx| instances::leads(tx, instance));
        assert_eq!((beat("one").await, beat("two").await), (Ok(true), Ok(false)));
        assert_eq!((leads("one").await, leads("two").await), (Ok(true), Ok(false)));
        assert_eq!(beat("one").await, Ok(true), "it goes on");
        // It dies: its lease runs out.
        let sql = "UPDATE leases SET until = until - ?1";
        test.db.write(move |tx| tx.execute(sql, args![LEASE_MS + 1])).await.expect("aged");
        assert_eq!(
            (leads("one").await, beat("two").await, leads("two").await),
            (Ok(false), Ok(true), Ok(true))
        );
        assert_eq!(beat("one").await, Ok(false), "back too late");
        test.db.beside(|tx| instances::leave(tx, "two")).await.expect("left");
        assert_eq!(beat("one").await, Ok(true), "nobody waits for one that stopped");
    }
}

async fn enrolled(test: &TestDb, agents: &'static [&'static str]) {
    let enrolled = test.db.write(move |tx| {
        let token = agents::add_token(tx, &Caller::system(), 0, "t", &Labels::new(), None, None)?;
        for agent in agents {
            agents::enrol(tx, 0, agent, &Admission::Token(token.id.clone()))?;
        }
        Ok(())
    });
    enrolled.await.expect("enrolled");
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_of_an_instance_that_died_are_gone() {
    for test in all().await {
        enrolled(&test, &["0a", "0b"]).await;
        let connected = || test.db.read(|tx| instances::connected(tx, "one", &["0b".to_owned()].into()));
        let attached = test
            .db
            .beside(|tx| {
                instances::beat(tx, "two")?;
                instances::attach(tx, "two", "0a")
            })
            .await
            .expect("attached");
        let first = Attached { connection: 1, is_elsewhere: false };
        assert_eq!((attached, connected().await.expect("read").len()), (first, 2));
        let sql = "UPDATE instances SET seen_at = seen_at - ?1";
        test.db.write(move |tx| tx.execute(sql, args![LEASE_MS + 1])).await.expect("aged");
        assert_eq!(connected().await, Ok(["0b".to_owned()].into()));
        // It comes to another, and what the former one says of it later counts no more.
        let gone = |connection| Gone { agent: "0a".to_owned(), connection, seen: 5 };
        let (first, second, third) = (gone(1), gone(2), gone(3));
        let attached = test
            .db
            .beside(move |tx| {
                instances::beat(tx, "three")?;
                let attached = instances::attach(tx, "three", "0a")?;
                instances::detach(tx, "two", &first)?;
                Ok(attached)
            })
            .await;
        assert_eq!(attached, Ok(Attached { connection: 2, is_elsewhere: false }));
        assert_eq!(connected().await.expect("read").len(), 2);
        // Nor does what the same instance says of a connection that another one followed, to whatever instance.
        let attached = test
            .db
            .beside(move |tx| {
                let attached = instances::attach(tx, "two", "0a")?;
                instances::beat(tx, "two")?;
                instances::attach(tx, "three", "0a")?;
                instances::detach(tx, "three", &second)?;
                Ok(attached)
            })
            .await;
        assert_eq!(attached, Ok(Attached { connection: 3, is_elsewhere: true }));
        assert_eq!(connected().await.expect("read").len(), 2);
        test.db
            .beside(move |tx| instances::detach(tx, "three", &third))
            .await
            .expect("it has another by now");
        assert_eq!(connected().await.expect("read").len(), 2);
        let last = gone(4);
        test.db.beside(move |tx| instances::detach(tx, "three", &last)).await.expect("detached");
        assert_eq!(connected().await, Ok(["0b".to_owned()].into()));
        // Who is locked out attaches no more, however far it has come.
        test.db.write(|tx| agents::revoke(tx, &Caller::system(), 0, "0a")).await.expect("locked out");
        let late = test.db.beside(|tx| instances::attach(tx, "two", "0a")).await;
        assert!(matches!(late, Err(Error::Forbidden(_))), "{late:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_handed_out_once_whoever_asks() {
    for test in all().await {
        enrolled(&test, &["0a"]).await;
        let other = open(&test.url).await.expect("a second instance");
        for round in 0..10i64 {
            let added = test.db.write(move |tx| {
                let payload = serde_json::Value::Null;
                let new = NewTask {
                    kind: TaskKind::Reload,
                    payload,
                    priority: 0,
                    run_at: None,
                    max_attempts: 1,
                    coalesce: None,
                };
                tasks::add(tx, &Caller::system(), round, "0a", &new)?;
                tasks::add(tx, &Caller::system(), round, "0a", &new)
            });
            added.await.expect("added");
            let mut claiming = tokio::task::JoinSet::new();
            for number in 0..8 {
                let db = if number % 2 == 0 { test.db.clone() } else { other.clone() };
                claiming.spawn(async move {
                    db.beside(move |tx| tasks::claim(tx, round, &["0a".to_owned()])).await
                });
            }
            let claimed: Vec<_> =
                claiming.join_all().await.into_iter().collect::<Result<_>>().expect("asked");
            assert_eq!(claimed.iter().flatten().count(), 1, "one of an agent at a time");
            let sql = "UPDATE tasks SET state = 'done'";
            test.db.write(move |tx| tx.execute(sql, &[])).await.expect("ended");
        }
        let newest = test.db.read(|tx| record::newest::<Task>(tx, "~", 500)).await.expect("read");
        assert_eq!(newest.len(), 20);
    }
}

fn reload() -> NewTask {
    let payload = serde_json::Value::Null;
    NewTask { kind: TaskKind::Reload, payload, priority: 0, run_at: None, max_attempts: 3, coalesce: None }
}

/// So many agents with so many tasks each.
async fn fleet(test: &TestDb, agents: usize, tasks_each: usize) -> Vec<String> {
    let ids: Vec<String> = (0..agents).map(|number| format!("{number:04x}")).collect();
    let names = ids.clone();
    let added = test.db.write(move |tx| {
        let token = agents::add_token(tx, &Caller::system(), 0, "t", &Labels::new(), None, None)?;
        for id in &names {
            agents::enrol(tx, 0, id, &Admission::Token(token.id.clone()))?;
            for _ in 0..tasks_each {
                tasks::add(tx, &Caller::system(), 0, id, &reload())?;
            }
        }
        Ok(())
    });
    added.await.expect("added");
    ids
}

/// Four clients claim in batches of so many; how many tasks came, and how long that took.
async fn claim_all(test: &TestDb, ids: &[String], batch: usize) -> (Vec<Task>, std::time::Duration) {
    let begun = std::time::Instant::now();
    let mut claiming = tokio::task::JoinSet::new();
    for client in 0..4 {
        let (db, chunks) = (test.db.clone(), ids.to_vec());
        claiming.spawn(async move {
            let mut claimed = Vec::new();
            for chunk in chunks.chunks(batch).skip(client).step_by(4).map(<[String]>::to_vec) {
                claimed.extend(db.beside(move |tx| tasks::claim(tx, 1, &chunk)).await.expect("claimed"));
            }
            claimed
        });
    }
    let claimed = claiming.join_all().await.into_iter().flatten().collect();
    (claimed, begun.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stderr, reason = "a figure")]
async fn claims_in_batches_take_one_task_of_each_agent() {
    for test in all().await {
        let ids = fleet(&test, 800, 2).await;
        let (single, one_by_one) = claim_all(&test, &ids[..400], 1).await;
        let (batched, at_once) = claim_all(&test, &ids[400..], tasks::BATCH).await;
        for claimed in [&single, &batched] {
            let agents: std::collections::BTreeSet<_> = claimed.iter().map(|task| &task.agent_id).collect();
            assert_eq!((claimed.len(), agents.len()), (400, 400));
            assert!(claimed.iter().all(|task| task.state == "leased" && task.fence == 1));
        }
        let (again, _) = claim_all(&test, &ids, tasks::BATCH).await;
        assert!(again.is_empty(), "each has one under way");
        let rate = |took: std::time::Duration| 400.0 / took.as_secs_f64();
        let (slow, fast) = (rate(one_by_one), rate(at_once));
        let dialect = test.db.read(|tx| Ok(tx.dialect())).await.expect("read");
        eprintln!(
            "{dialect:?}: {slow:.0} claims/s one by one, {fast:.0} in batches: {:.1} times",
            fast / slow
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hints_reach_every_instance() {
    for test in all().await {
        if test.db.read(|tx| Ok(tx.dialect())).await == Ok(Dialect::Sqlite) {
            continue;
        }
        let other = open(&test.url).await.expect("a second instance");
        let stop = tokio_util::sync::CancellationToken::new();
        let (heard, mut hears) = tokio::sync::mpsc::unbounded_channel();
        let stopping = stop.clone();
        let listening = tokio::spawn(async move {
            other.listen(stopping, move |hint| heard.send(hint.to_owned()).expect("heard")).await;
        });
        assert_eq!(hears.recv().await.as_deref(), Some(""), "it may have missed some");
        test.db.hint("change one".to_owned()).await.expect("told");
        assert_eq!(hears.recv().await.as_deref(), Some("change one"));
        // Its connection is cut: it comes back, and looks by itself.
        let sql = "SELECT count(*) FROM (SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND query LIKE 'LISTEN%') cut";
        test.db.beside(move |tx| tx.one(sql, &[])).await.expect("cut");
        assert_eq!(hears.recv().await.as_deref(), Some(""));
        stop.cancel();
        listening.await.expect("ended");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_expired_lets_nobody_in() {
    for test in all().await {
        let seen = test.db.write(|tx| {
            let caller = Caller::system();
            let token = agents::add_token(tx, &caller, 0, "t", &Labels::new(), Some(1_000), None)?;
            let grant = Grant::new(Role::Admin, String::new())?;
            let key = principals::add_key(tx, &caller, 0, "k", &grant, Some(1_000))?;
            let mut seen = Vec::new();
            for now in [999, 1_000, 1_001] {
                let agent = agents::admit(tx, now, &token.token)?.is_some();
                seen.push((agent, principals::identify(tx, now, &key.token)?.is_some()));
            }
            // The same token once more after it was used up, and one that was changed.
            let once = agents::add_token(tx, &caller, 0, "once", &Labels::new(), None, Some(1))?;
            agents::enrol(tx, 0, "0a", &Admission::Token(once.id.clone()))?;
            let again = agents::enrol(tx, 0, "0b", &Admission::Token(once.id.clone()));
            assert!(matches!(again, Err(Error::Forbidden(_))), "{again:?}");
            assert_eq!(agents::admit(tx, 0, &format!("{}0", once.token))?, None);
            Ok(seen)
        });
        assert_eq!(seen.await.expect("asked"), [(true, true), (false, false), (false, false)]);
    }
}

/// Leaves the database without room for more, or gives it room again. PostgreSQL's own disk cannot be filled here: the
/// log of what was done, which is written last, refuses with the words of the server that has none.
async fn set_room(test: &TestDb, has_room: bool) {
    let set = test.db.write(move |tx| match (tx.dialect(), has_room) {
        (Dialect::Sqlite, _) => {
            let used = tx.one("PRAGMA page_count", &[])?.map_or(0, |row| row.int(0));
            let pages = if has_room { 1_000_000 } else { used };
            tx.query(&format!("PRAGMA max_page_count = {pages}"), &[]).map(|_| ())
        }
        (Dialect::Postgres, true) => tx.execute("DROP TRIGGER full_disk ON audit", &[]).map(|_| ()),
        (Dialect::Postgres, false) => {
            tx.execute(
                "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                     RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full';
                 END $$",
                &[],
            )?;
            let sql = "CREATE TRIGGER full_disk BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION full_disk()";
            tx.execute(sql, &[]).map(|_| ())
        }
    });
    set.await.expect("set");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_changes_and_leaves_nothing_half_done() {
    for test in all().await {
        set_room(&test, false).await;
        let text = "x".repeat(100_000);
        let fill = |name: &'static str| {
            let text = text.clone();
            test.db.write(move |tx| {
                let caller = Caller::system();
                let made = crate::configurations::create(tx, &caller, 0, name, &text, None)?;
                audit::record(tx, &caller, 0, "fill", &made.id, "", &text)
            })
        };
        let full = fill("one").await;
        assert_eq!(full, Err(Error::Unavailable("the disk is full".to_owned())));
        let found = test.db.read(|tx| tx.one("SELECT count(*) FROM configurations", &[])).await;
        assert_eq!(found.expect("reads go on").map(|row| row.int(0)), Some(0));
        set_room(&test, true).await;
        fill("one").await.expect("and it goes on");
        let checked = test.db.read(|tx| audit::verify(tx)).await.expect("read");
        assert!(checked.intact);
    }
}
