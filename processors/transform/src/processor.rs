use phoenix_component::factory::CreateContext;
use phoenix_component::{Batch, Dropped, Refusal, StartError, Transform};
use phoenix_ottl::StatementProgram;
use phoenix_pdata::{Signal, count_items};
use phoenix_statements::Runner;

use crate::config::TransformConfig;
use crate::program::program;

/// The processor of one pipeline.
#[derive(Debug)]
pub(crate) struct TransformProcessor {
    /// None where nothing is said about this signal.
    program: Option<StatementProgram>,
    runner: Runner,
}

impl TransformProcessor {
    pub(crate) fn new(
        config: &TransformConfig,
        signal: Signal,
        cx: &CreateContext<'_>,
    ) -> Result<TransformProcessor, StartError> {
        let program = program(config, signal).map_err(StartError::because)?;
        let runner = Runner::new(&cx.host.metrics, "processor", &cx.id.to_string());
        Ok(TransformProcessor { program, runner })
    }
}

impl Transform for TransformProcessor {
    fn apply(&self, mut batch: Batch, dropped: &mut Dropped) -> Result<Option<Batch>, Refusal> {
        let Some(program) = &self.program else { return Ok(Some(batch)) };
        batch.payload = self.runner.run(batch.client.as_deref(), |env| program.apply(&batch.payload, env))?;
        // Statements about metrics may make new ones, and join data points.
        if batch.signal == Signal::Metrics {
            let items = count_items(batch.signal, &batch.payload);
            dropped.transformed(batch.items, items);
            batch.items = items;
        }
        Ok(Some(batch))
    }

    fn looks_inside(&self) -> bool {
        self.program.is_some()
    }
}
