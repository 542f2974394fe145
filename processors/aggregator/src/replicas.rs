//! Senders that stand in for each other: of the replicas of a cluster one leads, and what the others send waits in case one of
//! them takes its place.
//!
//! Time is that of the data points, so that who leads does not depend on when requests are worked on, or on a restart. A replica
//! takes over with a data point that is further ahead of the last one of the leader than the timeout; what waits of it is taken
//! then, so that the time in between is not lost. Who comes back waits.
//!
//! - Memory: for each cluster the leader and two times, and data points that are newer than the last one of the leader, or out
//!   of order by no more than data points may be.
//! - Elsewhere: what a data point of another sender means to its stream ([`Stream::hand_over`](crate::stream::Stream)).

mod saving;

use std::collections::VecDeque;

use phoenix_series::{Fingerprint, FingerprintMap};
use phoenix_telemetry::{Counter, Gauge};

use crate::config::HighAvailability;
use crate::value::Sample;
use saving::{Saving, note};

/// What is told of replicas.
#[derive(Clone, Debug)]
pub(crate) struct ReplicaMetrics {
    pub(crate) clusters: Gauge,
    pub(crate) failovers: Counter,
    /// Data points of others than the leader: taken once they took over, or not needed.
    pub(crate) taken: Counter,
    pub(crate) discarded: Counter,
}

/// Who a data point is from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) replica: Option<Fingerprint>,
    pub(crate) cluster: Option<Fingerprint>,
}

/// What a replica is to its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It counts. Up to `since` another one did; 0 where there was none.
    Leads { since: u64 },
    /// It counts from here on, and what waits of it as well.
    TakesOver { since: u64 },
    /// Another one counts.
    Waits,
    /// There are too many clusters.
    NoRoom,
}

/// A data point that waits.
#[derive(Clone, Debug)]
pub(crate) struct Standby {
    /// Those that came later have larger ones.
    pub(crate) number: u64,
    pub(crate) replica: Fingerprint,
    pub(crate) stream: Fingerprint,
    pub(crate) resource: Fingerprint,
    pub(crate) sample: Sample,
}

/// The replicas of one cluster.
#[derive(Debug, Default)]
struct Cluster {
    leader: Fingerprint,
    /// The newest time of a data point of the leader.
    last: u64,
    /// Up to when another one led.
    since: u64,
    standby: VecDeque<Standby>,
}

/// What is kept of a cluster over a restart, beside what waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lead {
    pub(crate) cluster: Fingerprint,
    pub(crate) leader: Fingerprint,
    pub(crate) last: u64,
    pub(crate) since: u64,
}

/// The replicas of all clusters.
#[derive(Debug)]
pub(crate) struct Replicas {
    /// The attributes that say who a data point is from.
    pub(crate) replica: Vec<u8>,
    pub(crate) cluster: Vec<u8>,
    pub(crate) timeout: u64,
    /// How long data points wait behind the last one of the leader: some of the leader may be on their way.
    slack: u64,
    max_clusters: usize,
    max_standby: usize,
    clusters: FingerprintMap<Cluster>,
    standby: usize,
    /// The number of the next one that waits.
    next: u64,
    /// What is still to be written of what waits, while a state is collected.
    saving: Option<Saving>,
    metrics: ReplicaMetrics,
}

impl Replicas {
    pub(crate) fn new(config: &HighAvailability, slack: u64, metrics: ReplicaMetrics) -> Replicas {
        Replicas {
            replica: config.replica.as_bytes().to_vec(),
            cluster: config.cluster.as_bytes().to_vec(),
            timeout: config.failover_timeout.as_nanos().max(0) as u64,
            slack,
            max_clusters: config.max_clusters,
            max_standby: config.max_standby_points,
            clusters: FingerprintMap::default(),
            standby: 0,
            next: 0,
            saving: None,
            metrics,
        }
    }

