//! Tokens signed here with ring, and with RSA by OpenSSL (`tests/data/rsa.json`).

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use serde_json::json;

use super::*;

pub(crate) const ISSUER: &str = "https://issuer.example";
const NOW: f64 = 1_800_000_000.0;

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A key of P-256.
pub(crate) struct Signer {
    id: String,
    pair: EcdsaKeyPair,
    random: SystemRandom,
}

impl Signer {
    pub(crate) fn new(id: &str) -> Signer {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("made");
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).expect("read");
        Signer { id: id.to_owned(), pair, random }
    }

    pub(crate) fn jwk(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        let (x, y) = (encode(&point[1..33]), encode(&point[33..]));
        json!({"kty": "EC", "crv": "P-256", "kid": self.id, "alg": "ES256", "x": x, "y": y})
    }

    pub(crate) fn sign_as(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        let signature = self.pair.sign(&self.random, message.as_bytes()).expect("signed");
        format!("{message}.{}", encode(signature))
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.sign_as(&json!({"alg": "ES256", "kid": self.id, "typ": "JWT"}), claims)
    }
}

pub(crate) fn key_set(keys: &[Value]) -> KeySet {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).expect("keys")
}

fn verify(token: &str, keys: &KeySet) -> Result<Map<String, Value>, TokenError> {
    verify_as(token, keys, false)
}

fn verify_as(token: &str, keys: &KeySet, may_be_endless: bool) -> Result<Map<String, Value>, TokenError> {
    let expected = Expected { issuer: ISSUER, audience: Some("collector"), may_be_endless, now: NOW };
    Unverified::parse(token.as_bytes())?.verify(keys, expected)
}

#[test]
fn claims_are_held_against_what_is_expected() {
    let signer = Signer::new("a");
    let keys = key_set(&[signer.jwk()]);
    let base = json!({"iss": ISSUER, "aud": "collector", "exp": NOW + 60.0, "sub": "ann"});
    // (changed claims, what becomes of the token)
    let cases = [
        (json!({}), None),
        (json!({"aud": ["x", "collector"]}), None),
        (json!({"nbf": NOW + 299.0}), None),
        (json!({"nbf": null}), None),
        (json!({"exp": NOW}), Some(TokenError::Expired)),
        (json!({"exp": "4102444800"}), Some(TokenError::Claim("exp"))),
        (json!({"exp": null}), Some(TokenError::Claim("exp"))),
        (json!({"nbf": NOW + 301.0}), Some(TokenError::NotYet)),
        (json!({"nbf": "soon"}), Some(TokenError::Claim("nbf"))),
        (json!({"aud": "other"}), Some(TokenError::Audience)),
        (json!({"aud": ["collectors", 5]}), Some(TokenError::Audience)),
        (json!({"aud": {"collector": 1}}), Some(TokenError::Claim("aud"))),
        (json!({"aud": null}), Some(TokenError::Claim("aud"))),
        (json!({"iss": "https://issuer.example/"}), Some(TokenError::Issuer)),
        (json!({"iss": [ISSUER]}), Some(TokenError::Claim("iss"))),
    ];
    for (changes, expected) in cases {
        let mut claims = base.clone();
        for (name, value) in changes.as_object().expect("an object") {
            claims[name] = value.clone();
        }
        assert_eq!(verify(&signer.sign(&claims), &keys).err(), expected, "{changes}");
    }
}

#[test]
fn a_token_is_endless_only_where_that_is_expected_and_it_does_not_say_otherwise() {
    let signer = Signer::new("a");
    let keys = key_set(&[signer.jwk()]);
    let judged =
        |claims: &Value, may_be_endless| verify_as(&signer.sign(claims), &keys, may_be_endless).err();
    let endless = json!({"iss": ISSUER, "aud": "collector"});
    assert_eq!(judged(&endless, true), None);
    assert_eq!(judged(&endless, false), Some(TokenError::Claim("exp")));
    for (exp, expected) in [
        (json!(NOW + 1.0), None),
        (json!(NOW), Some(TokenError::Expired)),
        (json!(null), Some(TokenError::Claim("exp"))),
        (json!("never"), Some(TokenError::Claim("exp"))),
    ] {
        let mut claims = endless.clone();
        claims["exp"] = exp;
        assert_eq!(judged(&claims, true), expected, "{claims}");
    }
}

