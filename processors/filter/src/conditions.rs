//! Filtering by conditions.

use phoenix_config::Problems;
use phoenix_ottl::{ConditionGroup, Diagnostics, FilterProgram, sets};
use phoenix_pdata::Signal;
use phoenix_statements::{Source, report, sources};

use crate::config::FilterConfig;

/// The conditions of a signal as a program takes them, with their keys.
fn groups<'c>(
    config: &'c FilterConfig,
    signal: Signal,
    problems: &mut Problems,
) -> (Vec<ConditionGroup>, Vec<Source<'c>>) {
    let (key, grouped) = config.groups(signal);
    let mut groups = grouped.compiled(key, config.error_mode, problems);
    let mut places = grouped.sources(key);
    for (context, key, conditions) in config.by_context(signal) {
        groups.push(ConditionGroup {
            context: context.parse().ok(),
            error_mode: config.error_mode.into(),
            conditions: conditions.to_vec(),
        });
        places.extend(sources(key, conditions));
    }
    (groups, places)
}

/// Reports what is wrong with the conditions of all signals.
pub(crate) fn validate(config: &FilterConfig, problems: &mut Problems) {
    for signal in Signal::ALL {
        let (groups, places) = groups(config, signal, problems);
        if let Err(found) = FilterProgram::compile(signal, sets::FILTER, &groups) {
            report(&found, &places, config.groups(signal).0, problems);
        }
    }
}

/// The program of a signal, if there are conditions for it.
pub(crate) fn program(config: &FilterConfig, signal: Signal) -> Result<Option<FilterProgram>, Diagnostics> {
    let (groups, _) = groups(config, signal, &mut Problems::new());
    if groups.is_empty() {
        return Ok(None);
    }
    FilterProgram::compile(signal, sets::FILTER, &groups).map(Some)
}
