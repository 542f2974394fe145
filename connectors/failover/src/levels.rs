//! Which level is in use, and when the ones above it are tried. Plain data that is handed the time.

use std::time::Duration;

use tokio::time::Instant;

use crate::FailoverConfig;

#[derive(Debug)]
pub(crate) struct Levels {
    interval: Duration,
    gap: Option<Duration>,
    max_retries: Option<u32>,
    /// How often in a row each was tried in vain.
    tries: Vec<u32>,
    current: usize,
    /// When the levels above are tried next, and from which on; none where all of them are given up, or there is none.
    next: Option<(Instant, usize)>,
    /// When the round began that `next` goes on with.
    round: Option<Instant>,
    /// Somebody tries them now.
    is_probed: bool,
}

/// What becomes of one request: the levels above that it tries, and where it goes on from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Course {
    pub(crate) probes: Vec<usize>,
    pub(crate) current: usize,
}

impl Levels {
    pub(crate) fn new(config: &FailoverConfig) -> Levels {
        Levels {
            interval: config.retry_interval.as_duration(),
            gap: config.retry_gap(),
            max_retries: config.max_retries(),
            tries: vec![0; config.priority_levels.len()],
            current: 0,
            next: None,
            round: None,
            is_probed: false,
        }
    }

    fn may_be_tried(&self, level: usize) -> bool {
        self.max_retries.is_none_or(|most| self.tries[level] < most)
    }

    /// The course of a request that comes now. Who gets probes has to say how they ended.
    pub(crate) fn course(&mut self, now: Instant) -> Course {
        let mut probes = Vec::new();
        if let Some((at, from)) = self.next
            && now >= at
            && !self.is_probed
        {
            probes = (from..self.current).filter(|level| self.may_be_tried(*level)).collect();
            if self.gap.is_some() {
                probes.truncate(1);
            }
            self.round = self.round.filter(|_| from > 0).or(Some(now));
            self.is_probed = !probes.is_empty();
        }
        Course { probes, current: self.current }
    }

    /// A probe of `level` was in vain.
    pub(crate) fn probe_failed(&mut self, level: usize) {
        self.tries[level] = self.tries[level].saturating_add(1);
    }

    /// All probes of a course were in vain, or (none) were given up.
    pub(crate) fn probes_ended(&mut self, last: Option<usize>, now: Instant) {
        self.is_probed = false;
        let Some(last) = last else { return };
        let rest = (last + 1..self.current).find(|level| self.may_be_tried(*level));
        let begun = self.round.unwrap_or(now);
        self.next = match (self.gap, rest) {
            (Some(gap), Some(level)) => Some((now + gap, level)),
            _ => {
                self.round = None;
                (0..self.current).any(|level| self.may_be_tried(level)).then_some((begun + self.interval, 0))
            }
        };
    }

    /// A probe of `level` succeeded: it is in use from now on.
    pub(crate) fn recovered(&mut self, level: usize, now: Instant) {
        self.is_probed = false;
        self.tries[level] = 0;
        if level < self.current {
            self.use_level(level, now);
        }
    }

    /// `level`, which was in use, failed; the one below it is used, where nobody else has moved on already.
    pub(crate) fn failed(&mut self, level: usize, now: Instant) {
        if level == self.current && level + 1 < self.tries.len() {
            self.use_level(level + 1, now);
        }
    }

    /// Every level failed: the next request begins with the best.
    pub(crate) fn all_failed(&mut self) {
        self.current = 0;
        self.next = None;
        self.round = None;
    }

    fn use_level(&mut self, level: usize, now: Instant) {
        self.current = level;
        self.round = None;
        self.next = (0..level).any(|above| self.may_be_tried(above)).then_some((now + self.interval, 0));
    }

    pub(crate) fn current(&self) -> usize {
        self.current
    }
}

#[cfg(test)]
mod tests {
    use phoenix_config::GoDuration;

    use super::*;

    fn levels(gap: Option<u32>, max_retries: Option<i64>) -> Levels {
        Levels::new(&FailoverConfig {
            priority_levels: vec![vec!["traces/a".to_owned()]; 4],
            retry_interval: GoDuration::from_secs(60),
            retry_gap: gap.map(GoDuration::from_secs),
            max_retries,
            ..FailoverConfig::default()
        })
    }

    fn course(probes: &[usize], current: usize) -> Course {
        Course { probes: probes.to_vec(), current }
    }

    #[test]
    fn one_request_in_each_interval_tries_all_levels_above() {
        let (mut levels, start) = (levels(None, None), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(levels.course(start), course(&[], 0));
        levels.failed(0, start);
        levels.failed(0, start);
        levels.failed(1, start);
        assert_eq!(levels.course(at(59)), course(&[], 2));
        assert_eq!(levels.course(at(60)), course(&[0, 1], 2));
        assert_eq!(levels.course(at(60)), course(&[], 2), "only one");
        [0, 1].into_iter().for_each(|level| levels.probe_failed(level));
        levels.probes_ended(Some(1), at(61));
        assert_eq!(levels.course(at(119)), course(&[], 2));
        assert_eq!(levels.course(at(120)), course(&[0, 1], 2));
        levels.recovered(1, at(120));
        assert_eq!(levels.course(at(121)), course(&[], 1));
        assert_eq!(levels.course(at(180)), course(&[0], 1));
        levels.recovered(0, at(180));
        assert_eq!(levels.course(at(900)), course(&[], 0));
    }

    #[test]
    fn with_a_gap_each_level_has_its_own_time_and_with_a_maximum_it_is_given_up() {
        let (mut levels, start) = (levels(Some(5), Some(2)), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        (0..3).for_each(|level| levels.failed(level, start));
        let mut times = Vec::new();
        for seconds in 0..400 {
            let Course { probes, .. } = levels.course(at(seconds));
            for level in &probes {
                times.push((seconds, *level));
                levels.probe_failed(*level);
            }
            levels.probes_ended(probes.last().copied(), at(seconds));
        }
        assert_eq!(times, [(60, 0), (65, 1), (70, 2), (120, 0), (125, 1), (130, 2)]);
    }

    #[test]
    fn when_all_have_failed_the_next_request_begins_with_the_best() {
        let (mut levels, start) = (levels(None, None), Instant::now());
        (0..4).for_each(|level| levels.failed(level, start));
        assert_eq!(levels.current(), 3);
        levels.all_failed();
        assert_eq!(levels.course(start), course(&[], 0));
    }

    #[test]
    fn probes_that_are_given_up_are_left_to_the_next_request() {
        let (mut levels, start) = (levels(None, None), Instant::now());
        levels.failed(0, start);
        let later = start + Duration::from_secs(60);
        assert_eq!(levels.course(later), course(&[0], 1));
        levels.probes_ended(None, later);
        assert_eq!(levels.course(later), course(&[0], 1));
    }
}
