//! Statements and conditions, tried on records in OTLP/JSON: each record before and after, and what went wrong.

mod diff;
mod records;

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::bail;
use phoenix_ottl::{
    ConditionGroup, Context, Diagnostics, Env, ErrorMode, EvalError, Group, MatchProgram, StatementProgram,
    sets,
};
use phoenix_pdata::{InvalidUtf8, Payload, Signal, json};
use serde_json::{Value, json};

/// What people read under the options.
pub(crate) const HELP: &str = r#"Examples:
  phoenix-collector ottl --context span 'set(attributes["slow"], true) where end_time - start_time > Duration("1s")' < spans.json
  phoenix-collector ottl 'set(log.severity_text, "ERROR") where IsMatch(log.body, "(?i)error")' < logs.json
  phoenix-collector ottl --condition --context metric 'IsMatch(name, "^system\\.")' < metrics.json

Single quotes keep the shell away from $ and ". In a configuration file, $ is written $$; here it is not.
Lines with - are of the record before, lines with + of the record after; of the rest only what is near is shown.
otelcol.client.* and otelcol.grpc.* are empty here, since nobody sent the records.

Exit codes: 0 the statements ran, even if they failed for some records; 1 a mistake in a statement, or no OTLP/JSON."#;

/// What is tried.
pub(crate) struct Trial {
    /// What the texts run over; found from their paths where it is missing.
    pub(crate) context: Option<Context>,
    /// How errors are treated.
    pub(crate) error_mode: ErrorMode,
    /// Statements that run one after the other, or conditions of which one must hold.
    pub(crate) texts: Vec<String>,
    /// Whether they are conditions.
    pub(crate) conditions: bool,
}

/// What became of a record.
#[derive(Debug)]
struct Seen {
    before: Value,
    outcome: Outcome,
    /// Errors that were passed over.
    messages: Vec<String>,
}

#[derive(Debug)]
enum Outcome {
    Became(Value),
    Matched(bool),
    Refused(String),
}

enum Program {
    Statements(StatementProgram),
    Conditions(MatchProgram),
}

/// Runs what is tried over the requests of `input`, and says what became of each record.
///
/// # Errors
/// What is wrong with the statements, or with the input.
pub(crate) fn run(trial: &Trial, input: &[u8], as_json: bool) -> anyhow::Result<String> {
    if trial.texts.iter().all(|text| text.trim().is_empty()) {
        bail!("there is no statement");
    }
    let mut report = String::new();
    let mut number = 0;
    for (signal, request) in requests(input)? {
        let program = trial.compile(signal)?;
        let context = match &program {
            Program::Conditions(program) => Some(program.context()),
            Program::Statements(_) => trial.context,
        };
        for record in records::of(signal, context, &request) {
            number += 1;
            let seen = trial.watch(&program, signal, record)?;
            if as_json {
                let _ = writeln!(report, "{}", seen.to_json(signal, number));
            } else {
                seen.describe(signal, number, &mut report);
            }
        }
    }
    if number == 0 {
        bail!("there are no records on standard input");
    }
    Ok(report)
}

/// The requests of the input, in the form that they have as protobuf.
fn requests(input: &[u8]) -> anyhow::Result<Vec<(Signal, Value)>> {
    let mut found = Vec::new();
    for request in serde_json::Deserializer::from_slice(input).into_iter::<Value>() {
        let request = request.map_err(|error| anyhow::anyhow!("standard input is no JSON: {error}"))?;
        let signal = records::signal(&request).ok_or_else(|| {
            anyhow::anyhow!(
                "standard input is no request in OTLP/JSON: it has none of resourceSpans, resourceMetrics, resourceLogs"
            )
        })?;
        found.push((signal, decoded(signal, &encoded(signal, &request)?)?));
    }
    Ok(found)
}

fn encoded(signal: Signal, request: &Value) -> anyhow::Result<Payload> {
    let decoded = json::decode(signal, request.to_string().as_bytes(), InvalidUtf8::Pass);
    let (payload, _) =
        decoded.map_err(|error| anyhow::anyhow!("standard input is no request in OTLP/JSON: {error}"))?;
    Ok(payload)
}

