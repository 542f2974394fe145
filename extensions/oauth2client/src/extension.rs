use std::sync::Arc;

use phoenix_component::auth::AuthPublication;
use phoenix_component::factory::CreateContext;
use phoenix_component::{BoxFuture, Extension, Host, StartError};
use tokio::time::Instant;

use crate::OAuth2ClientConfig;
use crate::token_source::TokenSource;

/// Shows tokens that it fetches.
pub struct OAuth2Client {
    source: Arc<TokenSource>,
    publication: AuthPublication,
}

impl OAuth2Client {
    /// An extension that is not published yet. Tokens are fetched when the first is needed.
    ///
    /// # Errors
    /// None: what can be wrong shows at its start.
    pub fn new(config: &OAuth2ClientConfig, cx: &CreateContext<'_>) -> Result<OAuth2Client, StartError> {
        let source = Arc::new(TokenSource::new(config.clone(), &cx.host.metrics, &cx.id.to_string()));
        Ok(OAuth2Client { publication: AuthPublication::new(cx, None, Some(source.clone())), source })
    }
}

impl Extension for OAuth2Client {
    fn start<'a>(&'a self, host: &'a Host) -> BoxFuture<'a, Result<(), StartError>> {
        Box::pin(async move {
            self.source.start(host)?;
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
