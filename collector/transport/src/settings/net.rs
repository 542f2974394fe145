use phoenix_config::{Described, Shape, Written};
use serde::{Deserialize, Deserializer, de::Error as _};

/// `transport` of a listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// TCP over whatever the endpoint names.
    #[default]
    Tcp,
    /// A Unix socket; the endpoint is its path.
    Unix,
}

impl Described for Transport {
    fn shape() -> Shape {
        Shape::words(&["tcp", "tcp4", "tcp6", "unix"])
    }

    fn written(&self) -> Option<Written> {
        let name = match self {
            Transport::Tcp => "tcp",
            Transport::Unix => "unix",
        };
        Some(name.into())
    }
}

const NOT_OFFERED: [&str; 9] = ["udp", "udp4", "udp6", "ip", "ip4", "ip6", "unixgram", "unixpacket", "npipe"];

impl<'de> Deserialize<'de> for Transport {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Transport, D::Error> {
        let name = String::deserialize(deserializer)?;
        match name.as_str() {
            "tcp" | "tcp4" | "tcp6" => Ok(Transport::Tcp),
            "unix" => Ok(Transport::Unix),
            "" => Err(D::Error::custom("invalid transport type \"\"")),
            name if NOT_OFFERED.contains(&name) => {
                Err(D::Error::custom(format!("transport type {name:?} carries no streams; use tcp or unix")))
            }
            _ => Err(D::Error::custom(format!("unsupported transport type {name:?}"))),
        }
    }
}
