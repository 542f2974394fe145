use std::collections::BTreeSet;
use std::path::PathBuf;

use phoenix_config::{Kind, Problems, nearest};

use crate::catalog::{Catalog, Found};
use crate::manifest::{Component, Manifest};

/// What a distribution is made of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selection {
    /// Its components, in the order of the manifest.
    pub components: Vec<Chosen>,
    /// The schemes of its sources of configuration.
    pub schemes: Vec<String>,
}

/// A component.
#[derive(Clone, Debug, PartialEq)]
pub struct Chosen {
    /// What it is.
    pub kind: Kind,
    /// Its crate.
    pub crate_name: String,
    /// The path of its factory.
    pub factory: String,
    /// Where the crate comes from.
    pub from: From,
    /// What the manifest called it.
    pub asked: String,
}

/// Where a crate comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum From {
    /// Phoenix, in the folder of that name.
    Phoenix(String),
    /// A folder.
    Path(PathBuf),
    /// A repository: its URL, and the key and the value that choose a revision.
    Git(String, Option<(&'static str, String)>),
    /// The registry, by version.
    Version(String),
}

/// Go's names for what Phoenix has once and for all.
const TELEMETRY: &str = "go.opentelemetry.io/collector/service/telemetry/otelconftelemetry";

/// Finds every component of the manifest. What is not there, or makes no sense, goes to `problems` by name; so
/// does, as a warning, what has no meaning here.
pub fn choose(manifest: &Manifest, catalog: &Catalog, problems: &mut Problems) -> Option<Selection> {
    let errors = problems.errors().count();
    check_dist(manifest, problems);
    let mut selection = Selection::default();
    let mut seen = BTreeSet::new();
    for kind in Kind::ALL {
        for (index, component) in manifest.components(kind).iter().enumerate() {
            problems.within(&format!("{}::{index}", kind.section()), |problems| {
                let Some(chosen) = find(kind, component, catalog, problems) else { return };
                if !seen.insert(chosen.factory.clone()) {
                    problems.error("", format!("{} is listed twice", chosen.crate_name));
                }
                selection.components.push(chosen);
            });
        }
    }
    if selection.components.is_empty() && problems.errors().count() == errors {
        problems.error("", "the manifest names no components");
    }
    selection.schemes = schemes(manifest, catalog, problems);
    replace(manifest, &mut selection, problems);
    (problems.errors().count() == errors).then_some(selection)
}

fn check_dist(manifest: &Manifest, problems: &mut Problems) {
    let dist = &manifest.dist;
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let name = &dist.name;
    problems.require(
        !name.is_empty() && name.chars().all(is_name) && !name.starts_with(['.', '-']),
        "dist::name",
        "must be the name of a file: letters, digits, `-`, `_` and `.`",
    );
    for (key, text) in [("dist::description", &dist.description), ("dist::version", &dist.version)] {
        let printable = !text.is_empty() && text.chars().all(|c| (' '..='~').contains(&c));
        problems.require(printable, key, "must be one line of printable ASCII: it is part of the user agent");
    }
    let gos = [
        ("dist::go", !dist.go.is_empty()),
        ("dist::otelcol_version", !dist.otelcol_version.is_empty()),
        ("dist::build_tags", !dist.build_tags.is_empty()),
        ("dist::cgo_enabled", dist.cgo_enabled),
        ("excludes", !manifest.excludes.is_empty()),
    ];
    for (key, given) in gos {
        if given {
            problems.warn(key, "is Go's, and has no effect here");
        }
    }
    if let Some(source) = &dist.phoenix {
        let choices =
            [&source.tag, &source.branch, &source.rev].iter().filter(|text| !text.is_empty()).count();
        problems.within("dist::phoenix", |problems| {
            let one = source.path.is_empty() != source.git.is_empty();
            problems.require(one, "", "needs either `path` or `git`");
            let fits = choices <= usize::from(!source.git.is_empty());
            problems.require(fits, "", "one of `tag`, `branch` and `rev` goes with `git`");
        });
    }
    let scheme = manifest.conf_resolver.default_uri_scheme.as_str();
    problems.require(
        matches!(scheme, "" | "env"),
        "conf_resolver::default_uri_scheme",
        "the only default scheme is `env`",
    );
    for (index, converter) in manifest.converters.iter().enumerate() {
        let name = module_of(&converter.gomod);
        problems.error(
            &format!("converters::{index}"),
            format!("Phoenix has no converter {name:?}: it has none"),
        );
    }
    if let Some(telemetry) = &manifest.telemetry
        && module_of(&telemetry.gomod) != TELEMETRY
    {
        let message =
            format!("Phoenix has no telemetry {:?}: its own takes the place of {TELEMETRY}", telemetry.gomod);
        problems.error("telemetry", message);
    }
}

/// The path of `path v1.2.3`.
fn module_of(gomod: &str) -> &str {
    gomod.split_whitespace().next().unwrap_or_default()
}

fn find(kind: Kind, component: &Component, catalog: &Catalog, problems: &mut Problems) -> Option<Chosen> {
    for (key, text) in [("import", &component.import), ("name", &component.name)] {
        if !text.is_empty() {
            problems.warn(key, "is Go's, and has no effect here");
        }
    }
    if component.crate_name.is_empty() {
        return find_module(kind, component, catalog, problems);
    }
    let name = &component.crate_name;
    let is_crate = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    if !is_crate || !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        problems.error("crate", format!("{name:?} is no name of a crate"));
        return None;
    }
    let known = match catalog.by_crate(kind, name) {
        Found::Component(known) => Some(known),
        _ if component.has_source() => None,
        found => {
            let known = catalog.crates(kind);
            missing(kind, "crate", &format!("crate {name:?}"), found, known, problems);
            return None;
        }
    };
    let factory = match (component.factory.as_str(), known) {
        ("", Some(known)) => known.factory.as_str(),
        ("", None) => "Factory",
        (factory, _) => factory,
    };
    let is_path = factory.split("::").all(|part| {
        part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    });
    if !is_path {
        problems.error("factory", format!("{factory:?} is no path of a type in the crate"));
        return None;
    }
    let from = source(component, problems)?;
    Some(chosen(kind, name, factory, from, name))
}

