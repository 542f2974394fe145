use super::{Failures, Scene, Scraper, put_host};
use crate::catalog::NetworkMetric;
use crate::config::{Filter, NetworkConfig, Switches};
use crate::host::{self, ReadError};
use crate::output::{Output, text};
use crate::parse::{InterfaceStat, TCP_STATES, TcpStates, interfaces, number};

/// Interfaces, TCP connections and the table of tracked connections.
pub(crate) struct Network {
    switches: Switches<NetworkMetric>,
    interfaces: Filter,
}

const OF_INTERFACES: [NetworkMetric; 4] =
    [NetworkMetric::Dropped, NetworkMetric::Errors, NetworkMetric::Io, NetworkMetric::Packets];

impl Network {
    pub(crate) fn new(config: &NetworkConfig) -> Result<Network, regex::Error> {
        let interfaces = Filter { include: config.include.matcher()?, exclude: config.exclude.matcher()? };
        Ok(Network { switches: config.metrics.clone(), interfaces })
    }

    /// A host without IPv6 has no second file.
    fn connections(scene: &mut Scene<'_>) -> Result<TcpStates, ReadError> {
        let mut states = TcpStates::default();
        for file in ["net/tcp", "net/tcp6"] {
            match host::read_into(&scene.paths.proc.join(file), scene.buffer) {
                Ok(()) => states.add(scene.buffer),
                Err(error) if file == "net/tcp6" && error.is_gone() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(states)
    }

    fn conntrack(
        &self,
        scene: &mut Scene<'_>,
        failures: &mut Failures,
        metric: NetworkMetric,
        file: &str,
    ) -> Option<u64> {
        if !self.switches.is_on(metric) {
            return None;
        }
        let path = scene.paths.proc.join("sys/net/netfilter").join(file);
        let read = host::read_into(&path, scene.buffer);
        match read.map(|()| number(scene.buffer.trim_ascii())) {
            Ok(Some(value)) => return Some(value),
            Ok(None) => failures.add(1, format!("{}: no number", path.display())),
            Err(error) => failures.add(1, error),
        }
        None
    }
}

impl Scraper for Network {
    fn name(&self) -> &'static str {
        "network"
    }

    fn metrics(&self) -> u64 {
        self.switches.count()
    }

    fn scrape(&mut self, scene: &mut Scene<'_>, out: &mut Output, failures: &mut Failures) {
        let connections = match self.switches.is_on(NetworkMetric::Connections) {
            true => Network::connections(scene).map_err(|error| failures.add(1, error)).ok(),
            false => None,
        };
        let count = self.conntrack(scene, failures, NetworkMetric::ConntrackCount, "nf_conntrack_count");
        let most = self.conntrack(scene, failures, NetworkMetric::ConntrackMax, "nf_conntrack_max");
        if self.switches.is_any_on(&OF_INTERFACES)
            && let Err(error) = host::read_into(&scene.paths.proc.join("net/dev"), scene.buffer)
        {
            scene.buffer.clear();
            let missing = OF_INTERFACES.iter().filter(|metric| self.switches.is_on(**metric)).count();
            failures.add(missing as u64, error);
        }
        let all: Vec<_> = interfaces(scene.buffer)
            .map(|interface| (text(interface.name), interface))
            .filter(|(name, _)| self.interfaces.takes(name))
            .collect();
        put_host(out, "network", &self.switches, scene.times(), |metrics| {
            metrics.put(NetworkMetric::Connections, |points| {
                for (state, number) in TCP_STATES.iter().filter(|_| connections.is_some()) {
                    let count = connections.as_ref().map_or(0, |states| states.count(*number));
                    points.int(count, &[("protocol", "tcp"), ("state", state)]);
                }
            });
            metrics.put(NetworkMetric::ConntrackCount, |points| {
                count.iter().for_each(|count| points.int(*count, &[]));
            });
            metrics.put(NetworkMetric::ConntrackMax, |points| {
                most.iter().for_each(|most| points.int(*most, &[]));
            });
            type Read = fn(&InterfaceStat<'_>) -> [u64; 2];
            let by_interface: [(NetworkMetric, Read); 4] = [
                (NetworkMetric::Dropped, |stat| stat.dropped),
                (NetworkMetric::Errors, |stat| stat.errors),
                (NetworkMetric::Io, |stat| stat.bytes),
                (NetworkMetric::Packets, |stat| stat.packets),
            ];
            for (metric, read) in by_interface {
                metrics.put(metric, |points| {
                    for (name, stat) in &all {
                        for (direction, value) in ["receive", "transmit"].iter().zip(read(stat)) {
                            points.int(value, &[("device", name), ("direction", direction)]);
                        }
                    }
                });
            }
        });
    }
}
