use super::*;
use crate::freezes::Freeze;
use crate::groups::GroupChange;
use crate::store::rig::all;

fn freeze(from: i64, until: i64) -> Freeze {
    Freeze { from: rfc3339(from), until: rfc3339(until), weekly: false, reason: String::new() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_freeze_holds_what_runs_until_it_is_over() {
    for test in all().await {
        let walked = test.db.write(|tx| {
            let caller = Caller::system();
            let made = configurations::create(tx, &caller, 0, "base", "", None)?;
            configurations::add_version(tx, &caller, 0, &made.id, None, "a: 1", "", None, None)?;
            let version = configurations::find_version(tx, &made.id, 1)?.id;
            let group = groups::create(tx, &caller, 0, "all", "", 0)?;
            let stages = [50, 100].map(|percent| Stage { percent, soak_seconds: 0 });
            let nobody = BTreeSet::new();
            let rollout = start(tx, &caller, 0, &group.id, &version, &stages, &Gates::default(), &nobody)?;
            let freezes = Some(vec![freeze(1_000, 100_000)]);
            let change = GroupChange { freezes, ..GroupChange::default() };
            groups::change(tx, &caller, 0, &group.id, group.revision, &change)?;
            let mut walked = Vec::new();
            for now in [1_000, 99_999, 100_000, 101_000] {
                advance(tx, now, &nobody)?;
                let found: Rollout = find(tx, &rollout.id)?;
                walked.push((found.stage, found.state));
            }
            Ok(walked)
        });
        let expected = [(0, "running"), (0, "running"), (1, "running"), (1, "succeeded")];
        let walked = walked.await.expect("walked");
        let walked: Vec<_> = walked.iter().map(|(stage, state)| (*stage, state.as_str())).collect();
        assert_eq!(walked, expected);
    }
}
