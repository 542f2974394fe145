//! Certificates made for the test, and what goes wrong with them.

use std::io::Write as _;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response, request};
use phoenix_component::{Budget, Code, Cores, Leases};
use phoenix_config::Opaque;
use rcgen::{CertifiedKey, generate_simple_self_signed};

use super::*;
use crate::grpc::Status;
use crate::grpc::client::{self, Client};
use crate::grpc::server::{self, Call, UnaryService};
use crate::http::client as http_client;
use crate::http::server::{self as http_server, HttpService};
use crate::{Payload, ServerMetrics};

struct Pair {
    certificate: Opaque,
    key: Opaque,
}

fn pair() -> Pair {
    pair_named("localhost")
}

fn pair_named(name: &str) -> Pair {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed([name.to_owned()]).unwrap();
    Pair { certificate: Opaque::new(cert.pem()), key: Opaque::new(signing_key.serialize_pem()) }
}

fn server_settings(pair: &Pair) -> TlsServerSettings {
    TlsServerSettings { cert_pem: pair.certificate.clone(), key_pem: pair.key.clone(), ..Default::default() }
}

struct Echo;

impl UnaryService for Echo {
    type Method = ();

    fn resolve(&self, _: &str) -> Option<()> {
        Some(())
    }

    async fn call(&self, (): (), call: Call) -> Result<Bytes, Status> {
        Ok(call.message)
    }
}

/// A server, and the clients that come to it.
struct Serving {
    cores: Cores,
    _threads: phoenix_component::CoreThreads,
    lease: phoenix_component::ListenerLease,
    metrics: ServerMetrics,
    _server: crate::Server,
}

impl Serving {
    fn start(settings: &TlsServerSettings) -> Serving {
        let (cores, threads) = Cores::start(1).unwrap();
        let lease = Leases::default().listen_tcp("127.0.0.1:0").unwrap();
        let tls = TlsAcceptor::new(settings, Alpn::H2).unwrap();
        let (options, metrics) = (server::Options::default(), ServerMetrics::detached());
        let budget = Budget::unlimited();
        let server =
            server::start(&lease, Some(tls), Echo, options, &cores, &budget, metrics.clone()).unwrap();
        Serving { cores, _threads: threads, lease, metrics, _server: server }
    }

    fn client(&self, settings: &TlsClientSettings) -> Client {
        self.client_with(TlsConnector::new(settings, Alpn::H2).unwrap())
    }

    fn client_with(&self, tls: TlsConnector) -> Client {
        let port = self.lease.local_addr().unwrap().port();
        let target = crate::endpoint::Target::Host { host: "127.0.0.1".to_owned(), port };
        Client::new(client::Options { tls: Some(tls), ..client::Options::new(target) }, &self.cores).unwrap()
    }
}

async fn call(client: &Client, bytes: usize) -> Result<Bytes, Status> {
    let message = Payload::from(Bytes::from(vec![7; bytes]));
    let timeout = Some(Duration::from_secs(10));
    client.call(&client.method("/a/b"), message, timeout, &HeaderMap::new()).await
}

/// What a client with `client` hears from a server with `server`.
async fn exchange(server: &TlsServerSettings, client: &TlsClientSettings) -> Result<Bytes, Status> {
    let serving = Serving::start(server);
    call(&serving.client(client), 500_000).await
}

/// A client that trusts `pair` alone.
fn trusting(pair: &Pair) -> TlsClientSettings {
    TlsClientSettings {
        ca_pem: pair.certificate.clone(),
        server_name_override: "localhost".to_owned(),
        ..Default::default()
    }
}

/// Puts a text in the place of a file's, as tools do.
fn replace(file: &std::path::Path, text: &str) {
    let beside = file.with_extension("new");
    std::fs::write(&beside, text).unwrap();
    std::fs::rename(beside, file).unwrap();
}

