//! Times in which a group is left as it is.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::{Error, FieldProblem, Result};
use crate::time::parse_rfc3339;

/// Most freezes of a group.
const MAX_FREEZES: usize = 50;
const WEEK_MS: i64 = 7 * 24 * 3600 * 1000;
const MAX_REASON: usize = 200;

/// A time in which no rollout begins, and none goes on to its next stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Freeze {
    /// From this moment, as in RFC 3339.
    pub from: String,
    /// Up to this one.
    pub until: String,
    /// Whether it comes again each week, at the same time in UTC.
    #[serde(default)]
    pub weekly: bool,
    /// Why.
    #[serde(default)]
    #[schema(max_length = 200)]
    pub reason: String,
}

impl Freeze {
    fn bounds(&self) -> Option<(i64, i64)> {
        Some((parse_rfc3339(&self.from)?, parse_rfc3339(&self.until)?))
    }

    /// The end of the freeze that `now` is in.
    fn end_at(&self, now: i64) -> Option<i64> {
        let (from, until) = self.bounds()?;
        let into = now - from;
        let into = if self.weekly && into >= 0 { into.rem_euclid(WEEK_MS) } else { into };
        (0..until - from).contains(&into).then(|| now - into + (until - from))
    }
}

/// When the last of the freezes ends that `now` is in.
pub(crate) fn frozen_until(freezes: &[Freeze], now: i64) -> Option<i64> {
    freezes.iter().filter_map(|freeze| freeze.end_at(now)).max()
}

/// # Errors
/// Where they cannot be, each mistake at its field.
pub(crate) fn check(freezes: &[Freeze]) -> Result<()> {
    let mut problems = Vec::new();
    let mut refuse = |field: String, message: &str| problems.push(FieldProblem::new(field, message));
    if freezes.len() > MAX_FREEZES {
        refuse("freezes".to_owned(), "must be at most 50");
    }
    for (index, freeze) in freezes.iter().enumerate() {
        for (field, text) in [("from", &freeze.from), ("until", &freeze.until)] {
            if parse_rfc3339(text).is_none() {
                refuse(format!("freezes.{index}.{field}"), "must be a moment as in RFC 3339");
            }
        }
        if let Some((from, until)) = freeze.bounds() {
            if until <= from {
                refuse(format!("freezes.{index}.until"), "must be later than `from`");
            } else if freeze.weekly && until - from >= WEEK_MS {
                refuse(
                    format!("freezes.{index}.until"),
                    "must be less than a week later, for it comes weekly",
                );
            }
        }
        if freeze.reason.chars().count() > MAX_REASON {
            refuse(format!("freezes.{index}.reason"), "must have at most 200 characters");
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(Error::Invalid(problems)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        parse_rfc3339(text).expect(text)
    }

    fn freeze(from: &str, until: &str, weekly: bool) -> Freeze {
        Freeze { from: from.to_owned(), until: until.to_owned(), weekly, reason: String::new() }
    }

    #[test]
    fn a_freeze_holds_from_its_first_moment_up_to_its_last() {
        let once = freeze("2026-12-23T00:00:00Z", "2027-01-02T01:00:00+01:00", false);
        let weekly = freeze("2026-01-02T18:00:00Z", "2026-01-05T06:00:00Z", true);
        let until = |end: &str| Some(at(end));
        for (case, freeze, now, expected) in [
            ("before", &once, "2026-12-22T23:59:59.999Z", None),
            ("at its begin", &once, "2026-12-23T00:00:00Z", until("2027-01-02T00:00:00Z")),
            ("within", &once, "2027-01-01T12:00:00Z", until("2027-01-02T00:00:00Z")),
            ("at its end", &once, "2027-01-02T00:00:00Z", None),
            ("before the first week", &weekly, "2025-12-27T12:00:00Z", None),
            ("in the first week", &weekly, "2026-01-03T12:00:00Z", until("2026-01-05T06:00:00Z")),
            ("in a later week", &weekly, "2026-06-06T12:00:00Z", until("2026-06-08T06:00:00Z")),
            ("in the middle of a later week", &weekly, "2026-06-10T12:00:00Z", None),
        ] {
            assert_eq!(frozen_until(std::slice::from_ref(freeze), at(now)), expected, "{case}");
        }
        let both = [once, weekly];
        assert_eq!(frozen_until(&both, at("2026-12-27T00:00:00Z")), until("2027-01-02T00:00:00Z"));
        assert_eq!(frozen_until(&[], 0), None);
    }

    #[test]
    fn mistakes_are_named() {
        let wrong = [
            freeze("soon", "2026-01-01T00:00:00Z", false),
            freeze("2026-01-02T00:00:00Z", "2026-01-02T00:00:00Z", false),
            freeze("2026-01-02T00:00:00Z", "2026-01-09T00:00:00Z", true),
        ];
        let Err(Error::Invalid(problems)) = check(&wrong) else { panic!("it was taken") };
        let fields: Vec<_> = problems.iter().map(|problem| problem.field.as_str()).collect();
        assert_eq!(fields, ["freezes.0.from", "freezes.1.until", "freezes.2.until"]);
        assert_eq!(check(&[freeze("2026-01-02T00:00:00Z", "2026-01-08T23:59:59Z", true)]), Ok(()));
    }
}
