use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::{HeaderMap, HeaderName};
use phoenix_component::auth::{
    AuthPublication, ClientAuth, Decision, Denied, DeniedBecause, Identity, Presented, ServerAuth,
};
use phoenix_component::factory::CreateContext;
use phoenix_component::files::{self, Fingerprint};
use phoenix_component::{BoxFuture, ClientInfo, Extension, Host, Refusal, StartError};
use tokio::time::Instant;

use crate::BearerTokenAuthConfig;
use crate::tokens::{MAX_FILE_BYTES, Tokens};

/// Lets in who shows a token, and shows one.
pub struct BearerTokenAuth {
    auth: Arc<Auth>,
    file: Option<(PathBuf, Fingerprint)>,
    id: String,
    publication: AuthPublication,
}

struct Auth {
    header: HeaderName,
    scheme: String,
    tokens: ArcSwap<Tokens>,
    /// Of who is let in nothing is known but that.
    somebody: Arc<Identity>,
}

impl BearerTokenAuth {
    /// An extension that is not published yet.
    ///
    /// # Errors
    /// Where the file of tokens cannot be read, or there is none in it.
    pub fn new(
        config: &BearerTokenAuthConfig,
        cx: &CreateContext<'_>,
    ) -> Result<BearerTokenAuth, StartError> {
        let wrong = |reason: String| StartError::new(reason);
        let file = Some(PathBuf::from(&config.filename)).filter(|file| !file.as_os_str().is_empty());
        let file = file.map(|file| {
            let seen = files::fingerprint(std::slice::from_ref(&file));
            (file, seen)
        });
        let tokens = match &file {
            Some((file, _)) => read(&config.scheme, file),
            None => Tokens::new(&config.scheme, config.written()),
        };
        let header = HeaderName::try_from(&config.header)
            .map_err(|_| wrong(format!("{:?} is no header name", config.header)))?;
        let auth = Arc::new(Auth {
            header,
            scheme: config.scheme.clone(),
            tokens: ArcSwap::from_pointee(tokens.map_err(wrong)?),
            somebody: Arc::default(),
        });
        Ok(BearerTokenAuth {
            publication: AuthPublication::new(cx, Some(auth.clone()), Some(auth.clone())),
            auth,
            file,
            id: cx.id.to_string(),
        })
    }
}

fn read(scheme: &str, file: &std::path::Path) -> Result<Tokens, String> {
    let mut text = String::new();
    let read =
        std::fs::File::open(file).and_then(|open| open.take(MAX_FILE_BYTES + 1).read_to_string(&mut text));
    read.map_err(|error| format!("filename {}: {error}", file.display()))?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("filename {}: larger than {MAX_FILE_BYTES} bytes", file.display()));
    }
    Tokens::of_file(scheme, &text).map_err(|reason| format!("filename {}: {reason}", file.display()))
}

impl Extension for BearerTokenAuth {
    fn start<'a>(&'a self, host: &'a Host) -> BoxFuture<'a, Result<(), StartError>> {
        Box::pin(async move {
            if let Some((file, seen)) = self.file.clone() {
                let (auth, id, path) = (self.auth.clone(), self.id.clone(), file.clone());
                let reread = move || match read(&auth.scheme, &path) {
                    Ok(tokens) => {
                        auth.tokens.store(Arc::new(tokens));
                        tracing::info!(extension = id, "the tokens were read again");
                    }
                    Err(error) => {
                        tracing::error!(
                            extension = id,
                            error,
                            "the tokens could not be read again, those before stay"
                        );
                    }
                };
                self.publication.watch(host, vec![file], seen, reread);
            }
            self.publication.start(host);
            Ok(())
        })
    }

    fn pipelines_ready(&self, ready: bool) {
        self.publication.pipelines_ready(ready);
    }

    fn stop(&self, _deadline: Instant) -> BoxFuture<'_, ()> {
        self.publication.stop();
        Box::pin(async {})
    }
}

impl ServerAuth for Auth {
    fn authenticate(&self, presented: Presented<'_>) -> Decision {
        let denied = |because, message: String| Err(Denied::new(because, message).with_challenge("Bearer"));
        Decision::Now(match presented.first(self.header.as_str()) {
            None | Some(b"") => {
                let text = format!("missing or empty authorization header: {}", self.header);
                denied(DeniedBecause::Missing, text)
            }
            Some(shown) if self.tokens.load().has(shown) => Ok(self.somebody.clone()),
            Some(_) => {
                let text = "provided authorization does not match expected scheme or token";
                denied(DeniedBecause::Invalid, text.to_owned())
            }
        })
    }
}

