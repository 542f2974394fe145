//! The running service: listeners, and the work that goes on beside them.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::audit::Caller;
use crate::error::{Error, Result};
use crate::roles::Role;
use crate::store::Db;
use crate::time::now_ms;
use crate::{api, opamp, principals, rollouts};

/// How often rollouts and silent agents are looked at where nothing happens.
const LOOK: Duration = Duration::from_secs(1);
/// How long requests under way have at a stop.
const DRAIN: Duration = Duration::from_secs(10);

/// How the service runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// `sqlite:PATH`.
    pub database: String,
    /// Where the API listens.
    pub listen: String,
    /// Where agents connect to.
    pub opamp_listen: String,
    /// How often agents are to be heard of.
    pub heartbeat_seconds: u64,
    /// Requests of one client per second, on average.
    pub requests_per_second: u32,
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
        let made = principals::add_key(tx, &Caller::system(), now_ms(), "first start", Role::Admin, None)?;
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
    let url = options.database.clone();
    let opened = tokio::task::spawn_blocking(move || Db::open(&url)).await;
    let db = opened.map_err(|panic| Error::Internal(format!("the database: {panic}")))??;
    let (api_listener, api_address) = listen(&options.listen).await?;
    let (opamp_listener, opamp_address) = listen(&options.opamp_listen).await?;
    let first_key = first_key(&db).await?;
    let app = App::new(db, options.heartbeat_seconds, options.requests_per_second);
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(serve(api_listener, api::router(app.clone()), stop.clone()));
    tasks.spawn(serve(opamp_listener, opamp::router(app.clone(), stop.clone()), stop.clone()));
    tasks.spawn(drive(app.clone(), stop.clone()));
    tasks.spawn(opamp::drive_tasks(app, stop.clone()));
    tracing::info!(api = %api_address, opamp = %opamp_address, "phoenix-control is up");
    Ok(Running { api: api_address, opamp: opamp_address, first_key, stop, tasks })
}

async fn serve(listener: TcpListener, router: axum::Router, stop: CancellationToken) {
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let stopping = stop.clone();
    let served = axum::serve(listener, service).with_graceful_shutdown(stop.cancelled_owned());
    let drained = async {
        stopping.cancelled().await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        outcome = served => if let Err(error) = outcome {
            tracing::error!(%error, "a listener failed");
        },
        () = drained => tracing::warn!("requests under way were cut off"),
    }
}

/// Takes the steps of rollouts, offers configurations, and notes who is gone.
async fn drive(app: App, stop: CancellationToken) {
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let is_news = tokio::select! {
            () = stop.cancelled() => return,
            () = app.hub.until_changed() => true,
            _ = looks.tick() => false,
        };
        if let Err(error) = step(&app, is_news).await {
            tracing::error!(%error, "a step of the rollouts failed; it is tried again");
        }
    }
}

async fn step(app: &App, is_news: bool) -> Result<()> {
    let gone = app.hub.expire(now_ms());
    if !gone.is_empty() {
        opamp::note_seen(app, gone).await;
    }
    let connected = app.hub.connected();
    let open = app.db.read(|tx| tx.one("SELECT count(*) FROM rollouts WHERE state = 'running'", &[])).await?;
    let mut advanced = false;
    if open.is_some_and(|row| row.int(0) > 0) {
        advanced = app.db.write(move |tx| rollouts::advance(tx, now_ms(), &connected)).await?;
    }
    if is_news || advanced {
        opamp::reconcile(app).await?;
    }
    Ok(())
}

impl Running {
    /// Stops the service: no further requests, those under way end.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}
