use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::{Method, Response, StatusCode, request};
use phoenix_component::{BoxFuture, Extension, Host, StartError};
use phoenix_telemetry::traces::Watch;
use phoenix_transport::http::server::{HttpService, Request};
use phoenix_transport::http::side::{self, SideServer};

use crate::ZpagesConfig;
use crate::pages::{self, World};
use crate::traces;

/// Pages about the running collector.
pub struct Zpages {
    config: ZpagesConfig,
    id: String,
    server: SideServer,
    /// Spans are made and kept only while somebody may look at them.
    watch: Mutex<Option<Watch>>,
}

impl Zpages {
    /// The extension, which listens once it is started; `id` names it in the metrics.
    pub fn new(config: ZpagesConfig, id: &str) -> Zpages {
        Zpages { config, id: id.to_owned(), server: SideServer::default(), watch: Mutex::default() }
    }

    fn watching(&self, watch: Option<Watch>) {
        *self.watch.lock().unwrap_or_else(PoisonError::into_inner) = watch;
    }

    /// Where it listens, while it does.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.server.local_addr()
    }
}

impl Extension for Zpages {
    fn start<'a>(&'a self, host: &'a Host) -> BoxFuture<'a, Result<(), StartError>> {
        Box::pin(async move {
            let _control = host.control.enter();
            let settings = self.config.http();
            let service = Service { host: host.clone(), expvar: self.config.expvar.enabled };
            self.server.start(&settings, SideServer::options(&settings), service, &self.id, host)?;
            self.watching(Some(host.tracer.watch()));
            tracing::info!(extension = self.id, endpoint = self.config.endpoint, "Starting zPages extension");
            Ok(())
        })
    }

    fn stop(&self, deadline: tokio::time::Instant) -> BoxFuture<'_, ()> {
        self.watching(None);
        Box::pin(self.server.stop(deadline))
    }
}

struct Service {
    host: Host,
    expvar: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Service,
    Pipelines,
    Extensions,
    Features,
    Traces,
    Expvar,
}

impl HttpService for Service {
    type Route = Route;

    fn route(&self, head: &request::Parts) -> Result<Route, Response<Bytes>> {
        let route = match head.uri.path().trim_end_matches('/') {
            "" | "/debug" | "/debug/servicez" => Route::Service,
            "/debug/pipelinez" => Route::Pipelines,
            "/debug/extensionz" => Route::Extensions,
            "/debug/featurez" => Route::Features,
            "/debug/tracez" => Route::Traces,
            "/debug/expvarz" if self.expvar => Route::Expvar,
            _ => return Err(side::text(StatusCode::NOT_FOUND, "404 page not found\n")),
        };
        side::only(head, &[Method::GET, Method::HEAD])?;
        Ok(route)
    }

    fn call(&self, route: Route, request: Request) -> impl Future<Output = Response<Bytes>> + Send {
        let selected = |key: &str| side::query(&request.head, key);
        let world = World::look(&self.host);
        let page = match route {
            Route::Service => pages::service(&world),
            Route::Pipelines => pages::pipelines(&world, selected("zpipelinename").as_deref()),
            Route::Extensions => pages::extensions(&world, selected("zextensionname").as_deref()),
            Route::Features => pages::features(&world),
            Route::Traces => {
                let selection = traces::select(selected);
                traces::traces(self.host.build.command, self.host.tracer.recent(), selection.as_ref())
            }
            Route::Expvar => {
                let json = pages::expvar(&self.host);
                return std::future::ready(side::answer(StatusCode::OK, "application/json", json));
            }
        };
        let mut response = side::answer(StatusCode::OK, "text/html; charset=utf-8", page);
        // Nothing is loaded from anywhere, and nothing runs.
        let policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
        response
            .headers_mut()
            .insert(http::header::CONTENT_SECURITY_POLICY, http::HeaderValue::from_static(policy));
        std::future::ready(response)
    }
}
