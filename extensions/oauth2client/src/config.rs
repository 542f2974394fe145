use std::collections::BTreeMap;

use http::Uri;
use phoenix_component::Touch;
use phoenix_config::{Described, GoDuration, Opaque, Problems, Settings};
use phoenix_transport::probe;
use phoenix_transport::settings::{NotYet, TlsClientSettings, refuse};
use serde::Deserialize;

/// Settings of the `oauth2client` extension: otelcol's keys.
#[derive(Clone, Debug, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct OAuth2ClientConfig {
    /// The client's identifier.
    pub client_id: String,
    /// A file that holds it instead, read for each token.
    pub client_id_file: String,
    /// The client's secret.
    pub client_secret: Opaque,
    /// A file that holds it instead, read for each token.
    pub client_secret_file: String,
    /// Where tokens are had.
    #[described(required)]
    pub token_url: String,
    /// What the token is to permit.
    pub scopes: Vec<String>,
    /// More parameters of the request for a token.
    pub endpoint_params: BTreeMap<String, Values>,
    /// TLS of that request.
    pub tls: TlsClientSettings,
    /// For that request; 0 is a minute.
    pub timeout: GoDuration,
    /// A token is renewed this long before it expires; at most for half of its life.
    pub expiry_buffer: GoDuration,
    /// How tokens are asked for.
    #[described(words("", "client_credentials"))]
    pub grant_type: String,
    /// Of the grant with a signed JWT.
    #[described(unsupported = NO_JWT)]
    pub iss: NotYet,
    /// Of the grant with a signed JWT.
    #[described(unsupported = NO_JWT)]
    pub audience: NotYet,
    /// Of the grant with a signed JWT.
    #[described(unsupported = NO_JWT)]
    pub claims: NotYet,
    /// Of the grant with a signed JWT.
    #[described(unsupported = NO_JWT)]
    pub signature_algorithm: NotYet,
    /// Of the grant with a signed JWT.
    #[described(unsupported = NO_JWT)]
    pub client_certificate_key: NotYet,
    /// Of the grant with a signed JWT.
    #[described(unsupported = NO_JWT)]
    pub client_certificate_key_file: NotYet,
    /// Of the grant with a signed JWT.
    #[described(unsupported = NO_JWT)]
    pub client_certificate_key_id: NotYet,
}

/// A parameter's value, or a list of them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Values {
    /// One.
    One(String),
    /// Any number.
    Many(Vec<String>),
}

impl Described for Values {
    fn shape() -> phoenix_config::Shape {
        phoenix_config::Shape::Any
    }

    fn written(&self) -> Option<phoenix_config::Written> {
        match self {
            Values::One(one) => one.written(),
            Values::Many(many) => many.written(),
        }
    }
}

impl Values {
    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        match self {
            Values::One(one) => std::slice::from_ref(one),
            Values::Many(many) => many,
        }
        .iter()
        .map(String::as_str)
    }
}

const NO_JWT: &str = "only the grant `client_credentials` is offered";
const FIVE_MINUTES: u32 = 300;

impl Default for OAuth2ClientConfig {
    fn default() -> OAuth2ClientConfig {
        OAuth2ClientConfig {
            client_id: String::new(),
            client_id_file: String::new(),
            client_secret: Opaque::default(),
            client_secret_file: String::new(),
            token_url: String::new(),
            scopes: Vec::new(),
            endpoint_params: BTreeMap::new(),
            tls: TlsClientSettings::default(),
            timeout: GoDuration::ZERO,
            expiry_buffer: GoDuration::from_secs(FIVE_MINUTES),
            grant_type: String::new(),
            iss: None,
            audience: None,
            claims: None,
            signature_algorithm: None,
            client_certificate_key: None,
            client_certificate_key_file: None,
            client_certificate_key_id: None,
        }
    }
}

