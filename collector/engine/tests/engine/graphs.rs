//! Graphs as a whole: what cannot work, and the order in which they start and stop.

use phoenix_engine::ApplyError;
use phoenix_pdata::Signal::Traces;

use crate::rig::{Answer, Rig};
use crate::{TWO_SINKS, settle, with_processor};

const CONNECTED: &str = "
receivers: {source: {}}
processors: {hold: {}}
connectors: {pass: {}}
exporters: {sink/a: {}, sink/b: {}}
service:
  pipelines:
    traces: {receivers: [source], exporters: [pass, sink/a]}
    traces/behind: {receivers: [pass], processors: [hold], exporters: [sink/b]}
";

#[tokio::test(start_paused = true)]
async fn a_connector_joins_pipelines() {
    let rig = Rig::start(CONNECTED).await;
    rig.send("source", Traces, &[1]).await.expect("accepted");
    assert_eq!(rig.world.sink("sink/a").got(), [1]);
    assert_eq!(rig.shutdown().await.items, 0);
    assert_eq!(rig.world.sink("sink/b").got(), [1], "the stage behind it was drained");
}

#[test]
fn graphs_that_cannot_work_are_refused_with_the_reason() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _guard = runtime.enter();
    let rig = Rig::idle();
    let cases = [
        (
            "receivers: {source: {}}\nconnectors: {pass: {}, pass/2: {}}\nexporters: {sink: {}}\nservice: {pipelines: {traces/in: {receivers: [source, pass/2], exporters: [pass]}, traces/out: {receivers: [pass], exporters: [pass/2, sink]}}}",
            "cycle detected: connector \"pass\" -> pipeline \"traces/out\" -> connector \"pass/2\" -> pipeline \"traces/in\"",
        ),
        (
            "receivers: {source: {}}\nconnectors: {pass: {}}\nexporters: {sink: {}}\nservice: {pipelines: {traces: {receivers: [source], exporters: [pass, sink]}}}",
            "connector \"pass\" used as exporter in [traces] pipeline but not used in any supported receiver pipeline",
        ),
        (
            "receivers: {source: {}}\nconnectors: {pass: {}}\nexporters: {sink: {}}\nservice: {pipelines: {logs: {receivers: [source], exporters: [sink]}, traces: {receivers: [pass], exporters: [sink]}}}",
            "connector \"pass\" used as receiver in [traces] pipeline but not used in any supported exporter pipeline",
        ),
        (
            "receivers: {source: {}}\nconnectors: {queue: {feeds: traces/c}}\nexporters: {sink: {}}\nservice: {pipelines: {traces: {receivers: [source], exporters: [queue]}, traces/b: {receivers: [queue], exporters: [sink]}, traces/c: {receivers: [source], exporters: [sink]}}}",
            "pipeline \"traces/c\" does not list this connector among its receivers",
        ),
    ];
    for (yaml, expected) in cases {
        let messages = rig.plan(yaml).expect_err(expected);
        assert!(messages.iter().any(|message| message.contains(expected)), "{messages:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn start_and_stop_follow_the_order_of_the_data() {
    let rig = Rig::start(
        "
extensions: {watcher: {}}
receivers: {source: {}}
processors: {hold: {}}
exporters: {sink: {}}
service: {extensions: [watcher], pipelines: {traces: {receivers: [source], processors: [hold], exporters: [sink]}}}
",
    )
    .await;
    rig.send("source", Traces, &[1]).await.expect("held");
    assert_eq!(rig.shutdown().await.items, 0);
    let expected = [
        "start watcher",
        "serve source",
        "ready watcher true",
        "ready watcher false",
        "stop source",
        "export sink",
        "drain sink",
        "stop watcher",
    ];
    assert_eq!(*rig.world.events.lock().unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_says_what_was_lost() {
    let rig = Rig::start(&with_processor("hold: {}", "hold")).await;
    rig.world.sink("sink").answers(Answer::Refuse);
    rig.send("source", Traces, &[1, 2, 3]).await.expect("held");
    let lost = rig.shutdown().await;
    assert_eq!(lost.items, 3);
    settle().await;
    assert_eq!(
        rig.engine.host().metrics.sum("phoenix_component_items_dropped", &[("reason", "shutdown")]),
        3
    );
    assert!(matches!(rig.apply(TWO_SINKS).await, Err(ApplyError::Stopping)));
}
