use crate::{
    Block, Catalog, Component, Config, EnvProvider, GoDuration, Kind, Known, Level, Opaque, PresentBlock,
    Problems, Resolver, Secrets, Settings, decode_checked, to_json, to_yaml,
};
use serde::Deserialize;
use std::collections::BTreeMap;

/// A small distribution.
struct Distribution;

impl Catalog for Distribution {
    fn known(&self, kind: Kind, type_name: &str) -> Known {
        match (kind, type_name) {
            (Kind::Exporter, "otlp") => Known::Alias("otlp_grpc"),
            (Kind::Exporter, "otlphttp") => Known::Alias("otlp_http"),
            (Kind::Exporter, "logging") => {
                Known::Removed("the logging exporter has been deprecated, use the debug exporter instead")
            }
            (Kind::Extension, "memory_ballast") => Known::Ignored("nothing needs it"),
            _ if self.types(kind).contains(&type_name) => Known::Canonical,
            _ => Known::Unknown,
        }
    }

    fn types(&self, kind: Kind) -> Vec<&str> {
        match kind {
            Kind::Receiver => vec!["nop", "otlp"],
            Kind::Processor => vec!["batch", "memory_limiter"],
            Kind::Exporter => vec!["debug", "nop", "otlp_grpc", "otlp_http"],
            Kind::Connector => vec!["forward"],
            Kind::Extension => vec!["health_check"],
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Nothing {}

impl Settings for Nothing {}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Otlp {
    protocols: Protocols,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Protocols {
    grpc: PresentBlock<Server>,
    http: PresentBlock<Server>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Server {
    #[allow(dead_code)]
    endpoint: String,
}

impl Settings for Otlp {
    fn validate(&self, problems: &mut Problems) {
        let any = self.protocols.grpc.is_on() || self.protocols.http.is_on();
        problems.require(any, "", "must specify at least one protocol when using the OTLP receiver");
    }
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Batch {
    timeout: GoDuration,
    send_batch_size: u32,
    send_batch_max_size: u32,
}

impl Default for Batch {
    fn default() -> Batch {
        Batch { timeout: GoDuration::from_millis(200), send_batch_size: 8192, send_batch_max_size: 0 }
    }
}

impl Settings for Batch {
    fn validate(&self, problems: &mut Problems) {
        let size = self.send_batch_size;
        problems.require(
            self.send_batch_max_size == 0 || self.send_batch_max_size >= size,
            "send_batch_max_size",
            format!("must be at least send_batch_size ({size})"),
        );
        problems.require(!self.timeout.is_negative(), "timeout", "must not be negative");
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct MemoryLimiter {
    check_interval: GoDuration,
}

impl Settings for MemoryLimiter {
    fn validate(&self, problems: &mut Problems) {
        problems.require(self.check_interval.is_positive(), "check_interval", "must be greater than zero");
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Debugger {
    #[allow(dead_code)]
    verbosity: Level,
    #[allow(dead_code)]
    sampling_initial: u32,
}

impl Settings for Debugger {}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Client {
    endpoint: String,
    #[allow(dead_code)]
    headers: BTreeMap<String, Opaque>,
    sending_queue: Block<Queue>,
    retry_on_failure: Retry,
    #[allow(dead_code)]
    tls: Block<Tls>,
    #[allow(dead_code)]
    compression: Compression,
}

impl Default for Client {
    fn default() -> Client {
        Client {
            endpoint: String::new(),
            headers: BTreeMap::new(),
            sending_queue: Block::on(Queue::default()),
            retry_on_failure: Retry::default(),
            tls: Block::off(),
            compression: Compression::Gzip,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Queue {
    queue_size: u32,
}

impl Default for Queue {
    fn default() -> Queue {
        Queue { queue_size: 1000 }
    }
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Retry {
    multiplier: f64,
}

impl Default for Retry {
    fn default() -> Retry {
        Retry { multiplier: 1.5 }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Tls {
    #[allow(dead_code)]
    ca_file: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Compression {
    Gzip,
    Zstd,
    None,
}

impl Settings for Client {
    fn validate(&self, problems: &mut Problems) {
        problems.require(!self.endpoint.is_empty(), "endpoint", "must not be empty");
        if let Some(queue) = self.sending_queue.get() {
            problems.require(queue.queue_size > 0, "sending_queue::queue_size", "must be positive");
        }
        problems.within("retry_on_failure", |problems| {
            let multiplier = self.retry_on_failure.multiplier;
            problems.require(multiplier >= 0.0, "multiplier", "must be non-negative");
        });
    }
}

fn check(component: &Component) -> Problems {
    fn read<T: Settings>(component: &Component) -> Problems {
        let mut problems = component.problems();
        decode_checked::<T>(component.node(), &mut problems);
        problems
    }
    match (component.kind(), component.type_name()) {
        (Kind::Receiver, "otlp") => read::<Otlp>(component),
        (_, "batch") => read::<Batch>(component),
        (_, "memory_limiter") => read::<MemoryLimiter>(component),
        (_, "debug") => read::<Debugger>(component),
        (_, "otlp_grpc" | "otlp_http") => read::<Client>(component),
        _ => read::<Nothing>(component),
    }
}

/// The whole way of a text, as a binary goes it.
fn load(text: &str) -> (Config, Problems) {
    let resolver = Resolver::with_environment(EnvProvider::new(|_| None));
    match resolver.resolve(&[format!("yaml:{text}")], &[]) {
        Err(problems) => (Config::default(), *problems),
        Ok(resolved) => {
            let mut problems = resolved.problems;
            let config = Config::read(&resolved.root, &Distribution, &mut problems);
            for component in config.all_components() {
                problems.absorb(check(component));
            }
            (config, problems)
        }
    }
}

#[test]
fn accepts_and_refuses_what_otelcol_does() {
    #[derive(Deserialize)]
    struct Case {
        case: String,
        config: String,
        exit: u8,
    }
    let cases: Vec<Case> =
        serde_json::from_str(include_str!("../../tests/data/validate.json")).expect("cases");
    assert!(cases.len() > 30);
    for Case { case, config, exit } in cases {
        let (_, problems) = load(&config);
        assert_eq!(u8::from(problems.has_errors()), exit, "{case}: {problems}");
    }
}

const COMPONENTS: &str = "receivers: {otlp: {protocols: {grpc: }}, nop: }\nprocessors: {batch: , memory_limiter: \
                          {check_interval: 1s}}\nexporters: {debug: , nop: }\nconnectors: {forward: }\nextensions: \
                          {health_check: }\n";

#[test]
fn every_rule_of_the_root_has_its_words() {
    let pipelines = |text: &str| format!("{COMPONENTS}service: {{pipelines: {{{text}}}}}\n");
    let traces = |text: &str| pipelines(&format!("traces: {{{text}}}"));
    let with = |section: &str| {
        format!(
            "{section}\n{COMPONENTS}service: {{pipelines: {{traces: {{receivers: [nop], exporters: [nop]}}}}}}\n"
        )
    };
    let service = |text: &str| {
        format!(
            "{COMPONENTS}service: {{{text}, pipelines: {{traces: {{receivers: [nop], exporters: [nop]}}}}}}\n"
        )
    };
    // (text, errors in the order of the report: path and message, and the help of the first)
    let cases: Vec<(String, Vec<&str>, &str)> = vec![
        (with(""), vec![], ""),
        (with("recievers: {}"), vec!["recievers: unknown key"], "did you mean `receivers`?"),
        (with("x-anchors: {}"), vec!["x-anchors: unknown key"], "known keys are receivers,"),
        (
            String::new(),
            vec!["empty configuration file", "service::pipelines: service must have at least one pipeline"],
            "",
        ),
        (
            "connectors: {forward: }\nservice: {pipelines: {traces: {receivers: [forward], exporters: [forward]}}}".into(),
            vec!["no receiver configuration specified in config", "no exporter configuration specified in config"],
            "add a section `receivers`",
        ),
        (
            "exporters::debug::verbosity: basic".into(),
            vec![
                "no receiver configuration specified in config",
                "service::pipelines: service must have at least one pipeline",
            ],
            "add a section `receivers`",
        ),
        (
            traces("receivers: [], exporters: "),
            vec![
                "service::pipelines::traces: must have at least one receiver",
                "service::pipelines::traces: must have at least one exporter",
            ],
            "",
        ),
        (
            traces("receivers: [nop/2], processors: [bacth], exporters: [dbg]"),
            vec![
                "service::pipelines::traces: references receiver \"nop/2\" which is not configured",
                "service::pipelines::traces: references processor \"bacth\" which is not configured",
                "service::pipelines::traces: references exporter \"dbg\" which is not configured",
            ],
            "of that type there is nop",
        ),
        (
            traces("receivers: [batch], exporters: [nop]"),
            vec!["service::pipelines::traces: references receiver \"batch\" which is not configured"],
            "\"batch\" is configured as a processor",
        ),
        (
            traces("receivers: [nop], processors: [batch, memory_limiter, batch], exporters: [nop]"),
            vec!["service::pipelines::traces: references processor \"batch\" multiple times"],
            "",
        ),
        (
            traces("receivers: nop, exporters: [5, [x], 'a b']"),
            vec![
                "service::pipelines::traces::receivers: expected a list, found a string",
                "service::pipelines::traces::exporters::0: expected the id of a component, found the number 5",
                "service::pipelines::traces::exporters::1: expected the id of a component, found a list",
                "service::pipelines::traces::exporters::2: in \"a b\" id: invalid character(s) in type \"a b\"",
            ],
            "write `[nop]`",
        ),
        (
            traces("receiver: [nop], receivers: [nop], exporters: [nop]"),
            vec!["service::pipelines::traces::receiver: unknown key"],
            "did you mean `receivers`?",
        ),
        (
            pipelines("spans: {receivers: [nop], exporters: [nop]}"),
            vec!["service::pipelines::spans: in \"spans\" id: unknown pipeline signal: \"spans\""],
            "did you mean `traces`?",
        ),
        (
            pipelines("traces/a: {receivers: [nop], exporters: [nop]}, 'traces / a': {receivers: [nop], exporters: [nop]}"),
            vec!["service::pipelines::traces / a: duplicate name \"traces / a\" after unmarshaling traces/a"],
            "",
        ),
        (pipelines("traces: 5"), vec!["service::pipelines::traces: expected a map, found the number 5"], ""),
        (
            pipelines(""),
            vec!["service::pipelines: service must have at least one pipeline"],
            "",
        ),
        (
            service("extensions: [helth_check, health_check/2]"),
            vec![
                "service::extensions: references extension \"helth_check\" which is not configured",
                "service::extensions: references extension \"health_check/2\" which is not configured",
            ],
            "did you mean `health_check`?",
        ),
        (service("extension: []"), vec!["service::extension: unknown key"], "did you mean `extensions`?"),
        (service("telemetry: {log: {}}"), vec!["service::telemetry::log: unknown key"], "did you mean `logs`?"),
        (
            service("telemetry: {metrcs: {level: none}}"),
            vec!["service::telemetry::metrcs: unknown key"],
            "did you mean `metrics`?",
        ),
        (service("telemetry: {logs: {}, metrics: , traces: {}, resource: {a: b}}"), vec![], ""),
    ];
    for (text, expected, help) in cases {
        let (_, problems) = load(&text);
        let found: Vec<String> = problems
            .errors()
            .map(|problem| match problem.path.is_empty() {
                true => problem.message.clone(),
                false => format!("{}: {}", problem.path, problem.message),
            })
            .collect();
        assert_eq!(found, expected, "{text}");
        let first = problems.errors().next().and_then(|problem| problem.help.clone()).unwrap_or_default();
        assert!(first.starts_with(help) && first.is_empty() == help.is_empty(), "{text}: {first}");
    }
}

#[test]
fn a_collector_that_may_be_idle_needs_no_pipeline() {
    let root = crate::parse_yaml("a.yaml", "extensions: {health_check: {}}\n").expect("YAML");
    let (mut strict, mut lenient) = (Problems::default(), Problems::default());
    Config::read(&root, &Distribution, &mut strict);
    Config::read_without_pipelines(&root, &Distribution, &mut lenient);
    assert_eq!((strict.has_errors(), lenient.has_errors()), (true, false), "{strict}{lenient}");
}

#[test]
fn every_rule_of_ids_has_its_words() {
    // (section, error, help)
    let cases = [
        ("exporters: {'debug/': }", "in \"debug/\" id: the part after / should not be empty", ""),
        (
            "exporters: {debug/a: , ' debug / a ': }",
            "duplicate name \" debug / a \" after unmarshaling debug/a",
            "",
        ),
        ("exporters: {debgu: }", "unknown type: \"debgu\" for id: \"debgu\"", "did you mean `debug`?"),
        (
            "exporters: {batch/2: }",
            "unknown type: \"batch\" for id: \"batch/2\"",
            "`batch` is a type of processors: write it under `processors`",
        ),
        (
            "exporters: {kafka: }",
            "unknown type: \"kafka\" for id: \"kafka\"",
            "known exporters are debug, nop, otlp_grpc, otlp_http",
        ),
        (
            "exporters: {logging: }",
            "unknown type: \"logging\" for id: \"logging\"",
            "the logging exporter has been deprecated, use the debug exporter instead",
        ),
        ("exporters: [debug]", "expected a map, found a list", ""),
        ("exporters: {debug: 5}", "expected a map, found the number 5", ""),
    ];
    for (section, message, help) in cases {
        let text = format!(
            "receivers: {{nop: }}\n{section}\nservice: {{pipelines: {{traces: {{receivers: [nop], exporters: [debug]}}}}}}\n"
        );
        let (_, problems) = load(&text);
        let problem = problems.errors().find(|problem| problem.message == message);
        let problem = problem.unwrap_or_else(|| panic!("{section}: {problems}"));
        assert_eq!(problem.help.as_deref().unwrap_or_default(), help, "{section}");
        assert_eq!(problem.location.line(), 2, "{section}");
    }
    let clash = "receivers: {forward: }\nexporters: {forward: }\nconnectors: {forward: }\n";
    let (_, problems) = load(clash);
    let found: Vec<&str> = problems.errors().map(|problem| problem.message.as_str()).collect();
    for kind in ["receiver", "exporter"] {
        let message = format!("ambiguous ID: Found both \"forward\" {kind} and \"forward\" connector");
        assert!(found.contains(&message.as_str()), "{found:?}");
    }
}

#[test]
fn a_configuration_is_read() {
    let text = "receivers: {otlp: {protocols: {grpc: }}}\nexporters: {otlp/a: {endpoint: 'x:1'}, debug: }\n\
                connectors: {forward: }\nextensions: {health_check: }\n\
                service:\n  extensions: [health_check]\n  telemetry: {logs: {level: debug}}\n  pipelines:\n    \
                traces: {receivers: [otlp], exporters: [forward, debug]}\n    \
                traces/out: {receivers: [forward], processors: [], exporters: [otlp/a]}\n";
    let (config, problems) = load(text);
    let warnings: Vec<String> = problems.sorted().iter().map(|problem| problem.to_string()).collect();
    assert_eq!(
        warnings,
        [
            "warning: --config yaml::2:13: exporters::otlp/a: \"otlp\" alias is deprecated; use \"otlp_grpc\" instead"
        ]
    );
    let exporter = &config.components(Kind::Exporter)[0];
    assert_eq!((exporter.id().to_string(), exporter.type_name()), ("otlp/a".into(), "otlp_grpc"));
    assert_eq!(config.component(Kind::Exporter, exporter.id()), Some(exporter));
    assert_eq!(config.all_components().count(), 5);
    let service = config.service();
    assert_eq!(service.extensions.len(), 1);
    assert!(service.telemetry.get("logs").is_some());
    let ids: Vec<String> = service.pipelines.iter().map(|pipeline| pipeline.id.to_string()).collect();
    assert_eq!(ids, ["traces", "traces/out"]);
    assert_eq!(service.pipelines[0].exporters.len(), 2);
}

#[test]
fn equality_is_of_what_is_said() {
    let text = "receivers: {nop: }\nexporters: {debug: {verbosity: basic, sampling_initial: 2}}\n\
                service: {pipelines: {traces: {receivers: [nop], exporters: [debug]}}}\n";
    let moved =
        text.replace("verbosity: basic, sampling_initial: 2", "sampling_initial: 2,   verbosity: basic");
    let changed = text.replace("sampling_initial: 2", "sampling_initial: 3");
    assert_eq!(load(text).0, load(&moved).0);
    assert_ne!(load(text).0, load(&changed).0);
}

#[test]
fn what_cannot_be_resolved_is_reported_once() {
    let text = "receivers: {otlp: '${vault:x}'}\nexporters: {otlp: {endpoint: '${vault:y}', nmae: 1}}\n\
                service: {pipelines: {traces: {receivers: [otlp], exporters: ['${vault:z}', otlp]}}}\n";
    let (_, problems) = load(text);
    let mut keys = problems.keys();
    keys.sort_unstable();
    assert_eq!(
        keys,
        ["exporters::otlp::endpoint", "nmae", "receivers::otlp", "service::pipelines::traces::exporters::0"]
    );
}

#[test]
fn secrets_are_redacted_in_print() {
    let text = "receivers: {nop: }\nexporters: {otlp_grpc: {endpoint: 'x:1', headers: {key: 's3cr3t'}}}\n\
                service: {pipelines: {traces: {receivers: [nop], exporters: [otlp_grpc]}}}\n";
    let resolver = Resolver::with_environment(EnvProvider::new(|_| None));
    let root = resolver.resolve(&[format!("yaml:{text}")], &[]).expect("YAML").root;
    let (_, problems) = load(text);
    let hidden = to_yaml(&root, problems.readings(), Secrets::Hidden);
    assert!(hidden.contains("key: \"[REDACTED]\"") && !hidden.contains("s3cr3t"), "{hidden}");
    assert!(to_yaml(&root, problems.readings(), Secrets::Shown).contains("s3cr3t"));
}

#[test]
fn what_nobody_could_read_is_redacted_in_print() {
    // (where a secret may stand that is in no schema, what is shown of it)
    let cases = [
        ("exporters: {otlp_grpc: {endpoint: 'x:1', pasword: s3cr3t}}", "pasword: \"[REDACTED]\""),
        ("exporters: {otlp_grpc: {endpoint: 'x:1', auht: {token: [s3cr3t]}}}", "auht: \"[REDACTED]\""),
        ("exporters: {otlp_grpc: {endpoint: 'x:1', headers: {key: {of: s3cr3t}}}}", "key: \"[REDACTED]\""),
        ("exporters: {otlp_grpc: {endpoint: 'x:1', headers: [s3cr3t]}}", "headers: \"[REDACTED]\""),
        ("exporters: {otlp_grpc: {endpoint: {token: s3cr3t}}}", "endpoint: \"[REDACTED]\""),
        ("exporters: {otlp_grpc: s3cr3t}", "otlp_grpc: \"[REDACTED]\""),
        ("exporters: {otlp_grpcc: {token: s3cr3t}}", "otlp_grpcc: \"[REDACTED]\""),
        ("exporters: {otlp_grpc/: {token: s3cr3t}}", "otlp_grpc/: \"[REDACTED]\""),
        ("exporters: [s3cr3t]", "exporters: \"[REDACTED]\""),
        ("exportrs: {otlp_grpc: {token: s3cr3t}}", "exportrs: \"[REDACTED]\""),
        ("service: {telemtry: {token: s3cr3t}}", "telemtry: \"[REDACTED]\""),
        ("service: {pipelines: {traces: {token: s3cr3t}}}", "token: \"[REDACTED]\""),
        ("service: {pipelines: [s3cr3t]}", "pipelines: \"[REDACTED]\""),
    ];
    for (text, shown) in cases {
        let resolver = Resolver::with_environment(EnvProvider::new(|_| None));
        let root = resolver.resolve(&[format!("yaml:{text}")], &[]).expect("YAML").root;
        let (_, problems) = load(text);
        let hidden = to_yaml(&root, problems.readings(), Secrets::Hidden);
        assert!(hidden.contains(shown) && !hidden.contains("s3cr3t"), "{text}: {hidden}");
        assert!(!to_json(&root, problems.readings(), Secrets::Hidden).contains("s3cr3t"), "{text}");
        assert!(to_yaml(&root, problems.readings(), Secrets::Shown).contains("s3cr3t"), "{text}");
    }
}

/// Ten mistakes give one report; the file is how a user meets it.
#[test]
fn ten_mistakes_give_one_report() {
    let (_, problems) = load(include_str!("../../tests/data/ten_mistakes.yaml"));
    let expected = include_str!("../../tests/data/ten_mistakes.expected.txt");
    let report = problems.to_string().replace("--config yaml:", "ten_mistakes.yaml");
    assert_eq!(report, expected, "{report}");
    assert_eq!(problems.errors().count(), 10);
}

#[test]
fn what_nothing_needs_any_more_is_left_out() {
    let text = "yaml:{receivers: {nop: }, exporters: {nop: }, extensions: {memory_ballast: {size_mib: 5}, health_check: }, \
        service: {extensions: [memory_ballast, health_check], pipelines: {traces: {receivers: [nop], exporters: [nop]}}}}";
    let resolved =
        Resolver::with_environment(EnvProvider::new(|_| None)).resolve(&[text], &[]).expect("YAML");
    let mut problems = resolved.problems;
    let config = Config::read(&resolved.root, &Distribution, &mut problems);
    assert!(!problems.has_errors(), "{problems}");
    assert!(
        problems.to_string().contains("extensions::memory_ballast: ignored: nothing needs it"),
        "{problems}"
    );
    assert_eq!(config.components(Kind::Extension).len(), 1);
    let names: Vec<String> = config.service().extensions.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["health_check"]);
}

proptest::proptest! {
    /// Whatever two sources say: no panic, and what comes out can be printed and read again.
    #[test]
    fn any_overlay_is_merged_or_reported(
        base in "([{}\\[\\],:] ?|service|exporters|a|b|!append |!edit |!remove |!replace |before|'|~|5|\\$\\{env:X\\}|[ \n-]){0,30}",
        overlay in "(\\{|\\}|\\[|\\]|, |: |service: |exporters: |a|b|!append |!prepend |!edit |!remove |!replace |before: |remove: |~|5|\n  ){0,30}",
    ) {
        for missing in [crate::Missing::Empty, crate::Missing::Open] {
            let resolver = Resolver::with_environment(EnvProvider::new(|_| None)).missing(missing);
            let sources = [format!("yaml:{base}"), format!("yaml:{overlay}")];
            let Ok(resolved) = resolver.resolve(&sources, &[]) else { continue };
            let mut report = resolved.problems;
            Config::read(&resolved.root, &Distribution, &mut report);
            let printed = to_yaml(&resolved.root, report.readings(), Secrets::Shown);
            let again = resolver.resolve(&[format!("yaml:{printed}")], &[]).expect("what was printed is YAML");
            proptest::prop_assert_eq!(to_yaml(&again.root, report.readings(), Secrets::Shown), printed);
        }
    }
}
