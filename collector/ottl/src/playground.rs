//! Statements and conditions, tried on records in OTLP/JSON: each record before and after, and what went wrong. For people:
//! the command line shows it in a terminal, a service on a page.

mod records;
#[cfg(test)]
mod tests;

use std::cell::RefCell;

use phoenix_pdata::{InvalidUtf8, Payload, Signal, json};
use serde_json::Value;

use crate::{
    Client, ConditionGroup, Context, Diagnostic, Diagnostics, Env, ErrorMode, EvalError, Group, MatchProgram,
    StatementProgram, sets,
};

/// What is tried.
#[derive(Clone, Debug)]
pub struct Trial {
    /// What the texts run over; found from their paths where it is missing.
    pub context: Option<Context>,
    /// How errors are treated.
    pub error_mode: ErrorMode,
    /// Statements that run one after the other, or conditions of which one must hold.
    pub texts: Vec<String>,
    /// Whether they are conditions.
    pub conditions: bool,
    /// How many records are tried at most; more are an error.
    pub max_records: usize,
}

/// What the records have around them, instead of a clock, of chance and of a sender.
pub struct Surroundings<'a> {
    /// What `Now()` answers, in nanoseconds since 1970.
    pub now_unix_nanos: i64,
    /// Where random numbers come from.
    pub random: &'a dyn Fn() -> u64,
    /// What is known of the sender.
    pub client: &'a dyn Client,
}

/// What became of a record.
#[derive(Clone, Debug)]
pub struct Tried {
    /// The signal that it is of.
    pub signal: Signal,
    /// A request with just this record, as OTLP/JSON.
    pub before: Value,
    /// What the statements or conditions made of it.
    pub outcome: Outcome,
    /// Errors that were passed over.
    pub messages: Vec<String>,
}

/// What statements or conditions made of a record.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Statements ran: the request with the record afterwards.
    Became(Value),
    /// Whether one of the conditions holds.
    Matched(bool),
    /// Why the request would be refused.
    Refused(String),
}

/// Why nothing was tried, or not everything.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// Nothing was written.
    #[error("there is no statement")]
    NoStatement,
    /// The input is something else.
    #[error("the input is no JSON: {0}")]
    NotJson(#[from] serde_json::Error),
    /// It is JSON, and yet no request.
    #[error(
        "the input is no request in OTLP/JSON: it has none of resourceSpans, resourceMetrics, resourceLogs"
    )]
    NoRequest,
    /// It looks like a request.
    #[error("the input is no request in OTLP/JSON: {0}")]
    Invalid(json::JsonError),
    /// There was nothing to try it on.
    #[error("the input has no records")]
    NoRecords,
    /// There is more than anybody reads.
    #[error("the input has more than {0} records")]
    TooMany(usize),
    /// What is wrong with the statements or conditions.
    #[error("{}", rendered(.0))]
    Mistakes(Diagnostics),
}

fn rendered(found: &Diagnostics) -> String {
    found.0.iter().map(Diagnostic::render).collect::<Vec<_>>().join("\n")
}

enum Program {
    Statements(StatementProgram),
    Conditions(MatchProgram),
}

impl Trial {
    /// Tries each record of `input`, which holds requests of any signal one after the other, and hands what became of it to
    /// `show`.
    ///
    /// # Errors
    /// What is wrong with the statements, or with the input. What came before was shown.
    pub fn run(
        &self,
        input: &[u8],
        surroundings: &Surroundings<'_>,
        show: &mut dyn FnMut(Tried),
    ) -> Result<(), TrialError> {
        if self.texts.iter().all(|text| text.trim().is_empty()) {
            return Err(TrialError::NoStatement);
        }
        let mut count = 0;
        for (signal, request) in requests(input)? {
            let program = self.compile(signal).map_err(TrialError::Mistakes)?;
            let context = match &program {
                Program::Conditions(program) => Some(program.context()),
                Program::Statements(_) => self.context,
            };
            for record in records::of(signal, context, &request) {
                count += 1;
                if count > self.max_records {
                    return Err(TrialError::TooMany(self.max_records));
                }
                show(self.tried(&program, signal, record, surroundings)?);
            }
        }
        if count == 0 { Err(TrialError::NoRecords) } else { Ok(()) }
    }

    fn compile(&self, signal: Signal) -> Result<Program, Diagnostics> {
        let (context, error_mode, texts) = (self.context, self.error_mode, self.texts.clone());
        if self.conditions {
            let group = ConditionGroup { context, error_mode, conditions: texts };
            return MatchProgram::compile(signal, sets::CONDITIONS, &group).map(Program::Conditions);
        }
        let group = Group { context, error_mode, statements: texts, ..Group::default() };
        StatementProgram::compile(signal, sets::TRANSFORM, &[group]).map(Program::Statements)
    }

    fn tried(
        &self,
        program: &Program,
        signal: Signal,
        before: Value,
        surroundings: &Surroundings<'_>,
    ) -> Result<Tried, TrialError> {
        let payload = encoded(signal, &before)?;
        let messages = RefCell::new(Vec::new());
        let report = |source: &str, error: &EvalError| {
            messages.borrow_mut().push(if self.texts.len() > 1 {
                format!("{error}, in `{source}`")
            } else {
                error.to_string()
            });
        };
        let env = Env {
            now_unix_nanos: surroundings.now_unix_nanos,
            random: surroundings.random,
            client: surroundings.client,
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
        Ok(Tried { signal, before, outcome, messages: messages.into_inner() })
    }
}

impl Tried {
    /// Whether statements changed the record.
    pub fn is_changed(&self) -> bool {
        matches!(&self.outcome, Outcome::Became(after) if *after != self.before)
    }

    /// What the record is called.
    pub fn title(&self) -> String {
        records::title(self.signal, &self.before)
    }

    /// `request`, which is the one before or after, as people want to see it: the resource, the scope and the record side by
    /// side.
    pub fn parts(&self, request: &Value) -> Value {
        records::parts(self.signal, request)
    }
}

/// The requests of the input, in the form that they have as protobuf.
fn requests(input: &[u8]) -> Result<Vec<(Signal, Value)>, TrialError> {
    let requests = serde_json::Deserializer::from_slice(input).into_iter::<Value>();
    requests
        .map(|request| {
            let request = request?;
            let signal = records::signal(&request).ok_or(TrialError::NoRequest)?;
            Ok((signal, decoded(signal, &encoded(signal, &request)?)?))
        })
        .collect()
}

fn encoded(signal: Signal, request: &Value) -> Result<Payload, TrialError> {
    let decoded = json::decode(signal, request.to_string().as_bytes(), InvalidUtf8::Pass);
    decoded.map(|(payload, _)| payload).map_err(TrialError::Invalid)
}

fn decoded(signal: Signal, payload: &Payload) -> Result<Value, TrialError> {
    let mut text = Vec::new();
    json::encode(signal, payload, &mut text);
    Ok(serde_json::from_slice(&text)?)
}
