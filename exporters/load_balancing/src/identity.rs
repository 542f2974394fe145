//! What otelcol makes of a resource or a stream of data points to tell it from others: a hash of all that identifies
//! it, printed. Placed on the same ring, the same stream goes to the same backend from either collector.

use phoenix_pdata::view::{AnyValue, Attributes, Data, Metric, Resource, Scope};
use xxhash_rust::xxh64::xxh64;

/// Stands before a key.
const KEY: u8 = 0xf4;
/// Appended for the second half of a hash.
const EXTRA: u8 = 0xf3;

/// FNV-1a of 64 bits.
#[derive(Clone, Copy)]
struct Fnv(u64);

impl Fnv {
    fn write(mut self, bytes: &[u8]) -> Fnv {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        self
    }
}

/// A resource, with or without a scope and a metric.
#[derive(Clone, Copy)]
pub(crate) struct Identity(Fnv);

impl Identity {
    /// A resource, by its attributes. `buffer` is for scratch, as below.
    pub(crate) fn of_resource(resource: Option<Resource<'_>>, buffer: &mut Vec<u8>) -> Identity {
        let attributes = resource.map(|resource| resource.attributes()).unwrap_or_default();
        Identity(Fnv(0xcbf2_9ce4_8422_2325).write(&hash(attributes, buffer)))
    }

    /// A scope of it.
    pub(crate) fn scope(self, scope: Option<Scope<'_>>, buffer: &mut Vec<u8>) -> Identity {
        let Some(scope) = scope else { return Identity(self.0.write(&[0; 16])) };
        let named = self.0.write(scope.name().as_bytes()).write(scope.version().as_bytes());
        Identity(named.write(&hash(scope.attributes(), buffer)))
    }

    /// A metric of that.
    pub(crate) fn metric(self, metric: &Metric<'_>) -> Identity {
        // The kinds as otelcol numbers them; whether values only grow, and how they relate in time.
        let (kind, monotonic, temporality) = match metric.data() {
            None => (0, false, None),
            Some(Data::Gauge(_)) => (1, false, None),
            Some(Data::Sum(sum)) => (2, sum.is_monotonic(), Some(sum.aggregation_temporality())),
            Some(Data::Histogram(data)) => (3, true, Some(data.aggregation_temporality())),
            Some(Data::ExponentialHistogram(data)) => (4, true, Some(data.aggregation_temporality())),
            Some(Data::Summary(_)) => (5, false, None),
        };
        let temporality = temporality.map_or(0, |temporality| temporality as u8);
        let named = self.0.write(metric.name().as_bytes()).write(metric.unit().as_bytes());
        Identity(named.write(&[kind, u8::from(monotonic), temporality]))
    }

    /// The key of a stream of it, by the attributes of a data point.
    pub(crate) fn stream(self, point: Attributes<'_>, buffer: &mut Vec<u8>) -> String {
        format!("stream/{:x}", self.0.write(&hash(point, buffer)).0)
    }

    /// The key of the resource.
    pub(crate) fn resource(self) -> String {
        format!("resource/{:x}", self.0.0)
    }
}

/// 128 bits that do not depend on the order of the attributes.
fn hash(attributes: Attributes<'_>, buffer: &mut Vec<u8>) -> [u8; 16] {
    let mut hash = [0; 16];
    if attributes.is_empty() {
        return hash;
    }
    buffer.clear();
    write_map(attributes, buffer);
    hash[..8].copy_from_slice(&xxh64(buffer, 0).to_le_bytes());
    buffer.push(EXTRA);
    hash[8..].copy_from_slice(&xxh64(buffer, 0).to_le_bytes());
    hash
}

