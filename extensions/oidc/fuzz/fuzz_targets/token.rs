//! Any bytes as a token and as a key set: nothing that is not signed is taken.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use phoenix_extension_oidc::jwks::KeySet;
use phoenix_extension_oidc::jwt::{Expected, Unverified};

const ISSUER: Expected<'static> = Expected {
    issuer: "https://issuer.example",
    audience: Some("collector"),
    may_be_endless: true,
    now: 1.8e9,
};

/// The point of the curve's own generator: a key whose secret everybody knows, and no input can sign with.
static KEYS: LazyLock<KeySet> = LazyLock::new(|| {
    KeySet::parse(
        br#"{"keys":[{"kty":"EC","crv":"P-256","x":"axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY","y":"T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU"}]}"#,
    )
    .expect("a key")
});

fuzz_target!(|input: (&[u8], &[u8])| {
    let (token, keys) = input;
    if let Ok(unverified) = Unverified::parse(token) {
        let _ = unverified.issuer();
        assert!(unverified.verify(&KEYS, ISSUER).is_err());
    }
    if let Ok(keys) = KeySet::parse(keys)
        && let Ok(unverified) = Unverified::parse(token)
    {
        let _ = unverified.verify(&keys, ISSUER);
    }
});
