//! What tells clients apart.

use std::hash::{BuildHasher, Hash as _, Hasher as _, RandomState};
use std::net::IpAddr;

use http::HeaderName;
use phoenix_component::{Arrival, ClientKey};
use phoenix_config::{Described, Shape, Written};
use serde::{Deserialize, Deserializer, de::Error as _};

/// One thing that tells clients apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// The peer's address: of IPv6 its network of 64 bits, which one host can choose from.
    Address,
    /// A header of the request.
    Metadata(HeaderName),
    /// An attribute that the authenticator of the listener has found.
    Auth(String),
}

impl KeySource {
    fn parse(text: &str) -> Result<KeySource, String> {
        let name = |name: &str| {
            HeaderName::try_from(name).map_err(|_| format!("{name:?} in {text:?} is no header name"))
        };
        match text.split_once('.') {
            _ if text == "client.address" => Ok(KeySource::Address),
            Some(("metadata", header)) => name(header).map(KeySource::Metadata),
            Some(("auth", attribute)) if !attribute.is_empty() => Ok(KeySource::Auth(attribute.to_owned())),
            _ => Err(format!("{text:?} is none of `client.address`, `metadata.NAME` and `auth.ATTRIBUTE`")),
        }
    }
}

impl Described for KeySource {
    fn shape() -> Shape {
        String::shape()
    }

    fn written(&self) -> Option<Written> {
        let text = match self {
            KeySource::Address => "client.address".to_owned(),
            KeySource::Metadata(name) => format!("metadata.{name}"),
            KeySource::Auth(name) => format!("auth.{name}"),
        };
        text.written()
    }
}

impl<'de> Deserialize<'de> for KeySource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<KeySource, D::Error> {
        KeySource::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// Makes keys of requests. A client cannot choose with whom it shares one: what is hashed is keyed.
pub(crate) struct Keys {
    sources: Vec<KeySource>,
    hasher: RandomState,
}

impl Keys {
    pub(crate) fn new(sources: Vec<KeySource>) -> Keys {
        Keys { sources, hasher: RandomState::new() }
    }

    /// The key of a request; those that lack something share that.
    pub(crate) fn of(&self, arrival: &Arrival<'_>) -> ClientKey {
        let mut hasher = self.hasher.build_hasher();
        for source in &self.sources {
            match source {
                KeySource::Address => arrival.address.map(network).hash(&mut hasher),
                KeySource::Metadata(name) => arrival.presented.first(name.as_str()).hash(&mut hasher),
                KeySource::Auth(name) => {
                    let value = arrival.identity.and_then(|identity| identity.get(name));
                    value.map(ToString::to_string).hash(&mut hasher);
                }
            }
        }
        ClientKey(hasher.finish())
    }
}

fn network(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(v4) => u64::from(u32::from(v4)),
        // No network of IPv6 begins with 32 zeros, but for addresses that are not in use.
        IpAddr::V6(v6) => (u128::from(v6) >> 64) as u64,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use phoenix_component::auth::{Identity, Presented};

    use super::*;

    #[test]
    fn clients_are_told_apart_by_what_is_named() {
        let headers = |tenant: &str| {
            HeaderMap::from_iter([("x-tenant".parse().expect("a name"), tenant.parse().expect("a value"))])
        };
        let identity = |name: &str| Identity::new(vec![("subject".into(), name.into())]);
        let (a, b, ann, bob) = (headers("a"), headers("b"), identity("ann"), identity("bob"));
        let keys = |names: &[&str]| {
            Keys::new(names.iter().map(|name| KeySource::parse(name).expect(name)).collect())
        };
        let arrival = |headers, address: &str, identity| Arrival {
            presented: Presented::new(headers),
            address: address.parse().ok(),
            identity,
        };
        let base = arrival(&a, "10.0.0.1", Some(&ann));
        // (what tells apart, another request, whether it is the same client)
        for (names, other, same) in [
            (&["client.address"][..], arrival(&b, "10.0.0.1", Some(&bob)), true),
            (&["client.address"], arrival(&a, "10.0.0.2", Some(&ann)), false),
            (&["client.address"], arrival(&a, "::ffff:10.0.0.1", Some(&ann)), true),
            (&["client.address"], arrival(&a, "", Some(&ann)), false),
            (&["metadata.X-Tenant"], arrival(&a, "10.0.0.2", None), true),
            (&["metadata.X-Tenant"], arrival(&b, "10.0.0.1", Some(&ann)), false),
            (&["auth.subject"], arrival(&b, "10.0.0.2", Some(&ann)), true),
            (&["auth.subject"], arrival(&a, "10.0.0.1", Some(&bob)), false),
            (&["auth.subject", "client.address"], arrival(&b, "10.0.0.1", Some(&ann)), true),
            (&["auth.subject", "client.address"], arrival(&a, "10.0.0.2", Some(&ann)), false),
        ] {
            let keys = keys(names);
            assert_eq!(keys.of(&base) == keys.of(&other), same, "{names:?} {other:?}");
        }
        let keys = keys(&["client.address"]);
        let of = |address: &str| keys.of(&arrival(&a, address, None));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"), "one host has the whole network");
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
    }
}
