//! Generated OTTL: statements and conditions whose types mostly fit.

use serde_json::{Value, json};

use crate::random::Random;

const KEYS: [&str; 9] = ["s", "i", "d", "b", "m", "a", "http.method", "user.id", "n"];

/// A context of a signal.
fn context(signal: &str, random: &mut Random) -> &'static str {
    match signal {
        "traces" => random.pick(&["span", "span", "spanevent", "resource", "scope"]),
        "metrics" => random.pick(&["datapoint", "datapoint", "metric", "resource"]),
        _ => random.pick(&["log", "log", "resource", "scope"]),
    }
}

fn attribute(context: &str, random: &mut Random) -> String {
    let key = random.pick(&KEYS);
    match context {
        "metric" => format!("resource.attributes[\"{key}\"]"),
        _ if random.one_in(6) => format!("resource.attributes[\"{key}\"]"),
        _ => format!("attributes[\"{key}\"]"),
    }
}

fn text_path(context: &str, random: &mut Random) -> String {
    match context {
        "span" => random.pick(&["name", "status.message", "span_id.string", "trace_id.string"]).to_owned(),
        "spanevent" => random.pick(&["name", "span.name"]).to_owned(),
        "scope" => random.pick(&["name", "version"]).to_owned(),
        "metric" => random.pick(&["name", "unit", "description"]).to_owned(),
        "datapoint" => random.pick(&["metric.name", "metric.unit"]).to_owned(),
        "log" => random.pick(&["severity_text", "event_name", "trace_id.string"]).to_owned(),
        _ => attribute(context, random),
    }
}

fn number_path(context: &str, random: &mut Random) -> String {
    match context {
        "span" => random
            .pick(&["kind", "status.code", "start_time_unix_nano", "dropped_attributes_count"])
            .to_owned(),
        "spanevent" => "time_unix_nano".to_owned(),
        "log" => random.pick(&["severity_number", "time_unix_nano", "flags"]).to_owned(),
        "datapoint" => random.pick(&["time_unix_nano", "flags"]).to_owned(),
        _ => attribute(context, random),
    }
}

fn text_literal(random: &mut Random) -> String {
    format!("{:?}", random.pick(&["text", "", "GET /a", "42", "x", "INFO", "a,b,c"]))
}

fn number_literal(random: &mut Random) -> &'static str {
    random.pick(&["0", "1", "2", "42", "0.5", "-7", "200", "1760000000000000000"])
}

fn text(context: &str, random: &mut Random, depth: usize) -> String {
    if depth > 2 {
        return text_literal(random);
    }
    match random.below(12) {
        0..3 => text_literal(random),
        3..5 => text_path(context, random),
        5 => attribute(context, random),
        6 => format!(
            "Concat([{}, {}], \"-\")",
            text(context, random, depth + 1),
            value(context, random, depth + 1)
        ),
        7 => format!("ToUpperCase({})", text(context, random, depth + 1)),
        8 => format!("SHA256({})", text(context, random, depth + 1)),
        9 => format!("Substring({}, 0, {})", text_literal(random), random.below(3)),
        10 => format!("String({})", value(context, random, depth + 1)),
        _ => format!("Trim({}, \" \")", text(context, random, depth + 1)),
    }
}

fn number(context: &str, random: &mut Random, depth: usize) -> String {
    if depth > 2 {
        return number_literal(random).to_owned();
    }
    match random.below(9) {
        0..3 => number_literal(random).to_owned(),
        3 => number_path(context, random),
        4 => attribute(context, random),
        5 => format!("Int({})", value(context, random, depth + 1)),
        6 => format!("Double({})", value(context, random, depth + 1)),
        7 => format!("Len({})", text(context, random, depth + 1)),
        _ => {
            let (left, right) = (number_literal(random), number_literal(random));
            format!("{left} {} {right}", random.pick(&["+", "-", "*"]))
        }
    }
}

fn value(context: &str, random: &mut Random, depth: usize) -> String {
    match random.below(8) {
        0..3 => text(context, random, depth + 1),
        3..5 => number(context, random, depth + 1),
        5 => random.pick(&["true", "false", "nil"]).to_owned(),
        6 => format!("Split({}, \",\")", text_literal(random)),
        _ => attribute(context, random),
    }
}

fn condition(context: &str, random: &mut Random, depth: usize) -> String {
    let comparator = |random: &mut Random| random.pick(&["==", "!=", "<", "<=", ">", ">="]);
    match random.below(if depth > 2 { 7 } else { 10 }) {
        0 => {
            format!("{} {} {}", attribute(context, random), random.pick(&["==", "!="]), text_literal(random))
        }
        1 => format!("{} {} nil", attribute(context, random), random.pick(&["==", "!="])),
        2 => format!("{} {} {}", text_path(context, random), comparator(random), text_literal(random)),
        3 => format!("{} {} {}", number_path(context, random), comparator(random), number_literal(random)),
        4 => format!(
            "IsMatch({}, {:?})",
            attribute(context, random),
            random.pick(&["^t", "GET", "\\\\d+", ".*", "x$"])
        ),
        5 => format!(
            "{}({})",
            random.pick(&["IsString", "IsInt", "IsDouble", "IsBool", "IsMap", "IsList"]),
            attribute(context, random)
        ),
        6 => {
            format!("{} {} {}", attribute(context, random), comparator(random), value(context, random, depth))
        }
        7 => format!(
            "({}) and ({})",
            condition(context, random, depth + 1),
            condition(context, random, depth + 1)
        ),
        8 => format!(
            "({}) or ({})",
            condition(context, random, depth + 1),
            condition(context, random, depth + 1)
        ),
        _ => format!("not ({})", condition(context, random, depth + 1)),
    }
}

