use serde_json::json;

use super::*;
use crate::agents::Admission;
use crate::selector::Labels;
use crate::store::rig::{TestDb, all};
use crate::tasks::Task;
use crate::time::parse_rfc3339;

const AGENTS: [&str; 2] = ["0a", "0b"];

async fn enrolled(test: &TestDb) {
    let enrolled = test.db.write(|tx| {
        for agent in AGENTS {
            let labels = Labels::from([("name".to_owned(), agent.to_owned())]);
            let token = agents::add_token(tx, &Caller::system(), 0, "t", &labels, None, None)?;
            agents::enrol(tx, 0, agent, &Admission::Token(token.id))?;
        }
        Ok(())
    });
    enrolled.await.expect("enrolled");
}

fn new(cron: &str, selector: &str) -> NewSchedule {
    let kind = TaskKind::Diagnostics;
    let (payload, name) = (json!({"only": "logs"}), format!("{} {}", cron.len(), selector.len()));
    let (cron, selector) = (cron.to_owned(), selector.to_owned());
    NewSchedule { name, agent_id: None, selector, cron, kind, payload, priority: 4, max_attempts: 2 }
}

async fn put(test: &TestDb, now: i64, new: NewSchedule) -> Schedule {
    test.db.write(move |tx| create(tx, &Caller::system(), now, &new)).await.expect("made")
}

/// Fires what is due, and tells the tasks that wait, by agent.
async fn fired(test: &TestDb, now: i64) -> Vec<(String, Task)> {
    let waiting = test.db.write(move |tx| {
        fire(tx, now)?;
        let mut waiting = Vec::new();
        for agent in AGENTS {
            let tasks =
                tasks::of_agent(tx, agent, "~", 100)?.into_iter().filter(|task| task.state == "ready");
            waiting.extend(tasks.map(|task| (agent.to_owned(), task)));
        }
        Ok(waiting)
    });
    waiting.await.expect("fired")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_agent_gets_the_task_when_it_is_due_and_nothing_piles_up() {
    for test in all().await {
        enrolled(&test).await;
        let start = parse_rfc3339("2026-11-27T12:00:30Z").expect("a moment");
        let minute = 60_000;
        let made = put(&test, start, new("*/10 * * * *", "")).await;
        let only = put(&test, start, new("5 * * * *", "name=0b")).await;
        let glance = test.db.read(move |tx| tasks::glance(tx, start)).await.expect("asked");
        assert_eq!(glance.next_at, parse_rfc3339("2026-11-27T12:05:00Z"));
        assert!(fired(&test, start).await.is_empty());

        let first = fired(&test, start + 5 * minute).await;
        assert_eq!(first.iter().map(|(agent, _)| agent.as_str()).collect::<Vec<_>>(), ["0b"]);
        assert_eq!(first[0].1.created_by, format!("schedule:{}", only.id));
        let both = fired(&test, start + 10 * minute).await;
        assert_eq!(both.len(), 3, "{both:?}");
        let (_, task) = both.iter().find(|(agent, _)| agent == "0a").expect("one");
        assert_eq!((task.priority, task.max_attempts, &task.payload), (4, 2, &json!({"only": "logs"})));
        // The same time is not due again; a next one finds that nobody took the last.
        assert_eq!(fired(&test, start + 10 * minute).await.len(), 3);
        assert_eq!(fired(&test, start + 20 * minute).await.len(), 3, "the one that waits stands for both");
        // A service that was away for hours makes up for them once.
        let claimed =
            test.db.write(move |tx| tasks::claim(tx, start + 20 * minute, &["0a".to_owned()])).await;
        assert_eq!(claimed.expect("claimed").len(), 1);
        let late = start + 600 * minute;
        assert_eq!(fired(&test, late).await.len(), 3, "one more for whom the last was handed out");
        let told: Schedule = test.db.read(move |tx| find(tx, &made.id)).await.expect("there");
        assert_eq!(
            (parse_rfc3339(&told.last_at.expect("fired")), told.next_at.as_str()),
            (Some(late), "2026-11-27T22:10:00Z")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_stops_and_changes() {
    for test in all().await {
        enrolled(&test).await;
        let made = put(&test, 0, NewSchedule { agent_id: Some("0a".to_owned()), ..new("@daily", "") }).await;
        let day = 24 * 3600 * 1000;
        let set = async |revision: i64, what: ScheduleChange, now: i64| {
            let id = made.id.clone();
            test.db.write(move |tx| change(tx, &Caller::system(), now, &id, &Seen::at(revision), &what)).await
        };
        let stop = ScheduleChange { enabled: Some(false), ..ScheduleChange::default() };
        set(1, stop.clone(), 0).await.expect("stopped");
        assert!(fired(&test, 2 * day).await.is_empty());
        assert!(matches!(set(1, stop, 0).await, Err(Error::Precondition(_))), "somebody was faster");
        let go = ScheduleChange {
            enabled: Some(true),
            cron: Some(" 0 6 * * * ".to_owned()),
            payload: Some(json!({"only": "health"})),
        };
        let after = set(2, go, 2 * day).await.expect("changed");
        assert_eq!((after.cron.as_str(), after.next_at.as_str()), ("0 6 * * *", "1970-01-03T06:00:00Z"));
        assert!(fired(&test, 2 * day).await.is_empty(), "it makes up for nothing");
        let fired_now = fired(&test, 2 * day + day / 4).await;
        assert_eq!((fired_now.len(), &fired_now[0].1.payload), (1, &json!({"only": "health"})));
        let wrong = ScheduleChange { cron: Some("61 * * * *".to_owned()), ..ScheduleChange::default() };
        assert!(matches!(set(3, wrong, 0).await, Err(Error::Invalid(_))));
        let id = made.id.clone();
        test.db.write(move |tx| remove(tx, &Caller::system(), 0, &id, &Seen::at(3))).await.expect("removed");
        assert_eq!(fired(&test, 9 * day).await.len(), 1, "what was given stays");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_named_at_their_fields() {
    for test in all().await {
        enrolled(&test).await;
        let good = || new("@daily", "env=prod");
        // (what is asked for, the field that is wrong)
        let cases = [
            (NewSchedule { cron: "daily".to_owned(), ..good() }, "cron"),
            (NewSchedule { agent_id: Some("0a".to_owned()), ..good() }, "selector"),
            (NewSchedule { agent_id: Some("0c".to_owned()), selector: String::new(), ..good() }, "agent_id"),
            (NewSchedule { selector: "=".to_owned(), ..good() }, "selector"),
            (NewSchedule { priority: 10, ..good() }, "priority"),
            (NewSchedule { kind: TaskKind::LogLevel, ..good() }, "payload.level"),
            (NewSchedule { name: String::new(), ..good() }, "name"),
        ];
        for (new, field) in cases {
            let made = test.db.write(move |tx| create(tx, &Caller::system(), 0, &new)).await;
            let Err(Error::Invalid(problems)) = made else { panic!("{field}: {made:?}") };
            assert_eq!(problems[0].field, field);
        }
        put(&test, 0, good()).await;
        let again = test.db.write(move |tx| create(tx, &Caller::system(), 0, &good())).await;
        assert!(matches!(again, Err(Error::Conflict(_))), "{again:?}");
    }
}
