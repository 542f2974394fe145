//! What is tried: what is known of otelcol already, and generated settings.

use serde_json::{Value, json};

use crate::random::Random;
use crate::{inputs, statements};

/// Settings of processors, and requests for them.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) signal: String,
    /// By type, in this order.
    pub(crate) processors: Value,
    /// What is behind them in place of the end, if anything is.
    pub(crate) connector: Option<Connector>,
    pub(crate) inputs: Vec<String>,
}

/// A connector and its settings.
#[derive(Clone, Debug)]
pub(crate) enum Connector {
    /// To the pipelines of [`ROUTES`].
    Routing(Value),
    /// To one pipeline of metrics.
    Count(Value),
}

impl Connector {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Connector::Routing(_) => "routing",
            Connector::Count(_) => "count",
        }
    }

    pub(crate) fn settings(&self) -> &Value {
        let (Connector::Routing(settings) | Connector::Count(settings)) = self;
        settings
    }
}

/// The pipelines that a connector routes to.
pub(crate) const ROUTES: [&str; 3] = ["a", "b", "c"];

impl Case {
    /// The types of its components.
    pub(crate) fn types(&self) -> impl Iterator<Item = &str> {
        let processors = self.processors.as_object().into_iter().flatten().map(|(name, _)| name.as_str());
        processors.chain(self.connector.as_ref().map(Connector::name))
    }
}

/// The cases whose results are written down with the processors.
pub(crate) fn of_the_corpus() -> Vec<Case> {
    let mut cases: Vec<Case> = [
        include_str!("../../../processors/attributes/tests/data/otelcol.json"),
        include_str!("../../../processors/filter/tests/data/otelcol.json"),
        include_str!("../../../processors/probabilistic_sampler/tests/data/otelcol.json"),
        include_str!("../../../processors/transform/tests/data/otelcol.json"),
    ]
    .into_iter()
    .flat_map(|text| serde_json::from_str::<Vec<Value>>(text).expect("a list of cases"))
    .map(|case| {
        let signal = case["signal"].as_str().expect("a signal").to_owned();
        Case {
            name: case["case"].as_str().expect("a name").to_owned(),
            processors: case["processors"].clone(),
            connector: None,
            inputs: vec![inputs::written(&signal).to_owned()],
            signal,
        }
    })
    .collect();
    type Made = fn(Value) -> Connector;
    let connected: [(&str, Made); 2] = [
        (include_str!("../../../connectors/routing/tests/data/otelcol.json"), Connector::Routing),
        (include_str!("../../../connectors/count/tests/data/cases.json"), Connector::Count),
    ];
    for (text, connector) in connected {
        let list = serde_json::from_str::<Vec<Value>>(text).expect("a list of cases");
        cases.extend(list.into_iter().map(|case| {
            let signal = case["from"].as_str().expect("a signal").to_owned();
            Case {
                name: case["case"].as_str().expect("a name").to_owned(),
                processors: json!({}),
                connector: Some(connector(case["settings"].clone())),
                inputs: vec![inputs::written(&signal).to_owned()],
                signal,
            }
        }));
    }
    cases
}

/// So many generated cases.
pub(crate) fn generated(seed: u64, count: u64) -> Vec<Case> {
    (0..count).map(|index| one(seed, index)).collect()
}

fn one(seed: u64, index: u64) -> Case {
    let random = &mut Random::new(seed.wrapping_mul(1_000_003).wrapping_add(index));
    let signal = random.pick(&["traces", "metrics", "logs"]);
    let mut connector = None;
    let (signal, processors) = match random.below(13) {
        0 | 1 => (signal, json!({"attributes": attributes(signal, random)})),
        2 => (signal, json!({"resource": {"attributes": actions(random)}})),
        3 => {
            let signal = random.pick(&["traces", "logs"]);
            (signal, json!({"probabilistic_sampler": sampler(signal, random)}))
        }
        4 | 5 => (signal, json!({"filter": statements::filter(signal, random)})),
        6 => (signal, json!({"filter": matching_filter(signal, random)})),
        7 | 8 => {
            connector = Some(Connector::Routing(statements::routing(signal, random)));
            (signal, json!({}))
        }
        9 => {
            connector = Some(Connector::Count(statements::count(signal, random)));
            (signal, json!({}))
        }
        _ => (signal, json!({"transform": statements::transform(signal, random)})),
    };
    let mut inputs = vec![inputs::written(signal).to_owned()];
    inputs.extend((0..3).map(|_| inputs::generated(signal, random)));
    Case {
        name: format!("generated {seed}/{index}"),
        signal: signal.to_owned(),
        processors,
        connector,
        inputs,
    }
}

const KEYS: [&str; 10] = ["s", "i", "d", "b", "m", "a", "http.method", "user.id", "n", "service.name"];

fn literal(random: &mut Random) -> Value {
    match random.below(6) {
        0 => json!(random.pick(&["text", "", "42", "x"])),
        1 => json!(random.below(100)),
        2 => json!(0.5),
        3 => json!(random.one_in(2)),
        4 => json!(["x", 1]),
        _ => json!({"k": "v"}),
    }
}

fn actions(random: &mut Random) -> Vec<Value> {
    (0..1 + random.below(4)).map(|_| action(random)).collect()
}

