//! Histograms made smaller, within a stated error.

use phoenix_pdata::wire::Fields;
use phoenix_pdata::write::put_uint;
use phoenix_series::{Explicit, Exponential, Fingerprint, NO_RECORDED_VALUE, least_scale};

use crate::choice::Choices;
use crate::config::HistogramSettings;
use crate::encode::{put_explicit, put_exponential};
use crate::kind::{Kind, Reading, Value};

/// The quantiles at which the error is measured.
const QUANTILES: [f64; 4] = [0.5, 0.9, 0.95, 0.99];

/// Buffers for reading points.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    pub(crate) explicit: Explicit,
    pub(crate) exponential: Exponential,
}

/// The scale to which the error that is allowed leads.
pub(crate) fn scale_of(settings: &HistogramSettings) -> i32 {
    least_scale(settings.max_error)
}

/// Lowers the scale as far as the error allows, and as far as the number of buckets asks for.
pub(crate) fn shrink(histogram: &mut Exponential, settings: &HistogramSettings) {
    if settings.max_error > 0.0 {
        histogram.downscale_to(scale_of(settings));
    }
    if settings.max_buckets > 0 {
        histogram.limit(settings.max_buckets);
    }
    if settings.trim {
        histogram.trim();
    }
}

/// The histogram with fewer bounds, of which some may have been `chosen`; none where it keeps all of them.
pub(crate) fn reduced(
    histogram: &Explicit,
    settings: &HistogramSettings,
    chosen: Option<&[f64]>,
) -> Option<Explicit> {
    let chosen = chosen.filter(|_| settings.choose_bounds.is_some());
    let listed = chosen.unwrap_or_else(|| settings.listed_bounds());
    let mut reduced = match listed.is_empty() {
        true => histogram.clone(),
        false => histogram.restricted(listed),
    };
    if settings.merge_error > 0.0 {
        reduced = reduced.merged(settings.merge_error, &settings.keep_bounds);
    }
    (reduced.bounds.len() != histogram.bounds.len()).then_some(reduced)
}

/// What was and is learned about the bounds of a metric.
#[derive(Debug)]
pub(crate) struct Learned<'c> {
    pub(crate) choices: &'c mut Choices,
    pub(crate) metric: Fingerprint,
    /// In seconds.
    pub(crate) now: u32,
}

impl Learned<'_> {
    /// Takes note of a histogram, if a choice is asked for.
    pub(crate) fn learn(&mut self, histogram: &Explicit, settings: &HistogramSettings) {
        if let Some(choose) = &settings.choose_bounds {
            self.choices.learn(self.metric, histogram, choose, &settings.keep_bounds, self.now);
        }
    }
}

/// What became of a point.
#[derive(Debug, PartialEq)]
pub(crate) enum Compressed {
    /// It stays as it is.
    Unchanged,
    /// It was written, with this error at worst where that was measured.
    Written(Option<f64>),
    /// It is no histogram.
    Malformed,
}

/// Writes the body of a point with fewer buckets; `measure` says whether the error is to be measured.
pub(crate) fn point(
    kind: Kind,
    reading: &Reading<'_>,
    settings: &HistogramSettings,
    buffers: &mut Buffers,
    learned: &mut Learned<'_>,
    measure: bool,
    out: &mut Vec<u8>,
) -> Compressed {
    if reading.is_stale() {
        return Compressed::Unchanged;
    }
    match reading.value {
        Value::Exponential(point) => {
            let histogram = &mut buffers.exponential;
            if !histogram.read(&point) {
                return Compressed::Malformed;
            }
            // Trimming on reading is a change too, but not one that is worth a copy by itself.
            let before = measure.then(|| QUANTILES.map(|q| histogram.quantile(q)));
            let scale = histogram.scale;
            shrink(histogram, settings);
            if histogram.scale == scale && !settings.trim {
                return Compressed::Unchanged;
            }
            // Times, flags, attributes, exemplars and what is not known stay.
            rest(reading.body, &[4, 5, 6, 7, 8, 9, 12, 13, 14], out);
            put_exponential(out, histogram);
            Compressed::Written(before.map(|before| error(before, QUANTILES.map(|q| histogram.middle(q)))))
        }
        Value::Histogram(point) => {
            let histogram = &mut buffers.explicit;
            if !histogram.read(&point) {
                return Compressed::Malformed;
            }
            learned.learn(histogram, settings);
            let chosen = learned.choices.of(learned.metric, histogram);
            let Some(reduced) = reduced(histogram, settings, chosen) else { return Compressed::Unchanged };
            let before = measure.then(|| QUANTILES.map(|q| histogram.quantile(q)));
            rest(reading.body, &[4, 5, 6, 7, 11, 12], out);
            put_explicit(out, &reduced);
            Compressed::Written(before.map(|before| error(before, QUANTILES.map(|q| reduced.quantile(q)))))
        }
        _ => {
            debug_assert!(!matches!(kind, Kind::Histogram { .. } | Kind::Exponential { .. }));
            Compressed::Unchanged
        }
    }
}

/// Writes the body of an explicit point as an exponential one. Returns the error where it was measured; none where the point
/// is no histogram.
pub(crate) fn converted(
    reading: &Reading<'_>,
    settings: &HistogramSettings,
    buffers: &mut Buffers,
    measure: bool,
    with_exemplars: bool,
    out: &mut Vec<u8>,
) -> Option<Option<f64>> {
    let Value::Histogram(point) = reading.value else { return None };
    for field in Fields::new(reading.body) {
        let number = match field.number() {
            2 | 3 | 10 => {
                out.extend_from_slice(field.raw);
                continue;
            }
            8 if with_exemplars => 11,
            9 => 1,
            _ => continue,
        };
        phoenix_pdata::write::put_bytes(out, number, field.body);
    }
    if reading.is_stale() {
        if reading.flags & NO_RECORDED_VALUE == 0 {
            // Said by its sum, as Prometheus does, which goes with the buckets.
            put_uint(out, 10, u64::from(reading.flags | NO_RECORDED_VALUE));
        }
        return Some(None);
    }
    let histogram = &mut buffers.explicit;
    if !histogram.read(&point) {
        return None;
    }
    let mut made = histogram.to_exponential(scale_of(settings), settings.placement.into());
    shrink(&mut made, settings);
    put_exponential(out, &made);
    let measured =
        measure.then(|| error(QUANTILES.map(|q| histogram.quantile(q)), QUANTILES.map(|q| made.middle(q))));
    Some(measured)
}

/// Copies the fields of a point, but for these.
fn rest(body: &[u8], without: &[u32], out: &mut Vec<u8>) {
    for field in Fields::new(body).filter(|field| !without.contains(&field.number())) {
        out.extend_from_slice(field.raw);
    }
}

/// The largest of the relative errors: of what was read before, evenly spread within its bucket, against what is told now, which of
/// exponential histograms is the middle of the bucket, for which the error is stated.
fn error(before: [Option<f64>; 4], after: [Option<f64>; 4]) -> f64 {
    let errors = before.iter().zip(after).filter_map(|(before, after)| {
        let (before, after) = ((*before)?, after?);
        (before != 0.0).then(|| ((after - before) / before).abs())
    });
    errors.fold(0.0, f64::max)
}
