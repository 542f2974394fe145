//! The names of replaced files, and which of them are removed.
//!
//! `data.json` becomes `data-2022-09-14T05-02-14.173.json`, as otelcol's exporter documents. Newer versions
//! of that add the reason (`-size`, `-time`); such names are understood too, so that files which it left
//! are removed in their turn.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::layout::Limits;
use crate::storage::Storage;

const STAMP: &str = "%Y-%m-%dT%H-%M-%S%.3f";
/// Length of a time in a name.
const STAMP_LEN: usize = 23;
const REASONS: [&str; 3] = ["", "-size", "-time"];
/// Names that are tried, a millisecond apart, where files of that time are there already.
const ATTEMPTS: u64 = 1000;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The parts of a file's name that those of its replaced ones share.
#[derive(Debug)]
struct Name<'a> {
    folder: &'a Path,
    stem: String,
    /// With the dot.
    extension: String,
}

impl<'a> Name<'a> {
    fn of(path: &'a Path) -> Name<'a> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (stem, extension) = match name.rfind('.') {
            Some(dot) => (name[..dot].to_owned(), name[dot..].to_owned()),
            None => (name, String::new()),
        };
        Name { folder: path.parent().unwrap_or(Path::new("")), stem, extension }
    }

    fn backup(&self, time: Timestamp, zone: &TimeZone) -> PathBuf {
        let stamp = zone.to_datetime(time).strftime(STAMP).to_string();
        self.folder.join(format!("{}-{stamp}{}", self.stem, self.extension))
    }

    /// When the file of that name was replaced, if it is one of ours.
    fn replaced_at(&self, name: &str, zone: &TimeZone) -> Option<Timestamp> {
        let middle = name.strip_prefix(&self.stem)?.strip_prefix('-')?.strip_suffix(&self.extension)?;
        let (stamp, reason) = middle.split_at_checked(STAMP_LEN)?;
        let time = DateTime::strptime("%Y-%m-%dT%H-%M-%S%.f", stamp).ok()?;
        if REASONS.contains(&reason) { zone.to_timestamp(time).ok() } else { None }
    }
}

fn zone(limits: &Limits, local: &TimeZone) -> TimeZone {
    if limits.localtime { local.clone() } else { TimeZone::UTC }
}

/// A name for the file at `path` to be moved to at `now`, that no file has.
pub(crate) fn backup_name(
    storage: &dyn Storage,
    path: &Path,
    limits: &Limits,
    local: &TimeZone,
    now: SystemTime,
) -> std::io::Result<PathBuf> {
    let name = Name::of(path);
    let now = Timestamp::try_from(now).map_err(std::io::Error::other)?;
    for millis in 0..ATTEMPTS {
        let backup = name.backup(now + Duration::from_millis(millis), &zone(limits, local));
        if !storage.exists(&backup) {
            return Ok(backup);
        }
    }
    Err(std::io::Error::new(std::io::ErrorKind::AlreadyExists, "every name for the replaced file is taken"))
}

/// The replaced files of `path` that are too many or too old at `now`, oldest last.
pub(crate) fn outdated(
    storage: &dyn Storage,
    path: &Path,
    limits: &Limits,
    local: &TimeZone,
    now: SystemTime,
) -> std::io::Result<Vec<PathBuf>> {
    if limits.max_backups.is_none() && limits.max_days.is_none() {
        return Ok(Vec::new());
    }
    let name = Name::of(path);
    let folder = if name.folder.as_os_str().is_empty() { Path::new(".") } else { name.folder };
    let mut backups: Vec<_> = storage
        .names(folder)?
        .into_iter()
        .filter_map(|found| Some((name.replaced_at(&found, &zone(limits, local))?, found)))
        .collect();
    backups.sort_unstable_by(|a, b| b.cmp(a));
    let oldest = limits.max_days.and_then(|days| now.checked_sub(DAY * days));
    let oldest = oldest.and_then(|oldest| Timestamp::try_from(oldest).ok());
    let outdated = backups.into_iter().enumerate().filter(|(index, (at, _))| {
        limits.max_backups.is_some_and(|most| *index >= most) || oldest.is_some_and(|oldest| *at < oldest)
    });
    Ok(outdated.map(|(_, (_, found))| name.folder.join(found)).collect())
}
