//! Writes down what waits as it was at one moment, in portions, while it goes on changing.

use std::collections::HashSet;

use phoenix_series::Fingerprint;

use super::{Replicas, Standby};

/// What is still to be written.
#[derive(Debug)]
pub(super) struct Saving {
    /// What has this number or a larger one came later.
    until: u64,
    /// Clusters of which nothing is written.
    rest: HashSet<Fingerprint>,
    /// The cluster that is being written, and up to which number it is.
    at: Option<(Fingerprint, u64)>,
    /// What was to be written, and waits no longer.
    gone: Vec<(Fingerprint, Standby)>,
}

impl Saving {
    fn is_open(&self, cluster: Fingerprint, number: u64) -> bool {
        let begun = self.at.is_some_and(|(at, next)| at == cluster && number >= next);
        number < self.until && (begun || self.rest.contains(&cluster))
    }
}

/// A data point waits no longer: if it did at the moment that is written down, it is kept until it is written.
pub(super) fn note(saving: &mut Option<Saving>, cluster: Fingerprint, standby: &Standby) {
    if let Some(saving) = saving.as_mut().filter(|saving| saving.is_open(cluster, standby.number)) {
        saving.gone.push((cluster, standby.clone()));
    }
}

impl Replicas {
    /// The moment whose state is written.
    pub(crate) fn begin_saving(&mut self) {
        self.saving = Some(Saving {
            until: self.next + 1,
            rest: self.clusters.keys().copied().collect(),
            at: None,
            gone: Vec::new(),
        });
    }

    /// Hands over at most so many data points that waited at that moment, with their clusters. True where that was the rest.
    pub(crate) fn save(&mut self, portion: usize, mut write: impl FnMut(Fingerprint, &Standby)) -> bool {
        let Some(saving) = &mut self.saving else { return true };
        saving.gone.drain(..).for_each(|(cluster, standby)| write(cluster, &standby));
        let mut left = portion;
        while left > 0 {
            let Some((cluster, next)) = saving.at else {
                let Some(cluster) = saving.rest.iter().next().copied() else {
                    self.saving = None;
                    return true;
                };
                saving.rest.remove(&cluster);
                saving.at = Some((cluster, 0));
                continue;
            };
            let waits = self.clusters.get(&cluster).map(|found| &found.standby);
            let open = waits.into_iter().flat_map(|waits| {
                // They wait in the order of their numbers.
                waits.range(waits.partition_point(|standby| standby.number < next)..)
            });
            let mut last = None;
            for standby in open.take_while(|standby| standby.number < saving.until).take(left) {
                write(cluster, standby);
                last = Some(standby.number);
                left -= 1;
            }
            saving.at = match last {
                Some(number) if left == 0 => Some((cluster, number + 1)),
                _ => None,
            };
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use phoenix_series::Place;
    use phoenix_telemetry::Metrics;
    use proptest::prelude::*;

    use super::super::{ReplicaMetrics, Role};
    use super::*;
    use crate::config::HighAvailability;
    use crate::value::{Sample, Value};

    const S: u64 = 1_000_000_000;

    fn key(number: u64) -> Fingerprint {
        Fingerprint::from(u128::from(number))
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_waited_at_the_moment(
            steps in prop::collection::vec((0u64..3, 1u64..4, 0u64..40), 1..120),
            begins in 0usize..100,
            portion in 1usize..6,
        ) {
            let config = HighAvailability { max_standby_points: 20, ..HighAvailability::default() };
            let mut replicas = Replicas::new(&config, 5 * S, ReplicaMetrics::new(&Metrics::default(), "a"));
            let (mut expected, mut written, mut done) = (None, Vec::new(), false);
            let waiting = |replicas: &Replicas| -> Vec<(Fingerprint, u64)> {
                let all = replicas.clusters.iter();
                all.flat_map(|(cluster, found)| found.standby.iter().map(|standby| (*cluster, standby.number))).collect()
            };
            for (turn, (cluster, replica, ahead)) in steps.iter().enumerate() {
                if turn == begins {
                    expected = Some(waiting(&replicas));
                    replicas.begin_saving();
                }
                let time = 100 + turn as u64 + ahead;
                match replicas.judge(key(*cluster), key(*replica), time * S) {
                    Role::Waits => {
                        let sample = Sample { place: Place { start: 0, time: time * S }, value: Value::default() };
                        replicas.keep(key(*cluster), Standby {
                            number: 0, replica: key(*replica), stream: key(9), resource: key(8), sample,
                        });
                    }
                    Role::TakesOver { .. } => drop(replicas.take(key(*cluster), key(*replica))),
                    _ => {}
                }
                if expected.is_some() && !done {
                    done = replicas.save(portion, |cluster, standby| written.push((cluster, standby.number)));
                }
            }
            while expected.is_some() && !done {
                done = replicas.save(portion, |cluster, standby| written.push((cluster, standby.number)));
            }
            written.sort();
            let mut expected = expected.unwrap_or_default();
            expected.sort();
            prop_assert_eq!(written, expected);
        }
    }
}