    /// What a data point of a replica at this time is.
    pub(crate) fn judge(&mut self, cluster: Fingerprint, replica: Fingerprint, time: u64) -> Role {
        let Some(found) = self.clusters.get_mut(&cluster) else {
            if self.clusters.len() >= self.max_clusters {
                return Role::NoRoom;
            }
            self.clusters.insert(cluster, Cluster { leader: replica, last: time, ..Cluster::default() });
            self.metrics.clusters.set(self.clusters.len() as i64);
            return Role::Leads { since: 0 };
        };
        if found.leader == replica {
            if time > found.last {
                found.last = time;
                let saving = &mut self.saving;
                self.standby -= found.discard(self.slack, &self.metrics, |gone| note(saving, cluster, &gone));
            }
            return Role::Leads { since: found.since };
        }
        if time <= found.last.saturating_add(self.timeout) {
            return Role::Waits;
        }
        self.metrics.failovers.add(1);
        (found.leader, found.since, found.last) = (replica, found.last, time);
        Role::TakesOver { since: found.since }
    }

    /// Keeps a data point in case its replica takes over.
    pub(crate) fn keep(&mut self, cluster: Fingerprint, mut standby: Standby) {
        let Some(found) = self.clusters.get_mut(&cluster) else { return };
        if standby.sample.place.time.saturating_add(self.slack) <= found.last {
            self.metrics.discarded.add(1);
            return;
        }
        if self.standby >= self.max_standby {
            self.metrics.discarded.add(1);
            // What is newer covers more: the oldest of the same cluster goes.
            let Some(gone) = found.standby.pop_front() else { return };
            note(&mut self.saving, cluster, &gone);
            self.standby -= 1;
        }
        self.next += 1;
        standby.number = self.next;
        found.standby.push_back(standby);
        self.standby += 1;
    }

    /// What waited of a replica that took over, by time.
    pub(crate) fn take(&mut self, cluster: Fingerprint, replica: Fingerprint) -> Vec<Standby> {
        let Some(found) = self.clusters.get_mut(&cluster) else { return Vec::new() };
        let all = std::mem::take(&mut found.standby);
        let (mut taken, others): (Vec<Standby>, Vec<Standby>) =
            all.into_iter().partition(|standby| standby.replica == replica);
        found.standby = others.into();
        taken.iter().for_each(|standby| note(&mut self.saving, cluster, standby));
        self.standby -= taken.len();
        self.metrics.taken.add(taken.len() as u64);
        taken.sort_by_key(|standby| standby.sample.place.time);
        taken
    }

    /// A data point of a replica that took over says nothing that is not known.
    pub(crate) fn discard(&self) {
        self.metrics.discarded.add(1);
    }

    /// Forgets clusters of which nothing came since.
    pub(crate) fn forget_idle(&mut self, before: u64) {
        let (standby, metrics) = (&mut self.standby, &self.metrics);
        self.clusters.retain(|_, cluster| {
            let stays = cluster.last >= before;
            if !stays {
                *standby -= cluster.standby.len();
                metrics.discarded.add(cluster.standby.len() as u64);
            }
            stays
        });
        self.metrics.clusters.set(self.clusters.len() as i64);
    }

    /// Goes on where another stood, if the same attributes say who a data point is from.
    pub(crate) fn take_over(&mut self, old: &mut Replicas) {
        if (&self.replica, &self.cluster) == (&old.replica, &old.cluster) {
            self.clusters = std::mem::take(&mut old.clusters);
            (self.standby, self.next) = (std::mem::take(&mut old.standby), old.next);
        }
    }

    /// Who leads, for a checkpoint.
    pub(crate) fn leads(&self) -> impl Iterator<Item = Lead> {
        self.clusters.iter().map(|(key, found)| Lead {
            cluster: *key,
            leader: found.leader,
            last: found.last,
            since: found.since,
        })
    }

    /// Takes what a checkpoint says.
    pub(crate) fn restore(&mut self, lead: Lead) {
        if self.clusters.len() < self.max_clusters {
            let Lead { cluster, leader, last, since } = lead;
            self.clusters.insert(cluster, Cluster { leader, last, since, ..Cluster::default() });
            self.metrics.clusters.set(self.clusters.len() as i64);
        }
    }

