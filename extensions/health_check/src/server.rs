//! A small HTTP/1.1 server: bounded in connections, header bytes and time, and stopped gracefully.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Connections served at once; more wait in the listener's backlog.
const CONNECTIONS: usize = 128;
/// The most bytes of a request's head.
const HEAD_BYTES: usize = 16 * 1024;
/// How long to wait when the system has no connection to give, for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How connections are treated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) header_timeout: Duration,
    pub(crate) keep_alive: bool,
}

/// Answers connections of `listener` until `stop`, then lets those under way end.
pub(crate) async fn serve<A>(listener: TcpListener, limits: Limits, stop: CancellationToken, answer: Arc<A>)
where
    A: Fn(&str) -> Response<Full<Bytes>> + Send + Sync + 'static,
{
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    while let Some(stream) = stop.run_until_cancelled(accept(&listener)).await {
        while connections.try_join_next().is_some() {}
        let permit = stop.run_until_cancelled(room.clone().acquire_owned()).await;
        let Some(Ok(permit)) = permit else { break };
        let (answer, stop) = (answer.clone(), stop.clone());
        connections.spawn(async move {
            connection(stream, limits, stop, answer).await;
            drop(permit);
        });
    }
    // New connections are the next generation's, or nobody's.
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                tracing::debug!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn connection<A>(
    stream: TcpStream,
    limits: Limits,
    stop: CancellationToken,
    answer: Arc<A>,
) -> impl Future<Output = ()> + Send
where
    A: Fn(&str) -> Response<Full<Bytes>> + Send + Sync + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let response = answer(request.uri().path());
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .keep_alive(limits.keep_alive)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    async move {
        tokio::pin!(connection);
        // How a probe's connection ends is of no interest.
        tokio::select! {
            _ = connection.as_mut() => return,
            () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        let _ = connection.await;
    }
}
