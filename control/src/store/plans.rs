//! The plans of the statements that run often: none may walk through a large table.

use phoenix_opamp::Vitals;

use super::rig::all;
use super::{Dialect, Row, Tx, Value, record};
use crate::agents::{self, Admission};
use crate::audit::{self, Caller};
use crate::error::Result;
use crate::etags::Seen;
use crate::hub::Gone;
use crate::principals::Grant;
use crate::roles::Role;
use crate::rollouts::Watched;
use crate::selector::Labels;
use crate::tasks::{self, NewTask, Outcome, Task, TaskKind};
use crate::{configurations, groups, instances, principals, rollouts, schedules, telemetry};

/// Tables that grow with the fleet or with time.
const LARGE: [&str; 9] = [
    "tasks",
    "agents",
    "agent_failures",
    "audit",
    "idempotency",
    "versions",
    "sessions",
    "api_keys",
    "rollout_agents",
];

/// Asks for the plan of each statement before it runs it.
struct Explained<'t> {
    tx: &'t mut dyn Tx,
    statements: usize,
    walks: Vec<String>,
}

impl Explained<'_> {
    #[expect(clippy::print_stdout, reason = "the plans are what a failing test is read with")]
    fn explain(&mut self, sql: &str, args: &[Value]) -> Result<()> {
        self.statements += 1;
        let (command, column) = match self.tx.dialect() {
            Dialect::Sqlite => ("EXPLAIN QUERY PLAN", 3),
            Dialect::Postgres => ("EXPLAIN (COSTS OFF)", 0),
        };
        for row in self.tx.query(&format!("{command} {sql}"), args)? {
            let detail = row.text(column);
            println!("{detail}  <- {}", sql.split_whitespace().collect::<Vec<_>>().join(" "));
            let walked = match self.tx.dialect() {
                Dialect::Sqlite => detail.strip_prefix("SCAN ").filter(|_| !detail.contains("USING")),
                Dialect::Postgres => detail.split_once("Seq Scan on ").map(|(_, rest)| rest),
            };
            let table = walked.and_then(|rest| rest.split(' ').next());
            if table.is_some_and(|table| LARGE.contains(&table)) {
                self.walks.push(format!("{detail}: {sql}"));
            }
        }
        Ok(())
    }
}

impl Tx for Explained<'_> {
    fn execute(&mut self, sql: &str, args: &[Value]) -> Result<u64> {
        self.explain(sql, args)?;
        self.tx.execute(sql, args)
    }

    fn query(&mut self, sql: &str, args: &[Value]) -> Result<Vec<Row>> {
        self.explain(sql, args)?;
        self.tx.query(sql, args)
    }

    fn dialect(&self) -> Dialect {
        self.tx.dialect()
    }

    fn alone(&mut self) -> Result<()> {
        self.tx.alone()
    }

    fn clock(&mut self) -> Result<i64> {
        self.tx.clock()
    }
}

/// What each request, each message of an agent and each look at the queue does.
fn hot(tx: &mut dyn Tx) -> Result<()> {
    let caller = Caller::system();
    let key = principals::add_key(tx, &caller, 0, "key", &Grant::new(Role::Admin, String::new())?, None)?;
    principals::identify(tx, 1, &key.token)?;
    principals::note_use(tx, 1, &key.id)?;
    principals::identify(tx, 1, "phx_ses_1_2")?;
    let token = agents::add_token(tx, &caller, 0, "token", &Labels::new(), None, None)?;
    agents::admit(tx, 1, &token.token)?;
    agents::enrol(tx, 1, "0a", &Admission::Token(token.id))?;
    let credential = agents::new_credential(tx, 1, "0a", Some(1))?;
    agents::is_credential_due(tx, 1, "0a", Some(1))?;
    agents::admit(tx, 1, &credential)?;
    agents::rows(tx, "", 100)?;
    agents::row(tx, "0a")?;
    agents::failures(tx, "0a")?;
    instances::beat(tx, "one")?;
    instances::attach(tx, "one", "0a")?;
    instances::connected(tx, "two", &std::collections::BTreeSet::new())?;
    instances::detach(tx, "one", &Gone { agent: "0a".to_owned(), connection: 1, seen: 2 })?;
    groups::Assignment::load(tx)?;
    rollouts::watched(tx)?;
    let watched = Watched { rollout: "r".to_owned(), agent: "0a".to_owned(), version: String::new() };
    rollouts::note_vitals(tx, &[(watched, Vitals::default())])?;
    let payload = serde_json::Value::Null;
    let new = NewTask {
        kind: TaskKind::Reload,
        payload,
        priority: 0,
        run_at: None,
        max_attempts: 3,
        coalesce: None,
    };
    tasks::add(tx, &caller, 0, "0a", &new)?;
    tasks::add(tx, &caller, 0, "0a", &NewTask { coalesce: Some("a".to_owned()), ..new })?;
    tasks::glance(tx, 1)?;
    schedules::fire(tx, 1)?;
    tasks::agents_with_work(tx, 1)?;
    let task = tasks::claim(tx, 1, &["0a".to_owned()])?.pop();
    tasks::reap(tx, 1, 0.5)?;
    let id = task.map(|task| task.id).unwrap_or_default();
    tasks::complete(
        tx,
        1,
        "0a",
        &Outcome { id, fence: 1, result: None, error: None, retryable: false },
        0.5,
    )?;
    telemetry::count(tx)?;
    record::newest::<Task>(tx, "~", 10)?;
    tasks::of_agent(tx, "0a", "~", 10)?;
    let made = configurations::create(tx, &caller, 0, "base", "", None)?;
    configurations::add_version(tx, &caller, 0, &made.id, &Seen::default(), "a: 1", "", None, None)?;
    let version = configurations::find_version(tx, &made.id, 1)?;
    configurations::versions(tx, &made.id, i64::MAX, 10)?;
    configurations::layers(tx, &version.id)?;
    audit::of(tx, &made.id, 9, 10)?;
    audit::record(tx, &caller, 1, "look", "here", "", "")
}

/// A small table is walked through whatever its indexes: this asks whether there is another way.
fn prefer_indexes(tx: &mut dyn Tx) -> Result<()> {
    if tx.dialect() == Dialect::Postgres {
        tx.execute("SET LOCAL enable_seqscan = off", &[])?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_large_table_is_walked_through() {
    for test in all().await {
        let explained = test.db.write(|tx| {
            prefer_indexes(tx)?;
            let mut explained = Explained { tx, statements: 0, walks: Vec::new() };
            hot(&mut explained)?;
            Ok((explained.statements, explained.walks))
        });
        let (statements, walks) = explained.await.expect("explained");
        assert!(statements > 40, "{statements}");
        assert!(walks.is_empty(), "{walks:#?}");
        // The test would see one.
        let seen = test.db.write(|tx| {
            prefer_indexes(tx)?;
            let mut explained = Explained { tx, statements: 0, walks: Vec::new() };
            explained.query("SELECT id FROM tasks WHERE error = 'x'", &[])?;
            Ok(explained.walks.len())
        });
        assert_eq!(seen.await, Ok(1));
    }
}
