//! Identifiers, secrets and hashes.

use rand::RngCore as _;
use sha2::{Digest as _, Sha256};

/// A new identifier, for example `cfg_0199c2d1f3a07b21c5d0e9a1`: later ones sort behind earlier ones.
pub fn new_id(prefix: &str, now_ms: i64) -> String {
    format!("{prefix}_{now_ms:012x}{}", random_hex(6))
}

/// So many random bytes, in hexadecimal.
pub(crate) fn random_hex(bytes: usize) -> String {
    let mut random = vec![0; bytes];
    rand::rng().fill_bytes(&mut random);
    hex(&random)
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of a hexadecimal text; none where it is no such text.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    (digits.len().is_multiple_of(2) && digits.iter().all(u8::is_ascii_hexdigit))
        .then(|| digits.chunks(2).map(pair).collect())?
}

/// SHA-256 in hexadecimal.
pub fn sha256(bytes: impl AsRef<[u8]>) -> String {
    hex(&Sha256::digest(bytes))
}

/// A secret with 256 random bits, which names its record: `phx_<kind>_<id>_<secret>`. The hash of it is what is kept:
/// nobody guesses 256 bits, so it needs no slow hash.
pub struct Secret {
    /// What the client keeps, shown once.
    pub token: String,
    /// What is kept here.
    pub hash: String,
}

impl Secret {
    /// A new secret for the record `id`.
    pub fn new(id: &str) -> Secret {
        let token = format!("phx_{id}_{}", random_hex(32));
        let hash = sha256(&token);
        Secret { token, hash }
    }

    /// The record that a token names; none where it has another form.
    pub fn record(token: &str) -> Option<&str> {
        token.strip_prefix("phx_")?.rsplit_once('_').map(|(id, _)| id)
    }
}

/// Compares in a time that depends on the lengths alone.
pub fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_sort_by_time_and_tokens_name_their_record() {
        assert!(new_id("cfg", 5) < new_id("cfg", 6));
        let id = new_id("key", 1);
        let secret = Secret::new(&id);
        assert_eq!(Secret::record(&secret.token), Some(id.as_str()));
        assert_eq!(secret.hash, sha256(&secret.token));
        assert_ne!(secret.token, Secret::new(&id).token);
        for wrong in ["", "phx_", "key_1_2", "Bearer x"] {
            assert_eq!(Secret::record(wrong).filter(|id| !id.is_empty()), None, "{wrong}");
        }
    }

    #[test]
    fn hexadecimal_goes_both_ways() {
        assert_eq!(unhex(&hex(&[0, 15, 255])), Some(vec![0, 15, 255]));
        for wrong in ["a", "zz", "+1", "ä"] {
            assert_eq!(unhex(wrong), None, "{wrong}");
        }
        assert!(same("ab", "ab") && !same("ab", "ac") && !same("a", "ab"));
    }
}