    /// Bytes of what waits, without histograms.
    pub(crate) fn bytes(&self) -> usize {
        self.standby * size_of::<Standby>() + self.clusters.len() * size_of::<(Fingerprint, Cluster)>()
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.clusters.clear();
        self.standby = 0;
        self.saving = None;
    }
}

impl Cluster {
    /// Lets go of what the leader has covered. Returns how much.
    fn discard(&mut self, slack: u64, metrics: &ReplicaMetrics, mut gone: impl FnMut(Standby)) -> usize {
        let covered = self.last.saturating_sub(slack);
        let mut count = 0;
        while self.standby.front().is_some_and(|standby| standby.sample.place.time <= covered) {
            self.standby.pop_front().into_iter().for_each(&mut gone);
            count += 1;
        }
        metrics.discarded.add(count as u64);
        count
    }
}

#[cfg(test)]
mod tests {
    use phoenix_series::Place;
    use phoenix_telemetry::Metrics;

    use super::*;
    use crate::value::Value;

    const S: u64 = 1_000_000_000;

    fn replicas(config: &HighAvailability) -> Replicas {
        Replicas::new(config, 5 * S, ReplicaMetrics::new(&Metrics::default(), "a"))
    }

    fn key(number: u128) -> Fingerprint {
        Fingerprint::from(number)
    }

    fn standby(replica: u128, time: u64) -> Standby {
        let sample = Sample { place: Place { start: 0, time: time * S }, value: Value::default() };
        Standby { number: 0, replica: key(replica), stream: key(9), resource: key(8), sample }
    }

    #[test]
    fn one_leads_until_it_is_silent_for_the_timeout() {
        let mut replicas = replicas(&HighAvailability::default());
        let mut judge = |replica, time| replicas.judge(key(0), key(replica), time * S);
        assert_eq!(judge(1, 100), Role::Leads { since: 0 });
        assert_eq!((judge(2, 101), judge(2, 130)), (Role::Waits, Role::Waits));
        assert_eq!(judge(2, 131), Role::TakesOver { since: 100 * S });
        // Who comes back waits, whatever it sends.
        assert_eq!((judge(1, 102), judge(1, 140)), (Role::Waits, Role::Waits));
        assert_eq!(judge(2, 141), Role::Leads { since: 100 * S });
        assert_eq!(judge(1, 172), Role::TakesOver { since: 141 * S });
        // Each cluster has its own.
        assert_eq!(replicas.judge(key(7), key(2), S), Role::Leads { since: 0 });
    }

    #[test]
    fn what_waits_is_what_the_leader_has_not_covered_and_bounded() {
        let config =
            HighAvailability { max_standby_points: 3, max_clusters: 1, ..HighAvailability::default() };
        let mut replicas = replicas(&config);
        replicas.judge(key(0), key(1), 100 * S);
        assert_eq!(replicas.judge(key(5), key(1), 100 * S), Role::NoRoom);
        for time in [95, 96, 99, 101] {
            replicas.keep(key(0), standby(2, time));
        }
        assert_eq!(replicas.standby, 3, "the first one is covered");
        replicas.judge(key(0), key(1), 104 * S);
        assert_eq!(replicas.standby, 1);
        for time in [105, 115, 125] {
            replicas.keep(key(0), standby(2, time));
        }
        replicas.keep(key(0), standby(3, 126));
        assert_eq!(replicas.standby, 3, "no more than there is room for");
        assert_eq!(replicas.metrics.discarded.value(), 5);
        let times = |taken: Vec<Standby>| taken.iter().map(|s| s.sample.place.time / S).collect::<Vec<_>>();
        assert_eq!(times(replicas.take(key(0), key(2))), [115, 125]);
        assert_eq!((replicas.standby, replicas.metrics.taken.value()), (1, 2));
        replicas.forget_idle(104 * S);
        assert_eq!(replicas.standby, 1);
        replicas.forget_idle(105 * S);
        assert_eq!((replicas.standby, replicas.clusters.len()), (0, 0));
    }
}
