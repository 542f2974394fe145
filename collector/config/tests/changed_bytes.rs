//! Configurations with bytes changed: they are read or refused with what is wrong, and nothing panics. A small part of
//! what the fuzz target does, with every test run.

use std::time::{Duration, Instant};

use phoenix_config::{
    Catalog, Config, EnvProvider, Kind, Known, Missing, Resolver, Secrets, YamlProvider, to_json, to_yaml,
};

/// Every type is known.
struct Anything;

impl Catalog for Anything {
    fn known(&self, _: Kind, _: &str) -> Known {
        Known::Canonical
    }

    fn types(&self, _: Kind) -> Vec<&str> {
        vec!["new"]
    }
}

const CORPUS: [&str; 4] = [
    "receivers:\n  otlp:\n    protocols: {grpc: {endpoint: '${env:HOST}:4317'}, http: }\nexporters: {nop: }\nservice:\n  pipelines:\n    traces/a: {receivers: [otlp], exporters: [nop]}\n",
    "exporters:\n  otlp: &a\n    headers: {x: \"$$1 ${env:A:-${env:B}} ${yaml:[1, 2]}\"}\n  otlp/b:\n    <<: *a\n    tls: {ca_pem: |\n      -----BEGIN\n      x}\n",
    "service: !append\n  extensions: !remove [a, b]\n  pipelines: !edit {traces: !replace {receivers: !prepend [x]}}\n",
    "a: >-\n  folded\n  text\nb: 0x1F\nc: .inf\nd: ~\ne: !!str 5\n? [complex]\n: value\n--- # another\nf: 1\n",
];

#[test]
fn changed_configurations_are_read_or_refused() {
    let mut state = 3u64;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    let likely = "\n :-[]{},&*!|>'\"#%@`$~é\t0";
    let end = Instant::now() + Duration::from_secs(2);
    let (mut read, mut refused) = (0, 0);
    while Instant::now() < end || read == 0 || refused == 0 {
        let mut texts = [0, 1].map(|_| CORPUS[next() % CORPUS.len()].chars().collect::<Vec<char>>());
        for text in &mut texts {
            for _ in 0..next() % 4 {
                let at = next() % text.len().max(1);
                let character = likely.chars().nth(next() % likely.chars().count()).expect("one of them");
                match (next() % 4, text.is_empty()) {
                    (_, true) => text.push(character),
                    (0, _) => text.truncate(at),
                    (1, _) => text.insert(at, character),
                    (2, _) => text[at] = character,
                    _ => {
                        let part = text[at..text.len().min(at + next() % 40)].to_vec();
                        let to = next() % text.len();
                        text.splice(to..to, part);
                    }
                }
            }
        }
        let environment = EnvProvider::new(|name| (name.len() % 2 > 0).then(|| name.to_owned()));
        let missing = [Missing::Empty, Missing::Error, Missing::Open][next() % 3];
        let resolver = Resolver::with_environment(environment).with(YamlProvider).missing(missing);
        let sources = texts.map(|text| format!("yaml:{}", text.into_iter().collect::<String>()));
        match resolver.resolve(&sources, &[]) {
            Err(problems) => {
                refused += 1;
                assert!(problems.has_errors() && !problems.to_string().is_empty());
            }
            Ok(resolved) => {
                read += 1;
                let mut report = resolved.problems;
                let _ = Config::read(&resolved.root, &Anything, &mut report);
                let _ = (report.to_string(), to_json(&resolved.root, report.readings(), Secrets::Hidden));
                let _ = to_yaml(&resolved.root, report.readings(), Secrets::Shown);
            }
        }
    }
}
