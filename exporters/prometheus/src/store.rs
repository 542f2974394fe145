//! The latest value of each series.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use phoenix_prometheus::{Exemplar, Family, Kind, LabelSet};

/// The series of all points, by the name of their metric and their labels.
#[derive(Debug)]
pub(crate) struct Store {
    kept: Mutex<Kept>,
    max_series: usize,
    expiration: Duration,
}

#[derive(Debug, Default)]
struct Kept {
    metrics: BTreeMap<Arc<str>, Series>,
    /// Lines of all points.
    lines: usize,
    /// When all metrics were last looked through for what expired, since it was full.
    swept: Option<Instant>,
}

/// What one metric has.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) kind: Kind,
    pub(crate) help: Box<str>,
    /// By their labels, encoded.
    pub(crate) points: BTreeMap<Box<[u8]>, Point>,
}

/// The latest point with some labels.
#[derive(Debug)]
pub(crate) struct Point {
    pub(crate) time_ms: i64,
    pub(crate) lines: Vec<Line>,
    updated: Instant,
}

/// One series of a point.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) suffix: &'static str,
    pub(crate) extra: Option<(&'static str, Box<str>)>,
    pub(crate) value: f64,
    pub(crate) exemplar: Option<Exemplar>,
}

/// The times of a point in Unix milliseconds, and when it came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) start_ms: i64,
    pub(crate) time_ms: i64,
    pub(crate) now: Instant,
}

/// Why a point was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rejection {
    /// There is a later one, or a delta that is not the next.
    Late,
    /// The metric has another type.
    Conflict,
    /// There are as many series as there may be.
    Full,
}

impl Store {
    pub(crate) fn new(max_series: usize, expiration: Duration) -> Store {
        Store { kept: Mutex::default(), max_series, expiration }
    }

    /// Takes a point in the place of the former one; a delta that follows on it is added to it.
    pub(crate) fn put(
        &self,
        family: &Family<'_>,
        labels: &LabelSet,
        lines: Vec<Line>,
        at: Moment,
    ) -> Result<(), Rejection> {
        let mut kept = self.lock();
        let kept = &mut *kept;
        let former = kept.metrics.get(family.name);
        if former.is_some_and(|series| series.kind != family.kind) {
            kept.sweep(at.now, self.expiration);
            if kept.metrics.contains_key(family.name) {
                return Err(Rejection::Conflict);
            }
        }
        let key = labels.as_bytes();
        if let Some(point) = kept.metrics.get_mut(family.name).and_then(|series| series.points.get_mut(key)) {
            return point.follow(family, lines, at, &mut kept.lines, self.max_series);
        }
        if kept.lines + lines.len() > self.max_series {
            kept.sweep(at.now, self.expiration);
            if kept.lines + lines.len() > self.max_series {
                return Err(Rejection::Full);
            }
        }
        kept.lines += lines.len();
        let name: Arc<str> = family.name.into();
        let series = kept.metrics.entry(name).or_insert_with(|| Series {
            kind: family.kind,
            help: family.help.into(),
            points: BTreeMap::new(),
        });
        series.points.insert(key.into(), Point { time_ms: at.time_ms, lines, updated: at.now });
        Ok(())
    }

    /// Forgets a point, whose series ended.
    pub(crate) fn end(&self, name: &str, labels: &LabelSet) {
        let mut kept = self.lock();
        let kept = &mut *kept;
        let Some(series) = kept.metrics.get_mut(name) else { return };
        if let Some(point) = series.points.remove(labels.as_bytes()) {
            kept.lines -= point.lines.len();
        }
        if series.points.is_empty() {
            kept.metrics.remove(name);
        }
    }

