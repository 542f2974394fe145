//! What is known of one metric.

use phoenix_series::Fingerprint;

use crate::count::Count;
use crate::point::Type;

/// A label of points, or of resources.
#[derive(Debug)]
pub(crate) struct LabelState {
    pub(crate) key: Box<[u8]>,
    pub(crate) on_resource: bool,
    pub(crate) values: Count,
    /// The series that there would be without it.
    pub(crate) without: Count,
    /// Of the series that have it.
    pub(crate) series: u64,
    /// Of those, how many have a value that looks like an identifier.
    pub(crate) identifiers: u64,
}

/// One metric, by name, unit and type.
#[derive(Debug)]
pub(crate) struct MetricState {
    pub(crate) name: String,
    pub(crate) of: Type,
    pub(crate) points: u64,
    pub(crate) bytes: u64,
    pub(crate) exemplar_bytes: u64,
    pub(crate) description_bytes: u64,
    pub(crate) series: Count,
    /// Times that labels were looked at: once for each series that has a state.
    pub(crate) noted: u64,
    pub(crate) labels: Vec<LabelState>,
    /// Labels beyond those that are looked at.
    pub(crate) labels_left_out: bool,
    /// The times of its first and last points.
    pub(crate) first: u64,
    pub(crate) last: u64,
    /// Series that came after its first minute.
    pub(crate) newcomers: u64,
}

/// A series that has a state of its own.
#[derive(Debug)]
pub(crate) struct SeriesState {
    pub(crate) metric: u32,
    pub(crate) points: u32,
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) value: Fingerprint,
    /// Of all values and times so far.
    pub(crate) course: u64,
    pub(crate) is_constant: bool,
}

impl MetricState {
    pub(crate) fn new(name: &[u8], of: Type) -> MetricState {
        MetricState {
            name: String::from_utf8_lossy(name).into_owned(),
            of,
            points: 0,
            bytes: 0,
            exemplar_bytes: 0,
            description_bytes: 0,
            series: Count::default(),
            noted: 0,
            labels: Vec::new(),
            labels_left_out: false,
            first: u64::MAX,
            last: 0,
            newcomers: 0,
        }
    }

    /// The state of a label; none where there are too many.
    pub(crate) fn label(&mut self, key: &[u8], on_resource: bool, most: usize) -> Option<&mut LabelState> {
        let place =
            self.labels.iter().position(|label| *label.key == *key && label.on_resource == on_resource);
        let place = match place {
            Some(place) => place,
            None if self.labels.len() >= most => {
                self.labels_left_out = true;
                return None;
            }
            None => {
                self.labels.push(LabelState {
                    key: key.into(),
                    on_resource,
                    values: Count::default(),
                    without: Count::default(),
                    series: 0,
                    identifiers: 0,
                });
                self.labels.len() - 1
            }
        };
        self.labels.get_mut(place)
    }
}