#[tokio::test]
async fn a_certificate_is_renewed_while_connections_stay() {
    let (old, new, folder) = (pair(), pair(), tempfile::tempdir().unwrap());
    let (certificate, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
    replace(&certificate, old.certificate.reveal());
    replace(&key, old.key.reveal());
    let settings = TlsServerSettings {
        cert_file: certificate.display().to_string(),
        key_file: key.display().to_string(),
        reload_interval: phoenix_config::GoDuration::from_millis(1),
        ..Default::default()
    };
    let serving = Serving::start(&settings);
    let first = serving.client(&trusting(&old));
    assert!(call(&first, 10).await.is_ok());
    // Half of a change is none: the pair of before is shown.
    replace(&certificate, new.certificate.reveal());
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert!(call(&serving.client(&trusting(&old)), 10).await.is_ok());
    replace(&key, new.key.reveal());
    tokio::time::sleep(Duration::from_millis(5)).await;
    let handshakes = serving.metrics.connections.value();
    assert!(call(&serving.client(&trusting(&new)), 10).await.is_ok(), "the new one is shown");
    assert!(call(&serving.client(&trusting(&old)), 10).await.is_err());
    assert!(call(&first, 100_000).await.is_ok());
    assert!(serving.metrics.connections.value() >= handshakes + 2);
    assert_eq!(serving.metrics.refusals("tls"), 1, "who trusted the old one alone");
    // What is broken is not taken.
    replace(&certificate, "-----BEGIN CERTIFICATE-----\n");
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert!(call(&serving.client(&trusting(&new)), 10).await.is_ok());
}

#[tokio::test]
async fn whoever_asks_has_all_files_read_again_without_an_interval() {
    let (old, new, folder) = (pair(), pair(), tempfile::tempdir().unwrap());
    let (certificate, key, ca) =
        (folder.path().join("tls.crt"), folder.path().join("tls.key"), folder.path().join("ca.crt"));
    let write = |pair: &Pair| {
        replace(&certificate, pair.certificate.reveal());
        replace(&key, pair.key.reveal());
    };
    write(&old);
    replace(&ca, old.certificate.reveal());
    let settings = TlsServerSettings {
        cert_file: certificate.display().to_string(),
        key_file: key.display().to_string(),
        ..Default::default()
    };
    let serving = Serving::start(&settings);
    let client = TlsClientSettings {
        ca_file: ca.display().to_string(),
        server_name_override: "localhost".to_owned(),
        ..Default::default()
    };
    let connector = TlsConnector::new(&client, Alpn::H2).unwrap();
    let first = serving.client_with(connector.clone());
    assert!(call(&first, 10).await.is_ok());
    write(&new);
    replace(&ca, new.certificate.reveal());
    assert!(call(&serving.client(&trusting(&old)), 10).await.is_ok(), "nobody has asked");
    look_again();
    assert!(call(&serving.client(&trusting(&new)), 10).await.is_ok(), "the certificate of the listener");
    assert!(call(&first, 10).await.is_ok(), "what is open stays");
    assert!(call(&serving.client_with(connector.clone()), 10).await.is_ok(), "the authority of the client");
    let (sessions, again) = (connector.0.sessions.get().await, connector.0.sessions.get().await);
    assert!(Arc::ptr_eq(&sessions, &again), "once for each change");
}

#[tokio::test]
async fn clients_whose_authority_is_withdrawn_are_not_let_in_again() {
    let (pair, ann, bob) = (pair(), pair_named("ann"), pair_named("bob"));
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("clients.crt");
    replace(&ca, &format!("{}{}", ann.certificate.reveal(), bob.certificate.reveal()));
    let mut settings = server_settings(&pair);
    settings.client_ca_file = ca.display().to_string();
    settings.client_ca_file_reload = true;
    let serving = Serving::start(&settings);
    let showing = |client: &Pair| TlsClientSettings {
        cert_pem: client.certificate.clone(),
        key_pem: client.key.clone(),
        ..trusting(&pair)
    };
    let (anns, bobs) = (serving.client(&showing(&ann)), serving.client(&showing(&bob)));
    assert!(call(&anns, 10).await.is_ok() && call(&bobs, 10).await.is_ok());
    replace(&ca, bob.certificate.reveal());
    tokio::time::sleep(CLIENT_CA_INTERVAL + Duration::from_millis(50)).await;
    assert!(call(&serving.client(&showing(&bob)), 10).await.is_ok());
    assert!(call(&serving.client(&showing(&ann)), 10).await.is_err());
    assert!(call(&anns, 10).await.is_ok(), "a connection that is open stays");
}

#[tokio::test]
async fn large_messages_go_over_tls() {
    let pair = pair();
    let client = TlsClientSettings {
        ca_pem: pair.certificate.clone(),
        server_name_override: "localhost".to_owned(),
        ..Default::default()
    };
    assert_eq!(exchange(&server_settings(&pair), &client).await.unwrap().len(), 500_000);
}

#[tokio::test]
async fn a_certificate_is_checked_unless_that_is_skipped() {
    let (pair, other) = (pair(), pair());
    let stranger = TlsClientSettings {
        ca_pem: other.certificate,
        server_name_override: "localhost".to_owned(),
        ..Default::default()
    };
    let refused = exchange(&server_settings(&pair), &stranger).await.unwrap_err();
    assert_eq!(refused.code, Code::UNAVAILABLE);
    assert!(refused.message.contains("certificate"), "{refused}");
    let blind = TlsClientSettings { insecure_skip_verify: true, ..Default::default() };
    assert!(exchange(&server_settings(&pair), &blind).await.is_ok());
}

#[tokio::test]
async fn mutual_tls_wants_a_certificate_of_the_client() {
    let (pair, client) = (pair(), pair());
    let mut ca = tempfile::NamedTempFile::new().unwrap();
    ca.write_all(client.certificate.reveal().as_bytes()).unwrap();
    let mut server = server_settings(&pair);
    server.client_ca_file = ca.path().display().to_string();
    let without = TlsClientSettings { insecure_skip_verify: true, ..Default::default() };
    assert_eq!(exchange(&server, &without).await.unwrap_err().code, Code::UNAVAILABLE);
    let with = TlsClientSettings { cert_pem: client.certificate, key_pem: client.key, ..without };
    assert!(exchange(&server, &with).await.is_ok());
}

/// Says which version of HTTP the request came in.
struct WhichVersion;

impl HttpService for WhichVersion {
    type Route = ();

    fn route(&self, _: &request::Parts) -> Result<(), Response<Bytes>> {
        Ok(())
    }

    async fn call(&self, (): (), request: http_server::Request) -> Response<Bytes> {
        let length = request.body.map(|body| body.len());
        Response::new(format!("{:?} {length:?}", request.head.version).into())
    }
}

#[tokio::test]
async fn http_is_of_the_version_that_both_sides_want() {
    let pair = pair();
    let settings = TlsClientSettings {
        ca_pem: pair.certificate.clone(),
        server_name_override: "localhost".to_owned(),
        ..Default::default()
    };
    let (cores, _threads) = Cores::start(1).unwrap();
    // (what the server offers, what the client offers, version)
    for (server, client, version) in [
        (Alpn::H2OrHttp1, Alpn::H2OrHttp1, "HTTP/2.0"),
        (Alpn::H2OrHttp1, Alpn::Http1, "HTTP/1.1"),
        (Alpn::Http1, Alpn::H2OrHttp1, "HTTP/1.1"),
    ] {
        let lease = Leases::default().listen_tcp("127.0.0.1:0").unwrap();
        let tls = Some(TlsAcceptor::new(&server_settings(&pair), server).unwrap());
        let (options, metrics) = (http_server::Options::default(), ServerMetrics::detached());
        let budget = Budget::unlimited();
        let _server =
            http_server::start(&lease, tls, WhichVersion, options, &cores, &budget, metrics.clone()).unwrap();
        let tls = Some(TlsConnector::new(&settings, client).unwrap());
        let options = http_client::Options { tls, ..Default::default() };
        let client = http_client::Client::new(options, &cores).unwrap();
        let url = format!("https://{}/", lease.local_addr().unwrap());
        let destination = client.destination(&url).unwrap();
        for size in [0, 5, 500_000] {
            let body = Bytes::from(vec![7; size]).into();
            let answer = client.post(&destination, &HeaderMap::new(), body).await.unwrap();
            assert_eq!(answer.body, format!("{version} Ok({size})"));
        }
        assert_eq!(metrics.connections.value(), 1, "{version}: one connection for all");
    }
}

#[test]
fn mistakes_name_the_setting_and_what_is_wrong() {
    let (pair, other) = (pair(), pair());
    let failure = |settings: TlsServerSettings| match TlsAcceptor::new(&settings, Alpn::H2) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("accepted"),
    };
    let missing = TlsServerSettings { cert_file: "/none/cert.pem".to_owned(), ..Default::default() };
    assert!(failure(missing).contains("cert_file \"/none/cert.pem\""));
    let swapped = Pair { certificate: pair.key.clone(), key: pair.certificate.clone() };
    assert!(failure(server_settings(&swapped)).contains("holds a private key"));
    let mixed = Pair { certificate: pair.certificate.clone(), key: other.key };
    assert!(failure(server_settings(&mixed)).contains("does not belong"));
    // (what is changed in the certificate, part of what is said)
    let good = pair.certificate.reveal();
    let fourth = good.lines().nth(3).unwrap();
    let (not_base64, cut) = (good.replace(fourth, "???"), good.replace("-----END CERTIFICATE-----", ""));
    let no_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (text, said) in [
        (not_base64.as_str(), "line 4: is not base64"),
        (cut.as_str(), "line 1: the section that begins here does not end"),
        (&format!("{good}{no_certificate}"), "not a certificate"),
        ("", "holds no certificate"),
    ] {
        let broken = Pair { certificate: Opaque::new(text), key: pair.key.clone() };
        let error = match text {
            "" => {
                let file = tempfile::NamedTempFile::new().unwrap();
                let cert_file = file.path().display().to_string();
                failure(TlsServerSettings {
                    cert_pem: Opaque::default(),
                    cert_file,
                    ..server_settings(&broken)
                })
            }
            _ => failure(server_settings(&broken)),
        };
        assert!(error.contains(said), "{error}");
    }
    let key = pair.key.reveal();
    let secret = key.lines().nth(1).unwrap();
    let broken =
        Pair { certificate: pair.certificate, key: Opaque::new(key.replace("-----BEGIN", "-----BEGINN")) };
    let error = failure(server_settings(&broken));
    assert!(error.contains("line 1") && !error.contains(secret), "{error}");
}

