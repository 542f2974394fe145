//! Sums that stay true.

use phoenix_pdata::view::Number;

/// A sum of numbers: exact for whole ones, compensated (Neumaier, 1974) for others and for both together.
///
/// There are many of them, so it is one or the other and takes 24 bytes. A number of 128 bits is in two halves: as one it would
/// be put at multiples of 16 bytes, and so would all that has one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Total(Sum);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Sum {
    Whole([u64; 2]),
    /// The sum, and what rounding has lost of it: as two numbers they have more than a hundred bits.
    Double(f64, f64),
}

impl Default for Total {
    fn default() -> Total {
        Total(Sum::Whole([0; 2]))
    }
}

fn joined(halves: [u64; 2]) -> i128 {
    (u128::from(halves[1]) << 64 | u128::from(halves[0])) as i128
}

fn halves(whole: i128) -> [u64; 2] {
    [whole as u64, (whole >> 64) as u64]
}

impl Total {
    /// Adds a number. Whoever adds what is not finite gets what is not finite.
    #[inline]
    pub fn add(&mut self, number: Number) {
        match number {
            Number::Int(value) => self.add_whole(i128::from(value)),
            Number::Double(value) => self.add_double(value),
        }
    }

    #[inline]
    fn add_whole(&mut self, value: i128) {
        match &mut self.0 {
            Sum::Whole(whole) => *whole = halves(joined(*whole) + value),
            Sum::Double(..) => {
                // What a double has no room for, in a second one.
                let most = value as f64;
                let rest = (value - most as i128) as f64;
                self.add_double(most);
                self.add_double(rest);
            }
        }
    }

    fn add_double(&mut self, value: f64) {
        let (sum, lost) = self.doubles();
        let new = sum + value;
        if !new.is_finite() {
            // Nothing can be lost of it any more.
            self.0 = Sum::Double(new, 0.0);
            return;
        }
        let rounded = if sum.abs() >= value.abs() { (sum - new) + value } else { (value - new) + sum };
        self.0 = Sum::Double(new, lost + rounded);
    }

    /// The sum as a double, and what that leaves out.
    fn doubles(&self) -> (f64, f64) {
        match self.0 {
            Sum::Whole(whole) => {
                let whole = joined(whole);
                let most = whole as f64;
                (most, (whole - most as i128) as f64)
            }
            Sum::Double(sum, lost) => (sum, lost),
        }
    }

    /// Takes a number out that was added: exact for whole ones, compensated for others.
    pub fn subtract(&mut self, number: Number) {
        match number {
            Number::Int(value) => self.add_whole(-i128::from(value)),
            Number::Double(value) => self.add_double(-value),
        }
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: &Total) {
        match other.0 {
            Sum::Whole(whole) => self.add_whole(joined(whole)),
            Sum::Double(sum, lost) => {
                self.add_double(sum);
                if let Sum::Double(_, mine) = &mut self.0 {
                    *mine += lost;
                }
            }
        }
    }

    /// The sum in parts that [`from_parts`](Total::from_parts) makes the same sum of: a whole number, or a double and what
    /// it leaves out.
    pub fn parts(&self) -> (i128, Option<(f64, f64)>) {
        match self.0 {
            Sum::Whole(whole) => (joined(whole), None),
            Sum::Double(sum, lost) => (0, Some((sum, lost))),
        }
    }

    /// A sum from its parts.
    pub fn from_parts(whole: i128, others: Option<(f64, f64)>) -> Total {
        let mut total = Total(others.map_or(Sum::Whole([0; 2]), |(sum, lost)| Sum::Double(sum, lost)));
        if whole != 0 {
            total.add_whole(whole);
        }
        total
    }

    /// The sum: whole if all that was added is, and it fits.
    pub fn value(&self) -> Number {
        match self.0 {
            Sum::Whole(whole) => match i64::try_from(joined(whole)) {
                Ok(whole) => Number::Int(whole),
                Err(_) => Number::Double(joined(whole) as f64),
            },
            Sum::Double(sum, lost) => Number::Double(sum + lost),
        }
    }
}

/// `new - old`, whole if both are and it fits.
pub fn difference(new: Number, old: Number) -> Number {
    match (new, old) {
        (Number::Int(new), Number::Int(old)) => match new.checked_sub(old) {
            Some(difference) => Number::Int(difference),
            None => Number::Double(new as f64 - old as f64),
        },
        (new, old) => Number::Double(as_double(new) - as_double(old)),
    }
}

fn as_double(number: Number) -> f64 {
    match number {
        Number::Int(value) => value as f64,
        Number::Double(value) => value,
    }
}

#[cfg(test)]
mod tests {
    use Number::{Double, Int};

    use super::*;

    #[test]
    fn whole_numbers_stay_whole_and_doubles_do_not_drift() {
        let sum = |numbers: &[Number]| {
            let mut total = Total::default();
            numbers.iter().for_each(|number| total.add(*number));
            total.value()
        };
        assert_eq!(sum(&[]), Int(0));
        assert_eq!(sum(&[Int(i64::MAX), Int(1), Int(-1)]), Int(i64::MAX));
        assert_eq!(sum(&[Int(i64::MAX), Int(1)]), Double(9_223_372_036_854_775_808.0));
        assert_eq!(sum(&[Int(1), Double(0.5)]), Double(1.5));
        assert_eq!(sum(&[Double(1.0), Double(1e100), Double(1.0), Double(-1e100)]), Double(2.0));
        assert_eq!(sum(&vec![Double(0.1); 1_000_000]), Double(100_000.0));
        assert_eq!(sum(&[Double(f64::INFINITY), Double(1.0), Int(2)]), Double(f64::INFINITY));
        let (mut merged, mut other) = (Total::default(), Total::default());
        merged.add(Int(5));
        other.add(Double(0.5));
        merged.merge(&other);
        assert_eq!(merged.value(), Double(5.5));
    }

    #[test]
    fn sums_are_merged_taken_apart_and_put_together() {
        let mut total = Total::default();
        let mut other = Total::default();
        total.add(Int(i64::MAX));
        other.add(Int(i64::MAX));
        other.add(Double(0.25));
        total.merge(&other);
        assert_eq!(total.value(), Double(2.0 * i64::MAX as f64));
        let (whole, others) = total.parts();
        assert_eq!(Total::from_parts(whole, others), total);
        // A state that has both.
        assert_eq!(Total::from_parts(5, Some((0.25, 0.0))).value(), Double(5.25));
        total.subtract(Int(i64::MAX));
        total.subtract(Int(i64::MAX));
        assert_eq!(total.value(), Double(0.25), "nothing of whole numbers is lost beside others");
        total.subtract(Double(0.25));
        assert_eq!(total.value(), Double(0.0));
    }

    #[test]
    fn differences_of_whole_numbers_are_whole() {
        assert_eq!(difference(Int(7), Int(3)), Int(4));
        assert_eq!(difference(Double(7.5), Int(3)), Double(4.5));
        assert!(matches!(difference(Int(i64::MAX), Int(-1)), Double(_)));
    }
}
