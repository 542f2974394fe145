//! The agent: connects, tells, obeys, for as long as the extension runs.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use phoenix_component::{Collector, Host, TelemetryDestinations};
use phoenix_config::Opaque;
use phoenix_opamp::{
    AgentDisconnect, AgentToServer, CustomMessage, RemoteConfigStatus, RemoteConfigStatuses,
    ServerErrorResponse, ServerErrorResponseType, ServerToAgent, Set, TASKS, VITALS, server_flags,
};
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::OpampConfig;
use crate::connection::LONGEST_HEARTBEAT;
use crate::link::{Link, LinkError, Server};
use crate::remote;
use crate::report::{self, Reporter, State};
use crate::storage::{Folder, Remote};
use crate::tasks::{self, Done, Task};
use crate::vitals::Monitor;

/// The only command that there is.
const RESTART: i32 = 0;
/// Between attempts to connect: doubled from the first to the last, each a random part of it.
const FIRST_DELAY: Duration = Duration::from_secs(1);
const LAST_DELAY: Duration = Duration::from_secs(60);
/// After a message that the server calls wrong: sending it again at once would make no sense.
const AFTER_REFUSAL: Duration = Duration::from_secs(30);
/// Longest that a server can send an agent away for.
const LONGEST_AWAY: Duration = Duration::from_secs(3600);
/// After the agent had something to do, until what that needed is given back.
const BEFORE_REST: Duration = Duration::from_secs(1);
/// Between two looks at health and configuration, however often they change.
const LOOKS_APART: Duration = Duration::from_secs(1);

/// What goes on in the background and comes back to the agent.
pub(crate) enum News {
    /// A remote configuration was applied, or why not.
    Applied(Remote, Result<(), String>),
    /// A task was done.
    Task(Value),
    /// Own telemetry goes elsewhere, or why not.
    Telemetry { hash: Vec<u8>, wanted: TelemetryDestinations, outcome: Result<(), String> },
}

/// One agent.
pub(crate) struct Agent {
    pub(crate) config: OpampConfig,
    pub(crate) host: Host,
    pub(crate) collector: Arc<dyn Collector>,
    pub(crate) server: Server,
    pub(crate) folder: Folder,
    pub(crate) reporter: Reporter,
    pub(crate) state: State,
    pub(crate) stop: CancellationToken,
    /// Whether a change is under way that this agent asked for.
    pub(crate) applying: Arc<AtomicBool>,
    /// The remote configuration that runs.
    pub(crate) running: Option<Remote>,
    /// The hash of the effective configuration that it made.
    pub(crate) effective_hash: Option<Arc<str>>,
    /// One that came while another was being applied.
    pub(crate) waiting: Option<Remote>,
    pub(crate) credential: Option<Opaque>,
    /// The one before, until the server has taken the new one.
    pub(crate) former: Option<Opaque>,
    pub(crate) has_new_credential: bool,
    /// Whether it takes the place of another, and was not shown yet.
    pub(crate) has_rotated: bool,
    /// The hash of the configuration that was last told of.
    pub(crate) told_hash: Option<Arc<str>>,
    pub(crate) heartbeat: Option<Duration>,
    pub(crate) done: Done,
    /// Where own telemetry goes besides.
    pub(crate) destinations: TelemetryDestinations,
    /// How data fares; none where that is not to be told.
    pub(crate) monitor: Option<Monitor>,
    /// Whether the server of this session takes that.
    pub(crate) wants_vitals: bool,
}

/// Why a session ended.
enum Ended {
    Stopped,
    /// Come again after this, or as usual.
    Lost(Option<Duration>),
    /// With another identity or credential.
    Anew,
}

