//! Data points on their way out, a request at a time.

use phoenix_pdata::write::{put_bytes, put_message};

use crate::latest::Latest;

/// The most data points of a request, and the bytes of them from which on it is full: gRPC servers take 4 MiB unless they are
/// told otherwise.
const MOST_POINTS: u64 = 8192;
const FULL_BYTES: usize = 2 << 20;

/// What goes out, and how far that has come.
#[derive(Debug)]
pub(crate) struct Leaving {
    latest: Latest,
    resource: usize,
    scope: usize,
    metric: usize,
    point: usize,
    points: u64,
    bytes: usize,
}

/// A request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) bytes: Vec<u8>,
    pub(crate) points: u64,
}

/// How much more a request takes.
struct Room {
    points: u64,
    bytes: usize,
}

impl Room {
    fn is_left(&self) -> bool {
        self.points < MOST_POINTS && self.bytes < FULL_BYTES
    }
}

impl Leaving {
    pub(crate) fn new(latest: Latest) -> Leaving {
        let (points, bytes) = (latest.points(), latest.bytes());
        Leaving { latest, resource: 0, scope: 0, metric: 0, point: 0, points, bytes }
    }

    /// Data points that are left, and their bytes.
    pub(crate) fn held(&self) -> (u64, usize) {
        (self.points, self.bytes)
    }

    /// The next request; none when everything is out.
    pub(crate) fn next(&mut self) -> Option<Request> {
        let mut room = Room { points: 0, bytes: 0 };
        let mut bytes = Vec::with_capacity(self.bytes.min(FULL_BYTES) * 5 / 4);
        while room.is_left() && self.resource < self.latest.resources.len() {
            put_message(&mut bytes, 1, |out| self.put_resource(out, &mut room));
        }
        self.points -= room.points;
        self.bytes -= room.bytes;
        (room.points > 0).then_some(Request { bytes, points: room.points })
    }

    fn put_resource(&mut self, out: &mut Vec<u8>, room: &mut Room) {
        out.extend_from_slice(&self.latest.resources[self.resource].head);
        while room.is_left() && self.scope < self.latest.resources[self.resource].members.len() {
            put_message(out, 2, |out| self.put_scope(out, room));
        }
        if self.scope >= self.latest.resources[self.resource].members.len() {
            (self.resource, self.scope) = (self.resource + 1, 0);
        }
    }

    fn put_scope(&mut self, out: &mut Vec<u8>, room: &mut Room) {
        let scope = self.latest.resources[self.resource].members[self.scope] as usize;
        out.extend_from_slice(&self.latest.scopes[scope].head);
        while room.is_left() && self.metric < self.latest.scopes[scope].members.len() {
            let metric = self.latest.scopes[scope].members[self.metric] as usize;
            put_message(out, 2, |out| self.put_metric(out, metric, room));
        }
        if self.metric >= self.latest.scopes[scope].members.len() {
            (self.scope, self.metric) = (self.scope + 1, 0);
        }
    }

    fn put_metric(&mut self, out: &mut Vec<u8>, metric: usize, room: &mut Room) {
        let metric = &mut self.latest.metrics[metric];
        out.extend_from_slice(&metric.head);
        put_message(out, metric.field, |out| {
            out.extend_from_slice(&metric.data);
            while let Some(point) = metric.points.get_mut(self.point).filter(|_| room.is_left()) {
                // It is not needed again.
                let point = std::mem::take(&mut point.bytes);
                put_bytes(out, 1, &point);
                room.points += 1;
                room.bytes += point.len();
                self.point += 1;
            }
        });
        if self.point >= metric.points.len() {
            (self.metric, self.point) = (self.metric + 1, 0);
        }
    }
}
