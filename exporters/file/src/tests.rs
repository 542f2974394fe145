use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, SystemTime};

use jiff::tz::{Offset, TimeZone};
use phoenix_component::harness::{assert_example_is_valid, with_context};
use phoenix_component::{Batch, Exporter, Host, Refusal, Status};
use phoenix_config::Kind;
use phoenix_pdata::{InvalidUtf8, Signal, json};
use tempfile::TempDir;

use super::*;
use crate::groups::Pattern;
use crate::layout::{Format, Layout, Limits};
use crate::sink::{Record, Sink, WriteError, Written};
use crate::storage::{Disk, Shape, Storage, Target};

mod exporter;
mod groups;
mod sink;

/// A disk that fills up, or fails as told.
#[derive(Clone, Default)]
struct Faulty(Arc<Faults>);

struct Faults {
    /// Bytes that still fit.
    room: AtomicU64,
    no_rename: AtomicBool,
    no_truncate: AtomicBool,
    no_open: AtomicBool,
}

impl Default for Faults {
    fn default() -> Faults {
        let (no_rename, no_truncate, no_open) = Default::default();
        Faults { room: AtomicU64::new(u64::MAX), no_rename, no_truncate, no_open }
    }
}

fn unless(fails: &AtomicBool) -> io::Result<()> {
    if fails.load(SeqCst) {
        Err(io::Error::new(io::ErrorKind::PermissionDenied, "told to fail"))
    } else {
        Ok(())
    }
}

struct FaultyTarget(Box<dyn Target>, Faulty);

impl Storage for Faulty {
    fn open(&self, path: &Path) -> io::Result<Box<dyn Target>> {
        unless(&self.0.no_open)?;
        Ok(Box::new(FaultyTarget(Disk.open(path)?, self.clone())))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        unless(&self.0.no_rename)?;
        Disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        Disk.remove(path)
    }

    fn exists(&self, path: &Path) -> bool {
        Disk.exists(path)
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        Disk.names(folder)
    }

    fn create_folder(&self, folder: &Path, mode: u32) -> io::Result<()> {
        Disk.create_folder(folder, mode)
    }
}

impl Target for FaultyTarget {
    fn shape(&self, path: &Path) -> io::Result<Shape> {
        self.0.shape(path)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let room = usize::try_from(self.1.0.room.load(SeqCst)).unwrap_or(usize::MAX);
        if bytes.len() <= room {
            self.1.0.room.fetch_sub(bytes.len() as u64, SeqCst);
            return self.0.append(bytes);
        }
        self.1.0.room.store(0, SeqCst);
        self.0.append(&bytes[..room])?;
        Err(io::ErrorKind::StorageFull.into())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        unless(&self.1.0.no_truncate)?;
        self.0.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }
}

/// 2022-09-14 05:02:14.173 UTC.
fn september() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(1_663_131_734_173)
}

fn text(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn names(folder: &TempDir) -> Vec<String> {
    let mut names = Disk.names(folder.path()).expect("a folder");
    names.sort();
    names
}

/// Logs with a body each, one resource for each of `services`.
fn logs(services: &[&str], body: &str) -> Batch {
    let resource = |service: &&str| {
        serde_json::json!({
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]},
            "scopeLogs": [{"logRecords": [{"body": {"stringValue": body}}]}],
        })
    };
    let entries: Vec<_> = services.iter().map(resource).collect();
    batch(Signal::Logs, &serde_json::json!({"resourceLogs": entries}).to_string())
}

fn batch(signal: Signal, text: &str) -> Batch {
    let (payload, counts) = json::decode(signal, text.as_bytes(), InvalidUtf8::Pass).expect("OTLP/JSON");
    Batch::new(signal, payload, counts.items)
}

#[test]
fn the_examples_of_the_readme_are_valid() {
    for id in ["file", "file/rotated", "file/per_service"] {
        assert_example_is_valid(&FileFactory, include_str!("../README.md"), &format!("exporters::{id}"));
    }
}
