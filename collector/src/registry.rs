//! The components of this distribution: the only place that names them.

use phoenix_component::factory::Registry;

/// Every component of the default distribution.
pub(crate) fn registry() -> Registry {
    Registry {
        receivers: vec![
            Box::new(phoenix_receiver_nop::NopFactory),
            Box::new(phoenix_receiver_otlp::OtlpReceiverFactory),
        ],
        processors: vec![
            Box::new(phoenix_processor_batch::BatchFactory),
            Box::new(phoenix_processor_memory_limiter::MemoryLimiterFactory),
        ],
        exporters: vec![
            Box::new(phoenix_exporter_debug::DebugFactory),
            Box::new(phoenix_exporter_nop::NopFactory),
            Box::new(phoenix_exporter_otlp_grpc::OtlpGrpcFactory),
            Box::new(phoenix_exporter_otlp_http::OtlpHttpFactory),
        ],
        connectors: Vec::new(),
        extensions: vec![
            Box::new(phoenix_extension_admin::AdminFactory),
            Box::new(phoenix_extension_health_check::HealthCheckFactory),
            Box::new(phoenix_extension_pprof::PprofFactory),
            Box::new(phoenix_extension_zpages::ZpagesFactory),
        ],
    }
}
