//! Counts as metrics.

use phoenix_pdata::view::Resource;
use phoenix_pdata::write::{put_bytes, put_fixed64, put_message, put_uint};

/// The scope of the metrics.
const SCOPE: &str = "github.com/open-telemetry/opentelemetry-collector-contrib/connector/countconnector";
const DELTA: u64 = 1;

/// One data point: its attributes, encoded as fields of a data point, and the count.
pub(crate) struct Point<'a> {
    pub(crate) attributes: &'a [u8],
    pub(crate) count: u64,
}

/// One metric with its points.
pub(crate) struct Counted<'a> {
    pub(crate) name: &'a str,
    pub(crate) description: &'a str,
    /// From the first to the last time of what was counted; when it was counted, if it has none.
    pub(crate) times: (u64, u64),
    pub(crate) points: Vec<Point<'a>>,
}

/// Appends the metrics of one resource to a request.
pub(crate) fn put_resource(out: &mut Vec<u8>, resource: Resource<'_>, metrics: &[Counted<'_>]) {
    put_message(out, 1, |out| {
        put_message(out, 1, |out| {
            for attribute in resource.attributes().bodies() {
                put_bytes(out, 1, attribute);
            }
        });
        put_message(out, 2, |out| {
            put_message(out, 1, |out| put_bytes(out, 1, SCOPE.as_bytes()));
            for metric in metrics {
                put_message(out, 2, |out| put_metric(out, metric));
            }
        });
    });
}

fn put_metric(out: &mut Vec<u8>, metric: &Counted<'_>) {
    put_bytes(out, 1, metric.name.as_bytes());
    if !metric.description.is_empty() {
        put_bytes(out, 2, metric.description.as_bytes());
    }
    put_message(out, 7, |out| {
        for point in &metric.points {
            put_message(out, 1, |out| {
                put_fixed64(out, 2, metric.times.0);
                put_fixed64(out, 3, metric.times.1);
                put_fixed64(out, 6, point.count);
                out.extend_from_slice(point.attributes);
            });
        }
        put_uint(out, 2, DELTA);
        put_uint(out, 3, 1);
    });
}