impl Agent {
    /// Runs until it is told to stop.
    pub(crate) async fn run(mut self) {
        let (news, mut heard) = mpsc::channel(16);
        self.restore(&news);
        let mut failures = 0u32;
        let mut use_credential = true;
        loop {
            let credential = self.credential.clone().filter(|_| use_credential);
            let opened = tokio::select! {
                opened = self.server.open(credential.as_ref()) => opened,
                () = self.stop.cancelled() => return,
                Some(news_came) = heard.recv() => {
                    // Whatever was applied meanwhile is told once there is a connection.
                    self.take(news_came, &news);
                    continue;
                }
            };
            let ended = match opened {
                Ok(link) => self.session(link, &news, &mut heard, &mut failures).await,
                Err(error) => self.failed(&error, &mut use_credential),
            };
            let delay = match ended {
                Ended::Stopped => return,
                Ended::Anew => Duration::ZERO,
                Ended::Lost(after) => {
                    let ceiling = (FIRST_DELAY * 2u32.pow(failures.min(6))).min(LAST_DELAY);
                    let jittered = ceiling.mul_f64(rand::random_range(0.5..1.0));
                    failures += 1;
                    after.unwrap_or_default().min(LONGEST_AWAY) + jittered
                }
            };
            let until = Instant::now() + delay;
            loop {
                tokio::select! {
                    () = sleep_until(until) => break,
                    () = self.stop.cancelled() => return,
                    Some(news_came) = heard.recv() => {
                        // The result of a task that nobody takes is asked for again.
                        self.take(news_came, &news);
                    }
                }
            }
        }
    }

    fn failed(&mut self, error: &LinkError, use_credential: &mut bool) -> Ended {
        tracing::warn!(server = %self.server.url, %error, "no connection to the OpAMP server; what runs goes on");
        match error {
            LinkError::Unauthorized if self.former.is_some() => {
                tracing::warn!("the server does not take its new credential; the one before is shown again");
                if let Some(former) = self.former.take() {
                    if let Err(error) = self.folder.keep_credential(&former) {
                        tracing::error!(%error, "the credential could not be kept for the next start");
                    }
                    self.folder.forget_former();
                    self.credential = Some(former);
                }
                self.credential_shown(Err("the server does not take the new credential"));
                Ended::Lost(None)
            }
            LinkError::Unauthorized => {
                // A credential that counts no more: what is configured may bring a new one, and the other way round.
                *use_credential = !*use_credential;
                Ended::Lost(None)
            }
            LinkError::Busy { after, .. } => Ended::Lost(*after),
            LinkError::Broken(_) => Ended::Lost(None),
        }
    }

    /// Goes back to the configuration that ran when the process last did.
    fn restore(&mut self, news: &mpsc::Sender<News>) {
        if !self.config.capabilities.accepts_remote_config || self.running.is_some() {
            return;
        }
        if let Some(kept) = self.folder.remote() {
            tracing::info!("the last good remote configuration is applied");
            self.apply(kept, news);
        }
    }

    /// Applies a remote configuration in the background.
    fn apply(&mut self, wanted: Remote, news: &mpsc::Sender<News>) {
        if self.applying.swap(true, Ordering::SeqCst) {
            // Only the newest counts.
            self.waiting = Some(wanted);
            return;
        }
        self.state.remote = report::status(&wanted.hash, RemoteConfigStatuses::Applying, "");
        if let Some(monitor) = &mut self.monitor {
            monitor.begin(&*self.collector, &self.host, Instant::now());
        }
        let (collector, health) = (self.collector.clone(), self.host.health.clone());
        let (previous, grace) = (self.running.clone(), self.config.grace_period.as_duration());
        let (news, applying) = (news.clone(), self.applying.clone());
        tokio::spawn(async move {
            let outcome = remote::change(&collector, &health, &wanted, previous.as_ref(), grace).await;
            applying.store(false, Ordering::SeqCst);
            // The agent may be gone; what was applied stays.
            let _ = news.send(News::Applied(wanted, outcome)).await;
        });
    }

