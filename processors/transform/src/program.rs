use phoenix_config::Problems;
use phoenix_ottl::{Diagnostics, StatementProgram, sets};
use phoenix_pdata::Signal;
use phoenix_statements::report;

use crate::config::TransformConfig;

/// Reports what is wrong with the statements of a signal.
pub(crate) fn validate(config: &TransformConfig, signal: Signal, problems: &mut Problems) {
    let (key, settings) = config.groups(signal);
    let groups = settings.compiled(key, config.error_mode, problems);
    if let Err(found) = StatementProgram::compile(signal, sets::TRANSFORM, &groups) {
        report(&found, &settings.sources(key), key, problems);
    }
}

/// The program of a signal, if there are statements for it.
pub(crate) fn program(
    config: &TransformConfig,
    signal: Signal,
) -> Result<Option<StatementProgram>, Diagnostics> {
    let (key, settings) = config.groups(signal);
    if settings.is_empty() {
        return Ok(None);
    }
    let groups = settings.compiled(key, config.error_mode, &mut Problems::new());
    StatementProgram::compile(signal, sets::TRANSFORM, &groups).map(Some)
}
