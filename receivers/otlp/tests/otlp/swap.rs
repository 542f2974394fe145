//! Hot swap: what stays open when the settings change.

use std::time::Duration;

use phoenix_component::{Adoption, Code, Lost, Receiver};
use tokio::time::Instant;

use crate::rig::{ACCEPTED, GRPC, LOGS, Rig, export, logs, protocols};

/// Puts `new` in the place of `old`, as the engine does.
async fn swap(rig: &Rig, old: &dyn Receiver, new: &dyn Receiver) -> (Adoption, Lost) {
    let adoption = new.adopt(old, &rig.host);
    new.serve(&rig.host);
    (adoption, old.stop(Instant::now() + Duration::from_secs(10)).await)
}

#[tokio::test]
async fn open_connections_see_the_new_settings() {
    let (rig, old) = Rig::start("", "response_headers: {x-version: one}").await;
    let (client, mut connection) = (rig.grpc_client(), rig.http().await);
    assert_eq!(export(&client, LOGS, logs(1)).await.unwrap(), ACCEPTED);
    assert_eq!(connection.logs("", &logs(1)).await.header("x-version"), Some("one"));
    assert!(rig.sink.take().iter().all(|batch| batch.client.is_none()));

    let new = rig
        .receiver(&protocols(
            "include_metadata: true, max_recv_msg_size_mib: 1",
            "include_metadata: true, response_headers: {x-version: two}, logs_url_path: /in",
        ))
        .await;
    assert_eq!(swap(&rig, &*old, &*new).await, (Adoption::Kept, Lost::default()));

    assert_eq!(export(&client, LOGS, logs(1)).await.unwrap(), ACCEPTED);
    let status = export(&client, LOGS, vec![0; 2 << 20]).await.unwrap_err();
    assert_eq!(status.code, Code::RESOURCE_EXHAUSTED, "the new limit");
    let answer = connection.send("POST /in", "content-type: application/x-protobuf\r\n", &logs(1)).await;
    assert_eq!((answer.status, answer.header("x-version")), (200, Some("two")));
    assert_eq!(connection.logs("", &logs(1)).await.status, 404, "the former path");
    let got = rig.sink.take();
    assert_eq!((got.len(), got.iter().all(|batch| batch.client.is_some())), (2, true));
    for transport in ["grpc", "http"] {
        assert_eq!(rig.metric("phoenix_transport_connections", transport), 1, "{transport}");
    }
    drop(connection);
    assert_eq!(new.stop(Instant::now() + Duration::from_secs(10)).await, Lost::default());
}

#[tokio::test]
async fn a_protocol_whose_endpoint_changes_drains_and_the_other_stays() {
    let (rig, old) = Rig::start("", "").await;
    let (client, mut connection) = (rig.grpc_client(), rig.http().await);
    assert_eq!(export(&client, LOGS, logs(1)).await.unwrap(), ACCEPTED);
    assert_eq!(connection.logs("", &logs(1)).await.status, 200);
    // An idle keep-alive connection would be waited for.
    drop(connection);

    let new = rig
        .receiver(&format!("protocols: {{grpc: {{endpoint: '{GRPC}'}}, http: {{endpoint: '127.0.0.1:0'}}}}"))
        .await;
    let (adoption, lost) = swap(&rig, &*old, &*new).await;
    assert!(matches!(adoption, Adoption::Partly(_)), "{adoption:?}");
    assert_eq!(lost, Lost::default());
    assert_eq!(export(&client, LOGS, logs(1)).await.unwrap(), ACCEPTED);
    assert_eq!(rig.metric("phoenix_transport_connections", "grpc"), 1, "the same connection");
}

#[tokio::test]
async fn a_protocol_that_is_taken_away_ends_and_one_that_is_added_begins() {
    let rig = Rig::new();
    let old = rig.receiver(&format!("protocols: {{grpc: {{endpoint: '{GRPC}'}}}}")).await;
    old.serve(&rig.host);
    assert_eq!(export(&rig.grpc_client(), LOGS, logs(1)).await.unwrap(), ACCEPTED);
    let new = rig.receiver(&protocols("", "")).await;
    assert_eq!(swap(&rig, &*old, &*new).await, (Adoption::Kept, Lost::default()));
    assert_eq!(rig.http().await.logs("", &logs(1)).await.status, 200);
}