    fn take(&mut self, news_came: News, news: &mpsc::Sender<News>) -> Option<Value> {
        match news_came {
            News::Task(result) => {
                self.done.keep(&result);
                Some(result)
            }
            News::Telemetry { hash, wanted, outcome } => {
                self.telemetry_sent(&hash, wanted, outcome);
                None
            }
            News::Applied(remote, outcome) => {
                self.effective_hash = Some(self.collector.effective_config().hash);
                self.state.remote = match outcome {
                    Ok(()) => {
                        tracing::info!("a remote configuration was applied");
                        if let Err(error) = self.folder.keep_remote(&remote) {
                            tracing::error!(%error, "the remote configuration could not be kept for the next start");
                        }
                        let status = report::status(&remote.hash, RemoteConfigStatuses::Applied, "");
                        self.running = Some(remote);
                        status
                    }
                    Err(error) => {
                        tracing::error!(error, "a remote configuration was not applied");
                        if let Some(monitor) = &mut self.monitor {
                            monitor.begin(&*self.collector, &self.host, Instant::now());
                        }
                        report::status(&remote.hash, RemoteConfigStatuses::Failed, error)
                    }
                };
                if let Some(next) = self.waiting.take() {
                    self.apply(next, news);
                }
                None
            }
        }
    }

    /// Looks how the collector is.
    fn look(&mut self, news: &mpsc::Sender<News>) {
        let started = report::unix_nanos(self.collector.started());
        let report = self.host.health.report();
        self.state.health = report::health(&report, &self.collector.pipelines(), started);
        let effective = self.collector.effective_config();
        if self.told_hash.as_ref() != Some(&effective.hash) {
            self.state.effective = effective.yaml.to_string();
            self.state.description =
                crate::description::describe(&self.config, &self.host, &self.server.uid, &effective.json);
            self.told_hash = Some(effective.hash.clone());
        }
        // A reload of the own files put the remote ones aside.
        let is_aside = effective.from_sources
            && self.effective_hash.as_ref().is_some_and(|hash| *hash != effective.hash);
        if is_aside
            && !self.applying.load(Ordering::SeqCst)
            && let Some(running) = self.running.clone()
        {
            self.effective_hash = Some(effective.hash);
            tracing::info!("the own files were read again; the remote configuration is laid under them");
            self.apply(running, news);
        }
    }

    async fn session(
        &mut self,
        mut link: Link,
        news: &mpsc::Sender<News>,
        heard: &mut mpsc::Receiver<News>,
        failures: &mut u32,
    ) -> Ended {
        self.wants_vitals = false;
        let (mut health, mut config) = (self.host.health.changes(), self.collector.config_changes());
        self.look(news);
        let full = self.reporter.full(&self.state);
        if let Err(error) = link.send(&self.server, &full).await {
            return self.failed_in_session(&error);
        }
        let mut last_sent = Instant::now();
        // Nothing is done while nothing changes: what wakes brings code to memory that a collector at rest does without.
        let mut looked = last_sent;
        let mut looks_at = None;
        let mut rests_at = Some(last_sent + BEFORE_REST);
        loop {
            let reads_at = self.monitor.as_ref().map(|monitor| monitor.due_at(looked));
            let beat =
                self.heartbeat.map_or_else(|| last_sent + LONGEST_HEARTBEAT, |every| last_sent + every);
            let mut outgoing: Vec<AgentToServer> = Vec::new();
            tokio::select! {
                received = link.receive() => match received {
                    Ok(message) => {
                        *failures = 0;
                        if message.error_response.is_none() && self.former.take_if(|_| !self.has_rotated).is_some() {
                            self.folder.forget_former();
                            self.credential_shown(Ok(()));
                        }
                        match self.obey(message, news) {
                            Ok(answers) => {
                                outgoing = answers;
                                if self.has_new_credential {
                                    self.has_new_credential = false;
                                    link.renew(self.credential.as_ref());
                                }
                                if std::mem::take(&mut self.has_rotated) && link.is_open() {
                                    // Shown at once, so that the former one ends.
                                    link.close().await;
                                    return Ended::Anew;
                                }
                            }
                            Err(ended) => {
                                link.close().await;
                                return ended;
                            }
                        }
                    }
                    Err(error) => return self.failed_in_session(&error),
                },
                () = either_changes(&mut health, &mut config), if looks_at.is_none() => {
                    looks_at = Some(looked + LOOKS_APART);
                }
                () = at(looks_at) => {
                    (looked, looks_at) = (Instant::now(), None);
                    self.look(news);
                    rests_at = self.rests_at(looked).or(rests_at);
                }
                () = at(rests_at) => {
                    rests_at = None;
                    self.collector.rest();
                }
                () = at(reads_at) => {
                    let now = Instant::now();
                    if let Some(monitor) = &mut self.monitor {
                        monitor.read(&*self.collector, &self.host, now);
                        if monitor.is_due(now) {
                            outgoing.extend(self.vitals());
                        }
                    }
                    rests_at = self.rests_at(now).or(rests_at);
                }
                Some(news_came) = heard.recv() => {
                    if let Some(result) = self.take(news_came, news) {
                        outgoing.push(self.result(&result));
                    }
                    self.look(news);
                }
                () = sleep_until(beat) => {
                    let vitals = self.vitals();
                    outgoing.push(vitals.unwrap_or_else(|| self.reporter.heartbeat()));
                    rests_at = self.rests_at(Instant::now()).or(rests_at);
                }
                () = self.stop.cancelled() => {
                    let mut last = self.reporter.heartbeat();
                    last.agent_disconnect = Some(AgentDisconnect {});
                    let _ = link.send(&self.server, &last).await;
                    link.close().await;
                    return Ended::Stopped;
                }
            }
            if let Some(mut changes) = self.reporter.changes(&self.state) {
                if changes.remote_config_status.is_some() {
                    // What a rollout goes by comes with what it waits for.
                    changes.custom_message = self.vital_signs();
                }
                outgoing.push(changes);
            }
            for message in outgoing {
                last_sent = Instant::now();
                if let Err(error) = link.send(&self.server, &message).await {
                    return self.failed_in_session(&error);
                }
            }
        }
    }

