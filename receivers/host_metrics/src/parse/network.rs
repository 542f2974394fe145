use super::{lines, number, words};

/// A line of `/proc/net/dev`; pairs are received and transmitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InterfaceStat<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) bytes: [u64; 2],
    pub(crate) packets: [u64; 2],
    pub(crate) errors: [u64; 2],
    pub(crate) dropped: [u64; 2],
}

/// Interfaces; headers and lines that cannot be read are left out.
pub(crate) fn interfaces(bytes: &[u8]) -> impl Iterator<Item = InterfaceStat<'_>> {
    lines(bytes).filter_map(|line| {
        // Aliases have a colon of their own.
        let colon = line.iter().rposition(|byte| *byte == b':')?;
        let name = line[..colon].trim_ascii();
        let mut fields = [0; 12];
        let mut words = words(&line[colon + 1..]);
        for field in &mut fields {
            *field = number(words.next()?)?;
        }
        let both = |received: usize| [fields[received], fields[received + 8]];
        (!name.is_empty()).then(|| InterfaceStat {
            name,
            bytes: both(0),
            packets: both(1),
            errors: both(2),
            dropped: both(3),
        })
    })
}

/// The states of TCP connections: as attributes, and the kernel's number.
pub(crate) const TCP_STATES: [(&str, u8); 12] = [
    ("CLOSE_WAIT", 8),
    ("CLOSE", 7),
    ("CLOSING", 11),
    // Not a state of Linux; otelcol has it, always at zero.
    ("DELETE", 0),
    ("ESTABLISHED", 1),
    ("FIN_WAIT_1", 4),
    ("FIN_WAIT_2", 5),
    ("LAST_ACK", 9),
    ("LISTEN", 10),
    ("SYN_SENT", 2),
    ("SYN_RECV", 3),
    ("TIME_WAIT", 6),
];

const LISTEN: u8 = 10;
/// A request that was answered and not yet accepted.
const NEW_SYN_RECV: u8 = 12;

/// Connections by state, of `/proc/net/tcp` and `/proc/net/tcp6` together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TcpStates([u64; 13]);

impl TcpStates {
    pub(crate) fn count(&self, state: u8) -> u64 {
        self.0.get(usize::from(state)).copied().unwrap_or(0)
    }

    /// Adds the connections of one file. Sockets that share a port count once, as in otelcol.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        let mut listening: Vec<&[u8]> = Vec::new();
        for line in lines(bytes).skip(1) {
            let mut words = words(line).skip(1);
            let (Some(local), Some(state)) = (words.next(), words.nth(1)) else { continue };
            let state = std::str::from_utf8(state).ok().and_then(|text| u8::from_str_radix(text, 16).ok());
            match state {
                Some(LISTEN) => listening.push(local),
                Some(NEW_SYN_RECV) => self.0[3] += 1,
                Some(state @ 1..=11) => self.0[usize::from(state)] += 1,
                _ => {}
            }
        }
        listening.sort_unstable();
        listening.dedup();
        self.0[usize::from(LISTEN)] += listening.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_with_and_without_space_behind_the_colon() {
        let text = b"Inter-|   Receive                                                |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    lo:100 1 2 3 0 0 0 0 200 4 5 6 0 0 0 0\neth0:1: 7 8 9 10 0 0 0 0 11 12 13 14 0 0 0 0\nbad: 1 2 3\n";
        let found: Vec<InterfaceStat<'_>> = interfaces(text).collect();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].name, b"lo");
        assert_eq!((found[0].bytes, found[0].dropped), ([100, 200], [3, 6]));
        assert_eq!((found[1].name, found[1].packets, found[1].errors), (&b"eth0:1"[..], [8, 12], [9, 13]));
    }

    #[test]
    fn connections_count_by_state_and_shared_ports_once() {
        let mut states = TcpStates::default();
        states.add(b"  sl  local_address rem_address   st tx_queue\n   0: 0100007F:1F90 00000000:0000 0A 0:0\n   1: 0100007F:1F90 00000000:0000 0A 0:0\n   2: 0100007F:1F91 00000000:0000 0A 0:0\n   3: 0100007F:1F90 0100007F:9999 01 0:0\n   4: x\n   5: 0100007F:1F90 0100007F:9998 ZZ 0:0\n");
        states.add(b"  sl  header\n   0: 00:1F90 00:0000 0A\n   1: 00:1 00:2 06\n   2: 00:1 00:2 0C\n");
        assert_eq!([10, 1, 6, 3, 2].map(|state| states.count(state)), [3, 1, 1, 1, 0]);
    }
}
