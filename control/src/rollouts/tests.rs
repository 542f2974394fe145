use super::*;
use crate::agents::{self, Admission};
use crate::configurations;
use crate::freezes::Freeze;
use crate::groups::GroupChange;
use crate::selector::Labels;
use crate::store::rig::all;
use crate::validation;

fn freeze(from: i64, until: i64) -> Freeze {
    Freeze { from: rfc3339(from), until: rfc3339(until), weekly: false, reason: String::new() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_freeze_holds_what_runs_until_it_is_over() {
    for test in all().await {
        let walked = test.db.write(|tx| {
            let caller = Caller::system();
            let made = configurations::create(tx, &caller, 0, "base", "", None)?;
            configurations::add_version(tx, &caller, 0, &made.id, &Seen::default(), "a: 1", "", None, None)?;
            let version = configurations::find_version(tx, &made.id, 1)?.id;
            let group = groups::create(tx, &caller, 0, "all", "", 0)?;
            let stages = [50, 100].map(|percent| Stage { percent, soak_seconds: 0 });
            let nobody = BTreeSet::new();
            let rollout = start(tx, &caller, 0, &group.id, &version, &stages, &Gates::default(), &nobody)?;
            let freezes = Some(vec![freeze(1_000, 100_000)]);
            let change = GroupChange { freezes, ..GroupChange::default() };
            groups::change(tx, &caller, 0, &group.id, &Seen::at(group.revision), &change)?;
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

/// The agent `0a`, and a version for it.
fn an_agent_and_a_version(tx: &mut dyn Tx, caller: &Caller) -> Result<String> {
    let token = agents::add_token(tx, caller, 0, "t", &Labels::new(), None, None)?;
    agents::enrol(tx, 0, "0a", &Admission::Token(token.id))?;
    let made = configurations::create(tx, caller, 0, "base", "", None)?;
    configurations::add_version(tx, caller, 0, &made.id, &Seen::default(), "a: 1", "", None, None)?;
    Ok(configurations::find_version(tx, &made.id, 1)?.id)
}

/// What `agent` says of the version with this hash: that it has it, and, where it does, how its data fares.
fn say(tx: &mut dyn Tx, agent: &str, hash: &str, failed_percent: Option<u64>) -> Result<Option<Vitals>> {
    let sql = "UPDATE agents SET reported_hash = ?2, reported_status = 'applied', healthy = 1, tells_vitals = ?3 WHERE id = ?1";
    tx.execute(sql, args![agent, hash, failed_percent.is_some()])?;
    Ok(failed_percent.map(|failed| {
        let since =
            phoenix_opamp::Items { sent: 1000 - 10 * failed, failed: 10 * failed, ..Default::default() };
        Vitals { hash: hash.to_owned(), since, ..Vitals::default() }
    }))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_whose_data_fares_badly_stops_a_rollout() {
    // (case, what of the first agent's items fails once it says so, the state, what the reason tells of)
    let cases = [
        ("well", Some(5), "succeeded", "healthy"),
        ("beyond a limit", Some(6), "rolled_back", "0a: its exporters fail to send 6.0 %"),
        ("does not tell", None, "succeeded", "healthy"),
    ];
    for test in all().await {
        for (case, failed, state, tells) in cases {
            let walked = test.db.write(move |tx| {
                let caller = Caller::system();
                let token = agents::add_token(tx, &caller, 0, "t", &Labels::new(), None, None)?;
                let connected: BTreeSet<String> = ["0a", "0b"].map(str::to_owned).into();
                for agent in &connected {
                    agents::enrol(tx, 0, agent, &Admission::Token(token.id.clone()))?;
                }
                let made = configurations::create(tx, &caller, 0, case, "", None)?;
                configurations::add_version(
                    tx,
                    &caller,
                    0,
                    &made.id,
                    &Seen::default(),
                    "a: 1",
                    case,
                    None,
                    None,
                )?;
                let version = configurations::find_version(tx, &made.id, 1)?.id;
                let (_, hash) = validation::offer(&configurations::layers(tx, &version)?);
                let group = groups::create(tx, &caller, 0, case, "", 0)?;
                let stages = [Stage { percent: 100, soak_seconds: 10 }];
                let rollout =
                    start(tx, &caller, 0, &group.id, &version, &stages, &Gates::default(), &connected)?;
                let mut told = Vec::new();
                for (agent, failed) in [("0a", failed), ("0b", Some(0))] {
                    told.extend(say(tx, agent, &hash, failed)?.map(|vitals| (agent, vitals)));
                }
                // What they say is not written down yet: they are waited for.
                let seen = observe(tx, &rollout, &connected)?.progress;
                assert_eq!((seen.pending, seen.unmeasured), (told.len() as i64, 2 - told.len() as i64));
                let watched = watched(tx)?;
                assert!(watched.iter().all(|watched| watched.version == version), "{case}");
                let of = |agent: &str| watched.iter().find(|watched| watched.agent == agent).cloned();
                let told: Vec<_> =
                    told.into_iter().filter_map(|(agent, vitals)| Some((of(agent)?, vitals))).collect();
                note_vitals(tx, &told)?;
                for now in [1, 11_000] {
                    advance(tx, now, &connected)?;
                }
                let ended: Rollout = find(tx, &rollout.id)?;
                // Who was beyond a limit is not offered the version again, whatever it says of it later.
                say(tx, "0a", &hash, failed)?;
                let failures = agents::failures(tx, "0a")?;
                assert_eq!(
                    failures.contains_key(&hash),
                    ended.state == "rolled_back",
                    "{case}: {failures:?}"
                );
                assert_eq!(agents::failures(tx, "0b")?.len(), 0, "{case}");
                let group: Group = find(tx, &group.id)?;
                groups::remove(tx, &caller, 0, &group.id, &Seen::at(group.revision))
                    .expect_err("it has a history");
                tx.execute("UPDATE agent_groups SET selector = 'x' WHERE id = ?1", args![&group.id])?;
                Ok(ended)
            });
            let ended = walked.await.expect("walked");
            assert_eq!(ended.state, state, "{case}: {}", ended.reason);
            assert!(ended.reason.contains(tells), "{case}: {}", ended.reason);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_flaps_soaks_anew_each_time_that_it_comes_back() {
    for test in all().await {
        let walked = test.db.write(|tx| {
            let caller = Caller::system();
            let version = an_agent_and_a_version(tx, &caller)?;
            let (_, hash) = validation::offer(&configurations::layers(tx, &version)?);
            let group = groups::create(tx, &caller, 0, "all", "", 0)?;
            let there: BTreeSet<String> = [String::from("0a")].into();
            let away = BTreeSet::new();
            let stages = [Stage { percent: 100, soak_seconds: 10 }];
            let rollout = start(tx, &caller, 0, &group.id, &version, &stages, &Gates::default(), &there)?;
            say(tx, "0a", &hash, None)?;
            let mut walked = Vec::new();
            for (now, connected) in
                [(1_000, &there), (9_000, &away), (10_000, &there), (11_500, &there), (20_000, &there)]
            {
                advance(tx, now, connected)?;
                walked.push(find::<Rollout>(tx, &rollout.id)?.state);
            }
            Ok(walked)
        });
        let walked = walked.await.expect("walked");
        assert_eq!(walked, ["running", "running", "running", "running", "succeeded"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_leaves_the_group_is_not_waited_for() {
    for leaves in ["label", "selector", "priority", "revoked"] {
        for test in all().await {
            let walked = test.db.write(move |tx| {
                let caller = Caller::system();
                let version = an_agent_and_a_version(tx, &caller)?;
                let (_, hash) = validation::offer(&configurations::layers(tx, &version)?);
                let token = agents::add_token(tx, &caller, 0, "u", &Labels::new(), None, None)?;
                agents::enrol(tx, 0, "0b", &Admission::Token(token.id))?;
                let tier = |tier: &str| Labels::from([("tier".to_owned(), tier.to_owned())]);
                for agent in ["0a", "0b"] {
                    agents::label(tx, &caller, 0, agent, &Seen::default(), &tier(agent))?;
                }
                let group = groups::create(tx, &caller, 0, "both", "tier", 0)?;
                let there: BTreeSet<String> = ["0a", "0b"].map(str::to_owned).into();
                let stages = [50, 100].map(|percent| Stage { percent, soak_seconds: 0 });
                let rollout = start(tx, &caller, 0, &group.id, &version, &stages, &Gates::default(), &there)?;
                let first = tx.one("SELECT agent_id FROM rollout_agents", &[])?.expect("one of two").text(0);
                let other = if first == "0a" { "0b" } else { "0a" };
                match leaves {
                    "label" => agents::label(tx, &caller, 1, &first, &Seen::default(), &Labels::new())?,
                    "selector" => {
                        let selector = Some(format!("tier={other}"));
                        let change = GroupChange { selector, ..GroupChange::default() };
                        groups::change(tx, &caller, 1, &group.id, &Seen::default(), &change)?;
                    }
                    "priority" => {
                        groups::create(tx, &caller, 1, "first", &format!("tier={first}"), 9)?;
                    }
                    _ => agents::revoke(tx, &caller, 1, &first)?,
                }
                let mut walked = Vec::new();
                // Long after the patience with it would have ended.
                for now in [2, 700_000, 1_400_000] {
                    say(tx, other, &hash, None)?;
                    advance(tx, now, &there)?;
                    let now: Rollout = find(tx, &rollout.id)?;
                    walked.push((observe(tx, &now, &there)?.progress.exposed, now.state));
                }
                assert_eq!(agents::failures(tx, &first)?.len(), 0, "nothing failed on it");
                Ok(walked)
            });
            let walked = walked.await.expect("walked");
            let expected = [(1, "running"), (1, "succeeded"), (1, "succeeded")];
            assert_eq!(walked, expected.map(|(exposed, state)| (exposed, state.to_owned())), "{leaves}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_applied_in_time_has_failed_unless_it_is_after_all() {
    for test in all().await {
        let remembered = test.db.write(|tx| {
            let caller = Caller::system();
            let version = an_agent_and_a_version(tx, &caller)?;
            let group = groups::create(tx, &caller, 0, "all", "", 0)?;
            let there: BTreeSet<String> = [String::from("0a")].into();
            let stages = [Stage { percent: 100, soak_seconds: 0 }];
            let mut seen = Vec::new();
            // The first is given up by somebody, the second by itself.
            for order_at in [Some(5_000), None] {
                let rollout = start(tx, &caller, 0, &group.id, &version, &stages, &Gates::default(), &there)?;
                match order_at {
                    Some(now) => {
                        order(tx, &caller, now, &rollout.id, &Seen::default(), Order::RollBack, &there)
                            .map(|_| ())?
                    }
                    None => advance(tx, 601_000, &there).map(|_| ())?,
                }
                let failures = agents::failures(tx, "0a")?;
                seen.push((find::<Rollout>(tx, &rollout.id)?.state, failures.into_values().next()));
            }
            Ok(seen)
        });
        let rolled_back = || "rolled_back".to_owned();
        let late = Some("it was not applied in time".to_owned());
        assert_eq!(remembered.await, Ok(vec![(rolled_back(), None), (rolled_back(), late)]));
    }
}
