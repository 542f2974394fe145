use std::io::Read as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use phoenix_component::Host;
use phoenix_component::harness::assert_example_is_valid;
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;

/// `profile.proto` as another implementation reads it.
mod proto {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Profile {
        #[prost(message, repeated, tag = "1")]
        pub(super) sample_type: Vec<ValueType>,
        #[prost(message, repeated, tag = "2")]
        pub(super) sample: Vec<Sample>,
        #[prost(message, repeated, tag = "4")]
        pub(super) location: Vec<Location>,
        #[prost(message, repeated, tag = "5")]
        pub(super) function: Vec<Function>,
        #[prost(string, repeated, tag = "6")]
        pub(super) string_table: Vec<String>,
        #[prost(int64, tag = "9")]
        pub(super) time_nanos: i64,
        #[prost(int64, tag = "12")]
        pub(super) period: i64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct ValueType {
        #[prost(int64, tag = "1")]
        pub(super) kind: i64,
        #[prost(int64, tag = "2")]
        pub(super) unit: i64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Sample {
        #[prost(uint64, repeated, tag = "1")]
        pub(super) location_id: Vec<u64>,
        #[prost(int64, repeated, tag = "2")]
        pub(super) value: Vec<i64>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Location {
        #[prost(uint64, tag = "1")]
        pub(super) id: u64,
        #[prost(message, repeated, tag = "4")]
        pub(super) line: Vec<Line>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Line {
        #[prost(uint64, tag = "1")]
        pub(super) function_id: u64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Function {
        #[prost(uint64, tag = "1")]
        pub(super) id: u64,
        #[prost(int64, tag = "2")]
        pub(super) name: i64,
    }
}

fn decode(zipped: &[u8]) -> proto::Profile {
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(zipped).read_to_end(&mut bytes).expect("gzip");
    proto::Profile::decode(&*bytes).expect("profile.proto")
}

/// The names of the functions in a profile; every reference in it must hold.
fn functions(profile: &proto::Profile) -> Vec<String> {
    assert_eq!(profile.string_table[0], "");
    for sample in &profile.sample {
        assert_eq!(sample.value.len(), profile.sample_type.len());
        for id in &sample.location_id {
            let location = profile.location.iter().find(|location| location.id == *id).expect("a location");
            for line in &location.line {
                assert!(profile.function.iter().any(|function| function.id == line.function_id));
            }
        }
    }
    profile.function.iter().map(|function| profile.string_table[function.name as usize].clone()).collect()
}

async fn get(address: SocketAddr, path: &str) -> (u16, Vec<u8>) {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("read");
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    let status = std::str::from_utf8(&answer[9..12]).expect("text").parse().expect("a status");
    (status, answer[end + 4..].to_vec())
}

#[inline(never)]
fn burn_until(end: Instant) -> u64 {
    let mut sum = 0u64;
    while Instant::now() < end {
        for n in 0..10_000u64 {
            sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(n));
        }
    }
    sum
}

async fn started(host: &Host, config: PprofConfig) -> (Pprof, SocketAddr) {
    let pprof = Pprof::new(config, "pprof", Arc::default());
    pprof.start(host).await.expect("started");
    let address = pprof.local_addr().expect("listens");
    (pprof, address)
}

fn soon() -> tokio::time::Instant {
    tokio::time::Instant::now() + Duration::from_secs(10)
}

/// One test for all that samples: there is one profiler in a process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cpu_time_is_seen_where_it_is_spent() {
    let host = Host::for_tests();
    let local = PprofConfig { endpoint: "127.0.0.1:0".into(), ..PprofConfig::default() };
    let (pprof, address) = started(&host, local.clone()).await;
    let burning = std::thread::spawn(|| burn_until(Instant::now() + Duration::from_millis(1500)));
    let first = tokio::spawn(async move { get(address, "/debug/pprof/profile?seconds=1").await });
    // A second one is refused while the first is taken, however the two are ordered.
    let second = get(address, "/debug/pprof/profile?seconds=1").await;
    let first = first.await.expect("answered");
    let mut statuses = [first.0, second.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
    let profile = decode(if first.0 == 200 { &first.1 } else { &second.1 });
    burning.join().expect("burnt");
    assert_eq!(profile.period, 10_000_000);
    let types: Vec<_> =
        profile.sample_type.iter().map(|t| profile.string_table[t.kind as usize].as_str()).collect();
    assert_eq!(types, ["samples", "cpu"]);
    let names = functions(&profile);
    assert!(names.iter().any(|name| name.contains("burn_until")), "{names:?}");
    pprof.stop(soon()).await;

    // The whole run into a file, over a change of the settings.
    let folder = tempfile::tempdir().expect("made");
    let file = folder.path().join("cpu.pb.gz");
    let saving = PprofConfig { save_to_file: file.to_string_lossy().into_owned(), ..local };
    let saved = Arc::<SavedProfile>::default();
    let old = Pprof::new(saving.clone(), "pprof", saved.clone());
    old.start(&host).await.expect("started");
    let next = Pprof::new(PprofConfig { mutex_profile_fraction: 1, ..saving }, "pprof", saved);
    next.start(&host).await.expect("started while the other still samples");
    old.stop(soon()).await;
    assert_eq!(std::fs::read(&file).expect("there").len(), 0, "the successor goes on");
    burn_until(Instant::now() + Duration::from_millis(300));
    next.stop(soon()).await;
    assert!(!decode(&std::fs::read(&file).expect("there")).sample.is_empty());
}

#[tokio::test]
async fn memory_threads_and_the_rest_are_told() {
    let host = Host::for_tests();
    let (pprof, address) =
        started(&host, PprofConfig { endpoint: "127.0.0.1:0".into(), ..PprofConfig::default() }).await;
    let (status, heap) = get(address, "/debug/pprof/heap").await;
    assert_eq!(status, 200);
    let profile = decode(&heap);
    let resident: i64 = profile.sample.iter().map(|sample| sample.value[2]).sum();
    assert!(resident > 1 << 20 && profile.time_nanos > 0, "{resident}");
    assert!(functions(&profile).iter().any(|name| name.contains("heap") || name.contains("anonymous")));
    let text = async |path: &str| String::from_utf8(get(address, path).await.1).expect("UTF-8");
    let told = text("/debug/pprof/heap?debug=1").await;
    assert!(told.contains("VmRSS") && told.contains("limit:\tunlimited"), "{told}");
    assert!(text("/debug/pprof/threads").await.contains("threads; CPU time"));
    assert!(text("/debug/pprof/").await.contains("/debug/pprof/profile"));
    assert!(get(address, "/debug/pprof/cmdline").await.0 == 200);
    for (path, status) in [
        ("/debug/pprof/profile?seconds=0", 400),
        ("/debug/pprof/profile?seconds=601", 400),
        ("/debug/pprof/profile?seconds=x", 400),
        ("/debug/pprof/goroutine", 404),
        ("/debug/pprof/mutex", 404),
        ("/", 404),
    ] {
        assert_eq!(get(address, path).await.0, status, "{path}");
    }
    assert!(text("/debug/pprof/allocs").await.contains("keeps no record"));
    pprof.stop(soon()).await;
}

#[tokio::test]
async fn a_file_that_cannot_be_written_stops_the_start() {
    let config = PprofConfig {
        endpoint: "127.0.0.1:0".into(),
        save_to_file: "/nowhere/cpu.pb.gz".into(),
        ..PprofConfig::default()
    };
    let pprof = Pprof::new(config, "pprof", Arc::default());
    let error = pprof.start(&Host::for_tests()).await.expect_err("no such folder").to_string();
    assert!(error.contains("/nowhere/cpu.pb.gz"), "{error}");
}

#[test]
fn the_example_of_the_readme_is_valid_and_bad_settings_are_not() {
    assert_example_is_valid(&PprofFactory, include_str!("../README.md"), "extensions::pprof");
    for bad in ["{endpoint: ''}", "{block_profile_fraction: x}", "{tls: {}}"] {
        assert!(phoenix_config::decode_text::<PprofConfig>(bad).is_err(), "{bad}");
    }
}
