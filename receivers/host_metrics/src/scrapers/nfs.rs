use std::path::Path;

use super::{Failures, Scene, Scraper, put_host};
use crate::catalog::NfsMetric;
use crate::config::{NfsConfig, Switches};
use crate::host::{self, ReadError};
use crate::output::{Metrics, Output, Points};
use crate::parse::{NfsClient, NfsServer, V3_PROCEDURES, V4_CLIENT_OPERATIONS, V4_OPERATIONS, V4_PROCEDURES};

/// What the NFS client and the NFS server of the kernel counted.
pub(crate) struct Nfs {
    switches: Switches<NfsMetric>,
}

/// By what points are told apart.
const TRANSPORT: &str = "network.transport";

impl Nfs {
    pub(crate) fn new(config: &NfsConfig) -> Nfs {
        Nfs { switches: config.metrics.clone() }
    }

    fn missing(&self, metrics: &[NfsMetric]) -> u64 {
        metrics.iter().filter(|metric| self.switches.is_on(**metric)).count() as u64
    }

    /// Reads one of the files. One that is not there is no failure where the other is: a host need not be both.
    fn read<T>(
        &self,
        (path, other): (&Path, &Path),
        of: &[NfsMetric],
        parse: fn(&[u8]) -> T,
        buffer: &mut Vec<u8>,
        failures: &mut Failures,
    ) -> Option<T> {
        let is_needless = |error: &ReadError| error.kind() == std::io::ErrorKind::NotFound && other.exists();
        match host::read_into(path, buffer) {
            Ok(()) => return Some(parse(buffer)),
            Err(error) if is_needless(&error) => {}
            Err(error) => failures.add(self.missing(of), error),
        }
        None
    }
}

const OF_CLIENT: [NfsMetric; 7] = [
    NfsMetric::ClientNet,
    NfsMetric::ClientConnections,
    NfsMetric::ClientOperations,
    NfsMetric::ClientProcedures,
    NfsMetric::ClientAuthRefreshes,
    NfsMetric::ClientCalls,
    NfsMetric::ClientRetransmits,
];

const OF_SERVER: [NfsMetric; 9] = [
    NfsMetric::ServerStale,
    NfsMetric::ServerIo,
    NfsMetric::ServerNet,
    NfsMetric::ServerConnections,
    NfsMetric::ServerOperations,
    NfsMetric::ServerProcedures,
    NfsMetric::ServerCache,
    NfsMetric::ServerRefused,
    NfsMetric::ServerThreads,
];

impl Scraper for Nfs {
    fn name(&self) -> &'static str {
        "nfs"
    }

    fn metrics(&self) -> u64 {
        self.switches.count()
    }

    fn scrape(&mut self, scene: &mut Scene<'_>, out: &mut Output, failures: &mut Failures) {
        let [nfs, nfsd] = ["net/rpc/nfs", "net/rpc/nfsd"].map(|path| scene.paths.proc.join(path));
        let client = self.read((&nfs, &nfsd), &OF_CLIENT, NfsClient::parse, scene.buffer, failures);
        let server = self.read((&nfsd, &nfs), &OF_SERVER, NfsServer::parse, scene.buffer, failures);
        put_host(out, "nfs", &self.switches, scene.times(), |metrics| {
            if let Some(client) = &client {
                put_client(client, metrics);
            }
            if let Some(server) = &server {
                put_server(server, metrics);
            }
        });
    }
}

fn put_client(client: &NfsClient, metrics: &mut Metrics<'_, NfsMetric>) {
    if let Some([udp, tcp, connections]) = client.net {
        metrics.put(NfsMetric::ClientNet, |points| {
            points.int(udp, &[(TRANSPORT, "udp")]);
            points.int(tcp, &[(TRANSPORT, "tcp")]);
        });
        metrics.put(NfsMetric::ClientConnections, |points| points.int(connections, &[]));
    }
    if let Some([calls, retransmits, refreshes]) = client.rpc {
        metrics.put(NfsMetric::ClientCalls, |points| points.int(calls, &[]));
        metrics.put(NfsMetric::ClientRetransmits, |points| points.int(retransmits, &[]));
        metrics.put(NfsMetric::ClientAuthRefreshes, |points| points.int(refreshes, &[]));
    }
    metrics.put(NfsMetric::ClientProcedures, |points| {
        calls(points, 3, PROCEDURE, V3_PROCEDURES.into_iter(), &client.procedures);
    });
    metrics.put(NfsMetric::ClientOperations, |points| {
        calls(points, 4, OPERATION, V4_CLIENT_OPERATIONS.split(' '), &client.operations);
    });
}

fn put_server(server: &NfsServer, metrics: &mut Metrics<'_, NfsMetric>) {
    if let Some(counts) = server.cache {
        metrics.put(NfsMetric::ServerCache, |points| {
            for (status, count) in ["hit", "miss", "nocache"].into_iter().zip(counts) {
                points.int(count, &[("nfs.server.repcache.status", status)]);
            }
        });
    }
    if let Some(stale) = server.stale {
        metrics.put(NfsMetric::ServerStale, |points| points.int(stale, &[]));
    }
    if let Some([read, written]) = server.bytes {
        metrics.put(NfsMetric::ServerIo, |points| {
            points.int(read, &[("network.io.direction", "receive")]);
            points.int(written, &[("network.io.direction", "transmit")]);
        });
    }
    if let Some(threads) = server.threads {
        metrics.put(NfsMetric::ServerThreads, |points| points.int(threads, &[]));
    }
    if let Some([udp, tcp, connections]) = server.net {
        metrics.put(NfsMetric::ServerNet, |points| {
            points.int(udp, &[(TRANSPORT, "udp")]);
            points.int(tcp, &[(TRANSPORT, "tcp")]);
        });
        metrics.put(NfsMetric::ServerConnections, |points| points.int(connections, &[]));
    }
    if let Some(counts) = server.refused {
        metrics.put(NfsMetric::ServerRefused, |points| {
            for (kind, count) in ["format", "auth", "client"].into_iter().zip(counts) {
                points.int(count, &[("error.type", kind)]);
            }
        });
    }
    metrics.put(NfsMetric::ServerProcedures, |points| {
        calls(points, 3, PROCEDURE, V3_PROCEDURES.into_iter(), &server.procedures);
        calls(points, 4, PROCEDURE, V4_PROCEDURES.into_iter(), &server.compounds);
    });
    metrics.put(NfsMetric::ServerOperations, |points| {
        calls(points, 4, OPERATION, V4_OPERATIONS.split(' '), &server.operations);
    });
}

const PROCEDURE: &str = "onc_rpc.procedure.name";
const OPERATION: &str = "nfs.operation.name";

/// Calls by name; numbers that are not in use, and those of newer kernels, have none.
fn calls<'n>(
    points: &mut Points<'_>,
    version: i64,
    key: &str,
    names: impl Iterator<Item = &'n str>,
    counts: &[u64],
) {
    for (name, count) in names.zip(counts).filter(|(name, _)| *name != "-") {
        points.int_with(*count, |attributes| {
            attributes.int("onc_rpc.version", version);
            attributes.text(key, name);
        });
    }
}
