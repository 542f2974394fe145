//! What a rollout does next: a function of where it stands, what is seen and the time.

use super::Gates;

/// Where a rollout stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Position {
    /// Whether no stage follows.
    pub is_last: bool,
    /// Since when it is in this stage, in milliseconds.
    pub since: i64,
    /// Since when everybody who is asked has the version and is well.
    pub settled_since: Option<i64>,
    /// How long that must last.
    pub soak_ms: i64,
    /// When it is stopped.
    pub gates: Gates,
}

/// How the agents are that are to have the version by now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// They have it and are well.
    pub applied: i64,
    /// It failed on them.
    pub failed: i64,
    /// They have it and are not well.
    pub unhealthy: i64,
    /// They have it and go beyond a limit.
    pub strained: i64,
    /// Which limit that is of one of them, in words.
    pub strain: Option<String>,
    /// They have not answered yet.
    pub pending: i64,
    /// The group has no agents.
    pub nobody: bool,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing, but to remember since when all is well.
    Wait {
        /// Since when.
        settled_since: Option<i64>,
    },
    /// The next stage.
    Next,
    /// The version is the group's from now on.
    Succeed,
    /// Back to the former version.
    RollBack {
        /// Why.
        reason: String,
        /// Whether it was that agents did not answer.
        is_late: bool,
    },
    /// Nothing further until somebody decides.
    Pause {
        /// Why.
        reason: String,
    },
}

/// Says what `position` leads to with what is `observed` at `now`.
pub fn decide(position: &Position, observed: &Observed, now: i64) -> Decision {
    let gates = &position.gates;
    let end = |reason: String, is_late: bool| match gates.automatic_rollback {
        true => Decision::RollBack { reason, is_late },
        false => Decision::Pause { reason },
    };
    let stop = |reason: String| end(reason, false);
    if observed.failed > gates.max_failed {
        return stop(format!("it failed on {} agents, {} may", observed.failed, gates.max_failed));
    }
    if observed.unhealthy > gates.max_unhealthy {
        let (unhealthy, may) = (observed.unhealthy, gates.max_unhealthy);
        return stop(format!("{unhealthy} agents are unhealthy with it, {may} may be"));
    }
    if observed.unhealthy + observed.strained > gates.max_unhealthy {
        let (strained, may) = (observed.strained, gates.max_unhealthy);
        let which = observed.strain.as_deref().unwrap_or_default();
        let besides = match observed.unhealthy {
            0 => String::new(),
            unhealthy => format!(" and {unhealthy} are unhealthy"),
        };
        return stop(format!("{strained} agents go beyond a limit with it{besides}, {may} may ({which})"));
    }
    // Whoever is offline is not waited for, but somebody must have it: silence proves nothing.
    let has_proof = observed.applied > 0 || observed.nobody;
    if observed.pending > 0 || !has_proof {
        let waited = now - position.since;
        if waited > gates.patience_seconds * 1000 {
            let reason = match observed.pending {
                0 => "no agent of the stage is connected".to_owned(),
                pending => format!("{pending} agents did not apply it in time"),
            };
            // Nobody being there says nothing against the version.
            return if observed.pending == 0 { Decision::Pause { reason } } else { end(reason, true) };
        }
        return Decision::Wait { settled_since: None };
    }
    let settled_since = position.settled_since.unwrap_or(now);
    if now - settled_since < position.soak_ms {
        return Decision::Wait { settled_since: Some(settled_since) };
    }
    if position.is_last { Decision::Succeed } else { Decision::Next }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position() -> Position {
        Position {
            is_last: false,
            since: 0,
            settled_since: None,
            soak_ms: 10_000,
            gates: Gates { max_failed: 1, patience_seconds: 60, ..Gates::default() },
        }
    }

    fn name(decision: &Decision) -> &'static str {
        match decision {
            Decision::Wait { settled_since: None } => "wait",
            Decision::Wait { settled_since: Some(_) } => "soak",
            Decision::Next => "next",
            Decision::Succeed => "succeed",
            Decision::RollBack { .. } => "roll back",
            Decision::Pause { .. } => "pause",
        }
    }

    #[test]
    fn stages_follow_health() {
        let seen = |applied, failed, unhealthy, pending| Observed {
            applied,
            failed,
            unhealthy,
            pending,
            ..Observed::default()
        };
        let strained = |strained, unhealthy| Observed { strained, ..seen(1, 0, unhealthy, 0) };
        let nobody = Observed { nobody: true, ..Observed::default() };
        for (case, settled, observed, now, expected) in [
            ("agents are applying it", None, seen(1, 0, 0, 1), 1_000, "wait"),
            ("all have it", None, seen(2, 0, 0, 0), 1_000, "soak"),
            ("all have had it for a while", Some(1_000), seen(2, 0, 0, 0), 10_999, "soak"),
            ("long enough", Some(1_000), seen(2, 0, 0, 0), 11_000, "next"),
            ("one may fail", Some(1_000), seen(2, 1, 0, 0), 11_000, "next"),
            ("two may not", Some(1_000), seen(2, 2, 0, 0), 2_000, "roll back"),
            ("one became unhealthy while it soaked", Some(1_000), seen(1, 0, 1, 0), 2_000, "roll back"),
            ("one is beyond a limit", Some(1_000), strained(1, 0), 11_000, "roll back"),
            ("somebody takes too long", None, seen(1, 0, 0, 1), 60_001, "roll back"),
            ("nobody is there", None, seen(0, 0, 0, 0), 60_000, "wait"),
            ("nobody comes", None, seen(0, 0, 0, 0), 60_001, "pause"),
            ("the group is empty", Some(0), nobody, 10_000, "next"),
            ("the clock went back", Some(5_000), seen(1, 0, 0, 0), 1_000, "soak"),
        ] {
            let position = Position { settled_since: settled, ..position() };
            assert_eq!(name(&decide(&position, &observed, now)), expected, "{case}");
        }
    }

    #[test]
    fn an_interruption_starts_the_soak_again() {
        let position = Position { settled_since: Some(0), ..position() };
        let pending = Observed { applied: 1, pending: 1, ..Observed::default() };
        assert_eq!(decide(&position, &pending, 9_000), Decision::Wait { settled_since: None });
    }

    #[test]
    fn the_last_stage_succeeds_and_people_may_decide_themselves() {
        let well = Observed { applied: 1, ..Observed::default() };
        let last = Position { is_last: true, settled_since: Some(0), ..position() };
        assert_eq!(decide(&last, &well, 10_000), Decision::Succeed);
        let gates = Gates { automatic_rollback: false, ..Gates::default() };
        let decided = |gates: &Gates, observed: &Observed| {
            decide(&Position { gates: gates.clone(), settled_since: Some(0), ..position() }, observed, 10_000)
        };
        let failed = Observed { failed: 1, ..Observed::default() };
        assert_eq!(name(&decided(&gates, &failed)), "pause");
        // Who is beyond a limit counts as one of those who are not well.
        let strained = Observed { strained: 1, strain: Some("a: full".into()), unhealthy: 1, ..well };
        assert_eq!(
            decided(&Gates { max_unhealthy: 1, ..gates.clone() }, &strained),
            Decision::Pause {
                reason: "1 agents go beyond a limit with it and 1 are unhealthy, 1 may (a: full)".to_owned()
            }
        );
        assert_eq!(decided(&Gates { max_unhealthy: 2, ..gates }, &strained), Decision::Next);
    }
}
