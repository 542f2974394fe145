//! Own metrics on their way out: `/metrics` for whoever asks, and pushes to backends.
//!
//! All of it runs on the control thread. Readers whose settings stay go on over a change of the
//! configuration; one that keeps its port keeps its listener and its connections. What a scrape gets is
//! built once, whole; connections, their number and their time are bounded.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use phoenix_component::{Budget, Cores, Host, ListenerLease};
use phoenix_telemetry::{Counter, Description};
use phoenix_transport::http::server::{self, Options, Reconfigure};
use phoenix_transport::{Server, ServerMetrics, WhenFull};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

mod process;
mod push;
mod scrape;

use push::Pusher;
use scrape::Scrape;

use crate::service_telemetry::{ReaderPlan, ServiceTelemetry};

/// Connections that scrape at a time.
const CONNECTIONS: usize = 64;
/// Times of the endpoint, as in otelcol.
const READ_TIMEOUT: Duration = Duration::from_secs(5);
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
const IDLE_TIMEOUT: Duration = Duration::from_secs(120);
/// Bytes that requests may hold: they have no bodies.
const REQUEST_BYTES: usize = 1 << 20;
const MAX_BODY_BYTES: usize = 64 << 10;
/// How long readers that are gone may go on.
const LEAVING: Duration = Duration::from_secs(5);

const BAD_CONFIGURATIONS: Description = Description {
    name: "phoenix_config_rejected",
    unit: "{configuration}",
    text: "Configurations with mistakes that were read while the collector ran, and changed nothing.",
};

/// Who reads own metrics.
pub(crate) struct OwnMetrics {
    host: Host,
    /// The control thread, as the only core.
    here: Cores,
    readers: Vec<Reader>,
    bad_configurations: Counter,
}

struct Reader {
    plan: ReaderPlan,
    resource: Arc<phoenix_telemetry::Resource>,
    running: Running,
}

enum Running {
    /// The lease keeps the port while connections are handed on.
    Scraped {
        lease: ListenerLease,
        server: Server,
        service: Reconfigure<Scrape>,
    },
    Pushing {
        stop: CancellationToken,
        task: JoinHandle<()>,
    },
}

/// Readers of a new configuration, with all that could fail done.
pub(crate) struct Prepared {
    telemetry: ServiceTelemetry,
    readers: Vec<(ReaderPlan, Ready)>,
}

enum Ready {
    Listener(ListenerLease),
    Pusher(Box<Pusher>),
}

impl OwnMetrics {
    /// Nobody reads yet. Call within the control runtime.
    pub(crate) fn new(host: &Host) -> OwnMetrics {
        process::register(host);
        OwnMetrics {
            host: host.clone(),
            here: Cores::current_runtime(),
            readers: Vec::new(),
            bad_configurations: host.metrics.counter(BAD_CONFIGURATIONS, &[]),
        }
    }

    /// A configuration with mistakes was read.
    pub(crate) fn count_bad_configuration(&self) {
        self.bad_configurations.add(1);
    }

    /// Gets the ports and clients that a configuration asks for; changes nothing of what runs.
    pub(crate) fn prepare(&self, telemetry: &ServiceTelemetry) -> anyhow::Result<Prepared> {
        let mut readers = Vec::new();
        for plan in &telemetry.metrics.readers {
            let ready = match plan {
                ReaderPlan::Prometheus { endpoint, .. } => {
                    let lease = self.host.leases.listen_tcp(endpoint).with_context(|| {
                        format!(
                            "own metrics cannot be served at {endpoint} (service::telemetry::metrics::readers names \
                             another `port`, service::telemetry::metrics::level: none serves nothing)"
                        )
                    })?;
                    Ready::Listener(lease)
                }
                ReaderPlan::Push { to, .. } => {
                    let pusher = Pusher::new(to, &self.host, &self.here)
                        .context("own metrics cannot be pushed (service::telemetry::metrics::readers)")?;
                    Ready::Pusher(Box::new(pusher))
                }
            };
            readers.push((plan.clone(), ready));
        }
        Ok(Prepared { telemetry: telemetry.clone(), readers })
    }

