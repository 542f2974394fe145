//! Several addresses of one name: what a resolver would say is handed in.

use std::net::SocketAddr;
use std::sync::atomic::Ordering::SeqCst;

use phoenix_component::{Budget, Cores};

use super::*;
use crate::endpoint::Target;
use crate::grpc::client::{Client, Options};
use crate::grpc::tests::{Running, call, serve};

/// A client of a name that has `addresses`.
fn client_of(addresses: &[SocketAddr], balancer: Balancer) -> Client {
    let target = Target::Host { host: "name.test".to_owned(), port: 1 };
    let client =
        Client::new(Options { balancer, ..Options::new(target) }, &Cores::current_runtime()).unwrap();
    for channel in &client.0.channels {
        let mut state = channel.lock();
        state.names = Names::Known { at: Instant::now() };
        state.set_addresses(addresses.iter().copied().map(Address::Tcp).collect(), balancer);
    }
    client
}

fn server() -> (Running, SocketAddr) {
    let running = serve(crate::grpc::server::Options::default(), Budget::unlimited());
    let address = running.server.local_addr().unwrap();
    (running, address)
}

/// A port that nobody listens on.
fn nobody() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn round_robin_takes_turns_and_goes_on_with_those_that_are_left() {
    let ((one, first), (two, second)) = (server(), server());
    let client = client_of(&[first, second, nobody()], Balancer::RoundRobin);
    let calls = || (one.echo.calls.load(SeqCst), two.echo.calls.load(SeqCst));
    // The first connection that is ready serves alone until the other one is.
    while calls().0 == 0 || calls().1 == 0 {
        call(&client, "x").await.unwrap();
    }
    let before = calls();
    for _ in 0..10 {
        call(&client, "x").await.unwrap();
    }
    assert_eq!((calls().0 - before.0, calls().1 - before.1), (5, 5));
    assert_eq!((one.metrics.connections.value(), two.metrics.connections.value()), (1, 1));

    let (left, before) = (two.echo.calls.clone(), calls().1);
    assert_eq!(one.server.drain(Duration::from_secs(10)).await, crate::Aborted::default());
    for _ in 0..10 {
        call(&client, "x").await.unwrap();
    }
    assert_eq!(left.load(SeqCst) - before, 10);
}

#[tokio::test]
async fn pick_first_passes_over_an_address_that_does_not_answer() {
    let ((one, first), (two, second)) = (server(), server());
    let client = client_of(&[nobody(), first, second], Balancer::PickFirst);
    for _ in 0..4 {
        call(&client, "x").await.unwrap();
    }
    assert_eq!((one.echo.calls.load(SeqCst), two.echo.calls.load(SeqCst)), (4, 0));
}