fn decoded(signal: Signal, payload: &Payload) -> anyhow::Result<Value> {
    let mut text = Vec::new();
    json::encode(signal, payload, &mut text);
    Ok(serde_json::from_slice(&text)?)
}

impl Trial {
    fn compile(&self, signal: Signal) -> anyhow::Result<Program> {
        let (context, error_mode, texts) = (self.context, self.error_mode, self.texts.clone());
        if self.conditions {
            let group = ConditionGroup { context, error_mode, conditions: texts };
            let program = MatchProgram::compile(signal, sets::CONDITIONS, &group);
            return program.map(Program::Conditions).map_err(|found| mistakes(&found));
        }
        let group = Group { context, error_mode, statements: texts, ..Group::default() };
        let program = StatementProgram::compile(signal, sets::TRANSFORM, &[group]);
        program.map(Program::Statements).map_err(|found| mistakes(&found))
    }

    fn watch(&self, program: &Program, signal: Signal, before: Value) -> anyhow::Result<Seen> {
        let payload = encoded(signal, &before)?;
        let messages = RefCell::new(Vec::new());
        let report = |source: &str, error: &EvalError| {
            messages.borrow_mut().push(if self.texts.len() > 1 {
                format!("{error}, in `{source}`")
            } else {
                error.to_string()
            });
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let env = Env {
            now_unix_nanos: i64::try_from(now.as_nanos()).unwrap_or(i64::MAX),
            random: &rand::random,
            client: &(),
            report: &report,
        };
        let outcome = match program {
            Program::Statements(program) => match program.apply(&payload, &env) {
                Ok(changed) => Outcome::Became(decoded(signal, &changed)?),
                Err(error) => Outcome::Refused(error.to_string()),
            },
            Program::Conditions(program) => {
                let mut matched = false;
                match program.each_match(&payload, &env, |_| matched = true) {
                    Ok(()) => Outcome::Matched(matched),
                    Err(error) => Outcome::Refused(error.to_string()),
                }
            }
        };
        Ok(Seen { before, outcome, messages: messages.into_inner() })
    }
}

/// What is wrong with the statements, for people.
fn mistakes(found: &Diagnostics) -> anyhow::Error {
    let rendered: Vec<String> = found.0.iter().map(phoenix_ottl::Diagnostic::render).collect();
    anyhow::anyhow!(rendered.join("\n"))
}

impl Seen {
    fn to_json(&self, signal: Signal, number: usize) -> Value {
        let mut shown = json!({"record": number, "before": records::parts(signal, &self.before), "messages": self.messages});
        match &self.outcome {
            Outcome::Became(after) => {
                shown["after"] = records::parts(signal, after);
                shown["changed"] = (*after != self.before).into();
            }
            Outcome::Matched(matched) => shown["matched"] = (*matched).into(),
            Outcome::Refused(why) => shown["refused"] = why.as_str().into(),
        }
        shown
    }

    fn describe(&self, signal: Signal, number: usize, report: &mut String) {
        let title = records::title(signal, &self.before);
        let verdict = match &self.outcome {
            Outcome::Became(after) if *after == self.before => "unchanged",
            Outcome::Became(_) => "changed",
            Outcome::Matched(true) => "matches",
            Outcome::Matched(false) => "does not match",
            Outcome::Refused(_) => "refused, with the request that it is in",
        };
        let _ = writeln!(report, "{number}. {title}: {verdict}");
        if let Outcome::Became(after) = &self.outcome
            && *after != self.before
        {
            diff::write(&records::text(signal, &self.before), &records::text(signal, after), report);
        }
        if let Outcome::Refused(why) = &self.outcome {
            let _ = writeln!(report, "  error: {why}");
        }
        for message in &self.messages {
            let _ = writeln!(report, "  error, passed over: {message}");
        }
    }
}
