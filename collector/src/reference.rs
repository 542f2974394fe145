//! The schema and the reference documentation of this distribution, both from the types that decode the settings.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, bail};
use phoenix_component::factory::{Factory, Registry};
use phoenix_component::ignored_types;
use phoenix_config::{ComponentShape, Document, IgnoredType, Kind, Page, Shape, reference_page};

use crate::cli::SchemaFormat;
use crate::service_telemetry;

const TELEMETRY: &str = "service/telemetry";

/// What `schema` prints; with a folder, what it writes there instead.
pub(crate) fn schema(
    registry: &Registry,
    component: Option<&str>,
    format: SchemaFormat,
    folder: Option<&Path>,
) -> anyhow::Result<String> {
    if let Some(folder) = folder {
        let files = match format {
            SchemaFormat::Json => {
                BTreeMap::from([("schema.json".to_owned(), pretty(&document(registry).to_json())?)])
            }
            SchemaFormat::Markdown => pages(registry),
        };
        for (name, text) in &files {
            let path = folder.join(name);
            let parent = path.parent().unwrap_or(folder);
            std::fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
            std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
        return Ok(String::new());
    }
    match (component, format) {
        (None, SchemaFormat::Json) => pretty(&document(registry).to_json()),
        (None, SchemaFormat::Markdown) => Ok(index(registry)),
        (Some(TELEMETRY), SchemaFormat::Markdown) => Ok(telemetry_page()),
        (Some(name), format) => {
            let (kind, factory) = find(registry, name)?;
            match format {
                SchemaFormat::Json => pretty(&Document::component_to_json(&shape_of(kind, factory))),
                SchemaFormat::Markdown => Ok(page(kind, factory)),
            }
        }
    }
}

fn pretty(schema: &serde_json::Value) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(schema)? + "\n")
}

fn find<'a>(registry: &'a Registry, name: &str) -> anyhow::Result<(Kind, &'a dyn Factory)> {
    let Some((section, type_name)) = name.split_once('/') else {
        bail!("--component takes `receivers/otlp` or the like, found {name:?}");
    };
    let named = |kind: &Kind| kind.section() == section || kind.name() == section;
    let Some(kind) = Kind::ALL.into_iter().find(named) else {
        let known = Kind::ALL.map(Kind::section).join(", ");
        bail!("no kind of component is called {section:?}; there are {known}");
    };
    let Some(factory) = registry.factory(kind, type_name) else {
        let types: Vec<&str> = registry.descriptors(kind).iter().map(|descriptor| descriptor.name).collect();
        let help = match phoenix_config::nearest(type_name, types.iter().copied()) {
            Some(meant) => format!("did you mean `{section}/{meant}`?"),
            None => format!("there are {}", types.join(", ")),
        };
        bail!("no {kind} is called {type_name:?}; {help}");
    };
    Ok((kind, factory))
}

fn shape_of(kind: Kind, factory: &dyn Factory) -> ComponentShape {
    let descriptor = factory.descriptor();
    ComponentShape {
        kind,
        name: descriptor.name,
        aliases: descriptor.aliases.to_vec(),
        shape: factory.shape(),
    }
}

/// Everything that this distribution takes.
pub fn document(registry: &Registry) -> Document {
    let of_kind = |kind| registry.factories(kind).into_iter().map(move |factory| shape_of(kind, factory));
    let components = Kind::ALL.into_iter().flat_map(of_kind).collect();
    let ignored_of = |kind| ignored_types(kind).map(move |(name, why)| IgnoredType { kind, name, why });
    let ignored = Kind::ALL.into_iter().flat_map(ignored_of).collect();
    Document { components, ignored, telemetry: service_telemetry::shape() }
}

/// The pages of the reference, by path.
pub fn pages(registry: &Registry) -> BTreeMap<String, String> {
    let mut pages = BTreeMap::from([
        ("README.md".to_owned(), index(registry)),
        (format!("{TELEMETRY}.md"), telemetry_page()),
    ]);
    for kind in Kind::ALL {
        for factory in registry.factories(kind) {
            let path = format!("{}/{}.md", kind.section(), factory.descriptor().name);
            pages.insert(path, page(kind, factory));
        }
    }
    pages
}

