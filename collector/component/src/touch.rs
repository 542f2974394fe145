//! What a component would reach out to once it runs, and a way to try it without running it.

use std::fmt;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

/// What is done to the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Connects to an endpoint.
    Connect,
    /// Listens at an endpoint.
    Listen,
    /// Reads a file.
    Read,
    /// Writes a file.
    Write,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Action::Connect => "connect to",
            Action::Listen => "listen at",
            Action::Read => "read",
            Action::Write => "write",
        })
    }
}

/// How a trial went: what was found, or why it failed; lower case, no full stop.
pub type Outcome = Result<String, String>;

type Probe = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = Outcome> + Send>> + Send>;

/// One thing that a component would touch.
pub struct Touch {
    /// The key that names it, relative to the component's section, with `::` between keys.
    pub key: String,
    /// What is done to it.
    pub action: Action,
    /// What it is: an endpoint or a path. Never a secret.
    pub target: String,
    probe: Probe,
}

impl Touch {
    /// A thing to touch, and how to try it: it must leave things as they were.
    pub fn new<F>(
        key: impl Into<String>,
        action: Action,
        target: impl Into<String>,
        probe: impl FnOnce() -> F + Send + 'static,
    ) -> Touch
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let probe: Probe = Box::new(move || Box::pin(probe()));
        Touch { key: key.into(), action, target: target.into(), probe }
    }

    /// A file to read.
    pub fn read(key: impl Into<String>, path: impl Into<PathBuf>) -> Touch {
        let path = path.into();
        let target = path.display().to_string();
        Touch::new(key, Action::Read, target, move || blocking(move || read(&path)))
    }

    /// A file to write: it is opened for that where it exists; else its folder is tried.
    pub fn write(key: impl Into<String>, path: impl Into<PathBuf>) -> Touch {
        let path = path.into();
        let target = path.display().to_string();
        Touch::new(key, Action::Write, target, move || blocking(move || write(&path)))
    }

    /// The same with its key below another.
    #[must_use]
    pub fn below(mut self, key: &str) -> Touch {
        self.key = format!("{key}::{}", self.key);
        self
    }

    /// Tries it, for so long at most.
    ///
    /// # Errors
    /// Why it failed, or that it took too long.
    pub async fn probe(self, patience: Duration) -> Outcome {
        let late = || Err(format!("no result within {patience:?}"));
        tokio::time::timeout(patience, (self.probe)()).await.unwrap_or_else(|_| late())
    }
}

impl fmt::Debug for Touch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {}", self.key, self.action, self.target)
    }
}

async fn blocking(try_it: impl FnOnce() -> std::io::Result<String> + Send + 'static) -> Outcome {
    match tokio::task::spawn_blocking(try_it).await {
        Ok(outcome) => outcome.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

fn read(path: &Path) -> std::io::Result<String> {
    let file = std::fs::File::open(path)?;
    match file.metadata()? {
        data if data.is_dir() => Err(std::io::ErrorKind::IsADirectory.into()),
        data => Ok(format!("{} bytes", data.len())),
    }
}

fn write(path: &Path) -> std::io::Result<String> {
    if path.exists() {
        std::fs::OpenOptions::new().append(true).open(path)?;
        return Ok("exists, and can be written".into());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let trial = folder.join(format!(".phoenix-probe-{}", std::process::id()));
    std::fs::OpenOptions::new().write(true).create_new(true).open(&trial)?;
    std::fs::remove_file(&trial)?;
    Ok("can be created".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn files_are_tried_and_left_as_they_were() {
        let folder = tempfile::tempdir().expect("made");
        let path = folder.path().join("x");
        assert_eq!(Touch::write("path", &path).probe(PATIENCE).await, Ok("can be created".into()));
        assert!(!path.exists());
        assert!(
            Touch::read("path", &path).probe(PATIENCE).await.expect_err("missing").contains("No such file")
        );
        std::fs::write(&path, "abc").expect("written");
        assert_eq!(Touch::read("path", &path).probe(PATIENCE).await, Ok("3 bytes".into()));
        assert_eq!(
            Touch::write("path", &path).probe(PATIENCE).await,
            Ok("exists, and can be written".into())
        );
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "abc");
        assert_eq!(std::fs::read_dir(folder.path()).expect("listed").count(), 1);
        assert!(Touch::read("path", folder.path()).probe(PATIENCE).await.is_err());
        assert!(Touch::write("path", path.join("y")).probe(PATIENCE).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_trial_has_an_end() {
        let never = Touch::new("endpoint", Action::Connect, "x:1", std::future::pending);
        assert_eq!(format!("{never:?}"), "endpoint: connect to x:1");
        let outcome = never.below("tls").probe(Duration::from_secs(5)).await;
        assert_eq!(outcome, Err("no result within 5s".into()));
    }
}
