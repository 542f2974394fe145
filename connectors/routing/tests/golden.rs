//! What otelcol makes of the same requests with the same settings.

use std::path::Path;

use phoenix_component::harness::golden;
use phoenix_connector_routing::RoutingFactory;

#[tokio::test]
async fn requests_become_what_is_written_down() {
    let inputs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../collector/pdata/tests/data/otelcol");
    let cases = include_str!("data/otelcol.json");
    assert_eq!(golden::run_connector_cases(&RoutingFactory, cases, &inputs).await, 6);
}
