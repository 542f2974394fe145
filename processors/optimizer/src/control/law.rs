//! How many steps are wanted.

use crate::config::{ControlSettings, LawName};

/// How much of the targets is used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pressure {
    /// Of the target of which most is used.
    pub(crate) now: f64,
    /// The same, one step lower; none at the bottom.
    pub(crate) below: Option<f64>,
    /// Since the measurement before.
    pub(crate) minutes: f64,
}

/// The state of a law.
#[derive(Clone, Debug)]
pub(crate) enum Law {
    /// Intervals in a row in which more was used than may be, and in which less could be given up.
    Bands { over: u32, under: u32 },
    /// What is allowed, as a share of everything.
    Aimd { allowed: f64 },
    /// Steps, as a fraction, and the error before.
    Pi { steps: f64, before: Option<f64> },
}

impl Law {
    pub(crate) fn new(settings: &ControlSettings) -> Law {
        match settings.law {
            LawName::Bands => Law::Bands { over: 0, under: 0 },
            LawName::Aimd => Law::Aimd { allowed: 1.0 },
            LawName::Pi => Law::Pi { steps: 0.0, before: None },
        }
    }

    /// The step that is wanted, of `steps`, by who is on `step`.
    pub(crate) fn wanted(
        &mut self,
        step: usize,
        steps: usize,
        pressure: &Pressure,
        settings: &ControlSettings,
    ) -> usize {
        let is_over = pressure.now > settings.up;
        let is_under = pressure.below.is_some_and(|below| below <= settings.down);
        match self {
            Law::Bands { over, under } => {
                *over = if is_over { *over + 1 } else { 0 };
                *under = if is_under { *under + 1 } else { 0 };
                if *over >= settings.intervals && step < steps {
                    *over = 0;
                    return step + 1;
                }
                if *under >= settings.intervals { step.saturating_sub(1) } else { step }
            }
            Law::Aimd { allowed } => {
                let all = steps as f64;
                // It goes on from where the ladder is, wherever that was held back.
                let held = 1.0 - step as f64 / all.max(1.0);
                if is_over {
                    *allowed = allowed.min(held) * settings.aimd.cut;
                } else if is_under {
                    *allowed = (*allowed + settings.aimd.add).min(1.0);
                }
                let wanted = ((1.0 - *allowed) * all).ceil() as usize;
                if is_over { wanted.clamp(step, steps) } else { wanted.min(step) }
            }
            Law::Pi { steps: fraction, before } => {
                let error = pressure.now - settings.up;
                // Within the band there is no error, so that the integral comes to rest.
                let error = if !is_over && !is_under { 0.0 } else { error };
                let change = error - before.unwrap_or(error);
                *before = Some(error);
                let moved = *fraction
                    + settings.pi.proportional * change
                    + settings.pi.integral * error * pressure.minutes;
                // Never further from where the ladder is than a step below or what is above: no windup.
                *fraction = moved.clamp(step as f64 - 1.0, steps as f64).max(0.0);
                if is_over {
                    (fraction.ceil() as usize).clamp(step, steps)
                } else if *fraction <= step as f64 - 0.75 {
                    step.saturating_sub(1)
                } else {
                    step
                }
            }
        }
    }
}
