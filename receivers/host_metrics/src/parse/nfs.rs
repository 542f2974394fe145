//! `/proc/net/rpc/nfs` and `/proc/net/rpc/nfsd`: what the NFS client and the NFS server of the kernel counted.

use super::{lines, number, words};

/// Procedures of NFSv3, by number (RFC 1813).
pub(crate) const V3_PROCEDURES: [&str; 22] = [
    "NULL",
    "GETATTR",
    "SETATTR",
    "LOOKUP",
    "ACCESS",
    "READLINK",
    "READ",
    "WRITE",
    "CREATE",
    "MKDIR",
    "SYMLINK",
    "MKNOD",
    "REMOVE",
    "RMDIR",
    "RENAME",
    "LINK",
    "READDIR",
    "READDIRPLUS",
    "FSSTAT",
    "FSINFO",
    "PATHCONF",
    "COMMIT",
];

/// Procedures of NFSv4, by number: everything else is an operation of a compound.
pub(crate) const V4_PROCEDURES: [&str; 2] = ["NULL", "COMPOUND"];

/// Operations of NFSv4 as the client of the kernel numbers them, which are steps of its own.
pub(crate) const V4_CLIENT_OPERATIONS: &str = "NULL READ WRITE COMMIT OPEN OPEN_CONFIRM OPEN_NOATTR OPEN_DOWNGRADE CLOSE SETATTR FSINFO RENEW \
    SETCLIENTID SETCLIENTID_CONFIRM LOCK LOCKT LOCKU ACCESS GETATTR LOOKUP LOOKUP_ROOT REMOVE RENAME LINK SYMLINK CREATE PATHCONF STATFS READLINK \
    READDIR SERVER_CAPS DELEGRETURN GETACL SETACL FS_LOCATIONS RELEASE_LOCKOWNER SECINFO FSID_PRESENT EXCHANGE_ID CREATE_SESSION DESTROY_SESSION \
    SEQUENCE GET_LEASE_TIME RECLAIM_COMPLETE GETDEVICEINFO LAYOUTGET LAYOUTCOMMIT LAYOUTRETURN SECINFO_NO_NAME TEST_STATEID FREE_STATEID \
    GETDEVICELIST BIND_CONN_TO_SESSION DESTROY_CLIENTID SEEK ALLOCATE DEALLOCATE LAYOUTSTATS CLONE COPY OFFLOAD_CANCEL COPY_NOTIFY LOOKUPP \
    LAYOUTERROR GETXATTR SETXATTR LISTXATTRS REMOVEXATTR READ_PLUS";

/// Operations of NFSv4, by number (RFC 7530, 8881, 7862, 8276). The first three numbers are none, and are never counted.
pub(crate) const V4_OPERATIONS: &str = "- - - ACCESS CLOSE COMMIT CREATE DELEGPURGE DELEGRETURN GETATTR GETFH LINK LOCK LOCKT LOCKU LOOKUP LOOKUPP \
    NVERIFY OPEN OPENATTR OPEN_CONFIRM OPEN_DOWNGRADE PUTFH PUTPUBFH PUTROOTFH READ READDIR READLINK REMOVE RENAME RENEW RESTOREFH SAVEFH SECINFO \
    SETATTR SETCLIENTID SETCLIENTID_CONFIRM VERIFY WRITE RELEASE_LOCKOWNER BACKCHANNEL_CTL BIND_CONN_TO_SESSION EXCHANGE_ID CREATE_SESSION \
    DESTROY_SESSION FREE_STATEID GET_DIR_DELEGATION GETDEVICEINFO GETDEVICELIST LAYOUTCOMMIT LAYOUTGET LAYOUTRETURN SECINFO_NO_NAME SEQUENCE \
    SET_SSV TEST_STATEID WANT_DELEGATION DESTROY_CLIENTID RECLAIM_COMPLETE ALLOCATE COPY COPY_NOTIFY DEALLOCATE IO_ADVISE LAYOUTERROR LAYOUTSTATS \
    OFFLOAD_CANCEL OFFLOAD_STATUS READ_PLUS SEEK WRITE_SAME CLONE GETXATTR SETXATTR LISTXATTRS REMOVEXATTR";

/// What the client counted; what a line does not say, or cannot be read, is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NfsClient {
    /// Records over UDP and over TCP, and connections.
    pub(crate) net: Option<[u64; 3]>,
    /// Calls, retransmissions, credentials that were refreshed.
    pub(crate) rpc: Option<[u64; 3]>,
    /// By [`V3_PROCEDURES`].
    pub(crate) procedures: Vec<u64>,
    /// By [`V4_CLIENT_OPERATIONS`].
    pub(crate) operations: Vec<u64>,
}

