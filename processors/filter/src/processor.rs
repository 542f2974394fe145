use phoenix_component::factory::CreateContext;
use phoenix_component::{Batch, Dropped, Refusal, StartError, Transform};
use phoenix_ottl::FilterProgram;
use phoenix_pdata::{Signal, count_items, rewrite};
use phoenix_statements::Runner;
use phoenix_telemetry::Counter;

use crate::config::FilterConfig;
use crate::matching::Matching;
use crate::{conditions, metrics};

/// What is dropped is counted under this reason.
const FILTERED: &str = "filtered";

/// The filter of one pipeline.
#[derive(Debug)]
pub(crate) struct FilterProcessor {
    how: How,
    filtered: Counter,
}

#[derive(Debug)]
enum How {
    Conditions(Box<FilterProgram>, Runner),
    Matching(Box<Matching>),
    /// Nothing is said about this signal.
    KeepsAll,
}

impl FilterProcessor {
    pub(crate) fn new(
        config: &FilterConfig,
        signal: Signal,
        cx: &CreateContext<'_>,
    ) -> Result<FilterProcessor, StartError> {
        let id = cx.id.to_string();
        let how = match conditions::program(config, signal).map_err(StartError::because)? {
            Some(program) => {
                How::Conditions(Box::new(program), Runner::new(&cx.host.metrics, "processor", &id))
            }
            None => match Matching::new(config, signal).map_err(StartError::because)? {
                Some(matching) => How::Matching(Box::new(matching)),
                None => How::KeepsAll,
            },
        };
        Ok(FilterProcessor { how, filtered: metrics::filtered(&cx.host.metrics, &id, signal) })
    }
}

impl Transform for FilterProcessor {
    fn apply(&self, mut batch: Batch, dropped: &mut Dropped) -> Result<Option<Batch>, Refusal> {
        let items = batch.items;
        match &self.how {
            How::KeepsAll => return Ok(Some(batch)),
            How::Conditions(program, runner) => {
                let filtered =
                    runner.run(batch.client.as_deref(), |env| program.apply(&batch.payload, env))?;
                batch.payload = filtered.payload;
                batch.items = items.saturating_sub(filtered.dropped_items as u64);
            }
            How::Matching(matching) => {
                batch.payload = rewrite(batch.payload, |piece| matching.keep(piece));
                batch.items = count_items(batch.signal, &batch.payload);
            }
        }
        if batch.items < items {
            self.filtered.add(items - batch.items);
            dropped.add(FILTERED, items - batch.items);
        }
        Ok((!batch.payload.is_empty()).then_some(batch))
    }

    fn looks_inside(&self) -> bool {
        !matches!(self.how, How::KeepsAll)
    }
}
