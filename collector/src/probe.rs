//! `validate --probe`: tries what the components would touch, without starting one.

use std::fmt::Write as _;
use std::time::Duration;

use phoenix_component::Touch;
use phoenix_component::factory::Registry;
use phoenix_config::{Component, Config, Kind, Problems};

/// Trials at a time.
const AT_ONCE: usize = 16;

/// One line of the report, before it is known how it ends.
pub(crate) enum Trial {
    /// Something to try: the section's path, and what.
    Touch(String, Touch),
    /// A component of which nothing can be tried; says why.
    Skipped(String, &'static str),
}

/// The configuration is right, and not all trials went well. Said by the report.
#[derive(Debug, thiserror::Error)]
#[error("not every trial went well")]
pub(crate) struct Failed;

/// What there is to try, of the components that run.
pub(crate) fn trials(config: &Config, registry: &Registry) -> Vec<Trial> {
    let mut trials = Vec::new();
    for component in config.all_components().filter(|component| is_used(config, component)) {
        let path = format!("{}::{}", component.kind().section(), component.id());
        let mut problems: Problems = component.problems();
        let settings = registry.parse(component.kind(), component.id(), component.node(), &mut problems);
        let factory = registry.factory(component.kind(), component.id().type_name());
        match (factory, settings) {
            (Some(factory), Some(settings)) => {
                let touches = factory.touches(settings.as_ref());
                trials.extend(touches.into_iter().map(|touch| Trial::Touch(path.clone(), touch)));
            }
            _ => trials.push(Trial::Skipped(path, "its settings depend on something that is not there")),
        }
    }
    trials
}

/// Nothing is made of a component that nothing names.
fn is_used(config: &Config, component: &Component) -> bool {
    let service = config.service();
    let (kind, id) = (component.kind(), component.id());
    match kind {
        Kind::Extension => service.extensions.contains(id),
        Kind::Receiver => service.pipelines.iter().any(|pipeline| pipeline.receivers.contains(id)),
        Kind::Processor => service.pipelines.iter().any(|pipeline| pipeline.processors.contains(id)),
        Kind::Exporter | Kind::Connector => {
            service.pipelines.iter().any(|pipeline| pipeline.exporters.contains(id))
        }
    }
}

/// Tries all; the report, and whether everything went well.
pub(crate) fn run(trials: Vec<Trial>, patience: Duration) -> anyhow::Result<(String, bool)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let lines = runtime.block_on(async {
        let mut lines = Vec::new();
        let mut trials = trials.into_iter().peekable();
        while trials.peek().is_some() {
            let some: Vec<_> =
                trials.by_ref().take(AT_ONCE).map(|trial| tokio::spawn(one(trial, patience))).collect();
            for trial in some {
                lines.push(trial.await);
            }
        }
        lines
    });
    // A name that is still being looked up must not hold the process.
    runtime.shutdown_background();
    let (mut report, mut is_well) = (String::new(), true);
    for line in lines {
        let (word, text, went_well) = line?;
        is_well &= went_well;
        writeln!(report, "{word:<8}{text}")?;
    }
    Ok((report, is_well))
}

async fn one(trial: Trial, patience: Duration) -> (&'static str, String, bool) {
    match trial {
        Trial::Skipped(path, why) => ("skipped", format!("{path}: {why}"), false),
        Trial::Touch(path, touch) => {
            let what = format!("{path}::{}: {} {}", touch.key, touch.action, touch.target);
            match touch.probe(patience).await {
                Ok(found) => ("ok", format!("{what}: {found}"), true),
                Err(why) => ("failed", format!("{what}: {why}"), false),
            }
        }
    }
}
