//! A set that forgets: cuckoo filters (Fan et al., CoNEXT 2014) in three generations.
//!
//! A generation takes half of what is to be remembered. When it is full the oldest one goes, so that there is always at
//! least that much. Buckets have two places of 32 bits, of which at most 80 in 100 are used: 1.5 / 0.8 × 4 = 7.5 bytes
//! for each identifier that is promised. A look compares two buckets of each generation, 12 fingerprints, so that one
//! that was never added is found with a probability of at most 12 / 2³² < 2⁻²⁸.

use std::hash::{BuildHasher as _, RandomState};

const GENERATIONS: usize = 3;
const PLACES: usize = 2;
const LOAD: f64 = 0.8;
/// Moves before a generation is full after all; it seldom takes more than a few.
const MOST_MOVES: usize = 500;

struct Filter {
    buckets: Vec<[u32; PLACES]>,
    len: usize,
    most: usize,
}

/// The fingerprints of identifiers.
pub(crate) struct Fingerprints {
    /// The youngest first. Those that never came into use have no memory.
    generations: Vec<Filter>,
    most: usize,
    seeds: (u64, u64),
}

impl Filter {
    fn new(most: usize) -> Filter {
        let most = most.max(1);
        let buckets = (most as f64 / LOAD / PLACES as f64).ceil() as usize + 1;
        Filter { buckets: vec![[0; PLACES]; buckets], len: 0, most }
    }

    /// The other bucket of a fingerprint; of that one, this.
    fn other(&self, bucket: usize, print: u32) -> usize {
        let mixed = u64::from(print).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let count = self.buckets.len();
        let shift = ((u128::from(mixed) * count as u128) >> 32) as usize;
        if shift >= bucket { shift - bucket } else { shift + count - bucket }
    }

    fn first(&self, hash: u64) -> usize {
        ((hash as u128 * self.buckets.len() as u128) >> 64) as usize
    }

    /// Looks into both buckets in any case: so the processor fetches them, and those of other generations, at once.
    #[inline]
    fn contains(&self, hash: u64, print: u32) -> bool {
        let first = self.first(hash);
        let ([a, b], [c, d]) = (self.buckets[first], self.buckets[self.other(first, print)]);
        (a == print) | (b == print) | (c == print) | (d == print)
    }

    /// False where there is no room; then one that was there is in `print`.
    fn insert(&mut self, hash: u64, print: &mut u32) -> bool {
        if self.len >= self.most {
            return false;
        }
        let mut bucket = self.first(hash);
        let mut chance = hash | 1;
        for _ in 0..MOST_MOVES {
            for bucket in [bucket, self.other(bucket, *print)] {
                if let Some(place) = self.buckets[bucket].iter_mut().find(|place| **place == 0) {
                    *place = *print;
                    self.len += 1;
                    return true;
                }
            }
            // Whoever is moved goes on from its other bucket.
            chance = chance.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            std::mem::swap(print, &mut self.buckets[bucket][(chance >> 63) as usize % PLACES]);
            bucket = self.other(bucket, *print);
        }
        false
    }
}

impl Fingerprints {
    pub(crate) fn new(most: usize) -> Fingerprints {
        let random = RandomState::new();
        Fingerprints {
            generations: vec![Filter::new(most.div_ceil(2))],
            most,
            seeds: (random.hash_one(2), random.hash_one(3)),
        }
    }

    /// Another number to remember, from the next generation on.
    pub(crate) fn resize(&mut self, most: usize) {
        if most != self.most {
            self.most = most;
            self.begin_generation();
        }
    }

    /// Where an identifier belongs, and its fingerprint, which is never 0.
    fn hash(&self, id: &[u8; 16]) -> (u64, u32) {
        let id = u128::from_le_bytes(*id);
        let (low, high) = (id as u64, (id >> 64) as u64);
        let mix = |a: u64, b: u64| {
            let product = u128::from(a) * u128::from(b);
            product as u64 ^ (product >> 64) as u64
        };
        let place = mix(low ^ self.seeds.0, high ^ self.seeds.1);
        let print = mix(place ^ low.rotate_left(32) ^ 0xa076_1d64_78bd_642f, high ^ 0xe703_7ed1_a0b4_28db);
        (place, ((print >> 32) as u32).max(1))
    }

    fn begin_generation(&mut self) {
        self.generations.truncate(GENERATIONS - 1);
        self.generations.insert(0, Filter::new(self.most.div_ceil(2)));
    }

    pub(crate) fn insert(&mut self, id: &[u8; 16]) {
        let (hash, print) = self.hash(id);
        if self.generations[0].contains(hash, print) {
            return;
        }
        let mut homeless = print;
        if self.generations[0].insert(hash, &mut homeless) {
            return;
        }
        // Where moving gave up, one that was there has lost its place, and cannot be placed in another generation.
        self.begin_generation();
        let mut print = print;
        self.generations[0].insert(hash, &mut print);
    }

    /// Whether the youngest generation has it.
    pub(crate) fn is_young(&self, id: &[u8; 16]) -> bool {
        let (hash, print) = self.hash(id);
        self.generations[0].contains(hash, print)
    }

    pub(crate) fn contains(&self, id: &[u8; 16]) -> bool {
        let (hash, print) = self.hash(id);
        self.generations.iter().fold(false, |found, filter| found | filter.contains(hash, print))
    }

    /// Bytes of memory that it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.generations.iter().map(|filter| filter.buckets.len() * size_of::<[u32; PLACES]>()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Distinct identifiers that look random.
    fn id(n: u64) -> [u8; 16] {
        let mixed = u128::from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64 | u128::from(n ^ 0x5bd1_e995);
        mixed.to_be_bytes()
    }

    #[test]
    fn the_last_ones_are_remembered_and_take_little() {
        const MOST: u64 = 20_000;
        let mut set = Fingerprints::new(MOST as usize);
        let mut forgotten = 0;
        for n in 0..5 * MOST {
            set.insert(&id(n));
            if n >= MOST && n % 97 == 0 {
                forgotten += u64::from(!set.contains(&id(n - MOST + 1)));
            }
        }
        assert!(forgotten <= 1, "{forgotten} of what was promised");
        assert!(set.bytes() as u64 <= 8 * MOST, "{} bytes", set.bytes());
        assert!(!set.contains(&id(0)), "the first one is long gone");
    }

    #[test]
    fn others_are_hardly_ever_found() {
        let mut set = Fingerprints::new(1 << 16);
        (0..3 << 15).for_each(|n| set.insert(&id(n)));
        let found = (1 << 32..(1 << 32) + (1 << 22)).filter(|n| set.contains(&id(*n))).count();
        // Expected are 2²² × 12 × 0.8 / 2³² = 0.01; five are out of the question.
        assert!(found < 5, "{found} false positives");
    }

    #[test]
    fn small_ones_work() {
        for most in [1, 2, 3] {
            let mut set = Fingerprints::new(most);
            for n in 0..50 {
                set.insert(&id(n));
                assert!(set.contains(&id(n)), "{most} {n}");
            }
            assert!(!set.contains(&id(0)), "{most}");
        }
    }
}
