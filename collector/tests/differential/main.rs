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
mod inputs;
mod known;
mod random;
mod statements;
mod tail_sampling;

use std::path::{Path, PathBuf};

use cases::Case;
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
    all.extend(cases::generated(seed, count));
    all.extend(tail_sampling::generated(seed, count / 2));
    if let Ok(only) = std::env::var("DIFFERENTIAL_ONLY") {
        let is_meant = |name: &str| only.split(',').any(|meant| meant == name);
        all.retain(|case| case.types().all(is_meant));
    }
    let (mut same, mut refused_by_both, mut explained, mut differences) = (0, 0, 0, Vec::new());
    for chunk in all.chunks(TOGETHER) {
        for ((case, theirs), ours) in chunk.iter().zip(run(&peer, chunk)).zip(run(phoenix, chunk)) {
            let of_traces = tail_sampling::is_one(case);
            let (theirs, ours) = match of_traces {
                true => (tail_sampling::kept(theirs), tail_sampling::kept(ours)),
                false => (theirs, ours),
            };
            match (&theirs, &ours) {
                (Outcome::Refused(_), Outcome::Refused(_)) => refused_by_both += 1,
                _ if theirs == ours => same += 1,
                _ => match known::reason(case, &theirs, &ours) {
                    Some(reason) => {
                        eprintln!("known: {}: {reason}", case.name);
                        explained += 1;
                    }
                    None => differences.push(format!("{case}\n  otelcol: {theirs}\n  phoenix: {ours}\n")),
                },
            }
        }
    }
    eprintln!(
        "seed {seed}: {same} the same, {refused_by_both} refused by both, {explained} differ as documented, {} differ",
        differences.len()
    );
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}): {}", self.name, self.signal, self.processors)?;
        if self.routing.is_null() { Ok(()) } else { write!(f, ", routing {}", self.routing) }
    }
}
