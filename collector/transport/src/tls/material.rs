//! Certificates and keys out of PEM.

use rustls::RootCertStore;
use rustls_pki_types::pem::{Error as PemError, PemObject as _};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::TlsError;
use super::pem;
use super::validity::{Moment, Validity};
use crate::settings::Source;

struct Pem {
    what: &'static str,
    origin: String,
    text: Vec<u8>,
}

impl Pem {
    fn read(what: &'static str, source: Source<'_>) -> Result<Pem, TlsError> {
        if source.file.is_empty() {
            let what = what.strip_suffix("_file").unwrap_or(what);
            return Ok(Pem {
                what,
                origin: "as text".to_owned(),
                text: without_margins(source.pem.reveal().as_bytes()),
            });
        }
        let path = source.file.to_owned();
        let text = std::fs::read(&path).map_err(|source| TlsError::Read { what, path, source })?;
        Ok(Pem { what, origin: format!("{:?}", source.file), text: without_margins(&text) })
    }

    fn wrong(&self, reason: impl Into<String>) -> TlsError {
        TlsError::Content { what: self.what, origin: self.origin.clone(), reason: reason.into() }
    }

    fn holds(&self, label: &str) -> bool {
        let label = format!("-----BEGIN {label}");
        self.text.windows(label.len()).any(|window| window == label.as_bytes())
    }

    fn sections(&self) -> Result<Vec<pem::Section>, TlsError> {
        pem::sections(&self.text).map_err(|broken| self.wrong(format!("not valid PEM: {broken}")))
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let sections = self.sections()?;
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.text).collect();
        let found = found.map_err(|_| self.wrong("not valid PEM"))?;
        let lines = sections.iter().filter(|section| section.label == "CERTIFICATE");
        for (certificate, section) in found.iter().zip(lines) {
            if Validity::of(certificate).is_none() {
                return Err(self.wrong(format!("line {}: not a certificate", section.line)));
            }
        }
        if found.is_empty() {
            let key =
                self.holds("PRIVATE KEY") || self.holds("RSA PRIVATE KEY") || self.holds("EC PRIVATE KEY");
            return Err(self.wrong(match key {
                true => "holds a private key where a certificate should be",
                false => "holds no certificate in PEM form",
            }));
        }
        Ok(found)
    }
}

/// The same lines without what surrounds each, which Go passes over as well.
fn without_margins(text: &[u8]) -> Vec<u8> {
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).collect();
    lines.join(&b'\n')
}

/// The certificates of a chain, the own one first. Nobody would take it once that has expired.
pub(super) fn certificates(
    what: &'static str,
    source: Source<'_>,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = Pem::read(what, source)?;
    let chain = pem.certificates()?;
    if let Some(Validity { not_before, not_after }) = chain.first().and_then(|own| Validity::of(own)) {
        let now = Moment::now();
        if now > not_after {
            return Err(pem.wrong(format!("the certificate expired at {not_after}")));
        }
        if now < not_before {
            tracing::warn!(setting = what, file = source.file, %not_before, "the certificate is not valid yet");
        }
    }
    // Those of others may be in it for clients of old; who needs them will say so.
    for (index, other) in chain.iter().enumerate().skip(1) {
        let expired =
            Validity::of(other).map(|validity| validity.not_after).filter(|end| *end < Moment::now());
        if let Some(not_after) = expired {
            let number = index + 1;
            tracing::warn!(setting = what, file = source.file, number, %not_after, "a certificate of the chain has expired");
        }
    }
    Ok(chain)
}

/// The first private key.
pub(super) fn private_key(
    what: &'static str,
    source: Source<'_>,
) -> Result<PrivateKeyDer<'static>, TlsError> {
    let pem = Pem::read(what, source)?;
    pem.sections()?;
    const ENCRYPTED: &str = "the private key is encrypted; decrypt it first (`openssl pkey`)";
    // The older form, which says so in a header (RFC 1421).
    if pem
        .text
        .split(|byte| *byte == b'\n')
        .any(|line| line.starts_with(b"Proc-Type:") && line.ends_with(b"ENCRYPTED"))
    {
        return Err(pem.wrong(ENCRYPTED));
    }
    PrivateKeyDer::from_pem_slice(&pem.text).map_err(|error| match error {
        PemError::NoItemsFound if pem.holds("ENCRYPTED PRIVATE KEY") => pem.wrong(ENCRYPTED),
        PemError::NoItemsFound if pem.holds("CERTIFICATE") => {
            pem.wrong("holds a certificate where a private key should be")
        }
        PemError::NoItemsFound => pem.wrong("holds no private key in PEM form"),
        // Its text may show a line of the key.
        _ => pem.wrong("not valid PEM"),
    })
}

/// Adds the authorities of `source`.
pub(super) fn add_roots(
    roots: &mut RootCertStore,
    what: &'static str,
    source: Source<'_>,
) -> Result<(), TlsError> {
    let pem = Pem::read(what, source)?;
    let (now, mut last_expired, mut valid) = (Moment::now(), None, 0);
    for (index, certificate) in pem.certificates()?.into_iter().enumerate() {
        match Validity::of(&certificate) {
            Some(validity) if validity.not_after < now => {
                last_expired = last_expired.max(Some(validity.not_after))
            }
            _ => valid += 1,
        }
        let number = index + 1;
        roots.add(certificate).map_err(|error| {
            pem.wrong(format!("certificate {number} is of no use as an authority: {error}"))
        })?;
    }
    match last_expired {
        Some(expired) if valid == 0 => {
            Err(pem.wrong(format!("every authority in it has expired, the last at {expired}")))
        }
        Some(expired) => {
            tracing::warn!(setting = what, file = source.file, %expired, "an authority in it has expired");
            Ok(())
        }
        None => Ok(()),
    }
}

/// Adds the authorities of a file.
pub(super) fn add_file(roots: &mut RootCertStore, what: &'static str, file: &str) -> Result<(), TlsError> {
    add_roots(roots, what, Source { file, pem: &phoenix_config::Opaque::default() })
}

/// Explains why certificate and key were not taken together.
pub(super) fn pair_error(material: &crate::settings::Material<'_>) -> impl FnOnce(rustls::Error) -> TlsError {
    let (certificate, key) = (material.certificate.file.to_owned(), material.key.file.to_owned());
    move |error| {
        TlsError::Settings(match error {
            rustls::Error::InconsistentKeys(_) => {
                format!("the private key {key:?} does not belong to the certificate {certificate:?}")
            }
            error => format!("certificate {certificate:?} and key {key:?} cannot be used: {error}"),
        })
    }
}
