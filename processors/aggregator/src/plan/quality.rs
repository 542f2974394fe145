//! How good the data of a rule is: a score from its parts, for each window.
//!
//! Each part is a share of what was right; the score is their product, so that one bad part shows. With weights of 1 for all:
//!
//! | part | share |
//! |---|---|
//! | `coverage` | of the time that deltas cover, from the first to the last of each stream |
//! | `timeliness` | of data points that were not late |
//! | `continuity` | of data points that were no reset; below 0.8 two senders may write one stream |
//! | `uniqueness` | of data points that came once |
//! | `room` | of streams whose series had room |

use crate::stream::Events;

/// The parts of the score, as they are called.
pub(crate) const PARTS: [&str; 5] = ["coverage", "timeliness", "continuity", "uniqueness", "room"];

/// What is counted for the score, since a window was let out.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Quality {
    /// Data points that were taken, and those of them or beside them that were not right.
    pub(crate) points: u64,
    pub(crate) late: u64,
    pub(crate) resets: u64,
    pub(crate) duplicates: u64,
    /// Seconds that deltas cover, and that they leave open.
    pub(crate) covered: f64,
    pub(crate) open: f64,
    /// Streams that were looked up, and those without room.
    pub(crate) streams: u64,
    pub(crate) overflows: u64,
}

impl Quality {
    /// A data point, from `start` on where that is known, after one of its stream at `before`.
    pub(crate) fn point(&mut self, (start, time): (u64, u64), before: u64, events: Events) {
        self.points += 1;
        self.resets += events.resets;
        if start != 0 {
            self.covered += time.saturating_sub(start) as f64 / 1e9;
            if before != 0 {
                self.open += start.saturating_sub(before) as f64 / 1e9;
            }
        }
    }

    /// Adds what was counted elsewhere.
    pub(crate) fn add(&mut self, other: &Quality) {
        self.points += other.points;
        self.late += other.late;
        self.resets += other.resets;
        self.duplicates += other.duplicates;
        self.covered += other.covered;
        self.open += other.open;
        self.streams += other.streams;
        self.overflows += other.overflows;
    }

    /// The score and its parts, each from 0 to 1; none where nothing came.
    pub(crate) fn score(&self) -> Option<[f64; 1 + PARTS.len()]> {
        let share = |bad: f64, all: f64| if all > 0.0 { (1.0 - bad / all).clamp(0.0, 1.0) } else { 1.0 };
        let points = (self.points + self.duplicates) as f64;
        if points == 0.0 {
            return None;
        }
        let parts = [
            share(self.open, self.open + self.covered),
            share(self.late as f64, points),
            share(self.resets as f64, points),
            share(self.duplicates as f64, points),
            share(self.overflows as f64, self.streams as f64),
        ];
        let mut score = [parts.iter().product(); 1 + PARTS.len()];
        score[1..].copy_from_slice(&parts);
        Some(score)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bad_part_shows_in_the_score() {
        assert_eq!(Quality::default().score(), None);
        let mut quality = Quality::default();
        for step in 0..8 {
            // Ten seconds, then two that nobody covers.
            let start = 1 + 12 * step * 1_000_000_000;
            let before = if step == 0 { 0 } else { start - 2_000_000_000 };
            quality.point((start, start + 10_000_000_000), before, Events::default());
        }
        quality.duplicates = 2;
        let [score, coverage, timeliness, continuity, uniqueness, room] = quality.score().expect("points");
        assert!((coverage - 80.0 / 94.0).abs() < 1e-9, "{coverage}");
        assert_eq!((timeliness, continuity, uniqueness, room), (1.0, 1.0, 0.8, 1.0));
        assert!((score - coverage * 0.8).abs() < 1e-12);
    }
}
