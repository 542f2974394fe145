use std::collections::HashSet;
use std::io;
use std::path::Path;

use super::{Failures, Scene, Scraper, put_host};
use crate::catalog::FilesystemMetric;
use crate::config::{FilesystemConfig, Filter, Switches};
use crate::host::{self, ReadError};
use crate::output::{Output, text};
use crate::parse::{Mount, filesystems, mounts, plain_mounts};

/// The space of a filesystem: bytes and inodes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Space {
    pub(crate) total: u64,
    pub(crate) used: u64,
    /// For users other than root.
    pub(crate) free: u64,
    pub(crate) inodes_used: u64,
    pub(crate) inodes_free: u64,
}

/// Asks the kernel.
///
/// # Errors
/// Those of `statvfs`.
pub(crate) fn space(path: &Path) -> io::Result<Space> {
    let stat = rustix::fs::statvfs(path)?;
    let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
    Ok(Space {
        total: bytes(stat.f_blocks),
        used: bytes(stat.f_blocks.saturating_sub(stat.f_bfree)),
        free: bytes(stat.f_bavail),
        inodes_used: stat.f_files.saturating_sub(stat.f_ffree),
        inodes_free: stat.f_ffree,
    })
}

/// Mounted filesystems.
pub(crate) struct Filesystem {
    switches: Switches<FilesystemMetric>,
    include_virtual: bool,
    devices: Filter,
    types: Filter,
    mount_points: Filter,
}

/// A filesystem that is meant.
struct Found {
    device: String,
    mount_point: String,
    kind: String,
    mode: &'static str,
    space: Space,
}

impl Found {
    fn attributes(&self) -> [(&str, &str); 4] {
        [
            ("device", &self.device),
            ("mode", self.mode),
            ("mountpoint", &self.mount_point),
            ("type", &self.kind),
        ]
    }

    fn with_state<'a>(&'a self, state: &'a str) -> [(&'a str, &'a str); 5] {
        let [device, mode, mount_point, kind] = self.attributes();
        [device, mode, mount_point, kind, ("state", state)]
    }
}

impl Filesystem {
    pub(crate) fn new(config: &FilesystemConfig) -> Result<Filesystem, regex::Error> {
        Ok(Filesystem {
            switches: config.metrics.clone(),
            include_virtual: config.include_virtual_filesystems,
            devices: Filter {
                include: config.include_devices.matcher()?,
                exclude: config.exclude_devices.matcher()?,
            },
            types: Filter {
                include: config.include_fs_types.matcher()?,
                exclude: config.exclude_fs_types.matcher()?,
            },
            mount_points: Filter {
                include: config.include_mount_points.matcher()?,
                exclude: config.exclude_mount_points.matcher()?,
            },
        })
    }

    /// Reads the list of mounts, and says whether it is in the new form: those of the first process are those of the
    /// host; where it may not be read, one's own.
    fn read_mounts(scene: &mut Scene<'_>) -> Result<bool, ReadError> {
        if let Some(path) = &scene.paths.mountinfo {
            return host::read_into(path, scene.buffer).map(|()| true);
        }
        let mut first_error = None;
        for (file, is_info) in
            [("1/mountinfo", true), ("1/mounts", false), ("self/mountinfo", true), ("self/mounts", false)]
        {
            match host::read_into(&scene.paths.proc.join(file), scene.buffer) {
                Ok(()) => return Ok(is_info),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        // The list above has four entries.
        Err(first_error.expect("at least one file was tried"))
    }

    /// The device behind `/dev/root` and the links of the device mapper.
    fn device(scene: &Scene<'_>, mount: &Mount<'_>) -> String {
        let device = text(&mount.device).into_owned();
        if device.starts_with("/dev/mapper/") {
            let path = scene.paths.dev.join(device.trim_start_matches("/dev/"));
            return match std::fs::canonicalize(path) {
                Ok(path) => path.to_string_lossy().into_owned(),
                Err(_) => device,
            };
        }
        if device == "/dev/root" {
            let link = scene.paths.sys.join("dev/block").join(&*text(mount.device_number));
            let target = host::read_link(&link).ok();
            if let Some(name) = target.as_deref().and_then(Path::file_name) {
                return format!("/dev/{}", name.to_string_lossy());
            }
        }
        device
    }
}

impl Scraper for Filesystem {
    fn name(&self) -> &'static str {
        "filesystem"
    }

    fn metrics(&self) -> u64 {
        self.switches.count()
    }

    fn scrape(&mut self, scene: &mut Scene<'_>, out: &mut Output, failures: &mut Failures) {
        let mut types = Vec::new();
        if !self.include_virtual
            && let Err(error) = host::read_into(&scene.paths.proc.join("filesystems"), &mut types)
        {
            return failures.add(self.metrics(), error);
        }
        let types: HashSet<&[u8]> = filesystems(&types).collect();
        let is_info = match Filesystem::read_mounts(scene) {
            Ok(is_info) => is_info,
            Err(error) => return failures.add(self.metrics(), error),
        };
        let list = std::mem::take(scene.buffer);
        let all: Vec<Mount<'_>> =
            if is_info { mounts(&list).collect() } else { plain_mounts(&list).collect() };
        let mut seen = HashSet::new();
        let mut found = Vec::new();
        let mut unread = 0;
        for mount in &all {
            if !self.include_virtual && (*mount.device == *b"none" || !types.contains(mount.kind)) {
                continue;
            }
            let device = Filesystem::device(scene, mount);
            let mount_point = text(&mount.path).into_owned();
            let kind = text(mount.kind).into_owned();
            if !seen.insert((mount_point.clone(), device.clone()))
                || !self.devices.takes(&device)
                || !self.types.takes(&kind)
                || !self.mount_points.takes(&mount_point)
            {
                continue;
            }
            if (scene.is_late)() {
                unread += 1;
                continue;
            }
            let path = match scene.paths.mountinfo {
                // It lists paths as this process sees them.
                Some(_) => mount_point.clone().into(),
                None => scene.paths.inside(&mount_point),
            };
            match (scene.space)(&path) {
                Ok(space) => found.push(Found { device, mount_point, kind, mode: mount.mode, space }),
                Err(error) => failures.add(0, format!("{}: {error}", path.display())),
            }
        }
        if unread > 0 {
            failures.add(0, format!("the time was over before {unread} filesystems were asked"));
        }
        if found.is_empty() && failures.count > 0 {
            failures.metrics += self.metrics();
        }
        put_host(out, "filesystem", &self.switches, scene.times(), |metrics| {
            metrics.put(FilesystemMetric::Inodes, |points| {
                for one in &found {
                    points.int(one.space.inodes_used, &one.with_state("used"));
                    points.int(one.space.inodes_free, &one.with_state("free"));
                }
            });
            metrics.put(FilesystemMetric::Usage, |points| {
                for one in &found {
                    let Space { total, used, free, .. } = one.space;
                    points.int(used, &one.with_state("used"));
                    points.int(free, &one.with_state("free"));
                    points.int(total.saturating_sub(used).saturating_sub(free), &one.with_state("reserved"));
                }
            });
            metrics.put(FilesystemMetric::Utilization, |points| {
                for one in &found {
                    let usable = one.space.used.saturating_add(one.space.free);
                    let share = if usable == 0 { 0.0 } else { one.space.used as f64 / usable as f64 };
                    points.double(share, &one.attributes());
                }
            });
        });
        drop(all);
        *scene.buffer = list;
    }
}
