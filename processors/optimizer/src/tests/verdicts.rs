//! How often rules are gone through: for what is new, and never for another point of what is known.

use proptest::prelude::*;

use super::data::*;

/// So many rules that are not about what is sent, and two that are: one looks at metrics, one at points.
fn rules(others: usize) -> String {
    let others = (0..others).map(|number| {
        let kind = ["metrics: ['/^m{number}[.]/']", "metrics: [m{number}], resource: {host: 'h{number}*'}"]
            [number % 2];
        format!(
            "{{name: r{number}, match: {{{}}}, drop: true}}, ",
            kind.replace("{number}", &number.to_string())
        )
    });
    others.collect::<String>()
        + "{name: labels, match: {types: [counter]}, drop_labels: [pod]}, \
           {name: points, match: {types: [counter], attributes: {route: 'r1*'}}, drop_exemplars: true}"
}

fn verdicts(fixture: &Fixture) -> i64 {
    fixture.metrics.sum("phoenix_processor_optimizer_verdicts", &[("processor", "optimizer")])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    /// A thousand rules are gone through as seldom as ten, and what comes out is the same.
    #[test]
    fn a_thousand_rules_cost_no_more_for_a_point_than_ten(
        series in 1..30_usize, metrics in 1..4_usize, resources in 1..4_usize, rounds in 1..6_i64,
    ) {
        let run = |others: usize| {
            let mut fixture = optimizer(&rules(others));
            let labels: Vec<String> = (0..series).map(|one| format!("pod=p{one} route=r{one}")).collect();
            let mut left = Vec::new();
            for round in 0..rounds {
                let time = 10 * round + 5;
                let points: Vec<Point<'_>> =
                    labels.iter().map(|labels| (labels.as_str(), 0, time, time as f64)).collect();
                for metric in 0..metrics {
                    for resource in 0..resources {
                        left.extend(fixture.send(&format!("host=h{resource}"), counter(&format!("c{metric}"), &points)));
                    }
                }
                left.extend(fixture.advance(10));
            }
            (left, verdicts(&fixture))
        };
        let (few, many) = (run(10), run(1000));
        // One for each metric, one for each of its resources, and one for each of their series.
        let known = metrics + metrics * resources + metrics * resources * series;
        prop_assert_eq!(few.1, known as i64);
        prop_assert_eq!(few, many);
    }
}

#[test]
fn each_of_a_thousand_rules_is_found() {
    let mut fixture = optimizer(&rules(1000));
    assert_eq!(fixture.send("", gauge("m998.x", &[("", -1, 1, 1.0)])), []);
    assert_eq!(fixture.send("host=h999", gauge("m999", &[("", -1, 1, 1.0)])), []);
    assert_eq!(fixture.send("host=h1", gauge("m999", &[("", -1, 1, 1.0)])).len(), 1);
    assert_eq!(fixture.send("", gauge("other", &[("", -1, 1, 1.0)])).len(), 1);
}
