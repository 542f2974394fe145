//! What is secret is used and never shown: every such key that the schema knows, through everything that shows
//! configurations, and a collector that runs with secrets, through everything that it answers and logs.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use phoenix_collector::check::{Text, check};
use serde_json::{Map, Value, json};

use crate::binary::{collector, free_port};
use crate::inside::registry::registry;

/// In every secret of these tests, and in nothing else.
const SECRET: &str = "hush";

/// Finds the keys of a schema whose values are secret.
struct Search<'a> {
    definitions: &'a Map<String, Value>,
    found: BTreeSet<Vec<String>>,
}

impl Search<'_> {
    /// `within` has the definitions on the way here: those that hold themselves are not followed for ever.
    fn look(&mut self, node: &Value, path: &[String], within: &[String]) {
        let below = |key: &str| -> Vec<String> { path.iter().cloned().chain([key.to_owned()]).collect() };
        if let Some(name) = node["$ref"].as_str().and_then(|name| name.rsplit('/').next()) {
            match name {
                "secret" | "secrets" => drop(self.found.insert(below(name))),
                name if within.iter().any(|other| other == name) => {}
                name => {
                    let within: Vec<String> = within.iter().cloned().chain([name.to_owned()]).collect();
                    let definition = &self.definitions[name];
                    self.look(definition, path, &within);
                }
            }
        }
        for choices in ["anyOf", "oneOf", "allOf"] {
            for choice in node[choices].as_array().into_iter().flatten() {
                self.look(choice, path, within);
            }
        }
        for (name, value) in node["properties"].as_object().into_iter().flatten() {
            self.look(value, &below(name), within);
        }
        for (pattern, value) in node["patternProperties"].as_object().into_iter().flatten() {
            // Of components: `^\s*otlp\s*(/.+)?$`.
            let name = pattern.trim_start_matches(r"^\s*").split('\\').next().unwrap_or_default();
            self.look(value, &below(name), within);
        }
        if node["items"].is_object() {
            self.look(&node["items"], &below("[]"), within);
        }
        if node["additionalProperties"].is_object() {
            self.look(&node["additionalProperties"], &below("any"), within);
        }
    }
}

/// The keys that are secret, each ending with the kind of secret.
fn secret_keys() -> BTreeSet<Vec<String>> {
    let printed = collector().arg("schema").finish();
    let schema: Value = serde_json::from_str(&printed.stdout).expect("JSON");
    let definitions = schema["$defs"].as_object().expect("definitions");
    let mut search = Search { definitions, found: BTreeSet::new() };
    search.look(&schema, &[], &[]);
    search.found
}

/// A configuration of that key alone, with the value that `shape` makes of the kind of secret.
fn with_key(path: &[String], shape: impl Fn(&str) -> Value) -> Value {
    let (kind, keys) = path.split_last().expect("a kind");
    keys.iter().rev().fold(shape(kind), |inner, key| match key.as_str() {
        "[]" => json!([inner]),
        key => json!({ key: inner }),
    })
}

#[test]
fn no_key_that_is_secret_is_shown_whatever_is_written_there() {
    let (keys, registry) = (secret_keys(), registry());
    assert!(keys.len() > 80, "the schema tells which: {}", keys.len());
    // As it should be; as somebody gets it wrong; as a name in a map.
    type Shaped = fn(&str) -> Value;
    let shapes: [(&str, Shaped); 5] = [
        ("right", |kind| if kind == "secrets" { json!({"x": "hush-1"}) } else { json!("hush-1") }),
        ("as a list of pairs", |kind| match kind {
            "secrets" => json!([{"name": "x", "value": "hush-2"}]),
            _ => json!("-----BEGIN PRIVATE KEY-----\nhush-2\n-----END PRIVATE KEY-----\n"),
        }),
        ("a list", |_| json!(["hush-3", ["hush-4"]])),
        ("a map", |_| json!({"x": {"y": "hush-5"}})),
        ("many lines", |kind| match kind {
            "secrets" => json!({"x": "hush-6\r\nhush-7\u{1}"}),
            _ => json!("hush-6\nhush-7 ${env:HUSH} \u{1}"),
        }),
    ];
    for path in &keys {
        for (case, shape) in shapes {
            let text = with_key(path, shape).to_string();
            let checked = check(&[Text { name: "c.yaml".into(), text: text.clone() }], &registry);
            let shown = format!("{:?}{}{}", checked.findings, checked.yaml, checked.json);
            assert!(!shown.contains(SECRET), "{case}, {path:?}: {shown}");
        }
    }
}

