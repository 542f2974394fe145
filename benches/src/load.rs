//! The load: a fixed number of requests in a closed loop, built before the clock starts.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use clap::Args;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::body;
use crate::client::{Answer, Client, Encoding, FrameSize, Protocol, Target};
use crate::compression::Compression;
use crate::kept;
use crate::payloads::Payload;
use crate::signal::Signal;
use crate::tls::Connector;

/// Open files other than connections.
const SPARE_FILES: usize = 64;
/// With `--one-each`, so many connections send at a time.
const ONE_EACH_AT_A_TIME: usize = 32;
/// Pause before a broken connection is opened again.
const RECONNECT_PAUSE: Duration = Duration::from_millis(20);
/// Of the failures only so many are printed.
const FAILURES_SHOWN: u64 = 3;
/// Latencies are kept in microseconds up to ten minutes.
const LONGEST_MICROS: u64 = 600_000_000;

/// What to send, how, and how much of it.
#[derive(Args, Clone, Debug)]
pub(crate) struct LoadOptions {
    /// Where to send, `host:port`.
    #[arg(long, default_value = "127.0.0.1:4317")]
    pub(crate) endpoint: String,
    #[arg(long, value_enum, default_value = "grpc")]
    pub(crate) protocol: Protocol,
    #[arg(long, value_enum, default_value = "traces")]
    pub(crate) signal: Signal,
    /// Spans, log records or data points in a request.
    #[arg(long, default_value_t = 100)]
    pub(crate) items: usize,
    /// Repeat the items until a request has nearly this many bytes, uncompressed.
    #[arg(long)]
    pub(crate) request_bytes: Option<usize>,
    /// Requests in all.
    #[arg(long, default_value_t = 10_000)]
    pub(crate) requests: u64,
    #[arg(long, default_value_t = 4)]
    pub(crate) connections: usize,
    /// Requests in flight on each connection; over HTTP/1.1 each of them has its own connection.
    #[arg(long, default_value_t = 8)]
    pub(crate) in_flight: usize,
    /// Different requests built ahead.
    #[arg(long, default_value_t = 64)]
    pub(crate) variants: usize,
    /// DATA frames of gRPC.
    #[arg(long, value_enum, default_value = "peer")]
    pub(crate) frame_size: FrameSize,
    #[arg(long, value_enum, default_value = "none")]
    pub(crate) compression: Compression,
    /// How requests are written; JSON goes over HTTP only.
    #[arg(long, value_enum, default_value = "proto")]
    pub(crate) encoding: Encoding,
    /// What comes before `/v1/traces` and the like over HTTP.
    #[arg(long, default_value = "")]
    pub(crate) http_prefix: String,
    /// Begin so many requests a second at most, evenly spread, rather than each when the one before is answered.
    #[arg(long)]
    pub(crate) rate: Option<u32>,
    /// Every connection sends one request, a few at a time, whatever `--requests` says.
    #[arg(long)]
    pub(crate) one_each: bool,
    /// Number every record, so that `sink --ids` can tell what was lost and what came twice.
    #[arg(long)]
    pub(crate) unique_ids: bool,
    /// Make traces of eight spans, two in each of four requests that follow each other; no trace comes twice.
    #[arg(long)]
    pub(crate) spread_traces: bool,
    /// Write into each span when it is sent, so that `sink --wait-ms` can tell how long it took; not with `--unique-ids`.
    #[arg(long, conflicts_with = "unique_ids")]
    pub(crate) stamp: bool,
    /// Let the data points of the different requests be series that go on: each time a request is sent again its times are
    /// ten seconds later, and its counters have grown.
    #[arg(long)]
    pub(crate) series: bool,
    /// With `--series`: send each of the different requests under so many names, which makes so many times as many series.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=65536))]
    pub(crate) series_copies: u64,
    /// Send a refused request again until it is taken.
    #[arg(long)]
    pub(crate) retry: bool,
    /// Milliseconds before a refused request is sent again.
    #[arg(long, default_value_t = 20)]
    pub(crate) retry_pause_ms: u64,
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Mutual TLS with the certificates in this folder; `compare` makes one.
    #[arg(long)]
    pub(crate) tls_folder: Option<PathBuf>,
    /// Once everything is built and connected, print `ready` and wait for a line on standard input.
    #[arg(long)]
    pub(crate) wait: bool,
    /// Once everything is answered, print `done` and keep the connections open until the next line.
    #[arg(long)]
    pub(crate) hold: bool,
}

