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
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
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

/// What a client with `client` hears from a server with `server`.
async fn exchange(server: &TlsServerSettings, client: &TlsClientSettings) -> Result<Bytes, Status> {
    let (cores, _threads) = Cores::start(1).unwrap();
    let lease = Leases::default().listen_tcp("127.0.0.1:0").unwrap();
    let tls = TlsAcceptor::new(server, Alpn::H2).unwrap();
    let (options, metrics) = (server::Options::default(), ServerMetrics::detached());
    let _server =
        server::start(&lease, Some(tls), Echo, options, &cores, &Budget::unlimited(), metrics).unwrap();
    let target = crate::endpoint::Target::Host {
        host: "127.0.0.1".to_owned(),
        port: lease.local_addr().unwrap().port(),
    };
    let tls = Some(TlsConnector::new(client, Alpn::H2).unwrap());
    let client = Client::new(client::Options { tls, ..client::Options::new(target) }, &cores).unwrap();
    let message = Payload::from(Bytes::from(vec![7; 500_000]));
    let timeout = Some(Duration::from_secs(10));
    client.call(&client.method("/a/b"), message, timeout, &HeaderMap::new()).await
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
    let mixed = Pair { certificate: pair.certificate, key: other.key };
    assert!(failure(server_settings(&mixed)).contains("does not belong"));
}
