// Written by `phoenix-builder registry` from builder/phoenix.yaml: edit that.

//! The components of this distribution: the only place that names them.

use phoenix_collector::Registry;

/// Every component of this distribution.
#[rustfmt::skip]
pub(crate) fn registry() -> Registry {
    Registry {
        receivers: vec![
            Box::new(phoenix_receiver_host_metrics::HostMetricsFactory),
            Box::new(phoenix_receiver_nop::NopFactory),
            Box::new(phoenix_receiver_otlp::OtlpReceiverFactory),
            Box::new(phoenix_receiver_otlp_json_file::OtlpJsonFileFactory),
        ],
        processors: vec![
            Box::new(phoenix_processor_aggregator::AggregatorFactory),
            Box::new(phoenix_processor_attributes::AttributesFactory),
            Box::new(phoenix_processor_batch::BatchFactory),
            Box::new(phoenix_processor_filter::FilterFactory),
            Box::new(phoenix_processor_interval::IntervalFactory),
            Box::new(phoenix_processor_memory_limiter::MemoryLimiterFactory),
            Box::new(phoenix_processor_optimizer::OptimizerFactory),
            Box::new(phoenix_processor_probabilistic_sampler::SamplerFactory),
            Box::new(phoenix_processor_resource::ResourceFactory),
            Box::new(phoenix_processor_tail_sampling::TailSamplingFactory),
            Box::new(phoenix_processor_transform::TransformFactory),
        ],
        exporters: vec![
            Box::new(phoenix_exporter_debug::DebugFactory),
            Box::new(phoenix_exporter_file::FileFactory),
            Box::new(phoenix_exporter_load_balancing::LoadBalancingFactory),
            Box::new(phoenix_exporter_nop::NopFactory),
            Box::new(phoenix_exporter_otlp_grpc::OtlpGrpcFactory),
            Box::new(phoenix_exporter_otlp_http::OtlpHttpFactory),
            Box::new(phoenix_exporter_prometheus::PrometheusFactory),
            Box::new(phoenix_exporter_prometheus_remote_write::RemoteWriteFactory),
        ],
        connectors: vec![
            Box::new(phoenix_connector_count::CountFactory),
            Box::new(phoenix_connector_failover::FailoverFactory),
            Box::new(phoenix_connector_forward::ForwardFactory),
            Box::new(phoenix_connector_round_robin::RoundRobinFactory),
            Box::new(phoenix_connector_routing::RoutingFactory),
        ],
        extensions: vec![
            Box::new(phoenix_extension_admin::AdminFactory),
            Box::new(phoenix_extension_file_storage::FileStorageFactory),
            Box::new(phoenix_extension_basicauth::BasicAuthFactory),
            Box::new(phoenix_extension_bearertokenauth::BearerTokenAuthFactory),
            Box::new(phoenix_extension_headers_setter::HeadersSetterFactory),
            Box::new(phoenix_extension_health_check::HealthCheckFactory),
            Box::new(phoenix_extension_memory_limiter::MemoryLimiterFactory),
            Box::new(phoenix_extension_oauth2client::OAuth2ClientFactory),
            Box::new(phoenix_extension_oidc::OidcFactory),
            Box::new(phoenix_extension_opamp::OpampFactory),
            Box::new(phoenix_extension_pprof::PprofFactory),
            Box::new(phoenix_extension_rate_limiter::RateLimiterFactory),
            Box::new(phoenix_extension_zpages::ZpagesFactory),
        ],
    }
}
