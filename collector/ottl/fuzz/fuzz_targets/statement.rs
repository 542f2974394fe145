//! Any text as a statement and as a condition of every context: it is compiled or refused with a place within it, and what
//! compiles runs over a record without a panic and leaves a request that everybody can read.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use phoenix_ottl::{ConditionGroup, Context, Diagnostics, Env, ErrorMode, FilterProgram, Group, StatementProgram, sets};
use phoenix_pdata::write::{put_attribute, put_bytes, put_message, put_uint};
use phoenix_pdata::{InvalidUtf8, Payload, Signal, validate};

fn request(signal: Signal) -> Payload {
    let mut out = Vec::new();
    put_message(&mut out, 1, |out| {
        put_message(out, 1, |out| put_attribute(out, 1, "a", &"b".into()));
        put_message(out, 2, |out| {
            put_message(out, 2, |out| match signal {
                Signal::Traces => {
                    put_bytes(out, 5, b"name");
                    put_attribute(out, 9, "a", &"text".into());
                    put_message(out, 11, |out| put_bytes(out, 2, b"event"));
                }
                Signal::Metrics => {
                    put_bytes(out, 1, b"name");
                    put_message(out, 7, |out| {
                        put_message(out, 1, |out| put_attribute(out, 7, "a", &1.into()));
                        put_uint(out, 2, 1);
                    });
                }
                Signal::Logs => put_attribute(out, 6, "a", &1.5.into()),
            });
        });
    });
    Payload::from(Bytes::from(out))
}

fn check(problems: &Diagnostics) {
    for problem in &problems.0 {
        assert!(problem.source.get(problem.place.clone()).is_some());
        assert!(!problem.render().is_empty());
    }
}

fuzz_target!(|source: &str| {
    let env = Env { now_unix_nanos: 1_700_000_000_000_000_000, random: &|| 5, client: &(), report: &() };
    for signal in Signal::ALL {
        let payload = request(signal);
        for context in Context::of(signal).iter().copied().map(Some).chain([None]) {
            let error_mode = ErrorMode::Ignore;
            let group =
                Group { context, error_mode, conditions: Vec::new(), statements: vec![source.to_owned()] };
            match StatementProgram::compile(signal, sets::ALL, &[group]) {
                Ok(program) => {
                    // Statements that would never end are an error even where errors are ignored.
                    if let Ok(changed) = program.apply(&payload, &env) {
                        validate(signal, changed.into_contiguous(), InvalidUtf8::Pass).expect("a request");
                    }
                }
                Err(problems) => check(&problems),
            }
            let group = ConditionGroup { context, error_mode, conditions: vec![source.to_owned()] };
            match FilterProgram::compile(signal, sets::FILTER, &[group]) {
                Ok(program) => drop(program.apply(&payload, &env)),
                Err(problems) => check(&problems),
            }
        }
    }
});
