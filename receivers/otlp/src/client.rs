use std::sync::Arc;

use http::HeaderMap;
use phoenix_component::ClientInfo;
use phoenix_component::auth::Identity;
use phoenix_transport::Peer;

/// What is passed on of a client. Its metadata is there where `include_metadata` asks for it: values that are
/// no text are left out, as are HTTP/2 pseudo-headers; the authority stands under `host` where there is no such
/// header. Nothing is passed on of a client that nobody asks about and nobody let in.
pub(crate) fn info(
    headers: &HeaderMap,
    authority: Option<&str>,
    peer: &Peer,
    identity: Option<Arc<Identity>>,
    include_metadata: bool,
) -> Option<Arc<ClientInfo>> {
    let identity = identity.filter(|identity| !identity.is_empty());
    if !include_metadata && identity.is_none() {
        return None;
    }
    let mut metadata = Vec::new();
    if include_metadata {
        let texts = headers
            .iter()
            .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())));
        metadata.extend(texts);
        if let Some(authority) = authority.filter(|_| !headers.contains_key(http::header::HOST)) {
            metadata.push(("host".to_owned(), authority.to_owned()));
        }
    }
    let address = match peer {
        Peer::Tcp(address) => Some(*address),
        Peer::Unix { .. } => None,
    };
    Some(Arc::new(ClientInfo { address, metadata, auth: identity }))
}
