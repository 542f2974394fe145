//! Server and client against each other and against tonic, on loopback.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use phoenix_component::{Budget, Code, CoreThreads, Cores, Leases};
use tokio::sync::Semaphore;

use super::client::{self, Client};
use super::server::{self, Call, UnaryService};
use super::*;
use crate::compression::{Compressor, Encoding};
use crate::endpoint::Target;
use crate::{Payload, Server, ServerMetrics};

mod against_tonic;
mod faults;
mod lifecycle;
mod wire;

pub(super) const PATH: &str = "/test.Echo/Echo";
const MIB: usize = 1 << 20;

/// Answers with the request, unless its first word says otherwise.
#[derive(Clone)]
pub(super) struct Echo {
    pub(super) gate: Arc<Semaphore>,
    pub(super) calls: Arc<AtomicUsize>,
}

impl UnaryService for Echo {
    type Method = ();

    fn resolve(&self, path: &str) -> Option<()> {
        (path == PATH).then_some(())
    }

    async fn call(&self, (): (), call: Call) -> Result<Bytes, Status> {
        self.calls.fetch_add(1, SeqCst);
        match &call.message[..] {
            b"panic" => panic!("asked to"),
            b"peer" => return Ok(call.peer.to_string().into()),
            b"wait" => drop(self.gate.acquire().await),
            b"status" => {
                let status = Status::new(Code::UNAVAILABLE, "später %");
                return Err(status.with_retry_delay(Duration::from_millis(2500)));
            }
            b"metadata" => {
                let value = call.head.headers.get("x-key").map(|value| value.as_bytes().to_vec());
                return Ok(value.unwrap_or_default().into());
            }
            _ => {}
        }
        Ok(call.message)
    }
}

pub(super) struct Running {
    pub(super) server: Server,
    pub(super) echo: Echo,
    pub(super) budget: Budget,
    pub(super) metrics: ServerMetrics,
    pub(super) cores: Cores,
    _threads: CoreThreads,
}

pub(super) fn serve(options: server::Options, budget: Budget) -> Running {
    serve_with_tls(options, budget, None)
}

pub(super) fn serve_with_tls(
    options: server::Options,
    budget: Budget,
    tls: Option<crate::tls::TlsAcceptor>,
) -> Running {
    let (cores, threads) = Cores::start(2).unwrap();
    let lease = Leases::default().listen_tcp("127.0.0.1:0").unwrap();
    let echo = Echo { gate: Arc::new(Semaphore::new(0)), calls: Arc::default() };
    let metrics = ServerMetrics::detached();
    let server = server::start(&lease, tls, echo.clone(), options, &cores, &budget, metrics.clone()).unwrap();
    Running { server, echo, budget, metrics, cores, _threads: threads }
}

impl Running {
    pub(super) fn target(&self) -> Target {
        let address = self.server.local_addr().unwrap();
        Target::Host { host: address.ip().to_string(), port: address.port() }
    }

    pub(super) fn options(&self) -> client::Options {
        client::Options { max_response_bytes: 64 * MIB, ..client::Options::new(self.target()) }
    }

    pub(super) fn client(&self) -> Client {
        Client::new(self.options(), &self.cores).unwrap()
    }
}

pub(super) async fn call(client: &Client, message: impl Into<Bytes>) -> Result<Bytes, Status> {
    let payload = Payload::from(message.into());
    client.call(&client.method(PATH), payload, Some(Duration::from_secs(20)), &HeaderMap::new()).await
}

fn large() -> server::Options {
    server::Options { max_message_bytes: 16 * MIB, ..server::Options::default() }
}

fn noise(bytes: usize) -> Vec<u8> {
    (0..bytes as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

#[tokio::test]
async fn messages_of_all_sizes_go_both_ways_and_give_their_memory_back() {
    let running = serve(large(), Budget::new(64 * MIB));
    let client = running.client();
    for size in [0, 1, 5_000, 50_000, 70_000, 500_000, 5_000_000] {
        let message = noise(size);
        assert!(call(&client, message.clone()).await.unwrap() == message, "{size} bytes");
    }
    let calls = (0..8).map(|i| {
        let (client, message) = (client.clone(), noise(500_000 + i));
        tokio::spawn(async move { assert!(call(&client, message.clone()).await.unwrap() == message) })
    });
    for joined in calls.collect::<Vec<_>>() {
        joined.await.unwrap();
    }
    drop(client);
    assert_eq!(running.server.drain(Duration::from_secs(10)).await, crate::Aborted::default());
    assert_eq!(running.budget.used(), 0);
}

#[tokio::test]
async fn a_thousand_calls_run_at_once_over_one_connection() {
    let running = serve(server::Options::default(), Budget::unlimited());
    let client = running.client();
    let calls: Vec<_> = (0..1000)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { call(&client, "wait").await })
        })
        .collect();
    while running.echo.calls.load(SeqCst) < 1000 {
        tokio::task::yield_now().await;
    }
    running.echo.gate.add_permits(1);
    for joined in calls {
        assert_eq!(joined.await.unwrap().unwrap(), "wait");
    }
    assert_eq!(running.metrics.connections.value(), 1);
}

#[tokio::test]
async fn compressed_messages_arrive_plain() {
    let running = serve(large(), Budget::new(64 * MIB));
    for encoding in [Encoding::Gzip, Encoding::Snappy, Encoding::SnappyFramed, Encoding::Zstd] {
        let compressor = Compressor::new(encoding, 0);
        let client =
            Client::new(client::Options { compressor, ..running.options() }, &running.cores).unwrap();
        for size in [0, 10, 60_000, 3_000_000] {
            let message = noise(size);
            assert!(call(&client, message.clone()).await.unwrap() == message, "{encoding} {size}");
        }
    }
}

#[tokio::test]
async fn statuses_metadata_and_panics_reach_the_client() {
    let running = serve(server::Options::default(), Budget::unlimited());
    let client = running.client();
    let status = call(&client, "status").await.unwrap_err();
    assert_eq!((status.code, status.message.as_str()), (Code::UNAVAILABLE, "später %"));
    assert_eq!(status.retry_delay(), Some(Duration::from_millis(2500)));
    let mut metadata = HeaderMap::new();
    metadata.insert("x-key", "value".parse().unwrap());
    metadata.insert("user-agent", "cannot override".parse().unwrap());
    let answer = client.call(&client.method(PATH), Bytes::from("metadata").into(), None, &metadata).await;
    assert_eq!(answer.unwrap(), "value");
    assert_eq!(call(&client, "panic").await.unwrap_err().code, Code::INTERNAL);
    assert_eq!(running.metrics.refusals("panic"), 1);
    assert_eq!(call(&client, "still there").await.unwrap(), "still there");
    let unknown = client.method("/test.Echo/Other");
    let status = client.call(&unknown, Payload::default(), None, &HeaderMap::new()).await.unwrap_err();
    assert_eq!(status.code, Code::UNIMPLEMENTED);
}
