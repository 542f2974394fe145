use std::time::Duration;

use super::*;
use crate::{grpc_client_settings, http_client_settings};
use phoenix_component::Host;
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

#[tokio::test]
async fn blocks_keep_their_strictness_and_defaults_with_own_keys() {
    let json = r#"{"endpoint": "a:1", "tls": {"insecure": true}, "retries": 5}"#;
    let exporter: Exporter = serde_json::from_str(json).unwrap();
    assert_eq!((exporter.retries, Exporter::default().retries), (5, 3));
    let options = exporter.grpc().options(&Host::for_tests()).unwrap();
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
        (r#"{"endpoint": "a:1", "auth": {}}"#, "auth::authenticator"),
        (r#"{"endpoint": "a:1", "auth": {"authenticator": "a b"}}"#, "auth::authenticator"),
        (r#"{"endpoint": "a:1", "read_buffer_size": -1}"#, "read_buffer_size"),
        (r#"{"endpoint": "a:1", "authority": "a b"}"#, "authority"),
        (r#"{"endpoint": "a:1", "user_agent": "\n"}"#, "user_agent"),
        (r#"{"endpoint": "a:1", "headers": {"a b": "x"}}"#, "headers::a b"),
        (r#"{"endpoint": "a:1", "keepalive": {"time": "-1s"}}"#, "keepalive::time"),
        (r#"{"endpoint": "a:1", "middlewares": [{"id": "x"}]}"#, "middlewares"),
        (r#"{"endpoint": "a:1", "tls": {"min_version": "1.1"}}"#, "tls::min_version"),
        (r#"{"endpoint": "a:1", "tls": {"cert_file": "x"}}"#, "tls::cert_file"),
        (
            r#"{"endpoint": "a:1", "tls": {"cipher_suites": ["TLS_RSA_WITH_RC4_128_SHA"]}}"#,
            "tls::cipher_suites",
        ),
        (r#"{"endpoint": "a:1", "tls": {"reload_interval": "-1m"}}"#, "tls::reload_interval"),
        (r#"{"endpoint": "a:1", "tls": {"tpm": {"enabled": true}}}"#, "tls::tpm"),
    ] {
        assert_eq!(grpc(json).keys(), [key], "{json}");
    }
    let http = |json: &str| {
        let exporter: HttpExporter = serde_json::from_str(json).unwrap();
        Problems::of(|problems| validate_http_client(&exporter.http(), problems))
    };
    for (json, key) in [
        (r#"{"proxy_url": "socks5://p"}"#, "proxy_url"),
        (r#"{"timeout": "-1s"}"#, "timeout"),
        (r#"{"http2_ping_timeout": "-1s"}"#, "http2_ping_timeout"),
        (r#"{"max_conns_per_host": -1}"#, "max_conns_per_host"),
        (r#"{"write_buffer_size": -1}"#, "write_buffer_size"),
        (r#"{"compression": "snappy", "compression_params": {"level": 3}}"#, "compression_params::level"),
        (r#"{"headers": {"a b": "x"}}"#, "headers::a b"),
        (r#"{"headers": {"Host": "a b"}}"#, "headers::Host"),
        (r#"{"auth": {"authenticator": "/x"}}"#, "auth::authenticator"),
    ] {
        assert_eq!(http(json).keys(), [key], "{json}");
    }
    assert_eq!(http(r#"{"write_buffer_size": 1}"#).warnings().count(), 1);
    let server: HttpServerSettings =
        serde_json::from_str(r#"{"compression_algorithms": ["br"], "middlewares": [{"id": "x"}]}"#).unwrap();
    let problems = Problems::of(|problems| server.validate(problems));
    assert_eq!(problems.keys(), ["compression_algorithms", "middlewares::0::id"]);
}

#[tokio::test]
async fn a_block_becomes_the_options_of_its_client() {
    let host = Host::for_tests();
    let json =
        r#"{"endpoint": "a:1", "headers": {"X-Key": "secret", "trace-bin": "\u0001"}, "balancer_name": ""}"#;
    let options = serde_json::from_str::<Exporter>(json).unwrap().grpc().options(&host).unwrap();
    let metadata = &options.metadata;
    assert_eq!(
        (&metadata["x-key"], &metadata["trace-bin"]),
        (&"secret".parse().unwrap(), &"AQ".parse().unwrap())
    );
    assert!(!format!("{metadata:?}").contains("secret"));
    assert_eq!(options.balancer, crate::grpc::client::Balancer::PickFirst);
    assert!(options.tls.is_some() && options.keepalive.is_none());
    for (json, plaintext) in [
        (r#"{"endpoint": "http://h:1"}"#, false),
        (r#"{"endpoint": "h:1", "tls": {"insecure": true}}"#, true),
        (r#"{"endpoint": "https://h:1", "tls": {"insecure": true}}"#, false),
    ] {
        let options = serde_json::from_str::<Exporter>(json).unwrap().grpc().options(&host).unwrap();
        assert_eq!(options.tls.is_none(), plaintext, "{json}");
    }
    let json = r#"{"cookies": {}, "http2_read_idle_timeout": "3s", "proxy_url": "http://p:1", "max_idle_conns_per_host": 7}"#;
    let options = serde_json::from_str::<HttpExporter>(json).unwrap().http().options(&host).unwrap();
    assert!(options.keep_cookies);
    assert_eq!(options.http2_pings, Some((Duration::from_secs(3), Duration::from_secs(15))));
    assert_eq!(options.max_idle_per_host, 7);
    assert_ne!(options.proxies, crate::proxy::Proxies::default());
}
