use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::backend::Behaviour;
use crate::binary::shell;
use crate::books;
use crate::scene::{Scene, files};
use crate::setting;
use crate::shim::Shim;

/// A small file system in memory, at a path.
struct Small(PathBuf);

impl Small {
    /// None where the test may not mount one.
    fn mount(path: &Path, size: &str) -> Option<Small> {
        std::fs::create_dir_all(path).expect("a folder");
        let size = format!("size={size}");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(path).output();
        mount.is_ok_and(|output| output.status.success()).then(|| Small(path.to_owned()))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_for_now_and_costs_nothing_accepted() {
    let mut scene = Scene::new("", "num_consumers: 4,").await;
    let Some(_small) = Small::mount(&scene.queue, "1m") else {
        return eprintln!("skipped: no file system may be mounted here");
    };
    scene.backend.kill().await;
    let collector = scene.start();
    let load = scene.load(8);
    load.refused(50).await;
    collector.wait_for_log("cannot write to the queue on disk: No space left on device");
    // It also starts on a full disk, after a crash.
    drop(collector);
    let collector = scene.start();
    load.refused(load.refusals() + 20).await;
    // A changed exporter takes the queue over, and there is still no room.
    scene.swap(&collector);
    collector.wait_for_log("configuration applied");
    load.refused(load.refusals() + 20).await;
    scene.backend.revive().await;
    // What goes out makes room.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let accepted = load.stop().await;
    scene.closes(accepted).await;
    books::close(scene.metrics);
    assert_eq!(collector.terminate(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_on_the_size_of_files_is_an_error_like_another() {
    let mut scene = Scene::new("", "num_consumers: 4,").await;
    let path = scene.configure("timeout: 2s");
    scene.backend.kill().await;
    // In blocks of 512 bytes or 1 KiB: segments are larger.
    let collector = shell("ulimit -f 400; exec phoenix-collector \"$@\"")
        .arg(format!("--config={}", path.display()))
        .start_with_metrics();
    let load = scene.load(8);
    load.refused(3).await;
    scene.swap(&collector);
    collector.wait_for_log("configuration applied");
    scene.backend.revive().await;
    let accepted = load.stop().await;
    scene.closes(accepted).await;
    books::close(scene.metrics);
    assert_eq!(collector.terminate(), 0);
}

/// Fails every so many writes to files, half-way through, and as many waits for the disk; 0 for none.
const FAILING: &str = r#"
static unsigned long long count;

static int fails(int fd) {
  struct stat status;
  long long one_in = knob ? *knob : 0;
  if (one_in == 0 || fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) return 0;
  return __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED) % one_in == 0;
}

static int no(void) {
  errno = EIO;
  return -1;
}

ssize_t write(int fd, const void *from, size_t len) {
  if (!fails(fd)) return syscall(SYS_write, fd, from, len);
  syscall(SYS_write, fd, from, len / 2);
  return no();
}

ssize_t writev(int fd, const struct iovec *from, int parts) {
  if (!fails(fd)) return syscall(SYS_writev, fd, from, parts);
  syscall(SYS_write, fd, from[0].iov_base, from[0].iov_len / 2);
  return no();
}

int fdatasync(int fd) { return fails(fd) ? no() : syscall(SYS_fdatasync, fd); }
int fsync(int fd) { return fails(fd) ? no() : syscall(SYS_fsync, fd); }
int ftruncate64(int fd, off_t len) { return fails(fd) ? no() : syscall(SYS_ftruncate, fd, len); }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_returns_errors_costs_nothing_accepted_over_changes_and_kills() {
    let Some(disk) = Shim::build(FAILING) else {
        return eprintln!("skipped: there is no C compiler");
    };
    let scene = Scene::new("fsync: true,", "num_consumers: 4,").await;
    let start = || disk.before(scene.command()).start_with_metrics();
    let mut collector = start();
    let load = scene.load(8);
    let rounds = setting("FAULTS_ROUNDS", 4).min(40);
    let mut refused = 0;
    for round in 0..rounds {
        scene.backend.behave(if round % 2 == 0 { Behaviour::RefuseOneIn(2) } else { Behaviour::Accept });
        // One in seven, one in two, every one.
        disk.set([7, 2, 1][round as usize % 3]);
        refused += 5;
        load.refused(refused).await;
        scene.swap(&collector);
        tokio::time::sleep(Duration::from_millis(100)).await;
        if round % 2 == 1 {
            drop(collector);
            disk.set(0);
            collector = start();
        } else {
            disk.set(0);
            collector.wait_for_log("configuration applied");
        }
        refused = load.refusals();
    }
    scene.backend.behave(Behaviour::Accept);
    let accepted = load.stop().await;
    scene.closes(accepted).await;
    books::close(scene.metrics);
    assert_eq!(collector.terminate(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_in_bytes_refuses_for_now() {
    let mut scene = Scene::new("max_size: 1048576,", "num_consumers: 4,").await;
    scene.backend.kill().await;
    let collector = scene.start();
    let load = scene.load(8);
    load.refused(50).await;
    collector.wait_for_log("the log has reached its limit of 1048576 bytes");
    scene.backend.revive().await;
    let accepted = load.stop().await;
    scene.closes(accepted).await;
    assert_eq!(collector.terminate(), 0);
}

/// A queue with a backlog and nobody who works on it; what was accepted into it.
async fn backlog(scene: &mut Scene) -> std::collections::BTreeSet<u64> {
    scene.backend.kill().await;
    let collector = scene.start();
    let load = scene.load(4);
    load.accepted(100).await;
    let accepted = load.stop().await;
    drop(collector);
    scene.backend.revive().await;
    accepted
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_costs_what_is_damaged_and_is_said() {
    let mut scene = Scene::new("", "num_consumers: 4,").await;
    let accepted = backlog(&mut scene).await;
    let segment = scene.segments().remove(0);
    let mut bytes = std::fs::read(&segment).expect("readable");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&segment, bytes).expect("written");
    let collector = scene.start();
    collector.wait_for_log("segments of the queue on disk are damaged and set aside");
    assert!(scene.backend.gets_spans((accepted.len() - 1) * 5).await, "all but one request");
    assert_eq!(collector.terminate(), 0);
    let aside = files(segment.parent().expect("a folder"), ".corrupt");
    assert_eq!(aside.len(), 1, "it is kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_is_refused_and_the_first_goes_on() {
    let scene = Scene::new("timeout: 10ms,", "num_consumers: 4,").await;
    let first = scene.start();
    let second = scene.command().arg("--set=service.telemetry.metrics.level=none").finish();
    assert_eq!(second.code, 1, "{}", second.stderr);
    assert!(second.stderr.contains("is in use by another process"), "{}", second.stderr);
    assert!(second.stderr.contains("file_storage"), "{}", second.stderr);
    let load = scene.load(2);
    load.accepted(50).await;
    let accepted = load.stop().await;
    scene.closes(accepted).await;
    assert_eq!(first.terminate(), 0);
}

/// The same queue on a file system that is mounted for reading only, as the kernel leaves one with errors.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_cannot_be_written_stops_the_start_and_is_left_alone() {
    let mut scene = Scene::new("", "num_consumers: 4,").await;
    let accepted = backlog(&mut scene).await;
    let path = scene.configure("timeout: 2s");
    let queue = scene.queue.display();
    let read_only = format!("mount --bind '{queue}' '{queue}' && mount -o remount,bind,ro '{queue}'");
    if shell(&format!("unshare --map-root-user --mount sh -c \"{read_only}\"")).finish().code != 0 {
        return eprintln!("skipped: nothing may be mounted here");
    }
    let line = format!(
        "exec unshare --map-root-user --mount sh -c \"{read_only} && exec phoenix-collector \\\"\\$@\\\"\" sh \"$@\""
    );
    let refused = shell(&line).arg(format!("--config={}", path.display())).finish();
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(refused.stderr.contains("Read-only file system"), "{}", refused.stderr);
    assert!(refused.stderr.contains("file_storage"), "{}", refused.stderr);
    // Once it can be, everything is there.
    let collector = scene.start();
    scene.closes(accepted).await;
    assert_eq!(collector.terminate(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_format_is_refused_and_left_alone() {
    let mut scene = Scene::new("", "num_consumers: 4,").await;
    backlog(&mut scene).await;
    let segment = scene.segments().remove(0);
    let mut bytes = std::fs::read(&segment).expect("readable");
    // Version 2, and the checksum of the beginning with it: CRC-32C, bit by bit.
    bytes[8] = 2;
    let crc = bytes[..12].iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg()))
    });
    bytes[12..16].copy_from_slice(&(!crc).to_le_bytes());
    std::fs::write(&segment, &bytes).expect("written");
    let refused = scene.command().arg("--set=service.telemetry.metrics.level=none").finish();
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    let text = "has format 2, and this version of Phoenix knows format 1";
    assert!(refused.stderr.contains(text), "{}", refused.stderr);
    assert_eq!(std::fs::read(&segment).expect("there"), bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_copied_while_it_is_in_use_is_read_as_far_as_it_goes() {
    let mut scene = Scene::new("", "num_consumers: 4,").await;
    scene.backend.kill().await;
    let collector = scene.start();
    let load = scene.load(4);
    load.accepted(100).await;
    let copy = tempfile::TempDir::new().expect("a folder");
    let copied = Command::new("cp").arg("-r").arg(scene.queue.join(".")).arg(copy.path()).status();
    assert!(copied.expect("cp runs").success());
    let accepted = load.stop().await;
    drop(collector);
    scene.backend.revive().await;
    let original = std::mem::replace(&mut scene.queue, copy.path().to_owned());
    let collector = scene.start();
    assert!(scene.backend.gets_spans(20).await, "what was there when it was copied comes");
    assert_eq!(collector.terminate(), 0);
    scene.queue = original;
    let collector = scene.start();
    scene.closes(accepted).await;
    assert_eq!(collector.terminate(), 0);
}
