//! Hashes of text, in the forms that the Go libraries print.

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::encode::hex;

/// MD5, in hexadecimal.
pub fn md5(data: &[u8]) -> String {
    hex(&Md5::digest(data))
}

/// SHA-1, in hexadecimal.
pub fn sha1(data: &[u8]) -> String {
    hex(&Sha1::digest(data))
}

/// SHA-256, in hexadecimal.
pub fn sha256(data: &[u8]) -> String {
    hex(&Sha256::digest(data))
}

/// SHA-512, in hexadecimal.
pub fn sha512(data: &[u8]) -> String {
    hex(&Sha512::digest(data))
}

/// FNV-1a of 64 bits, as a signed integer.
pub fn fnv(data: &[u8]) -> i64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for &byte in data {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash as i64
}

/// XXH3 of 64 bits, the highest byte first.
pub fn xxh3(data: &[u8]) -> String {
    hex(&xxh3_64(data).to_be_bytes())
}

/// XXH3 of 128 bits, the highest byte first.
pub fn xxh128(data: &[u8]) -> String {
    hex(&xxh3_128(data).to_be_bytes())
}

/// MurmurHash3 of 32 bits with seed 0, the lowest byte first.
pub fn murmur3(data: &[u8]) -> String {
    const C1: u32 = 0xcc9e_2d51;
    const C2: u32 = 0x1b87_3593;
    let mix = |block: u32| block.wrapping_mul(C1).rotate_left(15).wrapping_mul(C2);
    let mut hash = 0u32;
    let mut blocks = data.chunks_exact(4);
    for block in &mut blocks {
        let block = u32::from_le_bytes(block.try_into().expect("chunks have four bytes"));
        hash = (hash ^ mix(block)).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    let mut tail = [0; 4];
    tail[..blocks.remainder().len()].copy_from_slice(blocks.remainder());
    hash ^= mix(u32::from_le_bytes(tail)) ^ data.len() as u32;
    hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
    hex(&(hash ^ hash >> 16).to_le_bytes())
}

/// MurmurHash3 of 128 bits for 64-bit machines with seed 0: both halves, each the lowest byte first.
pub fn murmur3_128(data: &[u8]) -> String {
    const C1: u64 = 0x87c3_7b91_1142_53d5;
    const C2: u64 = 0x4cf5_ad43_2745_937f;
    let mix1 = |block: u64| block.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2);
    let mix2 = |block: u64| block.wrapping_mul(C2).rotate_left(33).wrapping_mul(C1);
    let halves = |block: &[u8; 16]| {
        let both = u128::from_le_bytes(*block);
        (both as u64, (both >> 64) as u64)
    };
    let (mut h1, mut h2) = (0u64, 0u64);
    let mut blocks = data.chunks_exact(16);
    for block in &mut blocks {
        let (k1, k2) = halves(block.try_into().expect("chunks have sixteen bytes"));
        h1 = (h1 ^ mix1(k1)).rotate_left(27).wrapping_add(h2).wrapping_mul(5).wrapping_add(0x52dc_e729);
        h2 = (h2 ^ mix2(k2)).rotate_left(31).wrapping_add(h1).wrapping_mul(5).wrapping_add(0x3849_5ab5);
    }
    let mut tail = [0; 16];
    tail[..blocks.remainder().len()].copy_from_slice(blocks.remainder());
    let (k1, k2) = halves(&tail);
    h1 ^= mix1(k1) ^ data.len() as u64;
    h2 ^= mix2(k2) ^ data.len() as u64;
    let finish = |half: u64| {
        let half = (half ^ half >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
        let half = (half ^ half >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        half ^ half >> 33
    };
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    (h1, h2) = (finish(h1), finish(h2));
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    hex(&h1.to_le_bytes()) + &hex(&h2.to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_digests() {
        assert_eq!(md5(b"abc"), "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(sha1(b"abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert!(sha512(b"").starts_with("cf83e1357eefb8bdf1542850d66d8007"));
        assert_eq!(fnv(b""), -3_750_763_034_362_895_579);
        assert_eq!(fnv(b"checkout"), 4_826_647_318_084_854_873);
        assert_eq!(xxh3(b"hello"), "9555e8555c62dcfd");
        assert_eq!(xxh128(b"hello"), "b5e9c1ad071b3e7fc779cfaa5e523818");
    }

    #[test]
    fn murmur_of_every_tail() {
        assert_eq!(murmur3(b"hello"), "47fa8b24");
        assert_eq!(murmur3(b""), "00000000");
        assert_eq!(murmur3_128(b"hello"), "029bbd41b3a7d8cb191dae486a901e5b");
        assert_eq!(murmur3_128(b""), "00000000000000000000000000000000");
        // Known vector of the 128-bit variant for more than one block.
        let text = b"The quick brown fox jumps over the lazy dog";
        assert_eq!(murmur3(text), "23f74f2e");
        assert_eq!(murmur3_128(text), "6c1b07bc7bbc4be347939ac4a93c437a");
    }
}