#[test]
fn pem_is_taken_as_editors_and_tools_write_it() {
    let (pair, other) = (pair(), pair());
    let (certificate, key) = (pair.certificate.reveal(), pair.key.reveal());
    let crlf = |text: &str| text.replace('\n', "\r\n");
    let between = format!(
        "Subject: CN = x\nA line of \u{e9}\u{0}\n{certificate}\n\n# the issuer:\n{}\ntrailing words",
        other.certificate.reveal()
    );
    let all = format!("{key}{certificate}");
    for (case, certificate, key) in [
        ("lines end in CRLF", crlf(certificate), crlf(key)),
        ("no line ends the file", certificate.trim_end().to_owned(), key.trim_end().to_owned()),
        ("words stand between", between, format!("Bag Attributes\n    friendlyName: x\n{key}")),
        ("both are in one file", all.clone(), all),
        ("lines have margins", certificate.replace('\n', " \n"), key.replace('\n', "\t\n  ")),
    ] {
        let made = Pair { certificate: Opaque::new(certificate), key: Opaque::new(key) };
        let taken = TlsAcceptor::new(&server_settings(&made), Alpn::H2);
        assert!(taken.is_ok(), "{case}: {:?}", taken.err().map(|error| error.to_string()));
    }
    // However it is encrypted.
    let inner: String = key.lines().filter(|line| !line.starts_with("-----")).collect();
    for encrypted in [
        format!("-----BEGIN ENCRYPTED PRIVATE KEY-----\n{inner}\n-----END ENCRYPTED PRIVATE KEY-----\n"),
        format!(
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\r\nDEK-Info: AES-256-CBC,00\n\n{inner}\n-----END RSA PRIVATE KEY-----\n"
        ),
    ] {
        let made = Pair { certificate: pair.certificate.clone(), key: Opaque::new(encrypted) };
        let error = TlsAcceptor::new(&server_settings(&made), Alpn::H2).err().unwrap().to_string();
        assert!(error.contains("is encrypted") && !error.contains(&inner[..20]), "{error}");
    }
}

