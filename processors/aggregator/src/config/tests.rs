use phoenix_config::{Problems, Settings as _};

use super::*;

fn keys(settings: &str) -> Vec<String> {
    let config: AggregatorConfig = serde_json::from_str(settings).expect(settings);
    let problems = Problems::of(|problems| config.validate(problems));
    problems.keys().into_iter().map(str::to_owned).collect()
}

#[test]
fn rejects_bad_settings_and_names_the_field() {
    // (settings of one rule, fields that the errors name)
    let cases: [(&str, &[&str]); 40] = [
        (r#"{"id": "a", "dead_band": {"absolute": 0.5, "relative": 0.01}}"#, &[]),
        (r#"{"id": "a", "dead_band": {"absolute": -1.0}}"#, &["rules::0::dead_band::absolute"]),
        (r#"{"id": "a", "dead_band": {"heartbeat": "10s"}}"#, &["rules::0::dead_band::heartbeat"]),
        (r#"{"id": "a", "window": "session", "gap": "30s", "dead_band": {}}"#, &["rules::0::dead_band"]),
        (r#"{"id": "a", "dead_band": {"absolute": 1, "envelope": true}, "outputs": ["avg"]}"#, &[]),
        (
            r#"{"id": "a", "dead_band": {"envelope": true}, "outputs": ["sum"]}"#,
            &["rules::0::dead_band::envelope"],
        ),
        (r#"{"id": "a", "dead_band": {"envelope": true}, "name": "x"}"#, &["rules::0::name"]),
        (
            r#"{"id": "a", "outputs": ["rate_avg"], "window": "session", "gap": "30s"}"#,
            &["rules::0::outputs::0"],
        ),
        (r#"{"id": "a", "outputs": ["rate_sum", "rate_avg"]}"#, &[]),
        (r#"{"id": "a", "outputs": ["rate_sum"], "tiers": [{"interval": "5m"}]}"#, &[]),
        (r#"{"id": "a", "outputs": ["rate_sum"], "window": "sliding", "every": "30s"}"#, &[]),
        (r#"{"id": "a", "exemplars": 65}"#, &["rules::0::exemplars"]),
        (r#"{"id": "a"}"#, &[]),
        (r#"{"id": "a", "late": "correct"}"#, &["rules::0::late", "rules::0::late"]),
        (r#"{"id": "a", "late": "correct", "temporality": "delta"}"#, &["rules::0::late"]),
        (
            r#"{"id": "a", "late": "correct", "temporality": "delta", "tiers": [{"interval": "2m"}]}"#,
            &["rules::0::late", "rules::0::late"],
        ),
        (
            r#"{"id": "a", "late": "correct", "temporality": "delta", "window": "hopping", "every": "30s"}"#,
            &["rules::0::late", "rules::0::late"],
        ),
        (r#"{"id": ""}"#, &["rules::0::id"]),
        (r#"{"id": "a", "interval": "10ms"}"#, &["rules::0::interval"]),
        (r#"{"id": "a", "interval": "10m"}"#, &["rules::0::interval"]),
        (r#"{"id": "a", "window": "hopping", "every": "30s"}"#, &[]),
        (r#"{"id": "a", "window": "hopping"}"#, &["rules::0::every"]),
        (r#"{"id": "a", "window": "hopping", "every": "25s"}"#, &["rules::0::every"]),
        (r#"{"id": "a", "every": "30s"}"#, &["rules::0::every"]),
        (r#"{"id": "a", "window": "session", "gap": "30s"}"#, &[]),
        (r#"{"id": "a", "window": "session"}"#, &["rules::0::gap"]),
        (r#"{"id": "a", "gap": "30s"}"#, &["rules::0::gap"]),
        (
            r#"{"id": "a", "window": "sliding", "every": "10s", "temporality": "cumulative"}"#,
            &["rules::0::temporality"],
        ),
        (
            r#"{"id": "a", "window": "session", "gap": "30s", "outputs": ["total"]}"#,
            &["rules::0::outputs::0"],
        ),
        (
            r#"{"id": "a", "tiers": [{"interval": "5m"}, {"interval": "5m"}]}"#,
            &["rules::0::tiers::1::interval"],
        ),
        (r#"{"id": "a", "tiers": [{"interval": "90s"}]}"#, &["rules::0::tiers::0::interval"]),
        (r#"{"id": "a", "by": [], "without": ["x"]}"#, &["rules::0::without"]),
        (r#"{"id": "a", "by": [], "levels": [{"level": "pod", "by": ["x"]}]}"#, &["rules::0::levels"]),
        (r#"{"id": "a", "levels": [{"level": "pod"}, {"level": "pod"}]}"#, &["rules::0::levels::1::level"]),
        (r#"{"id": "a", "outputs": ["sum", "p99", "sum"]}"#, &["rules::0::outputs::2"]),
        (r#"{"id": "a", "name": "{metric}"}"#, &["rules::0::name"]),
        (r#"{"id": "a", "name": "x", "outputs": ["min", "max"]}"#, &["rules::0::name"]),
        (r#"{"id": "a", "keep_input": true}"#, &["rules::0::keep_input"]),
        (r#"{"id": "a", "keep_input": true, "name": "{name}:1m"}"#, &[]),
        (
            r#"{"id": "a", "labels": [{"key": "a", "action": "bucket", "bounds": [2, 1]}]}"#,
            &["rules::0::labels::0::bounds"],
        ),
    ];
    for (rule, fields) in cases {
        assert_eq!(keys(&format!(r#"{{"rules": [{rule}]}}"#)), fields, "{rule}");
    }
    assert_eq!(keys("{}"), ["rules"]);
    assert_eq!(
        keys(
            r#"{"rules": [{"id": "a"}], "max_series": 0, "watermark": {"out_of_order": "-1s", "idle_timeout": "0s"}}"#
        ),
        ["max_series", "watermark::out_of_order", "watermark::idle_timeout"]
    );
    let lasting = |others: &str| keys(&format!(r#"{{"rules": [{{"id": "a"}}], {others}}}"#));
    let ha = |settings: &str| lasting(&format!(r#""ha": {settings}"#));
    assert_eq!(ha("{}"), [""; 0]);
    assert_eq!(
        ha(r#"{"replica": "", "cluster": "", "failover_timeout": "0s", "max_clusters": 0}"#),
        ["ha::replica", "ha::cluster", "ha::cluster", "ha::failover_timeout", "ha::max_clusters"]
    );
    assert_eq!(ha(r#"{"failover_timeout": "6m"}"#), ["ha::failover_timeout"]);
    // A rule cannot look at what is gone.
    for (rule, key) in [
        (r#""by": ["r"]"#, "rules::0::by"),
        (r#""levels": [{"level": "x", "by": ["r"]}]"#, "rules::0::levels::0::by"),
        (r#""match": {"attributes": [{"key": "r"}]}"#, "rules::0::match::attributes::0::key"),
        (r#""labels": [{"key": "r", "to": "x"}]"#, "rules::0::labels::0"),
        (r#""labels": [{"key": "x", "action": "template", "template": "{r}"}]"#, "rules::0::labels::0"),
    ] {
        let settings = format!(r#"{{"rules": [{{"id": "a", {rule}}}], "ha": {{"replica": "r"}}}}"#);
        assert_eq!(keys(&settings), [key], "{rule}");
    }
    assert_eq!(lasting(r#""storage": "file_storage", "durable": true"#), [""; 0]);
    assert_eq!(lasting(r#""storage": "file_storage", "checkpoint": {"directory": "/x"}"#), ["storage"]);
    assert_eq!(lasting(r#""durable": true, "checkpoint": {"directory": "/x"}"#), ["durable"]);
    assert_eq!(lasting(r#""storage": "x", "checkpoint": {"interval": "1ms"}"#), ["checkpoint::interval"]);
}

#[test]
fn two_rules_that_write_one_series_are_refused() {
    let two = |a: &str, b: &str| keys(&format!(r#"{{"rules": [{{"id": "a", {a}}}, {{"id": "b", {b}}}]}}"#));
    let x = r#""match": {"names": ["x"]}, "by": ["pod"]"#;
    assert_eq!(two(x, x), ["rules::1"]);
    assert_eq!(two(x, &format!(r#"{x}, "name": "{{name}}:1m""#)), [""; 0]);
    assert_eq!(two(x, r#""match": {"names": ["y"]}, "by": ["pod"]"#), [""; 0]);
    assert_eq!(keys(r#"{"rules": [{"id": "a"}, {"id": "a", "name": "{rule}"}]}"#), ["rules::1::id"]);
    let output = |output: &str| format!(r#"{x}, "name": "{{name}}:{{output}}", "outputs": ["{output}"]"#);
    assert_eq!(two(&output("increase"), &output("total")), [""; 0]);
    assert_eq!(two(&output("increase"), &output("increase")), ["rules::1"]);
    // Matches that differ may meet nevertheless.
    let by = r#""by": ["pod"]"#;
    let named = |names: &str| format!(r#""match": {names}, {by}"#);
    let cases = [
        (r#"{"names": ["x.*"]}"#, r#"{"names": ["x.y"]}"#, true),
        (r#"{"names": ["x.*"], "exclude": ["x.y"]}"#, r#"{"names": ["x.y"]}"#, false),
        (r#"{"names": ["x.*"]}"#, r#"{"names": ["x.y"], "kinds": ["gauge"]}"#, true),
        (r#"{"names": ["x.*"], "kinds": ["counter"]}"#, r#"{"names": ["x.y"], "kinds": ["gauge"]}"#, false),
        (r#"{}"#, r#"{"names": ["x.*"]}"#, true),
        (r#"{"exclude": ["x.*"]}"#, r#"{"names": ["x.*"]}"#, false),
    ];
    for (one, other, refused) in cases {
        let expected: &[&str] = if refused { &["rules::1"] } else { &[] };
        assert_eq!(two(&named(one), &named(other)), expected, "{one} {other}");
        assert_eq!(two(&named(other), &named(one)), expected, "{other} {one}");
    }
}

#[test]
fn functions_have_names() {
    for name in ["sum", "time_weighted_avg", "p50", "p99.9", "p0", "p100"] {
        assert_eq!(Function::try_from(name.to_owned()).expect(name).to_string(), name);
    }
    for name in ["", "p", "p101", "p-1", "median", "pNaN"] {
        let error = Function::try_from(name.to_owned()).expect_err(name).to_string();
        assert!(error.contains("time_weighted_avg"), "{error}");
    }
}
