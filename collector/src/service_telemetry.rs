//! `service::telemetry`: what the collector says of itself, one module for each part.

mod logs;
mod resource;
#[cfg(test)]
mod tests;

use phoenix_component::BuildInfo;
use phoenix_config::{Config, Described as _, Key, KeyPath, Location, Node, Problems, Section, Shape};
use phoenix_telemetry::logs::{LogHandle, OutputError};

use logs::LogSettings;
use resource::ResourceSettings;

/// What `service::telemetry` sets.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ServiceTelemetry {
    resource: ResourceSettings,
    logs: LogSettings,
}

impl ServiceTelemetry {
    /// Reads the section; what is there and has no effect yet is a warning.
    pub(crate) fn read(config: &Config, problems: &mut Problems) -> ServiceTelemetry {
        let section = &config.service().telemetry;
        let path = KeyPath::parse("service::telemetry");
        let mut found = Problems::in_section(path, section, &Location::nowhere());
        let mut telemetry = ServiceTelemetry::default();
        if let Some(resource) = section.get("resource") {
            telemetry.resource = part("resource", resource, &mut found, ResourceSettings::read);
        }
        if let Some(logs) = section.get("logs") {
            telemetry.logs = part("logs", logs, &mut found, LogSettings::read);
        }
        for key in ["metrics", "traces"] {
            if section.get(key).is_some_and(|node| !node.is_null()) {
                without_effect(&mut found, key);
            }
        }
        if section.get("metrics").is_some_and(|metrics| metrics.get("address").is_some()) {
            found.warn_with_help(
                "metrics::address",
                "`address` was replaced by `readers`",
                "write `readers: [{pull: {exporter: {prometheus: {host: …, port: …}}}}]`",
            );
        }
        problems.absorb(found);
        telemetry
    }

    /// Puts the settings into effect.
    ///
    /// # Errors
    /// Where an output of the log cannot be opened; then the log goes on as before.
    pub(crate) fn apply(&self, build: &BuildInfo, logs: &LogHandle) -> Result<(), OutputError> {
        let resource = self.resource.attributes(build);
        logs.apply(self.logs.options(&resource, None))
    }
}

/// Reads one part, whose problems are reported at its keys.
fn part<T>(key: &str, node: &Node, found: &mut Problems, read: fn(&Node, &mut Problems) -> T) -> T {
    let path = KeyPath::parse("service::telemetry").join(key);
    let mut problems = Problems::in_section(path, node, &Location::nowhere());
    let settings = read(node, &mut problems);
    found.absorb(problems);
    settings
}

/// What may be written under `service::telemetry`.
pub(crate) fn shape() -> Shape {
    let without_effect = |name, docs| Key::new(name, Shape::Any, &[docs]);
    let keys = vec![
        Key::new("logs", LogSettings::shape(), &["The collector's own log."]),
        without_effect("metrics", "The collector's own metrics."),
        without_effect("traces", "The collector's own traces."),
        Key::new(
            "resource",
            Shape::Map(Box::new(Shape::Any)),
            &[
                "What the collector says of itself: `key: value`, where null takes a default away, or `attributes: [{name, value}]`.",
            ],
        ),
    ];
    Shape::Section(Section::new("Telemetry", &["The collector's own telemetry."], true, keys))
}

fn without_effect(problems: &mut Problems, key: &str) {
    problems.warn(key, "accepted, and without effect in this version");
}
