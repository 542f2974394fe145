use std::sync::Arc;

use phoenix_component::factory::{Stability, Support};
use phoenix_pdata::Signal;

use crate::RemoteWriteConfig;
use crate::exporter;

phoenix_component::exporter_factory! {
    /// Makes `prometheus_remote_write` exporters.
    RemoteWriteFactory: "prometheus_remote_write", RemoteWriteConfig;
    create: |config, cx, _| Ok(Arc::new(exporter::create(config, cx)?)),
    aliases: ["prometheusremotewrite"],
    signals: [Support { from: Signal::Metrics, to: Signal::Metrics, stability: Stability::Beta }],
    change: |old, new| {
        let (old, new) = (old.queue(), new.map(RemoteWriteConfig::queue));
        phoenix_delivery::change(old.as_ref(), new.as_ref().map(Option::as_ref))
    },
    touches: RemoteWriteConfig::touches,
}