    /// Hands over each metric that has series, in the order of their names. Between two of them points may come.
    pub(crate) fn each(&self, now: Instant, mut show: impl FnMut(&str, &Series)) {
        let names: Vec<Arc<str>> = self.lock().metrics.keys().cloned().collect();
        for name in names {
            let mut kept = self.lock();
            let kept = &mut *kept;
            let Some(series) = kept.metrics.get_mut(&name) else { continue };
            series.expire(now, self.expiration, &mut kept.lines);
            if series.points.is_empty() {
                kept.metrics.remove(&name);
            } else {
                show(&name, series);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// Forgets what expired, at most once a second: it costs a look at every point.
    fn sweep(&mut self, now: Instant, expiration: Duration) {
        if self.swept.is_some_and(|last| now.saturating_duration_since(last) < Duration::from_secs(1)) {
            return;
        }
        self.swept = Some(now);
        let lines = &mut self.lines;
        self.metrics.retain(|_, series| {
            series.expire(now, expiration, lines);
            !series.points.is_empty()
        });
    }
}

impl Series {
    fn expire(&mut self, now: Instant, expiration: Duration, lines: &mut usize) {
        self.points.retain(|_, point| {
            let stays = now.saturating_duration_since(point.updated) <= expiration;
            if !stays {
                *lines -= point.lines.len();
            }
            stays
        });
    }
}

impl Point {
    fn follow(
        &mut self,
        family: &Family<'_>,
        mut lines: Vec<Line>,
        at: Moment,
        count: &mut usize,
        max_series: usize,
    ) -> Result<(), Rejection> {
        if at.time_ms < self.time_ms {
            return Err(Rejection::Late);
        }
        if family.delta {
            if at.start_ms == self.time_ms {
                self.add_to(&mut lines);
            } else if family.kind == Kind::Histogram && at.start_ms < self.time_ms {
                return Err(Rejection::Late);
            }
        }
        let others = *count - self.lines.len();
        if lines.len() > self.lines.len() && others + lines.len() > max_series {
            return Err(Rejection::Full);
        }
        *count = others + lines.len();
        *self = Point { time_ms: at.time_ms, lines, updated: at.now };
        Ok(())
    }

    /// Adds what was there, unless there are other buckets: then it begins anew.
    fn add_to(&self, lines: &mut [Line]) {
        let same = |(old, new): (&Line, &Line)| old.suffix == new.suffix && old.extra == new.extra;
        if self.lines.len() == lines.len() && self.lines.iter().zip(&*lines).all(same) {
            for (old, new) in self.lines.iter().zip(lines) {
                new.value += old.value;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn family(name: &str, kind: Kind, delta: bool) -> Family<'_> {
        Family { name, kind, help: "", unit: "", delta }
    }

    fn lines(value: f64) -> Vec<Line> {
        vec![Line { suffix: "", extra: None, value, exemplar: None }]
    }

    fn labels(value: &str) -> LabelSet {
        LabelSet::new(vec![("a".into(), value.into())])
    }

    fn shown(store: &Store, now: Instant) -> Vec<(String, f64)> {
        let mut all = Vec::new();
        store.each(now, |name, series| {
            all.extend(series.points.values().map(|point| (name.to_owned(), point.lines[0].value)));
        });
        all
    }

    #[test]
    fn deltas_that_follow_on_each_other_are_added() {
        let (store, now) = (Store::new(10, Duration::from_secs(60)), Instant::now());
        // (start, time, value, whether it is taken, what is shown then)
        let steps = [
            (0, 10, 5.0, Ok(()), 5.0),
            (10, 20, 2.0, Ok(()), 7.0),
            (5, 15, 1.0, Err(Rejection::Late), 7.0),
            (20, 30, 1.0, Ok(()), 8.0),
            (35, 40, 3.0, Ok(()), 3.0),
        ];
        for kind in [Kind::Counter, Kind::Histogram] {
            for (start_ms, time_ms, value, outcome, total) in steps {
                let name = format!("{kind:?}");
                let at = Moment { start_ms, time_ms, now };
                let family = family(&name, kind, true);
                assert_eq!(store.put(&family, &labels("x"), lines(value), at), outcome, "{start_ms}");
                assert!(shown(&store, now).contains(&(name, total)), "{start_ms}");
            }
        }
    }

    #[test]
    fn the_latest_is_shown_until_it_expires_or_ends() {
        let (store, now) = (Store::new(10, Duration::from_secs(60)), Instant::now());
        let gauge = family("g", Kind::Gauge, false);
        let at = |time_ms, seconds| Moment { start_ms: 0, time_ms, now: now + Duration::from_secs(seconds) };
        assert_eq!(store.put(&gauge, &labels("x"), lines(1.0), at(10, 0)), Ok(()));
        assert_eq!(store.put(&gauge, &labels("x"), lines(2.0), at(20, 1)), Ok(()));
        assert_eq!(store.put(&gauge, &labels("x"), lines(3.0), at(15, 2)), Err(Rejection::Late));
        assert_eq!(store.put(&gauge, &labels("y"), lines(4.0), at(15, 30)), Ok(()));
        assert_eq!(shown(&store, now), [("g".to_owned(), 2.0), ("g".to_owned(), 4.0)]);
        assert_eq!(shown(&store, now + Duration::from_secs(62)), [("g".to_owned(), 4.0)]);
        store.end("g", &labels("y"));
        assert_eq!(shown(&store, now), []);
        assert_eq!(store.lock().lines, 0);
    }

    #[test]
    fn there_is_a_bound_and_one_type_for_a_name() {
        let (store, now) = (Store::new(2, Duration::from_secs(60)), Instant::now());
        let gauge = family("g", Kind::Gauge, false);
        let at = |seconds| Moment { start_ms: 0, time_ms: 1, now: now + Duration::from_secs(seconds) };
        assert_eq!(store.put(&gauge, &labels("x"), lines(1.0), at(0)), Ok(()));
        assert_eq!(store.put(&gauge, &labels("y"), lines(1.0), at(40)), Ok(()));
        assert_eq!(store.put(&gauge, &labels("z"), lines(1.0), at(50)), Err(Rejection::Full));
        // Those that are there go on.
        assert_eq!(store.put(&gauge, &labels("y"), lines(2.0), at(50)), Ok(()));
        let counter = family("g", Kind::Counter, false);
        assert_eq!(store.put(&counter, &labels("y"), lines(2.0), at(50)), Err(Rejection::Conflict));
        // The oldest has expired.
        assert_eq!(store.put(&gauge, &labels("z"), lines(1.0), at(70)), Ok(()));
        assert_eq!(store.put(&counter, &labels("y"), lines(2.0), at(200)), Ok(()));
        assert_eq!(shown(&store, at(200).now), [("g".to_owned(), 2.0)]);
    }
}
