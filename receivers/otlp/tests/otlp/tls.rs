//! Both protocols over TLS.

use http::HeaderMap;
use phoenix_config::Opaque;
use phoenix_transport::grpc::client::{self, Client};
use phoenix_transport::http::client as http_client;
use phoenix_transport::settings::TlsClientSettings;
use phoenix_transport::tls::{Alpn, TlsConnector};
use rcgen::{CertifiedKey, generate_simple_self_signed};

use crate::rig::{ACCEPTED, LOGS, Rig, export, logs};

#[tokio::test]
async fn both_protocols_are_served_over_tls() {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = signing_key.serialize_pem();
    // The escapes of Rust are those of YAML here.
    let tls = format!("tls: {{cert_pem: {:?}, key_pem: {key:?}}}", cert.pem());
    let (rig, _receiver) = Rig::start(&tls, &tls).await;
    let settings = TlsClientSettings {
        ca_pem: Opaque::new(cert.pem()),
        server_name_override: "localhost".to_owned(),
        ..TlsClientSettings::default()
    };
    let connector = |alpn| Some(TlsConnector::new(&settings, alpn).unwrap());
    let options = client::Options { tls: connector(Alpn::H2), ..rig.grpc_options() };
    let client = Client::new(options, &rig.host.cores).unwrap();
    assert_eq!(export(&client, LOGS, logs(1)).await.unwrap(), ACCEPTED);
    for alpn in [Alpn::Http1, Alpn::H2OrHttp1] {
        let options = http_client::Options { tls: connector(alpn), ..Default::default() };
        let client = http_client::Client::new(options, &rig.host.cores).unwrap();
        let destination = client.destination(&format!("https://{}/v1/logs", rig.http_address())).unwrap();
        let headers = HeaderMap::from_iter([(
            http::header::CONTENT_TYPE,
            http::HeaderValue::from_static("application/x-protobuf"),
        )]);
        let answer = client.post(&destination, &headers, logs(1).into()).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.body.as_ref()), (200, ACCEPTED), "{alpn:?}");
        let headers = HeaderMap::from_iter([(
            http::header::CONTENT_TYPE,
            http::HeaderValue::from_static("application/json"),
        )]);
        for (json, status, expected) in [
            (r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{}]}]}]}"#, 200, r#"{"partialSuccess":{}}"#),
            ("[]", 400, r#"{"code":3,"message":"byte 0: expected an object, found an array"}"#),
        ] {
            let body = bytes::Bytes::from_static(json.as_bytes());
            let answer = client.post(&destination, &headers, body.into()).await.unwrap();
            assert_eq!(
                (answer.status.as_u16(), answer.body.as_ref()),
                (status, expected.as_bytes()),
                "{alpn:?}"
            );
            assert_eq!(answer.headers[http::header::CONTENT_TYPE], "application/json");
        }
    }
    assert!(export(&rig.grpc_client(), LOGS, logs(1)).await.is_err(), "no plaintext");
    assert_eq!(rig.sink.take().len(), 5);
}