    /// When memory is given back after something was done at `now`: of a collector that works all of it is needed.
    fn rests_at(&self, now: Instant) -> Option<Instant> {
        self.monitor.as_ref().filter(|monitor| monitor.is_still()).map(|_| now + BEFORE_REST)
    }

    fn failed_in_session(&mut self, error: &LinkError) -> Ended {
        let mut unchanged = true;
        self.failed(error, &mut unchanged)
    }

    /// How data fares with the remote configuration that runs; none where there is none, or nobody wants to know.
    fn vital_signs(&mut self) -> Option<CustomMessage> {
        let (monitor, running) = (self.monitor.as_mut()?, self.running.as_ref()?);
        if !self.wants_vitals || self.applying.load(Ordering::SeqCst) {
            return None;
        }
        Some(monitor.tell(&*self.collector, &self.host, &running.hash, Instant::now())?.message())
    }

    fn vitals(&mut self) -> Option<AgentToServer> {
        let signs = self.vital_signs()?;
        let mut message = self.reporter.heartbeat();
        message.custom_message = Some(signs);
        Some(message)
    }

    fn result(&mut self, result: &Value) -> AgentToServer {
        let mut message = self.reporter.heartbeat();
        message.custom_message = Some(CustomMessage {
            capability: TASKS.to_owned(),
            r#type: "result".to_owned(),
            data: result.to_string().into_bytes(),
        });
        message
    }

