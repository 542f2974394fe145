//! Differences that are meant, each with its reason; users read of them in docs/migrating-from-otelcol.md.

use crate::cases::Case;
use crate::collector::Outcome;

/// Why both may differ here, if they may.
pub(crate) fn reason(_case: &Case, _theirs: &Outcome, _ours: &Outcome) -> Option<&'static str> {
    None
}