/// A certificate that an authority of the test signed, for one purpose.
fn signed_for(purpose: rcgen::ExtendedKeyUsagePurpose) -> (Pair, Opaque) {
    let authority = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let root = params.self_signed(&authority).unwrap().pem();
    let issuer = rcgen::Issuer::new(params, authority);
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.extended_key_usages = vec![purpose];
    let certificate = params.signed_by(&key, &issuer).unwrap().pem();
    (Pair { certificate: Opaque::new(certificate), key: Opaque::new(key.serialize_pem()) }, Opaque::new(root))
}

#[tokio::test]
async fn a_certificate_for_another_purpose_is_refused_by_who_looks_at_it() {
    use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
    let trusting = |root: &Opaque| TlsClientSettings {
        ca_pem: root.clone(),
        server_name_override: "localhost".to_owned(),
        ..Default::default()
    };
    let ((good, root), (bad, bad_root)) = (signed_for(ServerAuth), signed_for(ClientAuth));
    assert!(exchange(&server_settings(&good), &trusting(&root)).await.is_ok());
    let refused = exchange(&server_settings(&bad), &trusting(&bad_root)).await.unwrap_err();
    assert!(refused.message.contains("extended key usage"), "{refused}");
    // The same for clients.
    let folder = tempfile::tempdir().unwrap();
    let serving = |root: &Opaque, file: &str| {
        let path = folder.path().join(file);
        std::fs::write(&path, root.reveal()).unwrap();
        TlsServerSettings { client_ca_file: path.display().to_string(), ..server_settings(&good) }
    };
    let showing = |client: &Pair| TlsClientSettings {
        cert_pem: client.certificate.clone(),
        key_pem: client.key.clone(),
        ..trusting(&root)
    };
    let (client, client_root) = signed_for(ClientAuth);
    assert!(exchange(&serving(&client_root, "a"), &showing(&client)).await.is_ok());
    let (client, client_root) = signed_for(ServerAuth);
    let serving = Serving::start(&serving(&client_root, "b"));
    assert!(call(&serving.client(&showing(&client)), 10).await.is_err());
    assert_eq!(serving.metrics.refusals("tls"), 1);
}

