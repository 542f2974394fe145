//! The subcommands that ask a running collector: `plan`, `apply`, `status`, `explain`, `log-level`.

use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use phoenix_component::factory::Registry;
use phoenix_component::{
    ApplyAnswer, ApplyConditions, ConfigRequest, ConfigSource, DrainState, LogLevelState, PlanAnswer,
};
use serde::Serialize;
use serde_json::Value;

use crate::admin_client::{Answer, Unreachable, ask};
use crate::cli::{Admin, LogLevelCommand, Sources};
use crate::load;

/// How a command ended, as its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    Fine = 0,
    /// State would be lost.
    StateLoss = 2,
    /// Nobody answers.
    Unreachable = 3,
    /// It was done, and something is wrong after it: data was lost, or a component does not work.
    Unwell = 4,
}

/// What the exit codes mean, for the help.
pub(crate) const EXIT_CODES: &str = "Exit codes: 0 done, nothing is lost; 1 a mistake, in the configuration or in the request; 2 state would be lost;\n3 no collector answers; 4 done, but data was lost or a component does not work after it.";

/// What is asked for: files are read here, as the user that asks; other sources by the collector.
fn request(sources: &Sources) -> anyhow::Result<ConfigRequest> {
    let source = |uri: &String| -> anyhow::Result<ConfigSource> {
        let path = uri.strip_prefix("file:").or_else(|| (!uri.contains(':')).then_some(uri));
        let Some(path) = path else { return Ok(ConfigSource::Uri(uri.clone())) };
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
        Ok(ConfigSource::Text { name: path.to_owned(), text })
    };
    let sources_asked = sources.config.iter().map(source).collect::<Result<_, _>>()?;
    Ok(ConfigRequest { sources: sources_asked, set: sources.set.clone() })
}

fn print(text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    print(&(serde_json::to_string_pretty(value)? + "\n"))
}

/// Turns "nobody answers" into its exit code.
pub(crate) fn reached(outcome: anyhow::Result<Exit>) -> anyhow::Result<Exit> {
    match outcome {
        Err(error) if error.is::<Unreachable>() => {
            crate::commands::complain(&error);
            Ok(Exit::Unreachable)
        }
        outcome => outcome,
    }
}

/// The answer, or the error that it is, printed.
fn accepted(answer: Answer, json: bool) -> anyhow::Result<Result<Answer, Exit>> {
    if answer.is_ok() {
        return Ok(Ok(answer));
    }
    let (code, message) = answer.error();
    if json {
        print_json(&answer.json())?;
    }
    if code == "state_loss" {
        if !json {
            let plan: Value = answer.json()["plan"].clone();
            if let Ok(plan) = serde_json::from_value::<PlanAnswer>(plan) {
                print(&format!("{}\n", plan.changes))?;
            }
        }
        crate::commands::complain(&anyhow::anyhow!("nothing was applied: {message}"));
        return Ok(Err(Exit::StateLoss));
    }
    anyhow::bail!("{}", message.trim_end())
}

/// `plan`: against the running collector, or against other files.
pub(crate) fn plan(
    sources: &Sources,
    against: &[String],
    json: bool,
    admin: &Admin,
    registry: &Registry,
) -> anyhow::Result<Exit> {
    let plan = match against {
        [] => {
            let answer = ask(admin.admin.as_deref(), "POST", "/v1/plan", Some(&request(sources)?))?;
            match accepted(answer, json)? {
                Ok(answer) => {
                    serde_json::from_slice(&answer.body).context("the collector answers in another way")?
                }
                Err(exit) => return Ok(exit),
            }
        }
        against => compare(sources, against, registry)?,
    };
    match json {
        true => print_json(&plan)?,
        false => {
            let warnings: String =
                plan.warnings.iter().map(|warning| format!("warning: {warning}\n")).collect();
            print(&format!("{warnings}{}\n", plan.changes))?;
        }
    }
    Ok(if plan.loses_state { Exit::StateLoss } else { Exit::Fine })
}

/// Two configurations, without a collector. There is nothing to say of what is held.
fn compare(sources: &Sources, against: &[String], registry: &Registry) -> anyhow::Result<PlanAnswer> {
    let old = Sources { config: against.to_vec(), set: Vec::new(), ..sources.clone() };
    let old = load::load(&load::Request::of(&old), registry)?;
    let new = load::load(&load::Request::of(sources), registry)?;
    let mut changes = new.plan.changes_from(Some(&old.plan), registry);
    changes.telemetry_changed = old.telemetry != new.telemetry;
    Ok(PlanAnswer {
        loses_state: !changes.losses().is_empty(),
        changes,
        warnings: load::warnings(&new.problems),
        running: String::new(),
        proposed: String::new(),
    })
}

#[derive(Serialize)]
struct ApplyRequest {
    config: ConfigRequest,
    conditions: ApplyConditions,
    wait_seconds: u64,
}

/// `apply`: changes the running collector.
pub(crate) fn apply(
    sources: &Sources,
    conditions: ApplyConditions,
    wait: Duration,
    json: bool,
    admin: &Admin,
) -> anyhow::Result<Exit> {
    let body = ApplyRequest { config: request(sources)?, conditions, wait_seconds: wait.as_secs() };
    let answer = match accepted(ask(admin.admin.as_deref(), "POST", "/v1/apply", Some(&body))?, json)? {
        Ok(answer) => answer,
        Err(exit) => return Ok(exit),
    };
    let applied: ApplyAnswer =
        serde_json::from_slice(&answer.body).context("the collector answers in another way")?;
    match json {
        true => print_json(&applied)?,
        false => print(&told(&applied))?,
    }
    let lost = matches!(&applied.drain, DrainState::Done(report) if report.lost_items > 0);
    Ok(if lost || !applied.unhealthy.is_empty() { Exit::Unwell } else { Exit::Fine })
}

