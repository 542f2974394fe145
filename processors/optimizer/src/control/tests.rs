//! The loop against a model of what it acts on: demand over a day, and rules that leave a share of it.

use super::*;
use crate::config::LawName;

const TICK: u64 = 60;

/// What is left of the demand on each step.
const LEFT: [f64; 7] = [1.0, 0.8, 0.65, 0.5, 0.3, 0.2, 0.1];

fn settings(law: LawName) -> ControlSettings {
    let mut settings = ControlSettings { law, ..ControlSettings::default() };
    settings.targets.points_per_minute = 100_000;
    settings
}

/// Runs the loop over a demand, one value for each minute. What a step does shows `delay` ticks after it was taken. Returns
/// step and what was left, by minute.
fn simulate(settings: &ControlSettings, demand: &[f64], delay: usize) -> Vec<(usize, f64)> {
    let mut controller = Controller::new(settings, LEFT.len() - 1);
    let mut steps = vec![0; delay + 1];
    let mut course = Vec::new();
    for (minute, demand) in demand.iter().enumerate() {
        let in_force = steps[steps.len() - 1 - delay];
        let measured = demand * LEFT[in_force];
        let mut samples = [None; 4];
        if *demand > 0.0 {
            samples[1] = Some(Sample { demand: *demand, measured });
        }
        let change = controller.take(samples, Duration::from_secs(TICK * minute as u64));
        if let Some(change) = change {
            assert_eq!(change.to, controller.step());
            assert_ne!(change.from, change.to);
        }
        steps.push(controller.step());
        course.push((controller.step(), measured));
    }
    course
}

fn changes(course: &[(usize, f64)]) -> usize {
    course.windows(2).filter(|pair| pair[0].0 != pair[1].0).count()
}

