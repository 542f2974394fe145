use super::*;

fn read(settings: &str) -> LoadBalancingConfig {
    serde_json::from_str(settings).expect(settings)
}

const STATIC: &str = r#""resolver": {"static": {"hostnames": ["a:1"]}}"#;

#[test]
fn rejects_bad_settings_and_names_the_key() {
    // (settings, key that the error names, part of its text)
    let with = |rest: &str| format!("{{{STATIC}, {rest}}}");
    let cases = [
        ("{}".to_owned(), "resolver", "no resolvers specified for the exporter"),
        (
            r#"{"resolver": {"static": {"hostnames": ["a"]}, "dns": {"hostname": "b"}}}"#.to_owned(),
            "resolver",
            "only one resolver should be specified",
        ),
        (
            r#"{"resolver": {"aws_cloud_map": {"namespace": "a"}}}"#.to_owned(),
            "resolver::aws_cloud_map",
            "not supported",
        ),
        (
            r#"{"resolver": {"static": {}}}"#.to_owned(),
            "resolver::static::hostnames",
            "no endpoints specified for the static resolver",
        ),
        (
            r#"{"resolver": {"static": {"hostnames": ["a:x"]}}}"#.to_owned(),
            "resolver::static::hostnames::0",
            "invalid port",
        ),
        (r#"{"resolver": {"dns": {}}}"#.to_owned(), "resolver::dns::hostname", "no hostname specified"),
        (
            r#"{"resolver": {"dns": {"hostname": "a", "port": "http"}}}"#.to_owned(),
            "resolver::dns::port",
            "invalid port",
        ),
        (r#"{"resolver": {"k8s": {}}}"#.to_owned(), "resolver::k8s::service", "no service specified"),
        (
            r#"{"resolver": {"k8s": {"service": "a.b.svc"}}}"#.to_owned(),
            "resolver::k8s::service",
            "missing cluster domain",
        ),
        (
            r#"{"resolver": {"k8s": {"service": "a/../b"}}}"#.to_owned(),
            "resolver::k8s::service",
            "is no name of a service",
        ),
        (with(r#""routing_key": "spanID""#), "routing_key", "unsupported routing_key: spanID"),
        (with(r#""routing_key": "attributes""#), "routing_attributes", "at least one attribute"),
        (
            with(r#""protocol": {"otlp": {"compression": "lz4"}}"#),
            "protocol::otlp::compression",
            "unsupported compression type",
        ),
        (
            with(r#""protocol": {"otlp": {"sending_queue": {"queue_size": 0}}}"#),
            "protocol::otlp::sending_queue::queue_size",
            "must be positive",
        ),
        (with(r#""sending_queue": {"num_consumers": 0}"#), "sending_queue::num_consumers", "positive"),
        (with(r#""timeout": "-1s""#), "timeout", "non-negative"),
        (
            with(r#""retry_on_failure": {"multiplier": -1}"#),
            "retry_on_failure::multiplier",
            "must be non-negative",
        ),
    ];
    for (settings, key, text) in cases {
        let problems = Problems::of(|problems| read(&settings).validate(problems));
        assert_eq!(problems.keys(), [key], "{settings}: {problems}");
        assert!(problems.to_string().contains(text), "{problems}");
    }
    for unknown in [r#"{"ring": "v9"}"#, r#"{"protocol": {"http": {}}}"#, r#"{"resolver": {"srv": {}}}"#] {
        assert!(serde_json::from_str::<LoadBalancingConfig>(unknown).is_err(), "{unknown}");
    }
}

#[test]
fn each_signal_has_its_keys() {
    use RoutingKey::{Attributes, Metric, Resource, Service, Stream, TraceId};
    // (what is written, for traces, metrics and logs)
    let cases = [
        ("", [Some(TraceId), Some(Service), Some(Service)]),
        ("traceID", [Some(TraceId), None, Some(TraceId)]),
        ("service", [Some(Service); 3]),
        ("resource", [None, Some(Resource), Some(Resource)]),
        ("metric", [None, Some(Metric), None]),
        ("streamID", [None, Some(Stream), None]),
        ("attributes", [Some(Attributes); 3]),
    ];
    for (written, expected) in cases {
        let config = LoadBalancingConfig { routing_key: written.to_owned(), ..read("{}") };
        let found =
            [Signal::Traces, Signal::Metrics, Signal::Logs].map(|signal| config.routing_key(signal).ok());
        assert_eq!(found, expected, "{written:?}");
    }
}

#[test]
fn queue_and_retries_are_those_above_or_else_those_of_the_protocol() {
    let below = read(r#"{"protocol": {"otlp": {"sending_queue": {"queue_size": 7}}}}"#);
    assert_eq!(below.queue().map(|queue| queue.queue_size), Some(7));
    assert!(below.retry().enabled);
    let above = read(
        r#"{"sending_queue": {"queue_size": 9}, "retry_on_failure": {"max_elapsed_time": "1s"},
            "protocol": {"otlp": {"sending_queue": {"enabled": false}}}}"#,
    );
    assert_eq!(above.queue().map(|queue| queue.queue_size), Some(9));
    assert_eq!(above.retry().max_elapsed_time, GoDuration::from_secs(1));
    for (written, size) in
        [("", 7), (r#", "sending_queue": null"#, 1000), (r#", "sending_queue": {"enabled": false}"#, 7)]
    {
        let settings =
            format!(r#"{{"protocol": {{"otlp": {{"sending_queue": {{"queue_size": 7}}}}}}{written}}}"#);
        assert_eq!(read(&settings).queue().map(|queue| queue.queue_size), Some(size), "{settings}");
    }
    let none = read(
        r#"{"protocol": {"otlp": {"sending_queue": {"enabled": false}, "retry_on_failure": {"enabled": false}}}}"#,
    );
    assert!(none.queue().is_none() && !none.retry().enabled);
}

#[test]
fn endpoints_without_a_port_get_that_of_otlp() {
    for (endpoint, dialled) in [
        ("a", "a:4317"),
        ("a:1", "a:1"),
        ("10.0.0.1", "10.0.0.1:4317"),
        ("[::1]", "[::1]:4317"),
        ("[::1]:5", "[::1]:5"),
        ("::1", "[::1]:4317"),
    ] {
        assert_eq!(with_port(endpoint), dialled);
    }
}
