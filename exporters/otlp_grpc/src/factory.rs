use std::sync::Arc;

use phoenix_component::factory::{Stability, Support};
use phoenix_otlp::OtlpGrpcConfig;

use crate::exporter;

phoenix_component::exporter_factory! {
    /// Makes `otlp_grpc` exporters.
    OtlpGrpcFactory: "otlp_grpc", OtlpGrpcConfig;
    create: |config, cx, signal| Ok(Arc::new(exporter::create(config, cx, signal)?)),
    aliases: ["otlp"],
    signals: Support::all(Stability::Stable),
    change: |old, new| {
        phoenix_delivery::change(old.sending_queue.get(), new.map(|new| new.sending_queue.get()))
    },
    touches: OtlpGrpcConfig::touches,
}