    /// Puts what was prepared in the place of what runs.
    pub(crate) fn commit(&mut self, prepared: Prepared) {
        let Prepared { telemetry, readers } = prepared;
        let metrics = &self.host.metrics;
        metrics.configure(telemetry.metrics.level, telemetry.metrics.views.clone(), self.host.build.version);
        let resource = Arc::new(telemetry.resource(&self.host.build));
        let mut old = std::mem::take(&mut self.readers);
        for (plan, ready) in readers {
            let same = old.iter().position(|reader| reader.plan == plan && reader.resource == resource);
            if let Some(index) = same {
                self.readers.push(old.swap_remove(index));
                continue;
            }
            let running = match (ready, &plan) {
                (Ready::Listener(lease), ReaderPlan::Prometheus { endpoint, options }) => {
                    let scrape = Scrape {
                        metrics: metrics.clone(),
                        resource: resource.clone(),
                        version: self.host.build.version,
                        options: options.clone(),
                    };
                    let at_port = |reader: &Reader| matches!(&reader.plan, ReaderPlan::Prometheus { endpoint: former, .. } if former == endpoint);
                    match old.iter().position(at_port).map(|index| old.swap_remove(index).running) {
                        Some(Running::Scraped { lease, server, service }) => {
                            service.set(scrape, http_options());
                            Ok(Running::Scraped { lease, server, service })
                        }
                        _ => self.serve(lease, scrape),
                    }
                }
                (Ready::Pusher(pusher), ReaderPlan::Push { interval, timeout, .. }) => {
                    let stop = CancellationToken::new();
                    let pushing =
                        pusher.run(metrics.clone(), resource.clone(), *interval, *timeout, stop.clone());
                    Ok(Running::Pushing { task: self.host.control.spawn(pushing), stop })
                }
                _ => unreachable!("what was prepared is what was planned"),
            };
            match running {
                Ok(running) => self.readers.push(Reader { plan, resource: resource.clone(), running }),
                Err(error) => tracing::error!(%error, "own metrics cannot be served"),
            }
        }
        for reader in old {
            self.host.control.spawn(reader.running.end(Instant::now() + LEAVING));
        }
    }

    fn serve(&self, lease: ListenerLease, scrape: Scrape) -> std::io::Result<Running> {
        let (server, service) = server::start_reconfigurable(
            &lease,
            None,
            scrape,
            http_options(),
            &self.here,
            &Budget::new(REQUEST_BYTES),
            ServerMetrics::detached(),
        )?;
        if let Some(address) = lease.local_addr() {
            tracing::info!(%address, "Serving own metrics under /metrics");
        }
        Ok(Running::Scraped { lease, server, service })
    }

    /// Ends all readers; backends get the last values.
    pub(crate) async fn shutdown(&mut self, deadline: Instant) {
        let deadline =
            deadline.max(Instant::now() + Duration::from_millis(500)).min(Instant::now() + LEAVING);
        let ends = self.readers.drain(..).map(|reader| tokio::spawn(reader.running.end(deadline)));
        for end in ends.collect::<Vec<_>>() {
            let _ = end.await;
        }
    }
}

impl Running {
    async fn end(self, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        match self {
            Running::Scraped { lease, server, .. } => {
                // A port is free once nobody accepts on it.
                drop(lease);
                server.drain(left).await;
            }
            Running::Pushing { stop, mut task } => {
                stop.cancel();
                if tokio::time::timeout(left, &mut task).await.is_err() {
                    task.abort();
                }
            }
        }
    }
}

fn http_options() -> Options {
    Options {
        max_body_bytes: MAX_BODY_BYTES,
        read_timeout: Some(READ_TIMEOUT),
        read_header_timeout: Some(READ_TIMEOUT),
        write_timeout: Some(WRITE_TIMEOUT),
        idle_timeout: Some(IDLE_TIMEOUT),
        max_connections: CONNECTIONS,
        when_full: WhenFull::Evict,
        body_idle_timeout: READ_TIMEOUT,
        ..Options::default()
    }
}
