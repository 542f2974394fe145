//! Users with their passwords, as Apache's htpasswd writes them: `user:hash` on each line.

use std::collections::HashMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use phoenix_component::auth::same_secret;
use sha1::Sha1;

use crate::sha_crypt::ShaCrypt;

/// Most users.
const MAX_USERS: usize = 100_000;
/// Highest cost of bcrypt: from there on one password takes seconds.
const MAX_COST: u32 = 15;

/// The users of a file.
#[derive(Default)]
pub struct Htpasswd(HashMap<String, Hash>);

/// A line that cannot be used. Says nothing of what stands there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineError {
    /// Its number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

impl std::error::Error for LineError {}

/// A password as it is kept.
#[derive(Clone, PartialEq, Eq)]
pub enum Hash {
    /// As it is.
    Plain(Vec<u8>),
    /// `{SHA}`, and `{SSHA}` with what comes after the password.
    Sha1 {
        /// The digest.
        digest: [u8; 20],
        /// What was hashed behind the password.
        salt: Vec<u8>,
    },
    /// `$apr1$` and `$1$`: a thousand rounds of MD5.
    Md5Crypt {
        /// Which of the two.
        magic: &'static str,
        /// At most 8 bytes.
        salt: String,
        /// In the alphabet of `crypt`.
        encoded: String,
    },
    /// `$2a$`, `$2b$`, `$2y$`.
    Bcrypt(String),
    /// `$5$` and `$6$`: thousands of rounds of SHA-256 or SHA-512.
    ShaCrypt(ShaCrypt),
}

/// The kind alone.
impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Hash::Plain(_) => "Plain",
            Hash::Sha1 { .. } => "Sha1",
            Hash::Md5Crypt { .. } => "Md5Crypt",
            Hash::Bcrypt(_) => "Bcrypt",
            Hash::ShaCrypt(_) => "ShaCrypt",
        })
    }
}

impl Htpasswd {
    /// Reads the lines of a file. Empty lines and those that begin with `#` are passed over; of a user who is
    /// there twice the last line counts.
    ///
    /// # Errors
    /// The first line that is none.
    pub fn parse(text: &str) -> Result<Htpasswd, LineError> {
        let mut users = HashMap::new();
        for (index, line) in text.lines().enumerate() {
            let wrong = |reason| LineError { line: index + 1, reason };
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (user, hash) =
                line.split_once(':').ok_or_else(|| wrong("there is no colon behind the user"))?;
            users.insert(user.to_owned(), Hash::parse(hash).map_err(wrong)?);
            if users.len() > MAX_USERS {
                return Err(wrong("there are more than 100000 users"));
            }
        }
        Ok(Htpasswd(users))
    }

    /// The user of that name.
    pub fn get(&self, user: &str) -> Option<&Hash> {
        self.0.get(user)
    }

    /// The users and their passwords.
    pub fn into_users(self) -> HashMap<String, Hash> {
        self.0
    }
}

