use std::sync::Arc;

use http::HeaderMap;
use phoenix_component::ClientInfo;
use phoenix_transport::Peer;

/// What is passed on of a client, where `include_metadata` asks for it. Values that are no text are left
/// out, as are HTTP/2 pseudo-headers; the authority stands under `host` where there is no such header.
pub(crate) fn info(headers: &HeaderMap, authority: Option<&str>, peer: &Peer) -> Arc<ClientInfo> {
    let mut metadata: Vec<(String, String)> = headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
        .collect();
    if let Some(authority) = authority.filter(|_| !headers.contains_key(http::header::HOST)) {
        metadata.push(("host".to_owned(), authority.to_owned()));
    }
    let address = match peer {
        Peer::Tcp(address) => Some(*address),
        Peer::Unix { .. } => None,
    };
    Arc::new(ClientInfo { address, metadata })
}
