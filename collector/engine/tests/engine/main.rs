//! The engine with test components, under a paused clock.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod fan_out;
mod graphs;
mod rig;
mod stages;
mod swaps;

use std::time::Duration;

const THREE_SINKS: &str = "
receivers: {source: {}}
exporters: {sink/a: {}, sink/b: {}, sink/c: {}}
service: {pipelines: {traces: {receivers: [source], exporters: [sink/a, sink/b, sink/c]}}}
";

const TWO_SINKS: &str = "
receivers: {source: {}}
exporters: {sink/a: {}, sink/b: {}}
service: {pipelines: {traces: {receivers: [source], exporters: [sink/a, sink/b]}}}
";

fn with_processor(processors: &str, names: &str) -> String {
    format!(
        "
receivers: {{source: {{}}}}
processors: {{{processors}}}
exporters: {{sink: {{}}}}
service: {{pipelines: {{traces: {{receivers: [source], processors: [{names}], exporters: [sink]}}}}}}
"
    )
}

async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}
