//! Metrics, written as OTLP while they are read.

use std::borrow::Cow;

use phoenix_pdata::view::AnyValue;
use phoenix_pdata::write::{put_attribute, put_bytes, put_double, put_fixed64, put_message, put_uint};

use crate::config::Switches;
use crate::metric::{Catalog, Kind};

/// `AGGREGATION_TEMPORALITY_CUMULATIVE`.
const CUMULATIVE: u64 = 2;
/// The conventions that the names follow.
const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.9.0";
/// Where otelcol's scrapers live, which is what their scopes are called.
const SCOPE_PREFIX: &str = "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/hostmetricsreceiver/internal/scraper/";

/// The times of points, in Unix nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) start: u64,
    pub(crate) now: u64,
}

/// A request that grows.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pub(crate) bytes: Vec<u8>,
    pub(crate) metrics: u64,
    pub(crate) points: u64,
    pub(crate) version: &'static str,
}

impl Output {
    /// Writes a resource with the attributes that `resource` writes and the metrics that `body` writes; nothing where
    /// there are none. `scraper` names the scope.
    pub(crate) fn resource<C: Catalog>(
        &mut self,
        scraper: &str,
        switches: &Switches<C>,
        times: Times,
        resource: impl FnOnce(&mut Attributes<'_>),
        body: impl FnOnce(&mut Metrics<'_, C>),
    ) {
        let (begin, before) = (self.bytes.len(), self.metrics);
        let (metrics, points) = (&mut self.metrics, &mut self.points);
        let version = self.version;
        put_message(&mut self.bytes, 1, |out| {
            put_message(out, 1, |out| resource(&mut Attributes { out, number: 1 }));
            put_message(out, 2, |out| {
                put_message(out, 1, |out| {
                    put_bytes(out, 1, format!("{SCOPE_PREFIX}{scraper}scraper").as_bytes());
                    put_bytes(out, 2, version.as_bytes());
                });
                body(&mut Metrics { out, switches, times, metrics, points });
            });
            put_bytes(out, 3, SCHEMA_URL.as_bytes());
        });
        if self.metrics == before {
            self.bytes.truncate(begin);
        }
    }
}

/// The metrics of one resource.
pub(crate) struct Metrics<'a, C> {
    out: &'a mut Vec<u8>,
    switches: &'a Switches<C>,
    times: Times,
    metrics: &'a mut u64,
    points: &'a mut u64,
}

impl<C: Catalog> Metrics<'_, C> {
    /// Writes a metric with the points that `body` writes; nothing where it is off or has none.
    pub(crate) fn put(&mut self, metric: C, body: impl FnOnce(&mut Points<'_>)) {
        if !self.switches.is_on(metric) {
            return;
        }
        let metric = &C::METRICS[metric.index()];
        let begin = self.out.len();
        let mut written = 0;
        let times = self.times;
        put_message(self.out, 2, |out| {
            put_bytes(out, 1, metric.name.as_bytes());
            put_bytes(out, 2, metric.text.as_bytes());
            put_bytes(out, 3, metric.unit.as_bytes());
            let number = if metric.kind == Kind::Gauge { 5 } else { 7 };
            put_message(out, number, |out| {
                body(&mut Points { out, times, written: &mut written });
                if metric.kind != Kind::Gauge {
                    put_uint(out, 2, CUMULATIVE);
                }
                if metric.kind == Kind::Counter {
                    put_uint(out, 3, 1);
                }
            });
        });
        match written {
            0 => self.out.truncate(begin),
            _ => {
                *self.metrics += 1;
                *self.points += written;
            }
        }
    }
}

/// The points of one metric.
pub(crate) struct Points<'a> {
    out: &'a mut Vec<u8>,
    times: Times,
    written: &'a mut u64,
}

impl Points<'_> {
    /// A whole number; one over the range of the wire stays at its end.
    pub(crate) fn int(&mut self, value: u64, attributes: &[(&str, &str)]) {
        self.int_with(value, |point| attributes.iter().for_each(|(key, value)| point.text(key, value)));
    }

    /// The same with attributes that need not be text.
    pub(crate) fn int_with(&mut self, value: u64, attributes: impl FnOnce(&mut Attributes<'_>)) {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        self.point(|out| put_fixed64(out, 6, value as u64), attributes);
    }

    pub(crate) fn double(&mut self, value: f64, attributes: &[(&str, &str)]) {
        self.point(
            |out| put_double(out, 4, value),
            |point| attributes.iter().for_each(|(key, value)| point.text(key, value)),
        );
    }

    fn point(&mut self, value: impl FnOnce(&mut Vec<u8>), attributes: impl FnOnce(&mut Attributes<'_>)) {
        *self.written += 1;
        let times = self.times;
        put_message(self.out, 1, |out| {
            put_fixed64(out, 2, times.start);
            put_fixed64(out, 3, times.now);
            value(out);
            attributes(&mut Attributes { out, number: 7 });
        });
    }
}

/// The attributes of a resource or a point.
pub(crate) struct Attributes<'a> {
    out: &'a mut Vec<u8>,
    number: u32,
}

impl Attributes<'_> {
    pub(crate) fn text(&mut self, key: &str, value: &str) {
        put_attribute(self.out, self.number, key, &AnyValue::from(value));
    }

    pub(crate) fn int(&mut self, key: &str, value: i64) {
        put_attribute(self.out, self.number, key, &AnyValue::from(value));
    }
}

/// Text of the kernel, which is bytes, as OTLP wants it.
pub(crate) fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}
