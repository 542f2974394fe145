//! The settings as the writing needs them, and how a request becomes a record.

use std::cell::RefCell;
use std::path::PathBuf;

use phoenix_pdata::{Payload, Signal, json};

use crate::FileConfig;
use crate::config::Rotation;

const ZSTD_DEFAULT_LEVEL: i32 = 3;
const MIB: u64 = 1 << 20;

/// How a request is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Proto,
}

/// What the settings mean for files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) format: Format,
    /// The level of zstd.
    pub(crate) compression: Option<i32>,
    pub(crate) append: bool,
    pub(crate) rotation: Option<Limits>,
    /// The attribute that names the file.
    pub(crate) group_by: Option<String>,
    pub(crate) max_open_files: usize,
    /// The permissions of folders that are made, where they are.
    pub(crate) folder_mode: Option<u32>,
}

/// When a file is replaced, and which replaced files stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) max_bytes: u64,
    pub(crate) max_days: Option<u32>,
    pub(crate) max_backups: Option<usize>,
    pub(crate) localtime: bool,
}

impl Limits {
    fn new(settings: &Rotation) -> Limits {
        let megabytes = match settings.max_megabytes {
            0 => Rotation::default().max_megabytes,
            megabytes => megabytes,
        };
        Limits {
            max_bytes: u64::from(megabytes) * MIB,
            max_days: (settings.max_days > 0).then_some(settings.max_days),
            max_backups: (settings.max_backups > 0).then_some(settings.max_backups),
            localtime: settings.localtime,
        }
    }
}

impl Layout {
    pub(crate) fn new(config: &FileConfig) -> Layout {
        let grouped = config.group_by.enabled;
        Layout {
            format: if config.format == "proto" { Format::Proto } else { Format::Json },
            compression: (config.compression == "zstd").then(|| match config.compression_params.level {
                0 => ZSTD_DEFAULT_LEVEL,
                level => level.clamp(1, 22),
            }),
            append: config.append,
            rotation: config.rotation.get().map(Limits::new),
            group_by: grouped.then(|| config.group_by.resource_attribute.clone()),
            max_open_files: if grouped { config.group_by.max_open_files } else { 1 },
            // Folders that are named by an attribute cannot be there before.
            folder_mode: (grouped || config.create_directory).then(|| config.directory_mode()),
        }
    }

    /// What of the files at `path` is lost where they are written by `new` from now on: those of one format
    /// cannot go on in another, so they begin anew.
    pub(crate) fn loss_to(&self, new: &Layout, path: &str) -> Option<String> {
        let stay = self.mixes_with(new) || new.rotation.is_some() || new.append;
        (!stay).then(|| format!("what is in {path}, which begins anew in another format"))
    }

    /// Whether records of both can stand in one file.
    pub(crate) fn mixes_with(&self, other: &Layout) -> bool {
        self.format == other.format && self.compression.is_some() == other.compression.is_some()
    }

    /// A line, or a record after its length in four bytes, the highest first. As in otelcol, each request
    /// is compressed by itself, and what is compressed is no line.
    ///
    /// # Errors
    /// Why there is no such record.
    pub(crate) fn record(&self, signal: Signal, payload: &Payload) -> Result<Vec<u8>, EncodeError> {
        let mut record = Vec::new();
        match (self.format, self.compression) {
            (Format::Json, None) => {
                json::encode(signal, payload, &mut record);
                record.push(b'\n');
                return Ok(record);
            }
            (Format::Json, Some(level)) => {
                let mut text = Vec::new();
                json::encode(signal, payload, &mut text);
                framed(&mut record, |record| compress(level, &text, record))?;
            }
            (Format::Proto, None) => framed(&mut record, |record| {
                payload.pieces().for_each(|piece| record.extend_from_slice(piece));
                Ok(())
            })?,
            (Format::Proto, Some(level)) => {
                let joined = payload.clone().into_contiguous();
                framed(&mut record, |record| compress(level, &joined, record))?;
            }
        }
        Ok(record)
    }
}

/// Why a request has no record.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EncodeError {
    #[error("cannot compress it: {0}")]
    Compress(#[from] std::io::Error),
    #[error("it has {0} bytes, and a record can have 4 GiB at most")]
    TooLong(usize),
}

fn framed(
    record: &mut Vec<u8>,
    fill: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    record.extend_from_slice(&[0; 4]);
    fill(record)?;
    let len = record.len() - 4;
    let prefix = u32::try_from(len).map_err(|_| EncodeError::TooLong(len))?;
    record[..4].copy_from_slice(&prefix.to_be_bytes());
    Ok(())
}

thread_local! {
    /// The context of the last level, since making one costs more than compressing a small request.
    static ZSTD: RefCell<Option<(i32, zstd::bulk::Compressor<'static>)>> = const { RefCell::new(None) };
}

fn compress(level: i32, bytes: &[u8], record: &mut Vec<u8>) -> Result<(), EncodeError> {
    ZSTD.with_borrow_mut(|kept| {
        let (_, context) = match kept {
            Some(kept) if kept.0 == level => kept,
            _ => kept.insert((level, zstd::bulk::Compressor::new(level)?)),
        };
        record.extend_from_slice(&context.compress(bytes)?);
        Ok(())
    })
}

/// `path` without `.`, `..` and repeated separators, by its text alone.
pub(crate) fn clean(path: &str) -> PathBuf {
    use std::path::{Component, Path};
    let mut clean = PathBuf::new();
    for component in Path::new(path).components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => match clean.components().next_back() {
                Some(Component::Normal(_)) => drop(clean.pop()),
                Some(Component::RootDir) => {}
                _ => clean.push(".."),
            },
            component => clean.push(component),
        }
    }
    clean
}
