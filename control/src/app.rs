//! What every part of the service shares.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use phoenix_opamp::AgentConfigMap;
use tokio::sync::Semaphore;

use crate::configurations;
use crate::error::Result;
use crate::hub::Hub;
use crate::ids::new_id;
use crate::limits::Limiter;
use crate::oidc::Oidc;
use crate::opamp::PublicUrl;
use crate::passwords::Passwords;
use crate::store::{Db, Tx};
use crate::telemetry::Telemetry;
use crate::time::now_ms;
use crate::validation;

/// Offers that are kept in memory: versions never change.
const KEPT_OFFERS: usize = 256;

/// The service. Clones share it.
#[derive(Clone)]
pub struct App(Arc<Inner>);

/// What [`App`] holds.
pub struct Inner {
    /// The database.
    pub db: Db,
    /// The agents that are connected to this instance.
    pub hub: Hub,
    /// Tells this instance from others over the same database.
    pub instance: String,
    /// Hashes of passwords.
    pub passwords: Passwords,
    /// How much each client may ask.
    pub limiter: Limiter,
    /// Agents that are let in at the same time; after a restart all of them come at once.
    pub admission: Semaphore,
    /// How much each address may try to log in.
    pub login_limiter: Limiter,
    /// What the service says of itself.
    pub telemetry: Telemetry,
    /// Where agents find this service, for those that want to hear it with each credential.
    pub opamp_public_url: Option<PublicUrl>,
    /// How often agents are to be heard of, in seconds.
    pub heartbeat_seconds: u64,
    /// An agent's credential is replaced after this time; none is never.
    pub credential_age_ms: Option<i64>,
    /// Whether browsers are to send cookies over TLS only.
    pub is_secure: bool,
    /// Who vouches for people that have no password here.
    pub oidc: Option<Oidc>,
    offers: Mutex<HashMap<String, Offer>>,
    key_uses: Mutex<HashMap<String, i64>>,
}

/// How the service is set.
pub struct Settings {
    /// Where agents find this service, for those that want to hear it with each credential.
    pub opamp_public_url: Option<PublicUrl>,
    /// How often agents are to be heard of, in seconds.
    pub heartbeat_seconds: u64,
    /// Requests of one client per second, on average.
    pub requests_per_second: u32,
    /// Agents that are let in at the same time.
    pub admission: usize,
    /// An agent's credential is replaced after this time; none is never.
    pub credential_age_ms: Option<i64>,
    /// Whether browsers are to send cookies over TLS only.
    pub is_secure: bool,
    /// Who vouches for people that have no password here.
    pub oidc: Option<Oidc>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            opamp_public_url: None,
            heartbeat_seconds: 30,
            requests_per_second: 100,
            admission: 256,
            credential_age_ms: None,
            is_secure: false,
            oidc: None,
        }
    }
}

/// The files of a version, and the hash that they are known by.
#[derive(Clone)]
pub(crate) struct Offer {
    pub(crate) files: Arc<AgentConfigMap>,
    pub(crate) hash: Arc<str>,
}

impl std::ops::Deref for App {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl App {
    /// The service over `db`.
    pub fn new(db: Db, settings: Settings) -> App {
        let (hub, instance) = (Hub::default(), new_id("ins", now_ms()));
        App(Arc::new(Inner {
            telemetry: Telemetry::new(&instance, &db, &hub),
            db,
            hub,
            instance,
            passwords: Passwords::default(),
            limiter: Limiter::new(
                settings.requests_per_second,
                settings.requests_per_second.saturating_mul(2),
            ),
            login_limiter: Limiter::new(1, 10),
            admission: Semaphore::new(settings.admission),
            opamp_public_url: settings.opamp_public_url,
            heartbeat_seconds: settings.heartbeat_seconds,
            credential_age_ms: settings.credential_age_ms,
            is_secure: settings.is_secure,
            oidc: settings.oidc,
            offers: Mutex::default(),
            key_uses: Mutex::default(),
        }))
    }

    /// What an agent is offered with a version.
    pub(crate) fn offer(&self, tx: &mut dyn Tx, version_id: &str) -> Result<Offer> {
        let lock = || self.0.offers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(offer) = lock().get(version_id) {
            return Ok(offer.clone());
        }
        let (files, hash) = validation::offer(&configurations::layers(tx, version_id)?);
        let offer = Offer { files: Arc::new(files), hash: hash.into() };
        let mut offers = lock();
        if offers.len() >= KEPT_OFFERS {
            offers.clear();
        }
        offers.insert(version_id.to_owned(), offer.clone());
        Ok(offer)
    }

    /// Whether the use of a key is to be written down now: once a minute.
    pub(crate) fn is_use_to_be_noted(&self, key: &str, now: i64) -> bool {
        let mut uses = self.0.key_uses.lock().unwrap_or_else(PoisonError::into_inner);
        let due = uses.get(key).is_none_or(|last| now - last >= 60_000);
        if due {
            if uses.len() >= 10_000 {
                uses.clear();
            }
            uses.insert(key.to_owned(), now);
        }
        due
    }
}