    /// Does what the server says; what is to be answered, or why the session ends.
    fn obey(
        &mut self,
        message: ServerToAgent,
        news: &mpsc::Sender<News>,
    ) -> Result<Vec<AgentToServer>, Ended> {
        if let Some(error) = &message.error_response {
            return Err(refused(error));
        }
        if let Some(identity) = &message.agent_identification
            && let Ok(uid) = <[u8; 16]>::try_from(identity.new_instance_uid.as_slice())
            && uid != self.reporter.uid
        {
            tracing::info!("the server gave this agent another identity");
            if let Err(error) = self.folder.keep_uid(uid) {
                tracing::error!(%error, "the new identity could not be kept for the next start");
            }
            self.reporter.uid = uid;
            self.server.uid = crate::description::uuid(uid);
            self.told_hash = None;
            return Err(Ended::Anew);
        }
        if let Some(offers) = &message.connection_settings {
            self.connection(offers, news);
        }
        if let Some(offered) = &message.custom_capabilities {
            self.wants_vitals = offered.capabilities.iter().any(|name| name == VITALS);
        }
        let is_restart = message.command.is_some_and(|command| command.r#type == RESTART);
        if is_restart && self.config.capabilities.accepts_restart_command {
            tracing::info!("the server wants the collector to begin again");
            if let Err(error) = self.collector.restart(tasks::BEFORE_RESTART) {
                tracing::error!(error, "it does not");
            }
        }
        let mut answers = Vec::new();
        let flags = Set(message.flags);
        if flags.has(server_flags::REPORT_FULL_STATE) {
            self.look(news);
            answers.push(self.reporter.full(&self.state));
        }
        if flags.has(server_flags::REPORT_AVAILABLE_COMPONENTS)
            && self.config.capabilities.reports_available_components
        {
            answers.push(self.reporter.all_components());
        }
        if let Some(custom) = &message.custom_message
            && custom.capability == TASKS
            && self.config.capabilities.accepts_tasks
        {
            match serde_json::from_slice::<Task>(&custom.data) {
                Ok(task) => match self.done.again(&task) {
                    Some(result) => answers.push(self.result(&result)),
                    None => self.begin(task, news),
                },
                Err(error) => tracing::warn!(%error, "a task cannot be read"),
            }
        }
        if let Some(offer) = &message.remote_config
            && self.config.capabilities.accepts_remote_config
        {
            self.consider(offer, news);
        }
        Ok(answers)
    }

    fn consider(&mut self, offer: &phoenix_opamp::AgentRemoteConfig, news: &mpsc::Sender<News>) {
        let known = &self.state.remote;
        if *known != RemoteConfigStatus::default() && known.last_remote_config_hash == offer.config_hash {
            // It runs, is being applied, or has failed: the server hears that again.
            return;
        }
        match remote::read(offer) {
            Ok(remote) if remote.files.is_empty() => {
                let text = "an empty configuration would stop the collector, which is not supported";
                self.state.remote = report::status(&offer.config_hash, RemoteConfigStatuses::Failed, text);
            }
            Ok(remote) => self.apply(remote, news),
            Err(error) => {
                self.state.remote = report::status(&offer.config_hash, RemoteConfigStatuses::Failed, error);
            }
        }
    }

    fn begin(&self, task: Task, news: &mpsc::Sender<News>) {
        let (collector, host, news) = (self.collector.clone(), self.host.clone(), news.clone());
        tokio::spawn(async move {
            let result = tasks::run(&collector, &host, task).await;
            let _ = news.send(News::Task(result)).await;
        });
    }
}

/// Waits until then; for ever where there is no such time.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

/// Waits until one of them changes; one whose sender is gone never does.
async fn either_changes(first: &mut watch::Receiver<u64>, second: &mut watch::Receiver<u64>) {
    tokio::select! {
        Ok(()) = first.changed() => {}
        Ok(()) = second.changed() => {}
        else => pending().await,
    }
}

fn refused(error: &ServerErrorResponse) -> Ended {
    let why = &error.error_message;
    tracing::warn!(why, "the OpAMP server refused a message");
    let after = error.retry_info.map(|retry| Duration::from_nanos(retry.retry_after_nanoseconds));
    let is_wrong = error.r#type == i32::from(ServerErrorResponseType::BadRequest);
    Ended::Lost(if is_wrong { Some(AFTER_REFUSAL) } else { after })
}

/// Waits until the collector is there and runs.
pub(crate) async fn running(host: &Host) -> Arc<dyn Collector> {
    loop {
        if let Some(collector) = host.collector.get()
            && collector.effective_config().since.is_some()
        {
            return collector.clone();
        }
        sleep(Duration::from_millis(20)).await;
    }
}
