//! What a stream of deltas said so far: the time that its points cover, so that one that comes again counts once.
//!
//! The latest stretch without a gap, and up to [`MAX_EARLIER`] before it. Beyond that the oldest gap is taken to be covered: what
//! would still come for it cannot be told from what came again, and is refused, which is counted; nothing counts twice.

use phoenix_series::Place;

/// The most stretches before the latest one: the memory of a series stays within what is said of it.
const MAX_EARLIER: usize = 4;

/// The stretches before the latest one, the oldest first; no two of them touch. Most streams have none.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Earlier(Option<Box<[Place; MAX_EARLIER]>>);

impl Earlier {
    /// No stretch.
    pub(crate) const NONE: Earlier = Earlier(None);

    fn of(stretches: &[Place]) -> Earlier {
        if stretches.is_empty() {
            return Earlier(None);
        }
        let mut places = Box::new([Place::default(); MAX_EARLIER]);
        places.iter_mut().zip(stretches).for_each(|(place, stretch)| *place = *stretch);
        Earlier(Some(places))
    }

    /// Places that are not taken end at 0.
    fn stretches(&self) -> impl Iterator<Item = &Place> {
        self.0.iter().flat_map(|places| places.iter()).filter(|place| place.time != 0)
    }

    /// The bytes that it points at.
    pub(crate) fn memory(&self) -> usize {
        self.0.as_ref().map_or(0, |places| size_of_val(&**places))
    }
}

/// What a stream covers with another point.
#[derive(Debug, PartialEq)]
pub(crate) struct Covered {
    /// The latest stretch.
    pub(crate) latest: Place,
    /// Those before, where they change.
    pub(crate) earlier: Option<Earlier>,
}

/// Adds a point to what was covered, `latest` and `earlier`; none where that has all of it. A latest one that ends at 0 is none.
pub(crate) fn cover(latest: Place, earlier: &Earlier, point: Place) -> Option<Covered> {
    // One that does not say from when it counts covers no more than its time.
    let point = Place { start: if point.start == 0 { point.time } else { point.start }, ..point };
    if latest.time == 0 {
        return Some(Covered { latest: point, earlier: None });
    }
    let has = |stretch: &Place| stretch.start <= point.start && point.time <= stretch.time;
    if has(&latest) || earlier.stretches().any(has) {
        return None;
    }
    let touches = |a: &Place, b: &Place| a.start <= b.time && b.start <= a.time;
    let joined = |a: Place, b: Place| Place { start: a.start.min(b.start), time: a.time.max(b.time) };
    // As nearly always: it goes on from where the stream was.
    let is_alone = !earlier.stretches().any(|other| touches(other, &point));
    if is_alone && touches(&latest, &point) {
        return Some(Covered { latest: joined(latest, point), earlier: None });
    }
    let mut all: Vec<Place> = Vec::with_capacity(MAX_EARLIER + 2);
    let mut added = point;
    for stretch in earlier.stretches().copied().chain([latest]) {
        match touches(&stretch, &added) {
            true => added = joined(stretch, added),
            false => all.push(stretch),
        }
    }
    let place = all.iter().position(|stretch| stretch.start > added.start).unwrap_or(all.len());
    all.insert(place, added);
    let latest = all.pop()?;
    while all.len() > MAX_EARLIER {
        let oldest = all.remove(0);
        all[0] = joined(oldest, all[0]);
    }
    Some(Covered { latest, earlier: Some(Earlier::of(&all)) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Start and time.
    type Span = (u64, u64);

    fn place((start, time): Span) -> Place {
        Place { start, time }
    }

    /// What is covered after these points, and which of them were refused.
    fn after(points: &[Span]) -> (Vec<Span>, Vec<Span>) {
        let (mut latest, mut earlier, mut refused) = (Place::default(), Earlier::default(), Vec::new());
        for point in points {
            match cover(latest, &earlier, place(*point)) {
                None => refused.push(*point),
                Some(covered) => {
                    latest = covered.latest;
                    earlier = covered.earlier.unwrap_or(earlier);
                }
            }
        }
        let all = earlier.stretches().chain([&latest]).map(|place| (place.start, place.time)).collect();
        (all, refused)
    }

    #[test]
    fn what_was_covered_is_known_on_both_sides_of_gaps() {
        // (points, what is covered, those that came again)
        let cases: [[&[Span]; 3]; 8] = [
            [&[(1, 10), (10, 20), (1, 10)], &[(1, 20)], &[(1, 10)]],
            [&[(1, 10), (30, 40), (1, 10), (30, 40)], &[(1, 10), (30, 40)], &[(1, 10), (30, 40)]],
            [&[(1, 10), (30, 40), (10, 20), (20, 30)], &[(1, 40)], &[]],
            [&[(30, 40), (1, 10), (1, 10)], &[(1, 10), (30, 40)], &[(1, 10)]],
            [&[(30, 40), (1, 10), (15, 20), (10, 15)], &[(1, 20), (30, 40)], &[]],
            [&[(1, 10), (20, 30), (5, 25)], &[(1, 30)], &[]],
            [&[(0, 10), (0, 20), (0, 10), (0, 15)], &[(10, 10), (15, 15), (20, 20)], &[(0, 10)]],
            // The sixth stretch closes the oldest gap.
            [
                &[(10, 11), (20, 21), (30, 31), (40, 41), (50, 51), (60, 61), (12, 13), (22, 23), (10, 11)],
                &[(10, 23), (30, 31), (40, 41), (50, 51), (60, 61)],
                &[(12, 13), (10, 11)],
            ],
        ];
        for [points, covered, refused] in cases {
            assert_eq!(after(points), (covered.to_vec(), refused.to_vec()), "{points:?}");
        }
    }

    proptest! {
        /// In whatever order and however often points come, none is taken twice, and those of few gaps are all taken once.
        #[test]
        fn a_point_is_taken_once(points in proptest::collection::vec(1..30_u64, 1..80)) {
            let points: Vec<Span> = points.into_iter().map(|at| (10 * at, 10 * at + 10)).collect();
            let (covered, refused) = after(&points);
            prop_assert!(covered.len() <= MAX_EARLIER + 1);
            prop_assert!(covered.windows(2).all(|pair| pair[0].1 < pair[1].0));
            let distinct: std::collections::BTreeSet<_> = points.iter().copied().collect();
            let taken = points.len() - refused.len();
            prop_assert!(taken <= distinct.len());
            let has = |point: &Span| covered.iter().any(|(start, time)| *start <= point.0 && point.1 <= *time);
            prop_assert!(distinct.iter().all(has));
            let mut sorted: Vec<_> = distinct.into_iter().collect();
            sorted.extend(sorted.clone());
            let (_, refused) = after(&sorted);
            prop_assert_eq!(refused.len() * 2, sorted.len(), "in order each is taken, and again none");
        }
    }
}
