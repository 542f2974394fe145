//! The running service: listeners, and the work that goes on beside them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use phoenix_collector::{SpanExport, TelemetryDestination};
use phoenix_telemetry::traces::Kind;
use phoenix_transport::tls::TlsAcceptor;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::app::{App, Settings};
use crate::audit::Caller;
use crate::error::{Error, Result};
use crate::hub::EVERY_CONNECTION;
use crate::oidc::{Oidc, OidcSettings};
use crate::opamp::PublicUrl;
use crate::principals::Grant;
use crate::roles::Role;
use crate::store::{Db, Pooling, Tx};
use crate::time::{DAY_MS, now_ms};
use crate::tls::{Peer, TlsFiles, TlsListener};
use crate::{agents, api, instances, opamp, principals, rollouts};

/// How often rollouts and silent agents are looked at where nothing happens.
const LOOK: Duration = Duration::from_secs(1);
/// Between two looks at what agents report: a rollout to many of them is not looked at for each.
const REPORTS_APART: Duration = Duration::from_millis(200);
/// How often an instance says that it is there: a third of its lease.
const BEAT: Duration = Duration::from_secs(3);
/// How often it looks whether there was a change that it was not told of.
const SAFETY: Duration = Duration::from_secs(30);
/// Between two hints to other instances.
const HINTS_APART: Duration = Duration::from_millis(20);
/// How often credentials that are too old are looked for, and how many agents are sent for a new one at a time.
const ROTATION: Duration = Duration::from_secs(600);
const ROTATED_AT_ONCE: usize = 200;
/// How soon the next ones follow where there are more.
const ROTATIONS_APART: Duration = Duration::from_secs(5);
/// How long requests under way have at a stop.
const DRAIN: Duration = Duration::from_secs(10);

/// How the service runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// `sqlite:PATH`, or `postgres://…`.
    pub database: String,
    /// How a shared database is connected to.
    pub pooling: Pooling,
    /// Where the API listens.
    pub listen: String,
    /// Where agents connect to.
    pub opamp_listen: String,
    /// Where agents find this service: `wss://control.example.com:4320`. Named in the offers of credentials, as the
    /// specification of OpAMP wants it; Phoenix's own agents stay where they are without.
    pub opamp_public_url: Option<String>,
    /// How often agents are to be heard of.
    pub heartbeat_seconds: u64,
    /// Requests of one client per second, on average.
    pub requests_per_second: u32,
    /// Agents that are let in at the same time; further ones are told when to come back.
    pub admission: usize,
    /// Certificate and key of both listeners; plain text without.
    pub tls: Option<TlsFiles>,
    /// Days after which the credential of an agent is replaced; 0 is never.
    pub credential_days: u32,
    /// How people log in with a provider.
    pub oidc: Option<OidcSettings>,
    /// Where own traces go, over OTLP; none are made without.
    pub traces: Option<TelemetryDestination>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            database: "sqlite:phoenix-control.db".to_owned(),
            pooling: Pooling::default(),
            listen: "localhost:8080".to_owned(),
            opamp_listen: "localhost:4320".to_owned(),
            opamp_public_url: None,
            heartbeat_seconds: phoenix_opamp::HEARTBEAT.as_secs(),
            requests_per_second: 100,
            admission: 256,
            tls: None,
            credential_days: 30,
            oidc: None,
            traces: None,
        }
    }
}

/// A running service.
pub struct Running {
    /// Where the API listens.
    pub api: SocketAddr,
    /// Where agents connect to.
    pub opamp: SocketAddr,
    /// The key that was made at the very first start, and is not shown again.
    pub first_key: Option<String>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    spans: Option<SpanExport>,
}

async fn listen(address: &str) -> Result<(TcpListener, SocketAddr)> {
    let failed = |error: std::io::Error| Error::Unavailable(format!("cannot listen on {address}: {error}"));
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let local = listener.local_addr().map_err(failed)?;
    Ok((listener, local))
}

/// Makes a key for the administrator where nobody is known yet.
async fn first_key(db: &Db) -> Result<Option<String>> {
    db.write(|tx| {
        let known = tx.one("SELECT (SELECT count(*) FROM users) + (SELECT count(*) FROM api_keys)", &[])?;
        if known.is_some_and(|row| row.int(0) > 0) {
            return Ok(None);
        }
        let grant = Grant::new(Role::Admin, String::new())?;
        let made = principals::add_key(tx, &Caller::system(), now_ms(), "first start", &grant, None)?;
        Ok(Some(made.token))
    })
    .await
}

