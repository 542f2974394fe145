//! Where texts come from: one provider for each scheme of a URI.

use crate::yaml::MAX_BYTES;
use std::io::Read;

/// Retrieves the texts of one scheme.
pub trait Provider: Send + Sync {
    /// The scheme, for example `file`.
    fn scheme(&self) -> &str;

    /// Retrieves the text of a URI, which starts with the scheme and a colon. Blocks until it is there.
    ///
    /// # Errors
    /// If there is no such text.
    fn retrieve(&self, uri: &str) -> Result<Retrieved, ProviderError>;
}

/// A text that was retrieved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retrieved {
    /// The text, to be read as YAML.
    pub text: String,
    /// The text is a string, whatever it would be as YAML.
    pub verbatim: bool,
    /// What the user may want to know.
    pub warning: Option<String>,
    /// There is no such text, and an empty one stands for it; says what is missing.
    pub missing: Option<String>,
}

impl Retrieved {
    /// A text to be read as YAML.
    pub fn yaml(text: impl Into<String>) -> Retrieved {
        Retrieved { text: text.into(), ..Retrieved::default() }
    }
}

/// Why a text could not be retrieved.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ProviderError {
    message: String,
    help: Option<String>,
    unavailable: bool,
}

impl ProviderError {
    /// An error in these words: lower case, no full stop, the cause included.
    pub fn new(message: impl Into<String>) -> ProviderError {
        ProviderError { message: message.into(), help: None, unavailable: false }
    }

    /// The same for a text that is not there now, and may be elsewhere: a file, a server.
    pub fn unavailable(message: impl Into<String>) -> ProviderError {
        ProviderError { unavailable: true, ..ProviderError::new(message) }
    }

    pub(crate) fn is_unavailable(&self) -> bool {
        self.unavailable
    }

    /// What would be right.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> ProviderError {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn into_parts(self) -> (String, Option<String>) {
        (self.message, self.help)
    }
}

/// What follows the scheme of a URI.
fn opaque(uri: &str) -> &str {
    uri.split_once(':').map_or(uri, |(_, rest)| rest)
}

/// `file:path`: the text of a file.
#[derive(Clone, Copy, Debug, Default)]
pub struct FileProvider;

impl Provider for FileProvider {
    fn scheme(&self) -> &str {
        "file"
    }

    fn retrieve(&self, uri: &str) -> Result<Retrieved, ProviderError> {
        let path = opaque(uri);
        let words = |cause: String| format!("unable to read the file {path}: {cause}");
        let unable = |cause: String| ProviderError::new(words(cause));
        let missing = |error: std::io::Error| ProviderError::unavailable(words(error.to_string()));
        let file = std::fs::File::open(path).map_err(missing)?;
        let mut bytes = Vec::new();
        file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(|error| unable(error.to_string()))?;
        if bytes.len() > MAX_BYTES {
            return Err(unable(format!("longer than {} MiB", MAX_BYTES >> 20)));
        }
        let text = String::from_utf8(bytes).map_err(|error| unable(format!("not UTF-8: {error}")))?;
        Ok(Retrieved::yaml(text))
    }
}

/// `yaml:text`: the text itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct YamlProvider;

impl Provider for YamlProvider {
    fn scheme(&self) -> &str {
        "yaml"
    }

    fn retrieve(&self, uri: &str) -> Result<Retrieved, ProviderError> {
        Ok(Retrieved::yaml(opaque(uri)))
    }
}

/// `env:NAME` and `env:NAME:-default`: an environment variable. The default counts only if the variable is not set.
pub struct EnvProvider {
    lookup: Box<Lookup>,
}

type Lookup = dyn Fn(&str) -> Option<String> + Send + Sync;

impl EnvProvider {
    /// Variables of this process.
    pub fn of_process() -> EnvProvider {
        EnvProvider::new(|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
    }

    /// Variables as `lookup` knows them.
    pub fn new(lookup: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> EnvProvider {
        EnvProvider { lookup: Box::new(lookup) }
    }
}

impl Provider for EnvProvider {
    fn scheme(&self) -> &str {
        "env"
    }

    fn retrieve(&self, uri: &str) -> Result<Retrieved, ProviderError> {
        let reference = opaque(uri);
        let (name, default) = match reference.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (reference, None),
        };
        if !is_name(name) {
            return Err(ProviderError::new(format!(
                "environment variable {name:?} has invalid name: must match regex ^[a-zA-Z_][a-zA-Z0-9_]*$"
            )));
        }
        let retrieved = match ((self.lookup)(name), default) {
            (Some(value), _) => {
                let empty = value.is_empty();
                let warning = empty.then(|| format!("environment variable `{name}` is empty"));
                Retrieved { text: value, warning, ..Retrieved::default() }
            }
            (None, Some(default)) => {
                let verbatim = default.is_empty();
                Retrieved { text: default.to_owned(), verbatim, ..Retrieved::default() }
            }
            (None, None) => {
                let missing = format!("environment variable `{name}` is not set, and there is no default");
                Retrieved { missing: Some(missing), ..Retrieved::default() }
            }
        };
        Ok(retrieved)
    }
}

fn is_name(name: &str) -> bool {
    let start = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(start) && name.chars().all(|c| start(c) || c.is_ascii_digit())
}
