use phoenix_attributes::{List, as_text};
use phoenix_component::{Batch, Dropped, Refusal, Transform};
use phoenix_pdata::view::{AnyValue, LogRecord, Text, View as _};
use phoenix_pdata::wire::Field;
use phoenix_pdata::{Rewriter, Signal, rewrite, walk};
use phoenix_sampling::{Digits, Randomness, Threshold};
use phoenix_telemetry::Metrics;

use crate::config::{AttributeSource, SamplerConfig};
use crate::metrics::{Policy, SamplerMetrics, Tally};
use crate::mode::{Carrier, Found, Sampler};
use crate::traces::settle;

/// The field of the attributes of a log record.
const ATTRIBUTES: u32 = 6;
const THRESHOLD: &str = "sampling.threshold";
const RANDOMNESS: &str = "sampling.randomness";

/// Samples the log records of one pipeline.
#[derive(Debug)]
pub(crate) struct LogSampler {
    sampler: Sampler,
    fail_closed: bool,
    by_trace: bool,
    from_attribute: String,
    priority: String,
    precision: u32,
    metrics: SamplerMetrics,
}

/// What the attributes of a record say about its sampling.
#[derive(Clone, Copy, Debug, Default)]
struct Stated {
    threshold: Option<Threshold>,
    randomness: Option<Randomness>,
    /// Whether the threshold is to go.
    is_cleared: bool,
    /// The randomness to state.
    new_randomness: Option<Randomness>,
}

impl Stated {
    /// None where an attribute is there and says nothing that can be understood.
    fn of(record: &LogRecord<'_>) -> Option<Stated> {
        let text = |key| match record.attributes().get(key) {
            Some(AnyValue::String(text)) if !text.is_empty() => Some(text.as_bytes()),
            _ => None,
        };
        let mut stated = Stated::default();
        if let Some(digits) = text(THRESHOLD) {
            stated.threshold = Some(Threshold::read(digits)?.1);
        }
        if let Some(digits) = text(RANDOMNESS) {
            stated.randomness = Some(Randomness::read(digits)?.1);
        }
        Some(stated)
    }
}

impl Carrier for Stated {
    fn threshold(&self) -> Option<Threshold> {
        self.threshold
    }

    fn clear_threshold(&mut self) {
        self.is_cleared = true;
    }
}

impl LogSampler {
    pub(crate) fn new(config: &SamplerConfig, metrics: &Metrics) -> LogSampler {
        LogSampler {
            sampler: Sampler::new(config, true),
            fail_closed: config.fail_closed,
            by_trace: config.attribute_source == AttributeSource::TraceId,
            from_attribute: config.from_attribute.clone(),
            priority: config.sampling_priority.clone(),
            precision: config.sampling_precision,
            metrics: SamplerMetrics::new(metrics, Signal::Logs, &config.from_attribute),
        }
    }

    fn find(&self, record: &LogRecord<'_>) -> Found<Stated> {
        let id: Option<&[u8; 16]> =
            record.trace_id().try_into().ok().filter(|id: &&[u8; 16]| **id != [0; 16]);
        let stated = Stated::of(record);
        let mut found = Found {
            policy: Policy::MissingRandomness,
            randomness: Randomness::MAX,
            is_wrong: stated.is_none(),
            carrier: stated,
        };
        match &self.sampler {
            Sampler::Never => found.policy = Policy::SamplingPriority,
            Sampler::Hash { seeded, .. } => {
                if let Some(id) = id.filter(|_| self.by_trace) {
                    (found.policy, found.randomness) = (Policy::TraceIdHash, seeded.randomness(id));
                } else if !self.from_attribute.is_empty()
                    && let Some(value) = record.attributes().get(&self.from_attribute)
                {
                    let bytes = match value {
                        AnyValue::Bytes(bytes) => bytes.into(),
                        value => as_text(&value),
                    };
                    if !bytes.is_empty() {
                        (found.policy, found.randomness) = (Policy::Attribute, seeded.randomness(&bytes));
                    }
                }
                let in_use = |stated: &Stated| stated.randomness.is_some() || stated.threshold.is_some();
                if found.carrier.as_ref().is_some_and(in_use) {
                    (found.is_wrong, found.carrier) = (true, None);
                }
                if let Some(stated) = &mut found.carrier
                    && found.policy != Policy::MissingRandomness
                {
                    stated.new_randomness = Some(found.randomness);
                }
            }
            Sampler::Equalizing(_) | Sampler::Proportional { .. } => {
                if let Some(randomness) = found.carrier.and_then(|stated| stated.randomness) {
                    (found.policy, found.randomness) = (Policy::SamplingRandomness, randomness);
                } else if let Some(id) = id.filter(|_| !found.is_wrong) {
                    (found.policy, found.randomness) = (Policy::TraceIdW3c, Randomness::of_trace(id));
                }
            }
        }
        found
    }

    /// The threshold that a record asks for by its priority, a percentage.
    fn priority(&self, record: &LogRecord<'_>) -> Option<Threshold> {
        if self.priority.is_empty() {
            return None;
        }
        let percentage = match record.attributes().get(&self.priority)? {
            AnyValue::Double(value) => value,
            AnyValue::Int(value) => value as f64,
            _ => return None,
        };
        Threshold::of_probability(percentage / 100.0, self.precision)
    }

    fn keep<'a>(
        &self,
        rewriter: &mut Rewriter<'a>,
        field: &Field<'a>,
        list: &mut List<'a>,
        tally: &mut Tally,
    ) -> bool {
        let record = LogRecord::new(field.body);
        let mut found = self.find(&record);
        let decision = self.sampler.decide(&mut found, self.fail_closed, self.priority(&record));
        tally.count(decision.policy, decision.is_kept);
        tally.wrong += u64::from(found.is_wrong);
        if !decision.is_kept {
            return false;
        }
        if let Some(stated) = &found.carrier {
            list.fill(field.body, ATTRIBUTES);
            if let Some(randomness) = stated.new_randomness {
                put(list, RANDOMNESS, randomness.digits());
            }
            if stated.is_cleared
                && let Some(index) = list.find(THRESHOLD.as_bytes())
            {
                list.remove(index);
            }
            if stated.threshold.is_none_or(|known| known <= decision.threshold) {
                put(list, THRESHOLD, decision.threshold.digits());
            }
            rewriter.enter(field);
            list.write(rewriter, field.body, ATTRIBUTES);
            rewriter.leave();
        }
        true
    }
}

/// Sets an attribute, unless it has that value already.
fn put(list: &mut List<'_>, key: &'static str, digits: Digits) {
    let value = AnyValue::String(Text::new(digits.as_bytes()));
    if let Some(index) = list.find(key.as_bytes())
        && let AnyValue::String(known) = list.value(index)
        && known.as_bytes() == digits.as_bytes()
    {
        return;
    }
    let body = list.make(key.as_bytes(), &value);
    list.put(key.as_bytes(), body);
}

impl Transform for LogSampler {
    fn apply(&self, mut batch: Batch, dropped: &mut Dropped) -> Result<Option<Batch>, Refusal> {
        let (mut tally, mut kept) = (Tally::default(), 0);
        batch.payload = rewrite(batch.payload, |piece| {
            let mut rewriter = Rewriter::with_room(piece, piece.len() / 4);
            let mut list = List::default();
            kept += walk::retain_records(
                &mut rewriter,
                |_| {},
                |rewriter, record| self.keep(rewriter, record, &mut list, &mut tally),
            );
            rewriter.finish()
        });
        settle(batch, kept, &tally, &self.metrics, dropped)
    }
}