/// Starts the service, and returns once it listens.
///
/// # Errors
/// Where the database or an address cannot be used.
pub async fn start(options: &Options) -> Result<Running> {
    if !(1..=3600).contains(&options.heartbeat_seconds) {
        return Err(Error::field("heartbeat", "must be 1s to 1h"));
    }
    let (url, pooling) = (options.database.clone(), options.pooling.clone());
    let opened = tokio::task::spawn_blocking(move || Db::open(&url, &pooling)).await;
    let db = opened.map_err(|panic| Error::Internal(format!("the database: {panic}")))??;
    let (api_listener, api_address) = listen(&options.listen).await?;
    let (opamp_listener, opamp_address) = listen(&options.opamp_listen).await?;
    let first_key = first_key(&db).await?;
    db.write_at(agents::credential::prepare).await?;
    let acceptor = |with_clients| options.tls.as_ref().map(|files| files.acceptor(with_clients)).transpose();
    let (api_tls, opamp_tls) = (acceptor(false)?, acceptor(true)?);
    let app = App::new(db, settings(options)?);
    let spans = options.traces.as_ref().map(|to| app.telemetry.send_traces(to)).transpose()?;
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(serve(api_listener, api_tls, api::router(app.clone()), stop.clone()));
    tasks.spawn(serve(opamp_listener, opamp_tls, opamp::router(app.clone(), stop.clone()), stop.clone()));
    tasks.spawn(drive(app.clone(), stop.clone()));
    tasks.spawn(opamp::drive_tasks(app.clone(), stop.clone()));
    if app.db.is_shared() {
        tasks.spawn(tell_others(app.clone(), stop.clone()));
        tasks.spawn(hear_others(app, stop.clone()));
    }
    tracing::info!(api = %api_address, opamp = %opamp_address, "phoenix-control is up");
    Ok(Running { api: api_address, opamp: opamp_address, first_key, stop, tasks, spans })
}

fn settings(options: &Options) -> Result<Settings> {
    let is_public_https = options.oidc.as_ref().is_some_and(|oidc| oidc.public_url.starts_with("https://"));
    Ok(Settings {
        opamp_public_url: options.opamp_public_url.as_deref().map(PublicUrl::parse).transpose()?,
        heartbeat_seconds: options.heartbeat_seconds,
        requests_per_second: options.requests_per_second,
        admission: options.admission,
        credential_age_ms: Some(i64::from(options.credential_days) * DAY_MS).filter(|age| *age > 0),
        is_secure: options.tls.is_some() || is_public_https,
        oidc: options.oidc.clone().map(Oidc::new).transpose()?,
    })
}

async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: axum::Router,
    stop: CancellationToken,
) {
    let service = router.into_make_service_with_connect_info::<Peer>();
    let stopped = stop.clone().cancelled_owned();
    match (tls, listener.local_addr()) {
        (Some(tls), Ok(local)) => {
            let listener = TlsListener::new(listener, local, tls);
            drained(axum::serve(listener, service).with_graceful_shutdown(stopped), stop).await;
        }
        _ => drained(axum::serve(listener, service).with_graceful_shutdown(stopped), stop).await,
    }
}

/// Waits for a listener to end; after a stop no longer than requests under way have.
async fn drained(serving: impl IntoFuture<Output = std::io::Result<()>>, stopping: CancellationToken) {
    let drained = async {
        stopping.cancelled().await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        outcome = serving.into_future() => if let Err(error) = outcome {
            tracing::error!(%error, "a listener failed");
        },
        () = drained => tracing::warn!("requests under way were cut off"),
    }
}

/// Hints other instances at what happened here, a moment's events at once.
async fn tell_others(app: App, stop: CancellationToken) {
    loop {
        let told = tokio::select! {
            () = stop.cancelled() => return,
            told = app.hub.until_told() => told,
        };
        for what in told {
            if let Err(error) = app.db.hint(format!("{} {what}", app.instance)).await {
                tracing::warn!(%error, what, "other instances could not be told; they will look by themselves");
            }
        }
        tokio::time::sleep(HINTS_APART).await;
    }
}

async fn hear_others(app: App, stop: CancellationToken) {
    let hear = |hint: &str| {
        let (from, what) = hint.split_once(' ').unwrap_or_default();
        if from == app.instance {
            return;
        }
        match what.split_once(' ') {
            Some(("expel", rest)) => {
                // An instance of an earlier version names no number.
                let (agent, below) = rest.split_once(' ').unwrap_or((rest, ""));
                app.hub.expel_here(agent, below.parse().unwrap_or(EVERY_CONNECTION));
            }
            _ if what == "work" => app.hub.look_for_work(),
            _ if what == "change" => app.hub.look_at_changes(),
            _ => {
                app.hub.look_at_changes();
                app.hub.look_for_work();
            }
        }
    };
    app.db.listen(stop, hear).await;
}

/// Takes the steps of rollouts, offers configurations, and notes who is gone.
async fn drive(app: App, stop: CancellationToken) {
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut watch = Watch::default();
    loop {
        let is_news = tokio::select! {
            () = stop.cancelled() => break,
            () = app.hub.until_changed() => true,
            () = reported(&app) => false,
            _ = looks.tick() => false,
        };
        if let Err(error) = watch.step(&app, is_news, Instant::now()).await {
            tracing::error!(%error, "a step of the rollouts failed; it is tried again");
        }
    }
    let instance = app.instance.clone();
    if app.db.is_shared()
        && let Err(error) = app.db.beside(move |tx| instances::leave(tx, &instance)).await
    {
        tracing::warn!(%error, "others will find out by themselves that this instance stopped");
    }
}

