//! Which backend a key belongs to.
//!
//! Both rings are otelcol's: points on a circle by CRC-32 of the backend's name and a number; a key belongs to the
//! first point at or after its own CRC-32. A backend that leaves gives each of its arcs to whoever comes next, so
//! nothing else moves. Where each position leads to is worked out once, so that a key costs its CRC and a look-up.
//!
//! Rendezvous hashing (Thaler and Ravishankar, 1996) gives a key to the backend with the highest score of both: even
//! shares, and again only the keys of a backend that leaves move. It costs a multiplication per backend and key.

use xxhash_rust::xxh64::xxh64;

use crate::config::Ring;

/// Positions on the circle.
const POSITIONS: u32 = 36_000;
/// Points of each backend.
const POINTS: u32 = 100;
/// Positions after an occupied one that are tried, in the later ring.
const PROBES: u32 = 10;

/// Where keys belong, for one list of backends.
#[derive(Debug)]
pub(crate) enum Placement {
    Ring {
        /// The backend of each point, in the order of the circle.
        points: Vec<u16>,
        /// The point that each position leads to.
        leads_to: Vec<u16>,
    },
    /// The seeds of the backends.
    Rendezvous(Vec<u64>),
}

impl Placement {
    /// A placement on `backends`, which are sorted and have no name twice.
    pub(crate) fn new(ring: Ring, backends: &[String]) -> Placement {
        match ring {
            Ring::V1 => on_circle(&points(backends, |name, number, occupied| {
                let at = position(&[name.as_bytes(), &[number as u8]]);
                (!occupied[at as usize]).then_some(at)
            })),
            Ring::V2 => on_circle(&points(backends, |name, number, occupied| {
                let at = position(&[name.as_bytes(), &number.to_le_bytes()]);
                let free = (0..PROBES).map(|step| (at + step) % POSITIONS);
                free.into_iter().find(|at| !occupied[*at as usize])
            })),
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
                let at = leads_to.get(position(&[key]) as usize).copied().map_or(0, usize::from);
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

fn position(parts: &[&[u8]]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    parts.iter().for_each(|part| crc.update(part));
    crc.finalize() % POSITIONS
}

/// Positions and their backends, by position; `place` says where a point goes, if anywhere.
fn points(backends: &[String], place: impl Fn(&str, u32, &[bool]) -> Option<u32>) -> Vec<(u32, u16)> {
    let mut occupied = vec![false; POSITIONS as usize];
    let mut points = Vec::new();
    for (index, name) in backends.iter().enumerate() {
        for number in 0..POINTS {
            if let Some(at) = place(name, number, &occupied) {
                occupied[at as usize] = true;
                points.push((at, index as u16));
            }
        }
    }
    points.sort_unstable();
    points
}

fn on_circle(points: &[(u32, u16)]) -> Placement {
    let mut leads_to = vec![0; POSITIONS as usize];
    let mut from = 0;
    for (index, (at, _)) in points.iter().enumerate() {
        // Fewer points than positions, which `u16` holds.
        leads_to[from..=*at as usize].fill(index as u16);
        from = *at as usize + 1;
    }
    Placement::Ring { points: points.iter().map(|(_, backend)| *backend).collect(), leads_to }
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

    /// Trace identifiers of the documentation of W3C and others, with the owners on rings of three backends: of the
    /// first ring worked out by hand from its description, of the second as otelcol 0.145 places them.
    #[test]
    fn keys_are_where_otelcol_places_them() {
        let ids = [
            (0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10_u128, 3, 1),
            (0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736, 2, 2),
            (0x5b8e_fff7_9803_8103_d269_b633_813f_c60c, 2, 2),
        ];
        let (v1, v2) = (Placement::new(Ring::V1, &names(3)), Placement::new(Ring::V2, &names(3)));
        for (id, first, second) in ids {
            let owner = |ring: &Placement| 1 + ring.of(&id.to_be_bytes(), &[true; 3]);
            assert_eq!((owner(&v1), owner(&v2)), (first, second), "{id:032x}");
        }
    }

    #[test]
    #[expect(clippy::print_stdout, reason = "the shares are a figure that is quoted")]
    fn only_keys_of_a_backend_that_leaves_or_fails_move() {
        const KEYS: u64 = 2_000;
        const FLEETS: u64 = 20;
        // (ring, most keys of backends that stay that move, of a thousand: as measured; the README says so)
        for (ring, most) in [(Ring::V1, 0), (Ring::V2, 1), (Ring::Rendezvous, 0)] {
            let (mut sum, mut worst) = (0, 0);
            for (fleet, gone) in (0..FLEETS).flat_map(|fleet| (0..5).map(move |gone| (fleet, gone))) {
                let all: Vec<String> = (1..=5).map(|number| format!("10.0.{fleet}.{number}:4317")).collect();
                let before = Placement::new(ring, &all);
                let mut left = all.clone();
                let name = left.remove(gone);
                let after = Placement::new(ring, &left);
                let usable: Vec<bool> = (0..all.len()).map(|index| index != gone).collect();
                let (mut moved, mut strays) = (0, 0);
                for key in (0..KEYS).map(key) {
                    let owner = &all[before.of(&key, &[true; 5])];
                    let next = &left[after.of(&key, &[true; 4])];
                    let detour = &all[before.of(&key, &usable)];
                    moved += u64::from(*owner == name);
                    // Where points of two backends met, `v2` had moved one of them on, and now moves it back.
                    strays += u64::from(*owner != name && owner != next);
                    assert!(
                        *detour != name && (*owner == name || detour == owner),
                        "a detour moves nothing else"
                    );
                }
                (sum, worst) = (sum + strays, worst.max(strays));
                assert!(moved > KEYS / 20 && moved < KEYS * 2 / 5, "{ring:?}: {moved} moved");
            }
            let thousandth = |strays: u64| strays as f64 * 1000.0 / KEYS as f64;
            let mean = thousandth(sum) / (5 * FLEETS) as f64;
            println!(
                "{ring:?}: {mean:.2} of 1000 keys of others move on average, at most {}",
                thousandth(worst)
            );
            assert!(worst <= KEYS * most / 1000, "{ring:?}: {worst} of {KEYS} moved without need");
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
        for ring in [Ring::V1, Ring::V2, Ring::Rendezvous] {
            assert_eq!(Placement::new(ring, &[]).of(b"key", &[]), 0);
            assert_eq!(Placement::new(ring, &names(3)).of(b"key", &[false; 3]), 0);
            assert_eq!(Placement::new(ring, &names(1)).of(b"key", &[true]), 0);
        }
    }
}
