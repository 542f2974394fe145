use super::*;

#[test]
fn reads_identifiers() {
    // (text, type, name)
    let long_type = "a".repeat(63);
    let long_name = format!("otlp/{}", "n".repeat(1024));
    let cases = [
        ("otlp", "otlp", ""),
        ("otlp/2", "otlp", "2"),
        (" otlp / two ", "otlp", "two"),
        ("otlp/a/b", "otlp", "a/b"),
        ("otlp/a.b-c_d:e", "otlp", "a.b-c_d:e"),
        ("OTLP_2/x", "OTLP_2", "x"),
        ("otlp/gr\u{fc}\u{df}e\u{300}", "otlp", "gr\u{fc}\u{df}e\u{300}"),
        ("otlp/\u{65e5}\u{672c}", "otlp", "\u{65e5}\u{672c}"),
        (&long_type, &long_type, ""),
        (&long_name, "otlp", &long_name[5..]),
    ];
    for (text, type_name, name) in cases {
        let id = ComponentId::parse(text).expect(text);
        assert_eq!((id.type_name(), id.name()), (type_name, name), "{text}");
    }
    assert_eq!(ComponentId::parse(" a / b").map(|id| id.to_string()), Ok("a/b".to_owned()));
}

#[test]
fn refuses_what_is_not_an_identifier() {
    // (text, message)
    let cases = [
        ("", "id must not be empty"),
        ("  ", "id must not be empty"),
        ("/x", "in \"/x\" id: the part before / should not be empty"),
        ("debug/", "in \"debug/\" id: the part after / should not be empty"),
        ("debug/ ", "in \"debug/ \" id: the part after / should not be empty"),
        ("de bug", "in \"de bug\" id: invalid character(s) in type \"de bug\""),
        ("1a", "in \"1a\" id: invalid character(s) in type \"1a\""),
        ("a-b", "in \"a-b\" id: invalid character(s) in type \"a-b\""),
        ("a/b c", "in \"a/b c\" id: invalid character(s) in name \"b c\""),
        ("a/b+c", "in \"a/b+c\" id: invalid character(s) in name \"b+c\""),
        ("a/\u{20ac}", "in \"a/\u{20ac}\" id: invalid character(s) in name \"\u{20ac}\""),
    ];
    for (text, message) in cases {
        assert_eq!(ComponentId::parse(text).map_err(|error| error.to_string()), Err(message.to_owned()));
    }
    assert!(ComponentId::parse(&"a".repeat(64)).is_err());
    assert!(ComponentId::parse(&format!("a/{}", "b".repeat(1025))).is_err());
    for refused in ['\u{a0}', '\u{200b}', '\u{2028}', '\u{1f600}', '\u{e000}', '\u{7f}', '\t', '`'] {
        assert!(!is_name_character(refused), "{refused:?}");
    }
}

#[test]
fn reads_pipelines() {
    let id = PipelineId::parse("traces/two").expect("a pipeline");
    assert_eq!((id.signal(), id.name(), id.to_string()), (Signal::Traces, "two", "traces/two".to_owned()));
    // (text, message)
    let cases = [
        ("spans", "in \"spans\" id: unknown pipeline signal: \"spans\""),
        ("traces/", "in \"traces/\" id: the part after / should not be empty"),
        (
            "profiles",
            "pipeline \"profiles\": profiling signal support is at alpha level, gated under the \
             \"service.profilesSupport\" feature gate",
        ),
    ];
    for (text, message) in cases {
        assert_eq!(PipelineId::parse(text).map_err(|error| error.to_string()), Err(message.to_owned()));
    }
}

#[test]
fn the_table_of_characters_is_in_order() {
    assert!(characters::REFUSED.windows(2).all(|pair| pair[0].1 < pair[1].0));
    assert!(characters::REFUSED.iter().all(|(first, last)| first <= last));
}
