//! Messages of the parser and of the checks: what is wrong, where, and what was meant.

use phoenix_pdata::Signal;

use crate::{Context, ErrorMode, Group, StatementProgram, sets};

/// The first problem of a statement: where, what, and perhaps a hint.
fn problem(context: Option<Context>, signal: Signal, statement: &str) -> String {
    let group = Group {
        context,
        error_mode: ErrorMode::Ignore,
        conditions: Vec::new(),
        statements: vec![statement.to_owned()],
    };
    match StatementProgram::compile(signal, sets::TRANSFORM, &[group]) {
        Ok(_) => "compiles".to_owned(),
        Err(problems) => problems.0[0].to_string(),
    }
}

#[test]
fn messages_name_the_place_and_what_was_expected() {
    let cases = [
        // The grammar.
        (r#"set(name, "x") where"#, "column 21: expected a value, but the text ends"),
        (r#"set(name "x")"#, "column 10: expected `,` or `)`, found `\"x\"`"),
        (
            r#"Set(name, "x")"#,
            "column 1: a statement begins with an editor; Set is a converter (editors begin with a lower-case letter)",
        ),
        (r#"set(name, "x"#, "column 11: the string has no closing quote"),
        (r#"set(name, "\d")"#, "column 12: unknown escape \\d in a string; a backslash is written twice"),
        (r#"set(name, 'x')"#, "column 11: unexpected character '\\'' (strings stand in double quotes)"),
        (
            r#"set(name, "x") where attributes["a"]"#,
            "column 22: a path alone is no condition: expected a comparison (write `attributes[\"a\"] == true`)",
        ),
        (r#"set(name, "x") where name = "y""#, "column 27: expected a comparison such as `==`, found `=`"),
        (
            r#"set(name, "x") where not not true"#,
            "column 26: only one `not` can stand before a condition (use parentheses)",
        ),
        (r#"set(name, "x") where (name == "y""#, "column 34: expected `and`, `or` or `)`, but the text ends"),
        (r#"set(attributes["a"], [1,])"#, "column 25: expected a value, found `]`"),
        (r#"set(attributes["a"], 08)"#, "column 22: 08 is read as an octal number, and is none"),
        (r#"set(attributes["a"], 0xABC)"#, "column 22: bytes take an even number of hexadecimal digits"),
        (r#"set(attributes["a"], "b" + 1)"#, "column 22: a string cannot be part of arithmetic"),
        (r#"set(attributes["a"][1 + 1], 1)"#, "column 23: expected `]` after the number, found `+`"),
        (
            r#"set(name, (x) => x)"#,
            "column 11: lambda expressions are not supported (in the original they need the feature gate `ottl.functions.enableLambda`)",
        ),
        (r#"set(name, toUpper("x"))"#, "column 11: converter names must start with an uppercase letter"),
        // Names.
        (r#"sett(name, "x")"#, "column 1: undefined function \"sett\" (did you mean \"set\"?)"),
        (
            r#"set(name, ToLowercase(name))"#,
            "column 11: undefined function \"ToLowercase\" (did you mean \"ToLowerCase\"?)",
        ),
        (r#"set(span.nam, "x")"#, "column 5: \"span\" has no field \"nam\" (did you mean \"name\"?)"),
        (
            r#"set(span.status.cod, 1)"#,
            "column 17: \"span.status\" has no field \"cod\" (did you mean \"code\"?)",
        ),
        (r#"set(name["x"], "x")"#, "column 10: \"span.name\" cannot be indexed"),
        (r#"set(resource.cache["x"], 1)"#, "column 5: only \"span.cache\" can be used in the context span"),
        (
            r#"set(kind, SPAN_KIND_SERVR)"#,
            "column 11: the context span has no symbol SPAN_KIND_SERVR (did you mean \"SPAN_KIND_SERVER\"?)",
        ),
        (r#"set(profile.period, 1)"#, "column 5: \"span\" has no field \"profile.period\""),
        // Arguments.
        (r#"set(name)"#, "column 1: expected 2 arguments but got 1: set(target, value)"),
        (r#"set("name", 1)"#, "column 5: argument \"target\" of set: must be a path"),
        (
            r#"delete_key(attributes, 5)"#,
            "column 24: argument \"key\" of delete_key: expected a string but got int64",
        ),
        (
            r#"truncate_all(attributes, -1)"#,
            "column 26: argument \"limit\" of truncate_all: expected a whole number without sign",
        ),
        (
            r#"keep_keys(attributes, "a")"#,
            "column 23: argument \"keys\" of keep_keys: expected a list in brackets",
        ),
        (
            r#"replace_pattern(name, "(", "x")"#,
            "column 1: replace_pattern: invalid regular expression \"(\": unclosed group",
        ),
        (
            r#"merge_maps(attributes, {}, "replace")"#,
            "column 1: merge_maps: unknown strategy \"replace\": expected insert, update or upsert",
        ),
        (
            r#"set(name, Trim("x", remplacement="y"))"#,
            "column 21: Trim(target, [replacement]) has no parameter \"remplacement\" (did you mean \"replacement\"?)",
        ),
        (
            r#"convert_sum_to_gauge()"#,
            "column 1: the function \"convert_sum_to_gauge\" is not available in the context span",
        ),
    ];
    for (statement, expected) in cases {
        assert_eq!(problem(Some(Context::Span), Signal::Traces, statement), expected, "{statement}");
    }
}

#[test]
fn without_a_context_paths_need_a_prefix() {
    let cases = [
        (
            r#"set(attributes["a"], 1)"#,
            "column 1: cannot infer the context: no path begins with one, for example \"span.name\"; write the \
             context explicitly, or begin a path with it",
        ),
        (
            r#"set(span.attributes["a"], attributes["b"])"#,
            "column 27: the path does not begin with a context: expected one of span, \
             scope, instrumentation_scope, resource, otelcol (did you mean \"span.attributes\"?)",
        ),
        (
            r#"set(log.body, "x")"#,
            "column 1: paths begin with \"log\", but here the contexts are resource, scope, span, spanevent",
        ),
        (
            r#"set(profile.period, 1)"#,
            "column 1: the context \"profile\" is not supported: this collector has no profiles",
        ),
    ];
    for (statement, expected) in cases {
        assert_eq!(problem(None, Signal::Traces, statement), expected, "{statement}");
    }
}

#[test]
fn the_place_is_marked_under_the_line() {
    let group = Group {
        context: Some(Context::Span),
        statements: vec!["set(attributes[\"ä\"],\n    nam)".to_owned()],
        ..Group::default()
    };
    let problems = StatementProgram::compile(Signal::Traces, sets::TRANSFORM, &[group]).unwrap_err();
    assert_eq!(
        problems.0[0].render(),
        "line 2, column 5: \"span\" has no field \"nam\" (did you mean \"name\"?)\n      \
         nam)\n      ^^^"
    );
}

#[test]
fn nesting_is_bounded_and_quickly_refused() {
    let deep = [
        format!("set(name, {}1{})", "(".repeat(10_000), ")".repeat(10_000)),
        format!("set(name, \"x\") where {}true{}", "(".repeat(10_000), ")".repeat(10_000)),
        format!("set(name, {}1{})", "[".repeat(10_000), "]".repeat(10_000)),
        format!("set(name, {}\"a\"{})", "Trim(".repeat(10_000), ")".repeat(10_000)),
        format!("set(name, 1{})", " + 1".repeat(10_000)),
        format!("set(attributes{}, 1)", "[attributes".repeat(10_000)),
    ];
    for statement in deep {
        let message = problem(Some(Context::Span), Signal::Traces, &statement);
        assert!(message.contains("levels deep") || message.contains("too long a chain"), "{message}");
    }
    // What may be arithmetic or a condition is read twice at each level, not twice as often.
    let nested = format!("set(name, \"x\") where {}name == \"y\"{}", "(".repeat(30), ")".repeat(30));
    assert_eq!(problem(Some(Context::Span), Signal::Traces, &nested), "compiles");
}
