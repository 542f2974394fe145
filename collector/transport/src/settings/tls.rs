use std::time::Duration;

use phoenix_config::{Described, GoDuration, Opaque, Problems, Settings};
use serde::Deserialize;

use super::keepalive::unless_zero;
use super::{NotYet, refuse};
use crate::tls::{CurveChoice, SuiteChoice, Version};

/// Why keys in a TPM are refused.
const NO_TPM: &str = "rustls keeps keys in memory";

/// Declares a block of TLS settings: the keys of both sides and those of one.
macro_rules! tls_settings {
    ($(#[$doc:meta])* $name:ident { $($(#[$own_doc:meta])* $own:ident: $own_type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name {
            /// PEM file of the authorities that the peer's certificate must come from.
            pub ca_file: String,
            /// The same, as text.
            pub ca_pem: Opaque,
            /// Adds the system's authorities to those given.
            pub include_system_ca_certs_pool: bool,
            /// PEM file of the own certificate, with its chain.
            pub cert_file: String,
            /// The same, as text.
            pub cert_pem: Opaque,
            /// PEM file of the private key.
            pub key_file: String,
            /// The same, as text.
            pub key_pem: Opaque,
            /// Lowest protocol version; 1.2 if empty.
            #[described(words("", "1.2", "1.3"))]
            pub min_version: String,
            /// Highest protocol version; 1.3 if empty.
            #[described(words("", "1.2", "1.3"))]
            pub max_version: String,
            /// TLS 1.2 cipher suites by their IANA names; all that are safe by default.
            pub cipher_suites: Vec<String>,
            /// Allows weak suites in `cipher_suites`.
            #[described(no_effect = "there are none here")]
            pub include_insecure_cipher_suites: bool,
            /// Key exchange groups in order: `X25519`, `P256`, `P384`.
            pub curve_preferences: Vec<String>,
            /// Time after which the files are looked at again, at the next handshake; 0 is never.
            pub reload_interval: GoDuration,
            /// Keys in a TPM.
            #[described(unsupported = NO_TPM)]
            pub tpm: NotYet,
            $($(#[$own_doc])* pub $own: $own_type,)*
        }

        impl $name {
            pub(crate) fn material(&self) -> Material<'_> {
                Material {
                    ca: Source { file: &self.ca_file, pem: &self.ca_pem },
                    certificate: Source { file: &self.cert_file, pem: &self.cert_pem },
                    key: Source { file: &self.key_file, pem: &self.key_pem },
                    include_system_roots: self.include_system_ca_certs_pool,
                    min_version: &self.min_version,
                    max_version: &self.max_version,
                    cipher_suites: &self.cipher_suites,
                    curves: &self.curve_preferences,
                    reload_interval: unless_zero(self.reload_interval),
                }
            }

            fn validate_common(&self, problems: &mut Problems) {
                self.material().validate(problems);
                let text = "must be non-negative";
                problems.require(!self.reload_interval.is_negative(), "reload_interval", text);
                refuse(problems, "tpm", &self.tpm, NO_TPM);
            }
        }
    };
}

tls_settings! {
    /// TLS of a listener.
    TlsServerSettings {
        /// PEM file of the authorities of clients; set, it asks every client for a certificate.
        client_ca_file: String,
        /// Reads that file again when it changes: it is looked at with a handshake, at most once a second.
        client_ca_file_reload: bool,
    }
}

tls_settings! {
    /// TLS of a client.
    TlsClientSettings {
        /// No TLS, unless an authority is given.
        insecure: bool,
        /// Accepts any certificate.
        insecure_skip_verify: bool,
        /// The name that the certificate must have, instead of the endpoint's host.
        server_name_override: String,
    }
}

impl Settings for TlsServerSettings {
    fn validate(&self, problems: &mut Problems) {
        self.validate_common(problems);
        let material = self.material();
        problems.require(
            material.certificate.is_set() && material.key.is_set(),
            "",
            "TLS configuration must include both certificate and key for server connections",
        );
        if self.client_ca_file_reload && self.client_ca_file.is_empty() {
            problems.warn("client_ca_file_reload", "has no effect without `client_ca_file`");
        }
    }
}

impl Settings for TlsClientSettings {
    fn validate(&self, problems: &mut Problems) {
        self.validate_common(problems);
    }
}

impl TlsClientSettings {
    /// Whether connections to an endpoint without a scheme are plaintext.
    pub fn is_plaintext(&self) -> bool {
        self.insecure && !self.material().ca.is_set()
    }
}

/// PEM in a file, or written out.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) file: &'a str,
    pub(crate) pem: &'a Opaque,
}

impl Source<'_> {
    pub(crate) fn is_set(&self) -> bool {
        !self.file.is_empty() || !self.pem.is_empty()
    }

    fn is_twice(&self) -> bool {
        !self.file.is_empty() && !self.pem.is_empty()
    }
}

/// What both sides have.
pub(crate) struct Material<'a> {
    pub(crate) ca: Source<'a>,
    pub(crate) certificate: Source<'a>,
    pub(crate) key: Source<'a>,
    pub(crate) include_system_roots: bool,
    pub(crate) min_version: &'a str,
    pub(crate) max_version: &'a str,
    pub(crate) cipher_suites: &'a [String],
    pub(crate) curves: &'a [String],
    /// None for never.
    pub(crate) reload_interval: Option<Duration>,
}

impl Material<'_> {
    fn validate(&self, problems: &mut Problems) {
        let twice = |what| format!("provide either {what} or the PEM-encoded string, but not both");
        problems.require(!self.ca.is_twice(), "ca_file", twice("a CA file"));
        problems.require(!self.certificate.is_twice(), "cert_file", twice("a certificate"));
        problems.require(!self.key.is_twice(), "key_file", twice("a key"));
        problems.require(
            self.certificate.is_set() == self.key.is_set(),
            if self.key.is_set() { "key_file" } else { "cert_file" },
            "provide both certificate and key, or neither: `cert_file` or `cert_pem`, and `key_file` or `key_pem`",
        );
        let mut version = |key, text, otherwise| match Version::parse(text) {
            Ok(version) => version.unwrap_or(otherwise),
            Err(message) => {
                problems.error(key, message);
                otherwise
            }
        };
        let lowest = version("min_version", self.min_version, Version::Tls12);
        let highest = version("max_version", self.max_version, Version::Tls13);
        problems.require(lowest <= highest, "min_version", "min_version must not be above max_version");
        for suite in self.cipher_suites {
            if let Err(message) = SuiteChoice::parse(suite) {
                problems.error("cipher_suites", message);
            }
        }
        for curve in self.curves {
            if let Err(message) = CurveChoice::parse(curve) {
                problems.error("curve_preferences", message);
            }
        }
    }
}