/// What the load prints.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LoadReport {
    /// Requests that were taken, and the records in them.
    pub(crate) accepted_requests: u64,
    pub(crate) accepted_items: u64,
    /// Of these, spans with an error.
    pub(crate) accepted_errors: u64,
    /// Answers other than a success, and broken connections, each try counted.
    pub(crate) failed: u64,
    /// Of these, the answers after which a sender may try again.
    pub(crate) retryable: u64,
    /// Failures by status, broken connections as `broken`.
    pub(crate) refusals: BTreeMap<String, u64>,
    /// Successes with a message in the answer.
    pub(crate) partial: u64,
    /// Mean size of a request on the wire.
    pub(crate) bytes_per_request: u64,
    pub(crate) wall_s: f64,
    /// Accepted items per second.
    pub(crate) items_per_s: f64,
    /// Time from the first try of a request to its last answer.
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) p999_us: u64,
    pub(crate) max_us: u64,
}

/// Runs the load to its end.
///
/// # Errors
/// If no connection can be opened at the start. Later failures are counted.
pub(crate) async fn run(options: LoadOptions) -> Result<LoadReport> {
    ensure!(
        options.connections > 0 && options.in_flight > 0 && options.variants > 0 && options.items > 0,
        "connections, requests in flight, variants and items must be at least 1"
    );
    ensure!(
        options.encoding == Encoding::Proto || options.protocol == Protocol::Http,
        "JSON goes over HTTP: give --protocol http"
    );
    ensure!(options.rate != Some(0), "a rate must be at least 1");
    ensure_open_files(&options)?;
    let shared = Arc::new(Shared::new(&options)?);
    let mut clients = Vec::with_capacity(options.connections * options.in_flight);
    for _ in 0..options.connections {
        let first = Client::connect(&shared.target).await?;
        for _ in 1..options.in_flight {
            clients.push(match first.shared() {
                Some(client) => client,
                None => Client::connect(&shared.target).await?,
            });
        }
        clients.push(first);
    }
    if options.wait {
        wait_for_a_line("ready").await?;
    }
    let start = Instant::now();
    let workers: Vec<_> =
        clients.into_iter().map(|client| tokio::spawn(work(shared.clone(), client, start))).collect();
    let mut latencies = empty_histogram();
    let mut open = Vec::with_capacity(workers.len());
    for worker in workers {
        let (micros, client) = worker.await.context("a worker of the load failed")?;
        for micros in micros {
            latencies.saturating_record(micros);
        }
        open.push(client);
    }
    let report = shared.report(start.elapsed(), &latencies);
    if options.hold {
        wait_for_a_line("done").await?;
    }
    Ok(report)
}

/// Says in time that there are too few descriptors for the connections.
fn ensure_open_files(options: &LoadOptions) -> Result<()> {
    let shared = if options.protocol == Protocol::Grpc { 1 } else { options.in_flight };
    let needed = options.connections * shared + SPARE_FILES;
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    if let Some(limit) = open_files(&limits) {
        ensure!(
            needed <= limit,
            "{needed} open files are needed and {limit} are allowed: raise it with `ulimit -n {needed}`"
        );
    }
    Ok(())
}

/// The soft limit of open files in `/proc/PID/limits`; `None` if there is none.
fn open_files(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

async fn wait_for_a_line(word: &str) -> Result<()> {
    println!("{word}");
    tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await??;
    Ok(())
}

fn empty_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_MICROS, 3).expect("the bounds are in order")
}

/// A payload and, where requests need not differ, its body as it is sent.
struct Prepared {
    payload: Payload,
    body: Bytes,
}

/// What the workers have in common.
struct Shared {
    target: Target,
    prepared: Vec<Prepared>,
    requests: u64,
    items_each: u64,
    unique_ids: bool,
    spread_traces: bool,
    stamp: bool,
    series: bool,
    series_copies: u64,
    retry: bool,
    retry_pause: Duration,
    /// Between the beginnings of two requests.
    interval: Option<Duration>,
    one_each: Option<Semaphore>,
    next: AtomicU64,
    next_number: AtomicU64,
    accepted_requests: AtomicU64,
    accepted_items: AtomicU64,
    accepted_errors: AtomicU64,
    failed: AtomicU64,
    retryable: AtomicU64,
    refusals: Mutex<BTreeMap<String, u64>>,
    partial: AtomicU64,
}

