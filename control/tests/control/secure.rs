//! TLS of the service's own listeners.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use phoenix_control::serve::{self, Options};
use phoenix_control::tls::TlsFiles;
use phoenix_transport::dial;
use phoenix_transport::proxy::Proxies;
use phoenix_transport::settings::TlsClientSettings;
use phoenix_transport::tls::{Alpn, TlsConnector};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::collector::Collector;
use crate::rig::options;

/// An authority, with a certificate and key for `localhost`.
fn certificates(folder: &Path) -> (PathBuf, PathBuf, PathBuf) {
    let authority_key = rcgen::KeyPair::generate().expect("a key");
    let mut parameters = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = parameters.self_signed(&authority_key).expect("signed");
    let issuer = rcgen::Issuer::new(parameters, authority_key);
    let key = rcgen::KeyPair::generate().expect("a key");
    let parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
    let certificate = parameters.signed_by(&key, &issuer).expect("signed");
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).expect("written");
        path
    };
    (
        write("ca.pem", authority.pem()),
        write("cert.pem", certificate.pem()),
        write("key.pem", key.serialize_pem()),
    )
}

/// Asks over TLS; head and body.
async fn ask(
    port: u16,
    ca: &Path,
    method: &str,
    path: &str,
    key: &str,
    body: Option<Value>,
) -> (String, Value) {
    let settings = TlsClientSettings { ca_file: ca.display().to_string(), ..TlsClientSettings::default() };
    let tls = TlsConnector::new(&settings, Alpn::Http1).expect("settings");
    let url = format!("https://localhost:{port}").parse().expect("a URL");
    let mut stream = dial(&url, &tls, &Proxies::default()).await.expect("connected");
    let body = body.map(|body| body.to_string()).unwrap_or_default();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.expect("written");
    let mut text = String::new();
    // The end of the stream may come without a farewell.
    let _ = stream.read_to_string(&mut text).await;
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_default();
    (head.to_owned(), serde_json::from_str(body).unwrap_or_default())
}

fn agent(folder: &Path, name: &str, opamp: u16, token: &str, tls: &str) -> Collector {
    let storage = folder.join(name);
    let config = folder.join(format!("{name}.yaml"));
    let text = format!(
        "extensions:
  opamp:
    server: {{ws: {{endpoint: 'wss://localhost:{opamp}/v1/opamp', headers: {{Authorization: 'Bearer {token}'}}, tls: {tls}}}}}
    storage: {{directory: '{}'}}
receivers: {{nop: {{}}}}
exporters: {{nop: {{}}}}
service:
  extensions: [opamp]
  telemetry: {{metrics: {{level: none}}}}
  pipelines: {{traces: {{receivers: [nop], exporters: [nop]}}}}
",
        storage.display()
    );
    std::fs::write(&config, text).expect("written");
    let child = Command::new(env!("CARGO_BIN_EXE_phoenix-control"))
        .args(["collector", "--config"])
        .arg(&config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(config.with_extension("log")).expect("made"))
        .spawn();
    Collector(child.expect("started"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_listeners_speak_tls_and_ask_agents_for_certificates() {
    let folder = tempfile::tempdir().expect("made");
    let (ca, certificate, key) = certificates(folder.path());
    let tls = TlsFiles { certificate: certificate.clone(), key: key.clone(), agent_ca: Some(ca.clone()) };
    let options = Options {
        tls: Some(tls.clone()),
        listen: "localhost:0".to_owned(),
        opamp_listen: "localhost:0".to_owned(),
        ..options(folder.path())
    };
    let running = serve::start(&options).await.expect("started");
    let (api, opamp) = (running.api.port(), running.opamp.port());
    let admin = running.first_key.clone().expect("a key");

    // Nothing is said in the clear, and a client that says nothing holds nobody up.
    let _silent = tokio::net::TcpStream::connect(running.api).await.expect("connected");
    let mut plain = tokio::net::TcpStream::connect(running.api).await.expect("connected");
    plain.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.expect("written");
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    let (head, _) = ask(api, &ca, "GET", "/healthz", "", None).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");

    // A cookie from here goes over TLS only.
    let user = json!({"name": "ada", "role": "viewer", "password": "correct horse battery"});
    ask(api, &ca, "POST", "/api/v1/users", &admin, Some(user)).await;
    let login = json!({"name": "ada", "password": "correct horse battery"});
    let (head, _) = ask(api, &ca, "POST", "/api/v1/sessions", "", Some(login)).await;
    assert!(head.starts_with("HTTP/1.1 201") && head.contains("; Secure"), "{head}");

    // Of two agents with the same token the one with a certificate gets in.
    let token = ask(api, &ca, "POST", "/api/v1/enrolment-tokens", &admin, Some(json!({"name": "t"}))).await.1;
    let token = token["token"].as_str().expect("a token").to_owned();
    let without = format!("{{ca_file: '{}'}}", ca.display());
    let with = format!(
        "{{ca_file: '{}', cert_file: '{}', key_file: '{}'}}",
        ca.display(),
        certificate.display(),
        key.display()
    );
    let _refused = agent(folder.path(), "without", opamp, &token, &without);
    let _agent = agent(folder.path(), "with", opamp, &token, &with);
    let mut agents = Value::Null;
    for _ in 0..200 {
        agents = ask(api, &ca, "GET", "/api/v1/agents", &admin, None).await.1;
        let log = std::fs::read_to_string(folder.path().join("without.log")).unwrap_or_default();
        if agents["items"][0]["healthy"] == true && log.contains("no connection to the OpAMP server") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(agents["items"].as_array().map(Vec::len), Some(1), "{agents}");
    assert_eq!(agents["items"][0]["connected"], true, "{agents}");
    running.stop().await;

    let wrong = Options { tls: Some(TlsFiles { key: ca, ..tls }), ..options };
    let error = serve::start(&wrong).await.err().expect("a certificate is no key");
    assert!(error.to_string().contains("key_file"), "{error}");
}