impl ClientAuth for Auth {
    fn authorize<'a>(
        &'a self,
        headers: &'a mut HeaderMap,
        _client: Option<&'a ClientInfo>,
    ) -> BoxFuture<'a, Result<(), Refusal>> {
        headers.insert(&self.header, self.tokens.load().first().clone());
        Box::pin(std::future::ready(Ok(())))
    }
}

#[cfg(test)]
mod tests {
    use phoenix_component::StatusReporter;
    use phoenix_component::factory::Shared;
    use phoenix_component::files::LOOK_INTERVAL;
    use phoenix_config::{ComponentId, Kind};

    use super::*;

    fn judge(auth: &dyn ServerAuth, shown: Option<&str>) -> Result<(), DeniedBecause> {
        let value = |text: &str| (http::header::AUTHORIZATION, text.parse().expect("a value"));
        let headers = HeaderMap::from_iter(shown.map(value));
        match auth.authenticate(Presented::new(&headers)) {
            Decision::Now(verdict) => verdict.map(drop).map_err(|denied| denied.because),
            Decision::Later(_) => panic!("nothing to wait for"),
        }
    }

    #[tokio::test]
    async fn a_file_that_changes_is_read_again_and_a_bad_one_changes_nothing() {
        let folder = tempfile::tempdir().expect("made");
        let file = folder.path().join("token");
        std::fs::write(&file, "old\n").expect("written");
        let (host, shared) = (Host::for_tests(), Shared::default());
        let id = ComponentId::parse("bearertokenauth").expect("an identifier");
        let status = StatusReporter::detached(Kind::Extension, id.clone());
        let cx = CreateContext { id: &id, host: &host, status, shared: &shared };
        let filename = file.display().to_string();
        let config = BearerTokenAuthConfig { filename, ..BearerTokenAuthConfig::default() };
        let extension = BearerTokenAuth::new(&config, &cx).expect("made");
        extension.start(&host).await.expect("started");
        let slot = host.capabilities.server_auth(&id).expect("published");
        let auth = slot.get().expect("there");
        assert_eq!(judge(&*auth, None), Err(DeniedBecause::Missing));
        assert_eq!(judge(&*auth, Some("Bearer old")), Ok(()));
        assert_eq!(judge(&*auth, Some("Bearer new")), Err(DeniedBecause::Invalid));
        let replace = |text: &str| {
            std::fs::write(folder.path().join("x"), text).expect("written");
            std::fs::rename(folder.path().join("x"), &file).expect("renamed");
        };
        replace("new\nother\n");
        while judge(&*auth, Some("Bearer new")).is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        assert_eq!(judge(&*auth, Some("Bearer old")), Err(DeniedBecause::Invalid));
        replace("");
        tokio::time::sleep(LOOK_INTERVAL * 2).await;
        assert_eq!(judge(&*auth, Some("Bearer other")), Ok(()));
        // Nor does one that is gone, and what comes in its place is seen.
        std::fs::remove_file(&file).expect("removed");
        tokio::time::sleep(LOOK_INTERVAL * 2).await;
        assert_eq!(judge(&*auth, Some("Bearer other")), Ok(()));
        replace("new\nthird\r\n");
        while judge(&*auth, Some("Bearer third")).is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let client = host.capabilities.client_auth(&id).expect("published").get().expect("there");
        let mut headers = HeaderMap::new();
        client.authorize(&mut headers, None).await.expect("authorized");
        assert_eq!(headers["authorization"], "Bearer new");
        assert!(client.needs_tls());
        extension.stop(Instant::now()).await;
        assert!(slot.get().is_none());
    }

    #[tokio::test]
    async fn a_file_without_a_token_is_refused_at_the_start() {
        let folder = tempfile::tempdir().expect("made");
        let (host, shared) = (Host::for_tests(), Shared::default());
        let id = ComponentId::parse("bearertokenauth").expect("an identifier");
        std::fs::write(folder.path().join("empty"), "\n").expect("written");
        for (name, said) in [("none", "No such file"), ("empty", "no token")] {
            let status = StatusReporter::detached(Kind::Extension, id.clone());
            let cx = CreateContext { id: &id, host: &host, status, shared: &shared };
            let filename = folder.path().join(name).display().to_string();
            let config = BearerTokenAuthConfig { filename, ..BearerTokenAuthConfig::default() };
            let error = BearerTokenAuth::new(&config, &cx).err().expect(name).to_string();
            assert!(error.contains(said) && error.contains(name), "{error}");
        }
    }
}
