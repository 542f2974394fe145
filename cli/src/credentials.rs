//! Where the service is and the key for it, kept for this user alone.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

const SERVER: &str = "PHOENIX_SERVER";
const TOKEN: &str = "PHOENIX_TOKEN";

/// A login.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Credentials {
    pub(crate) server: String,
    pub(crate) token: String,
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// `phoenix/credentials.json` in the user's folder for settings.
fn path() -> anyhow::Result<PathBuf> {
    let home = || variable("HOME").map(|home| PathBuf::from(home).join(".config"));
    let folder = variable("XDG_CONFIG_HOME").map(PathBuf::from).or_else(home);
    let folder = folder.context("set HOME, or PHOENIX_SERVER and PHOENIX_TOKEN")?;
    Ok(folder.join("phoenix/credentials.json"))
}

impl Credentials {
    /// Those of the environment, or of the login; `server` is that of the command line. A token goes to the server that
    /// it was given for and to no other.
    pub(crate) fn load(server: Option<&str>) -> anyhow::Result<Credentials> {
        let named = server.map(str::to_owned).or_else(|| variable(SERVER));
        if let Some(token) = variable(TOKEN) {
            let server = named
                .with_context(|| format!("{TOKEN} is set; name the service with --server or {SERVER}"))?;
            return Ok(Credentials { server, token });
        }
        let kept = Credentials::kept()?;
        match (kept, named) {
            (Some(kept), None) => Ok(kept),
            (Some(kept), Some(named)) if kept.server == named.trim_end_matches('/') => Ok(kept),
            (Some(kept), Some(named)) => {
                anyhow::bail!(
                    "the login is for {}; log in with `phoenix login --server {named}`",
                    kept.server
                )
            }
            (None, _) => anyhow::bail!("nobody is logged in; use `phoenix login --server URL`"),
        }
    }

    /// Those of the login.
    pub(crate) fn kept() -> anyhow::Result<Option<Credentials>> {
        let path = path()?;
        match fs::read_to_string(&path) {
            Ok(text) => {
                let kept =
                    serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))?;
                Ok(Some(kept))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| path.display().to_string()),
        }
    }

    /// Keeps them: whole or not at all.
    pub(crate) fn keep(&self) -> anyhow::Result<PathBuf> {
        let path = path()?;
        let write = || -> std::io::Result<()> {
            if let Some(folder) = path.parent() {
                fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            }
            let beside = path.with_extension("new");
            let mut file =
                fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
            file.write_all(serde_json::to_string(self)?.as_bytes())?;
            file.sync_all()?;
            fs::rename(beside, &path)
        };
        write().with_context(|| path.display().to_string())?;
        Ok(path)
    }

    /// Forgets them.
    pub(crate) fn forget() -> anyhow::Result<()> {
        match fs::remove_file(path()?) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}