fn find_module(
    kind: Kind,
    component: &Component,
    catalog: &Catalog,
    problems: &mut Problems,
) -> Option<Chosen> {
    let [gomod] = component.gomod.as_slice() else {
        problems.error("gomod", "a component needs a `gomod` or a `crate`");
        return None;
    };
    if component.has_source() {
        let help = "name your crate with `crate:`, and its place with `path:`, `git:` or `version:`";
        problems.error_with_help("", "a Go module of your own cannot be built into this distribution", help);
        return None;
    }
    let mut words = gomod.split_whitespace();
    let module = words.next().unwrap_or_default();
    if words.next().is_some_and(|version| !version.starts_with('v')) || words.next().is_some() {
        problems.error(
            "gomod",
            format!("{gomod:?} is not a Go module and its version, as in `example.com/module v1.2.3`"),
        );
        return None;
    }
    match catalog.by_module(kind, module) {
        Found::Component(known) => {
            let from = From::Phoenix(folder_of(kind, &known.crate_name));
            Some(chosen(kind, &known.crate_name, &known.factory, from, module))
        }
        found => {
            let modules = catalog.manifest().components(kind).iter();
            let known = modules.flat_map(|component| component.gomod.iter().map(String::as_str));
            missing(kind, "gomod", &format!("Go module {module:?}"), found, known, problems);
            None
        }
    }
}

/// Says by name what Phoenix does not have, and what is near or, else, what there is.
fn missing<'a>(
    kind: Kind,
    key: &str,
    what: &str,
    found: Found<'_>,
    known: impl Iterator<Item = &'a str>,
    problems: &mut Problems,
) {
    let section = kind.section();
    match found {
        Found::Component(_) => {}
        Found::OtherKind(other) => {
            let message = format!("the {what} is no {kind}");
            problems.error_with_help(key, message, format!("it belongs under `{}`", other.section()));
        }
        Found::Nothing(near) => {
            let known: Vec<&str> = known.collect();
            let help = match near {
                Some(near) => format!("the nearest there is: {near}"),
                None if known.is_empty() => format!("Phoenix has no {section} yet"),
                None => format!("its {section} are {}", known.join(", ")),
            };
            let more = "; for one of your own give `crate:` with `path:`, `git:` or `version:`";
            problems.error_with_help(key, format!("Phoenix has no {kind} for the {what}"), help + more);
        }
    }
}

fn chosen(kind: Kind, crate_name: &str, factory: &str, from: From, asked: &str) -> Chosen {
    let from = match from {
        From::Phoenix(folder) if folder.is_empty() => From::Phoenix(folder_of(kind, crate_name)),
        from => from,
    };
    Chosen {
        kind,
        factory: format!("{}::{factory}", crate_name.replace('-', "_")),
        crate_name: crate_name.to_owned(),
        from,
        asked: asked.to_owned(),
    }
}