impl Shared {
    fn new(options: &LoadOptions) -> Result<Shared> {
        let target = Target {
            address: options.endpoint.clone(),
            protocol: options.protocol,
            signal: options.signal,
            frame_size: options.frame_size,
            compression: options.compression,
            encoding: options.encoding,
            http_prefix: options.http_prefix.clone(),
            tls: options.tls_folder.as_deref().map(Connector::new).transpose()?,
        };
        let mut prepared = Vec::with_capacity(options.variants);
        for variant in 0..options.variants as u64 {
            let seed = options.seed.wrapping_mul(1000).wrapping_add(variant);
            let mut payload = Payload::new(options.signal, options.items, seed);
            if let Some(limit) = options.request_bytes {
                payload = payload.filled_to(limit);
            }
            let body = wire_body(&target, &payload.bytes)?;
            prepared.push(Prepared { payload, body });
        }
        let items_each = prepared.iter().map(|prepared| prepared.payload.items).max().unwrap_or_default();
        Ok(Shared {
            target,
            prepared,
            requests: if options.one_each {
                (options.connections * options.in_flight) as u64
            } else {
                options.requests
            },
            items_each,
            unique_ids: options.unique_ids,
            spread_traces: options.spread_traces,
            stamp: options.stamp,
            series: options.series,
            series_copies: options.series_copies,
            retry: options.retry,
            retry_pause: Duration::from_millis(options.retry_pause_ms),
            interval: options.rate.map(|rate| Duration::from_secs(1) / rate),
            one_each: options.one_each.then(|| Semaphore::new(ONE_EACH_AT_A_TIME)),
            next: AtomicU64::new(0),
            next_number: AtomicU64::new(0),
            accepted_requests: AtomicU64::new(0),
            accepted_items: AtomicU64::new(0),
            accepted_errors: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            retryable: AtomicU64::new(0),
            refusals: Mutex::default(),
            partial: AtomicU64::new(0),
        })
    }

    fn prepared(&self, request: u64) -> &Prepared {
        &self.prepared[usize::try_from(request % self.prepared.len() as u64).expect("an index")]
    }

    /// The body of a request; if records are numbered or traces spread, by `number`, which is then the request's own.
    fn body(&self, request: u64, number: u64) -> Result<Bytes> {
        let prepared = self.prepared(request);
        if !self.unique_ids && !self.spread_traces && !self.stamp && !self.series {
            return Ok(prepared.body.clone());
        }
        let mut bytes = prepared.payload.bytes.to_vec();
        if self.series {
            let time = request / self.prepared.len() as u64;
            if self.series_copies > 1 {
                prepared.payload.rename(&mut bytes, time % self.series_copies);
            }
            prepared.payload.go_on(&mut bytes, time / self.series_copies);
        }
        if self.unique_ids {
            prepared.payload.number(&mut bytes, 1 + number * self.items_each);
        }
        if self.spread_traces {
            prepared.payload.spread(&mut bytes, number);
        }
        if self.stamp {
            prepared.payload.stamp(&mut bytes, kept::unix_nanos(SystemTime::now()));
        }
        wire_body(&self.target, &bytes.into())
    }

    fn fail(&self, status: &str, reason: &str) {
        let mut refusals = self.refusals.lock().expect("no holder of the counts panics");
        match refusals.get_mut(status) {
            Some(count) => *count += 1,
            None => _ = refusals.insert(status.to_owned(), 1),
        }
        drop(refusals);
        if self.failed.fetch_add(1, Relaxed) < FAILURES_SHOWN {
            eprintln!("request failed: {status}: {reason}");
        }
    }

    fn report(&self, wall: Duration, latencies: &Histogram<u64>) -> LoadReport {
        let accepted_items = self.accepted_items.load(Relaxed);
        let bytes: usize = self.prepared.iter().map(|prepared| prepared.body.len()).sum();
        LoadReport {
            accepted_requests: self.accepted_requests.load(Relaxed),
            accepted_items,
            accepted_errors: self.accepted_errors.load(Relaxed),
            failed: self.failed.load(Relaxed),
            retryable: self.retryable.load(Relaxed),
            refusals: self.refusals.lock().expect("no holder of the counts panics").clone(),
            partial: self.partial.load(Relaxed),
            bytes_per_request: (bytes / self.prepared.len()) as u64,
            wall_s: wall.as_secs_f64(),
            items_per_s: accepted_items as f64 / wall.as_secs_f64(),
            p50_us: latencies.value_at_quantile(0.5),
            p99_us: latencies.value_at_quantile(0.99),
            p999_us: latencies.value_at_quantile(0.999),
            max_us: latencies.max(),
        }
    }
}

