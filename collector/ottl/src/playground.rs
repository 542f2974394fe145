//! Statements and conditions over OTLP/JSON, for people: each record before and after, and what was said.

use std::cell::RefCell;

use phoenix_pdata::{InvalidUtf8, Payload, Signal, json};

use crate::plan::Levels;
use crate::run::{Arena, Layout, State, Verdict, Walk, walk};
use crate::{
    Client, ConditionGroup, Context, Diagnostics, Env, ErrorMode, EvalError, Group, MatchProgram, Report,
    StatementProgram, sets,
};

/// How many records are shown at most.
pub const MAX_RECORDS: usize = 1000;

/// Statements, or a condition, to be tried.
#[derive(Debug)]
pub struct Playground {
    signal: Signal,
    program: Program,
}

#[derive(Debug)]
enum Program {
    Statements(StatementProgram),
    Condition(MatchProgram),
}

/// A record, before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// A request with just this record, as OTLP/JSON.
    pub before: String,
    /// The same after the statements. Empty where they refuse it, and for conditions.
    pub after: String,
    /// For conditions: whether it holds.
    pub is_match: Option<bool>,
    /// What failed: the statement and why.
    pub messages: Vec<String>,
}

impl Sample {
    /// Whether the statements changed something.
    pub fn is_changed(&self) -> bool {
        !self.after.is_empty() && self.before != self.after
    }
}

/// Why nothing was tried.
#[derive(Debug, thiserror::Error)]
pub enum PlaygroundError {
    /// The input is no OTLP/JSON of the signal.
    #[error("the input is not OTLP/JSON of {signal}: {source}")]
    Input {
        /// The signal of the statements.
        signal: Signal,
        /// What is wrong.
        #[source]
        source: json::JsonError,
    },
    /// There is more than anybody reads.
    #[error("the input has more than {MAX_RECORDS} records")]
    TooMany,
}

impl Playground {
    /// Compiles statements of a signal. Without a context it is found from the paths.
    ///
    /// # Errors
    ///
    /// All problems of all statements.
    pub fn statements(
        signal: Signal,
        context: Option<Context>,
        error_mode: ErrorMode,
        statements: &[String],
    ) -> Result<Playground, Diagnostics> {
        let group = Group { context, error_mode, conditions: Vec::new(), statements: statements.to_vec() };
        let program = StatementProgram::compile(signal, sets::ALL, &[group])?;
        Ok(Playground { signal, program: Program::Statements(program) })
    }

    /// Compiles a condition of a signal. Without a context it is found from the paths.
    ///
    /// # Errors
    ///
    /// What is wrong with the condition.
    pub fn condition(
        signal: Signal,
        context: Option<Context>,
        condition: &str,
    ) -> Result<Playground, Diagnostics> {
        let conditions = vec![condition.to_owned()];
        let group = ConditionGroup { context, error_mode: ErrorMode::Ignore, conditions };
        let program = MatchProgram::compile(signal, sets::ALL, &group)?;
        Ok(Playground { signal, program: Program::Condition(program) })
    }

    /// Tries each span, metric or log record of a request by itself. `now` and `random` stand for the clock and for chance.
    ///
    /// # Errors
    ///
    /// Input that cannot be read, or is too much.
    pub fn run(
        &self,
        input: &[u8],
        now_unix_nanos: i64,
        random: &dyn Fn() -> u64,
        client: &dyn Client,
    ) -> Result<Vec<Sample>, PlaygroundError> {
        let signal = self.signal;
        let (payload, _) = json::decode(signal, input, InvalidUtf8::Pass)
            .map_err(|source| PlaygroundError::Input { signal, source })?;
        let mut samples = Vec::new();
        for piece in payload.pieces() {
            let mut index = 0;
            while let Some(single) = only(signal, piece, index) {
                if samples.len() == MAX_RECORDS {
                    return Err(PlaygroundError::TooMany);
                }
                let messages = Messages::default();
                let env = Env { now_unix_nanos, random, client, report: &messages };
                samples.push(self.sample(single, &env, &messages));
                index += 1;
            }
        }
        Ok(samples)
    }

