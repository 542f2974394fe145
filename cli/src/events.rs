//! What happened to one thing.

use std::time::Duration;

use serde_json::Value;

use crate::Exit;
use crate::args::{Events, Kind};
use crate::client::{Client, Refused, escape};
use crate::output::{Column, Output};

/// How often it is looked for further events.
const LOOK: Duration = Duration::from_secs(1);
/// Events that are asked for at once.
const PAGE: usize = 500;

/// What people see of events.
pub(crate) const COLUMNS: &[Column] = &[
    ("AT", "at"),
    ("ACTOR", "actor"),
    ("ACTION", "action"),
    ("TARGET", "target"),
    ("REQUEST", "request_id"),
];

/// `phoenix events`: the latest last, as in a log.
pub(crate) fn run(client: &Client, asked: &Events, out: &Output) -> anyhow::Result<Exit> {
    anyhow::ensure!(
        !matches!(asked.kind, Kind::Audit | Kind::Roles | Kind::SigningKeys),
        "events are of one thing: an agent, a group, a configuration, a template, a rollout, a task, a schedule, a user, an \
         API key or an enrolment token; `phoenix get audit` lists all of them"
    );
    let found = client.find(asked.kind.word(), asked.kind.path(), &asked.name)?;
    let of = escape(found["id"].as_str().unwrap_or_default());
    let latest = client.get(&format!("/events?of={of}&limit={}", asked.limit))?;
    let mut events = items(&latest);
    events.reverse();
    if !asked.follow {
        out.items(&events, COLUMNS)?;
        return Ok(Exit::Fine);
    }
    let mut last = 0;
    loop {
        for event in &events {
            last = number(event).max(last);
            out.line(event, COLUMNS)?;
        }
        std::thread::sleep(LOOK);
        events = match since(client, &of, last) {
            Ok(events) => events,
            Err(error) if error.is::<Refused>() => return Err(error),
            // The service starts again, or the network is away: what happens meanwhile is told afterwards.
            Err(_) => Vec::new(),
        };
    }
}

fn items(page: &Value) -> Vec<Value> {
    page["items"].as_array().cloned().unwrap_or_default()
}

fn number(event: &Value) -> i64 {
    event["seq"].as_i64().unwrap_or_default()
}

/// The events behind the one with the number `last`, the oldest first.
fn since(client: &Client, of: &str, last: i64) -> anyhow::Result<Vec<Value>> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = client.get(&format!("/events?of={of}&limit={PAGE}{cursor}"))?;
        let events = items(&page);
        let is_older = events.iter().any(|event| number(event) <= last);
        found.extend(events.into_iter().filter(|event| number(event) > last));
        match page["next_cursor"].as_str() {
            Some(next) if !is_older => cursor = format!("&cursor={}", escape(next)),
            _ => {
                found.reverse();
                return Ok(found);
            }
        }
    }
}
