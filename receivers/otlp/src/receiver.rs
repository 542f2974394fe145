//! The adapter: settings and outlets in, servers out.

use std::any::Any;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use phoenix_component::factory::CreateContext;
use phoenix_component::{
    Adoption, BoxFuture, Host, ListenerLease, Lost, Outlets, Receiver, StartError, Status, StatusReporter,
};
use phoenix_transport::settings::{GrpcServerSettings, HttpServerSettings};
use phoenix_transport::tls::TlsAcceptor;
use phoenix_transport::{Gate, Server, ServerMetrics, grpc, http};
use tokio::time::Instant;

use crate::config::{OtlpHttpSettings, OtlpReceiverConfig};
use crate::grpc::GrpcService;
use crate::http::OtlpHttpService;
use crate::intake::Intake;
use crate::metrics::IntakeMetrics;

/// OTLP over gRPC and HTTP, for every signal that is wired.
pub(crate) struct OtlpReceiver {
    config: OtlpReceiverConfig,
    id: String,
    intake: Intake,
    status: StatusReporter,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    grpc_gate: Gate,
    http_gate: Gate,
    grpc: Protocol<grpc::server::Reconfigure<GrpcService>>,
    http: Protocol<http::server::Reconfigure<OtlpHttpService>>,
}

/// How far one protocol has come.
#[derive(Default)]
enum Protocol<R> {
    #[default]
    Off,
    /// Everything that serving needs is acquired.
    Bound(ListenerLease, Option<TlsAcceptor>),
    /// It runs, with the lease of its port, which a successor shares.
    Serving(ListenerLease, Server, R),
}

impl<R> Protocol<R> {
    fn take(&mut self) -> Protocol<R> {
        std::mem::take(self)
    }

    fn into_server(self) -> Option<Server> {
        match self {
            Protocol::Serving(_, server, _) => Some(server),
            Protocol::Off | Protocol::Bound(..) => None,
        }
    }
}

