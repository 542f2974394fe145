//! Sums that stay true.

use phoenix_pdata::view::Number;

/// A sum of numbers: exact for whole ones, compensated (Neumaier, 1974) for others.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Total {
    /// A number of 128 bits in two halves: as one it would be put at multiples of 16 bytes, and so would all that has one.
    whole: [u64; 2],
    sum: f64,
    /// What rounding has lost of `sum`.
    lost: f64,
    is_double: bool,
}

impl Total {
    /// Adds a number. Whoever adds what is not finite gets what is not finite.
    pub fn add(&mut self, number: Number) {
        match number {
            Number::Int(value) => self.set_whole(self.whole() + i128::from(value)),
            Number::Double(value) => {
                self.is_double = true;
                let sum = self.sum + value;
                if !sum.is_finite() {
                    // Nothing can be lost of it any more.
                    (self.sum, self.lost) = (sum, 0.0);
                    return;
                }
                self.lost += if self.sum.abs() >= value.abs() {
                    (self.sum - sum) + value
                } else {
                    (value - sum) + self.sum
                };
                self.sum = sum;
            }
        }
    }

    /// Takes a number out that was added: exact for whole ones, compensated for others.
    pub fn subtract(&mut self, number: Number) {
        match number {
            Number::Int(value) => self.set_whole(self.whole() - i128::from(value)),
            Number::Double(value) => self.add(Number::Double(-value)),
        }
    }

    fn whole(&self) -> i128 {
        (u128::from(self.whole[1]) << 64 | u128::from(self.whole[0])) as i128
    }

    fn set_whole(&mut self, whole: i128) {
        self.whole = [whole as u64, (whole >> 64) as u64];
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: &Total) {
        self.set_whole(self.whole() + other.whole());
        if other.is_double {
            self.add(Number::Double(other.sum));
            self.lost += other.lost;
        }
    }

    /// The sum in parts that [`from_parts`](Total::from_parts) makes the same sum of: the whole numbers, and the others
    /// where there are any.
    pub fn parts(&self) -> (i128, Option<(f64, f64)>) {
        (self.whole(), self.is_double.then_some((self.sum, self.lost)))
    }

    /// A sum from its parts.
    pub fn from_parts(whole: i128, others: Option<(f64, f64)>) -> Total {
        let (sum, lost) = others.unwrap_or_default();
        let mut total = Total { whole: [0; 2], sum, lost, is_double: others.is_some() };
        total.set_whole(whole);
        total
    }

    /// The sum: whole if all that was added is, and it fits.
    pub fn value(&self) -> Number {
        match i64::try_from(self.whole()) {
            Ok(whole) if !self.is_double => Number::Int(whole),
            _ => Number::Double(self.whole() as f64 + (self.sum + self.lost)),
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
        let (whole, others) = total.parts();
        assert_eq!((whole, others), (2 * i128::from(i64::MAX), Some((0.25, 0.0))));
        assert_eq!(Total::from_parts(whole, others), total);
        total.subtract(Int(i64::MAX));
        total.subtract(Int(i64::MAX));
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
