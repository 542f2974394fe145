//! Fetches the keys of one provider, again and again (OpenID Connect Discovery 1.0).

use std::time::Duration;

use http::HeaderMap;
use http::header::{ACCEPT, HeaderValue};
use phoenix_component::{Cores, Host, StartError, Status, StatusReporter};
use phoenix_config::GoDuration;
use phoenix_transport::compression::Encoding;
use phoenix_transport::http::client::Client;
use phoenix_transport::settings::{Compression, HttpClientBlock, TlsClientSettings};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout};

use crate::ProviderSettings;
use crate::jwks::KeySet;
use crate::keys::Keys;

/// Keys are fetched again after this time, whether or not somebody asks for them.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(15 * 60);
/// Least time between two fetches that unknown keys in tokens ask for: anybody can make them up.
const LEAST_INTERVAL: Duration = Duration::from_secs(3);
/// Rest after a fetch that failed, doubled with each that follows, up to the second.
const FIRST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(30);
const REQUEST_TIMEOUT_SECONDS: u32 = 5;

/// One provider as its task sees it.
pub(crate) struct Fetcher {
    issuer: String,
    client: Client,
    keys: Keys,
    status: StatusReporter,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

impl Fetcher {
    /// Prepares requests; nothing is connected. They run on the control runtime.
    pub(crate) fn new(
        settings: &ProviderSettings,
        keys: Keys,
        status: StatusReporter,
        host: &Host,
    ) -> Result<Fetcher, StartError> {
        let tls =
            TlsClientSettings { ca_file: settings.issuer_ca_path.clone(), ..TlsClientSettings::default() };
        let block = HttpClientBlock {
            tls,
            timeout: GoDuration::from_secs(REQUEST_TIMEOUT_SECONDS),
            compression: Compression(Encoding::Identity),
            disable_keep_alives: true,
            ..HttpClientBlock::default()
        };
        let options = block.options(host).map_err(StartError::because)?;
        let client = Client::new(options, &Cores::of(host.control.clone())).map_err(StartError::because)?;
        Ok(Fetcher { issuer: settings.issuer_url.clone(), client, keys, status })
    }

    /// Fetches keys until it is dropped: first until there are some, then from time to time, and when a token names
    /// one that is not known.
    pub(crate) async fn run(self) {
        let mut rest = FIRST_REST;
        loop {
            let begun = Instant::now();
            let fetched = self.fetch().await;
            match fetched {
                Ok(keys) => {
                    self.keys.set(keys);
                    self.status.report(Status::Ok);
                    rest = FIRST_REST;
                }
                Err(reason) => {
                    let issuer = &self.issuer;
                    tracing::warn!(
                        issuer,
                        reason,
                        "cannot fetch the keys of an issuer, they will be asked for again"
                    );
                    // What is known goes on to be used: a key that was withdrawn is withdrawn once its issuer says so.
                    let text = format!("cannot fetch the keys of {issuer}: {reason}");
                    self.status.report(Status::Recoverable(text));
                    self.keys.attempted(false);
                    sleep(rest).await;
                    rest = (rest * 2).min(LONGEST_REST);
                    continue;
                }
            }
            self.keys.attempted(true);
            sleep(LEAST_INTERVAL.saturating_sub(begun.elapsed())).await;
            let _ = timeout(RENEWAL_INTERVAL, self.keys.wanted()).await;
        }
    }

    async fn fetch(&self) -> Result<KeySet, String> {
        let url = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let discovery: Discovery = self.get(&url).await.and_then(|body| json(&url, &body))?;
        if discovery.issuer != self.issuer {
            return Err(format!("{url} speaks for another issuer: {:?}", discovery.issuer));
        }
        if self.issuer.starts_with("https://") && !discovery.jwks_uri.starts_with("https://") {
            return Err(format!("{url} names keys that come without TLS"));
        }
        let body = self.get(&discovery.jwks_uri).await?;
        KeySet::parse(&body).map_err(|reason| format!("{}: {reason}", discovery.jwks_uri))
    }

    async fn get(&self, url: &str) -> Result<bytes::Bytes, String> {
        let destination = self.client.destination(url).map_err(|error| error.to_string())?;
        let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
        let answer = self.client.get(&destination, &headers).await.map_err(|error| error.to_string())?;
        match answer.status.is_success() {
            true => Ok(answer.body),
            false => Err(format!("{url} answered {}", answer.status.as_u16())),
        }
    }
}

fn json<T: DeserializeOwned>(url: &str, body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| format!("{url}: {error}"))
}
