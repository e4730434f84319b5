//! One resource record.

use crate::Name;
use zonepulse_dns::RecordType;

/// A record of class IN, as a zone file or a transfer contains it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Record {
    /// Owner name.
    pub owner: Name,
    /// Type.
    pub rtype: RecordType,
    /// Time to live, seconds; at most 2^31 - 1 (RFC 2181 section 8).
    pub ttl: u32,
    /// RDATA in wire format, names uncompressed. In the types of RFC 4034 section 6.2 (3), names are in lower case, so
    /// that equal RRsets are equal octets whatever they were read from.
    pub rdata: Box<[u8]>,
}
