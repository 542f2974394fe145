//! Both protocols over Unix sockets.

use std::time::Duration;

use http::HeaderMap;
use phoenix_component::{Adoption, Lost};
use phoenix_transport::endpoint::Target;
use phoenix_transport::grpc::client::{self, Client};
use phoenix_transport::http::client as http_client;
use tokio::time::Instant;

use crate::rig::{ACCEPTED, LOGS, Rig, export, logs};

#[tokio::test]
async fn unix_sockets_serve_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("otlp.sock");
    let rig = Rig::new();
    let yaml = format!("protocols: {{grpc: {{transport: unix, endpoint: {path:?}}}}}");
    let receiver = rig.receiver(&yaml).await;
    receiver.serve(&rig.host);
    let options = client::Options::new(Target::Unix(path));
    let client = Client::new(options, &rig.host.cores).unwrap();
    assert_eq!(export(&client, LOGS, logs(1)).await.unwrap(), ACCEPTED);
    assert_eq!(rig.sink.take().remove(0).client, None);
}

#[tokio::test]
async fn unix_sockets_stay_across_swaps_and_go_with_the_last_receiver() {
    let folder = tempfile::tempdir().unwrap();
    let [grpc, http] = ["grpc.sock", "http.sock"].map(|name| folder.path().join(name));
    // A socket that nobody listens on any more, left by a process that was killed.
    drop(std::os::unix::net::UnixListener::bind(&http).unwrap());
    let rig = Rig::new();
    let yaml = |more: &str| {
        let (grpc, http) = (grpc.display(), http.display());
        format!(
            "protocols: {{grpc: {{endpoint: 'unix://{grpc}', {more}}}, \
             http: {{transport: unix, endpoint: '{http}', {more}}}}}"
        )
    };
    let old = rig.receiver(&yaml("")).await;
    old.serve(&rig.host);
    let client = Client::new(client::Options::new(Target::Unix(grpc.clone())), &rig.host.cores).unwrap();
    let post = http_client::Client::new(Default::default(), &rig.host.cores).unwrap();
    let destination = post.destination(&format!("unix://{}:/v1/logs", http.display())).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("content-type", "application/x-protobuf".parse().unwrap());
    let mut running = old;
    for generation in 0..3 {
        assert_eq!(export(&client, LOGS, logs(1)).await.unwrap(), ACCEPTED, "{generation}");
        let answer = post.post(&destination, &headers, logs(1).into()).await.unwrap();
        assert_eq!(answer.status, 200, "{generation}");
        let new = rig.receiver(&yaml("include_metadata: true")).await;
        assert_eq!(new.adopt(&*running, &rig.host), Adoption::Kept);
        new.serve(&rig.host);
        assert_eq!(running.stop(Instant::now() + Duration::from_secs(5)).await, Lost::default());
        running = new;
    }
    assert_eq!(rig.metric("phoenix_transport_connections", "grpc"), 1, "it stayed open");
    let got = rig.sink.take();
    let info = got.last().unwrap().client.as_ref().unwrap();
    assert_eq!((got.len(), info.address), (6, None));
    drop((client, post));
    running.stop(Instant::now() + Duration::from_secs(5)).await;
    drop(running);
    assert!(!grpc.exists() && !http.exists());
}