    fn sample(&self, record: Payload, env: &Env<'_>, messages: &Messages) -> Sample {
        let (mut after, mut is_match) = (String::new(), None);
        let result = match &self.program {
            Program::Statements(program) => program.apply(&record, env).map(|changed| {
                after = text(self.signal, &changed);
            }),
            Program::Condition(program) => {
                is_match = Some(false);
                program.each_match(&record, env, |_| is_match = Some(true))
            }
        };
        if let Err(error) = result {
            messages.0.borrow_mut().push(error.to_string());
        }
        let messages = messages.0.take();
        Sample { before: text(self.signal, &record), after, is_match, messages }
    }
}

#[derive(Default)]
struct Messages(RefCell<Vec<String>>);

impl Report for Messages {
    fn ignored(&self, source: &str, error: &EvalError) {
        self.0.borrow_mut().push(format!("`{source}`: {error}"));
    }
}

fn text(signal: Signal, payload: &Payload) -> String {
    let mut out = Vec::new();
    json::encode(signal, payload, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// The piece with only the record that has this index; `None` behind the last.
fn only(signal: Signal, piece: &[u8], index: usize) -> Option<Payload> {
    let (layout, arena) = (Layout::default(), Arena::default());
    let env = Env { now_unix_nanos: 0, random: &|| 0, client: &(), report: &() };
    let mut state = State::new(&layout, &arena, env);
    let how = Walk { signal, visits: Levels::of(2), prunes: true, keeps_metric: false };
    let mut count = 0;
    let changed = walk(&mut state, piece, how, &mut |_, _| {
        count += 1;
        Ok(if count == index + 1 { Verdict::Keep } else { Verdict::Remove })
    });
    let single = changed.ok()?.unwrap_or_else(|| piece.to_vec());
    (count > index).then(|| Payload::from(bytes::Bytes::from(single)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPANS: &str = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[
        {"name":"a","attributes":[{"key":"n","value":{"intValue":"1"}}]},
        {"name":"b"}]}]}]}"#;

    fn run(playground: &Playground) -> Vec<Sample> {
        playground.run(SPANS.as_bytes(), 0, &|| 0, &()).unwrap()
    }

    #[test]
    fn shows_each_record_before_and_after_and_what_failed() {
        let statements = vec![r#"set(name, Concat([name, String(attributes["n"] + 1)], "/"))"#.to_owned()];
        let playground =
            Playground::statements(Signal::Traces, Some(Context::Span), ErrorMode::Ignore, &statements)
                .unwrap();
        let samples = run(&playground);
        assert_eq!(samples.len(), 2);
        assert!(samples[0].before.contains(r#""name":"a""#), "{}", samples[0].before);
        assert!(samples[0].after.contains(r#""name":"a/2""#), "{}", samples[0].after);
        assert!(samples[0].is_changed() && samples[0].messages.is_empty());
        assert!(!samples[1].is_changed());
        let said = format!("`{}`: Concat: String: cannot calculate nil + int64", statements[0]);
        assert_eq!(samples[1].messages, [said]);
    }

    #[test]
    fn tells_for_which_records_a_condition_holds() {
        let playground = Playground::condition(Signal::Traces, None, r#"span.name == "b""#).unwrap();
        let matches: Vec<_> = run(&playground).into_iter().map(|sample| sample.is_match).collect();
        assert_eq!(matches, [Some(false), Some(true)]);
    }

    #[test]
    fn other_input_is_refused() {
        let playground = Playground::condition(Signal::Traces, None, r#"span.name == "b""#).unwrap();
        let error = playground.run(b"nonsense", 0, &|| 0, &()).unwrap_err();
        assert!(error.to_string().starts_with("the input is not OTLP/JSON of traces: "), "{error}");
    }
}
