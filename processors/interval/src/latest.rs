//! The newest data point of each stream, as the bytes that came, under its metric, scope and resource.
//!
//! What lies around data points is kept once: the fields of a message without those that hold the level below. So unknown
//! fields survive, and what goes out needs no encoding but for lengths.
//!
//! - Cost: a hash of the attributes and one look-up for each data point; no allocation for a stream that is known.
//! - Memory: the bytes of the data point and about 100 bytes for each stream.

use std::collections::HashMap;
use std::hash::Hash;

use phoenix_pdata::view::{Metric, ResourceMetrics, ScopeMetrics};
use phoenix_pdata::wire::Fields;
use phoenix_pdata::write::put_uint;
use phoenix_series::{Fingerprint, Hasher, Table};

/// A place in a list.
pub(crate) type Index = u32;

/// The newest data points.
#[derive(Debug)]
pub(crate) struct Latest {
    pub(crate) resources: Vec<Group>,
    pub(crate) scopes: Vec<Group>,
    pub(crate) metrics: Vec<MetricGroup>,
    index: HashMap<Fingerprint, Index>,
    streams: Table<Place>,
    points: u64,
    bytes: usize,
}

/// A resource with its scopes, or a scope with its metrics.
#[derive(Debug)]
pub(crate) struct Group {
    /// The fields of the message, without those that hold `members`.
    pub(crate) head: Box<[u8]>,
    pub(crate) members: Vec<Index>,
}

/// A metric with its data points.
#[derive(Debug)]
pub(crate) struct MetricGroup {
    /// The fields of the message, without the data.
    pub(crate) head: Box<[u8]>,
    /// The number of the field of the data, and what that has beside data points.
    pub(crate) field: u32,
    pub(crate) data: Box<[u8]>,
    pub(crate) points: Vec<Point>,
}

/// A data point.
#[derive(Debug)]
pub(crate) struct Point {
    pub(crate) time: u64,
    pub(crate) bytes: Vec<u8>,
}

/// Where the data point of a stream is.
#[derive(Clone, Copy, Debug)]
struct Place {
    metric: Index,
    point: Index,
}

/// A metric that is being read: where it is, and who it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Around {
    pub(crate) id: Fingerprint,
    at: Index,
}

/// What became of a data point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It is the first of its stream.
    First,
    /// It took the place of an older one.
    Newer,
    /// There is a newer one, or one of the same time.
    Older,
    /// There is no room for its stream.
    Full,
}

impl Latest {
    pub(crate) fn new(max_streams: usize) -> Latest {
        Latest {
            resources: Vec::new(),
            scopes: Vec::new(),
            metrics: Vec::new(),
            index: HashMap::new(),
            streams: Table::new(max_streams),
            points: 0,
            bytes: 0,
        }
    }

    pub(crate) fn points(&self) -> u64 {
        self.points
    }