impl OtlpReceiver {
    pub(crate) fn new(config: OtlpReceiverConfig, cx: &CreateContext<'_>, outlets: Outlets) -> OtlpReceiver {
        OtlpReceiver {
            intake: Intake::new(
                outlets,
                config.invalid_utf8.into(),
                cx.host.budget.clone(),
                cx.host.tracer.clone(),
            ),
            id: cx.id.to_string(),
            status: cx.status.clone(),
            config,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn grpc_service(&self, settings: &GrpcServerSettings, host: &Host) -> GrpcService {
        GrpcService {
            intake: self.intake.clone(),
            metrics: IntakeMetrics::new(&host.metrics, &self.id, "grpc"),
            include_metadata: settings.include_metadata,
            health: settings.health,
        }
    }

    fn http_service(&self, settings: &OtlpHttpSettings, host: &Host) -> OtlpHttpService {
        OtlpHttpService {
            intake: self.intake.clone(),
            metrics: IntakeMetrics::new(&host.metrics, &self.id, "http"),
            include_metadata: settings.include_metadata,
            paths: settings.paths(),
        }
    }

    fn bind_all(&self, host: &Host) -> Result<(), StartError> {
        let mut state = self.state();
        if let Some(settings) = self.config.protocols.grpc.get() {
            state.grpc_gate = settings.gate(&host.capabilities)?;
            let lease = settings.listen(&host.leases).map_err(StartError::because)?;
            state.grpc = Protocol::Bound(lease, settings.tls().map_err(StartError::because)?);
        }
        if let Some(settings) = self.config.protocols.http.get().map(OtlpHttpSettings::http) {
            state.http_gate = settings.gate(&host.capabilities)?;
            let lease = settings.listen(&host.leases).map_err(StartError::because)?;
            state.http = Protocol::Bound(lease, settings.tls().map_err(StartError::because)?);
        }
        Ok(())
    }

    fn serve_all(&self, host: &Host) -> std::io::Result<()> {
        let state = &mut *self.state();
        let metrics = |transport| ServerMetrics::new(&host.metrics, &self.id, transport);
        if let (Some(settings), Protocol::Bound(lease, tls)) =
            (self.config.protocols.grpc.get(), &mut state.grpc)
        {
            let (server, reconfigure) = grpc::server::start_reconfigurable(
                lease,
                tls.take(),
                self.grpc_service(settings, host),
                grpc::server::Options { gate: state.grpc_gate.clone(), ..settings.options() },
                &host.cores,
                &host.budget,
                metrics("grpc"),
            )?;
            tracing::info!(receiver = self.id, endpoint = settings.endpoint, "Starting GRPC server");
            state.grpc = Protocol::Serving(lease.clone(), server, reconfigure);
        }
        if let (Some(settings), Protocol::Bound(lease, tls)) =
            (self.config.protocols.http.get(), &mut state.http)
        {
            let (server, reconfigure) = http::server::start_reconfigurable(
                lease,
                tls.take(),
                self.http_service(settings, host),
                http::server::Options { gate: state.http_gate.clone(), ..settings.http().options() },
                &host.cores,
                &host.budget,
                metrics("http"),
            )?;
            tracing::info!(receiver = self.id, endpoint = settings.endpoint, "Starting HTTP server");
            state.http = Protocol::Serving(lease.clone(), server, reconfigure);
        }
        Ok(())
    }

    /// Takes over the servers of `old` that listen on the same endpoints in the same way: their connections
    /// stay open, and the next request on each sees the new settings.
    fn adopt_servers(&self, old: &OtlpReceiver, host: &Host) -> Adoption {
        let (mut state, mut old_state) = (self.state(), old.state());
        let mut left = 0;
        let grpc = (self.config.protocols.grpc.get(), old.config.protocols.grpc.get());
        if let (Some(new), Some(former)) = grpc
            && same_grpc_listener(new, former)
            && let Protocol::Serving(lease, server, reconfigure) = old_state.grpc.take()
        {
            let gate = state.grpc_gate.clone();
            reconfigure.set(self.grpc_service(new, host), grpc::server::Options { gate, ..new.options() });
            state.grpc = Protocol::Serving(lease, server, reconfigure);
        } else {
            left += usize::from(grpc.1.is_some());
        }
        let http = (self.config.protocols.http.get(), old.config.protocols.http.get());
        if let (Some(new), Some(former)) = http
            && same_http_listener(&new.http(), &former.http())
            && let Protocol::Serving(lease, server, reconfigure) = old_state.http.take()
        {
            let gate = state.http_gate.clone();
            reconfigure
                .set(self.http_service(new, host), http::server::Options { gate, ..new.http().options() });
            state.http = Protocol::Serving(lease, server, reconfigure);
        } else {
            left += usize::from(http.1.is_some());
        }
        match left {
            0 => Adoption::Kept,
            _ => Adoption::Partly("connections to endpoints that changed".to_owned()),
        }
    }
}

fn same_grpc_listener(a: &GrpcServerSettings, b: &GrpcServerSettings) -> bool {
    a.endpoint == b.endpoint && a.transport == b.transport && a.tls == b.tls
}

fn same_http_listener(a: &HttpServerSettings, b: &HttpServerSettings) -> bool {
    a.endpoint == b.endpoint && a.transport == b.transport && a.tls == b.tls
}

impl Receiver for OtlpReceiver {
    fn bind<'a>(&'a self, host: &'a Host) -> BoxFuture<'a, Result<(), StartError>> {
        Box::pin(async move { self.bind_all(host) })
    }

    fn adopt(&self, old: &dyn Receiver, host: &Host) -> Adoption {
        match old.as_any().downcast_ref::<OtlpReceiver>() {
            Some(old) => self.adopt_servers(old, host),
            None => Adoption::Rebuilt,
        }
    }

    fn serve(&self, host: &Host) {
        if let Err(error) = self.serve_all(host) {
            tracing::error!(receiver = self.id, error = %error, "cannot serve");
            self.status.report(Status::Permanent(format!("cannot serve: {error}")));
        }
    }

    fn stop(&self, deadline: Instant) -> BoxFuture<'_, Lost> {
        Box::pin(async move {
            // The leases go first: a port is free for others once nobody accepts on it.
            let State { grpc, http, .. } = std::mem::take(&mut *self.state());
            let servers = grpc.into_server().into_iter().chain(http.into_server());
            let timeout = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            let drains: Vec<_> = servers.map(|server| tokio::spawn(server.drain(timeout))).collect();
            let mut lost = Lost::default();
            for drain in drains {
                // Requests that were cut off have no answer: their senders have the data still.
                let aborted = drain.await.unwrap_or_default();
                lost.requests += aborted.requests as u64;
            }
            lost
        })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
