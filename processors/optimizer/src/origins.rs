//! Where rules come from: presets, catalogs and settings; and what contradicts itself among them, told at both places.

use phoenix_config::{Location, Node, Problems};

use crate::config::{Catalog, ControlSettings, MAX_RULES, OptimizerConfig, Preset, RuleConfig};
use crate::{conflicts, presets};

/// Where a rule was written.
#[derive(Clone, Copy, Debug)]
enum Origin {
    Preset(Preset),
    /// The number of the file, and of the rule in it.
    Catalog(usize, usize),
    /// The number of the rule in the settings.
    Own(usize),
}

/// The rules of a processor, of those with one name the last, and where each was written.
#[derive(Debug, Default)]
pub(crate) struct Origins {
    rules: Vec<RuleConfig>,
    origins: Vec<Origin>,
}

impl Origins {
    /// The rules of presets, then those of files, then the processor's own.
    pub(crate) fn of(presets: &[Preset], catalogs: &[&Catalog], own: &[RuleConfig]) -> Origins {
        let mut all = Origins::default();
        for preset in presets {
            presets::rules(*preset).into_iter().for_each(|rule| all.put(rule, Origin::Preset(*preset)));
        }
        for (file, catalog) in catalogs.iter().enumerate() {
            for (index, rule) in catalog.rules.iter().enumerate() {
                all.put(rule.clone(), Origin::Catalog(file, index));
            }
        }
        own.iter().enumerate().for_each(|(index, rule)| all.put(rule.clone(), Origin::Own(index)));
        all
    }

    fn put(&mut self, rule: RuleConfig, origin: Origin) {
        match self.rules.iter().position(|other| other.name == rule.name) {
            Some(place) => (self.rules[place], self.origins[place]) = (rule, origin),
            None => {
                self.rules.push(rule);
                self.origins.push(origin);
            }
        }
    }

    pub(crate) fn into_rules(self) -> Vec<RuleConfig> {
        self.rules
    }

    fn origin(&self, name: &str) -> Option<Origin> {
        let place = self.rules.iter().position(|rule| rule.name == name)?;
        self.origins.get(place).copied()
    }

    /// Reports what contradicts itself; of rules in files nothing is known but what the settings say.
    pub(crate) fn report(&self, control: Option<&ControlSettings>, problems: &mut Problems) {
        self.report_with(control, &[], problems);
    }

    /// The same where the files were read.
    fn report_with(&self, control: Option<&ControlSettings>, files: &[Node], problems: &mut Problems) {
        for conflict in conflicts::find(&self.rules, control) {
            let Some(origin) = self.origin(&conflict.rule) else { continue };
            let other = conflict.against.and_then(|name| Some((self.origin(&name)?, name)));
            let help = other.and_then(|(origin, name)| place(&name, origin, files, problems));
            let tell = |problems: &mut Problems, key: &str| match &help {
                Some(help) => problems.error_with_help(key, conflict.message.as_str(), help.as_str()),
                None => problems.error(key, conflict.message.as_str()),
            };
            match origin {
                Origin::Preset(_) => tell(problems, "presets"),
                Origin::Own(index) => tell(problems, &format!("rules::{index}")),
                Origin::Catalog(file, index) => {
                    if let Some(node) = files.get(file) {
                        let key = format!("catalogs::{file}");
                        problems
                            .within_text(&key, node, |problems| tell(problems, &format!("rules::{index}")));
                    }
                }
            }
        }
    }
}

/// Where a rule stands, in words.
fn place(name: &str, origin: Origin, files: &[Node], problems: &Problems) -> Option<String> {
    let at = |location: Location| location.is_known().then(|| format!("rule {name:?} is at {location}"));
    match origin {
        Origin::Preset(preset) => Some(format!("rule {name:?} comes with the preset `{}`", preset.name())),
        Origin::Own(index) => at(problems.place_of(&format!("rules::{index}"))),
        Origin::Catalog(file, index) => {
            let node = files.get(file)?;
            at(Problems::in_section(Default::default(), node, node.location())
                .place_of(&format!("rules::{index}")))
        }
    }
}

/// Reads the catalogs of a section, and reports what is wrong with them, alone and together. Settings that cannot be read have
/// been told, and files that are not here may be where the processor runs.
pub(crate) fn examine(section: &Node, problems: &mut Problems) {
    if section.get("catalogs").is_none() {
        return;
    }
    let mut told = Problems::in_section(Default::default(), section, section.location());
    let Some(config) = phoenix_config::decode_checked::<OptimizerConfig>(section, &mut told) else { return };
    let (mut catalogs, mut files) = (Vec::new(), Vec::new());
    let mut is_whole = true;
    for (index, path) in config.catalogs.iter().enumerate() {
        let key = format!("catalogs::{index}");
        let Some((node, catalog)) = read(&config, path, &key, problems) else {
            is_whole = false;
            continue;
        };
        files.push(node);
        catalogs.push(catalog);
    }
    // What is not known may take the place of what is.
    if !is_whole {
        return;
    }
    let all = Origins::of(&config.presets, &catalogs.iter().collect::<Vec<_>>(), &config.rules);
    let many = all.rules.len() > MAX_RULES;
    problems.require(!many, "catalogs", format!("more than {MAX_RULES} rules"));
    if !many {
        all.report_with(config.control.as_ref(), &files, problems);
    }
}

/// A catalog, and the text of it.
fn read(config: &OptimizerConfig, path: &str, key: &str, problems: &mut Problems) -> Option<(Node, Catalog)> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            problems.warn(key, format!("cannot read {path}, so that its rules are not checked: {error}"));
            return None;
        }
    };
    let node = match phoenix_config::parse_yaml(path, &text) {
        Ok(node) => node,
        Err(found) => {
            problems.absorb(*found);
            return None;
        }
    };
    let mut catalog = None;
    problems.within_text(key, &node, |problems| {
        catalog = phoenix_config::decode_checked::<Catalog>(&node, problems);
        for (index, rule) in catalog.iter().flat_map(|catalog| catalog.rules.iter().enumerate()) {
            config.validate_in_processor(rule, &format!("rules::{index}"), problems);
        }
    });
    Some((node, catalog?))
}
