//! The words that units have in the names of Prometheus, as its own translator for OTLP has them.
//!
//! Own metrics and exported ones are named alike, so both ask here.

/// Units that have a word of their own.
const UNITS: &[(&str, &str)] = &[
    ("d", "days"),
    ("h", "hours"),
    ("min", "minutes"),
    ("s", "seconds"),
    ("ms", "milliseconds"),
    ("us", "microseconds"),
    ("ns", "nanoseconds"),
    ("By", "bytes"),
    ("KiBy", "kibibytes"),
    ("MiBy", "mebibytes"),
    ("GiBy", "gibibytes"),
    ("TiBy", "tibibytes"),
    ("KBy", "kilobytes"),
    ("MBy", "megabytes"),
    ("GBy", "gigabytes"),
    ("TBy", "terabytes"),
    ("m", "meters"),
    ("V", "volts"),
    ("A", "amperes"),
    ("J", "joules"),
    ("W", "watts"),
    ("g", "grams"),
    ("Cel", "celsius"),
    ("Hz", "hertz"),
    ("1", ""),
    ("%", "percent"),
];

/// Units behind a slash.
const PER: &[(&str, &str)] = &[
    ("s", "second"),
    ("m", "minute"),
    ("h", "hour"),
    ("d", "day"),
    ("w", "week"),
    ("mo", "month"),
    ("y", "year"),
];

/// The word for a unit; an empty one where it adds nothing to a name, none where the unit stands for itself.
pub fn word(unit: &str) -> Option<&'static str> {
    find(UNITS, unit)
}

/// The word for a unit behind a slash; there `m` is a minute.
pub fn word_per(unit: &str) -> Option<&'static str> {
    find(PER, unit)
}

fn find(words: &[(&str, &'static str)], unit: &str) -> Option<&'static str> {
    words.iter().find(|(known, _)| *known == unit).map(|(_, word)| *word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_may_mean_something_else_behind_a_slash() {
        assert_eq!((word("m"), word_per("m")), (Some("meters"), Some("minute")));
        assert_eq!((word("min"), word_per("min")), (Some("minutes"), None));
        assert_eq!((word("1"), word("{request}")), (Some(""), None));
    }
}
