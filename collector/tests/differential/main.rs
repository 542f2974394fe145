//! The same requests through the same configuration, in otelcol and in Phoenix: what comes out has to be the same.
//!
//! ```sh
//! OTELCOL_PEER=_build/otelcol-peer make differential
//! DIFFERENTIAL_SEED=7 DIFFERENTIAL_CASES=500 DIFFERENTIAL_ONLY=filter,transform OTELCOL_PEER=… make differential
//! ```
//!
//! Without a peer it says so and is over. See README.md.

#![expect(clippy::print_stderr, reason = "whoever runs it reads what came of it")]

mod cases;
mod collector;
mod corpus;
mod count;
mod inputs;
mod known;
mod random;
mod statements;
mod tail_sampling;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cases::{Case, Connector};
use collector::{Outcome, run};

/// Cases of one configuration: each has a port and a file of its own.
const TOGETHER: usize = 40;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The Go collector, if it is there.
fn peer() -> Option<PathBuf> {
    let path = PathBuf::from(std::env::var_os("OTELCOL_PEER")?);
    assert!(path.is_file(), "OTELCOL_PEER is no file: {}", path.display());
    Some(path)
}

#[test]
fn both_make_the_same_of_the_same() {
    let Some(peer) = peer() else {
        eprintln!("skipped: OTELCOL_PEER names no Go collector; see collector/tests/differential/README.md");
        return;
    };
    let phoenix = Path::new(env!("CARGO_BIN_EXE_phoenix-collector"));
    let (seed, count) = (setting("DIFFERENTIAL_SEED", 1), setting("DIFFERENTIAL_CASES", 200));
    let mut all = cases::of_the_corpus();
    all.extend(corpus::cases());
    all.extend(cases::generated(seed, count));
    all.extend(tail_sampling::generated(seed, count / 2));
    if let Ok(only) = std::env::var("DIFFERENTIAL_ONLY") {
        let is_meant = |name: &str| only.split(',').any(|meant| meant == name);
        all.retain(|case| case.types().all(is_meant));
    }
    let (mut same, mut refused_by_both, mut explained, mut differences) = (0, 0, BTreeMap::new(), Vec::new());
    for chunk in all.chunks(TOGETHER) {
        for ((case, theirs), ours) in chunk.iter().zip(run(&peer, chunk)).zip(run(phoenix, chunk)) {
            let [theirs, ours] = [theirs, ours].map(|outcome| match &case.connector {
                _ if tail_sampling::is_one(case) => tail_sampling::kept(outcome),
                Some(Connector::Count(_)) => count::compared(outcome),
                _ if corpus::is_one(case) => corpus::ordered(outcome),
                _ => outcome,
            });
            match (&theirs, &ours) {
                (Outcome::Refused(_), Outcome::Refused(_)) => refused_by_both += 1,
                _ if theirs == ours => same += 1,
                _ => match known::reason(case, &theirs, &ours) {
                    Some(reason) => {
                        *explained.entry(reason).or_insert(0_usize) += 1;
                    }
                    None => differences.push(format!("{case}\n  otelcol: {theirs}\n  phoenix: {ours}\n")),
                },
            }
        }
    }
    for (reason, cases) in &explained {
        eprintln!("{cases} differ as documented: {reason}");
    }
    eprintln!(
        "seed {seed}: {same} the same, {refused_by_both} refused by both, {} differ as documented, {} differ",
        explained.values().sum::<usize>(),
        differences.len()
    );
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}): {}", self.name, self.signal, self.processors)?;
        match &self.connector {
            None => Ok(()),
            Some(connector) => write!(f, ", {} {}", connector.name(), connector.settings()),
        }
    }
}
