use super::*;
use crate::{grpc_client_settings, http_client_settings};
use phoenix_config::Settings as _;

grpc_client_settings! {
    /// A component's settings.
    pub struct Exporter {
        /// A key of its own.
        pub retries: u32 = 3,
    }
}

http_client_settings! {
    /// A component's settings.
    pub struct HttpExporter {
        /// A key of its own.
        pub traces_endpoint: String = String::new(),
    }
}

#[test]
fn blocks_keep_their_strictness_and_defaults_with_own_keys() {
    let json = r#"{"endpoint": "a:1", "tls": {"insecure": true}, "retries": 5}"#;
    let exporter: Exporter = serde_json::from_str(json).unwrap();
    assert_eq!((exporter.retries, Exporter::default().retries), (5, 3));
    let options = exporter.grpc().options("phoenix").unwrap();
    assert!(options.tls.is_none());
    assert_eq!(options.compressor.encoding(), crate::compression::Encoding::Gzip);
    assert!(serde_json::from_str::<Exporter>(r#"{"endpont": "a:1"}"#).is_err());
    let http: HttpExporter =
        serde_json::from_str(r#"{"traces_endpoint": "x", "compression": "none"}"#).unwrap();
    assert_eq!(http.http().compression.0, crate::compression::Encoding::Identity);
}

#[test]
fn every_problem_names_its_key() {
    let grpc = |json: &str| {
        let exporter: Exporter = serde_json::from_str(json).unwrap();
        Problems::of(|problems| validate_grpc_client(&exporter.grpc(), problems))
    };
    for (json, key) in [
        (r#"{}"#, "endpoint"),
        (r#"{"endpoint": "a:b"}"#, "endpoint"),
        (r#"{"endpoint": "a:1", "compression": "lz4"}"#, "compression"),
        (r#"{"endpoint": "a:1", "balancer_name": "best"}"#, "balancer_name"),
        (r#"{"endpoint": "a:1", "auth": {"authenticator": "x"}}"#, "auth"),
        (r#"{"endpoint": "a:1", "read_buffer_size": -1}"#, "read_buffer_size"),
        (r#"{"endpoint": "a:1", "tls": {"min_version": "1.1"}}"#, "tls::min_version"),
        (r#"{"endpoint": "a:1", "tls": {"cert_file": "x"}}"#, "tls::cert_file"),
        (
            r#"{"endpoint": "a:1", "tls": {"cipher_suites": ["TLS_RSA_WITH_RC4_128_SHA"]}}"#,
            "tls::cipher_suites",
        ),
        (r#"{"endpoint": "a:1", "tls": {"reload_interval": "1m"}}"#, "tls::reload_interval"),
    ] {
        assert_eq!(grpc(json).keys(), [key], "{json}");
    }
    let server: HttpServerSettings =
        serde_json::from_str(r#"{"compression_algorithms": ["br"], "middlewares": [{"id": "x"}]}"#).unwrap();
    let problems = Problems::of(|problems| server.validate(problems));
    assert_eq!(problems.keys(), ["compression_algorithms", "middlewares::0::id"]);
}
