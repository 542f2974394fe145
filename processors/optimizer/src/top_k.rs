//! Which groups are the heaviest: ranked at every interval, and slow to change its mind.
//!
//! What a group weighs is its share of all increments (or values) of each ranking metric, added up; averaged with what it
//! weighed before, so that one quiet interval does not cost its place. A member goes only after its dwell time, and only for one that
//! is heavier by the hysteresis.

use phoenix_series::{Fingerprint, Slot, Table};

use crate::config::TopKSettings;

/// The most groups that are ranked; others are never members.
const MAX_GROUPS: usize = 100_000;
/// Intervals without any weight after which a group is forgotten.
const FORGOTTEN_AFTER: u32 = 20;
/// How much of the weight comes from the last interval.
const NEWEST: f64 = 0.5;

/// A group of series.
#[derive(Debug)]
struct Group {
    /// Since the last ranking, by metric.
    weights: Box<[f64]>,
    score: f64,
    is_member: bool,
    /// When it became a member, in seconds.
    since: u32,
    /// Rankings since it last weighed something.
    quiet: u32,
}

/// The groups of one rule, or of several that differ by how many groups stay, of which one is in force.
#[derive(Debug)]
pub(crate) struct Ranking {
    pub(crate) settings: TopKSettings,
    /// How many groups stay, by the rule that is in force.
    k: usize,
    groups: Table<Group>,
    members: usize,
    /// Whether there was a ranking; before, whoever comes first is a member.
    is_ranked: bool,
}

impl Ranking {
    pub(crate) fn new(settings: TopKSettings) -> Ranking {
        Ranking { k: settings.k, settings, groups: Table::new(MAX_GROUPS), members: 0, is_ranked: false }
    }

    /// The group with this identity. None where there are too many.
    pub(crate) fn group(&mut self, key: Fingerprint, now: u32) -> Option<Slot> {
        if let Some(slot) = self.groups.find(key) {
            return Some(slot);
        }
        let is_member = self.members < self.k;
        let weights = vec![0.0; self.settings.rank_by.len()].into();
        let group = Group { weights, score: 0.0, is_member, since: now, quiet: 0 };
        let slot = self.groups.insert(key, group).ok()?;
        self.members += usize::from(is_member);
        Some(slot)
    }

    pub(crate) fn is_member(&self, slot: Slot) -> bool {
        self.groups.get(slot).is_some_and(|group| group.is_member)
    }

    /// Which of the ranking metrics has this name.
    pub(crate) fn metric(&self, name: &[u8]) -> Option<u8> {
        self.settings.rank_by.iter().position(|metric| metric.as_bytes() == name).map(|index| index as u8)
    }

    /// Adds to what a group weighs.
    pub(crate) fn weigh(&mut self, slot: Slot, metric: u8, weight: f64) {
        if let Some(group) = self.groups.get_mut(slot)
            && let Some(sum) = group.weights.get_mut(usize::from(metric))
            && weight.is_finite()
            && weight > 0.0
        {
            *sum += weight;
        }
    }

    /// So many groups stay from now on: the heaviest by what is known.
    pub(crate) fn keep(&mut self, k: usize, now: u32) {
        if std::mem::replace(&mut self.k, k) != k && self.is_ranked {
            self.choose(now, self.settings.hysteresis, false);
        }
    }

    /// Ranks the groups anew. Returns whether one became a member, or is none any more, or was forgotten.
    pub(crate) fn rank(&mut self, now: u32) -> bool {
        let mut totals = vec![0.0; self.settings.rank_by.len()];
        for (_, group) in self.groups.iter() {
            totals.iter_mut().zip(&group.weights).for_each(|(total, weight)| *total += weight);
        }
        let is_first = !std::mem::replace(&mut self.is_ranked, true);
        let mut changed = false;
        let members = &mut self.members;
        self.groups.retain(|_, group| {
            let shares = group.weights.iter().zip(&totals).filter(|(_, total)| **total > 0.0);
            let share: f64 = shares.map(|(weight, total)| weight / total).sum();
            group.quiet = if share > 0.0 { 0 } else { group.quiet + 1 };
            group.score = if is_first { share } else { NEWEST * share + (1.0 - NEWEST) * group.score };
            group.weights.fill(0.0);
            let keep = group.quiet < FORGOTTEN_AFTER;
            if !keep {
                *members -= usize::from(group.is_member);
                // Its place may be taken by another: whoever points at it has to look again.
                changed = true;
            }
            keep
        });
        let bonus = if is_first { 1.0 } else { self.settings.hysteresis };
        changed | self.choose(now, bonus, is_first)
    }

