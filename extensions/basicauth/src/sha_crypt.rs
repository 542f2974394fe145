//! `crypt` with SHA-256 and SHA-512, as Ulrich Drepper specified it ("Unix crypt using SHA-256 and SHA-512", 2007).

use phoenix_component::auth::same_secret;
use sha2::digest::Output;
use sha2::{Digest, Sha256, Sha512};

/// Rounds where the hash names none, and the bounds of what it may name.
const ROUNDS: u32 = 5_000;
const LEAST_ROUNDS: u32 = 1_000;
/// From there on one password takes a second and more.
const MOST_ROUNDS: u32 = 1_000_000;
const LONGEST_SALT: usize = 16;
/// The cost grows with the square of the length, and who sends it is nobody yet.
const LONGEST_PASSWORD: usize = 512;
const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A hash as it is kept: `$5$` or `$6$`, `rounds=N$` where it is written, salt, `$` and digest.
#[derive(Clone, PartialEq, Eq)]
pub struct ShaCrypt {
    is_512: bool,
    rounds: u32,
    salt: String,
    encoded: String,
}

impl ShaCrypt {
    /// The hash of that text; none where it is of another kind.
    pub(crate) fn parse(text: &str) -> Option<Result<ShaCrypt, &'static str>> {
        let (is_512, rest) = match (text.strip_prefix("$5$"), text.strip_prefix("$6$")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return None,
        };
        Some(ShaCrypt::parse_rest(is_512, rest))
    }

    fn parse_rest(is_512: bool, rest: &str) -> Result<ShaCrypt, &'static str> {
        let (rounds, rest) = match rest.strip_prefix("rounds=") {
            None => (ROUNDS, rest),
            Some(rest) => {
                let (rounds, rest) = rest.split_once('$').ok_or("the hash has no salt")?;
                (rounds.parse::<u32>().map_err(|_| "the rounds of the hash are no number")?, rest)
            }
        };
        if rounds < LEAST_ROUNDS {
            return Err("the rounds of SHA-crypt are below 1000");
        }
        if rounds > MOST_ROUNDS {
            return Err("the rounds of SHA-crypt are above 1000000: one request would take seconds");
        }
        let (salt, encoded) = rest.split_once('$').ok_or("the hash has no salt")?;
        if salt.len() > LONGEST_SALT || encoded.len() != if is_512 { 86 } else { 43 } {
            return Err("the hash is cut short, or too long");
        }
        Ok(ShaCrypt { is_512, rounds, salt: salt.to_owned(), encoded: encoded.to_owned() })
    }

    pub(crate) fn fits(&self, password: &[u8]) -> bool {
        if password.len() > LONGEST_PASSWORD {
            return false;
        }
        let encoded = match self.is_512 {
            true => encoded(&digest::<Sha512>(password, self.salt.as_bytes(), self.rounds), [0, 21, 42]),
            false => encoded(&digest::<Sha256>(password, self.salt.as_bytes(), self.rounds), [0, 10, 20]),
        };
        same_secret(self.encoded.as_bytes(), &encoded)
    }
}

/// So many bytes of `digest`, over and over.
fn filled(digest: &[u8], length: usize) -> Vec<u8> {
    digest.iter().copied().cycle().take(length).collect()
}

fn digest<D: Digest>(password: &[u8], salt: &[u8], rounds: u32) -> Output<D> {
    let other = D::new().chain_update(password).chain_update(salt).chain_update(password).finalize();
    let mut begun = D::new().chain_update(password).chain_update(salt);
    begun.update(filled(&other, password.len()));
    let mut bits = password.len();
    while bits > 0 {
        begun.update(if bits & 1 == 1 { &other[..] } else { password });
        bits >>= 1;
    }
    let mut digest = begun.finalize();
    let repeated = |text: &[u8], times: usize| {
        let hashed = (0..times).fold(D::new(), |hashed, _| hashed.chain_update(text)).finalize();
        filled(&hashed, text.len())
    };
    let (password, salt) = (repeated(password, password.len()), repeated(salt, 16 + usize::from(digest[0])));
    for round in 0..rounds {
        let is_odd = round % 2 == 1;
        let mut next = D::new();
        next.update(if is_odd { &password[..] } else { &digest[..] });
        if round % 3 != 0 {
            next.update(&salt);
        }
        if round % 7 != 0 {
            next.update(&password);
        }
        next.update(if is_odd { &digest[..] } else { &password[..] });
        digest = next.finalize();
    }
    digest
}

/// In the alphabet of `crypt`: three bytes at a time, in an order that turns with each step, and what is left.
fn encoded(digest: &[u8], mut at: [usize; 3]) -> Vec<u8> {
    let mut out = Vec::with_capacity(86);
    let mut put = |bytes: [u8; 3], characters: usize| {
        let group = bytes.iter().fold(0, |group, byte| group << 8 | u32::from(*byte));
        out.extend((0..characters).map(|place| ALPHABET[(group >> (6 * place) & 63) as usize]));
    };
    // SHA-512 turns the places to the left, SHA-256 to the right.
    let to_the_left = digest.len() == 64;
    for _ in 0..digest.len() / 3 {
        put(at.map(|index| digest[index]), 4);
        at = if to_the_left { [at[1], at[2], at[0]] } else { [at[2], at[0], at[1]] }.map(|index| index + 1);
    }
    match digest {
        [.., last] if to_the_left => put([0, 0, *last], 2),
        [.., before, last] => put([0, *last, *before], 3),
        _ => {}
    }
    out
}
