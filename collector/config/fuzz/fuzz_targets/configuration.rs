//! Any two texts as a base and an overlay: no panic, every mistake reported, and what is printed reads the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use phoenix_config::{
    Block, Catalog, Config, EnvProvider, GoDuration, Kind, Known, Missing, Opaque, OpaqueMap, PresentBlock,
    Provider, ProviderError, Readings, Resolver, Retrieved, Secrets, Settings, decode_checked, to_json, to_yaml,
};
use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Everything {
    name: String,
    count: u32,
    ratio: f64,
    on: bool,
    timeout: GoDuration,
    list: Vec<Everything>,
    texts: Vec<String>,
    secret: Opaque,
    headers: OpaqueMap,
    block: Block<Inner>,
    present: PresentBlock<Inner>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Inner {
    size: i16,
}

impl Settings for Everything {}

/// Every type is known.
struct Anything;

impl Catalog for Anything {
    fn known(&self, _: Kind, type_name: &str) -> Known {
        match type_name {
            "old" => Known::Alias("new"),
            "ignored" => Known::Ignored("nothing needs it"),
            "gone" => Known::Removed("use another"),
            _ => Known::Canonical,
        }
    }

    fn types(&self, _: Kind) -> Vec<&str> {
        vec!["new"]
    }
}

/// No file of the machine is read.
struct NoFiles;

impl Provider for NoFiles {
    fn scheme(&self) -> &str {
        "file"
    }

    fn retrieve(&self, _: &str) -> Result<Retrieved, ProviderError> {
        Err(ProviderError::unavailable("there are no files"))
    }
}

fuzz_target!(|input: (&str, &str, u8)| {
    let (base, overlay, mode) = input;
    let environment = EnvProvider::new(|name| (name.len() % 3 > 0).then(|| name.to_owned()));
    let missing = [Missing::Empty, Missing::Error, Missing::Open][usize::from(mode % 3)];
    let resolver = Resolver::with_environment(environment)
        .with(NoFiles)
        .missing(missing)
        .append_service_lists(mode & 4 > 0);
    let sources = [format!("yaml:{base}"), format!("yaml:{overlay}")];
    let resolved = match resolver.resolve(&sources, &[]) {
        Ok(resolved) => resolved,
        Err(problems) => {
            assert!(problems.has_errors());
            let _ = problems.to_string();
            return;
        }
    };
    let mut report = resolved.problems;
    let config = Config::read(&resolved.root, &Anything, &mut report);
    for component in config.all_components() {
        let mut problems = component.problems();
        let settings = decode_checked::<Everything>(component.node(), &mut problems);
        assert!(settings.is_none() || !problems.has_errors());
        report.absorb(problems);
    }
    let _ = report.to_string();
    let _ = to_json(&resolved.root, report.readings(), Secrets::Hidden);
    let printed = to_yaml(&resolved.root, report.readings(), Secrets::Shown);
    // What is printed has no references left, and reads as the same.
    let escaped = printed.replace('$', "$$");
    let plain = Resolver::with_environment(EnvProvider::new(|_| None));
    if let Ok(again) = plain.resolve(&[format!("yaml:{escaped}")], &[]) {
        let twice = to_yaml(&again.root, &Readings::default(), Secrets::Shown);
        assert_eq!(printed.lines().count(), twice.lines().count());
    }
});
