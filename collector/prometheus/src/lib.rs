//! OTLP metrics as Prometheus has them: names, labels, series, native histograms.
//!
//! - [`Naming`]: names of metrics and labels by `translation_strategy`.
//! - [`LabelSet`]: the labels of a series, encoded once and kept for as long as the series is sent.
//! - [`Translator`]: walks requests and hands a [`Sink`] the samples of each series.
//! - Bounds: a translator keeps a limited number of label sets and names, and forgets those that were not used lately.
//! - Elsewhere: requests, connections and clocks belong to the exporters.

mod cache;
mod labels;
mod names;
mod native;
mod translate;

pub use labels::{Extra, Label, LabelSet, label_len, labels_in, number, put_label, text_of};
pub use names::{Kind, Naming, Strategy};
pub use native::Native;
pub use translate::{Exemplar, Family, Options, Sample, Sink, Translator};