/// Compresses and frames a message as the target wants it.
fn wire_body(target: &Target, message: &Bytes) -> Result<Bytes> {
    let json = match target.encoding {
        Encoding::Proto => None,
        Encoding::Json => Some(Bytes::from(Payload::json(target.signal, message)?)),
    };
    let message = json.as_ref().unwrap_or(message);
    let compressed = target.compression != Compression::None;
    let message = if compressed { target.compression.compress(message)?.into() } else { message.clone() };
    Ok(match target.protocol {
        Protocol::Grpc => body::grpc_framed(&message, compressed),
        Protocol::Http => message,
    })
}

/// Sends one request after the other until all are sent; returns their latencies in microseconds, and the
/// client so that its connection stays open.
async fn work(shared: Arc<Shared>, mut client: Client, start: Instant) -> (Vec<u64>, Client) {
    let mut latencies = Vec::new();
    // A number that was not accepted goes to the next request. So the accepted ones have no gaps but for at most one
    // for each worker, and a request that was refused and arrived all the same shows as a duplicate.
    let mut number = None;
    loop {
        // Held until the answer is there.
        let _turn = match &shared.one_each {
            Some(turns) => Some(turns.acquire().await.expect("nobody closes it")),
            None => None,
        };
        let request = shared.next.fetch_add(1, Relaxed);
        if request >= shared.requests {
            return (latencies, client);
        }
        let mut due = Instant::now();
        if let Some(interval) = shared.interval {
            // Late requests count from when they were due, so that a slow subject cannot hide behind them.
            due = start + interval.mul_f64(request as f64);
            tokio::time::sleep_until(due.into()).await;
        }
        let own = *number.get_or_insert_with(|| shared.next_number.fetch_add(1, Relaxed));
        match shared.body(request, own) {
            Ok(body) => {
                let mut accepted = attempt(&shared, &mut client, request, body.clone()).await;
                while !accepted && shared.retry {
                    tokio::time::sleep(shared.retry_pause).await;
                    accepted = attempt(&shared, &mut client, request, body.clone()).await;
                }
                if accepted {
                    number = None;
                }
                let micros = u64::try_from(due.elapsed().as_micros()).unwrap_or(LONGEST_MICROS);
                latencies.push(micros.max(1));
            }
            Err(error) => shared.fail("unsent", &format!("{error:#}")),
        }
        if shared.one_each.is_some() {
            return (latencies, client);
        }
    }
}

/// Sends a request once; says whether it was taken. A broken connection is opened anew.
async fn attempt(shared: &Shared, client: &mut Client, request: u64, body: Bytes) -> bool {
    match client.send(&shared.target, body).await {
        Ok(Answer::Refused(refusal)) => {
            if refusal.retryable {
                shared.retryable.fetch_add(1, Relaxed);
            }
            shared.fail(&refusal.status, &refusal.message);
            false
        }
        Ok(answer) => {
            shared.accepted_requests.fetch_add(1, Relaxed);
            let payload = &shared.prepared(request).payload;
            shared.accepted_items.fetch_add(payload.items, Relaxed);
            shared.accepted_errors.fetch_add(payload.failed, Relaxed);
            if answer == Answer::Partial {
                shared.partial.fetch_add(1, Relaxed);
            }
            true
        }
        Err(error) => {
            shared.fail("broken", &format!("{error:#}"));
            tokio::time::sleep(RECONNECT_PAUSE).await;
            if let Ok(fresh) = Client::connect(&shared.target).await {
                *client = fresh;
            }
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_limit_of_open_files() {
        let limits = "Limit   Soft Limit  Hard Limit  Units\nMax open files            1024   20000  files\n";
        assert_eq!(open_files(limits), Some(1024));
        assert_eq!(open_files("Max open files   unlimited  unlimited  files"), None);
    }
}