impl Hash {
    fn parse(text: &str) -> Result<Hash, &'static str> {
        for magic in ["$apr1$", "$1$"] {
            let Some(rest) = text.strip_prefix(magic) else { continue };
            let (salt, encoded) = rest.split_once('$').ok_or("the hash has no salt")?;
            if salt.len() > 8 || encoded.len() != 22 {
                return Err("the hash is cut short, or too long");
            }
            return Ok(Hash::Md5Crypt { magic, salt: salt.to_owned(), encoded: encoded.to_owned() });
        }
        for (prefix, is_salted) in [("{SHA}", false), ("{SSHA}", true)] {
            let Some(rest) = text.strip_prefix(prefix) else { continue };
            let bytes = STANDARD.decode(rest).map_err(|_| "the hash is not base64")?;
            let (digest, salt) = bytes.split_first_chunk::<20>().ok_or("the hash is cut short")?;
            if salt.is_empty() == is_salted {
                return Err("the hash is cut short, or too long");
            }
            return Ok(Hash::Sha1 { digest: *digest, salt: salt.to_vec() });
        }
        if ["$2a$", "$2b$", "$2y$", "$2x$"].iter().any(|prefix| text.starts_with(prefix)) {
            let cost = text.get(4..6).and_then(|cost| cost.parse::<u32>().ok());
            return match (cost, text.len(), &text[..4]) {
                (_, _, "$2x$") => Err("hashes of the broken bcrypt `$2x$` are not taken"),
                (Some(4..=MAX_COST), 60, _) => Ok(Hash::Bcrypt(text.to_owned())),
                (Some(cost), 60, _) if cost > MAX_COST => {
                    Err("the cost of bcrypt is above 15: one request would take seconds")
                }
                _ => Err("the hash is cut short, or too long"),
            };
        }
        if let Some(hash) = ShaCrypt::parse(text) {
            return hash.map(Hash::ShaCrypt);
        }
        match text {
            "" => Err("the password is empty"),
            _ if text.starts_with('$') => Err("the hash is of a kind that is not known"),
            _ => Ok(Hash::Plain(text.as_bytes().to_vec())),
        }
    }

    /// Whether one look at it takes long, as it should.
    pub fn is_slow(&self) -> bool {
        matches!(self, Hash::Md5Crypt { .. } | Hash::Bcrypt(_) | Hash::ShaCrypt(_))
    }

    /// Whether it is the hash of `password`.
    pub fn fits(&self, password: &[u8]) -> bool {
        match self {
            Hash::Plain(plain) => same_secret(plain, password),
            Hash::Sha1 { digest, salt } => {
                let found = Sha1::new().chain_update(password).chain_update(salt).finalize();
                same_secret(digest, &found)
            }
            Hash::Md5Crypt { magic, salt, encoded } => {
                same_secret(encoded.as_bytes(), &md5_crypt(magic.as_bytes(), salt.as_bytes(), password))
            }
            Hash::Bcrypt(hash) => bcrypt::verify(password, hash).unwrap_or(false),
            Hash::ShaCrypt(hash) => hash.fits(password),
        }
    }
}

/// `crypt` with MD5, as Poul-Henning Kamp wrote it for FreeBSD, in the alphabet of `crypt`.
fn md5_crypt(magic: &[u8], salt: &[u8], password: &[u8]) -> Vec<u8> {
    let inner = Md5::new().chain_update(password).chain_update(salt).chain_update(password).finalize();
    let mut begun = Md5::new().chain_update(password).chain_update(magic).chain_update(salt);
    for part in 0..password.len().div_ceil(16) {
        begun.update(&inner[..(password.len() - part * 16).min(16)]);
    }
    let mut bits = password.len();
    while bits > 0 {
        // A byte for each bit of the length: zero, or the first of the password.
        begun.update(if bits & 1 == 1 { &[0][..] } else { &password[..1] });
        bits >>= 1;
    }
    let mut digest = begun.finalize();
    for round in 0..1000 {
        let is_odd = round % 2 == 1;
        let mut next = Md5::new();
        next.update(if is_odd { password } else { &digest[..] });
        if round % 3 != 0 {
            next.update(salt);
        }
        if round % 7 != 0 {
            next.update(password);
        }
        next.update(if is_odd { &digest[..] } else { password });
        digest = next.finalize();
    }
    let mut out = Vec::with_capacity(22);
    let mut put = |bytes: [usize; 3], count: usize| {
        let at = |index: usize| digest.get(index).copied().map_or(0, u32::from);
        let mut group = at(bytes[0]) << 16 | at(bytes[1]) << 8 | at(bytes[2]);
        for _ in 0..count {
            out.push(
                b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"[(group & 63) as usize],
            );
            group >>= 6;
        }
    };
    for bytes in [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]] {
        put(bytes, 4);
    }
    // The last byte stands alone.
    put([NOTHING, NOTHING, 11], 2);
    out
}

