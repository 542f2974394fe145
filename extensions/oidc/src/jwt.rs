//! JSON Web Tokens in their compact form (RFC 7519, RFC 7515): what they say, who signed them, whether that still
//! holds. Everything is a function of bytes and a time.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::jwks::{Algorithm, KeySet, Verified};

/// Longest token that is looked at.
pub const MAX_TOKEN_BYTES: usize = 16 << 10;
/// How far the clocks of issuer and collector may be apart where a token is not valid yet, as in go-oidc.
const NOT_BEFORE_LEEWAY_SECONDS: f64 = 300.0;

/// A token that nobody has vouched for yet.
#[derive(Debug)]
pub struct Unverified<'a> {
    algorithm: Algorithm,
    key_id: Option<String>,
    claims: Map<String, Value>,
    signed: &'a [u8],
    signature: Vec<u8>,
}

/// Why a token is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is no token.
    #[error("malformed token: {0}")]
    Malformed(&'static str),
    /// Signed in a way that is not offered, or not at all.
    #[error("unsupported signature algorithm {0:?}")]
    Algorithm(String),
    /// No key verifies the signature.
    #[error("failed to verify signature")]
    Signature,
    /// The issuer has no such key, as far as is known.
    #[error("failed to verify signature: no key of the issuer fits")]
    NoKey,
    /// It comes from somebody else.
    #[error("the token was issued by another provider")]
    Issuer,
    /// It is meant for somebody else.
    #[error("expected audience not found in the token")]
    Audience,
    /// It was valid once.
    #[error("the token has expired")]
    Expired,
    /// It will be valid.
    #[error("the token is not valid yet")]
    NotYet,
    /// A claim is missing, or not what it should be.
    #[error("claim {0:?} is missing, or of another type")]
    Claim(&'static str),
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

/// What a token must say.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// Who issued it.
    pub issuer: &'a str,
    /// Whom it is meant for; none for anybody.
    pub audience: Option<&'a str>,
    /// Whether it may be valid for ever; otherwise it must say until when.
    pub may_be_endless: bool,
    /// Seconds since 1970.
    pub now: f64,
}

impl<'a> Unverified<'a> {
    /// Reads a token without believing it.
    ///
    /// # Errors
    /// Where it is none, or is signed in a way that is not offered.
    pub fn parse(token: &'a [u8]) -> Result<Unverified<'a>, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::Malformed("it is too long"));
        }
        let malformed = TokenError::Malformed("it has not three parts");
        let dots: Vec<usize> = (0..token.len()).filter(|at| token[*at] == b'.').take(3).collect();
        let [first, second] = dots[..] else { return Err(malformed) };
        let decode = |part: &[u8]| {
            URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed("a part is not base64url"))
        };
        let header: Header = serde_json::from_slice(&decode(&token[..first])?)
            .map_err(|_| TokenError::Malformed("its header is not JSON as it should be"))?;
        if header.crit.is_some() {
            return Err(TokenError::Malformed("it has critical extensions"));
        }
        let algorithm = Algorithm::parse(&header.alg)
            .ok_or_else(|| TokenError::Algorithm(header.alg.chars().take(20).collect()))?;
        let claims = serde_json::from_slice(&decode(&token[first + 1..second])?)
            .map_err(|_| TokenError::Malformed("its claims are no JSON object"))?;
        let signature = decode(&token[second + 1..])?;
        Ok(Unverified { algorithm, key_id: header.kid, claims, signed: &token[..second], signature })
    }

    /// Who it says has issued it.
    pub fn issuer(&self) -> Option<&str> {
        self.claims.get("iss")?.as_str()
    }

    /// Its claims, once a key has vouched for them and they say what is expected.
    ///
    /// # Errors
    /// Why it is not taken.
    pub fn verify(self, keys: &KeySet, expected: Expected<'_>) -> Result<Map<String, Value>, TokenError> {
        match keys.verify(self.key_id.as_deref(), self.algorithm, self.signed, &self.signature) {
            Verified::Yes => {}
            Verified::No => return Err(TokenError::Signature),
            Verified::NoKey => return Err(TokenError::NoKey),
        }
        check(&self.claims, expected)?;
        Ok(self.claims)
    }
}

/// When a token with these claims expires, in seconds since 1970.
pub fn expiry(claims: &Map<String, Value>) -> Option<f64> {
    claims.get("exp")?.as_f64()
}

fn check(claims: &Map<String, Value>, expected: Expected<'_>) -> Result<(), TokenError> {
    match claims.get("iss").and_then(Value::as_str) {
        None => return Err(TokenError::Claim("iss")),
        Some(issuer) if issuer != expected.issuer => return Err(TokenError::Issuer),
        Some(_) => {}
    }
    if let Some(audience) = expected.audience {
        let is_meant = match claims.get("aud") {
            Some(Value::String(one)) => one == audience,
            Some(Value::Array(several)) => several.iter().any(|one| one.as_str() == Some(audience)),
            _ => return Err(TokenError::Claim("aud")),
        };
        if !is_meant {
            return Err(TokenError::Audience);
        }
    }
    if !(expected.may_be_endless && claims.get("exp").is_none())
        && expiry(claims).ok_or(TokenError::Claim("exp"))? <= expected.now
    {
        return Err(TokenError::Expired);
    }
    if let Some(not_before) = claims.get("nbf").filter(|value| !value.is_null()) {
        let not_before = not_before.as_f64().ok_or(TokenError::Claim("nbf"))?;
        if not_before > expected.now + NOT_BEFORE_LEEWAY_SECONDS {
            return Err(TokenError::NotYet);
        }
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests;
