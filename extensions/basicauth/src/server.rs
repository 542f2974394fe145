//! Judges passwords.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use phoenix_component::auth::{
    Decision, Denied, DeniedBecause, Identity, Presented, ServerAuth, Verdict, same_secret,
};
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use crate::credentials::Credentials;
use crate::htpasswd::{Hash, Htpasswd};

/// Passwords that wait to be hashed; who comes beyond that is told to come again.
const MAX_WAITING: usize = 256;
const COME_AGAIN: Duration = Duration::from_secs(1);

type Digest = [u8; 32];

/// The users, and passwords that were right.
pub(crate) struct Users {
    users: ArcSwap<HashMap<String, User>>,
    /// Of this process: what is kept of passwords says nothing without it.
    key: Digest,
    /// At most half of the machine hashes passwords, whoever sends them.
    hashing: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

struct User {
    hash: Arc<Hash>,
    right: Arc<ArcSwapOption<Digest>>,
}

impl Users {
    pub(crate) fn new(htpasswd: Htpasswd) -> Users {
        let half = std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2));
        Users {
            users: ArcSwap::from_pointee(users_of(htpasswd)),
            key: rand::random(),
            hashing: Arc::new(Semaphore::new(half)),
            waiting: Arc::new(Semaphore::new(MAX_WAITING)),
        }
    }

    /// Puts other users in the place of those before; what was right once has to be shown again.
    pub(crate) fn replace(&self, htpasswd: Htpasswd) {
        self.users.store(Arc::new(users_of(htpasswd)));
    }

    fn digest(&self, credentials: &Credentials) -> Digest {
        let Credentials { user, password, .. } = credentials;
        let keyed = Sha256::new().chain_update(self.key).chain_update((user.len() as u64).to_be_bytes());
        keyed.chain_update(user).chain_update(password).chain_update(self.key).finalize().into()
    }
}

fn users_of(htpasswd: Htpasswd) -> HashMap<String, User> {
    let user = |hash| User { hash: Arc::new(hash), right: Arc::default() };
    htpasswd.into_users().into_iter().map(|(name, hash)| (name, user(hash))).collect()
}

fn denied(because: DeniedBecause, message: &'static str) -> Denied {
    Denied::new(because, message).with_challenge("Basic realm=\"otlp\", charset=\"UTF-8\"")
}

fn let_in(credentials: Credentials) -> Arc<Identity> {
    let Credentials { user, raw, .. } = credentials;
    Arc::new(Identity::new(vec![("username".into(), user.into()), ("raw".into(), raw.into())]))
}

fn verdict(is_right: bool, credentials: Credentials) -> Verdict {
    match is_right {
        true => Ok(let_in(credentials)),
        false => Err(denied(DeniedBecause::Invalid, "invalid credentials")),
    }
}

impl ServerAuth for Users {
    fn authenticate(&self, presented: Presented<'_>) -> Decision {
        let Some(value) = presented.first("authorization").filter(|value| !value.is_empty()) else {
            return Decision::Now(Err(denied(DeniedBecause::Missing, "no basic auth provided")));
        };
        let credentials = match Credentials::parse(value) {
            Ok(credentials) => credentials,
            Err(message) => return Decision::Now(Err(denied(DeniedBecause::Invalid, message))),
        };
        let users = self.users.load();
        let user = users.get(&credentials.user);
        // For a user who is not there another's password is hashed, so that the time does not tell.
        let Some(found) = user.or_else(|| users.values().next()) else {
            return Decision::Now(verdict(false, credentials));
        };
        let is_known = user.is_some();
        if !found.hash.is_slow() {
            return Decision::Now(verdict(found.hash.fits(&credentials.password) & is_known, credentials));
        }
        let digest = self.digest(&credentials);
        if is_known && found.right.load().as_deref().is_some_and(|right| same_secret(right, &digest)) {
            return Decision::Now(Ok(let_in(credentials)));
        }
        let Ok(waiting) = self.waiting.clone().try_acquire_owned() else {
            let text = "too many passwords wait to be checked";
            return Decision::Now(Err(Denied::unavailable(text, COME_AGAIN)));
        };
        let (hash, right, hashing) = (found.hash.clone(), found.right.clone(), self.hashing.clone());
        Decision::Later(Box::pin(async move {
            let _waiting = waiting;
            // The semaphore is never closed.
            let _turn = hashing.acquire_owned().await;
            let password = credentials.password.clone();
            let fits = tokio::task::spawn_blocking(move || hash.fits(&password)).await.unwrap_or(false);
            if fits && is_known {
                right.store(Some(Arc::new(digest)));
            }
            verdict(fits & is_known, credentials)
        }))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::credentials::header;

    const BCRYPT: &str = "$2b$04$nfJDGqIoNrxlZCo/0YOUKeFFWqEgv/QkEU2TLbYbVnUO1Fl5EGnNy";

    fn decide(users: &Users, user: &str, password: &str) -> Decision {
        let value = header(user, password).expect("no colon");
        users.authenticate(Presented::new(&HeaderMap::from_iter([(http::header::AUTHORIZATION, value)])))
    }

    async fn because(users: &Users, user: &str, password: &str) -> Option<DeniedBecause> {
        let verdict = match decide(users, user, password) {
            Decision::Now(verdict) => verdict,
            Decision::Later(verdict) => verdict.await,
        };
        verdict.err().map(|denied| denied.because)
    }

    #[tokio::test]
    async fn a_password_that_was_right_is_hashed_once() {
        let users = Users::new(Htpasswd::parse(&format!("ann:{BCRYPT}\nbob:plain")).expect("lines"));
        assert!(matches!(decide(&users, "ann", "secret"), Decision::Later(_)));
        assert_eq!(because(&users, "ann", "secret").await, None);
        match decide(&users, "ann", "secret") {
            Decision::Now(Ok(identity)) => assert_eq!(identity.text("username").as_deref(), Some("ann")),
            _ => panic!("it is known"),
        }
        assert!(matches!(decide(&users, "ann", "wrong"), Decision::Later(_)));
        assert_eq!(because(&users, "ann", "wrong").await, Some(DeniedBecause::Invalid));
        assert_eq!(because(&users, "bob", "plain").await, None);
        assert_eq!(because(&users, "bob", "secret").await, Some(DeniedBecause::Invalid));
        for password in ["secret", "plain", ""] {
            assert_eq!(because(&users, "eve", password).await, Some(DeniedBecause::Invalid), "{password}");
        }
        users.replace(Htpasswd::parse("ann:other").expect("lines"));
        assert_eq!(because(&users, "ann", "secret").await, Some(DeniedBecause::Invalid));
        assert_eq!(because(&users, "ann", "other").await, None);
    }

    #[tokio::test]
    async fn passwords_that_wait_are_bounded() {
        let users = Users::new(Htpasswd::parse(&format!("ann:{BCRYPT}")).expect("lines"));
        let waiting: Vec<Decision> = (0..MAX_WAITING).map(|_| decide(&users, "ann", "wrong")).collect();
        assert_eq!(because(&users, "ann", "secret").await, Some(DeniedBecause::Unavailable));
        drop(waiting);
        assert_eq!(because(&users, "ann", "secret").await, None);
        let nothing = users.authenticate(Presented::new(&HeaderMap::new()));
        assert!(matches!(nothing, Decision::Now(Err(denied)) if denied.because == DeniedBecause::Missing));
    }
}