/// Where a crate of Phoenix is in its checkout: the listing is the inventory.
pub(crate) fn folder_of(kind: Kind, crate_name: &str) -> String {
    let name = crate_name.strip_prefix(&format!("phoenix-{kind}-")).unwrap_or(crate_name);
    format!("{}/{}", kind.section(), name.replace('-', "_"))
}

/// Where the manifest says that the crate is; Phoenix where it says nothing.
fn source(component: &Component, problems: &mut Problems) -> Option<From> {
    let given = [&component.path, &component.git, &component.version];
    if given.iter().filter(|text| !text.is_empty()).count() > 1 {
        problems.error("", "`path`, `git` and `version` exclude each other");
        return None;
    }
    let revisions = [("tag", &component.tag), ("branch", &component.branch), ("rev", &component.rev)];
    let mut revisions = revisions.into_iter().filter(|(_, text)| !text.is_empty());
    let revision = revisions.next().map(|(key, text)| (key, text.clone()));
    if revisions.next().is_some() || (revision.is_some() && component.git.is_empty()) {
        problems.error("", "one of `tag`, `branch` and `rev` goes with `git`");
        return None;
    }
    Some(if !component.path.is_empty() {
        From::Path(PathBuf::from(&component.path))
    } else if !component.git.is_empty() {
        From::Git(component.git.clone(), revision)
    } else if !component.version.is_empty() {
        From::Version(component.version.clone())
    } else {
        From::Phoenix(String::new())
    })
}

fn schemes(manifest: &Manifest, catalog: &Catalog, problems: &mut Problems) -> Vec<String> {
    let known = catalog.providers();
    let all = || known.iter().map(|provider| provider.scheme.clone()).collect();
    let Some(providers) = &manifest.providers else { return all() };
    if providers.is_empty() {
        problems.error("providers", "a distribution without providers cannot read any configuration");
    }
    let mut schemes = Vec::new();
    for (index, provider) in providers.iter().enumerate() {
        let module = module_of(&provider.gomod);
        let found = known.iter().find(|known| match provider.scheme.as_str() {
            "" => known.gomod == module,
            scheme => known.scheme == scheme,
        });
        let Some(found) = found else {
            let asked = if provider.scheme.is_empty() { module } else { &provider.scheme };
            let names: Vec<&str> = known.iter().map(|known| known.gomod.as_str()).collect();
            let near = nearest(asked, names.iter().copied());
            let help = near.map_or_else(
                || format!("there are {}", names.join(", ")),
                |near| format!("the nearest there is: {near}"),
            );
            problems.error_with_help(
                &format!("providers::{index}"),
                format!("Phoenix has no provider {asked:?}"),
                help,
            );
            continue;
        };
        if !schemes.contains(&found.scheme) {
            schemes.push(found.scheme.clone());
        }
    }
    schemes
}

/// Puts other places for crates into effect. One for a Go module that no component stands for has no effect.
fn replace(manifest: &Manifest, selection: &mut Selection, problems: &mut Problems) {
    for (index, text) in manifest.replaces.iter().enumerate() {
        let key = format!("replaces::{index}");
        let Some((what, place)) = text.split_once("=>").map(|(what, place)| (what.trim(), place.trim()))
        else {
            problems.error(&key, format!("{text:?} is no replacement: it is written `crate => path`"));
            continue;
        };
        let what = module_of(what);
        let is_go = what.split('/').next().is_some_and(|host| host.contains('.'));
        let Some(chosen) = selection.components.iter_mut().find(|chosen| chosen.crate_name == what) else {
            match is_go {
                true => problems
                    .warn(&key, format!("the Go module {what} has no meaning here: nothing is replaced")),
                false => problems.error_with_help(
                    &key,
                    format!("no component of this manifest is the crate {what:?}"),
                    "the core is replaced by pointing `dist::phoenix` at another checkout",
                ),
            }
            continue;
        };
        chosen.from = if place.contains("://") {
            match place.split_once('#') {
                Some((url, revision)) => From::Git(url.to_owned(), Some(("rev", revision.to_owned()))),
                None => From::Git(place.to_owned(), None),
            }
        } else if place.starts_with(['.', '/']) {
            From::Path(PathBuf::from(place))
        } else {
            let help = "a path begins with `.` or `/`, a repository with `https://` or another scheme";
            problems.error_with_help(&key, format!("{place:?} is neither a path nor a repository"), help);
            continue;
        };
    }
}

#[cfg(test)]
mod tests;