fn action(random: &mut Random) -> Value {
    let key = random.pick(&KEYS);
    match random.below(8) {
        0..3 => {
            let how = random.pick(&["insert", "update", "upsert", "INSERT"]);
            if random.one_in(3) {
                json!({"key": key, "from_attribute": random.pick(&KEYS), "action": how})
            } else {
                json!({"key": key, "value": literal(random), "action": how})
            }
        }
        3 => json!({"key": key, "action": "delete"}),
        4 => {
            json!({"pattern": random.pick(&["^[ab]$", "http\\.", "s", "^$", "\\d"]), "action": random.pick(&["delete", "hash"])})
        }
        5 => json!({"key": key, "action": "hash"}),
        6 => {
            json!({"key": key, "action": "extract", "pattern": random.pick(&["^(?P<first>.)(?P<rest>.*)$", "(?P<n>\\d+)", "(?P<s>\\w+) (?P<path>.*)"])})
        }
        _ => {
            json!({"key": key, "action": "convert", "converted_type": random.pick(&["int", "double", "string"])})
        }
    }
}

fn attributes(signal: &str, random: &mut Random) -> Value {
    let mut settings = json!({"actions": actions(random)});
    for key in ["include", "exclude"] {
        if random.one_in(3) {
            settings[key] = matching(signal, random);
        }
    }
    settings
}

/// Which records are meant.
fn matching(signal: &str, random: &mut Random) -> Value {
    let regexp = random.one_in(2);
    let mut settings = json!({"match_type": if regexp { "regexp" } else { "strict" }});
    let pick = |random: &mut Random, strict: &[&'static str], patterns: &[&'static str]| {
        random.pick(if regexp { patterns } else { strict })
    };
    match (signal, random.below(4)) {
        ("metrics", _) => settings["metric_names"] = json!([pick(random, &["g", "c"], &["^h", "\\."])]),
        ("traces", 0) => {
            settings["span_names"] = json!([pick(random, &["GET /a", "SELECT"], &["GET", "^S"])])
        }
        ("traces", 1) => settings["services"] = json!([pick(random, &["checkout", "cart"], &["^c", "nil"])]),
        ("traces", 2) => {
            settings["span_kinds"] = json!([pick(random, &["SPAN_KIND_SERVER"], &["SERVER|CLIENT"])])
        }
        ("logs", 0) => settings["log_bodies"] = json!([pick(random, &["text", "42"], &["t", "^\\{"])]),
        ("logs", 1) => {
            settings["log_severity_texts"] = json!([pick(random, &["INFO", "ERROR"], &["^E", "(?i)warn"])])
        }
        ("logs", 2) => {
            settings["log_severity_number"] = json!({"min": 9, "match_undefined": random.one_in(2)})
        }
        _ if random.one_in(2) => {
            let value = if regexp { json!(random.pick(&["^4", "t"])) } else { literal(random) };
            settings[random.pick(&["attributes", "resources"])] =
                json!([{"key": random.pick(&KEYS), "value": value}]);
        }
        _ => settings["libraries"] = json!([{"name": pick(random, &["lib"], &["i"])}]),
    }
    settings
}

/// A filter without conditions.
fn matching_filter(signal: &str, random: &mut Random) -> Value {
    let one = |random: &mut Random| match signal {
        "traces" => matching(signal, random),
        "metrics" => {
            let mut settings = matching(signal, random);
            if random.one_in(3) {
                let is_regexp = settings["match_type"] == "regexp";
                let value = if is_regexp { "^c" } else { "checkout" };
                settings["resource_attributes"] = json!([{"key": "service.name", "value": value}]);
            }
            settings
        }
        _ => {
            let mut settings = json!({"match_type": "strict"});
            match random.below(3) {
                0 => settings["bodies"] = json!(["text"]),
                1 => {
                    settings["severity_number"] = json!({"min": random.pick(&["INFO", "warn2", "17"]), "match_undefined": random.one_in(2)})
                }
                _ => {
                    settings["record_attributes"] =
                        json!([{"key": random.pick(&KEYS), "value": literal(random)}])
                }
            }
            settings
        }
    };
    let mut settings = json!({});
    for key in ["include", "exclude"] {
        if random.one_in(2) {
            settings[key] = one(random);
        }
    }
    match signal {
        "traces" => json!({"spans": settings}),
        signal => json!({signal: settings}),
    }
}

fn sampler(signal: &str, random: &mut Random) -> Value {
    let mut settings = json!({"sampling_percentage": random.number(&[0.0, 1.0, 15.3, 50.0, 99.9, 100.0])});
    if random.one_in(2) {
        settings["mode"] = random.pick(&["hash_seed", "equalizing", "proportional"]).into();
    }
    if random.one_in(3) {
        settings["hash_seed"] = random.below(100).into();
    }
    if random.one_in(2) {
        settings["fail_closed"] = random.one_in(2).into();
    }
    if random.one_in(3) {
        settings["sampling_precision"] = (1 + random.below(14)).into();
    }
    if signal == "logs" {
        if random.one_in(2) {
            settings["attribute_source"] = random.pick(&["record", "traceID"]).into();
        }
        if random.one_in(2) {
            settings["from_attribute"] = random.pick(&KEYS).into();
        }
        if random.one_in(2) {
            settings["sampling_priority"] = random.pick(&["i", "d"]).into();
        }
    }
    settings
}
