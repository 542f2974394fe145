//! Versions, cipher suites and groups by the names that Go gives them.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, SupportedKxGroup, ring};
use rustls::{SupportedCipherSuite, SupportedProtocolVersion};

use super::TlsError;
use crate::settings::Material;

/// A protocol version that rustls has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    Tls12,
    Tls13,
}

impl Version {
    /// The version of that name; none for the empty name.
    pub(crate) fn parse(text: &str) -> Result<Option<Version>, String> {
        match text {
            "" => Ok(None),
            "1.2" => Ok(Some(Version::Tls12)),
            "1.3" => Ok(Some(Version::Tls13)),
            "1.0" | "1.1" => {
                Err(format!("TLS version {text} is not offered: it is not safe; use 1.2 or 1.3"))
            }
            _ => Err(format!("unsupported TLS version: {text:?}")),
        }
    }
}

pub(super) fn versions(material: &Material<'_>) -> Result<Vec<&'static SupportedProtocolVersion>, TlsError> {
    let parse = |text, otherwise| {
        Version::parse(text).map(|version| version.unwrap_or(otherwise)).map_err(TlsError::Settings)
    };
    let lowest = parse(material.min_version, Version::Tls12)?;
    let highest = parse(material.max_version, Version::Tls13)?;
    let all = [(Version::Tls12, &rustls::version::TLS12), (Version::Tls13, &rustls::version::TLS13)];
    let chosen: Vec<_> = all
        .into_iter()
        .filter(|(version, _)| (lowest..=highest).contains(version))
        .map(|(_, supported)| supported)
        .collect();
    if chosen.is_empty() {
        return Err(TlsError::Settings("min_version must not be above max_version".to_owned()));
    }
    Ok(chosen)
}

/// A cipher suite that rustls has.
pub(crate) struct SuiteChoice(SupportedCipherSuite);

impl SuiteChoice {
    pub(crate) fn parse(name: &str) -> Result<SuiteChoice, String> {
        let in_rustls = name.strip_prefix("TLS_AES_").map(|rest| format!("TLS13_AES_{rest}"));
        let in_rustls = in_rustls
            .or_else(|| name.strip_prefix("TLS_CHACHA20_").map(|rest| format!("TLS13_CHACHA20_{rest}")))
            .unwrap_or_else(|| name.to_owned());
        let found = ring::ALL_CIPHER_SUITES
            .iter()
            .find(|suite| suite.suite().as_str().is_some_and(|known| known == in_rustls));
        found.map(|suite| SuiteChoice(*suite)).ok_or_else(|| {
            if KNOWN_TO_GO.contains(&name) {
                format!(
                    "TLS cipher suite {name:?} is not offered: only suites with forward secrecy and AEAD are"
                )
            } else {
                format!("invalid TLS cipher suite: {name:?}")
            }
        })
    }
}

/// Suites that Go has and rustls leaves out.
const KNOWN_TO_GO: [&str; 16] = [
    "TLS_RSA_WITH_RC4_128_SHA",
    "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
];

/// A key exchange group that rustls has.
pub(crate) struct CurveChoice(&'static dyn SupportedKxGroup);

impl CurveChoice {
    pub(crate) fn parse(name: &str) -> Result<CurveChoice, String> {
        Ok(CurveChoice(match name {
            "X25519" => ring::kx_group::X25519,
            "P256" => ring::kx_group::SECP256R1,
            "P384" => ring::kx_group::SECP384R1,
            "P521" | "X25519MLKEM768" => {
                return Err(format!("curve {name:?} is not offered; use X25519, P256 or P384"));
            }
            _ => return Err(format!("invalid curve type: {name:?}; use X25519, P256 or P384")),
        }))
    }
}

fn is_aes_128(suite: SupportedCipherSuite) -> bool {
    suite.suite().as_str().is_some_and(|name| name.contains("AES_128"))
}

/// ring with the chosen suites and groups. As in Go, a choice of suites is about TLS 1.2: those of 1.3
/// stay unless some are named; and AES of 128 bits comes first, which costs three quarters of that of 256.
pub(super) fn provider(material: &Material<'_>) -> Result<Arc<CryptoProvider>, TlsError> {
    let mut provider = ring::default_provider();
    provider.cipher_suites.sort_by_key(|suite| !is_aes_128(*suite));
    if !material.cipher_suites.is_empty() {
        let chosen: Result<Vec<_>, _> = material
            .cipher_suites
            .iter()
            .map(|name| SuiteChoice::parse(name).map(|choice| choice.0))
            .collect();
        let mut chosen = chosen.map_err(TlsError::Settings)?;
        if !chosen.iter().any(|suite| suite.tls13().is_some()) {
            chosen.extend(ring::ALL_CIPHER_SUITES.iter().filter(|suite| suite.tls13().is_some()));
        }
        provider.cipher_suites = chosen;
    }
    if !material.curves.is_empty() {
        let chosen: Result<Vec<_>, _> =
            material.curves.iter().map(|name| CurveChoice::parse(name).map(|choice| choice.0)).collect();
        provider.kx_groups = chosen.map_err(TlsError::Settings)?;
    }
    Ok(Arc::new(provider))
}
