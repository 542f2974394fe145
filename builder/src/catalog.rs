use phoenix_config::{Kind, Problems, nearest};

use crate::manifest::{Component, Manifest, ProviderEntry, read_text};

/// What Phoenix has.
#[derive(Clone, Debug)]
pub struct Catalog {
    manifest: Manifest,
}

/// What a Go module is to Phoenix.
pub(crate) enum Found<'a> {
    /// A component of the kind that was asked for.
    Component(&'a Component),
    /// A component of another kind.
    OtherKind(Kind),
    /// Nothing: the nearest there is, if any.
    Nothing(Option<&'a str>),
}

impl Catalog {
    /// The catalog that this builder was made with.
    ///
    /// # Panics
    /// If `phoenix.yaml` is no manifest, which a test rules out.
    pub fn built_in() -> Catalog {
        let mut problems = Problems::new();
        let manifest = read_text(include_str!("../phoenix.yaml"), &mut problems);
        Catalog { manifest: manifest.unwrap_or_else(|| panic!("builder/phoenix.yaml: {problems}")) }
    }

    /// The catalog of another checkout.
    pub fn of(manifest: Manifest) -> Catalog {
        Catalog { manifest }
    }

    /// The default distribution.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The crates of a kind.
    pub(crate) fn crates(&self, kind: Kind) -> impl Iterator<Item = &str> {
        self.manifest.components(kind).iter().map(|component| component.crate_name.as_str())
    }

    /// The component of that crate.
    pub(crate) fn by_crate(&self, kind: Kind, name: &str) -> Found<'_> {
        let known = |component: &&Component| component.crate_name == name;
        let names = |kind| self.crates(kind);
        self.find(kind, known, || nearest(name, names(kind)))
    }

    /// The component that takes the place of that Go module.
    pub(crate) fn by_module(&self, kind: Kind, module: &str) -> Found<'_> {
        let known = |component: &&Component| component.gomod.iter().any(|known| known == module);
        let last = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
        let near = || {
            let modules = self.manifest.components(kind).iter().flat_map(|component| &component.gomod);
            let named: Vec<(String, &String)> = modules.map(|module| (last(module), module)).collect();
            let wanted = last(module);
            let same = named.iter().find(|(name, _)| *name == wanted);
            let close = || {
                let close = nearest(&wanted, named.iter().map(|(name, _)| name.as_str()))?.to_owned();
                named.iter().find(|(name, _)| *name == close)
            };
            same.or_else(close).map(|(_, module)| module.as_str())
        };
        self.find(kind, known, near)
    }

    fn find<'a>(
        &'a self,
        kind: Kind,
        known: impl Fn(&&Component) -> bool,
        near: impl FnOnce() -> Option<&'a str>,
    ) -> Found<'a> {
        if let Some(component) = self.manifest.components(kind).iter().find(&known) {
            return Found::Component(component);
        }
        let mut others = Kind::ALL.into_iter().filter(|other| *other != kind);
        match others.find(|other| self.manifest.components(*other).iter().any(|entry| known(&entry))) {
            Some(other) => Found::OtherKind(other),
            None => Found::Nothing(near()),
        }
    }

    /// The sources of configuration.
    pub(crate) fn providers(&self) -> &[ProviderEntry] {
        self.manifest.providers.as_deref().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::Catalog;
    use crate::choose::choose;
    use phoenix_config::{Kind, Problems};

    #[test]
    fn the_catalog_is_a_manifest_of_the_default_distribution() {
        let catalog = Catalog::built_in();
        let mut problems = Problems::new();
        let selection = choose(catalog.manifest(), &catalog, &mut problems).expect("a selection");
        assert!(problems.is_empty(), "{problems}");
        assert!(selection.components.iter().any(|chosen| chosen.crate_name == "phoenix-receiver-otlp"));
        for kind in Kind::ALL {
            for name in catalog.crates(kind) {
                assert!(name.starts_with(&format!("phoenix-{kind}-")), "{name}");
            }
        }
    }
}