/// An index behind the digest.
const NOTHING: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(text: &str) -> Hash {
        Hash::parse(text).expect(text)
    }

    #[test]
    fn every_kind_of_hash_takes_its_password_alone() {
        // Made with OpenSSL and with the system's `crypt`.
        for (text, password) in [
            ("$apr1$rOioh4Wh$m5Xihq8Geii9fCC0S7.KC1", "secret"),
            ("$apr1$rOioh4Wh$goYVW0y6ucAbJku5p1BEt0", "x"),
            ("$apr1$rOioh4Wh$8kZzeJK70WpJlXuPlegaS/", "a-password-of-more-than-sixteen-bytes"),
            ("$1$abcdefgh$cHJi5PXp/ki/ktXzqlk6I1", "secret"),
            ("$1$abcdefgh$Kq.hi9o8N9ZQ9bt1VRCvY0", "a-password-of-more-than-sixteen-bytes"),
            ("$2b$04$nfJDGqIoNrxlZCo/0YOUKeFFWqEgv/QkEU2TLbYbVnUO1Fl5EGnNy", "secret"),
            ("$2y$04$nfJDGqIoNrxlZCo/0YOUKeFFWqEgv/QkEU2TLbYbVnUO1Fl5EGnNy", "secret"),
            ("$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5", "Hello world!"),
            ("$5$rounds=1000$ab$lMxgB9r4O0h7N8Fc22csLTwDjQhj47dburbojE4s.sD", "x"),
            (
                "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
                "Hello world!",
            ),
            (
                "$6$rounds=1400$anotherlongsalts$POfYwTEok97VWcjxIiSOjiykti.o/pQs.wPvMxQ6Fm7I6IoYN3CmLs66x9t0oSwbtEW7o7UmJEiDwGqd8p4ur1",
                "a very much longer text to encrypt.  This one even stretches over morethan one line.",
            ),
            ("{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "secret"),
            ("{SSHA}gVK8WC9YyFT1gMsQHTGCgT3sSv5zYWx0", "secret"),
            ("secret", "secret"),
            ("a:b", "a:b"),
        ] {
            let hash = hash(text);
            assert_eq!(hash.is_slow(), text.starts_with('$'), "{text}");
            assert!(hash.fits(password.as_bytes()), "{text}");
            for wrong in ["", "secre", "secret ", "Secret", "$apr1$rOioh4Wh$m5Xihq8Geii9fCC0S7.KC1"] {
                assert!(!hash.fits(wrong.as_bytes()), "{text} took {wrong:?}");
            }
            assert!(!format!("{hash:?}").contains("secret"));
        }
    }

    #[test]
    fn lines_that_cannot_be_used_are_named_by_number() {
        let long = format!("$2y$16${}", "x".repeat(53));
        // (hash, part of what is said)
        for (text, said) in [
            ("$apr1$salt", "no salt"),
            ("$apr1$saltsalt1$0123456789012345678901", "too long"),
            ("$apr1$salt$short", "cut short"),
            ("{SHA}x", "base64"),
            ("{SHA}c2hvcnQ=", "cut short"),
            ("{SSHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "cut short"),
            ("$2y$05$short", "cut short"),
            (long.as_str(), "above 15"),
            ("$6$salt$x", "cut short"),
            ("$6$salt", "no salt"),
            ("$5$rounds=no$salt$x", "no number"),
            ("$5$rounds=10$salt$x", "below 1000"),
            ("$6$rounds=1000001$salt$x", "above 1000000"),
            ("$5$a-salt-that-is-too-long$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5", "too long"),
            ("$argon2id$x", "not known"),
            ("", "empty"),
        ] {
            let error = Htpasswd::parse(&format!("ann:x\n# bob:\n\nbob:{text}")).err().expect(text);
            assert!(error.line == 4 && error.reason.contains(said), "{text}: {error}");
        }
        assert_eq!(Htpasswd::parse("ann").err().map(|error| error.line), Some(1));
    }

    #[test]
    fn the_last_line_of_a_user_counts() {
        let users = Htpasswd::parse("ann:one\r\nbob:b\r\n ann:two ").expect("lines");
        let fits =
            |user: &str, password: &str| users.get(user).is_some_and(|hash| hash.fits(password.as_bytes()));
        assert!(fits("ann", "two") && fits("bob", "b") && !fits("ann", "one") && !fits("eve", ""));
    }

    #[test]
    fn nothing_that_is_written_there_panics() {
        let mut state = 7u64;
        let alphabet = b"$apr12xyb{SHA}:=./ \n\xc3\xa9ab#";
        for _ in 0..20_000 {
            let mut next = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 33) as usize
            };
            let text: Vec<u8> = (0..next() % 90).map(|_| alphabet[next() % alphabet.len()]).collect();
            let text = String::from_utf8_lossy(&text);
            if let Ok(users) = Htpasswd::parse(&text) {
                let fast = users.into_users().into_values().filter(|hash| !hash.is_slow());
                fast.for_each(|hash| assert!(!hash.fits(b"never written there")));
            }
        }
    }
}
