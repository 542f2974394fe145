//! Ranges of IP addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::EvalError;

/// A range of addresses such as `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    network: IpAddr,
    prefix: u32,
}

impl Cidr {
    /// Reads a range. Bits behind the prefix do not matter, as in Go.
    ///
    /// # Errors
    ///
    /// A missing or overlong prefix, and what is no address.
    pub fn parse(text: &str) -> Result<Self, EvalError> {
        let invalid = || EvalError::new(format!("invalid CIDR address: {text}"));
        let (address, prefix) = text.split_once('/').ok_or_else(invalid)?;
        let address = parse_address(address).ok_or_else(invalid)?;
        let digits =
            !prefix.is_empty() && prefix.len() <= 3 && prefix.bytes().all(|byte| byte.is_ascii_digit());
        let prefix = prefix.parse().ok().filter(|_| digits).ok_or_else(invalid)?;
        // Go keeps the written form's length of mask for v4 in v6; as ranges they are the same.
        let (network, prefix) = match address {
            IpAddr::V6(address) => match address.to_ipv4_mapped() {
                Some(mapped) if (96..=128).contains(&prefix) => (IpAddr::V4(mapped), prefix - 96),
                _ => (IpAddr::V6(address), prefix),
            },
            v4 => (v4, prefix),
        };
        if prefix > if network.is_ipv4() { 32 } else { 128 } {
            return Err(invalid());
        }
        Ok(Self { network, prefix })
    }

    /// Whether an address lies in the range.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.network, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let shift = 32 - self.prefix;
                u64::from(network.to_bits() ^ address.to_bits()) >> shift == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                (network.to_bits() ^ address.to_bits()).checked_shr(128 - self.prefix).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

/// Reads an address as Go's `ParseIP` does: v4 in dotted decimal without leading zeros, v6 without zone.
pub fn parse_address(text: &str) -> Option<IpAddr> {
    if text.contains(':') {
        text.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
    } else {
        text.parse::<Ipv4Addr>().ok().map(IpAddr::V4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn membership() {
        let cases = [
            ("10.0.0.0/8", "10.20.30.40", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.1.2.3/8", "10.9.9.9", true),
            ("0.0.0.0/0", "255.1.2.3", true),
            ("1.2.3.4/32", "1.2.3.4", true),
            ("1.2.3.4/32", "1.2.3.5", false),
            ("2001:db8::/32", "2001:db8::1", true),
            ("::/0", "2001:db8::1", true),
            ("::/0", "1.2.3.4", false),
            ("10.0.0.0/8", "::ffff:10.1.1.1", true),
            ("::1/128", "::1", true),
            ("::1/128", "::2", false),
            ("::ffff:10.0.0.0/104", "10.1.1.1", true),
        ];
        for (range, address, inside) in cases {
            assert_eq!(
                Cidr::parse(range).unwrap().contains(parse_address(address).unwrap()),
                inside,
                "{address} in {range}"
            );
        }
        for bad in [
            "10.0.0.0",
            "10.0.0.0/33",
            "10.0.0/8",
            "::/129",
            "x/8",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.0/8/8",
        ] {
            assert!(Cidr::parse(bad).is_err(), "{bad}");
        }
        assert!(parse_address("01.2.3.4").is_none());
        assert!(parse_address("fe80::1%eth0").is_none());
    }
}
