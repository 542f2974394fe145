use super::*;
use crate::agents::{self, Admission};
use crate::audit::Caller;
use crate::selector::Labels;
use crate::store::rig::{TestDb, all};
use crate::tasks::{self, NewTask, TaskKind};

async fn with_tasks(test: &TestDb) {
    let added = test.db.write(|tx| {
        let caller = Caller::system();
        let token = agents::add_token(tx, &caller, 0, "t", &Labels::new(), None, None)?;
        agents::enrol(tx, 0, "0a", &Admission::Token(token.id))?;
        for _ in 0..3 {
            let payload = serde_json::Value::Null;
            let new = NewTask {
                kind: TaskKind::Reload,
                payload,
                priority: 0,
                run_at: None,
                max_attempts: 1,
                coalesce: None,
            };
            tasks::add(tx, &caller, 0, "0a", &new)?;
        }
        tasks::claim(tx, 0, &["0a".to_owned()])
    });
    assert!(added.await.expect("added").len() == 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_database_knows_is_looked_up_now_and_then() {
    for test in all().await {
        let telemetry = Telemetry::new("one", &test.db, &Hub::default());
        let begin = Instant::now();
        assert!(!telemetry.text().contains("phoenix_control_tasks{"), "nobody looked yet");
        let number = |name: &str| -> f64 {
            let text = telemetry.text();
            let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("the line").to_owned();
            line.trim().parse().expect("a number")
        };
        assert!(number("phoenix_control_process_memory_rss_bytes ") > 1e6);
        assert!(number("phoenix_control_process_cpu_seconds_total ") >= 0.0);
        telemetry.look(&test.db, begin).await;
        let shows = |line: &str| {
            let text = telemetry.text();
            assert!(text.lines().any(|shown| shown == line), "{line}\n{text}");
        };
        shows(r#"phoenix_control_tasks{state="ready"} 0"#);
        with_tasks(&test).await;
        telemetry.look(&test.db, begin + LOOKS_APART - Duration::from_millis(1)).await;
        shows(r#"phoenix_control_tasks{state="ready"} 0"#);
        telemetry.look(&test.db, begin + LOOKS_APART).await;
        shows(r#"phoenix_control_tasks{state="ready"} 2"#);
        shows(r#"phoenix_control_tasks{state="leased"} 1"#);
        shows(r#"phoenix_control_rollouts{state="running"} 0"#);
        shows("phoenix_control_database_up 1");
        shows(r#"phoenix_control_database_transactions_total{mode="write"} 1"#);
        let has_pool = telemetry.text().contains("phoenix_control_database_connections_max 10");
        assert_eq!(has_pool, test.db.is_shared());
        // The database fails: what it said last is not shown as if it were so.
        test.db.write(|tx| tx.execute("DROP TABLE tasks", &[])).await.expect("dropped");
        telemetry.look(&test.db, begin + 2 * LOOKS_APART).await;
        shows("phoenix_control_database_up 0");
        shows(r#"phoenix_control_database_failures_total{mode="read"} 1"#);
        assert!(!telemetry.text().contains("phoenix_control_tasks{"));
    }
}
