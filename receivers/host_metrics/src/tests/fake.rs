//! A host that is a folder.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use phoenix_config::decode_text;
use phoenix_pdata::{InvalidUtf8, Signal, validate};
use serde_json::Value;
use tempfile::TempDir;

use crate::HostMetricsConfig;
use crate::host::Paths;
use crate::round::{Moment, Round, Scraped};
use crate::scrapers::{Constants, Space};

pub(crate) const BOOT: u64 = 1_700_000_000_000_000_000;
pub(crate) const NOW: u64 = BOOT + 1_000_000_000_000;

const FILES: [(&str, &str); 13] = [
    (
        "proc/stat",
        "cpu  110 0 55 200 5 0 0 0 0 0\ncpu0 100 0 50 100 0 0 0 0 0 0\ncpu1 10 0 5 100 5 0 0 0 0 0\nbtime 1700000000\nprocesses 77\nprocs_running 0\nprocs_blocked 0\n",
    ),
    ("proc/loadavg", "0.50 1.25 2.00 1/2 3\n"),
    ("proc/uptime", "1000.75 1.0\n"),
    (
        "proc/meminfo",
        "MemTotal: 1000 kB\nMemFree: 100 kB\nMemAvailable: 400 kB\nBuffers: 10 kB\nCached: 20 kB\nSReclaimable: 5 kB\nSUnreclaim: 6 kB\n",
    ),
    ("proc/vmstat", "pgpgin 1\npgpgout 2\npswpin 3\npswpout 4\npgfault 40\npgmajfault 4\n"),
    ("proc/swaps", "Filename Type Size Used Priority\n/dev/sdb1 partition 8 2 -2\n"),
    ("proc/diskstats", "8 0 sda 10 1 80 5 20 2 160 7 3 9 12\n"),
    ("proc/net/dev", "h\nh\neth0: 100 1 2 3 0 0 0 0 200 4 5 6 0 0 0 0\n"),
    ("proc/net/tcp", "h\n 0: 0100007F:1F90 00000000:0000 0A 0:0\n"),
    ("proc/filesystems", "nodev\ttmpfs\n\text4\n"),
    (
        "proc/1/mountinfo",
        "1 0 8:1 / /data rw - ext4 /dev/sda1 rw\n2 0 0:1 / /tmp rw - tmpfs none rw\n3 0 8:2 / /broken ro - ext4 /dev/sda2 ro\n1 0 8:1 / /data rw - ext4 /dev/sda1 rw\n",
    ),
    ("etc/passwd", "root:x:0:0::/root:/bin/sh\n"),
    ("proc/cpuinfo", "processor : 0\n\nprocessor : 1\n"),
];

pub(crate) struct FakeHost(TempDir);

impl FakeHost {
    pub(crate) fn new() -> FakeHost {
        let host = FakeHost(tempfile::tempdir().expect("made"));
        FILES.iter().for_each(|(path, text)| host.write(path, text));
        host
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }

    /// Gives it an NFS client and an NFS server.
    pub(crate) fn nfs(&self) {
        self.write("proc/net/rpc/nfs", "net 8 3 5 1\nrpc 220 7 6\nproc3 3 1 20 30\nproc4 2 1 40\n");
        self.write(
            "proc/net/rpc/nfsd",
            "rc 7 8 9\nfh 2 0 0 0 0\nio 1000 2000\nth 8 0 0.000\nnet 9 4 5 2\nrpc 90 6 1 2 3\nproc3 2 1 50\nproc4 2 1 60\nproc4ops 4 0 0 0 70\n",
        );
    }

    pub(crate) fn path(&self, path: &str) -> std::path::PathBuf {
        self.0.path().join(path)
    }

    pub(crate) fn remove(&self, path: &str) {
        fs::remove_file(self.0.path().join(path)).expect("removed");
    }

    /// A process with ten ticks of user time, which started at so many ticks.
    pub(crate) fn process(&self, pid: u32, name: &str, parent: u32, started: u64) {
        self.process_with(pid, name, parent, started, 100);
    }

    pub(crate) fn process_with(&self, pid: u32, name: &str, parent: u32, started: u64, user: u64) {
        let file = |name: &str| format!("proc/{pid}/{name}");
        self.write(
            &file("stat"),
            &format!("{pid} ({name}) S {parent} 2 3 0 -1 0 100 0 7 0 {user} 50 0 0 20 0 3 0 {started} 4096000 25 1 2 3\n"),
        );
        self.write(&file("io"), "rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\n");
        self.write(&file("status"), "Uid:\t0\t0\t0\t0\n");
        self.write(&file("cmdline"), &format!("/bin/{name}\0-x\0"));
        let exe = self.0.path().join(file("exe"));
        let _ = fs::remove_file(&exe);
        std::os::unix::fs::symlink(format!("/bin/{name}"), exe).expect("linked");
    }

