//! What only the whole configuration shows: extensions that are named, and addresses.

use phoenix_collector::check::{Finding, Text, check};

use super::registry;

/// A listener and an exporter with these settings, beside these extensions, of which those are started.
fn with_extensions(extensions: &str, started: &str, grpc: &str, exporter: &str) -> String {
    format!(
        "receivers:\n  otlp:\n    protocols:\n      grpc: {grpc}\n\
         exporters:\n  otlp_grpc:\n    endpoint: x:4317\n    {exporter}\n\
         extensions:\n  {extensions}\n\
         service:\n  extensions: {started}\n  \
         pipelines:\n    traces: {{receivers: [otlp], exporters: [otlp_grpc]}}\n"
    )
}

#[test]
fn extensions_that_are_named_and_not_there_are_told_of_with_place_and_help() {
    let registry = registry();
    let (basic, store) = ("basicauth: {htpasswd: {inline: 'a:b'}}", "file_storage: {directory: /tmp}");
    let (grpc_auth, auth) = ("{auth: {authenticator: basicauth}}", "auth: {authenticator: basicauth}");
    let both = &format!("{basic}\n  {store}");
    let setter = |name: &str, first: &str| {
        format!("headers_setter{name}: {{headers: [{{key: x-a, value: b}}], additional_auth: {first}}}")
    };
    let circle = &format!("{}\n  {}", setter("/a", "headers_setter/b"), setter("/b", "headers_setter/a"));
    let chain = &format!(
        "{}\n  oauth2client: {{client_id: a, client_secret: b, token_url: 'https://x'}}",
        setter("", "oauth2client")
    );
    let listener = "receivers::otlp::protocols::grpc";
    // (extensions, started, listener, exporter, [(line, key, message, help)])
    type Case<'a> = (&'a str, &'a str, &'a str, &'a str, Option<(u32, String, &'a str, &'a str)>);
    let cases: &[Case<'_>] = &[
        (basic, "[basicauth]", grpc_auth, "", None),
        (store, "[file_storage]", "", "sending_queue: {storage: file_storage}", None),
        (store, "[]", "", "sending_queue: {enabled: false, storage: file_storage}", None),
        (chain, "[headers_setter, oauth2client]", "", "auth: {authenticator: headers_setter}", None),
        (
            "",
            "[]",
            grpc_auth,
            "",
            Some((
                4,
                format!("{listener}::auth::authenticator"),
                "failed to resolve authenticator \"basicauth\": no extension of that name is configured",
                "add it under `extensions`",
            )),
        ),
        (
            basic,
            "[basicauth]",
            "{auth: {authenticator: basicauht}}",
            "",
            Some((
                4,
                format!("{listener}::auth::authenticator"),
                "failed to resolve authenticator \"basicauht\": no extension of that name is configured",
                "did you mean `basicauth`?",
            )),
        ),
        (
            both,
            "[file_storage]",
            grpc_auth,
            "",
            Some((
                4,
                format!("{listener}::auth::authenticator"),
                "failed to resolve authenticator \"basicauth\": the extension is configured, but not started",
                "add it to `service::extensions`: [file_storage, basicauth]",
            )),
        ),
        (
            basic,
            "[basicauth]",
            "",
            auth,
            Some((
                8,
                "exporters::otlp_grpc::auth::authenticator".into(),
                "extension \"basicauth\" is no client authenticator",
                "with other settings it is one: see those of basicauth",
            )),
        ),
        (
            both,
            "[basicauth, file_storage]",
            "",
            "sending_queue: {storage: basicauth}",
            Some((
                8,
                "exporters::otlp_grpc::sending_queue::storage".into(),
                "extension \"basicauth\" is no storage extension",
                "among those that are started, file_storage can be named here",
            )),
        ),
        (
            store,
            "[file_storage]",
            "{auth: {authenticator: file_storage}}",
            "",
            Some((
                4,
                format!("{listener}::auth::authenticator"),
                "extension \"file_storage\" is no server authenticator",
                "extensions of these types can be one: basicauth, bearertokenauth, oidc",
            )),
        ),
        (
            "memory_limiter: {check_interval: 1s, limit_mib: 100}",
            "[]",
            "{middlewares: [{id: memory_limiter}]}",
            "",
            Some((
                4,
                format!("{listener}::middlewares::0::id"),
                "failed to resolve middleware \"memory_limiter\": the extension is configured, but not started",
                "add it to `service::extensions`: [memory_limiter]",
            )),
        ),
        (
            circle,
            "[headers_setter/a, headers_setter/b]",
            "",
            "",
            Some((
                11,
                "extensions::headers_setter/b::additional_auth".into(),
                "extensions that wait for each other cannot start: headers_setter/a -> headers_setter/b -> \
                 headers_setter/a",
                "",
            )),
        ),
    ];
    for (extensions, started, grpc, exporter, expected) in cases {
        let text = with_extensions(extensions, started, grpc, exporter);
        let checked = check(&[Text { name: "a.yaml".into(), text: text.clone() }], &registry);
        let found: Vec<_> = checked.findings.iter().filter(|finding| finding.is_error).collect();
        let (message, line) = (
            |finding: &Finding| (finding.key.clone(), finding.message.clone()),
            |finding: &Finding| finding.line.unwrap_or_default(),
        );
        match expected {
            None => assert!(found.is_empty(), "{text}\n{found:?}"),
            Some((expected_line, key, expected_message, help)) => {
                assert_eq!(found.len(), 1, "{text}\n{found:?}");
                assert_eq!(message(found[0]), (key.clone(), (*expected_message).to_owned()), "{text}");
                assert_eq!(line(found[0]), *expected_line, "{text}");
                assert_eq!(found[0].help.as_deref().unwrap_or_default(), *help, "{text}");
            }
        }
    }
}

