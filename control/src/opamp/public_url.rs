//! Where agents find the service, as it is told to them.

use axum::http::Uri;
use phoenix_opamp::PATH;

use crate::error::{Error, Result};

/// The service as agents see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    is_secure: bool,
    authority: String,
}

impl PublicUrl {
    /// Reads `wss://control.example.com:4320`, with or without the path; the scheme of either transport will do.
    ///
    /// # Errors
    /// Where it is no such URL.
    pub fn parse(text: &str) -> Result<PublicUrl> {
        let read = || {
            let url: Uri = text.parse().ok()?;
            let is_secure = match url.scheme_str()? {
                "wss" | "https" => true,
                "ws" | "http" => false,
                _ => return None,
            };
            let authority = url.authority().filter(|authority| !authority.host().is_empty())?;
            let is_whole = matches!(url.path(), "/" | PATH) && url.query().is_none();
            (is_whole && !authority.as_str().contains('@'))
                .then(|| PublicUrl { is_secure, authority: authority.to_string() })
        };
        read().ok_or_else(|| Error::field("opamp_public_url", "must be like wss://control.example.com:4320"))
    }

    /// The endpoint of a transport.
    pub(crate) fn endpoint(&self, is_websocket: bool) -> String {
        let scheme = match (is_websocket, self.is_secure) {
            (true, true) => "wss",
            (true, false) => "ws",
            (false, true) => "https",
            (false, false) => "http",
        };
        format!("{scheme}://{}{PATH}", self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_transport_has_its_scheme() {
        let told = |text, is_websocket| PublicUrl::parse(text).map(|url| url.endpoint(is_websocket)).ok();
        assert_eq!(told("wss://c.example:4320", true).as_deref(), Some("wss://c.example:4320/v1/opamp"));
        assert_eq!(told("ws://c/v1/opamp", false).as_deref(), Some("http://c/v1/opamp"));
        assert_eq!(told("https://c/", true).as_deref(), Some("wss://c/v1/opamp"));
        for wrong in ["", "c.example:4320", "tcp://c", "ws://", "ws://me:pw@c", "ws://c/other", "ws://c/?a=1"]
        {
            assert_eq!(told(wrong, true), None, "{wrong}");
        }
    }
}
