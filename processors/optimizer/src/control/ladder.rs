//! Which rules are carried out on which step.

use crate::config::{ControlSettings, Mode};
use crate::rules::RuleSet;

/// The steps, the gentlest first: each brings one class to a level.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ladder {
    steps: Vec<Rung>,
}

#[derive(Clone, Debug)]
struct Rung {
    class: usize,
    level: u8,
}

impl Ladder {
    /// The steps for which there are rules: the levels in order, within one the classes in order.
    pub(crate) fn new(settings: &ControlSettings, rules: &RuleSet) -> Ladder {
        let mut steps = Vec::new();
        for level in 1..=crate::config::MAX_LEVEL {
            for (class, settings) in settings.classes.iter().enumerate() {
                let has_rule = rules.rules().iter().any(|rule| {
                    let config = &rule.config;
                    config.at_level == level && config.class == settings.name && config.mode == Mode::Enforce
                });
                if has_rule {
                    steps.push(Rung { class, level });
                }
            }
        }
        Ladder { steps }
    }

    pub(crate) fn len(&self) -> usize {
        self.steps.len()
    }

    /// The level of a class on a step.
    pub(crate) fn level(&self, class: usize, step: usize) -> u8 {
        let reached = self.steps.iter().take(step).filter(|rung| rung.class == class);
        reached.map(|rung| rung.level).max().unwrap_or(0)
    }
}
