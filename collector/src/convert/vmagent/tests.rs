use std::path::Path;

use super::*;

fn converted(text: &str) -> Converted {
    vmagent("stream-aggr.yaml", text, &VmagentOptions::default()).expect("entries")
}

/// The rule's lines of one selector, or why there are none.
fn matching(selectors: &[&str]) -> Result<String, String> {
    let selectors: Vec<String> = selectors.iter().map(|text| (*text).to_owned()).collect();
    selector::translate(&selectors).map(|found| found.lines().join("\n"))
}

/// The processor takes it.
fn assert_is_taken(yaml: &str) {
    use phoenix_processor_aggregator::AggregatorConfig;
    let root = phoenix_config::parse_yaml("converted", yaml).expect("YAML");
    let node =
        root.get("processors").and_then(|processors| processors.get("aggregator")).expect("an aggregator");
    let mut problems = Problems::new();
    let config: Option<AggregatorConfig> = phoenix_config::decode_checked(node, &mut problems);
    assert!(config.is_some(), "{problems}\n{yaml}");
}

#[test]
fn a_file_becomes_an_aggregator() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/convert/data");
    let entries = std::fs::read_to_string(folder.join("vmagent.yaml")).expect("read");
    let expected_path = folder.join("vmagent.expected.yaml");
    let found = vmagent("vmagent.yaml", &entries, &VmagentOptions::default()).expect("entries");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&expected_path, &found.yaml).expect("written");
    }
    assert_eq!(found.yaml, std::fs::read_to_string(&expected_path).expect("read"));
    assert_is_taken(&found.yaml);
}

#[test]
fn every_output_is_taken_or_said() {
    // (output, output of a rule, whether something is said)
    let cases = [
        ("avg", "avg", false),
        ("count_samples", "count", false),
        ("count_series", "series", false),
        ("histogram_bucket", "histogram", true),
        ("increase", "increase", false),
        ("increase_prometheus", "increase", false),
        ("last", "last", false),
        ("max", "max", false),
        ("min", "min", false),
        ("rate_avg", "rate_avg", false),
        ("rate_sum", "rate_sum", false),
        ("stddev", "stddev", false),
        ("stdvar", "stdvar", false),
        ("sum_samples", "sum_samples", true),
        ("sum_samples_total", "total", true),
        ("total", "total", false),
        ("total_prometheus", "total", false),
        ("unique_samples", "unique", false),
        ("quantiles(0.5,0.999)", "p50, p99.9", true),
    ];
    for (output, function, is_said) in cases {
        let found = converted(&format!("[{{interval: 30s, outputs: ['{output}']}}]"));
        let line = found.yaml.lines().find_map(|line| line.trim().strip_prefix("outputs: "));
        assert_eq!(line.unwrap_or("[]"), format!("[{function}]"), "{output}");
        assert_eq!(!found.left_out.is_empty(), is_said, "{output}: {:?}", found.left_out);
        if !function.is_empty() {
            assert_is_taken(&found.yaml);
        }
    }
    let skips = |outputs: &str| {
        let found = converted(&format!("[{{interval: 30s, outputs: [{outputs}]}}]"));
        (found.yaml.contains("first_sample: skip"), found.left_out.len())
    };
    assert_eq!(skips("total_prometheus"), (true, 0));
    assert_eq!(skips("total"), (false, 0));
    assert_eq!(skips("total, total_prometheus"), (false, 1), "there is one way for all");
}

#[test]
fn names_are_those_of_victoria_metrics() {
    // (settings, names)
    let cases = [
        ("interval: 5m, by: [b, a], outputs: [max]", vec!["{name}:5m_by_a_b_{output}"]),
        ("interval: 300s, without: [x], outputs: [count_series]", vec!["{name}:300s_without_x_count_series"]),
        ("interval: 30s, outputs: [rate_sum, max, min]", vec!["{name}:30s_{output}"]),
        ("interval: 30s, keep_metric_names: true, outputs: [max]", vec!["{name}"]),
    ];
    for (settings, expected) in cases {
        let yaml = converted(&format!("[{{{settings}}}]")).yaml;
        let names: Vec<_> = yaml.lines().filter_map(|line| line.trim().strip_prefix("name: ")).collect();
        let expected: Vec<_> = expected.iter().map(|name| format!("'{name}'")).collect();
        assert_eq!(names, expected, "{settings}");
        assert_is_taken(&yaml);
    }
}

