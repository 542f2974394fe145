//! Any text as certificate and as key: it is refused with a reason that shows nothing of it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use phoenix_config::Opaque;
use phoenix_transport::settings::TlsServerSettings;
use phoenix_transport::tls::{Alpn, TlsAcceptor};

fuzz_target!(|input: (&str, &str)| {
    let (certificate, key) = input;
    let settings = TlsServerSettings {
        cert_pem: Opaque::new(certificate),
        key_pem: Opaque::new(key),
        ..TlsServerSettings::default()
    };
    if let Err(error) = TlsAcceptor::new(&settings, Alpn::H2) {
        let shown = error.to_string();
        let is_shown = |line: &str| line.len() > 30 && shown.contains(line);
        assert!(!key.lines().any(is_shown), "{shown}");
    }
});