#[test]
fn an_address_is_listened_at_once() {
    let registry = registry();
    let yaml = |http: &str, extensions: &str, telemetry: &str| {
        format!(
            "receivers:\n  otlp:\n    protocols:\n      grpc: {{endpoint: 'localhost:4317'}}\n      http: {{endpoint: '{http}'}}\n\
             exporters: {{debug: }}\nextensions:\n  zpages: {{endpoint: 'localhost:55679'}}\n  {extensions}\n\
             service:\n  extensions: [zpages, health_check]\n  telemetry: {telemetry}\n  \
             pipelines: {{traces: {{receivers: [otlp], exporters: [debug]}}}}\n"
        )
    };
    let (http, health) = ("localhost:4318", "health_check: {endpoint: 'localhost:13133'}");
    let own = "{metrics: {readers: [{pull: {exporter: {prometheus: {host: localhost, port: 4318}}}}]}}";
    type Case<'a> = (&'a str, &'a str, &'a str, Option<(u32, &'a str, &'a str)>);
    // (address of HTTP, more extensions, telemetry, [(line, key, message)])
    let cases: &[Case<'_>] = &[
        (http, health, "{}", None),
        ("localhost:0", "health_check: {endpoint: 'localhost:0'}", "{}", None),
        (
            http,
            "health_check: {endpoint: 'localhost:55679'}\n  zpages/2: {endpoint: 'localhost:4317'}",
            "{}",
            Some((
                9,
                "extensions::health_check::endpoint",
                "localhost:55679 is where `extensions::zpages::endpoint` listens",
            )),
        ),
        (
            "localhost:4317",
            health,
            "{}",
            Some((
                5,
                "receivers::otlp::protocols::http::endpoint",
                "localhost:4317 is where `receivers::otlp::protocols::grpc::endpoint` listens",
            )),
        ),
        (
            http,
            health,
            own,
            Some((
                5,
                "receivers::otlp::protocols::http::endpoint",
                "localhost:4318 is where own metrics are served",
            )),
        ),
        (
            "localhost:8888",
            health,
            "{}",
            Some((
                5,
                "receivers::otlp::protocols::http::endpoint",
                "localhost:8888 is where own metrics are served",
            )),
        ),
        ("localhost:8888", health, "{metrics: {level: none}}", None),
    ];
    for (http, extensions, telemetry, expected) in cases {
        let text = yaml(http, extensions, telemetry);
        let checked = check(&[Text { name: "a.yaml".into(), text: text.clone() }], &registry);
        let found = checked.findings.iter().filter(|finding| finding.is_error);
        let found: Vec<_> = found
            .map(|finding| (finding.line.unwrap_or_default(), &*finding.key, &*finding.message))
            .collect();
        assert_eq!(found, expected.iter().copied().collect::<Vec<_>>(), "{text}");
    }
}

/// What nobody starts asks for nothing, and what is not known here may be there.
#[test]
fn extensions_that_may_be_there_are_not_missed() {
    let registry = registry();
    let unused = "receivers: {otlp: {protocols: {grpc: }}}\n\
                  exporters: {debug: , otlp_grpc: {endpoint: 'x:1', auth: {authenticator: basicauth}}}\n\
                  service: {pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}\n";
    let open = with_extensions(
        "basicauth: {htpasswd: {inline: 'a:b'}}",
        "${env:EXTENSIONS}",
        "{auth: {authenticator: basicauth}}",
        "",
    );
    let open_section = with_extensions("", "[]", "{auth: {authenticator: basicauth}}", "")
        .replace("extensions:\n  \n", "extensions: ${file:extensions.yaml}\n");
    for text in [unused.to_owned(), open, open_section] {
        let checked = check(&[Text { name: "a.yaml".into(), text: text.clone() }], &registry);
        assert!(checked.is_valid(), "{text}\n{:?}", checked.findings);
    }
}