#[test]
fn selectors_choose_the_same() {
    let cases = [
        ("up", "match:\n  names: ['up']"),
        ("{__name__!~'go_.*'}", "match:\n  exclude: ['go_*']"),
        ("{job=\"a\"}", "match:\n  attributes:\n    - {key: 'service.name', values: ['a']}"),
        ("{a!=''}", "match:\n  attributes:\n    - {key: 'a'}"),
        ("{a=''}", "match:\n  attributes:\n    - {key: 'a', not: true}"),
        ("up{a=~'.*'}", "match:\n  names: ['up']"),
        ("{a=~'^(x|y\\.z)$'}", "match:\n  attributes:\n    - {key: 'a', values: ['x', 'y.z']}"),
        ("{a!~`.+b.`,}", "match:\n  attributes:\n    - {key: 'a', values: ['?*b?'], not: true}"),
    ];
    for (text, expected) in cases {
        assert_eq!(matching(&[text]).as_deref(), Ok(expected), "{text}");
    }
    assert_eq!(matching(&["a{x='1'}", "b{x='1'}"]), matching(&["{__name__=~'a|b',x='1'}"]));
    let not_expressed: [&[&str]; 8] = [
        &["a{x='1'}", "b{x='2'}"],
        &["{__name__=~'a', __name__=~'b'}"],
        &["{a=~'[xy]'}"],
        &["{a=~'xy?'}"],
        &["{a=~'|x'}"],
        &["{a=~'\\d'}"],
        &["{a!~'.*'}"],
        &["{a='*'}"],
    ];
    for selectors in not_expressed {
        assert!(matching(selectors).is_err(), "{selectors:?}");
    }
    let left_out = converted("[{interval: 1m, match: \"{a=~'[xy]'}\", outputs: [max]}]");
    assert!(!left_out.yaml.contains("id:"), "such an entry makes no rule: {}", left_out.yaml);
    assert!(left_out.left_out[0].starts_with("\"entry 1\" is left out"), "{:?}", left_out.left_out);
}

#[test]
fn settings_without_equivalent_are_said_by_name() {
    let settings = [
        "dedup_interval: 10s",
        "ignore_first_sample_interval: 1m",
        "no_align_flush_to_interval: true",
        "ignore_old_samples: true",
        "ignore_first_intervals: 2",
        "input_relabel_configs: [{action: drop}]",
        "output_relabel_configs: [{action: drop}]",
    ];
    for setting in settings {
        let key = setting.split(':').next().expect("a key");
        let found = converted(&format!("[{{interval: 1m, outputs: [max], {setting}}}]"));
        assert!(
            found.left_out.len() == 1 && found.left_out[0].contains(key),
            "{setting}: {:?}",
            found.left_out
        );
    }
    let found = converted("[{interval: 1m, outputs: [max], enable_windows: true, flush_on_shutdown: true}]");
    assert_eq!(found.left_out, [""; 0]);
    assert!(found.yaml.contains("flush_on_shutdown: true") && !found.yaml.contains("partial_windows"));
    let differ = "[{interval: 1m, outputs: [max], staleness_interval: 2h}, {interval: 1m, outputs: [min], flush_on_shutdown: true}]";
    let found = converted(differ);
    assert_eq!(found.left_out.len(), 2, "{:?}", found.left_out);
    assert!(found.yaml.contains("staleness: 2h"));
}

#[test]
fn kept_input_passes() {
    let options = VmagentOptions { keep_input: true };
    let found = vmagent("f", "[{interval: 1m, outputs: [max]}]", &options).expect("entries");
    assert!(found.yaml.contains("keep_input: true"));
    assert_is_taken(&found.yaml);
    let named = "[{interval: 1m, outputs: [max], keep_metric_names: true}]";
    let found = vmagent("f", named, &options).expect("entries");
    assert!(found.left_out[0].contains("keep_metric_names"), "{:?}", found.left_out);
}

#[test]
fn what_is_no_such_file_is_refused_and_said_where() {
    let cases = [
        ("[]", ""),
        ("[{interval: 10ms, outputs: [max]}]", "0::interval"),
        ("[{interval: 1m, outputs: []}]", "0::outputs"),
        ("[{interval: 1m, outputs: [max, max]}]", "0::outputs::1"),
        ("[{interval: 1m, outputs: [median]}]", "0::outputs::0"),
        ("[{interval: 1m, outputs: ['quantiles(2)']}]", "0::outputs::0"),
        ("[{interval: 1m, outputs: [max], by: [a], without: [b]}]", "0::without"),
        ("[{interval: 1m, outputs: [max], match: '{a'}]", "0::match"),
        ("[{interval: 1m, outputs: [max], match: [up, '{}']}]", "0::match::1"),
        ("[{interval: 1m, outputs: [max], unknown: 1}]", "0::unknown"),
    ];
    for (text, key) in cases {
        let problems = vmagent("f", text, &VmagentOptions::default()).expect_err(text);
        assert_eq!(problems.keys(), [key], "{text}");
    }
    for interval in ["1x", "m", "1", "-1m", "1.2.3s", "9999999y"] {
        let text = format!("[{{interval: '{interval}', outputs: [max]}}]");
        assert!(vmagent("f", &text, &VmagentOptions::default()).is_err(), "{interval}");
    }
}

#[test]
fn durations_are_written_in_their_largest_unit() {
    for (text, expected) in
        [("1d", "24h"), ("1h30m", "90m"), ("1.5m", "90s"), ("1500ms", "1500ms"), ("1w", "168h")]
    {
        let given = entry::Given::try_from(text.to_owned()).expect(text);
        assert_eq!(given.duration.written(), expected, "{text}");
    }
}