fn write_map(map: Attributes<'_>, out: &mut Vec<u8>) {
    let mut keys: Vec<&[u8]> = map.bodies().map(phoenix_pdata::view::key_of).collect();
    keys.sort_unstable();
    for key in keys {
        out.push(KEY);
        out.extend_from_slice(key);
        // Of attributes with the same key, otelcol writes the first, as often as there are some.
        let value = map.iter().find(|attribute| attribute.key().as_bytes() == key);
        write_value(value.map(|attribute| attribute.value()).unwrap_or_default(), out);
    }
}

/// A mark for the kind of value, then its bytes. Validated requests bound how deep values nest.
fn write_value(value: AnyValue<'_>, out: &mut Vec<u8>) {
    match value {
        AnyValue::Empty | AnyValue::StringIndex(_) => out.push(0xf5),
        AnyValue::Bytes(bytes) => {
            out.push(0xf6);
            out.extend_from_slice(bytes);
        }
        AnyValue::String(text) => {
            out.push(0xf7);
            out.extend_from_slice(text.as_bytes());
        }
        AnyValue::Bool(true) => out.push(0xf8),
        AnyValue::Bool(false) => out.push(0xf9),
        AnyValue::Int(number) => {
            out.push(0xfa);
            out.extend_from_slice(&number.to_le_bytes());
        }
        AnyValue::Double(number) => {
            out.push(0xfb);
            out.extend_from_slice(&number.to_le_bytes());
        }
        AnyValue::Map(map) => {
            out.push(0xfc);
            write_map(map, out);
            out.push(0xfd);
        }
        AnyValue::Array(values) => {
            out.push(0xfe);
            values.iter().for_each(|value| write_value(value, out));
            out.push(0xff);
        }
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1 as common;
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    use opentelemetry_proto::tonic::metrics::v1 as metrics;
    use opentelemetry_proto::tonic::resource::v1 as resource;
    use phoenix_pdata::view::{NumberPoint, View as _};
    use prost::Message as _;

    use super::*;

    fn attribute(key: &str, value: Value) -> common::KeyValue {
        let value = Some(common::AnyValue { value: Some(value) });
        common::KeyValue { key: key.to_owned(), value, ..common::KeyValue::default() }
    }

    /// What otelcol 0.145 prints for the same data.
    #[test]
    fn identities_are_those_of_otelcol() {
        let attributes = vec![
            attribute("service.name", Value::StringValue("checkout".to_owned())),
            attribute("host.cpus", Value::IntValue(8)),
            attribute("spot", Value::BoolValue(true)),
            attribute("load", Value::DoubleValue(0.5)),
        ];
        let resource = resource::Resource { attributes, ..resource::Resource::default() }.encode_to_vec();
        let scope = common::InstrumentationScope {
            name: "lib".to_owned(),
            version: "1.2".to_owned(),
            ..common::InstrumentationScope::default()
        };
        let scope = scope.encode_to_vec();
        let metric = metrics::Metric {
            name: "requests".to_owned(),
            unit: "1".to_owned(),
            data: Some(metrics::metric::Data::Sum(metrics::Sum {
                aggregation_temporality: 2,
                is_monotonic: true,
                ..metrics::Sum::default()
            })),
            ..metrics::Metric::default()
        };
        let metric = metric.encode_to_vec();
        let attributes = vec![attribute("route", Value::StringValue("/cart".to_owned()))];
        let point = metrics::NumberDataPoint { attributes, ..metrics::NumberDataPoint::default() };
        let point = point.encode_to_vec();

        let mut buffer = Vec::new();
        let of_resource = Identity::of_resource(Some(Resource::new(&resource)), &mut buffer);
        assert_eq!(of_resource.resource(), "resource/85e9b5e0c527c5e7");
        let of_metric =
            of_resource.scope(Some(Scope::new(&scope)), &mut buffer).metric(&Metric::new(&metric));
        let stream = of_metric.stream(NumberPoint::new(&point).attributes(), &mut buffer);
        assert_eq!(stream, "stream/d9e7fd73450c702d");
        assert_eq!(Identity::of_resource(None, &mut buffer).resource(), "resource/88201fb960ff6465");
    }
}