/// The configuration of everything that can run with secrets.
fn running([admin, zpages, metrics, otlp, opamp]: [u16; 5], batch: u32) -> String {
    format!(
        "
extensions:
  admin: {{endpoint: '127.0.0.1:{admin}', token: hush-admin}}
  zpages: {{endpoint: '127.0.0.1:{zpages}'}}
  opamp:
    server: {{http: {{endpoint: 'http://127.0.0.1:{opamp}/v1/opamp', headers: {{Authorization: 'Bearer hush-opamp'}}, polling_interval: 100ms}}}}
    capabilities: {{accepts_tasks: true}}
  bearertokenauth: {{tokens: [hush-token, hush-second]}}
  basicauth/server: {{htpasswd: {{inline: 'ann:hush-password'}}}}
  basicauth/client: {{client_auth: {{username: ann, password: hush-client}}}}
  oauth2client: {{client_id: a, client_secret: hush-oauth2, token_url: 'http://127.0.0.1:1/hush-no-such'}}
  headers_setter:
    headers: [{{key: x-key, value: hush-value}}, {{key: x-b, from_context: b, default_value: hush-default}}]
receivers:
  otlp: {{protocols: {{http: {{endpoint: '127.0.0.1:{otlp}', response_headers: {{x-h: hush-response}}, auth: {{authenticator: bearertokenauth}}}}}}}}
processors:
  batch: {{send_batch_size: {batch}}}
exporters:
  otlp_http: {{endpoint: 'http://127.0.0.1:1', headers: {{x-api-key: hush-http}}, auth: {{authenticator: oauth2client}}, retry_on_failure: {{enabled: false}}}}
  otlp_grpc: {{endpoint: '127.0.0.1:1', tls: {{insecure: true}}, headers: {{x-api-key: hush-grpc}}, retry_on_failure: {{enabled: false}}}}
  load_balancing:
    resolver: {{static: {{hostnames: ['127.0.0.1:1']}}}}
    protocol: {{otlp: {{tls: {{insecure: true}}, headers: {{x-api-key: hush-balanced}}, retry_on_failure: {{enabled: false}}}}}}
  prometheus_remote_write: {{endpoint: 'http://127.0.0.1:1', headers: {{x-api-key: hush-write}}}}
service:
  extensions: [admin, zpages, opamp, bearertokenauth, basicauth/server, basicauth/client, oauth2client, headers_setter]
  telemetry:
    logs: {{level: debug, sampling: {{enabled: false}}, processors: [{{batch: {{exporter: {{otlp: {{protocol: http/protobuf, endpoint: 'http://127.0.0.1:1', headers: [{{name: x, value: hush-logs}}]}}}}}}}}]}}
    traces: {{processors: [{{batch: {{exporter: {{otlp: {{protocol: http/protobuf, endpoint: 'http://127.0.0.1:1', headers_list: 'x=hush-traces'}}}}}}}}]}}
    metrics: {{level: detailed, readers: [{{pull: {{exporter: {{prometheus: {{host: 127.0.0.1, port: {metrics}}}}}}}}}]}}
  pipelines:
    traces: {{receivers: [otlp], processors: [batch], exporters: [otlp_http, otlp_grpc, load_balancing]}}
    metrics: {{receivers: [otlp], exporters: [prometheus_remote_write]}}
"
    )
    // A path is no secret.
    .replace("hush-no-such", "token")
}

/// An OpAMP server over plain HTTP, which asks for diagnostics once the collector has failed to export.
struct OpampServer {
    port: u16,
    /// The bodies of the requests.
    told: Arc<Mutex<Vec<String>>>,
    asks: Arc<AtomicBool>,
}

