//! Credentials of agents: JSON Web Tokens (RFC 7519) that the service signs with Ed25519 (RFC 8037).
//!
//! - The signature says whose a credential is and until when. Whether it still counts, the agent's record says, by its
//!   hash: so one can be withdrawn at once, and a copy of the database, which holds the keys, lets nobody in.
//! - Instances share the keys, by the database. One signs for [`KEY_AGE_MS`], or until somebody
//!   wants another; then the next one is made, and it goes
//!   once the last credential that it signed has expired.
//! - All times are the database's.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use phoenix_collector::tokens::jwks::KeySet;
use phoenix_collector::tokens::jwt::{Expected, TokenError, Unverified};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::args;
use crate::audit::{self, Caller};
use crate::error::{Error, Result};
use crate::ids::{hex, new_id, random_hex, unhex};
use crate::store::{Row, Tx};
use crate::time::{DAY_MS, rfc3339};

const ISSUER: &str = "phoenix-control";
const AUDIENCE: &str = "phoenix-control/opamp";
/// The only algorithm: keys are for it alone.
const ALGORITHM: &str = "EdDSA";
/// How long a credential that should have been replaced is still good, for agents that were away.
pub(crate) const GRACE_MS: i64 = 90 * DAY_MS;
/// How long a key signs.
const KEY_AGE_MS: i64 = 90 * DAY_MS;

/// What signs, with the name that credentials know it by.
struct Signer {
    id: String,
    pair: Ed25519KeyPair,
}

/// A credential, and until when it is good.
pub(crate) struct Credential {
    pub(crate) token: String,
    pub(crate) until: Option<i64>,
}

fn broken(error: impl std::fmt::Display) -> Error {
    Error::Internal(format!("a key for credentials: {error}"))
}

/// Makes a key where there is none that may sign.
pub(crate) fn prepare(tx: &mut dyn Tx, now: i64) -> Result<()> {
    signing_key(tx, now).map(|_| ())
}

/// A credential for an agent, to be replaced after `age_ms`; without that it is good for ever.
///
/// Runs where no other transaction does the same.
pub(crate) fn issue(tx: &mut dyn Tx, now: i64, agent: &str, age_ms: Option<i64>) -> Result<Credential> {
    let until = age_ms.map(|age| now.saturating_add(age).saturating_add(GRACE_MS));
    let key = signing_key(tx, now)?;
    tx.execute(
        "UPDATE signing_keys SET needed_until = ?2 WHERE id = ?1 AND needed_until < ?2",
        args![&key.id, until.unwrap_or(i64::MAX)],
    )?;
    let header = json!({"alg": ALGORITHM, "kid": key.id, "typ": "JWT"});
    let seconds = now.div_euclid(1000);
    let mut claims = json!({"iss": ISSUER, "aud": AUDIENCE, "sub": agent, "jti": random_hex(16), "iat": seconds, "nbf": seconds});
    if let Some(until) = until {
        claims["exp"] = until.div_euclid(1000).into();
    }
    Ok(Credential { token: signed(&key.pair, &header, &claims), until })
}

/// The agent whose credential this is by signature and claims; none where it is no such token.
///
/// # Errors
/// Why it is refused.
pub(crate) fn subject(tx: &mut dyn Tx, now: i64, token: &str) -> Result<Option<String>> {
    let unverified = match Unverified::parse(token.as_bytes()) {
        Err(TokenError::Malformed(_)) => return Ok(None),
        parsed => parsed.map_err(refused)?,
    };
    let rows = tx.query("SELECT id, public_key FROM signing_keys ORDER BY id DESC", &[])?;
    let key = |id: String, public: String| json!({"kty": "OKP", "crv": "Ed25519", "alg": ALGORITHM, "kid": id, "x": public});
    let keys: Vec<Value> = rows.iter().map(|row| key(row.text(0), row.text(1))).collect();
    let keys = KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).map_err(broken)?;
    let expected =
        Expected { issuer: ISSUER, audience: Some(AUDIENCE), may_be_endless: true, now: now as f64 / 1000.0 };
    let claims = unverified.verify(&keys, expected).map_err(refused)?;
    Ok(claims.get("sub").and_then(Value::as_str).map(str::to_owned))
}

