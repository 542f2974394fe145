//! Fewer points of a line that look the same. For charts only: what is left out has no sum.

/// A point of a line: time and value.
pub type Point = (f64, f64);

/// The points of a line that a chart of so many columns needs to be the same to the pixel: the first, last, smallest
/// and largest of each column (M4: Jugel, Jerzak, Hackenbroich and Markl, VLDB 2014). At most four a column, in order; columns are
/// equal shares of the time between the first and the last point. Values that are not finite are left out.
pub fn m4(points: &[Point], columns: usize) -> Vec<Point> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return Vec::new() };
    let (start, length) = (first.0, last.0 - first.0);
    let columns = columns.max(1);
    let column = |time: f64| match length > 0.0 {
        true => (((time - start) / length * columns as f64) as usize).min(columns - 1),
        false => 0,
    };
    let mut kept = Vec::with_capacity(points.len().min(columns.saturating_mul(4)));
    for column in points.chunk_by(|a, b| column(a.0) == column(b.0)) {
        let finite = || column.iter().enumerate().filter(|(_, point)| point.1.is_finite());
        let smallest = finite().min_by(|a, b| a.1.1.total_cmp(&b.1.1));
        // Of several the first.
        let largest = finite().rev().max_by(|a, b| a.1.1.total_cmp(&b.1.1));
        let mut indexes: Vec<usize> = [finite().next(), smallest, largest, finite().next_back()]
            .into_iter()
            .flatten()
            .map(|(index, _)| index)
            .collect();
        indexes.sort_unstable();
        indexes.dedup();
        kept.extend(indexes.into_iter().map(|index| column[index]));
    }
    kept
}

/// So many points of a line, chosen so that its shape stays: the first, the last, and of each group between them the one
/// that makes the largest triangle with the point chosen before and the mean of the next group (largest triangle, three buckets:
/// Steinarsson, 2013). All points where there are no more than that, or where fewer than three are asked for.
pub fn lttb(points: &[Point], count: usize) -> Vec<Point> {
    if count < 3 || points.len() <= count {
        return points.to_vec();
    }
    // Where groups begin: the points without the first and the last, in equal shares.
    let groups = count - 2;
    let share = (points.len() - 2) as f64 / groups as f64;
    let begin = |group: usize| ((group as f64 * share).floor() as usize + 1).min(points.len() - 1);
    let mut kept = vec![points[0]];
    let mut before = points[0];
    for group in 0..groups {
        let next = match group + 1 < groups {
            true => &points[begin(group + 1)..begin(group + 2)],
            false => &points[points.len() - 1..],
        };
        let mean = |of: fn(&Point) -> f64| next.iter().map(of).sum::<f64>() / next.len().max(1) as f64;
        let after = (mean(|point| point.0), mean(|point| point.1));
        let area = |point: &Point| {
            ((before.0 - after.0) * (point.1 - before.1) - (before.0 - point.0) * (after.1 - before.1)).abs()
        };
        let mut best = (points[begin(group)], -1.0);
        for point in &points[begin(group)..begin(group + 1)] {
            let area = area(point);
            if area > best.1 {
                best = (*point, area);
            }
        }
        before = best.0;
        kept.push(before);
    }
    kept.push(points[points.len() - 1]);
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LINE: [f64; 12] = [0.0, 1.0, 0.0, 9.0, 1.0, 0.0, 1.0, -5.0, 0.0, 1.0, 0.0, 2.0];

    fn line() -> Vec<Point> {
        LINE.iter().enumerate().map(|(time, value)| (time as f64, *value)).collect()
    }

    #[test]
    fn the_reference_line() {
        let of_two_columns = [(0.0, 0.0), (3.0, 9.0), (5.0, 0.0), (6.0, 1.0), (7.0, -5.0), (11.0, 2.0)];
        assert_eq!(m4(&line(), 2), of_two_columns);
        assert_eq!(lttb(&line(), 5), [(0.0, 0.0), (3.0, 9.0), (4.0, 1.0), (7.0, -5.0), (11.0, 2.0)]);
    }

    #[test]
    fn short_lines_stay() {
        assert_eq!((m4(&[], 3), lttb(&[], 3)), (vec![], vec![]));
        assert_eq!(lttb(&line()[..3], 3), line()[..3]);
        assert_eq!(lttb(&line(), 2), line());
        assert_eq!(m4(&[(1.0, 2.0), (1.0, f64::NAN)], 3), [(1.0, 2.0)]);
    }

    proptest! {
        #[test]
        fn what_is_kept_was_there_in_order_with_its_extremes(
            values in prop::collection::vec(-100i32..100, 1..200),
            count in 1usize..50,
        ) {
            let points: Vec<Point> = values.iter().enumerate().map(|(time, value)| (time as f64, f64::from(*value))).collect();
            for (kept, most) in [(m4(&points, count), 4 * count), (lttb(&points, count.max(3)), count.max(3))] {
                prop_assert!(kept.len() <= most);
                prop_assert!(kept.windows(2).all(|pair| pair[0].0 < pair[1].0));
                prop_assert!(kept.iter().all(|point| points.contains(point)));
                prop_assert_eq!((kept.first(), kept.last()), (points.first(), points.last()));
            }
            let extremes = |points: &[Point]| points.iter().fold((f64::MAX, f64::MIN), |(min, max), point| (min.min(point.1), max.max(point.1)));
            prop_assert_eq!(extremes(&m4(&points, count)), extremes(&points));
        }
    }
}
