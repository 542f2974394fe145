//! What is asked for, and what is left of it.

use phoenix_pdata::Payload;
use phoenix_pdata::view::{Metric, Resource, View as _};
use phoenix_pdata::wire::Fields;
use phoenix_series::{Distinct, Fingerprint, Hasher};

use crate::kind::Kind;

/// Of one interval and one target.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sample {
    /// Before the rules.
    pub(crate) demand: f64,
    /// Behind them.
    pub(crate) measured: f64,
}

/// Of one side.
#[derive(Clone, Debug, Default)]
struct Side {
    points: u64,
    bytes: u64,
    /// Of this interval and of the one before, so that what comes once an interval is in one of them for certain.
    series: [Distinct; 2],
}

impl Side {
    fn series(&self) -> f64 {
        let mut both = self.series[0].clone();
        both.merge(&self.series[1]);
        both.estimate() as f64
    }
}

/// Counts what comes in and what goes out.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    counts_series: bool,
    demand: Side,
    left: Side,
    began: Option<u64>,
}

impl Meter {
    /// Series are counted only where a target is about them: that takes a hash for each point.
    pub(crate) fn new(counts_series: bool) -> Meter {
        Meter { counts_series, demand: Side::default(), left: Side::default(), began: None }
    }

    pub(crate) fn came(&mut self, payload: &Payload, points: u64, hasher: &mut Hasher) {
        count(&mut self.demand, payload, points, self.counts_series.then_some(hasher));
    }

    pub(crate) fn left(&mut self, payload: &Payload, points: u64, hasher: &mut Hasher) {
        count(&mut self.left, payload, points, self.counts_series.then_some(hasher));
    }

    /// What was counted since the last time, by target; `load` is that of the host. None where nothing came.
    pub(crate) fn samples(&mut self, unix_nanos: u64, load: Option<f64>) -> [Option<Sample>; 4] {
        let since = self.began.replace(unix_nanos).map(|began| unix_nanos.saturating_sub(began));
        let seconds = since.unwrap_or_default() as f64 / 1e9;
        let rate = |demand: u64, left: u64, per: f64| {
            let scale = if seconds > 0.0 { per / seconds } else { 0.0 };
            (demand > 0 && scale > 0.0)
                .then_some(Sample { demand: demand as f64 * scale, measured: left as f64 * scale })
        };
        let has_data = self.demand.points > 0;
        let series = (self.counts_series && has_data)
            .then(|| Sample { demand: self.demand.series(), measured: self.left.series() });
        let samples = [
            series,
            rate(self.demand.points, self.left.points, 60.0),
            rate(self.demand.bytes, self.left.bytes, 1.0),
            load.map(|load| Sample { demand: load, measured: load }),
        ];
        for side in [&mut self.demand, &mut self.left] {
            (side.points, side.bytes) = (0, 0);
            side.series.swap(0, 1);
            side.series[0] = Distinct::default();
        }
        samples
    }
}

fn count(side: &mut Side, payload: &Payload, points: u64, hasher: Option<&mut Hasher>) {
    side.points += points;
    side.bytes += payload.len() as u64;
    if let Some(hasher) = hasher {
        payload.pieces().for_each(|piece| count_series(piece, hasher, &mut side.series[0]));
    }
}

fn count_series(piece: &[u8], hasher: &mut Hasher, into: &mut Distinct) {
    for entry in Fields::new(piece).filter(|field| field.is_len(1)) {
        let resource = Fields::new(entry.body).find(|field| field.is_len(1));
        let resource = resource.map_or_else(Fingerprint::default, |field| {
            hasher.attributes(&Resource::new(field.body).attributes())
        });
        for scope in Fields::new(entry.body).filter(|field| field.is_len(2)) {
            for field in Fields::new(scope.body).filter(|field| field.is_len(2)) {
                let metric = Metric::new(field.body);
                let Some(data) = metric.data() else { continue };
                let kind = Kind::of(&data);
                let name = hasher.bytes(metric.name().as_bytes());
                let about = hasher.ordered([resource, name, Fingerprint::from(u128::from(kind.field()))]);
                for data in Fields::new(field.body).filter(|part| part.is_len(kind.field())) {
                    for point in Fields::new(data.body).filter(|part| part.is_len(1)) {
                        let labels = hasher.attributes(&kind.read(point.body).attributes);
                        into.insert(hasher.ordered([about, labels]).half());
                    }
                }
            }
        }
    }
}

/// The mean length of the run queue over a minute for each processor, as the kernel tells it. None where it does not.
pub(crate) fn host_load() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    let load: f64 = text.split(' ').next()?.parse().ok()?;
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    Some(load / processors as f64)
}