/// Noise of a tenth, the same every time.
fn noisy(level: f64, minute: usize) -> f64 {
    let noise = ((minute as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f64 / (1 << 24) as f64;
    level * (0.95 + 0.1 * noise)
}

const LAWS: [LawName; 3] = [LawName::Bands, LawName::Aimd, LawName::Pi];

#[test]
fn a_demand_that_stays_is_brought_under_the_target_and_nothing_changes_after_that() {
    for law in LAWS {
        for level in [90_000.0, 130_000.0, 250_000.0, 480_000.0, 900_000.0] {
            for delay in [0, 1, 2] {
                let demand: Vec<f64> = (0..600).map(|minute| noisy(level, minute)).collect();
                let course = simulate(&settings(law), &demand, delay);
                let case = format!("{law:?}, {level}, {delay}");
                let settled = &course[120..];
                let over = settled.iter().filter(|(_, left)| *left > 106_000.0).count();
                assert_eq!(over, 0, "{case}: over the target in {over} minutes");
                assert_eq!(
                    changes(settled),
                    0,
                    "{case}: {:?}",
                    course.iter().map(|one| one.0).collect::<Vec<_>>()
                );
                if level < 100_000.0 {
                    assert!(course.iter().all(|(step, _)| *step == 0), "{case}: nothing was to be given up");
                }
            }
        }
    }
}

#[test]
fn a_day_with_a_busy_noon_takes_each_step_once_up_and_once_down() {
    for law in LAWS {
        let demand: Vec<f64> = (0..1440)
            .map(|minute| {
                let phase = (minute as f64 / 1440.0 * std::f64::consts::TAU).cos();
                noisy(160_000.0 - 110_000.0 * phase, minute)
            })
            .collect();
        let course = simulate(&settings(law), &demand, 1);
        let over = course.iter().filter(|(_, left)| *left > 110_000.0).count();
        assert!(over <= 30, "{law:?}: {over} minutes over the target");
        assert!(changes(&course) <= 2 * LEFT.len(), "{law:?}: {} changes", changes(&course));
        assert_eq!(course.last().map(|one| one.0), Some(0), "{law:?}: the night is as it was");
        let rests = course.windows(2).enumerate().filter(|(_, pair)| pair[1].0 < pair[0].0);
        let down: Vec<usize> = rests.map(|(minute, _)| minute).collect();
        assert!(down.windows(2).all(|pair| pair[1] - pair[0] >= 20), "{law:?}: {down:?}");
    }
}

#[test]
fn a_demand_that_swings_faster_than_it_may_be_followed_does_not_make_it_flap() {
    for law in LAWS {
        let demand: Vec<f64> =
            (0..720).map(|minute| if minute / 10 % 2 == 0 { 60_000.0 } else { 170_000.0 }).collect();
        let course = simulate(&settings(law), &demand, 1);
        let hours = 12;
        assert!(changes(&course) <= 4 * hours, "{law:?}: {} changes in {hours} hours", changes(&course));
    }
}

#[test]
fn silence_changes_nothing_and_winds_nothing_up() {
    for law in LAWS {
        let mut demand = vec![300_000.0; 120];
        demand.extend([0.0; 300]);
        demand.extend([300_000.0; 60]);
        let course = simulate(&settings(law), &demand, 0);
        let step = course[119].0;
        assert!(course[119..].iter().all(|one| one.0 == step), "{law:?}");
    }
}

#[test]
fn a_demand_that_nothing_helps_against_ends_on_the_last_step() {
    for law in LAWS {
        let course = simulate(&settings(law), &[5e6; 240], 0);
        assert_eq!(course.last().map(|one| one.0), Some(LEFT.len() - 1), "{law:?}");
    }
}

#[test]
fn the_target_of_which_most_is_used_decides() {
    let mut settings = settings(LawName::Bands);
    settings.targets.series = 1000;
    let mut controller = Controller::new(&settings, 3);
    let sample = |demand: f64| Some(Sample { demand, measured: demand });
    let mut found = None;
    for minute in 0..5 {
        let samples = [sample(1500.0), sample(120_000.0), None, None];
        found = found.or(controller.take(samples, Duration::from_secs(TICK * minute)));
    }
    let change = found.expect("a step up");
    assert_eq!((TARGETS[change.target], change.from, change.to, change.limit), ("series", 0, 1, 1000.0));
    assert_eq!(change.expected, None, "nobody knows yet what that does");
}

/// The points of each scrape of a host while programs were built on it, whose processes came and went: a scrape stands for a minute.
const RECORDED: &str = include_str!("recorded-demand.txt");

#[test]
fn a_recorded_demand_is_brought_under_the_target_without_flapping() {
    let recorded: Vec<f64> = RECORDED.lines().map(|line| line.parse().expect("a number")).collect();
    assert!(recorded.len() >= 300 && recorded.iter().any(|points| *points > 1.2 * recorded[0]));
    for law in LAWS {
        for scale in [100.0, 180.0, 400.0] {
            for delay in [0, 1] {
                // Twice, so that it comes back to where it began.
                let demand: Vec<f64> =
                    recorded.iter().chain(&recorded).map(|points| points * scale).collect();
                let course = simulate(&settings(law), &demand, delay);
                let case = format!("{law:?}, {scale}, {delay}");
                let settled = &course[60..];
                // What comes at once is seen a minute later, and answered after three.
                let over = settled.iter().filter(|(_, left)| *left > 110_000.0).count();
                assert!(
                    over * 20 <= settled.len(),
                    "{case}: over the target in {over} of {} minutes",
                    settled.len()
                );
                let hours = settled.len() / 60;
                assert!(changes(settled) <= hours, "{case}: {} changes in {hours} hours", changes(settled));
                let wanted = demand[60..].iter().map(|demand| demand.min(100_000.0)).sum::<f64>();
                let left = settled.iter().map(|(_, left)| left).sum::<f64>();
                assert!(left >= 0.45 * wanted, "{case}: {left} of {wanted} that might have been left");
            }
        }
    }
}