impl OpampServer {
    fn start() -> OpampServer {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let port = listener.local_addr().expect("bound").port();
        let server = OpampServer { port, told: Arc::default(), asks: Arc::default() };
        let (told, asks) = (server.told.clone(), server.asks.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                // One that ends early is the collector's end.
                let _ = stream.and_then(|mut stream| {
                    let body = body_of(&mut stream)?;
                    told.lock().expect("not poisoned").push(String::from_utf8_lossy(&body).into_owned());
                    let answer = if asks.load(SeqCst) { diagnostics_task() } else { Vec::new() };
                    write!(
                        stream,
                        "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nConnection: close\r\n"
                    )?;
                    write!(stream, "Content-Length: {}\r\n\r\n", answer.len())?;
                    stream.write_all(&answer)
                });
            }
        });
        server
    }

    /// Asks for diagnostics; everything that was told until they came.
    fn told(&self, end: &str) -> Vec<String> {
        self.asks.store(true, SeqCst);
        let patience = Instant::now() + Duration::from_secs(120);
        loop {
            let told = self.told.lock().expect("not poisoned").clone();
            if told.iter().any(|body| body.contains(end)) {
                return told;
            }
            assert!(Instant::now() < patience, "no diagnostics: {told:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The body of a request.
fn body_of(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().map_err(std::io::Error::other)?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(body)
}

/// `ServerToAgent` with a custom message: the task.
fn diagnostics_task() -> Vec<u8> {
    let field = |number: u8, bytes: &[u8]| {
        let length = u8::try_from(bytes.len()).ok().filter(|length| *length < 0x80).expect("short");
        [&[number << 3 | 2, length], bytes].concat()
    };
    let task = field(3, br#"{"id":"diagnostics-1","fence":1,"kind":"diagnostics"}"#);
    field(11, &[field(1, b"io.phoenix.tasks/v1"), field(2, b"task"), task].concat())
}

/// The whole answer to one request.
fn ask(port: u16, method: &str, path: &str, headers: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("set");
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    );
    stream.write_all(request.as_bytes()).expect("written");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn a_collector_that_runs_with_secrets_tells_none_of_them() {
    let [admin, zpages, metrics, otlp] = [free_port(), free_port(), free_port(), free_port()];
    let server = OpampServer::start();
    let ports = [admin, zpages, metrics, otlp, server.port];
    let folder = tempfile::tempdir().expect("made");
    let path = folder.path().join("collector.yaml");
    let yaml = running(ports, 100);
    std::fs::write(&path, &yaml).expect("written");
    let process = collector().arg(format!("--config={}", path.display())).start_with_metrics();
    let mut shown = Vec::new();
    let allowed = "Authorization: Bearer hush-admin\r\nContent-Type: application/yaml\r\n";
    let index = ask(admin, "GET", "/", allowed, "");
    assert!(index.starts_with("HTTP/1.1 200"), "{index}");
    for path in [
        "/",
        "/v1/version",
        "/v1/status",
        "/v1/config",
        "/v1/books",
        "/v1/feature-gates",
        "/v1/log-level",
        "/v1/decisions?trace_id=00000000000000000000000000000001",
        "/v1/adjustments",
        "/v1/savings",
        "/v1/none",
    ] {
        assert!(path.contains('?') || path == "/v1/none" || index.contains(path), "{path} is in the list");
        for accept in ["", "Accept: application/json\r\n", "Accept: application/yaml\r\n"] {
            shown.push((
                format!("GET {path} {accept}"),
                ask(admin, "GET", path, &format!("{allowed}{accept}"), ""),
            ));
        }
    }
    let wrong = "Authorization: Bearer hush-wrong\r\n";
    shown.push(("a wrong token".into(), ask(admin, "GET", "/v1/config", wrong, "")));
    let other = running(ports, 200).replace("hush-http", "hush-changed");
    let broken = other.replace("tokens: [hush-token, hush-second]", "tokens: {hush-token: hush-second}");
    let pem = other.replace("endpoint: 'http://127.0.0.1:1', headers: {x-api-key: hush-changed}", &format!(
        "endpoint: 'https://127.0.0.1:1', tls: {{key_pem: \"-----BEGIN PRIVATE KEY-----\\nhush\\n-----END PRIVATE KEY-----\\n\", cert_pem: {SECRET}}}"
    ));
    for (name, text) in [
        ("other", &other),
        ("broken", &broken),
        ("a PEM that is none", &pem),
        ("no YAML", &format!("{SECRET}: [")),
    ] {
        for path in ["/v1/plan", "/v1/apply"] {
            shown.push((format!("{path} of {name}"), ask(admin, "POST", path, allowed, text)));
        }
    }
    for page in ["servicez", "pipelinez", "extensionz", "featurez", "tracez", "expvarz", "healthz", "configz"]
    {
        shown.push((page.into(), ask(zpages, "GET", &format!("/debug/{page}"), "", "")));
    }
    shown.push(("own metrics".into(), ask(metrics, "GET", "/metrics", "", "")));
    // Exports fail, which is logged, and so are senders that are not let in.
    let spans = "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{\"traceId\":\"00000000000000000000000000000001\",\"spanId\":\"0000000000000001\",\"name\":\"x\"}]}]}]}";
    for (token, status) in [("hush-token", "200"), ("hush-no", "401")] {
        let headers = format!("Content-Type: application/json\r\nAuthorization: Bearer {token}\r\n");
        let answer = ask(otlp, "POST", "/v1/traces", &headers, spans);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        // What the operator sends to clients on purpose.
        shown.push(("an answer to a sender".into(), answer.replace("hush-response", "")));
    }
    process.wait_for_log_count("Exporting failed", 3);
    process.signal("HUP");
    process.wait_for_log("reading the configuration again");
    // The bundle of diagnostics, and all else that an OpAMP server is told.
    let told = server.told("\"id\":\"diagnostics-1\"");
    for part in ["effective_config", "components", "Exporting failed", "otelcol_exporter", "memory"] {
        assert!(told.iter().any(|body| body.contains(part)), "{part} is told");
    }
    shown.extend(told.into_iter().map(|body| ("what an OpAMP server is told".into(), body)));
    let applied = shown.iter().filter(|(_, answer)| answer.starts_with("HTTP/1.1 200")).count();
    assert!(applied > 30, "most are answered: {applied}");
    shown.push(("the log".into(), process.log()));
    for (what, text) in &shown {
        let line = text.lines().find(|line| line.contains(SECRET));
        assert_eq!(line, None, "{what}");
    }
    assert_eq!(process.terminate(), 0);
}

#[test]
fn a_start_that_fails_and_every_command_keep_secrets_to_themselves() {
    let port = free_port();
    let pem = "{cert_pem: \"-----BEGIN CERTIFICATE-----\\nhush-cert\\n-----END CERTIFICATE-----\\n\", key_pem: \"-----BEGIN PRIVATE KEY-----\\nhush-key\\n\"}";
    let pipeline = |receiver: &str, exporter: &str, extension: &str| {
        let name = |section: &str| section.split(':').next().unwrap_or_default().trim().to_owned();
        format!(
            "extensions: {{{extension}}}\nreceivers: {{{receiver}}}\nexporters: {{{exporter}}}\n\
             service: {{extensions: [{}], telemetry: {{metrics: {{level: none}}}}, pipelines: {{metrics: {{receivers: [{}], exporters: [{}]}}}}}}\n",
            name(extension),
            name(receiver),
            name(exporter)
        )
    };
    let nop = "nop: {}";
    let plain = "bearertokenauth: {token: hush-token}";
    let cases = [
        pipeline(
            &format!("otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:{port}', tls: {pem}}}}}}}"),
            nop,
            plain,
        ),
        pipeline(
            &format!("otlp: {{protocols: {{http: {{endpoint: '127.0.0.1:{port}', tls: {pem}}}}}}}"),
            nop,
            plain,
        ),
        pipeline(nop, &format!("otlp_grpc: {{endpoint: 'x:1', tls: {pem}}}"), plain),
        pipeline(nop, &format!("otlp_http: {{endpoint: 'https://x:1', tls: {pem}}}"), plain),
        pipeline(nop, &format!("prometheus: {{endpoint: '127.0.0.1:{port}', tls: {pem}}}"), plain),
        pipeline(nop, &format!("prometheus_remote_write: {{endpoint: 'https://x:1', tls: {pem}}}"), plain),
        pipeline(
            nop,
            nop,
            &format!(
                "oauth2client: {{client_id: a, client_secret: hush-secret, token_url: 'https://h/t', tls: {pem}}}"
            ),
        ),
        pipeline(nop, nop, &format!("zpages: {{endpoint: '127.0.0.1:{port}', tls: {pem}}}")),
        pipeline(nop, nop, &format!("health_check: {{endpoint: '127.0.0.1:{port}', tls: {pem}}}")),
        pipeline(nop, nop, "basicauth: {htpasswd: {inline: \"ann:$9$hush-hash\\nno line hush-line\"}}"),
        pipeline(
            nop,
            nop,
            &format!(
                "opamp: {{server: {{http: {{endpoint: 'https://x:1', headers: {{a: hush-opamp}}, tls: {pem}}}}}}}"
            ),
        ),
        pipeline(
            nop,
            "otlp_http: {endpoint: 'https://x:1', proxy_url: 'nowhere://ann:hush-proxy@p:1'}",
            plain,
        ),
        pipeline(nop, "otlp_http: {endpoint: 'https://x:1', headers: {'bad name': hush-header}}", plain),
        pipeline(nop, "otlp_http: {endpoint: 'https://x:1', headers: {name: \"hush-header\\nx\"}}", plain),
    ];
    // Nobody knows what is secret in what cannot be read.
    let unread = [
        "extensions: {bearertokenauth: {token: 'hush}}\n",
        "extensions:\n  bearertokenauth:\n    token: \"hush\n",
        "extensions: {bearertokenauth: {token: *hush}}\n",
        "extensions: {bearertokenauth: {token: hush: hush}}\n",
        "extensions: {bearertokenauth: {token: hush, token: hush}}\n",
        "extensions: {bearertokenauth: {token: hush}\nreceivers: {}\n",
        "extensions:\n  bearertokenauth:\n    token: hush\n   tokens: [hush]\n",
        "extensions: {bearertokenauth: {token: 'hush${env:}hush'}}\n",
        "extensions: {bearertokenauth: {token: 'hush${nothing:x}'}}\n",
        "extensions: {bearertokenauth: {token: !!int hush}}\n",
        "hush\n",
        "- hush\n",
    ];
    for text in unread {
        for command in ["validate", "print-config"] {
            let finished = collector().arg(command).arg(format!("--config=yaml:{text}")).finish();
            assert_eq!(finished.code, 1, "{text}: {}", finished.stdout);
            let shown = format!("{}{}", finished.stdout, finished.stderr);
            assert!(!shown.contains(SECRET), "{command} of {text}: {shown}");
        }
    }
    // A key or a type that is not known, with a secret behind it: the message does not repeat that.
    for text in [
        pipeline(nop, nop, "bearertokenauth: {tokn: hush}"),
        pipeline(nop, nop, "basicauth: {client_auth: {username: ann, pasword: hush}}"),
        pipeline(nop, nop, "bearertokenath: {token: hush}"),
        pipeline(nop, "otlp_grpc: {endpoint: 'x:1', header: {x: hush}}", plain),
    ] {
        let config = format!("--config=yaml:{text}");
        let finished = collector().arg("validate").arg(&config).finish();
        assert_eq!(finished.code, 1, "{text}");
        assert!(!finished.stderr.contains(SECRET), "{text}: {}", finished.stderr);
        for format in ["yaml", "json"] {
            let print = ["print-config", "--validate=false", &format!("--format={format}")];
            let printed = collector().args(print).arg(&config).finish();
            assert_eq!(printed.code, 0, "{text}");
            assert!(printed.stdout.contains("[REDACTED]"), "{text}: {}", printed.stdout);
            assert!(!printed.stdout.contains(SECRET), "{text}: {}", printed.stdout);
        }
    }
    for text in &cases {
        let config = format!("--config=yaml:{text}");
        let started = collector().arg(&config).finish();
        assert_eq!(started.code, 1, "it cannot start: {text}\n{}", started.stderr);
        let mut shown = vec![("a start", started)];
        for arguments in [
            &["validate"][..],
            &["print-config", "--validate=false"],
            &["print-config", "--validate=false", "--format=json"],
            &["print-config"],
            &[
                "plan",
                "--against",
                "yaml:receivers: {nop: {}}\nexporters: {nop: {}}\nservice: {pipelines: {traces: {receivers: [nop], exporters: [nop]}}}\n",
            ],
        ] {
            shown.push((arguments[0], collector().args(arguments).arg(&config).finish()));
        }
        for (command, finished) in shown {
            let all = format!("{}{}", finished.stdout, finished.stderr);
            let line = all.lines().find(|line| line.contains(SECRET));
            assert_eq!(line, None, "{command} of {text}");
        }
    }
}
