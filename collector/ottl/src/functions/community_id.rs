//! The Community ID of a network flow, version 1: the same text for both directions.

use std::net::IpAddr;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha1::{Digest, Sha1};

use super::cidr::parse_address;
use crate::EvalError;

/// Both ends of a flow.
#[derive(Clone, Copy, Debug)]
pub struct Flow<'a> {
    /// Address and port of the one end.
    pub source: (&'a str, i64),
    /// Address and port of the other.
    pub destination: (&'a str, i64),
}

/// The number of a protocol; names are upper case.
///
/// # Errors
///
/// Names that Community ID does not know.
pub fn protocol(name: &str) -> Result<u8, EvalError> {
    match name {
        "ICMP" => Ok(1),
        "TCP" => Ok(6),
        "UDP" => Ok(17),
        "RSVP" => Ok(46),
        "ICMP6" => Ok(58),
        "SCTP" => Ok(132),
        _ => Err(EvalError::new(format!(
            "unsupported protocol {name:?}, expected ICMP, TCP, UDP, RSVP, ICMP6 or SCTP"
        ))),
    }
}

/// Computes the identifier of a flow.
///
/// # Errors
///
/// Text that is no address; a port or seed that does not fit into 16 bits.
pub fn community_id(flow: Flow<'_>, protocol: u8, seed: i64) -> Result<String, EvalError> {
    let seed = sixteen_bits("seed", seed)?;
    let mut ends = [end("source", flow.source)?, end("destination", flow.destination)?];
    ends.sort_by(|(left, left_port), (right, right_port)| {
        (left.len(), left, left_port).cmp(&(right.len(), right, right_port))
    });
    let [(first, first_port), (second, second_port)] = &ends;
    let mut hash = Sha1::new();
    hash.update(seed.to_be_bytes());
    hash.update(first);
    hash.update(second);
    hash.update([protocol, 0]);
    hash.update(first_port.to_be_bytes());
    hash.update(second_port.to_be_bytes());
    Ok(format!("1:{}", STANDARD.encode(hash.finalize())))
}

fn end(name: &str, (address, port): (&str, i64)) -> Result<(Vec<u8>, u16), EvalError> {
    let parsed =
        parse_address(address).ok_or_else(|| EvalError::new(format!("invalid {name} IP: {address}")))?;
    let bytes = match parsed.to_canonical() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    Ok((bytes, sixteen_bits("port", port)?))
}

fn sixteen_bits(name: &str, number: i64) -> Result<u16, EvalError> {
    u16::try_from(number)
        .map_err(|_| EvalError::new(format!("{name} must be between 0 and 65535, got {number}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(source: (&str, i64), destination: (&str, i64), name: &str, seed: i64) -> Result<String, EvalError> {
        community_id(Flow { source, destination }, protocol(name)?, seed)
    }

    #[test]
    fn both_directions_are_one_flow() {
        let expected = "1:QhBDsZg9c+7tZ8UZkKCtAfxDUMw=";
        assert_eq!(id(("10.0.0.1", 33000), ("10.0.0.2", 443), "TCP", 0).unwrap(), expected);
        assert_eq!(id(("10.0.0.2", 443), ("10.0.0.1", 33000), "TCP", 0).unwrap(), expected);
        assert_eq!(
            id(("10.0.0.2", 443), ("10.0.0.1", 33000), "UDP", 7).unwrap(),
            "1:HtcSjm73qzCq8y5+dYk3fcBlrg4="
        );
        // The specification's own example.
        assert_eq!(
            id(("128.232.110.120", 34855), ("66.35.250.204", 80), "TCP", 0).unwrap(),
            "1:LQU9qZlK+B5F3KDmev6m5PMibrg="
        );
    }

    #[test]
    fn refuses() {
        assert!(id(("x", 1), ("10.0.0.1", 2), "TCP", 0).is_err());
        assert!(id(("10.0.0.1", 70000), ("10.0.0.1", 2), "TCP", 0).is_err());
        assert!(id(("10.0.0.1", 1), ("10.0.0.1", -2), "TCP", 0).is_err());
        assert!(id(("10.0.0.1", 1), ("10.0.0.1", 2), "tcp", 0).is_err());
        assert!(id(("10.0.0.1", 1), ("10.0.0.1", 2), "TCP", 65536).is_err());
    }
}
