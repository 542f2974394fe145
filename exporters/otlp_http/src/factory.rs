use std::sync::Arc;

use phoenix_component::factory::{Stability, Support};

use crate::OtlpHttpConfig;
use crate::exporter;

phoenix_component::exporter_factory! {
    /// Makes `otlp_http` exporters.
    OtlpHttpFactory: "otlp_http", OtlpHttpConfig;
    create: |config, cx, signal| Ok(Arc::new(exporter::create(config, cx, signal)?)),
    aliases: ["otlphttp"],
    signals: Support::all(Stability::Stable),
    change: |old, new| {
        phoenix_delivery::change(old.sending_queue.get(), new.map(|new| new.sending_queue.get()))
    },
    touches: OtlpHttpConfig::touches,
    lacks: |config, signal| config.url(signal).is_none().then(|| exporter::no_url(signal)),
}