    pub(crate) fn remove_process(&self, pid: u32) {
        fs::remove_dir_all(self.0.path().join(format!("proc/{pid}"))).expect("removed");
    }

    pub(crate) fn round(&self, yaml: &str) -> Round {
        let config = decode_text::<HostMetricsConfig>(yaml).unwrap_or_else(|problems| panic!("{problems}"));
        let paths = Paths::new(&self.0.path().to_string_lossy(), |_| None);
        let constants = Constants { ticks_per_second: 100, page_size: 4096 };
        Round::new(&config, paths, constants, "1").expect("settings")
    }

    pub(crate) fn scrape(&self, round: &mut Round, now: u64) -> Scraped {
        let now = UNIX_EPOCH + Duration::from_nanos(now);
        let scraped = round.scrape("host_metrics", &Moment { now, is_late: &|| false, space: &space });
        let bytes = bytes::Bytes::from(scraped.bytes.clone());
        let (_, counts) = validate(Signal::Metrics, bytes, InvalidUtf8::Reject).expect("a request");
        assert_eq!(counts.items, scraped.points);
        scraped
    }

    pub(crate) fn scrape_once(&self, yaml: &str) -> Scraped {
        self.scrape(&mut self.round(yaml), NOW)
    }
}

/// The space of every filesystem but that at `/broken`.
pub(crate) fn space(path: &Path) -> io::Result<Space> {
    match path.ends_with("broken") {
        true => Err(io::Error::other("it does not answer")),
        false => Ok(Space { total: 1000, used: 600, free: 300, inodes_used: 5, inodes_free: 6 }),
    }
}

/// A point with what is around it.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) resource: String,
    pub(crate) scope: String,
    pub(crate) name: String,
    pub(crate) unit: String,
    /// `gauge`, `counter` or `up_down_counter`, and `int` or `double`.
    pub(crate) kind: String,
    pub(crate) labels: String,
    pub(crate) start: u64,
    pub(crate) time: u64,
    pub(crate) value: f64,
}

fn labels(of: &Value) -> String {
    let text = |value: &Value| {
        let value = &value["value"];
        let int = value["intValue"].as_str().map(str::to_owned);
        int.or_else(|| value["stringValue"].as_str().map(str::to_owned)).unwrap_or_default()
    };
    let pairs = of["attributes"].as_array().into_iter().flatten();
    let pairs: Vec<String> =
        pairs.map(|pair| format!("{}={}", pair["key"].as_str().unwrap_or_default(), text(pair))).collect();
    pairs.join(" ")
}

fn array<'v>(of: &'v Value, key: &str) -> impl Iterator<Item = &'v Value> {
    of[key].as_array().into_iter().flatten()
}

/// The points of a request.
pub(crate) fn read(bytes: &[u8]) -> Vec<Row> {
    let payload = phoenix_pdata::Payload::from(bytes::Bytes::copy_from_slice(bytes));
    let mut json = Vec::new();
    phoenix_pdata::json::encode(Signal::Metrics, &payload, &mut json);
    read_json(&serde_json::from_slice(&json).expect("JSON"))
}

/// The points of a request in JSON.
pub(crate) fn read_json(request: &Value) -> Vec<Row> {
    let mut rows = Vec::new();
    for resource in array(request, "resourceMetrics") {
        for scope in array(resource, "scopeMetrics") {
            for metric in array(scope, "metrics") {
                let sum = &metric["sum"];
                let (kind, data) = match (sum.is_object(), sum["isMonotonic"] == true) {
                    (true, true) => ("counter", sum),
                    (true, false) => ("up_down_counter", sum),
                    (false, _) => ("gauge", &metric["gauge"]),
                };
                assert!(kind == "gauge" || sum["aggregationTemporality"] == 2, "{metric}");
                for point in array(data, "dataPoints") {
                    let number = |key: &str| point[key].as_str().and_then(|text| text.parse::<u64>().ok());
                    let int = number("asInt");
                    rows.push(Row {
                        resource: labels(&resource["resource"]),
                        scope: scope["scope"]["name"].as_str().unwrap_or_default().to_owned(),
                        name: metric["name"].as_str().unwrap_or_default().to_owned(),
                        unit: metric["unit"].as_str().unwrap_or_default().to_owned(),
                        kind: format!("{kind} {}", if int.is_some() { "int" } else { "double" }),
                        labels: labels(point),
                        start: number("startTimeUnixNano").unwrap_or(0),
                        time: number("timeUnixNano").unwrap_or(0),
                        value: int.map(|int| int as f64).or(point["asDouble"].as_f64()).expect("a value"),
                    });
                }
            }
        }
    }
    rows
}
