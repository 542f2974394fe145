//! From settings to what programs are compiled of, and from what is wrong with them to its key.

use phoenix_config::Problems;
use phoenix_ottl::{Context, Diagnostics, ErrorMode as Mode};

use crate::settings::{ConditionGroup, ErrorMode, Groups, StatementGroup};

impl From<ErrorMode> for Mode {
    fn from(mode: ErrorMode) -> Mode {
        match mode {
            ErrorMode::Ignore => Mode::Ignore,
            ErrorMode::Silent => Mode::Silent,
            ErrorMode::Propagate => Mode::Propagate,
        }
    }
}

/// A statement or condition, and the key that it stands at.
pub type Source<'s> = (String, &'s str);

fn listed<'s>(key: &str, texts: &'s [String]) -> impl Iterator<Item = Source<'s>> {
    texts.iter().enumerate().map(move |(index, text)| (format!("{key}::{index}"), text.as_str()))
}

/// The texts of a list that stands at `key`.
pub fn sources<'s>(key: &str, texts: &'s [String]) -> Vec<Source<'s>> {
    listed(key, texts).collect()
}

/// A context by its name, where one is given; an unknown one is a problem at `key`.
pub fn context(name: Option<&str>, key: &str, problems: &mut Problems) -> Option<Context> {
    match name?.parse() {
        Ok(context) => Some(context),
        Err(unknown) => {
            problems.error(key, format!("{unknown}"));
            None
        }
    }
}

impl Groups<StatementGroup> {
    /// The groups of a list that stands at `key`. Contexts that are none are problems.
    pub fn compiled(&self, key: &str, mode: ErrorMode, problems: &mut Problems) -> Vec<phoenix_ottl::Group> {
        let group =
            |context, mode: ErrorMode, conditions: &[String], statements: &[String]| phoenix_ottl::Group {
                context,
                error_mode: mode.into(),
                conditions: conditions.to_vec(),
                statements: statements.to_vec(),
            };
        match self {
            Groups::Plain(texts) if texts.is_empty() => Vec::new(),
            Groups::Plain(texts) => vec![group(None, mode, &[], texts)],
            Groups::Grouped(groups) => groups
                .iter()
                .enumerate()
                .map(|(index, settings)| {
                    let key = format!("{key}::{index}::context");
                    let context = context(settings.context.as_deref(), &key, problems);
                    let mode = settings.error_mode.unwrap_or(mode);
                    group(context, mode, &settings.conditions, &settings.statements)
                })
                .collect(),
        }
    }

    /// Every statement and condition, with its key; the list stands at `key`.
    pub fn sources(&self, key: &str) -> Vec<Source<'_>> {
        match self {
            Groups::Plain(texts) => sources(key, texts),
            Groups::Grouped(groups) => groups
                .iter()
                .enumerate()
                .flat_map(|(index, group)| {
                    let statements =
                        listed(&format!("{key}::{index}::statements"), &group.statements).collect::<Vec<_>>();
                    statements.into_iter().chain(
                        listed(&format!("{key}::{index}::conditions"), &group.conditions).collect::<Vec<_>>(),
                    )
                })
                .collect(),
        }
    }
}

impl Groups<ConditionGroup> {
    /// The groups of a list that stands at `key`. Contexts that are none are problems.
    pub fn compiled(
        &self,
        key: &str,
        mode: ErrorMode,
        problems: &mut Problems,
    ) -> Vec<phoenix_ottl::ConditionGroup> {
        let group = |context, mode: ErrorMode, conditions: &[String]| phoenix_ottl::ConditionGroup {
            context,
            error_mode: mode.into(),
            conditions: conditions.to_vec(),
        };
        match self {
            Groups::Plain(texts) if texts.is_empty() => Vec::new(),
            Groups::Plain(texts) => vec![group(None, mode, texts)],
            Groups::Grouped(groups) => groups
                .iter()
                .enumerate()
                .map(|(index, settings)| {
                    let key = format!("{key}::{index}::context");
                    let context = context(settings.context.as_deref(), &key, problems);
                    group(context, settings.error_mode.unwrap_or(mode), &settings.conditions)
                })
                .collect(),
        }
    }

    /// Every condition, with its key; the list stands at `key`.
    pub fn sources(&self, key: &str) -> Vec<Source<'_>> {
        match self {
            Groups::Plain(texts) => sources(key, texts),
            Groups::Grouped(groups) => groups
                .iter()
                .enumerate()
                .flat_map(|(index, group)| sources(&format!("{key}::{index}::conditions"), &group.conditions))
                .collect(),
        }
    }
}

/// Reports what is wrong with statements and conditions, each at its key; what belongs to none of them at `key`.
pub fn report(found: &Diagnostics, sources: &[Source<'_>], key: &str, problems: &mut Problems) {
    for diagnostic in &found.0 {
        let place = sources.iter().find(|(_, text)| *text == diagnostic.source);
        let key = place.map_or(key, |(key, _)| key);
        let message = match place {
            Some(_) => format!("column {}: {}", diagnostic.column(), diagnostic.message),
            None => diagnostic.message.clone(),
        };
        match &diagnostic.help {
            Some(help) => problems.error_with_help(key, message, help.clone()),
            None => problems.error(key, message),
        }
    }
}