    /// Bytes of data points.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.points == 0
    }

    /// The resource of an entry; of several with the same attributes the first one is kept.
    pub(crate) fn resource(&mut self, hasher: &mut Hasher, entry: &ResourceMetrics<'_>) -> Around {
        let attributes = entry.resource().map(|resource| hasher.attributes(&resource.attributes()));
        let id =
            hasher.ordered([attributes.unwrap_or_default(), hasher.bytes(entry.schema_url().as_bytes())]);
        let (index, resources) = (&mut self.index, &mut self.resources);
        let at = place(index, id, || {
            resources.push(Group { head: without(entry.raw(), 2), members: Vec::new() });
            resources.len()
        });
        Around { id, at }
    }

    /// A scope of a resource.
    pub(crate) fn scope(
        &mut self,
        hasher: &mut Hasher,
        resource: Around,
        entry: &ScopeMetrics<'_>,
    ) -> Around {
        let scope = entry.scope();
        let attributes = scope.map(|scope| hasher.attributes(&scope.attributes())).unwrap_or_default();
        let (name, version) =
            scope.map(|scope| (scope.name().as_bytes(), scope.version().as_bytes())).unwrap_or_default();
        let texts = [name, version, entry.schema_url().as_bytes()].map(|text| hasher.bytes(text));
        let id = hasher.ordered([resource.id, attributes, texts[0], texts[1], texts[2]]);
        let (index, scopes) = (&mut self.index, &mut self.scopes);
        let group = &mut self.resources[resource.at as usize];
        let at = place(index, id, || {
            group.members.push(scopes.len() as Index);
            scopes.push(Group { head: without(entry.raw(), 2), members: Vec::new() });
            scopes.len()
        });
        Around { id, at }
    }

    /// A metric of a scope, whose data is in the field `field`; the description is no part of who it is.
    pub(crate) fn metric(
        &mut self,
        hasher: &Hasher,
        scope: Around,
        metric: &Metric<'_>,
        field: u32,
    ) -> Around {
        let mut kind = Vec::with_capacity(8);
        put_uint(&mut kind, 1, u64::from(field));
        let texts = [metric.name().as_bytes(), metric.unit().as_bytes(), &kind];
        let texts = texts.map(|text| hasher.bytes(text));
        let id = hasher.ordered([scope.id, texts[0], texts[1], texts[2]]);
        let (index, metrics) = (&mut self.index, &mut self.metrics);
        let group = &mut self.scopes[scope.at as usize];
        let at = place(index, id, || {
            group.members.push(metrics.len() as Index);
            let data = Fields::new(metric.raw()).find(|other| other.is_len(field));
            metrics.push(MetricGroup {
                head: without(metric.raw(), field),
                field,
                data: without(data.map_or(&[], |data| data.body), 1),
                points: Vec::new(),
            });
            metrics.len()
        });
        Around { id, at }
    }

    /// Keeps a data point if it is the newest of its stream.
    pub(crate) fn take(&mut self, metric: Around, key: Fingerprint, time: u64, bytes: &[u8]) -> Kept {
        let group = &mut self.metrics[metric.at as usize];
        if let Some(place) = self.streams.find(key).and_then(|slot| self.streams.get(slot)) {
            let group = &mut self.metrics[place.metric as usize];
            let point = &mut group.points[place.point as usize];
            if time <= point.time {
                return Kept::Older;
            }
            self.bytes = self.bytes + bytes.len() - point.bytes.len();
            point.time = time;
            point.bytes.clear();
            point.bytes.extend_from_slice(bytes);
            return Kept::Newer;
        }
        let place = Place { metric: metric.at, point: group.points.len() as Index };
        if self.streams.insert(key, place).is_err() {
            return Kept::Full;
        }
        group.points.push(Point { time, bytes: bytes.to_vec() });
        self.points += 1;
        self.bytes += bytes.len();
        Kept::First
    }

    /// Takes what another holds where that is newer. Returns how many data points had to go for it, and what there is no room
    /// for, with everything around it.
    pub(crate) fn absorb(&mut self, hasher: &mut Hasher, other: Latest) -> (u64, Option<Latest>) {
        let (mut gone, mut rest) = (0, Latest::new(usize::MAX));
        let mut leaving = crate::leaving::Leaving::new(other);
        while let Some(request) = leaving.next() {
            for entry in phoenix_pdata::view::resource_metrics(&request.bytes) {
                let around = self.resource(hasher, &entry);
                for scope_entry in entry.scopes() {
                    let scope = self.scope(hasher, around, &scope_entry);
                    for metric in scope_entry.records() {
                        let Some(read) = crate::reading::Read::of(&metric) else { continue };
                        let of_metric = self.metric(hasher, scope, &metric, read.field);
                        read.each_point(|point| {
                            let key = point.key(hasher, of_metric.id);
                            match self.take(of_metric, key, point.time, point.raw) {
                                Kept::First => {}
                                Kept::Newer | Kept::Older => gone += 1,
                                Kept::Full => {
                                    let resource = rest.resource(hasher, &entry);
                                    let scope = rest.scope(hasher, resource, &scope_entry);
                                    let of_metric = rest.metric(hasher, scope, &metric, read.field);
                                    rest.take(of_metric, key, point.time, point.raw);
                                }
                            }
                        });
                    }
                }
            }
        }
        (gone, (!rest.is_empty()).then_some(rest))
    }
}

/// Where an identity is; `add` makes it and tells how many there are then.
fn place<K: Eq + Hash>(index: &mut HashMap<K, Index>, id: K, add: impl FnOnce() -> usize) -> Index {
    *index.entry(id).or_insert_with(|| add() as Index - 1)
}

/// The fields of a message without one of them.
fn without(message: &[u8], number: u32) -> Box<[u8]> {
    let fields = Fields::new(message).filter(|field| !field.is_len(number));
    fields.flat_map(|field| field.raw.iter().copied()).collect()
}
