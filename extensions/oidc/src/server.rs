//! Judges tokens.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use phoenix_component::auth::{Decision, Denied, DeniedBecause, Identity, Presented, ServerAuth, Verdict};
use ring::digest::{SHA256, digest};
use serde_json::{Map, Value};

use crate::ProviderSettings;
use crate::jwks::KeySet;
use crate::jwt::{Expected, TokenError, Unverified, expiry};
use crate::keys::Keys;

/// Tokens that were taken and are known by their digest: a sender shows the same one with every request.
const MAX_KNOWN: usize = 1024;
/// When to come again while there are no keys.
const COME_AGAIN: Duration = Duration::from_secs(1);

/// The providers, by issuer.
pub(crate) struct Providers {
    header: String,
    by_issuer: HashMap<String, Arc<Provider>>,
}

/// One provider as requests see it.
pub(crate) struct Provider {
    settings: ProviderSettings,
    pub(crate) keys: Keys,
    known: Mutex<HashMap<[u8; 32], Known>>,
}

struct Known {
    identity: Arc<Identity>,
    expires: f64,
    generation: u64,
}

fn unix_now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn denied(because: DeniedBecause, message: impl Into<Cow<'static, str>>) -> Denied {
    let challenge = match because {
        DeniedBecause::Missing => "Bearer",
        _ => "Bearer error=\"invalid_token\"",
    };
    Denied::new(because, message).with_challenge(challenge)
}

fn refused(error: &TokenError) -> Denied {
    let because = match error {
        TokenError::Expired => DeniedBecause::Expired,
        _ => DeniedBecause::Invalid,
    };
    let step = match error {
        TokenError::Malformed(_) | TokenError::Algorithm(_) => "parse the token",
        _ => "verify token",
    };
    denied(because, format!("failed to {step}: {error}"))
}

impl Providers {
    pub(crate) fn new(header: &str, providers: impl IntoIterator<Item = Arc<Provider>>) -> Providers {
        let by_issuer =
            providers.into_iter().map(|provider| (provider.settings.issuer_url.clone(), provider));
        Providers { header: header.to_ascii_lowercase(), by_issuer: by_issuer.collect() }
    }
}

