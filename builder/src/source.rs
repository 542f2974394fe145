use std::io;
use std::path::{Path, PathBuf};

use crate::choose::From;
use crate::manifest::PhoenixSource;

/// Where Phoenix itself comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Phoenix {
    /// A checkout.
    Checkout(PathBuf),
    /// A repository: its URL, and the key and the value that choose a revision.
    Git(String, Option<(&'static str, String)>),
}

impl Phoenix {
    /// What the command line or else the manifest says; else the checkout around the working directory, or the one
    /// that this builder was made from.
    ///
    /// # Errors
    /// Where there is no checkout.
    pub fn find(flag: Option<&Path>, manifest: Option<&PhoenixSource>) -> io::Result<Phoenix> {
        if let Some(path) = flag {
            return Phoenix::checkout(path);
        }
        if let Some(source) = manifest {
            if !source.path.is_empty() {
                return Phoenix::checkout(Path::new(&source.path));
            }
            let revisions = [("tag", &source.tag), ("branch", &source.branch), ("rev", &source.rev)];
            let revision = revisions.into_iter().find(|(_, text)| !text.is_empty());
            return Ok(Phoenix::Git(source.git.clone(), revision.map(|(key, text)| (key, text.clone()))));
        }
        let working = std::env::current_dir()?;
        let around = working.ancestors().find(|folder| is_checkout(folder));
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).parent().filter(|folder| is_checkout(folder));
        around.or(own).map(|folder| Phoenix::Checkout(folder.to_owned())).ok_or_else(|| {
            let text = "cannot find Phoenix: give its checkout with --phoenix, or `path` or `git` under `dist::phoenix`";
            io::Error::new(io::ErrorKind::NotFound, text)
        })
    }

    fn checkout(path: &Path) -> io::Result<Phoenix> {
        let path = std::path::absolute(path)?;
        if is_checkout(&path) {
            return Ok(Phoenix::Checkout(path));
        }
        let text = format!("{} is no checkout of Phoenix", path.display());
        Err(io::Error::new(io::ErrorKind::NotFound, text))
    }

    /// The place of the crate in that folder.
    pub(crate) fn of(&self, folder: &str) -> From {
        match self {
            Phoenix::Checkout(root) => From::Path(root.join(folder)),
            Phoenix::Git(url, revision) => From::Git(url.clone(), revision.clone()),
        }
    }
}

/// Whether a folder is the root of Phoenix.
pub fn is_checkout(folder: &Path) -> bool {
    folder.join("Cargo.toml").is_file()
        && folder.join("collector/pdata/Cargo.toml").is_file()
        && folder.join("builder/phoenix.yaml").is_file()
}
