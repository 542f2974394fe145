use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Uri;
use phoenix_component::auth::ClientAuth;
use phoenix_component::{BoxFuture, Extension, Host, Offer, Slot, StartError, TelemetryDestinations};
use phoenix_config::{ComponentId, OpaqueMap};
use phoenix_opamp::{TASKS, VITALS};
use phoenix_transport::proxy::Proxies;
use phoenix_transport::settings::TlsClientSettings;
use phoenix_transport::tls::{Alpn, TlsConnector};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::OpampConfig;
use crate::agent::{Agent, running};
use crate::config::parse_uid;
use crate::description::{new_uid, uuid};
use crate::link::{Server, Transport};
use crate::orphan;
use crate::report::{Reporter, State, available};
use crate::storage::Folder;
use crate::tasks::Done;
use crate::vitals::Monitor;

/// How long a stop waits for the last message.
const FAREWELL: Duration = Duration::from_secs(2);

/// What an extension offers that takes configurations from its server.
struct Rules;

/// An OpAMP client for the collector that it runs in.
pub struct Opamp {
    config: OpampConfig,
    id: ComponentId,
    /// Says that this one takes configurations.
    rule: Mutex<Option<Offer>>,
    stop: CancellationToken,
    applying: Arc<AtomicBool>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Opamp {
    /// The extension, which connects once the collector runs.
    pub fn new(config: OpampConfig, id: ComponentId) -> Opamp {
        Opamp {
            config,
            id,
            rule: Mutex::default(),
            stop: CancellationToken::new(),
            applying: Arc::default(),
            task: Mutex::default(),
        }
    }

    fn server(&self, uid: [u8; 16], host: &Host) -> Result<Server, StartError> {
        let server = &self.config.server;
        type Way<'a> = (&'a String, &'a TlsClientSettings, &'a OpaqueMap, &'a String, Transport);
        let (endpoint, tls, headers, auth, transport): Way<'_> =
            match (server.ws.get(), server.http.get(), server.long_poll.get()) {
                (Some(ws), ..) => (&ws.endpoint, &ws.tls, &ws.headers, &ws.auth, Transport::WebSocket),
                (None, Some(http), _) => {
                    (&http.endpoint, &http.tls, &http.headers, &http.auth, Transport::Http)
                }
                (None, None, Some(json)) => {
                    let transport = Transport::LongPoll { wait: json.wait.as_duration() };
                    (&json.endpoint, &json.tls, &json.headers, &json.auth, transport)
                }
                (None, None, None) => return Err(StartError::new("no server is set")),
            };
        let url: Uri = endpoint.parse().map_err(StartError::because)?;
        Ok(Server {
            url,
            tls: TlsConnector::new(tls, Alpn::Http1).map_err(StartError::because)?,
            proxies: Proxies::from_environment().map_err(StartError::because)?,
            headers: phoenix_transport::settings::header_map(headers),
            auth: authenticator(auth, host)?,
            uid: uuid(uid),
            user_agent: host.build.user_agent(),
            transport,
        })
    }

    /// Refuses a second server that gives configurations: they would undo each other's for ever.
    fn claim_rule(&self, host: &Host) -> Result<(), StartError> {
        if !self.config.capabilities.accepts_remote_config {
            return Ok(());
        }
        if let Some((other, _)) = host.capabilities.all::<Rules>().into_iter().find(|(id, _)| *id != self.id)
        {
            return Err(StartError::new(format!(
                "{other} takes remote configurations already: set capabilities::accepts_remote_config for one server only"
            )));
        }
        *self.rule.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(host.capabilities.offer(&self.id, Arc::new(Rules)));
        Ok(())
    }

    /// Ends the collector with the process that supervises it.
    fn end_with(&self, process: i64, every: Duration, host: &Host) {
        let (host, stop) = (host.clone(), self.stop.clone());
        tokio::spawn(async move {
            if !orphan::is_alone(&orphan::shown_at(process), every, &stop).await {
                return;
            }
            tracing::error!(process, "the process that supervises this collector is gone, so this one ends");
            if let Some(Err(error)) = host.collector.get().map(|collector| collector.end()) {
                tracing::error!(error, "it does not");
            }
        });
    }

    fn begin(&self, host: &Host) -> Result<(), StartError> {
        self.claim_rule(host)?;
        let directory = &self.config.storage.directory;
        let unusable =
            |error: std::io::Error| StartError::new(format!("cannot use the folder {directory}: {error}"));
        let folder = Folder::open(directory).map_err(unusable)?;
        let uid = parse_uid(&self.config.instance_uid).or_else(|| folder.uid()).unwrap_or_else(new_uid);
        folder.keep_uid(uid).map_err(unusable)?;
        let server = self.server(uid, host)?;
        let (config, host) = (self.config.clone(), host.clone());
        if config.ppid != 0 {
            self.end_with(config.ppid, config.ppid_poll_interval.as_duration(), &host);
        }
        let (stop, applying) = (self.stop.clone(), self.applying.clone());
        let heartbeat = match config.server.http.get() {
            Some(http) => Some(http.polling_interval.as_duration()),
            None => config.capabilities.reports_heartbeat.then_some(phoenix_opamp::HEARTBEAT),
        };
        let task = tokio::spawn(async move {
            let collector = tokio::select! {
                collector = running(&host) => collector,
                () = stop.cancelled() => return,
            };
            // They are about the remote configuration: with another program in between there is none.
            let tells_vitals =
                config.capabilities.reports_health && config.capabilities.accepts_remote_config;
            let custom = [(TASKS, config.capabilities.accepts_tasks), (VITALS, tells_vitals)];
            let custom =
                custom.into_iter().filter(|(_, is_so)| *is_so).map(|(name, _)| name.to_owned()).collect();
            let components = available(&collector.components());
            let reports = config.capabilities.clone();
            let reporter = Reporter::new(uid, reports, folder.is_durable(), components, custom);
            let agent = Agent {
                credential: folder.credential(),
                former: folder.former(),
                config,
                host,
                collector,
                server,
                folder,
                reporter,
                state: State::default(),
                stop,
                applying,
                running: None,
                effective_hash: None,
                waiting: None,
                has_new_credential: false,
                has_rotated: false,
                told_hash: None,
                heartbeat,
                done: Done::default(),
                destinations: TelemetryDestinations::default(),
                monitor: tells_vitals.then(Monitor::default),
                wants_vitals: false,
            };
            agent.run().await;
        });
        *self.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
        Ok(())
    }
}

/// What adds credentials to requests; none where none is named.
fn authenticator(id: &str, host: &Host) -> Result<Option<Arc<Slot<dyn ClientAuth>>>, StartError> {
    if id.is_empty() {
        return Ok(None);
    }
    let id = ComponentId::parse(id).map_err(StartError::because)?;
    let found = host.capabilities.client_auth(&id);
    found.map(Some).map_err(|error| StartError::new(format!("server auth: {error}")))
}

impl Extension for Opamp {
    fn start<'a>(&'a self, host: &'a Host) -> BoxFuture<'a, Result<(), StartError>> {
        Box::pin(async move {
            let _control = host.control.enter();
            self.begin(host)
        })
    }

