use std::path::Path;
use std::sync::{Arc, OnceLock};

use http::HeaderMap;
use phoenix_component::auth::{AuthPublication, ClientAuth};
use phoenix_component::factory::CreateContext;
use phoenix_component::files::{self, Fingerprint};
use phoenix_component::{BoxFuture, ClientInfo, Extension, Host, Refusal, Slot, StartError};
use phoenix_config::ComponentId;
use tokio::time::Instant;

use crate::HeadersSetterConfig;
use crate::headers::Header;

/// Sets headers of what is sent.
pub struct HeadersSetter {
    auth: Arc<Auth>,
    seen: Fingerprint,
    id: String,
    publication: AuthPublication,
}

struct Auth {
    headers: Vec<Header>,
    additional: Option<ComponentId>,
    /// Found once that extension has started.
    first: OnceLock<Arc<Slot<dyn ClientAuth>>>,
}

impl Auth {
    fn files(&self) -> Vec<std::path::PathBuf> {
        self.headers.iter().filter_map(Header::file).map(Path::to_owned).collect()
    }
}

impl HeadersSetter {
    /// An extension that is not published yet.
    ///
    /// # Errors
    /// Where a value cannot be sent, or its file not be read.
    pub fn new(config: &HeadersSetterConfig, cx: &CreateContext<'_>) -> Result<HeadersSetter, StartError> {
        let files: Vec<_> = config.headers.iter().filter_map(|header| header.value_file.as_ref()).collect();
        let seen = files::fingerprint(&files.into_iter().map(Into::into).collect::<Vec<_>>());
        let headers = config.headers.iter().map(Header::new).collect::<Result<_, _>>();
        let additional = match config.additional_auth.as_str() {
            "" => None,
            id => Some(ComponentId::parse(id).map_err(StartError::because)?),
        };
        let auth =
            Arc::new(Auth { headers: headers.map_err(StartError::new)?, additional, first: OnceLock::new() });
        let publication = AuthPublication::new(cx, None, Some(auth.clone()));
        Ok(HeadersSetter { auth, seen, id: cx.id.to_string(), publication })
    }
}

impl Extension for HeadersSetter {
    fn start<'a>(&'a self, host: &'a Host) -> BoxFuture<'a, Result<(), StartError>> {
        Box::pin(async move {
            if let Some(additional) = &self.auth.additional {
                let first = host.capabilities.client_auth(additional);
                let first = first.map_err(|error| StartError::new(format!("additional_auth: {error}")))?;
                self.auth.first.get_or_init(|| first);
            }
            let (auth, id) = (self.auth.clone(), self.id.clone());
            self.publication.watch(host, self.auth.files(), self.seen.clone(), move || {
                for error in auth.headers.iter().filter_map(|header| header.read_again().err()) {
                    tracing::error!(
                        extension = id,
                        error,
                        "a value could not be read again, the one before stays"
                    );
                }
            });
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

impl ClientAuth for Auth {
    fn authorize<'a>(
        &'a self,
        headers: &'a mut HeaderMap,
        client: Option<&'a ClientInfo>,
    ) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(async move {
            if let Some(slot) = self.first.get() {
                let absent = || Refusal::retryable("auth", "the additional authenticator is not running");
                let first = slot.get().ok_or_else(absent)?;
                first.authorize(headers, client).await?;
            }
            self.headers.iter().try_for_each(|header| header.apply(headers, client))
        })
    }

    /// What it sets need not be secret; what goes first may be.
    fn needs_tls(&self) -> bool {
        self.first.get().and_then(|slot| slot.get()).is_some_and(|first| first.needs_tls())
    }
}
