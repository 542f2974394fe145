//! Takes data points of senders that stand in for each other: from one of them at a time.

use phoenix_component::Now;
use phoenix_pdata::view::{Attributes, key_of};
use phoenix_series::{Fingerprint, Slot};

use super::Aggregator;
use crate::intake::{Origin, Point};
use crate::replicas::{Member, Role, Standby};
use crate::stream::Events;
use crate::watermark::Partition;

impl Aggregator {
    /// Who attributes say that a data point is from.
    pub(super) fn member_of(&mut self, attributes: Attributes<'_>) -> Member {
        let Some(replicas) = &self.replicas else { return Member::default() };
        let mut find = |key: &[u8]| {
            let body = attributes.bodies().find(|body| key_of(body) == key)?;
            Some(self.hasher.attribute(body))
        };
        Member { replica: find(&replicas.replica), cluster: find(&replicas.cluster) }
    }

    /// Takes a data point into its stream, if its sender is the one that counts; tells whether it is.
    pub(super) fn accept_member<'a>(
        &mut self,
        slot: Slot,
        origin: &Origin<'a>,
        partition: Partition,
        point: impl Point<'a>,
        now: Now,
        events: &mut Events,
    ) -> Result<bool, &'static str> {
        let of_point = match origin.member {
            Member { replica: Some(_), cluster: Some(_) } => Member::default(),
            _ => self.member_of(point.attributes()),
        };
        let Some(replica) = origin.member.replica.or(of_point.replica) else {
            let sample = self.sample(point, now)?;
            return self.accept(slot, partition, sample, 0, now, events).map(|()| true);
        };
        let cluster = origin.member.cluster.or(of_point.cluster).unwrap_or_default();
        let sample = self.sample(point, now)?;
        let time = sample.place.time;
        let Some(replicas) = &mut self.replicas else { return Ok(false) };
        match replicas.judge(cluster, replica, time) {
            Role::Leads { since } => self.accept(slot, partition, sample, since, now, events).map(|()| true),
            Role::TakesOver { since } => {
                self.take_standby(cluster, replica, since, now, events);
                self.accept(slot, partition, sample, since, now, events).map(|()| true)
            }
            Role::Waits => {
                let (timeout, resource) = (replicas.timeout, origin.resource_id);
                if let Some(stream) = self.streams.key(slot) {
                    replicas.keep(cluster, Standby { number: 0, replica, stream, resource, sample });
                }
                // Windows wait for who takes over.
                self.watermark.hold(partition, time, timeout, now.monotonic);
                Ok(false)
            }
            Role::NoRoom => {
                self.pool.give_back(sample.value);
                Err("cluster_limit")
            }
        }
    }

    /// Takes what waited of a replica that took over. What the former one has covered is refused by the streams.
    fn take_standby(
        &mut self,
        cluster: Fingerprint,
        replica: Fingerprint,
        since: u64,
        now: Now,
        events: &mut Events,
    ) {
        let Some(replicas) = &mut self.replicas else { return };
        for Standby { stream, resource, sample, .. } in replicas.take(cluster, replica) {
            if let Some(slot) = self.streams.find(stream) {
                // It was counted as taken when it came.
                let partition = self.watermark.partition(resource);
                let _ = self.accept(slot, partition, sample, since, now, events);
            }
        }
    }
}