    /// Says goodbye. Returns at once where the change that ends this instance is one that it asked for.
    fn stop(&self, deadline: tokio::time::Instant) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.stop.cancel();
            self.rule.lock().unwrap_or_else(PoisonError::into_inner).take();
            let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(task) = task.filter(|_| !self.applying.load(Ordering::SeqCst)) {
                let until = deadline.min(tokio::time::Instant::now() + FAREWELL);
                // Late, it ends by itself.
                let _ = tokio::time::timeout_at(until, task).await;
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_server_alone_gives_configurations() {
        let host = Host::for_tests();
        let opamp = |name: &str, accepts: bool| {
            let text = format!(
                r#"{{"server": {{"ws": {{"endpoint": "ws://127.0.0.1:1"}}}}, "capabilities": {{"accepts_remote_config": {accepts}}}}}"#
            );
            let config = serde_json::from_str(&text).expect("settings");
            Opamp::new(config, ComponentId::parse(name).expect("an id"))
        };
        let soon = || tokio::time::Instant::now() + Duration::from_secs(5);
        let first = opamp("opamp/a", true);
        first.start(&host).await.expect("started");
        opamp("opamp/b", false).start(&host).await.expect("it only tells");
        let refused = opamp("opamp/c", true).start(&host).await.expect_err("a second one").to_string();
        assert!(refused.contains("opamp/a"), "{refused}");
        // One that takes its place in a change of the configuration is the same.
        let next = opamp("opamp/a", true);
        next.start(&host).await.expect("started");
        first.stop(soon()).await;
        assert!(opamp("opamp/c", true).start(&host).await.is_err(), "its successor still does");
        next.stop(soon()).await;
        opamp("opamp/c", true).start(&host).await.expect("nobody does any more");
    }
}