/// A server that agrees to nothing below the version that it wants.
#[tokio::test]
async fn versions_and_suites_are_agreed_on_or_refused() {
    let pair = pair();
    let server = |min: &str, suites: &[&str]| TlsServerSettings {
        min_version: min.to_owned(),
        cipher_suites: suites.iter().map(|suite| (*suite).to_owned()).collect(),
        ..server_settings(&pair)
    };
    let client = |max: &str, curve: &str| TlsClientSettings {
        max_version: max.to_owned(),
        curve_preferences: vec![curve.to_owned()],
        ..trusting(&pair)
    };
    let ecdsa = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384";
    let rsa = "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384";
    // (what the server wants, what the client wants, whether they agree)
    for (server, client, agree) in [
        (server("1.3", &[]), client("1.2", "X25519"), false),
        (server("1.3", &[]), client("1.3", "P384"), true),
        (server("1.2", &[ecdsa]), client("1.2", "P256"), true),
        // The key of the certificate is of another kind.
        (server("1.2", &[rsa]), client("1.2", "X25519"), false),
        (server("1.2", &[rsa]), client("1.3", "X25519"), true),
    ] {
        let outcome = exchange(&server, &client).await;
        assert_eq!(outcome.is_ok(), agree, "{server:?} {client:?}: {outcome:?}");
    }
}

fn expired() -> Pair {
    let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2019, 1, 1);
    params.not_after = rcgen::date_time_ymd(2020, 2, 29);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap().pem();
    Pair { certificate: Opaque::new(certificate), key: Opaque::new(key.serialize_pem()) }
}

#[test]
fn what_has_expired_is_refused_with_the_time() {
    let (expired, pair) = (expired(), pair());
    let error = TlsAcceptor::new(&server_settings(&expired), Alpn::H2).err().unwrap().to_string();
    assert!(error.contains("cert") && error.contains("expired at 2020-02-29T00:00:00Z"), "{error}");
    let error = TlsConnector::new(&trusting(&expired), Alpn::H2).err().unwrap().to_string();
    assert!(error.contains("ca") && error.contains("the last at 2020-02-29T00:00:00Z"), "{error}");
    let both = format!("{}{}", expired.certificate.reveal(), pair.certificate.reveal());
    let both = TlsClientSettings { ca_pem: Opaque::new(both), ..trusting(&pair) };
    assert!(TlsConnector::new(&both, Alpn::H2).is_ok(), "one of them is valid");
}

/// A small part of what the fuzz target does, with every test run.
#[test]
fn changed_certificates_and_keys_are_taken_or_refused_and_never_shown() {
    let mut state = 11u64;
    let mut next = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let good = pair();
    let (mut taken, mut refused) = (0, 0);
    for round in 0..600 {
        let mut parts = [good.certificate.reveal().to_owned(), good.key.reveal().to_owned()];
        // Some in one of them, some in both, and some in neither.
        for _ in 0..next(4) {
            let part = &mut parts[next(2)];
            if part.is_empty() {
                continue;
            }
            let at = next(part.len());
            match next(6) {
                0 => part.truncate(at),
                1 => part.insert(at, ['-', '\n', '=', 'A', '\0', ' '][next(6)]),
                2 => part.insert_str(at, "-----BEGIN PRIVATE KEY-----\n"),
                3 => part.insert_str(at, "\n-----END CERTIFICATE-----\n"),
                4 => drop(part.remove(at)),
                _ => part.replace_range(at..=at, ["+", "/", "z", "-"][next(4)]),
            }
        }
        let [certificate, key] = parts;
        let secrets: Vec<String> = key.lines().filter(|line| line.len() > 30).map(str::to_owned).collect();
        let changed = Pair { certificate: Opaque::new(certificate), key: Opaque::new(key) };
        match TlsAcceptor::new(&server_settings(&changed), Alpn::H2) {
            Ok(_) => taken += 1,
            Err(error) => {
                refused += 1;
                let shown = error.to_string();
                assert!(!secrets.iter().any(|line| shown.contains(line)), "round {round}: {shown}");
            }
        }
    }
    assert!(taken > 50 && refused > 50, "{taken} were taken and {refused} refused");
}
