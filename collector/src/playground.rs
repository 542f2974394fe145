//! `phoenix-collector ottl`: shows in a terminal what statements and conditions make of records.

mod diff;

#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::bail;
use phoenix_ottl::playground::{Outcome, Surroundings, Trial, TrialError, Tried};
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

/// Runs what is tried over the requests of `input`, and says what became of each record.
///
/// # Errors
/// What is wrong with the statements, or with the input.
pub(crate) fn run(trial: &Trial, input: &[u8], as_json: bool) -> anyhow::Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let surroundings = Surroundings {
        now_unix_nanos: i64::try_from(now.as_nanos()).unwrap_or(i64::MAX),
        random: &rand::random,
        client: &(),
    };
    let (mut report, mut number) = (String::new(), 0);
    let outcome = trial.run(input, &surroundings, &mut |tried| {
        number += 1;
        if as_json {
            let _ = writeln!(report, "{}", as_line(&tried, number));
        } else {
            describe(&tried, number, &mut report);
        }
    });
    match outcome {
        Ok(()) => Ok(report),
        Err(TrialError::NoRecords) => bail!("there are no records on standard input"),
        Err(error) => Err(error.into()),
    }
}

fn as_line(tried: &Tried, number: usize) -> Value {
    let mut shown =
        json!({"record": number, "before": tried.parts(&tried.before), "messages": tried.messages});
    match &tried.outcome {
        Outcome::Became(after) => {
            shown["after"] = tried.parts(after);
            shown["changed"] = tried.is_changed().into();
        }
        Outcome::Matched(matched) => shown["matched"] = (*matched).into(),
        Outcome::Refused(why) => shown["refused"] = why.as_str().into(),
    }
    shown
}

fn describe(tried: &Tried, number: usize, report: &mut String) {
    let verdict = match &tried.outcome {
        Outcome::Became(_) if tried.is_changed() => "changed",
        Outcome::Became(_) => "unchanged",
        Outcome::Matched(true) => "matches",
        Outcome::Matched(false) => "does not match",
        Outcome::Refused(_) => "refused, with the request that it is in",
    };
    let _ = writeln!(report, "{number}. {}: {verdict}", tried.title());
    if let Outcome::Became(after) = &tried.outcome
        && tried.is_changed()
    {
        let text = |request| serde_json::to_string_pretty(&tried.parts(request)).unwrap_or_default();
        diff::write(&text(&tried.before), &text(after), report);
    }
    if let Outcome::Refused(why) = &tried.outcome {
        let _ = writeln!(report, "  error: {why}");
    }
    for message in &tried.messages {
        let _ = writeln!(report, "  error, passed over: {message}");
    }
}
