//! Tasks of the control service: diagnostics, a dry run, a log level for a time, a reload, a restart.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use phoenix_component::{ApplyConditions, Collector, ComponentStatus, ConfigRequest, Host, LogLevel};
use phoenix_profiling::{Capture, memory};
use phoenix_telemetry::{Resource, prometheus};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::remote;
use crate::storage::{Remote, RemoteFile};
use crate::tap;

/// Results that are kept, so that a task that comes again is not done again.
const KEPT: usize = 32;
const LONGEST_LEVEL: u64 = 24 * 3600;
/// The result of a restart has this time to reach the server.
pub(crate) const BEFORE_RESTART: Duration = Duration::from_secs(1);
/// Longest time that CPU time is sampled for, in seconds: less than a task may take.
const LONGEST_PROFILE: u64 = 30;
/// Bytes of a CPU profile in a bundle of diagnostics.
const MAX_PROFILE: usize = 256 << 10;
/// Bytes of own metrics in a bundle of diagnostics.
const MAX_METRICS: usize = 256 << 10;

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
        "diagnostics" => match serde_json::from_value::<Option<Bundle>>(task.payload) {
            Ok(asked) => diagnostics(collector, host, asked.unwrap_or_default()).await,
            Err(error) => Err(error.to_string()),
        },
        "restart" => collector.restart(BEFORE_RESTART).map(|()| json!({"restarts": true})),
        "dry_run" => dry_run(collector, task.payload).await,
        "tap" => tap::run(host, task.payload).await,
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

/// What the collector would do with these files under its own; that it could not is an answer, too.
async fn dry_run(collector: &Arc<dyn Collector>, payload: Value) -> Result<Value, String> {
    #[derive(Deserialize)]
    struct Files {
        files: Vec<RemoteFile>,
    }
    let Files { files } = serde_json::from_value(payload).map_err(|error| error.to_string())?;
    let remote = Remote { hash: Vec::new(), files };
    Ok(match collector.plan(remote::request(Some(&remote))).await {
        Ok(plan) => json!({"valid": true, "plan": plan, "summary": plan.changes.to_string()}),
        Err(error) => json!({"valid": false, "error": error.to_string()}),
    })
}

fn log_level(collector: &Arc<dyn Collector>, payload: Value) -> Result<Value, String> {
    let Level { level, for_seconds } = serde_json::from_value(payload).map_err(|error| error.to_string())?;
    if !(1..=LONGEST_LEVEL).contains(&for_seconds) {
        return Err(format!("for_seconds must be 1 to {LONGEST_LEVEL}"));
    }
    Ok(json!(collector.set_log_level(Some((level, Duration::from_secs(for_seconds))))))
}

/// Which part of the diagnostics is wanted; all of them without.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Bundle {
    only: Option<Part>,
    /// For how long CPU time is sampled; not at all where 0.
    profile_seconds: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Part {
    Logs,
    Metrics,
    Configuration,
    Health,
    Profile,
}

async fn diagnostics(collector: &Arc<dyn Collector>, host: &Host, asked: Bundle) -> Result<Value, String> {
    if asked.profile_seconds > LONGEST_PROFILE {
        return Err(format!("profile_seconds must be 0 to {LONGEST_PROFILE}"));
    }
    let wants = |part| asked.only.is_none_or(|only| only == part);
    let mut bundle = json!({"version": host.build.version});
    if wants(Part::Configuration) {
        let config = collector.effective_config();
        bundle["effective_config"] = (*config.yaml).into();
        bundle["from_sources"] = config.from_sources.into();
    }
    if wants(Part::Health) {
        let components: Vec<ComponentStatus> = host
            .health
            .report()
            .into_iter()
            .map(|(key, since)| ComponentStatus::new(key, &since.status, since.since))
            .collect();
        bundle["components"] = json!(components);
        bundle["pipelines"] = json!(collector.pipelines());
        bundle["books"] = json!(collector.books().await);
        bundle["memory_bytes"] = host.memory.resident().into();
        bundle["cores"] = host.cores.count().into();
    }
    if wants(Part::Metrics) {
        bundle["metrics"] = own_metrics(host).into();
    }
    if wants(Part::Logs) {
        let lines = host.logs.recent();
        bundle["logs"] = lines.iter().map(|line| line.trim_end()).collect();
        bundle["log_level"] = json!(collector.log_level());
    }
    if wants(Part::Profile) {
        bundle["profile"] = profile(asked.profile_seconds).await;
    }
    Ok(bundle)
}

/// What memory is mapped for, and, where asked for, where CPU time goes: pprof's format in base64.
async fn profile(seconds: u64) -> Value {
    let capture = (seconds > 0).then(Capture::start).transpose();
    if let Ok(Some(_)) = capture {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }
    // Names are looked up, and files of the kernel are read.
    let taken = tokio::task::spawn_blocking(move || {
        let sizes: BTreeMap<String, Value> = memory::mappings()
            .into_iter()
            .filter(|(_, sizes)| sizes.resident > 0)
            .map(|(what, sizes)| (what, json!({"resident": sizes.resident, "private": sizes.private})))
            .collect();
        let mut taken = json!({"memory": sizes});
        match capture.and_then(|capture| capture.map(|capture| capture.profile()).transpose()) {
            Ok(None) => {}
            Ok(Some(profile)) if profile.len() > MAX_PROFILE => {
                taken["cpu_error"] =
                    format!("the profile has {} bytes and was not kept", profile.len()).into();
            }
            Ok(Some(profile)) => taken["cpu"] = STANDARD.encode(profile).into(),
            Err(error) => taken["cpu_error"] = error.to_string().into(),
        }
        taken
    });
    taken.await.unwrap_or_else(|panic| json!({"cpu_error": format!("the profile failed: {panic}")}))
}

/// Own metrics in Prometheus' words, whole lines of them.
fn own_metrics(host: &Host) -> String {
    let options = prometheus::Options::default();
    let mut text =
        prometheus::render(&host.metrics.streams(), &Resource::default(), host.build.version, &options);
    if text.len() > MAX_METRICS {
        let end =
            text.as_bytes()[..MAX_METRICS].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_profile_tells_of_memory_and_of_cpu_time_where_asked_for() {
        let plain = profile(0).await;
        let resident: u64 = plain["memory"]
            .as_object()
            .expect("mappings")
            .values()
            .filter_map(|of| of["resident"].as_u64())
            .sum();
        assert!(resident > 1 << 20, "{plain}");
        assert!(plain["cpu"].is_null() && plain["cpu_error"].is_null());
        let sampled = profile(1).await;
        let cpu = STANDARD.decode(sampled["cpu"].as_str().expect("a profile")).expect("base64");
        assert_eq!(cpu[..2], [0x1f, 0x8b], "gzip, as `go tool pprof` reads it");
    }

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
