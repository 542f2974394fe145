//! The API against its own OpenAPI document: requests that an independent program makes from it, right ones and wrong
//! ones, and what the answers must be.

use std::path::Path;
use std::process::Command;

use crate::rig::Rig;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/control/conformance");
const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../.test-tools/schemathesis/bin/schemathesis");

#[expect(clippy::print_stderr, reason = "says that it is skipped, and what was found")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_is_as_its_document_says() {
    if !Path::new(PROGRAM).exists() {
        eprintln!("skipped: schemathesis is not installed (.ci/install-test-tools does that)");
        return;
    }
    let rig = Rig::start_fast().await;
    let command = Command::new(PROGRAM)
        .arg(format!("--config-file={FOLDER}/schemathesis.toml"))
        .args(["run", "--no-color", "--seed=1", "--max-examples=5", "--phases=examples,coverage,fuzzing"])
        .arg(format!("--header=Authorization: Bearer {}", rig.key))
        .arg(format!("http://{}/api/v1/openapi.json", rig.api))
        .current_dir(rig.folder.path())
        .output();
    let output = command.expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let tested = text.lines().find_map(|line| line.trim().strip_prefix("Tested: ")).unwrap_or_default();
    let tested: usize = tested.parse().unwrap_or(0);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(tested >= 45, "every operation: {text}");
    eprintln!("{}", text.lines().rev().find(|line| line.contains("generated")).unwrap_or_default().trim());
    // It did all that without breaking the log of what was done.
    assert_eq!(rig.get("/audit/verification").await.body["intact"], true);
    rig.stop().await;
}
