use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use phoenix_component::auth::AuthPublication;
use phoenix_component::factory::CreateContext;
use phoenix_component::files::{self, Fingerprint};
use phoenix_component::{BoxFuture, Extension, Host, StartError, StatusReporter};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::jwks::KeySet;
use crate::keys::Keys;
use crate::provider::Fetcher;
use crate::server::{Provider, Providers};
use crate::{OidcConfig, ProviderSettings};

/// Largest file of keys.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Lets in who shows a token of one of the providers.
pub struct Oidc {
    providers: Vec<(ProviderSettings, Keys)>,
    /// Of files with keys.
    seen: Vec<Option<Fingerprint>>,
    id: String,
    status: StatusReporter,
    publication: AuthPublication,
    fetches: Mutex<Vec<Fetches>>,
}

/// Fetches keys until it is dropped.
struct Fetches(JoinHandle<()>);

impl Drop for Fetches {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Oidc {
    /// An extension that is not published yet.
    ///
    /// # Errors
    /// Where a file of keys cannot be read or understood.
    pub fn new(config: &OidcConfig, cx: &CreateContext<'_>) -> Result<Oidc, StartError> {
        let (mut providers, mut seen) = (Vec::new(), Vec::new());
        for (_, settings) in config.all_providers() {
            let file =
                Some(PathBuf::from(&settings.public_keys_file)).filter(|file| !file.as_os_str().is_empty());
            let keys = Keys::new(file.is_none());
            seen.push(file.as_ref().map(|file| files::fingerprint(std::slice::from_ref(file))));
            if let Some(file) = file {
                keys.set(read(&file).map_err(StartError::new)?);
            }
            providers.push((settings, keys));
        }
        let judges =
            providers.iter().map(|(settings, keys)| Arc::new(Provider::new(settings.clone(), keys.clone())));
        let auth = Arc::new(Providers::new(&config.attribute, judges));
        Ok(Oidc {
            providers,
            seen,
            id: cx.id.to_string(),
            status: cx.status.clone(),
            publication: AuthPublication::new(cx, Some(auth), None),
            fetches: Mutex::default(),
        })
    }
}

fn read(file: &Path) -> Result<KeySet, String> {
    let wrong = |reason: String| format!("invalid public_keys_file {:?}: {reason}", file.display());
    let bytes = std::fs::metadata(file).map_err(|error| wrong(error.to_string()))?.len();
    if bytes > MAX_FILE_BYTES {
        return Err(wrong(format!("larger than {MAX_FILE_BYTES} bytes")));
    }
    let json = std::fs::read(file).map_err(|error| wrong(error.to_string()))?;
    KeySet::parse(&json).map_err(wrong)
}

impl Extension for Oidc {
    fn start<'a>(&'a self, host: &'a Host) -> BoxFuture<'a, Result<(), StartError>> {
        Box::pin(async move {
            let mut fetches = Vec::new();
            for ((settings, keys), seen) in self.providers.iter().zip(&self.seen) {
                let Some(seen) = seen else {
                    let fetcher = Fetcher::new(settings, keys.clone(), self.status.clone(), host)?;
                    fetches.push(Fetches(host.control.spawn(fetcher.run())));
                    continue;
                };
                let file = PathBuf::from(&settings.public_keys_file);
                let (id, keys, path) = (self.id.clone(), keys.clone(), file.clone());
                let reread = move || match read(&path) {
                    Ok(set) => keys.set(set),
                    Err(error) => {
                        tracing::error!(
                            extension = id,
                            error,
                            "keys could not be read again, those before stay"
                        );
                    }
                };
                self.publication.watch(host, vec![file], seen.clone(), reread);
            }
            *self.fetches.lock().unwrap_or_else(PoisonError::into_inner) = fetches;
            self.publication.start(host);
            Ok(())
        })
    }

    fn pipelines_ready(&self, ready: bool) {
        self.publication.pipelines_ready(ready);
    }

    fn stop(&self, _deadline: Instant) -> BoxFuture<'_, ()> {
        self.publication.stop();
        self.fetches.lock().unwrap_or_else(PoisonError::into_inner).clear();
        Box::pin(async {})
    }
}