/// What the server counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NfsServer {
    /// Replies that were remembered, that were not, and that are not to be.
    pub(crate) cache: Option<[u64; 3]>,
    /// File handles that were stale.
    pub(crate) stale: Option<u64>,
    /// Bytes read and written.
    pub(crate) bytes: Option<[u64; 2]>,
    pub(crate) threads: Option<u64>,
    /// Requests over UDP and over TCP, and connections.
    pub(crate) net: Option<[u64; 3]>,
    /// Calls with a bad format, with bad credentials, of bad clients.
    pub(crate) refused: Option<[u64; 3]>,
    /// By [`V3_PROCEDURES`].
    pub(crate) procedures: Vec<u64>,
    /// By [`V4_PROCEDURES`].
    pub(crate) compounds: Vec<u64>,
    /// By [`V4_OPERATIONS`].
    pub(crate) operations: Vec<u64>,
}

impl NfsClient {
    pub(crate) fn parse(bytes: &[u8]) -> NfsClient {
        let mut found = NfsClient::default();
        for (key, values) in lines(bytes).filter_map(counters) {
            match key {
                b"net" => found.net = from(&values, 1),
                b"rpc" => found.rpc = from(&values, 0),
                b"proc3" => found.procedures = listed(values),
                b"proc4" => found.operations = listed(values),
                _ => {}
            }
        }
        found
    }
}

impl NfsServer {
    pub(crate) fn parse(bytes: &[u8]) -> NfsServer {
        let mut found = NfsServer::default();
        for (key, values) in lines(bytes).filter_map(counters) {
            match key {
                b"rc" => found.cache = from(&values, 0),
                b"fh" => found.stale = values.first().copied(),
                b"io" => found.bytes = from(&values, 0),
                b"th" => found.threads = values.first().copied(),
                b"net" => found.net = from(&values, 1),
                b"rpc" => found.refused = from(&values, 2),
                b"proc3" => found.procedures = listed(values),
                b"proc4" => found.compounds = listed(values),
                b"proc4ops" => found.operations = listed(values),
                _ => {}
            }
        }
        found
    }
}

/// The key of a line, and the numbers up to the first word that is none: some lines end in fractions.
fn counters(line: &[u8]) -> Option<(&[u8], Vec<u64>)> {
    let mut words = words(line);
    Some((words.next()?, words.map_while(number).collect()))
}

/// As many of the values as are wanted, from one on.
fn from<const N: usize>(values: &[u64], first: usize) -> Option<[u64; N]> {
    values.get(first..first + N)?.try_into().ok()
}

/// Values behind how many there are; none where that is not so.
fn listed(values: Vec<u64>) -> Vec<u64> {
    match values.split_first() {
        Some((count, rest)) if *count == rest.len() as u64 => rest.to_vec(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_by_their_keys_and_odd_ones_left_out() {
        let client = NfsClient::parse(
            b"net 8 843 666 157\nrpc 220 789 662\nproc2 1 5\nproc3 3 191 360 118\nproc4 4 1 2 3\n",
        );
        assert_eq!(
            client,
            NfsClient {
                net: Some([843, 666, 157]),
                rpc: Some([220, 789, 662]),
                procedures: vec![191, 360, 118],
                // It says four, and has three.
                operations: Vec::new(),
            }
        );
        let server = NfsServer::parse(
            b"rc 795 819 351\nfh 709 9 178 461 14\nio 111 464\nth 8 0 0.000 0.000\nra 32 0\nnet 1 43 26 597\n\
              rpc 872 367 960 94 748\nproc3 2 124 554\nproc4 2 512 878\nproc4ops 4 0 0 0 86\nwdeleg_getattr 901\n",
        );
        assert_eq!(
            server,
            NfsServer {
                cache: Some([795, 819, 351]),
                stale: Some(709),
                bytes: Some([111, 464]),
                threads: Some(8),
                net: Some([43, 26, 597]),
                refused: Some([960, 94, 748]),
                procedures: vec![124, 554],
                compounds: vec![512, 878],
                operations: vec![0, 0, 0, 86],
            }
        );
        assert_eq!(NfsServer::parse(b"rc 1\nio x 2\n\xff\nnet\n"), NfsServer::default());
    }

    #[test]
    fn every_number_of_the_kernel_has_its_name() {
        let (client, server): (Vec<&str>, Vec<&str>) =
            (V4_CLIENT_OPERATIONS.split(' ').collect(), V4_OPERATIONS.split(' ').collect());
        assert_eq!((client.len(), server.len()), (69, 76));
        assert_eq!(
            (client[41], server[22], server[53], server[72]),
            ("SEQUENCE", "PUTFH", "SEQUENCE", "GETXATTR")
        );
    }
}
