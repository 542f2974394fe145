//! Passwords of local users: Argon2id, a few at a time.

use std::sync::OnceLock;

use argon2::{Algorithm, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier as _, Version};
use rand::RngCore as _;
use tokio::sync::Semaphore;

use crate::error::{Error, Result};

/// 19 MiB, two passes, one lane: what OWASP asks for at least.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const SALT_BYTES: usize = 16;
/// Hashes that are computed at the same time: each takes its memory.
const AT_ONCE: usize = 2;
/// Logins that wait for their turn; further ones are told to come back.
const WAITING: usize = 64;
/// Shortest password.
pub const MIN_LENGTH: usize = 12;
/// Longest password, in bytes.
pub const MAX_LENGTH: usize = 1024;

/// Computes hashes with bounded memory.
pub struct Passwords {
    turns: Semaphore,
    waiting: Semaphore,
}

impl Default for Passwords {
    fn default() -> Passwords {
        Passwords { turns: Semaphore::new(AT_ONCE), waiting: Semaphore::new(WAITING) }
    }
}

fn hasher() -> Result<Argon2<'static>> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None);
    let params = params.map_err(|error| Error::Internal(format!("Argon2: {error}")))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash(password: &str) -> Result<String> {
    let mut salt = [0; SALT_BYTES];
    rand::rng().fill_bytes(&mut salt);
    let hash: Result<PasswordHash, _> = hasher()?.hash_password_with_salt(password.as_bytes(), &salt);
    Ok(hash.map_err(|error| Error::Internal(format!("Argon2: {error}")))?.to_string())
}

/// A hash of no password, so that a login takes as long for a name that nobody has.
fn nobody() -> &'static str {
    static NOBODY: OnceLock<String> = OnceLock::new();
    NOBODY.get_or_init(|| hash(&crate::ids::new_id("nobody", 0)).unwrap_or_default())
}

impl Passwords {
    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let _place = self.waiting.try_acquire().map_err(|_| Error::TooMany(2))?;
        let _turn = self.turns.acquire().await.map_err(|error| Error::Internal(error.to_string()))?;
        let done = tokio::task::spawn_blocking(work).await;
        done.map_err(|panic| Error::Internal(format!("a hash failed: {panic}")))?
    }

    /// The hash to keep of a new password.
    ///
    /// # Errors
    /// Where it is too short or too long, or too many are being computed.
    pub async fn hash(&self, password: String) -> Result<String> {
        if password.chars().count() < MIN_LENGTH || password.len() > MAX_LENGTH {
            let message = format!("must have {MIN_LENGTH} to {MAX_LENGTH} characters");
            return Err(Error::field("password", message));
        }
        self.in_turn(move || hash(&password)).await
    }

    /// Whether `password` is the one of `hash`; no hash stands for a user that there is not.
    ///
    /// # Errors
    /// Where too many are being computed.
    pub async fn verify(&self, password: String, hash: Option<String>) -> Result<bool> {
        self.in_turn(move || {
            let known = hash.is_some();
            let kept = hash.unwrap_or_else(|| nobody().to_owned());
            let right = hasher()?.verify_password(password.as_bytes(), kept.as_str()).is_ok();
            Ok(known && right)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_password_is_let_in() {
        let passwords = Passwords::default();
        let hash = passwords.hash("correct horse".into()).await.expect("hashed");
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_ne!(hash, passwords.hash("correct horse".into()).await.expect("hashed"), "salted");
        for (password, kept, expected) in [
            ("correct horse", Some(hash.clone()), true),
            ("correct horsf", Some(hash), false),
            ("correct horse", None, false),
        ] {
            assert_eq!(passwords.verify(password.into(), kept).await, Ok(expected));
        }
        for password in ["short".to_owned(), "x".repeat(MAX_LENGTH + 1)] {
            assert!(matches!(passwords.hash(password).await, Err(Error::Invalid(_))));
        }
    }
}