impl Provider {
    pub(crate) fn new(settings: ProviderSettings, keys: Keys) -> Provider {
        Provider { settings, keys, known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<[u8; 32], Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who showed this token before, where it and the keys still are what they were.
    fn recall(&self, digest: &[u8; 32], now: f64) -> Option<Arc<Identity>> {
        let known = self.known();
        let known = known.get(digest)?;
        (known.expires > now && known.generation == self.keys.generation()).then(|| known.identity.clone())
    }

    fn remember(&self, digest: [u8; 32], generation: u64, expires: f64, identity: &Arc<Identity>, now: f64) {
        let mut known = self.known();
        if known.len() >= MAX_KNOWN {
            known.retain(|_, known| known.expires > now && known.generation == generation);
            if known.len() >= MAX_KNOWN {
                known.clear();
            }
        }
        known.insert(digest, Known { identity: identity.clone(), expires, generation });
    }

    fn judge(
        &self,
        token: &[u8],
        keys: &KeySet,
        generation: u64,
        now: f64,
    ) -> Result<Arc<Identity>, TokenError> {
        let settings = &self.settings;
        let audience = Some(settings.audience.as_str()).filter(|_| !settings.ignore_audience);
        let expected = Expected { issuer: &settings.issuer_url, audience, may_be_endless: false, now };
        let claims = Unverified::parse(token)?.verify(keys, expected)?;
        let expires = expiry(&claims).unwrap_or_default();
        let identity = Arc::new(self.identity(token, claims)?);
        self.remember(key_of(token), generation, expires, &identity, now);
        Ok(identity)
    }

    fn identity(&self, token: &[u8], claims: Map<String, Value>) -> Result<Identity, TokenError> {
        let settings = &self.settings;
        let subject = match settings.username_claim.as_str() {
            "" => claims.get("sub").and_then(Value::as_str).unwrap_or_default(),
            claim => claims.get(claim).and_then(Value::as_str).ok_or(TokenError::Claim("username_claim"))?,
        };
        let membership = match settings.groups_claim.as_str() {
            "" => Vec::new(),
            claim => match claims.get(claim).ok_or(TokenError::Claim("groups_claim"))? {
                Value::String(group) => vec![Value::from(group.as_str())],
                Value::Array(groups) => {
                    let text =
                        |group: &Value| group.as_str().map_or_else(|| group.to_string(), str::to_owned);
                    groups.iter().map(|group| text(group).into()).collect()
                }
                _ => Vec::new(),
            },
        };
        let own = ["subject", "membership", "raw"];
        let mut attributes: Vec<(Cow<'static, str>, Value)> = vec![
            (own[0].into(), subject.into()),
            (own[1].into(), membership.into()),
            (own[2].into(), String::from_utf8_lossy(token).into()),
        ];
        let others = claims.into_iter().filter(|(name, _)| !own.contains(&name.as_str()));
        attributes.extend(others.map(|(name, value)| (name.into(), value)));
        Ok(Identity::new(attributes))
    }

    fn no_keys(&self) -> Denied {
        let text = format!("the keys of the issuer {:?} could not be fetched yet", self.settings.issuer_url);
        Denied::unavailable(text, COME_AGAIN)
    }

    /// No key fits; while the issuer cannot be asked, one that it has by now might.
    fn no_key(&self) -> Denied {
        if !self.keys.may_be_old() {
            return refused(&TokenError::NoKey);
        }
        let issuer = &self.settings.issuer_url;
        let text = format!(
            "no key that is known of the issuer {issuer:?} fits, and it cannot be asked for newer ones"
        );
        Denied::unavailable(text, COME_AGAIN)
    }

    /// Judges with the keys that are known; none where newer ones may be needed.
    fn judge_now(&self, token: &[u8], now: f64) -> Option<Verdict> {
        // Before the keys: what is remembered under a newer number was judged by newer keys.
        let generation = self.keys.generation();
        match self.judge(token, &*self.keys.current()?, generation, now) {
            Ok(identity) => Some(Ok(identity)),
            Err(TokenError::NoKey) => None,
            Err(error) => Some(Err(refused(&error))),
        }
    }
}

fn key_of(token: &[u8]) -> [u8; 32] {
    let mut key = [0; 32];
    key.copy_from_slice(digest(&SHA256, token).as_ref());
    key
}

impl ServerAuth for Providers {
    fn authenticate(&self, presented: Presented<'_>) -> Decision {
        let shown = match presented.first(&self.header) {
            None | Some(b"") => {
                return Decision::Now(Err(denied(DeniedBecause::Missing, "authentication didn't succeed")));
            }
            Some(shown) => shown,
        };
        let mut parts = shown.split(|byte| *byte == b' ');
        let (Some(_), Some(token), None) = (parts.next(), parts.next(), parts.next()) else {
            return Decision::Now(Err(denied(DeniedBecause::Invalid, "invalid authorization header format")));
        };
        let now = unix_now();
        let digest = key_of(token);
        if let Some(identity) = self.by_issuer.values().find_map(|provider| provider.recall(&digest, now)) {
            return Decision::Now(Ok(identity));
        }
        let issuer = match Unverified::parse(token) {
            Ok(unverified) => unverified.issuer().unwrap_or_default().to_owned(),
            Err(error) => return Decision::Now(Err(refused(&error))),
        };
        let Some(provider) = self.by_issuer.get(&issuer).cloned() else {
            let issuer: String = issuer.chars().take(200).collect();
            let text = format!(
                "failed to resolve OIDC provider for the issuer {issuer:?}: no OIDC provider configured for the issuer"
            );
            return Decision::Now(Err(denied(DeniedBecause::Invalid, text)));
        };
        if provider.keys.current().is_none() {
            return Decision::Now(Err(provider.no_keys()));
        }
        if let Some(verdict) = provider.judge_now(token, now) {
            return Decision::Now(verdict);
        }
        if !provider.keys.are_fetched() {
            return Decision::Now(Err(provider.no_key()));
        }
        let token = token.to_vec();
        Decision::Later(Box::pin(async move {
            provider.keys.renewed().await;
            let verdict = provider.judge_now(&token, unix_now());
            verdict.unwrap_or_else(|| Err(provider.no_key()))
        }))
    }
}

#[cfg(test)]
mod tests;