fn told(applied: &ApplyAnswer) -> String {
    let mut out: String =
        applied.plan.warnings.iter().map(|warning| format!("warning: {warning}\n")).collect();
    out += &format!("{}\nApplied.\n", applied.plan.changes);
    match &applied.drain {
        DrainState::UnderWay => out += "What was replaced still delivers what it holds.\n",
        DrainState::Done(report) if report.lost_items == 0 => out += "Nothing was lost.\n",
        DrainState::Done(report) => {
            for lost in &report.lost {
                out += &format!("LOST: {} items of {}\n", lost.items, lost.component);
            }
        }
    }
    for sick in &applied.unhealthy {
        out += &format!(
            "{}: {}: {}\n",
            sick.component,
            sick.status,
            sick.error.as_deref().unwrap_or("no reason given")
        );
    }
    out
}

/// `status`: the components that run.
pub(crate) fn status(json: bool, admin: &Admin) -> anyhow::Result<Exit> {
    let answer = match accepted(ask(admin.admin.as_deref(), "GET", "/v1/status", None::<&()>)?, json)? {
        Ok(answer) => answer,
        Err(exit) => return Ok(exit),
    };
    let status = answer.json();
    if json {
        print_json(&status)?;
    } else {
        let mut out = format!(
            "version {}, up for {} s, configuration {}{}\n",
            status["version"].as_str().unwrap_or_default(),
            status["uptime_seconds"],
            status["config"]["hash"].as_str().unwrap_or_default(),
            match status["config"]["from_sources"].as_bool() {
                Some(false) => " (applied from elsewhere than the sources of the command line)",
                _ => "",
            },
        );
        for component in status["components"].as_array().into_iter().flatten() {
            let key: phoenix_component::ComponentStatus =
                serde_json::from_value(component.clone()).context("the collector answers in another way")?;
            let error = key.error.map(|error| format!(": {error}")).unwrap_or_default();
            out += &format!("{}  {}{error}\n", key.status.trim_start_matches("Status"), key.component);
        }
        print(&out)?;
    }
    Ok(if status["healthy"] == Value::Bool(true) { Exit::Fine } else { Exit::Unwell })
}

/// `explain`: what samplers decided about a trace.
pub(crate) fn explain(trace_id: &str, json: bool, admin: &Admin) -> anyhow::Result<Exit> {
    anyhow::ensure!(
        phoenix_component::trace_id(trace_id).is_some(),
        "{trace_id:?} is no trace identifier: it has 32 hexadecimal digits"
    );
    let path = format!("/v1/decisions?trace_id={trace_id}");
    let answer = match accepted(ask(admin.admin.as_deref(), "GET", &path, None::<&()>)?, json)? {
        Ok(answer) => answer.json(),
        Err(exit) => return Ok(exit),
    };
    let decisions = answer["decisions"].as_array().map(Vec::as_slice).unwrap_or_default();
    if json {
        print_json(&answer)?;
    } else if decisions.is_empty() {
        print(&format!("no decision about {trace_id} is remembered by {} samplers\n", answer["samplers"]))?;
    } else {
        let told: String = decisions.iter().map(|decision| explained(decision) + "\n").collect();
        print(&told)?;
    }
    Ok(if decisions.is_empty() { Exit::StateLoss } else { Exit::Fine })
}

/// One decision in words.
fn explained(decision: &Value) -> String {
    let text = |key: &str| decision[key].as_str().unwrap_or_default();
    let by = match (text("policy"), text("part")) {
        ("", _) => "no policy wanted it".to_owned(),
        (policy, "") => format!("by {policy}"),
        (policy, part) => format!("by {policy} ({part})"),
    };
    let count = match decision["adjusted_count"].as_f64() {
        Some(count) => format!("; stands for {count:.2}"),
        None => String::new(),
    };
    let at =
        SystemTime::UNIX_EPOCH + Duration::from_nanos(decision["unix_nanos"].as_u64().unwrap_or_default());
    let ago = at.elapsed().unwrap_or_default().as_secs();
    format!(
        "{}: {} {by}, {ago} s ago, at {}; {} spans, {} bytes{count}; policies of generation {}",
        text("processor"),
        text("outcome"),
        text("trigger"),
        decision["spans"],
        decision["bytes"],
        decision["generation"],
    )
}

#[derive(Serialize)]
struct LevelRequest<'a> {
    level: &'a str,
    for_seconds: u64,
}

/// `log-level`: tells or sets the level.
pub(crate) fn log_level(command: &LogLevelCommand, admin: &Admin) -> anyhow::Result<Exit> {
    let endpoint = admin.admin.as_deref();
    let answer = match (&command.level, command.reset) {
        (_, true) => ask(endpoint, "DELETE", "/v1/log-level", None::<&()>)?,
        (None, false) => ask(endpoint, "GET", "/v1/log-level", None::<&()>)?,
        (Some(level), false) => {
            let for_seconds = command.time.as_secs();
            ask(endpoint, "PUT", "/v1/log-level", Some(&LevelRequest { level: level.name(), for_seconds }))?
        }
    };
    let answer = match accepted(answer, false)? {
        Ok(answer) => answer,
        Err(exit) => return Ok(exit),
    };
    let state: LogLevelState =
        serde_json::from_slice(&answer.body).context("the collector answers in another way")?;
    let rest = match state.reverts_in_seconds {
        Some(seconds) => format!("; in {seconds} s it is {} again, as configured", state.configured.name()),
        None => ", as configured".to_owned(),
    };
    print(&format!("{}{rest}\n", state.level.name()))?;
    Ok(Exit::Fine)
}
