//! Trials of endpoints: what `validate --probe` does for the settings of this crate.

use std::path::{Path, PathBuf};

use phoenix_component::{Action, Leases, Outcome, Touch};

use crate::endpoint::{CONNECT_TIMEOUT, Target};
use crate::settings::{TlsClientSettings, TlsServerSettings, Transport};
use crate::tls::{Alpn, TlsConnector};

/// A server to connect to: its name is resolved, one address is dialled, and TLS is agreed on where it is set.
pub fn connect(key: &str, target: Target, tls: Option<(&TlsClientSettings, Alpn)>) -> Touch {
    let tls = tls.map(|(settings, alpn)| (settings.clone(), alpn));
    let text = target.to_string();
    Touch::new(key, Action::Connect, text, move || try_connection(target, tls))
}

/// The server of a URL of HTTP, with TLS where its scheme says so.
pub fn http_server(key: &str, url: &http::Uri, tls: &TlsClientSettings, with_http2: bool) -> Option<Touch> {
    let is_https = url.scheme_str() == Some("https");
    let port = url.port_u16().unwrap_or(if is_https { 443 } else { 80 });
    let target = Target::Host { host: url.host()?.trim_matches(['[', ']']).to_owned(), port };
    let alpn = if with_http2 { Alpn::H2OrHttp1 } else { Alpn::Http1 };
    Some(connect(key, target, is_https.then_some((tls, alpn))))
}

async fn try_connection(target: Target, tls: Option<(TlsClientSettings, Alpn)>) -> Outcome {
    let addresses =
        target.resolve().await.map_err(|error| format!("the name cannot be resolved: {error}"))?;
    let mut failures = Vec::new();
    for address in &addresses {
        let plain = match address.dial(CONNECT_TIMEOUT).await {
            Ok(plain) => plain,
            Err(error) => {
                failures.push(format!("{address}: {error}"));
                continue;
            }
        };
        let Some((settings, alpn)) = &tls else { return Ok(format!("connected to {address}")) };
        let connector = TlsConnector::new(settings, *alpn).map_err(|error| with_causes(&error))?;
        let handshake = connector.connect(plain, target.host()).await;
        return match handshake {
            Ok(_) => Ok(format!("connected to {address}, with TLS")),
            Err(error) => Err(format!("connected to {address}, and TLS failed: {error}")),
        };
    }
    Err(format!("no connection: {}", failures.join("; ")))
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text += &format!(": {cause}");
        next = cause.source();
    }
    text
}

/// An address to listen at: it is bound, and let go at once.
pub fn listen(key: &str, transport: Transport, endpoint: &str) -> Touch {
    let endpoint = endpoint.to_owned();
    match transport {
        Transport::Tcp => Touch::new(key, Action::Listen, endpoint.clone(), move || async move {
            match tokio::task::spawn_blocking(move || Leases::default().listen_tcp(&endpoint)).await {
                Ok(Ok(_)) => Ok("free".to_owned()),
                Ok(Err(error)) => Err(error.to_string()),
                Err(error) => Err(error.to_string()),
            }
        }),
        Transport::Unix => {
            let path = PathBuf::from(&endpoint);
            Touch::new(key, Action::Listen, endpoint, move || async move { try_unix(&path).await })
        }
    }
}

/// Binding would replace a stale socket, so it is only asked whether somebody listens.
async fn try_unix(path: &Path) -> Outcome {
    if !path.exists() {
        return Touch::write("", path).probe(CONNECT_TIMEOUT).await.map(|_| "free".to_owned());
    }
    match tokio::net::UnixStream::connect(path).await {
        Ok(_) => Err("a process listens there".to_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            Ok("free: a stale socket is replaced".to_owned())
        }
        Err(error) => Err(error.to_string()),
    }
}

/// The files that the TLS of a client reads; keys are below `key`.
pub fn client_files(key: &str, tls: &TlsClientSettings) -> Vec<Touch> {
    files(key, [("ca_file", &tls.ca_file), ("cert_file", &tls.cert_file), ("key_file", &tls.key_file)])
}

/// The files that the TLS of a listener reads; keys are below `key`.
pub fn server_files(key: &str, tls: &TlsServerSettings) -> Vec<Touch> {
    let own = [("ca_file", &tls.ca_file), ("cert_file", &tls.cert_file), ("key_file", &tls.key_file)];
    let mut touches = files(key, own);
    touches.extend(files(key, [("client_ca_file", &tls.client_ca_file)]));
    touches
}

fn files<const N: usize>(key: &str, paths: [(&str, &String); N]) -> Vec<Touch> {
    let named = paths.into_iter().filter(|(_, path)| !path.is_empty());
    named.map(|(name, path)| Touch::read(format!("{key}::{name}"), path)).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn servers_are_tried_with_what_failed() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("bound");
        let target = || Target::Host { host: "127.0.0.1".into(), port: address.port() };
        let outcome = connect("endpoint", target(), None).probe(PATIENCE).await;
        assert_eq!(outcome, Ok(format!("connected to {address}")));
        let missing = TlsClientSettings { ca_file: "/no/such".into(), ..TlsClientSettings::default() };
        let outcome = connect("endpoint", target(), Some((&missing, Alpn::H2))).probe(PATIENCE).await;
        assert!(outcome.expect_err("no authority").contains("/no/such"));
        assert_eq!(client_files("tls", &missing)[0].key, "tls::ca_file");
        let taken = listen("endpoint", Transport::Tcp, &address.to_string()).probe(PATIENCE).await;
        assert!(taken.expect_err("taken").contains("in use"));
        drop(listener);
        let outcome = connect("endpoint", target(), None).probe(PATIENCE).await;
        assert!(outcome.expect_err("closed").contains("refused"));
        let free = listen("endpoint", Transport::Tcp, &address.to_string()).probe(PATIENCE).await;
        assert_eq!(free, Ok("free".into()));
    }

    #[tokio::test]
    async fn sockets_are_not_replaced_by_a_trial() {
        let folder = tempfile::tempdir().expect("made");
        let path = folder.path().join("s");
        let text = path.to_str().expect("UTF-8");
        assert_eq!(listen("endpoint", Transport::Unix, text).probe(PATIENCE).await, Ok("free".into()));
        let listener = std::os::unix::net::UnixListener::bind(&path).expect("bound");
        assert!(listen("endpoint", Transport::Unix, text).probe(PATIENCE).await.is_err());
        drop(listener);
        assert!(listen("endpoint", Transport::Unix, text).probe(PATIENCE).await.is_ok());
        assert!(path.exists());
    }
}