fn statement(context: &str, random: &mut Random) -> String {
    let map = if context == "metric" { "resource.attributes" } else { "attributes" };
    let key = random.pick(&KEYS);
    let edit = match random.below(14) {
        0..4 => format!("set({}, {})", attribute(context, random), value(context, random, 0)),
        4 if matches!(context, "span" | "scope" | "metric" | "log") => {
            let path = match context {
                "log" => random.pick(&["severity_text", "body"]),
                "metric" => random.pick(&["name", "description"]),
                _ => "name",
            };
            format!("set({path}, {})", text(context, random, 0))
        }
        4 | 5 => format!("delete_key({map}, {key:?})"),
        6 => format!("delete_matching_keys({map}, {:?})", random.pick(&["^[ab]$", "http", "i"])),
        7 => format!("keep_keys({map}, [{key:?}, \"s\", \"i\"])"),
        8 => format!("truncate_all({map}, {})", random.below(4)),
        9 => format!("limit({map}, {}, [{key:?}])", 1 + random.below(4)),
        10 => format!(
            "replace_pattern({}, {:?}, {:?})",
            attribute(context, random),
            random.pick(&["t", "^(.)", "\\\\d"]),
            random.pick(&["X", "$$1", "<$1>"])
        ),
        11 => format!("replace_all_patterns({map}, \"value\", {:?}, \"Y\")", random.pick(&["e", "^t"])),
        // One entry: Go has those of a literal in any order.
        12 => format!(
            "merge_maps({map}, {{{key:?}: {}}}, {:?})",
            number_literal(random),
            random.pick(&["insert", "update", "upsert"])
        ),
        _ => format!("flatten({map})"),
    };
    if random.one_in(2) { format!("{edit} where {}", condition(context, random, 0)) } else { edit }
}

/// Settings of a `transform` processor.
pub(crate) fn transform(signal: &str, random: &mut Random) -> Value {
    let key = format!("{}_statements", signal.trim_end_matches('s'));
    let groups: Vec<Value> = (0..1 + random.below(2))
        .map(|_| {
            let context = context(signal, random);
            let statements: Vec<String> =
                (0..1 + random.below(4)).map(|_| statement(context, random)).collect();
            let mut group = json!({"context": context, "statements": statements});
            if random.one_in(4) {
                group["conditions"] = json!([condition(context, random, 1)]);
            }
            group
        })
        .collect();
    json!({"error_mode": mode(random), key: groups})
}

/// Settings of a `filter` processor with conditions.
pub(crate) fn filter(signal: &str, random: &mut Random) -> Value {
    let contexts: &[&str] = match signal {
        "traces" => &["span", "spanevent"],
        "metrics" => &["metric", "datapoint"],
        _ => &["log"],
    };
    let mut settings = json!({});
    for context in contexts {
        if contexts.len() == 1 || random.one_in(2) {
            let key = if *context == "log" { "log_record" } else { context };
            settings[key] =
                (0..1 + random.below(2)).map(|_| condition(context, random, 0)).collect::<Vec<_>>().into();
        }
    }
    json!({"error_mode": mode(random), signal: settings})
}

fn mode(random: &mut Random) -> &'static str {
    random.pick(&["ignore", "ignore", "silent", "propagate"])
}

/// A `routing` table over the pipelines `a`, `b` and `c` of a signal.
pub(crate) fn routing(signal: &str, random: &mut Random) -> Value {
    let contexts: &[&str] = match signal {
        "traces" => &["resource", "span"],
        "metrics" => &["resource", "metric", "datapoint"],
        _ => &["resource", "log"],
    };
    let pipelines = |random: &mut Random| -> Vec<String> {
        let names = [&["a"][..], &["b"], &["c"], &["a", "b"]];
        names[random.below(4)].iter().map(|name| format!("{signal}/{name}")).collect()
    };
    let mut table = Vec::new();
    for _ in 0..1 + random.below(3) {
        let context = random.pick(contexts);
        let mut route = json!({"context": context, "condition": condition(context, random, 0), "pipelines": pipelines(random)});
        if random.one_in(4) {
            route["action"] = "copy".into();
        }
        table.push(route);
    }
    let mut settings = json!({"table": table, "error_mode": "ignore"});
    if random.one_in(2) {
        settings["default_pipelines"] = json!([format!("{signal}/c")]);
    }
    settings
}

/// Metrics of a `count` connector for a signal.
pub(crate) fn count(signal: &str, random: &mut Random) -> Value {
    let kinds: &[(&str, &str)] = match signal {
        "traces" => &[("spans", "span"), ("spanevents", "spanevent")],
        "metrics" => &[("metrics", "metric"), ("datapoints", "datapoint")],
        _ => &[("logs", "log")],
    };
    let metrics = |kind: &str, context: &str, random: &mut Random| -> Value {
        let one = |number: usize, random: &mut Random| {
            let mut settings = json!({});
            if random.one_in(2) {
                settings["description"] = random.pick(&["", "counted"]).into();
            }
            if random.one_in(2) {
                let conditions = (0..1 + random.below(2)).map(|_| condition(context, random, 0));
                settings["conditions"] = conditions.collect();
            }
            if kind != "metrics" && random.one_in(2) {
                let key = random.pick(&KEYS);
                let mut by = json!({"key": key});
                if random.one_in(2) {
                    by["default_value"] = random.pick(&["none", "x"]).into();
                }
                settings["attributes"] = json!([by]);
            }
            (format!("{kind}.{number}"), settings)
        };
        (0..1 + random.below(3)).map(|number| one(number, random)).collect::<serde_json::Map<_, _>>().into()
    };
    let mut settings = json!({});
    for (kind, context) in kinds {
        if !random.one_in(4) {
            settings[*kind] = metrics(kind, context, random);
        }
    }
    settings
}