fn refused(error: TokenError) -> Error {
    let help = match error {
        TokenError::Expired => "; DELETE /agents/{id}/credential lets the agent enrol again",
        _ => "",
    };
    Error::Unauthorized(format!("the agent's credential: {error}{help}"))
}

/// A key that credentials are signed with, without its secret half.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct SigningKey {
    /// Identifier: `kid` in the credentials that it signed.
    pub(crate) id: String,
    /// The public half: Ed25519, as base64url.
    pub(crate) public_key: String,
    /// Whether it signs what is signed from now on.
    pub(crate) signs: bool,
    /// When it was made.
    pub(crate) created_at: String,
    /// When the last credential expires that it signed, and it goes; none where one never does.
    pub(crate) needed_until: Option<String>,
}

/// Every key, the newest first.
pub(crate) fn keys(tx: &mut dyn Tx, now: i64) -> Result<Vec<SigningKey>> {
    let sql =
        "SELECT id, public_key, created_at, needed_until FROM signing_keys ORDER BY created_at DESC, id DESC";
    let rows = tx.query(sql, &[])?;
    let read = |(place, row): (usize, &Row)| SigningKey {
        id: row.text(0),
        public_key: row.text(1),
        signs: place == 0 && row.int(2) > now - KEY_AGE_MS,
        created_at: rfc3339(row.int(2)),
        needed_until: Some(row.int(3)).filter(|until| *until < i64::MAX).map(rfc3339),
    };
    Ok(rows.iter().enumerate().map(read).collect())
}

/// Makes the next key before its time, for all instances. Credentials that the former ones signed go on to count; where
/// they are to be `renewed`, every agent gets another with its next connection.
pub(crate) fn replace_key(tx: &mut dyn Tx, caller: &Caller, now: i64, renewed: bool) -> Result<SigningKey> {
    tx.alone()?;
    let newest = tx.one("SELECT max(created_at) FROM signing_keys", &[])?.map_or(0, |row| row.int(0));
    // The newest signs, however fast they follow each other.
    make_key(tx, caller, now.max(newest + 1))?;
    if renewed {
        // The beginning of time is before whatever is too old.
        let agents =
            tx.execute("UPDATE agents SET credential_at = 0 WHERE credential_hash IS NOT NULL", &[])?;
        let count = agents.to_string();
        audit::record(tx, caller, now, "agent.rotate_credentials", "agents", "", &count)?;
    }
    let made = keys(tx, now)?.into_iter().next();
    made.ok_or_else(|| broken("it is gone"))
}

/// The key that signs now.
fn signing_key(tx: &mut dyn Tx, now: i64) -> Result<Signer> {
    let sql = "SELECT id, private_key FROM signing_keys WHERE created_at > ?1 ORDER BY created_at DESC, id DESC LIMIT 1";
    if let Some(row) = tx.one(sql, args![now - KEY_AGE_MS])? {
        let document = unhex(&row.text(1)).unwrap_or_default();
        let pair = Ed25519KeyPair::from_pkcs8(&document).map_err(broken)?;
        return Ok(Signer { id: row.text(0), pair });
    }
    make_key(tx, &Caller::system(), now)
}

/// Makes a key, and forgets those that no credential needs any more.
fn make_key(tx: &mut dyn Tx, caller: &Caller, now: i64) -> Result<Signer> {
    for row in tx.query("SELECT id FROM signing_keys WHERE needed_until < ?1 ORDER BY id", args![now])? {
        tx.execute("DELETE FROM signing_keys WHERE id = ?1", args![row.text(0)])?;
        audit::record(tx, caller, now, "signing_key.remove", &row.text(0), &row.text(0), "")?;
    }
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(broken)?;
    let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).map_err(broken)?;
    let (id, public) = (new_id("sig", now), URL_SAFE_NO_PAD.encode(pair.public_key()));
    tx.execute(
        "INSERT INTO signing_keys (id, public_key, private_key, created_at, needed_until) VALUES (?1, ?2, ?3, ?4, ?4)",
        args![&id, &public, hex(document.as_ref()), now],
    )?;
    audit::record(tx, caller, now, "signing_key.create", &id, "", &public)?;
    Ok(Signer { id, pair })
}

/// The compact form (RFC 7515).
fn signed(pair: &Ed25519KeyPair, header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(pair.sign(message.as_bytes())))
}

#[cfg(test)]
mod tests;
