use std::cell::Cell;

use phoenix_attributes::{Actions, List, Selection, Verdict};
use phoenix_component::{Batch, ClientInfo, Dropped, Refusal, StartError, Transform};
use phoenix_pdata::view::{LogRecord, Metric, Span, View as _};
use phoenix_pdata::walk::{self, Around};
use phoenix_pdata::{Rewriter, Signal, rewrite};

use crate::AttributesConfig;

/// The processor of one pipeline.
#[derive(Debug)]
pub(crate) struct AttributesProcessor {
    signal: Signal,
    actions: Actions,
    selection: Selection,
}

impl AttributesProcessor {
    pub(crate) fn new(config: &AttributesConfig, signal: Signal) -> Result<AttributesProcessor, StartError> {
        for (key, settings) in [("include", &config.include), ("exclude", &config.exclude)] {
            let fits = settings.as_ref().map_or(Ok(()), |settings| settings.fits(signal));
            fits.map_err(|what| StartError::new(format!("{key}: {what}")))?;
        }
        let selection = Selection::new(config.include.as_ref(), config.exclude.as_ref());
        let mut selection = selection.map_err(StartError::because)?;
        if signal == Signal::Metrics {
            selection = selection.of_metrics();
        }
        let actions = Actions::new(&config.actions).map_err(StartError::because)?;
        Ok(AttributesProcessor { signal, actions, selection })
    }

    /// Whether a record is meant.
    fn means(&self, verdict: Verdict, record: &[u8]) -> bool {
        if self.selection.is_everything() {
            return true;
        }
        match self.signal {
            Signal::Traces => self.selection.means_span(verdict, &Span::new(record)),
            Signal::Logs => self.selection.means_log(verdict, &LogRecord::new(record)),
            Signal::Metrics => self.selection.means_metric(verdict, &Metric::new(record)),
        }
    }
}

impl AttributesProcessor {
    /// A piece of a request with the changes, or none if there are none.
    fn change(&self, piece: &[u8], client: Option<&ClientInfo>) -> Option<Vec<u8>> {
        let mut rewriter = Rewriter::new(piece);
        let mut list = List::default();
        let verdict = Cell::new(Verdict::ALL);
        let enter = |around: &Around<'_>| {
            verdict.set(self.selection.around(around));
            verdict.get().any()
        };
        walk::records(&mut rewriter, enter, |rewriter, record| {
            if !self.means(verdict.get(), record.body) {
                return;
            }
            match walk::record_attributes(self.signal) {
                Some(number) => self.actions.apply(&mut list, rewriter, record, number, client),
                None => walk::points(rewriter, record, |rewriter, point, number| {
                    self.actions.apply(&mut list, rewriter, point, number, client);
                }),
            }
        });
        rewriter.finish()
    }
}

impl Transform for AttributesProcessor {
    fn apply(&self, mut batch: Batch, _dropped: &mut Dropped) -> Result<Option<Batch>, Refusal> {
        let client = batch.client.as_deref();
        batch.payload = rewrite(batch.payload, |piece| self.change(piece, client));
        Ok(Some(batch))
    }
}
