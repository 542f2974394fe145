//! Filtering by `include` and `exclude`, without conditions.

use std::cell::Cell;

use phoenix_attributes::{Matcher, PatternError, Selection, Verdict};
use phoenix_pdata::view::{LogRecord, Metric, Span, View as _};
use phoenix_pdata::walk::{self, Around};
use phoenix_pdata::{Rewriter, Signal};

use crate::config::{FilterConfig, LogMatchSettings, MetricMatchSettings};

/// What is kept, of one signal.
#[derive(Debug)]
pub(crate) struct Matching {
    signal: Signal,
    selection: Selection,
    /// For metrics: resources that are kept, and those that are dropped.
    resources: (Option<Matcher>, Option<Matcher>),
}

impl Matching {
    /// None where everything is kept.
    pub(crate) fn new(config: &FilterConfig, signal: Signal) -> Result<Option<Matching>, PatternError> {
        let mut resources = (None, None);
        let selection = match signal {
            Signal::Traces => Selection::new(config.spans.include.as_ref(), config.spans.exclude.as_ref())?,
            Signal::Logs => {
                let [include, exclude] = [&config.logs.include, &config.logs.exclude]
                    .map(|settings| settings.as_ref().and_then(LogMatchSettings::settings));
                Selection::new(include.as_ref(), exclude.as_ref())?
            }
            Signal::Metrics => {
                let of_resource = |settings: &Option<MetricMatchSettings>| {
                    let settings = settings.as_ref().and_then(MetricMatchSettings::resources);
                    settings.as_ref().map(Matcher::new).transpose()
                };
                resources = (of_resource(&config.metrics.include)?, of_resource(&config.metrics.exclude)?);
                let [include, exclude] = [&config.metrics.include, &config.metrics.exclude]
                    .map(|settings| settings.as_ref().map(MetricMatchSettings::names));
                Selection::new(include.as_ref(), exclude.as_ref())?.of_metrics()
            }
        };
        let keeps_all = selection.is_everything() && resources.0.is_none() && resources.1.is_none();
        Ok((!keeps_all).then_some(Matching { signal, selection, resources }))
    }

    /// A piece of a request with what is kept, or none if that is all.
    pub(crate) fn keep(&self, piece: &[u8]) -> Option<Vec<u8>> {
        let mut rewriter = Rewriter::with_room(piece, piece.len() / 2);
        let verdict = Cell::new(Verdict::ALL);
        let keeps_resource = Cell::new(true);
        let enter = |around: &Around<'_>| {
            verdict.set(self.selection.around(around));
            keeps_resource.set(self.keeps_resource(around));
        };
        walk::retain_records(&mut rewriter, enter, |_, record| {
            let verdict = verdict.get();
            keeps_resource.get()
                && match self.signal {
                    Signal::Traces => self.selection.means_span(verdict, &Span::new(record.body)),
                    Signal::Logs => self.selection.means_log(verdict, &LogRecord::new(record.body)),
                    Signal::Metrics => self.selection.means_metric(verdict, &Metric::new(record.body)),
                }
        });
        rewriter.finish()
    }

    fn keeps_resource(&self, around: &Around<'_>) -> bool {
        let (include, exclude) = &self.resources;
        include.as_ref().is_none_or(|matcher| matcher.matches_around(around))
            && !exclude.as_ref().is_some_and(|matcher| matcher.matches_around(around))
    }
}
