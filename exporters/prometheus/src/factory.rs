use std::sync::Arc;

use phoenix_component::Change;
use phoenix_component::factory::{Stability, Support};
use phoenix_pdata::Signal;

use crate::PrometheusConfig;
use crate::exporter;

phoenix_component::exporter_factory! {
    /// Makes `prometheus` exporters.
    PrometheusFactory: "prometheus", PrometheusConfig;
    create: |config, cx, _| Ok(Arc::new(exporter::create(config, cx))),
    signals: [Support { from: Signal::Metrics, to: Signal::Metrics, stability: Stability::Beta }],
    change: |old, new| {
        let change = Change::stateless();
        match new {
            Some(new) if new.listens_as(old) => change,
            Some(new) => {
                change.closing(format!("http {}", old.endpoint), format!("moves to {}", new.endpoint))
            }
            None => change.closing(format!("http {}", old.endpoint), "the exporter is removed"),
        }
    },
    touches: PrometheusConfig::touches,
}
