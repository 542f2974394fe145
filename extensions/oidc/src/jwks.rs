//! Public keys (RFC 7517), and the signatures that they verify (RFC 7518, RFC 8037).
//!
//! A key fits the algorithms of its type alone, and a secret key (`oct`) is none: what is public cannot be
//! taken for a secret that signs.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    self, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use serde::Deserialize;
use serde_json::Value;

/// Most keys of a set that are looked at.
const MAX_KEYS: usize = 100;

/// How a token is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
}

impl Algorithm {
    /// The algorithm of that name; none for one that is not offered, `none` among them.
    pub fn parse(name: &str) -> Option<Algorithm> {
        Some(match name {
            "RS256" => Algorithm::Rs256,
            "RS384" => Algorithm::Rs384,
            "RS512" => Algorithm::Rs512,
            "PS256" => Algorithm::Ps256,
            "PS384" => Algorithm::Ps384,
            "PS512" => Algorithm::Ps512,
            "ES256" => Algorithm::Es256,
            "ES384" => Algorithm::Es384,
            "EdDSA" => Algorithm::EdDsa,
            _ => return None,
        })
    }

    fn rsa(self) -> Option<&'static RsaParameters> {
        Some(match self {
            Algorithm::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            Algorithm::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
            Algorithm::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
            Algorithm::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
            Algorithm::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
            Algorithm::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
            _ => return None,
        })
    }
}

/// The keys of an issuer.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct KeySet(Vec<Key>);

#[derive(Debug, PartialEq, Eq)]
struct Key {
    id: Option<String>,
    /// The only algorithm that it may be used with.
    only: Option<Algorithm>,
    public: PublicKey,
}

#[derive(Debug, PartialEq, Eq)]
enum PublicKey {
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    /// On a curve: the algorithm that goes with it, and the point.
    Curve(Algorithm, Vec<u8>),
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// How a signature was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verified {
    /// By one of the keys.
    Yes,
    /// By none of them.
    No,
    /// There is no key of that name or kind: the issuer may have new ones.
    NoKey,
}

impl KeySet {
    /// Reads a JWK set. Keys that are of no use here are passed over.
    ///
    /// # Errors
    /// Where it is none, or there is no key of use in it.
    pub fn parse(json: &[u8]) -> Result<KeySet, String> {
        let set: Set =
            serde_json::from_slice(json).map_err(|error| format!("failed to parse JWKS: {error}"))?;
        let keys = set.keys.into_iter().take(MAX_KEYS);
        let keys: Vec<Key> = keys.filter_map(|key| Key::read(serde_json::from_value(key).ok()?)).collect();
        match keys.is_empty() {
            true => Err(
                "no supported keys (supported types are RSA of 2048 to 8192 bits, P-256, P-384 and Ed25519)"
                    .to_owned(),
            ),
            false => Ok(KeySet(keys)),
        }
    }

    /// Verifies `signature` over `message` with the key that is named, or with any where none is.
    pub fn verify(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Verified {
        let named = |key: &&Key| id.is_none_or(|id| key.id.as_deref().is_none_or(|own| own == id));
        let fits = |key: &&Key| key.fits(algorithm);
        let mut verdict = Verified::NoKey;
        for key in self.0.iter().filter(named).filter(fits) {
            match key.verify(algorithm, message, signature) {
                true => return Verified::Yes,
                false if id.is_some() && key.id.is_none() => {}
                false => verdict = Verified::No,
            }
        }
        verdict
    }
}

impl Key {
    fn read(jwk: Jwk) -> Option<Key> {
        if jwk.usage.as_deref().is_some_and(|usage| usage != "sig") {
            return None;
        }
        let bytes = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_ref()?.trim_end_matches('=')).ok();
        let public = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => {
                let modulus = bytes(&jwk.n)?;
                // Leading zeros do not belong there, and yet some write them.
                let zeros = modulus.iter().take_while(|byte| **byte == 0).count();
                PublicKey::Rsa { modulus: modulus[zeros..].to_vec(), exponent: bytes(&jwk.e)? }
            }
            ("EC", Some("P-256")) => {
                PublicKey::Curve(Algorithm::Es256, point(&bytes(&jwk.x)?, &bytes(&jwk.y)?, 32)?)
            }
            ("EC", Some("P-384")) => {
                PublicKey::Curve(Algorithm::Es384, point(&bytes(&jwk.x)?, &bytes(&jwk.y)?, 48)?)
            }
            ("OKP", Some("Ed25519")) => PublicKey::Curve(Algorithm::EdDsa, bytes(&jwk.x)?),
            _ => return None,
        };
        let only = match jwk.alg.as_deref() {
            None => None,
            // A key for what is not offered is of no use.
            Some(name) => Some(Algorithm::parse(name)?),
        };
        Some(Key { id: jwk.kid, only, public })
    }

    fn fits(&self, algorithm: Algorithm) -> bool {
        let by_kind = match &self.public {
            PublicKey::Rsa { .. } => algorithm.rsa().is_some(),
            PublicKey::Curve(of_curve, _) => *of_curve == algorithm,
        };
        by_kind && self.only.is_none_or(|only| only == algorithm)
    }

    fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        match (&self.public, algorithm.rsa()) {
            (PublicKey::Rsa { modulus, exponent }, Some(parameters)) => {
                let key = RsaPublicKeyComponents { n: modulus, e: exponent };
                key.verify(parameters, message, signature).is_ok()
            }
            (PublicKey::Curve(of_curve, point), None) => {
                let algorithm: &'static dyn VerificationAlgorithm = match of_curve {
                    Algorithm::Es256 => &signature::ECDSA_P256_SHA256_FIXED,
                    Algorithm::Es384 => &signature::ECDSA_P384_SHA384_FIXED,
                    _ => &signature::ED25519,
                };
                UnparsedPublicKey::new(algorithm, point).verify(message, signature).is_ok()
            }
            _ => false,
        }
    }
}

/// A point without compression; coordinates are filled up with zeros.
fn point(x: &[u8], y: &[u8], bytes: usize) -> Option<Vec<u8>> {
    let mut point = vec![0; 1 + 2 * bytes];
    point[0] = 4;
    let (x_at, y_at) = ((1 + bytes).checked_sub(x.len())?, (1 + 2 * bytes).checked_sub(y.len())?);
    if x_at < 1 || y_at < 1 + bytes {
        return None;
    }
    point[x_at..1 + bytes].copy_from_slice(x);
    point[y_at..].copy_from_slice(y);
    Some(point)
}
