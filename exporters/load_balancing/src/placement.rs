//! Which backend a key belongs to.
//!
//! The rings are otelcol's: points on a circle by CRC-32 of the backend's name and a number; a key belongs to the
//! first point at or after its own CRC-32. A backend that leaves gives each of its arcs to whoever comes next, so
//! nothing else moves. Where each position leads to is worked out once, so that a key costs its CRC and a look-up.
//!
//! They differ in their size, in how numbers are written, and in what becomes of points that meet at one position. In
//! `v1` the first backend by name has it and the others do without. In `v2` the others stand behind the first: they come
//! next when it fails, and have the position when it leaves. In `v2_probing` and `v3_probing`, as in otelcol, the others
//! move on to a free position, which depends on who was there, so that some of their keys move back when the first leaves.
//!
//! Rendezvous hashing (Thaler and Ravishankar, 1996) gives a key to the backend with the highest score of both: even
//! shares, and again only the keys of a backend that leaves move. It costs a multiplication per backend and key.

use xxhash_rust::xxh64::xxh64;

use crate::config::Ring;

/// Until otelcol 0.157.
const SMALL: Circle = Circle { positions: 36_000, points: 100 };
/// Since then.
const LARGE: Circle = Circle { positions: 131_071, points: 200 };
/// Positions after an occupied one that are tried, where points move on.
const PROBES: u32 = 10;

/// Where keys belong, for one list of backends.
#[derive(Debug)]
pub(crate) enum Placement {
    Ring {
        /// The backend of each point, in the order of the circle.
        points: Vec<u16>,
        /// The point that each position leads to.
        leads_to: Vec<u32>,
    },
    /// The seeds of the backends.
    Rendezvous(Vec<u64>),
}

impl Placement {
    /// A placement on `backends`, which are sorted and have no name twice.
    pub(crate) fn new(ring: Ring, backends: &[String]) -> Placement {
        match ring {
            Ring::V1 => {
                let mut taken = vec![false; SMALL.positions as usize];
                let mut points = points(backends, SMALL, |number| vec![number as u8]);
                points.retain(|point| !std::mem::replace(&mut taken[point.at as usize], true));
                on_circle(points, SMALL)
            }
            Ring::V2 => on_circle(points(backends, SMALL, four_bytes), SMALL),
            Ring::V2Probing => on_circle(moved_on(points(backends, SMALL, four_bytes), SMALL), SMALL),
            Ring::V3Probing => {
                let mut points = points(backends, LARGE, four_bytes);
                points.sort_unstable_by_key(|point| (point.at, point.hash, point.backend));
                on_circle(moved_on(points, LARGE), LARGE)
            }
            Ring::Rendezvous => {
                Placement::Rendezvous(backends.iter().map(|name| xxh64(name.as_bytes(), 0)).collect())
            }
        }
    }

    /// The backend that `key` belongs to, or the next one in line that `usable` allows. Zero where none is.
    pub(crate) fn of(&self, key: &[u8], usable: &[bool]) -> usize {
        let may = |backend: usize| usable.get(backend).copied().unwrap_or_default();
        match self {
            Placement::Ring { points, leads_to } => {
                let at = crc32fast::hash(key) as usize % leads_to.len();
                let at = leads_to[at] as usize;
                let line = points[at..].iter().chain(&points[..at]).map(|backend| usize::from(*backend));
                line.into_iter().find(|backend| may(*backend)).unwrap_or_default()
            }
            Placement::Rendezvous(seeds) => {
                let key = xxh64(key, 0);
                let scores = seeds.iter().map(|seed| mixed(key ^ seed)).enumerate();
                let scores = scores.filter(|(backend, _)| may(*backend));
                scores.max_by_key(|(_, score)| *score).map_or(0, |(backend, _)| backend)
            }
        }
    }
}

/// How large a ring is.
#[derive(Clone, Copy)]
struct Circle {
    positions: u32,
    /// Of each backend.
    points: u32,
}

/// A point of a backend.
struct Point {
    at: u32,
    /// What it is there by.
    hash: u32,
    backend: u16,
}

fn four_bytes(number: u32) -> Vec<u8> {
    number.to_le_bytes().to_vec()
}

/// The points of all backends, one backend after the other; `written` is a number as it stands behind the name.
fn points(backends: &[String], circle: Circle, written: fn(u32) -> Vec<u8>) -> Vec<Point> {
    let mut points = Vec::with_capacity(backends.len() * circle.points as usize);
    for (backend, name) in backends.iter().enumerate() {
        for number in 0..circle.points {
            let hash = crc32fast::hash(&[name.as_bytes(), &written(number)].concat());
            points.push(Point { at: hash % circle.positions, hash, backend: backend as u16 });
        }
    }
    points
}

