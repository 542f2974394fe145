//! What outlives the process: identity, credential, the last good remote configuration.

use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use phoenix_config::Opaque;
use serde::{Deserialize, Serialize};

use crate::config::parse_uid;

const UID: &str = "instance_uid";
const CREDENTIAL: &str = "credential";
/// The one before, until the server has taken the new one.
const FORMER: &str = "credential.former";
const REMOTE: &str = "remote.json";

/// One text of a remote configuration.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RemoteFile {
    pub(crate) name: String,
    pub(crate) text: String,
}

/// A remote configuration. Never printed: it may hold secrets.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Remote {
    /// By which the server knows it.
    pub(crate) hash: Vec<u8>,
    /// In the order in which they are merged.
    pub(crate) files: Vec<RemoteFile>,
}

/// A folder for them; without one nothing is kept.
#[derive(Clone, Debug)]
pub(crate) struct Folder(Option<PathBuf>);

impl Folder {
    /// Makes the folder where it is missing.
    pub(crate) fn open(directory: &str) -> io::Result<Folder> {
        if directory.is_empty() {
            return Ok(Folder(None));
        }
        let path = Path::new(directory);
        if !path.exists() {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        }
        Ok(Folder(Some(path.to_owned())))
    }

    pub(crate) fn is_durable(&self) -> bool {
        self.0.is_some()
    }

    /// What is in a file; nothing where there is none, or it cannot be read.
    fn read(&self, name: &str) -> Option<String> {
        let path = self.0.as_ref()?.join(name);
        match std::fs::read_to_string(&path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "what was kept cannot be read");
                None
            }
        }
    }

    /// Writes a file for the collector's user alone: whole or not at all.
    fn write(&self, name: &str, text: &str) -> io::Result<()> {
        let Some(folder) = &self.0 else { return Ok(()) };
        let beside = folder.join(format!("{name}.new"));
        let mut file =
            std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(beside, folder.join(name))
    }

    pub(crate) fn uid(&self) -> Option<[u8; 16]> {
        parse_uid(self.read(UID)?.trim())
    }

    pub(crate) fn keep_uid(&self, uid: [u8; 16]) -> io::Result<()> {
        let digits: String = uid.iter().map(|byte| format!("{byte:02x}")).collect();
        self.write(UID, &digits)
    }

    pub(crate) fn credential(&self) -> Option<Opaque> {
        self.read(CREDENTIAL).map(|text| Opaque::new(text.trim()))
    }

    pub(crate) fn keep_credential(&self, credential: &Opaque) -> io::Result<()> {
        self.write(CREDENTIAL, credential.reveal())
    }

    pub(crate) fn former(&self) -> Option<Opaque> {
        self.read(FORMER).map(|text| Opaque::new(text.trim()))
    }

    pub(crate) fn keep_former(&self, credential: &Opaque) -> io::Result<()> {
        self.write(FORMER, credential.reveal())
    }

    /// The server has taken the new credential.
    pub(crate) fn forget_former(&self) {
        if let Some(folder) = &self.0
            && let Err(error) = std::fs::remove_file(folder.join(FORMER))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "the former credential could not be removed");
        }
    }

    pub(crate) fn remote(&self) -> Option<Remote> {
        let text = self.read(REMOTE)?;
        match serde_json::from_str(&text) {
            Ok(remote) => Some(remote),
            Err(error) => {
                tracing::warn!(%error, "the remote configuration that was kept cannot be read");
                None
            }
        }
    }

    pub(crate) fn keep_remote(&self, remote: &Remote) -> io::Result<()> {
        let text = serde_json::to_string(remote).map_err(io::Error::other)?;
        self.write(REMOTE, &text)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_is_kept_is_private_and_comes_back() {
        let parent = tempfile::tempdir().expect("made");
        let path = parent.path().join("a/b");
        let folder = Folder::open(path.to_str().expect("UTF-8")).expect("opened");
        assert!(folder.uid().is_none() && folder.credential().is_none() && folder.remote().is_none());
        let remote = Remote {
            hash: vec![1, 2],
            files: vec![RemoteFile { name: "a".into(), text: "receivers:\n".into() }],
        };
        folder.keep_uid([7; 16]).expect("kept");
        folder.keep_credential(&Opaque::new("secret")).expect("kept");
        folder.keep_remote(&remote).expect("kept");
        let again = Folder::open(path.to_str().expect("UTF-8")).expect("opened");
        assert_eq!(again.uid(), Some([7; 16]));
        assert_eq!(again.credential().expect("kept").reveal(), "secret");
        assert!(again.remote() == Some(remote));
        for name in [UID, CREDENTIAL, REMOTE] {
            let mode = std::fs::metadata(path.join(name)).expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        folder.keep_former(&Opaque::new("old")).expect("kept");
        assert_eq!(again.former().expect("kept").reveal(), "old");
        folder.forget_former();
        folder.forget_former();
        assert!(again.former().is_none());
        std::fs::write(path.join(REMOTE), "{half").expect("written");
        assert!(again.remote().is_none(), "a damaged file is as none");
        let none = Folder::open("").expect("opened");
        none.keep_uid([1; 16]).expect("nothing to do");
        assert!(!none.is_durable() && none.uid().is_none());
    }
}
