//! Certificates and keys out of PEM.

use rustls::RootCertStore;
use rustls_pki_types::pem::{self, PemObject as _};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::TlsError;
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
                text: source.pem.reveal().as_bytes().to_vec(),
            });
        }
        let path = source.file.to_owned();
        let text = std::fs::read(&path).map_err(|source| TlsError::Read { what, path, source })?;
        Ok(Pem { what, origin: format!("{:?}", source.file), text })
    }

    fn wrong(&self, reason: impl Into<String>) -> TlsError {
        TlsError::Content { what: self.what, origin: self.origin.clone(), reason: reason.into() }
    }

    fn holds(&self, label: &str) -> bool {
        let label = format!("-----BEGIN {label}");
        self.text.windows(label.len()).any(|window| window == label.as_bytes())
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.text).collect();
        let found = found.map_err(|error| self.wrong(format!("not valid PEM: {error}")))?;
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

/// The certificates of a chain, the own one first.
pub(super) fn certificates(
    what: &'static str,
    source: Source<'_>,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    Pem::read(what, source)?.certificates()
}

/// The first private key.
pub(super) fn private_key(
    what: &'static str,
    source: Source<'_>,
) -> Result<PrivateKeyDer<'static>, TlsError> {
    let pem = Pem::read(what, source)?;
    PrivateKeyDer::from_pem_slice(&pem.text).map_err(|error| match error {
        pem::Error::NoItemsFound if pem.holds("ENCRYPTED PRIVATE KEY") => {
            pem.wrong("the private key is encrypted; decrypt it first (`openssl pkey`)")
        }
        pem::Error::NoItemsFound if pem.holds("CERTIFICATE") => {
            pem.wrong("holds a certificate where a private key should be")
        }
        pem::Error::NoItemsFound => pem.wrong("holds no private key in PEM form"),
        error => pem.wrong(format!("not valid PEM: {error}")),
    })
}

/// Adds the authorities of `source`.
pub(super) fn add_roots(
    roots: &mut RootCertStore,
    what: &'static str,
    source: Source<'_>,
) -> Result<(), TlsError> {
    let pem = Pem::read(what, source)?;
    for certificate in pem.certificates()? {
        roots.add(certificate).map_err(|error| pem.wrong(format!("not a usable certificate: {error}")))?;
    }
    Ok(())
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
