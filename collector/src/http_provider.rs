//! The `http:` and `https:` providers of configurations: one GET, as otelcol does.

use std::time::Duration;

use phoenix_config::{Provider, ProviderError, Retrieved};

/// A configuration larger than this is refused.
const MAX_BYTES: u64 = 16 << 20;
const TIMEOUT: Duration = Duration::from_secs(30);

/// Retrieves configurations over HTTP. The status must be 200; there is no authentication.
pub(crate) struct HttpProvider {
    pub(crate) scheme: &'static str,
}

impl Provider for HttpProvider {
    fn scheme(&self) -> &str {
        self.scheme
    }

    fn retrieve(&self, opaque: &str) -> Result<Retrieved, ProviderError> {
        let url = format!("{}:{opaque}", self.scheme);
        let failed =
            |error: ureq::Error| ProviderError::unavailable(format!("unable to fetch {url}: {error}"));
        let agent = ureq::Agent::new_with_config(
            ureq::config::Config::builder()
                .timeout_global(Some(TIMEOUT))
                .user_agent("phoenix-collector")
                .build(),
        );
        let mut response = agent.get(&url).call().map_err(failed)?;
        if response.status() != 200 {
            let status = response.status();
            return Err(ProviderError::new(format!(
                "unable to fetch {url}: status {status}, and must be 200"
            )));
        }
        let text = response.body_mut().with_config().limit(MAX_BYTES).read_to_string().map_err(failed)?;
        Ok(Retrieved::yaml(text))
    }
}