impl OAuth2ClientConfig {
    pub(crate) fn touches(&self) -> Vec<Touch> {
        let files =
            [("client_id_file", &self.client_id_file), ("client_secret_file", &self.client_secret_file)];
        let named = files.into_iter().filter(|(_, file)| !file.is_empty());
        let mut touches: Vec<Touch> = named.map(|(key, file)| Touch::read(key, file)).collect();
        touches.extend(probe::client_files("tls", &self.tls));
        touches
    }
}

impl Settings for OAuth2ClientConfig {
    fn validate(&self, problems: &mut Problems) {
        problems.require(
            !self.client_id.is_empty() || !self.client_id_file.is_empty(),
            "client_id",
            "no ClientID provided in the OAuth2 exporter configuration",
        );
        problems.require(
            !self.client_secret.is_empty() || !self.client_secret_file.is_empty(),
            "client_secret",
            "no ClientSecret provided in OAuth Client Credentials configuration",
        );
        match (self.token_url.as_str(), self.token_url.parse::<Uri>()) {
            ("", _) => {
                problems.error("token_url", "no TokenURL provided in OAuth Client Credentials configuration");
            }
            (_, Ok(url)) if url.host().is_some() && url.scheme_str() == Some("https") => {}
            (_, Ok(url)) if url.host().is_some() && url.scheme_str() == Some("http") => {
                if !matches!(url.host(), Some("localhost" | "127.0.0.1" | "[::1]")) {
                    problems.warn("token_url", "sends the secret without TLS: use https");
                }
            }
            (url, _) => problems.error("token_url", format!("{url:?} is no URL of http or https")),
        }
        for (key, time) in [("timeout", self.timeout), ("expiry_buffer", self.expiry_buffer)] {
            problems.require(!time.is_negative(), key, "must be non-negative");
        }
        problems.require(
            matches!(self.grant_type.as_str(), "" | "client_credentials"),
            "grant_type",
            format!("grant {:?} is not supported: {NO_JWT}", self.grant_type),
        );
        for (key, value) in [
            ("iss", &self.iss),
            ("audience", &self.audience),
            ("claims", &self.claims),
            ("signature_algorithm", &self.signature_algorithm),
            ("client_certificate_key", &self.client_certificate_key),
            ("client_certificate_key_file", &self.client_certificate_key_file),
            ("client_certificate_key_id", &self.client_certificate_key_id),
        ] {
            refuse(problems, key, value, NO_JWT);
        }
        problems.within("tls", |problems| self.tls.validate(problems));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_bad_settings_and_names_the_key() {
        const GOOD: &str = "client_id: a, client_secret: hush, token_url: 'https://h/t'";
        // (more settings, keys that the errors name)
        let cases: [(&str, &[&str]); 8] = [
            ("", &[]),
            ("endpoint_params: {audience: x, resource: [a, b]}, scopes: [a], timeout: 2s", &[]),
            ("grant_type: client_credentials, tls: {insecure: true}, expiry_buffer: 0s", &[]),
            ("grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer'", &["grant_type"]),
            ("iss: x, client_certificate_key_file: /k", &["iss", "client_certificate_key_file"]),
            ("expiry_buffer: -1s", &["expiry_buffer"]),
            ("tls: {cert_file: x}", &["tls::cert_file"]),
            ("scope: a", &["scope"]),
        ];
        let keys = |settings: &str| match phoenix_config::decode_text::<OAuth2ClientConfig>(settings) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.errors().map(|problem| problem.path.to_string()).collect(),
        };
        for (more, expected) in cases {
            assert_eq!(keys(&format!("{{{GOOD}, {more}}}")), expected, "{more}");
        }
        assert_eq!(keys("{}"), ["client_id", "client_secret", "token_url"]);
        assert_eq!(keys("{client_id: a, client_secret: b, token_url: 'ftp://h'}"), ["token_url"]);
        let printed =
            format!("{:?}", phoenix_config::decode_text::<OAuth2ClientConfig>(&format!("{{{GOOD}}}")));
        assert!(!printed.contains("hush"), "{printed}");
    }
}
