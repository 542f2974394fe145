//! Differences that are meant, each with its reason; users read of them in docs/migrating-from-otelcol.md.

use serde_json::Value;

use crate::cases::Case;
use crate::collector::Outcome;

/// Why both may differ here, if they may.
pub(crate) fn reason(case: &Case, theirs: &Outcome, ours: &Outcome) -> Option<&'static str> {
    let (Outcome::Ran { statuses, out }, Outcome::Ran { statuses: our_statuses, out: our_out }) =
        (theirs, ours)
    else {
        return None;
    };
    let settings = case.processors.to_string();
    if settings.contains("propagate") && out == our_out && refused_for_good(statuses, our_statuses) {
        return Some("what a statement refuses is refused for good: sending it again cannot help");
    }
    if statuses != our_statuses {
        return None;
    }
    let same = |change: fn(String) -> String| {
        let text = |requests: &[Value]| change(Value::from(requests.to_vec()).to_string());
        text(out) == text(our_out)
    };
    // Of otelcol 0.145 the character that the limit falls into is left in parts.
    if settings.contains("truncate_all") && same(|text| text.replace('\u{fffd}', "")) {
        return Some("truncate_all cuts between characters, as later versions do");
    }
    if settings.contains("String(") && same(|text| text.replace("e-0", "e-")) {
        return Some("the exponent of a number in text has no zero in front, as in later versions");
    }
    None
}

fn refused_for_good(theirs: &[u16], ours: &[u16]) -> bool {
    theirs.iter().zip(ours).all(|pair| matches!(pair, (503, 500)) || pair.0 == pair.1)
}