/// Waits until agents reported something, and a moment more for others to do so.
async fn reported(app: &App) {
    app.hub.until_reported().await;
    tokio::time::sleep(REPORTS_APART).await;
}

/// Ends the connections of agents here whose credential is too old: they come back, and get another. Says whether there
/// are more.
async fn rotate(app: &App) -> Result<bool> {
    let age = app.credential_age_ms;
    let due = move |tx: &mut dyn Tx| {
        let now = tx.clock()?;
        agents::with_due_credentials(tx, now, age)
    };
    let old = app.db.read(due).await?;
    let here = app.hub.connected();
    let mut old = old.iter().filter(|id| here.contains(*id));
    for id in old.by_ref().take(ROTATED_AT_ONCE) {
        app.hub.expel_here(id, EVERY_CONNECTION);
    }
    Ok(old.next().is_some())
}

/// Writes down what agents here have told of their data, where a rollout goes by that.
async fn note_vitals(app: &App) -> Result<()> {
    let serving = app.clone();
    let told = app
        .db
        .read(move |tx| {
            let mut told = Vec::new();
            for watched in rollouts::watched(tx)? {
                let hash = serving.offer(tx, &watched.version)?.hash;
                if let Some(vitals) = serving.hub.take_vitals(&watched.agent, &hash) {
                    told.push((watched, vitals));
                }
            }
            Ok(told)
        })
        .await?;
    match told.is_empty() {
        true => Ok(()),
        false => app.db.beside(move |tx| rollouts::note_vitals(tx, &told)).await,
    }
}

/// What was looked at, and when.
#[derive(Default)]
struct Watch {
    beat_at: Option<Instant>,
    looked_at: Option<Instant>,
    rotated_at: Option<Instant>,
    has_more_to_rotate: bool,
    /// When the newest key for credentials was made.
    seen_key: i64,
    /// The last change that agents were offered something for.
    seen_change: i64,
    is_rolling: bool,
    leads: bool,
}

impl Watch {
    async fn step(&mut self, app: &App, is_news: bool, now: Instant) -> Result<()> {
        let gone = app.hub.expire(now_ms());
        if !gone.is_empty() {
            opamp::note_gone(app, gone).await;
        }
        let is_due = |at: Option<Instant>, every| at.is_none_or(|at| now - at >= every);
        // While there is something to lead, whoever does not looks more often whether it may.
        let every = if self.is_rolling && !self.leads { LOOK } else { BEAT };
        if app.db.is_shared() && is_due(self.beat_at, every) {
            let instance = app.instance.clone();
            self.leads = app.db.beside(move |tx| instances::beat(tx, &instance)).await?;
            self.beat_at = Some(now);
        }
        if is_due(self.rotated_at, if self.has_more_to_rotate { ROTATIONS_APART } else { ROTATION }) {
            self.rotated_at = Some(now);
            self.has_more_to_rotate = rotate(app).await?;
        }
        let is_safety = is_due(self.looked_at, SAFETY);
        if !is_news && !is_safety && !self.is_rolling {
            return Ok(());
        }
        // Every change is audited, so the log tells whether there was one.
        let sql =
            "SELECT (SELECT count(*) FROM rollouts WHERE state = 'running'), (SELECT max(seq) FROM audit),
             (SELECT max(created_at) FROM signing_keys)";
        let seen = app.db.read(move |tx| tx.one(sql, &[])).await?;
        let (rolling, last, key) = seen.map_or((0, 0, 0), |row| (row.int(0), row.int(1), row.int(2)));
        if std::mem::replace(&mut self.seen_key, key) != key {
            // With another key agents may be wanted to come for another credential.
            self.rotated_at = None;
        }
        self.looked_at = Some(now);
        self.is_rolling = rolling > 0;
        let mut advanced = false;
        if self.is_rolling {
            let _span = app.telemetry.tracer.span(Kind::Internal, None, || "step of the rollouts".to_owned());
            note_vitals(app).await?;
            let (instance, here, is_shared) = (app.instance.clone(), app.hub.connected(), app.db.is_shared());
            advanced = app
                .db
                .write(move |tx| {
                    if is_shared && !instances::leads(tx, &instance)? {
                        return Ok(false);
                    }
                    let connected = instances::connected(tx, &instance, &here)?;
                    // The database's time: who took the last step may have another clock.
                    let now = tx.clock()?;
                    rollouts::advance(tx, now, &connected)
                })
                .await?;
        }
        if advanced {
            app.hub.changed();
        }
        if is_news || last != self.seen_change {
            opamp::reconcile(app).await?;
            self.seen_change = last;
        }
        Ok(())
    }
}

impl Running {
    /// Stops the service: no further requests, those under way end.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
        if let Some(spans) = self.spans {
            spans.stop().await;
        }
    }
}
