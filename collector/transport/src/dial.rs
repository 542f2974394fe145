//! Connections for protocols that this crate does not speak itself.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Uri;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::endpoint::{CONNECT_TIMEOUT, Target};
use crate::proxy::{Proxies, Proxy};
use crate::socket::Socket;
use crate::tls::TlsConnector;

/// A connected socket, with TLS where its URL says so.
#[derive(Debug)]
pub struct Stream(Socket);

/// Connects to the server of `url`: `ws` and `http` in the clear, `wss` and `https` over `tls`; through a proxy where
/// `proxies` name one.
///
/// # Errors
/// Where the URL is of another kind, or nobody answers.
pub async fn dial(url: &Uri, tls: &TlsConnector, proxies: &Proxies) -> io::Result<Stream> {
    let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, format!("{url}: {what}"));
    let secure = match url.scheme_str() {
        Some("ws" | "http") => false,
        Some("wss" | "https") => true,
        _ => return Err(wrong("the scheme must be ws, wss, http or https")),
    };
    let host = url.host().ok_or_else(|| wrong("has no host"))?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let target = Target::Host { host, port: url.port_u16().unwrap_or(if secure { 443 } else { 80 }) };
    let proxy = proxies.proxy_for(&target, secure);
    let open = async {
        let mut failure = io::Error::from(io::ErrorKind::NotFound);
        for address in proxy.map_or(&target, Proxy::target).resolve().await? {
            match address.dial(CONNECT_TIMEOUT).await {
                Ok(mut plain) => {
                    if let Some(proxy) = proxy {
                        proxy.tunnel(&mut plain, &target.authority()).await?;
                    }
                    return Ok(Stream(match secure {
                        true => tls.connect(plain, target.host()).await?,
                        false => Socket::Plain(plain),
                    }));
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    };
    tokio::time::timeout(CONNECT_TIMEOUT, open).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write(cx, data)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_shutdown(cx)
    }
}
