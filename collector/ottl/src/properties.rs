//! What holds for all statements and all requests.

mod generate;
mod naive;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use phoenix_pdata::{InvalidUtf8, Payload, Signal, validate};
use proptest::prelude::*;
use prost::Message;

use crate::{
    ConditionGroup, Context, Env, ErrorMode, EvalError, FilterProgram, Group, MatchProgram, RouteProgram,
    StatementProgram, sets,
};

use generate::{any_condition, any_statement, request, token_soup};
use naive::Naive;

fn env() -> Env<'static> {
    Env { now_unix_nanos: 1_700_000_000_000_000_000, random: &|| 11, client: &(), report: &() }
}

fn group(context: Context, error_mode: ErrorMode, statements: &[String]) -> Group {
    Group { context: Some(context), error_mode, conditions: Vec::new(), statements: statements.to_vec() }
}

fn apply(statements: &[String], payload: &Payload, mode: ErrorMode) -> Result<Payload, EvalError> {
    let groups = [group(Context::Span, mode, statements)];
    let program = StatementProgram::compile(Signal::Traces, sets::ALL, &groups)
        .unwrap_or_else(|problems| panic!("{problems}"));
    program.apply(payload, &env())
}

fn decode(payload: Payload) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest::decode(payload.into_contiguous()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn statements_do_what_a_naive_evaluator_does(
        statements in proptest::collection::vec(any_statement(), 1..5),
        request in request(),
    ) {
        let payload = Payload::from(Bytes::from(request.encode_to_vec()));
        let sources: Vec<String> = statements.iter().map(ToString::to_string).collect();
        let mut expected = request;
        Naive::run(&statements, &mut expected);
        let changed = apply(&sources, &payload, ErrorMode::Ignore).unwrap();
        validate(Signal::Traces, changed.clone().into_contiguous(), InvalidUtf8::Reject).unwrap();
        prop_assert_eq!(decode(changed), expected, "{:?}", sources);
    }
}

proptest! {
    #[test]
    fn any_text_is_parsed_or_refused(source in ".{0,60}") {
        let _ = crate::syntax::parse_statement(&source);
        let _ = crate::syntax::parse_condition(&source);
    }

    #[test]
    fn any_tokens_are_compiled_or_refused_and_what_compiles_runs(
        source in token_soup(),
        request in request(),
    ) {
        let payload = Payload::from(Bytes::from(request.encode_to_vec()));
        let compiled = StatementProgram::compile(
            Signal::Traces,
            sets::ALL,
            &[group(Context::Span, ErrorMode::Ignore, std::slice::from_ref(&source))],
        );
        match compiled {
            Ok(program) => {
                let changed = program.apply(&payload, &env()).unwrap().into_contiguous();
                validate(Signal::Traces, changed, InvalidUtf8::Pass).unwrap();
            }
            Err(problems) => {
                for problem in problems.0 {
                    prop_assert!(problem.place.end <= source.len());
                    prop_assert!(!problem.render().is_empty());
                }
            }
        }
    }

    #[test]
    fn groups_that_share_a_pass_do_what_they_do_by_themselves(
        statements in proptest::collection::vec((any_statement(), 0usize..3), 1..5),
        request in request(),
    ) {
        let contexts = [Context::Span, Context::SpanEvent, Context::Span];
        let groups: Vec<Group> = statements
            .iter()
            .map(|(statement, context)| {
                let mut group = group(contexts[*context], ErrorMode::Silent, &[statement.to_string()]);
                group.statements[0] = group.statements[0].replace("span.attributes[\"c\"]", "resource.attributes[\"c\"]");
                group
            })
            .collect();
        let payload = Payload::from(Bytes::from(request.encode_to_vec()));
        let compile = |groups: &[Group]| StatementProgram::compile(Signal::Traces, sets::ALL, groups).unwrap();
        let together = compile(&groups).apply(&payload, &env()).unwrap();
        let mut alone = payload;
        for group in &groups {
            alone = compile(std::slice::from_ref(group)).apply(&alone, &env()).unwrap();
        }
        prop_assert_eq!(decode(together), decode(alone), "{:?}", groups);
    }

    #[test]
    fn what_no_statement_touches_stays_as_it_is(
        statements in proptest::collection::vec(any_statement(), 1..4),
        request in request(),
    ) {
        let mut statements = statements;
        statements.retain(|statement| !matches!(statement.edit, generate::Edit::OfResource(..)));
        // Bytes that prost would not write: fields from the last to the first, and one that nobody knows.
        let bytes = generate::unusual(&request);
        let payload = Payload::from(Bytes::from(bytes.clone()));
        let sources: Vec<String> = statements
            .iter()
            .map(|statement| format!("{statement} and span.name == \"selected\""))
            .collect();
        let changed = apply(&sources, &payload, ErrorMode::Ignore).unwrap().into_contiguous();
        let (before, after) = (generate::spans(&bytes), generate::spans(&changed));
        prop_assert_eq!(before.len(), after.len());
        for (before, after) in before.iter().zip(&after) {
            match generate::name(before) == b"selected" {
                false => prop_assert_eq!(before, after),
                true => prop_assert_eq!(generate::unknown(before), generate::unknown(after)),
            }
        }
        if !before.iter().any(|span| generate::name(span) == b"selected") {
            prop_assert_eq!(&bytes[..], &changed[..]);
        }
    }

    #[test]
    fn filters_and_routes_agree_with_matches(condition in any_condition(), request in request()) {
        let payload = Payload::from(Bytes::from(request.encode_to_vec()));
        let source = condition.to_string();
        let conditions = ConditionGroup {
            context: Some(Context::Span),
            error_mode: ErrorMode::Ignore,
            conditions: vec![source.clone()],
        };
        let matches = MatchProgram::compile(Signal::Traces, sets::FILTER, &conditions).unwrap();
        let mut matched = 0;
        matches.each_match(&payload, &env(), |_| matched += 1).unwrap();
        prop_assert_eq!(matched, Naive::count(&condition, &request), "{}", source);

        let filter = FilterProgram::compile(Signal::Traces, sets::FILTER, &[conditions]).unwrap();
        let filtered = filter.apply(&payload, &env()).unwrap();
        prop_assert_eq!(filtered.dropped_items, matched);

        let statement = format!("route() where {source}");
        let route = RouteProgram::compile(
            Signal::Traces, sets::ROUTING, Some(Context::Span), &statement, ErrorMode::Ignore,
        ).unwrap();
        let routed = route.split(&payload, &env()).unwrap();
        let count = |payload: &Payload| phoenix_pdata::count_items(Signal::Traces, payload) as usize;
        prop_assert_eq!(count(&routed.matched), matched);
        prop_assert_eq!(count(&routed.matched) + count(&routed.rest), count(&payload));
        prop_assert_eq!(count(&filtered.payload), count(&routed.rest));
        for part in [routed.matched, routed.rest, filtered.payload] {
            for entry in decode(part).resource_spans {
                let is_kept = matched == 0 || matched == count(&payload);
                prop_assert!(is_kept || entry.scope_spans.iter().all(|scope| !scope.spans.is_empty()));
            }
        }
    }
}
