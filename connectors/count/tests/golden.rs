//! Requests and what is counted of them.

use std::path::Path;

use phoenix_component::harness::golden;
use phoenix_connector_count::CountFactory;

#[tokio::test]
async fn requests_become_what_is_written_down() {
    let inputs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../collector/pdata/tests/data/otelcol");
    let cases = include_str!("data/cases.json");
    assert_eq!(golden::run_connector_cases(&CountFactory, cases, &inputs).await, 4);
}
