//! What otelcol makes of the same requests with the same settings.

use std::path::Path;

use phoenix_component::harness::golden;
use phoenix_processor_filter::FilterFactory;

#[tokio::test]
async fn requests_become_what_otelcol_makes_of_them() {
    let inputs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../collector/pdata/tests/data/otelcol");
    assert_eq!(golden::run_cases(&FilterFactory, include_str!("../data/otelcol.json"), &inputs), 4);
}