#[test]
fn only_the_issuers_keys_vouch_for_a_token() {
    let (signer, other) = (Signer::new("a"), Signer::new("a"));
    let claims = json!({"iss": ISSUER, "aud": "collector", "exp": NOW + 60.0});
    let (token, keys) = (signer.sign(&claims), key_set(&[signer.jwk()]));
    assert!(verify(&token, &keys).is_ok());
    assert_eq!(verify(&token, &key_set(&[other.jwk()])).err(), Some(TokenError::Signature));
    assert_eq!(verify(&token, &key_set(&[Signer::new("b").jwk()])).err(), Some(TokenError::NoKey));
    let mut nameless = signer.jwk();
    nameless.as_object_mut().expect("an object").remove("kid");
    assert!(verify(&token, &key_set(&[Signer::new("b").jwk(), nameless])).is_ok());
    let unnamed = signer.sign_as(&json!({"alg": "ES256"}), &claims);
    assert!(verify(&unnamed, &key_set(&[other.jwk(), signer.jwk()])).is_ok());
    for header in
        [json!({"alg": "none"}), json!({"alg": "HS256"}), json!({"alg": "ES512"}), json!({"alg": ""})]
    {
        let error = verify(&signer.sign_as(&header, &claims), &keys).err();
        assert!(matches!(error, Some(TokenError::Algorithm(_))), "{header}: {error:?}");
    }
    for header in [json!({"alg": "RS256", "kid": "a"}), json!({"alg": "EdDSA"}), json!({"alg": "ES384"})] {
        assert_eq!(
            verify(&signer.sign_as(&header, &claims), &keys).err(),
            Some(TokenError::NoKey),
            "{header}"
        );
    }
    let critical = json!({"alg": "ES256", "kid": "a", "crit": ["b64"], "b64": false});
    assert!(matches!(verify(&signer.sign_as(&critical, &claims), &keys), Err(TokenError::Malformed(_))));
    // Any change of a byte.
    for at in 0..token.len() {
        let mut changed = token.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).expect("ASCII");
        // The last character has bits that mean nothing.
        assert!(verify(&changed, &keys).is_err() || at == token.len() - 1, "{at}");
    }
}

#[test]
fn edwards_keys_vouch_too() {
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("made");
    let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).expect("read");
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key())});
    let claims = json!({"iss": ISSUER, "aud": "collector", "exp": NOW + 60.0});
    let message = format!("{}.{}", encode(r#"{"alg":"EdDSA"}"#), encode(claims.to_string()));
    let token = format!("{message}.{}", encode(pair.sign(message.as_bytes())));
    assert!(verify(&token, &key_set(&[jwk])).is_ok());
}

#[test]
fn tokens_of_others_are_understood() {
    let data: Value = serde_json::from_str(include_str!("../../tests/data/rsa.json")).expect("JSON");
    let keys = KeySet::parse(data["keys"].to_string().as_bytes()).expect("keys");
    for (algorithm, token) in data["tokens"].as_object().expect("an object") {
        let claims = verify(token.as_str().expect("text"), &keys).expect(algorithm);
        assert_eq!(claims["sub"], "ann");
    }
    for key in ["hs256_with_the_public_key", "none"] {
        let error = verify(data[key].as_str().expect("text"), &keys).err();
        assert!(matches!(error, Some(TokenError::Algorithm(_))), "{key}: {error:?}");
    }
    let only_secret = json!({"keys": [{"kty": "oct", "k": "aHVzaA"}]}).to_string();
    assert!(KeySet::parse(only_secret.as_bytes()).is_err());
    let short = json!({"keys": [{"kty": "EC", "crv": "P-256", "x": "AA", "y": encode([1; 33])}]}).to_string();
    assert!(KeySet::parse(short.as_bytes()).is_err());
}

#[test]
fn nothing_that_is_shown_panics() {
    let signer = Signer::new("a");
    let keys = key_set(&[signer.jwk()]);
    let token = signer.sign(&json!({"iss": ISSUER, "aud": "collector", "exp": NOW + 60.0}));
    let jwks = json!({"keys": [signer.jwk(), {"kty": "RSA", "n": "AQAB", "e": "AQAB"}]}).to_string();
    let mut state = 11u64;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    for _ in 0..10_000 {
        for text in [&token, &jwks] {
            let mut bytes = text.clone().into_bytes();
            for _ in 0..=next() % 4 {
                let at = next() % bytes.len();
                match next() % 4 {
                    0 => bytes.truncate(at.max(1)),
                    1 => bytes.insert(at, next() as u8),
                    2 => bytes[at] ^= 1 << (next() % 8),
                    _ => bytes[at] = b".{}[]\",:0A"[next() % 10],
                }
            }
            let _ = String::from_utf8(bytes.clone()).map(|token| verify(&token, &keys));
            if let Ok(keys) = KeySet::parse(&bytes) {
                let _ = verify(&token, &keys);
            }
        }
    }
}