fn telemetry_page() -> String {
    let page = Page {
        title: "`service::telemetry`".into(),
        breadcrumb: "[Reference](../README.md) › service".into(),
        facts: Vec::new(),
    };
    reference_page(&page, &service_telemetry::shape())
}

fn page(kind: Kind, factory: &dyn Factory) -> String {
    let descriptor = factory.descriptor();
    let mut facts = vec![("Type".to_owned(), format!("`{}`", descriptor.name))];
    if !descriptor.aliases.is_empty() {
        let names: Vec<String> = descriptor.aliases.iter().map(|name| format!("`{name}`")).collect();
        facts.push(("Deprecated names".into(), names.join(", ")));
    }
    if !descriptor.signals.is_empty() {
        facts.push(("Signals".into(), signals(kind, factory)));
    }
    let folder = format!("{}/{}", kind.section(), descriptor.name);
    facts.push(("Behaviour, examples, metrics".into(), format!("[README](../../../{folder}/README.md)")));
    let page = Page {
        title: format!("`{}` {kind}", descriptor.name),
        breadcrumb: format!("[Reference](../README.md) › {}", kind.section()),
        facts,
    };
    reference_page(&page, &factory.shape())
}

fn signals(kind: Kind, factory: &dyn Factory) -> String {
    let one = |support: &phoenix_component::factory::Support| match kind {
        Kind::Connector => format!("{} to {} ({})", support.from, support.to, support.stability.name()),
        _ => format!("{} ({})", support.from, support.stability.name()),
    };
    factory.descriptor().signals.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn index(registry: &Registry) -> String {
    let mut out = String::from(INTRODUCTION);
    for kind in Kind::ALL {
        let mut factories = registry.factories(kind);
        factories.sort_by_key(|factory| factory.descriptor().name);
        if factories.is_empty() {
            continue;
        }
        let section = kind.section();
        out += &format!("\n## {}{}\n\n", section[..1].to_uppercase(), &section[1..]);
        out += "| Type | Deprecated names | Keys | Signals |\n|---|---|---|---|\n";
        for factory in factories {
            let descriptor = factory.descriptor();
            let aliases: Vec<String> = descriptor.aliases.iter().map(|name| format!("`{name}`")).collect();
            let keys = match factory.shape() {
                Shape::Section(section) => section.keys.len().to_string(),
                _ => String::new(),
            };
            let name = descriptor.name;
            let signals: Vec<String> = match kind {
                Kind::Connector => vec![signals(kind, factory)],
                _ => descriptor.signals.iter().map(|support| support.from.to_string()).collect(),
            };
            let row =
                [format!("[`{name}`]({section}/{name}.md)"), aliases.join(", "), keys, signals.join(", ")];
            out += &format!("| {} |\n", row.join(" | "));
        }
    }
    out += "\n## Service\n\n[`service::telemetry`](service/telemetry.md): the collector's own logs, metrics and traces.\n";
    out
}

const INTRODUCTION: &str = r#"<!-- Generated from the types that decode the settings: do not edit. -->

# Configuration reference

Every key of every component, from the types that decode it. The same is there as a JSON Schema, for editors and
checks: `phoenix-collector schema > schema.json`, or `phoenix-collector schema --component receivers/otlp`.

| Type | Is written as |
|---|---|
| duration | a number and a unit, or several: `200ms`, `1.5s`, `1h30m`; units are `ns` `us` `ms` `s` `m` `h` |
| secret | a text that is never shown: not in `print-config`, not in a message, not in a log |
| block | a section that is on or off as a whole; `enabled: false` turns it off |
| list | `[a, b]` or one item a line; a plain text with commas stands for a list of texts |
| component id | `type`, or `type/name` for several of one type |

A key that is absent has its default. `null` keeps the default of a list, a map or a section. A `${…}` may stand for
any value. Keys that are not here are refused, with what was probably meant.
"#;
