//! Tasks of the control service: diagnostics, a log level for a time, a reload.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use phoenix_component::{ApplyConditions, Collector, ComponentStatus, ConfigRequest, Host, LogLevel};
use serde::Deserialize;
use serde_json::{Value, json};

/// The custom messages that tasks come in.
pub(crate) const CAPABILITY: &str = "io.phoenix.tasks/v1";
/// Results that are kept, so that a task that comes again is not done again.
const KEPT: usize = 32;
const LONGEST_LEVEL: u64 = 24 * 3600;

/// A task as it comes.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Task {
    id: String,
    fence: i64,
    kind: String,
    #[serde(default)]
    payload: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Level {
    level: LogLevel,
    for_seconds: u64,
}

/// What was done lately.
#[derive(Default)]
pub(crate) struct Done(VecDeque<(String, Value)>);

impl Done {
    /// The result of a task that was done already, under its new fence.
    pub(crate) fn again(&self, task: &Task) -> Option<Value> {
        let mut result = self.0.iter().find(|(id, _)| *id == task.id)?.1.clone();
        result["fence"] = task.fence.into();
        Some(result)
    }

    pub(crate) fn keep(&mut self, result: &Value) {
        // What may succeed another time is to be tried.
        if result["retryable"] == true {
            return;
        }
        if self.0.len() >= KEPT {
            self.0.pop_front();
        }
        self.0.push_back((result["id"].as_str().unwrap_or_default().to_owned(), result.clone()));
    }
}

/// Does a task, and says what came of it.
pub(crate) async fn run(collector: &Arc<dyn Collector>, host: &Host, task: Task) -> Value {
    let outcome = match task.kind.as_str() {
        "diagnostics" => Ok(diagnostics(collector, host).await),
        "log_level" => log_level(collector, task.payload),
        "reload" => {
            let reload = ConfigRequest::default();
            let applied = collector.apply(reload, ApplyConditions::default(), Duration::from_secs(5)).await;
            applied.map(|answer| json!(answer)).map_err(|error| error.to_string())
        }
        other => Err(format!("this agent knows no task {other:?}")),
    };
    match outcome {
        Ok(result) => json!({"id": task.id, "fence": task.fence, "result": result}),
        Err(error) => json!({"id": task.id, "fence": task.fence, "error": error, "retryable": false}),
    }
}

fn log_level(collector: &Arc<dyn Collector>, payload: Value) -> Result<Value, String> {
    let Level { level, for_seconds } = serde_json::from_value(payload).map_err(|error| error.to_string())?;
    if !(1..=LONGEST_LEVEL).contains(&for_seconds) {
        return Err(format!("for_seconds must be 1 to {LONGEST_LEVEL}"));
    }
    Ok(json!(collector.set_log_level(Some((level, Duration::from_secs(for_seconds))))))
}

async fn diagnostics(collector: &Arc<dyn Collector>, host: &Host) -> Value {
    let config = collector.effective_config();
    let components: Vec<ComponentStatus> = host
        .health
        .report()
        .into_iter()
        .map(|(key, since)| ComponentStatus::new(key, &since.status, since.since))
        .collect();
    json!({
        "version": host.build.version,
        "effective_config": &*config.yaml,
        "from_sources": config.from_sources,
        "components": components,
        "pipelines": collector.pipelines(),
        "books": collector.books().await,
        "log_level": collector.log_level(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_is_answered_again_under_the_new_fence() {
        let mut done = Done::default();
        let task =
            |id: &str, fence| Task { id: id.into(), fence, kind: "diagnostics".into(), payload: Value::Null };
        done.keep(&json!({"id": "a", "fence": 1, "result": 5}));
        done.keep(&json!({"id": "b", "fence": 1, "error": "x", "retryable": true}));
        let again = done.again(&task("a", 2)).expect("known");
        assert_eq!((again["fence"].as_i64(), again["result"].as_i64()), (Some(2), Some(5)));
        assert!(done.again(&task("b", 2)).is_none(), "that is tried again");
        for number in 0..KEPT {
            done.keep(&json!({"id": number.to_string()}));
        }
        assert!(done.again(&task("a", 3)).is_none(), "memory is bounded");
    }
}
