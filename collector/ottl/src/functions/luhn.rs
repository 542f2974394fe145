//! The Luhn check of card numbers and the like.

use crate::EvalError;

/// Whether the last digit is the check digit of the others. Spaces are passed over; nothing is not
/// valid.
///
/// # Errors
///
/// A character that is neither digit nor space.
pub fn is_valid(number: &str) -> Result<bool, EvalError> {
    let (mut sum, mut digits) = (0u32, 0u32);
    for character in number.chars().rev().filter(|&character| character != ' ') {
        let digit = character
            .to_digit(10)
            .ok_or_else(|| EvalError::new(format!("invalid digit {character:?} in a number to check")))?;
        let weighted = if digits % 2 == 1 { digit * 2 } else { digit };
        sum = (sum + weighted / 10 + weighted % 10) % 10;
        digits = digits.wrapping_add(1);
    }
    Ok(digits > 0 && sum == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_digits() {
        for (number, valid) in [
            ("4539 1488 0343 6467", true),
            ("79927398714", false),
            ("79927398713", true),
            ("", false),
            ("0", true),
        ] {
            assert_eq!(is_valid(number).unwrap(), valid, "{number}");
        }
        assert!(is_valid("12a4").is_err());
        assert!(is_valid("12-4").is_err());
    }
}
