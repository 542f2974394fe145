//! What was measured, beside what it is to be.

/// Figures as they come, and how many of them miss their goal.
#[derive(Default)]
pub(crate) struct Figures {
    goals: usize,
    missed: Vec<&'static str>,
}

impl Figures {
    /// A figure that has no goal.
    #[expect(clippy::print_stdout, reason = "figures are what this program is for")]
    pub(crate) fn told(&self, figure: &str, value: impl std::fmt::Display) {
        println!("{figure:<42} {value}");
    }

    /// A figure that is to be at most `goal`.
    pub(crate) fn at_most(&mut self, goal: f64, figure: &'static str, value: f64) {
        self.goals += 1;
        let holds = value <= goal;
        if !holds {
            self.missed.push(figure);
        }
        let verdict = if holds { "holds" } else { "MISSED" };
        self.told(figure, format!("{:<12} goal: at most {goal:<6} {verdict}", rounded(value)));
    }

    /// Says how it went; whether all goals hold.
    pub(crate) fn verdict(&self) -> bool {
        let text = match self.missed.is_empty() {
            true => format!("all {} hold", self.goals),
            false => {
                format!("{} of {} are missed: {}", self.missed.len(), self.goals, self.missed.join("; "))
            }
        };
        self.told("goals", text);
        self.missed.is_empty()
    }
}

/// With as many decimals as tell something.
fn rounded(value: f64) -> String {
    match value.abs() {
        small if small < 1.0 => format!("{value:.3}"),
        some if some < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_that_is_missed_is_remembered() {
        let mut figures = Figures::default();
        figures.at_most(0.3, "cores", 0.3);
        assert!(figures.verdict());
        figures.at_most(400.0, "memory", 400.5);
        assert!(!figures.verdict());
        assert_eq!((figures.goals, figures.missed), (2, vec!["memory"]));
        assert_eq!([0.0241, 2.44, 244.4].map(rounded), ["0.024", "2.4", "244"]);
    }
}