/// Each point at the first free position from its own on, in turn; those that find none near are left out.
fn moved_on(mut points: Vec<Point>, circle: Circle) -> Vec<Point> {
    let mut taken = vec![false; circle.positions as usize];
    points.retain_mut(|point| {
        let mut near = (0..PROBES).map(|step| (point.at + step) % circle.positions);
        let Some(free) = near.find(|at| !taken[*at as usize]) else { return false };
        taken[free as usize] = true;
        point.at = free;
        true
    });
    points
}

fn on_circle(mut points: Vec<Point>, circle: Circle) -> Placement {
    points.sort_unstable_by_key(|point| (point.at, point.backend));
    let mut leads_to = vec![0; circle.positions as usize];
    let mut from = 0;
    for (index, point) in points.iter().enumerate() {
        // Of points at one position the first has it.
        leads_to[from..point.at as usize + 1].fill(index as u32);
        from = point.at as usize + 1;
    }
    Placement::Ring { points: points.iter().map(|point| point.backend).collect(), leads_to }
}

/// Spreads every bit over all (the finalizer of SplitMix64).
fn mixed(mut bits: u64) -> u64 {
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<String> {
        (1..=count).map(|number| format!("endpoint-{number}:4317")).collect()
    }

    fn key(number: u64) -> [u8; 16] {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&mixed(number).to_be_bytes());
        key[8..].copy_from_slice(&mixed(!number).to_be_bytes());
        key
    }

    /// Trace identifiers of the documentation of W3C and others, with the owners on rings of three backends, and every
    /// position of rings of 3 and of 32, by a checksum: as otelcol places them, of the releases before the middle of 2025,
    /// of 0.145 and of 0.157.
    #[test]
    fn keys_are_where_otelcol_places_them() {
        let ids = [
            0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10_u128,
            0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736,
            0x5b8e_fff7_9803_8103_d269_b633_813f_c60c,
        ];
        for (ring, owners, checksums) in [
            (Ring::V1, [3, 2, 2], [0xacad_0416, 0xbcef_c8eb]),
            (Ring::V2Probing, [1, 2, 2], [0x418b_2b71, 0xf2bb_904d]),
            (Ring::V3Probing, [2, 2, 3], [0x4557_348a, 0xbe5b_b316]),
        ] {
            let placement = Placement::new(ring, &names(3));
            let found = ids.map(|id| 1 + placement.of(&id.to_be_bytes(), &[true; 3]));
            assert_eq!(found, owners, "{ring:?}");
            let checksum = |count: usize| {
                let mut backends = names(count);
                backends.sort_unstable();
                let Placement::Ring { points, leads_to } = Placement::new(ring, &backends) else { return 0 };
                let owners: Vec<u8> = leads_to.iter().map(|point| points[*point as usize] as u8).collect();
                crc32fast::hash(&owners)
            };
            assert_eq!([checksum(3), checksum(32)], checksums, "{ring:?}");
        }
        // The default differs where points met, and three backends have few.
        let placement = Placement::new(Ring::V2, &names(3));
        assert_eq!(ids.map(|id| 1 + placement.of(&id.to_be_bytes(), &[true; 3])), [1, 2, 2]);
    }

    /// Every position of every ring, and a sample of keys for rendezvous: fleets of unlike sizes, so that points meet
    /// rarely and all the time, each without each of some backends.
    #[test]
    #[expect(clippy::print_stdout, reason = "the share is a figure that is quoted")]
    fn only_keys_of_a_backend_that_leaves_move() {
        for ring in [Ring::V1, Ring::V2, Ring::V2Probing, Ring::V3Probing, Ring::Rendezvous] {
            let (mut asked, mut moved, mut strays, mut worst) = (0_u64, 0_u64, 0_u64, 0.0_f64);
            for seed in 0..24_u64 {
                let all = fleet(seed, [2, 3, 4, 5, 9, 60][seed as usize % 6]);
                let before = owners(&Placement::new(ring, &all), &all);
                for gone in (0..all.len()).step_by(all.len().div_ceil(5)) {
                    let mut left = all.clone();
                    let name = left.remove(gone);
                    let after = owners(&Placement::new(ring, &left), &left);
                    let changed = before.iter().zip(&after).filter(|(owner, next)| owner != next);
                    let (own, others): (Vec<_>, Vec<_>) = changed.partition(|(owner, _)| **owner == name);
                    let share = own.len() as f64 / before.len() as f64 * all.len() as f64;
                    assert!((0.4..2.5).contains(&share), "{ring:?}, {seed}: {share} of its share moved");
                    worst = worst.max(others.len() as f64 / before.len() as f64);
                    asked += before.len() as u64;
                    moved += own.len() as u64;
                    strays += others.len() as u64;
                }
            }
            println!(
                "{ring:?}: of 1000 keys {:.1} move, {:.3} of them of others, at most {:.2}",
                1000.0 * (moved + strays) as f64 / asked as f64,
                1000.0 * strays as f64 / asked as f64,
                1000.0 * worst
            );
            match ring {
                // The reason for `v2`.
                Ring::V2Probing | Ring::V3Probing => {
                    assert!(strays > 0 && worst < 0.002, "{strays} strays, {worst}")
                }
                _ => assert_eq!(strays, 0, "{ring:?} moved keys without need"),
            }
        }
    }

    /// So that a backend that fails and then leaves moves its keys once.
    #[test]
    fn a_backend_that_fails_is_stood_in_for_by_those_that_have_its_keys_once_it_leaves() {
        for (ring, seed) in
            [Ring::V2, Ring::Rendezvous].into_iter().flat_map(|ring| (0..6).map(move |seed| (ring, seed)))
        {
            let all = fleet(seed, 3 + 8 * seed as usize);
            let gone = seed as usize % all.len();
            let usable: Vec<bool> = (0..all.len()).map(|index| index != gone).collect();
            let mut left = all.clone();
            left.remove(gone);
            let (failing, without) = (Placement::new(ring, &all), Placement::new(ring, &left));
            for key in (0..20_000).map(key) {
                let detour = &all[failing.of(&key, &usable)];
                assert_eq!(
                    *detour,
                    left[without.of(&key, &vec![true; left.len()])],
                    "{ring:?}, fleet {seed}"
                );
            }
        }
    }

    /// Where no points meet, `v2` places keys as otelcol does.
    #[test]
    #[expect(clippy::print_stdout, reason = "the share is a figure that is quoted")]
    fn keys_are_elsewhere_than_in_otelcol_only_where_points_met() {
        for count in [2, 4, 8, 32] {
            let all = fleet(7, count);
            let names = |ring| owners(&Placement::new(ring, &all), &all);
            let (ours, theirs) = (names(Ring::V2), names(Ring::V2Probing));
            let differ = ours.iter().zip(&theirs).filter(|(a, b)| a != b).count();
            // Of points thrown onto the circle at random, so many find another one there; each takes few positions.
            let thrown = (SMALL.points as usize * count) as f64;
            let met = thrown * thrown / 2.0 / f64::from(SMALL.positions);
            println!(
                "{count} backends: {:.2} of 1000 keys are elsewhere",
                1000.0 * differ as f64 / f64::from(SMALL.positions)
            );
            assert!((differ as f64) < 10.0 + 3.0 * met, "{count} backends: {differ} positions differ");
        }
    }

    /// Backends with addresses of their own for each seed, sorted.
    fn fleet(seed: u64, count: usize) -> Vec<String> {
        let address = |number: u64| {
            let [a, b, c, ..] = mixed(seed << 32 | number).to_be_bytes();
            format!("10.{a}.{b}.{c}:4317")
        };
        let mut names: Vec<String> = (0..count as u64).map(address).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Who has each position of a ring, or each of some keys.
    fn owners<'a>(placement: &Placement, backends: &'a [String]) -> Vec<&'a str> {
        let usable = vec![true; backends.len()];
        let name = |index: usize| backends[index].as_str();
        match placement {
            Placement::Ring { points, leads_to } => {
                leads_to.iter().map(|point| name(usize::from(points[*point as usize]))).collect()
            }
            Placement::Rendezvous(_) => {
                (0..4_000).map(|number| name(placement.of(&key(number), &usable))).collect()
            }
        }
    }

    #[test]
    #[expect(clippy::print_stdout, reason = "the shares are a figure that is quoted")]
    fn rendezvous_gives_even_shares() {
        const KEYS: u64 = 400_000;
        for count in [2, 3, 4, 8] {
            let backends = names(count);
            let placement = Placement::new(Ring::Rendezvous, &backends);
            let mut shares = vec![0_u64; count];
            let usable = vec![true; count];
            (0..KEYS).for_each(|number| shares[placement.of(&key(number), &usable)] += 1);
            let fair = KEYS as f64 / count as f64;
            let off = shares.iter().map(|share| (*share as f64 / fair - 1.0).abs()).fold(0.0, f64::max);
            println!("{count} backends: off by {:.2} % at most", 100.0 * off);
            assert!(off < 0.02, "{count} backends: {shares:?}");
        }
    }

    #[test]
    fn nothing_is_usable_or_there() {
        for ring in [Ring::V1, Ring::V2, Ring::V2Probing, Ring::V3Probing, Ring::Rendezvous] {
            assert_eq!(Placement::new(ring, &[]).of(b"key", &[]), 0);
            assert_eq!(Placement::new(ring, &names(3)).of(b"key", &[false; 3]), 0);
            assert_eq!(Placement::new(ring, &names(1)).of(b"key", &[true]), 0);
        }
    }
}