    /// Gives the places to the heaviest, where a member counts by a `bonus` more. Returns whether anything changed.
    fn choose(&mut self, now: u32, bonus: f64, is_first: bool) -> bool {
        let mut changed = false;
        let dwell = self.settings.dwell.as_duration().as_secs();
        let mut order: Vec<(bool, f64, u64, Slot)> = Vec::with_capacity(self.groups.len());
        for (slot, group) in self.groups.iter() {
            let stays = !is_first && group.is_member && u64::from(now.saturating_sub(group.since)) < dwell;
            let score = if group.is_member { group.score * bonus } else { group.score };
            order.push((stays, score, u64::from(group.is_member), slot));
        }
        // Those that must stay, then the heaviest, then members before others.
        order.sort_by(|a, b| b.0.cmp(&a.0).then(b.1.total_cmp(&a.1)).then(b.2.cmp(&a.2)).then(a.3.cmp(&b.3)));
        for (place, (.., slot)) in order.into_iter().enumerate() {
            let Some(group) = self.groups.get_mut(slot) else { continue };
            let is_member = place < self.k;
            if group.is_member != is_member {
                changed = true;
                group.is_member = is_member;
                group.since = now;
                if is_member { self.members += 1 } else { self.members -= 1 }
            }
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use phoenix_config::GoDuration;

    use super::*;

    fn ranking(k: usize) -> Ranking {
        Ranking::new(TopKSettings {
            k,
            labels: vec!["name".into()],
            rank_by: vec!["cpu".into(), "memory".into()],
            hysteresis: 1.5,
            dwell: GoDuration::from_secs(100),
            ..TopKSettings::default()
        })
    }

    fn group(ranking: &mut Ranking, number: u128, now: u32) -> Slot {
        ranking.group(Fingerprint::from(number << 64 | number), now).expect("room")
    }

    #[test]
    fn members_change_only_for_what_is_clearly_heavier_and_after_their_time() {
        let mut ranking = ranking(1);
        let (a, b) = (group(&mut ranking, 1, 0), group(&mut ranking, 2, 0));
        assert!(ranking.is_member(a) && !ranking.is_member(b), "the first comes first");
        ranking.weigh(a, 0, 1.0);
        ranking.weigh(b, 0, 3.0);
        assert!(ranking.rank(60), "the first ranking is by weight alone");
        assert!(ranking.is_member(b) && !ranking.is_member(a));
        // Heavier, but within the dwell time.
        ranking.weigh(a, 0, 9.0);
        ranking.weigh(b, 0, 1.0);
        assert!(!ranking.rank(120));
        // A bit heavier.
        for now in [180, 240, 300, 360, 420] {
            ranking.weigh(a, 0, 1.1);
            ranking.weigh(b, 0, 1.0);
            if now > 180 {
                assert!(!ranking.rank(now) || ranking.is_member(a), "{now}");
            }
        }
        for now in [480, 540, 600] {
            ranking.weigh(a, 0, 4.0);
            ranking.weigh(b, 0, 1.0);
            ranking.rank(now);
        }
        assert!(ranking.is_member(a) && !ranking.is_member(b));
    }

    #[test]
    fn fewer_places_go_to_the_heaviest_members_and_more_to_the_next() {
        let mut ranking = ranking(3);
        let groups: Vec<Slot> = (1..=5).map(|number| group(&mut ranking, number, 0)).collect();
        let weighed = |ranking: &mut Ranking, now: u32| {
            for (index, slot) in groups.iter().enumerate() {
                ranking.weigh(*slot, 0, 1.0 + index as f64);
            }
            ranking.rank(now);
        };
        let members =
            |ranking: &Ranking| groups.iter().map(|slot| ranking.is_member(*slot)).collect::<Vec<_>>();
        weighed(&mut ranking, 60);
        assert_eq!(members(&ranking), [false, false, true, true, true]);
        ranking.keep(1, 70);
        assert_eq!(members(&ranking), [false, false, false, false, true], "at once, within the dwell time");
        weighed(&mut ranking, 120);
        assert_eq!(members(&ranking), [false, false, false, false, true]);
        ranking.keep(4, 130);
        assert_eq!(members(&ranking), [false, true, true, true, true]);
        assert_eq!(ranking.members, 4);
    }

    #[test]
    fn shares_of_several_metrics_are_added_and_groups_forgotten() {
        let mut ranking = ranking(2);
        let (a, b, c) = (group(&mut ranking, 1, 0), group(&mut ranking, 2, 0), group(&mut ranking, 3, 0));
        // Bytes are many and seconds few; each metric counts the same.
        ranking.weigh(a, 1, 1e9);
        ranking.weigh(b, 1, 5e8);
        ranking.weigh(c, 0, 0.5);
        ranking.rank(60);
        assert_eq!([a, b, c].map(|slot| ranking.is_member(slot)), [true, false, true]);
        for round in 0..FORGOTTEN_AFTER + 1 {
            ranking.weigh(b, 0, 1.0);
            ranking.rank(120 + 60 * round);
        }
        assert_eq!((ranking.groups.len(), ranking.members), (1, 1));
    }
}
