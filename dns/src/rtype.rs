//! Record types.

use crate::Error;
use std::fmt;
use std::str::FromStr;

/// A record type (RR TYPE), 16 bits; also QTYPEs such as `ANY` and `AXFR`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordType(u16);

/// Mnemonics from the IANA registry "Resource Record (RR) TYPEs", in order.
const TYPES: &[(u16, &str)] = &[
    (1, "A"),
    (2, "NS"),
    (3, "MD"),
    (4, "MF"),
    (5, "CNAME"),
    (6, "SOA"),
    (7, "MB"),
    (8, "MG"),
    (9, "MR"),
    (10, "NULL"),
    (11, "WKS"),
    (12, "PTR"),
    (13, "HINFO"),
    (14, "MINFO"),
    (15, "MX"),
    (16, "TXT"),
    (17, "RP"),
    (18, "AFSDB"),
    (19, "X25"),
    (20, "ISDN"),
    (21, "RT"),
    (22, "NSAP"),
    (23, "NSAP-PTR"),
    (24, "SIG"),
    (25, "KEY"),
    (26, "PX"),
    (27, "GPOS"),
    (28, "AAAA"),
    (29, "LOC"),
    (30, "NXT"),
    (31, "EID"),
    (32, "NIMLOC"),
    (33, "SRV"),
    (34, "ATMA"),
    (35, "NAPTR"),
    (36, "KX"),
    (37, "CERT"),
    (38, "A6"),
    (39, "DNAME"),
    (40, "SINK"),
    (41, "OPT"),
    (42, "APL"),
    (43, "DS"),
    (44, "SSHFP"),
    (45, "IPSECKEY"),
    (46, "RRSIG"),
    (47, "NSEC"),
    (48, "DNSKEY"),
    (49, "DHCID"),
    (50, "NSEC3"),
    (51, "NSEC3PARAM"),
    (52, "TLSA"),
    (53, "SMIMEA"),
    (55, "HIP"),
    (56, "NINFO"),
    (57, "RKEY"),
    (58, "TALINK"),
    (59, "CDS"),
    (60, "CDNSKEY"),
    (61, "OPENPGPKEY"),
    (62, "CSYNC"),
    (63, "ZONEMD"),
    (64, "SVCB"),
    (65, "HTTPS"),
    (66, "DSYNC"),
    (67, "HHIT"),
    (68, "BRID"),
    (99, "SPF"),
    (100, "UINFO"),
    (101, "UID"),
    (102, "GID"),
    (103, "UNSPEC"),
    (104, "NID"),
    (105, "L32"),
    (106, "L64"),
    (107, "LP"),
    (108, "EUI48"),
    (109, "EUI64"),
    (128, "NXNAME"),
    (249, "TKEY"),
    (250, "TSIG"),
    (251, "IXFR"),
    (252, "AXFR"),
    (253, "MAILB"),
    (254, "MAILA"),
    (255, "ANY"),
    (256, "URI"),
    (257, "CAA"),
    (258, "AVC"),
    (259, "DOA"),
    (260, "AMTRELAY"),
    (261, "RESINFO"),
    (262, "WALLET"),
    (263, "CLA"),
    (264, "IPN"),
    (32768, "TA"),
    (32769, "DLV"),
];

impl RecordType {
    /// An IPv4 address.
    pub const A: RecordType = RecordType(1);
    /// A name server.
    pub const NS: RecordType = RecordType(2);
    /// The canonical name of an alias.
    pub const CNAME: RecordType = RecordType(5);
    /// The start of a zone of authority.
    pub const SOA: RecordType = RecordType(6);
    /// A name that an address stands for, or any other name.
    pub const PTR: RecordType = RecordType(12);
    /// A mail exchange.
    pub const MX: RecordType = RecordType(15);
    /// An IPv6 address (RFC 3596).
    pub const AAAA: RecordType = RecordType(28);
    /// The host of a service (RFC 2782).
    pub const SRV: RecordType = RecordType(33);
    /// A naming authority pointer (RFC 3403).
    pub const NAPTR: RecordType = RecordType(35);
    /// The redirection of all names below (RFC 6672).
    pub const DNAME: RecordType = RecordType(39);
    /// The pseudo-record of EDNS (RFC 6891).
    pub const OPT: RecordType = RecordType(41);
    /// The key of a delegated zone (RFC 4034).
    pub const DS: RecordType = RecordType(43);
    /// A signature (RFC 4034).
    pub const RRSIG: RecordType = RecordType(46);
    /// A proof of what does not exist (RFC 4034).
    pub const NSEC: RecordType = RecordType(47);
    /// A service (RFC 9460).
    pub const SVCB: RecordType = RecordType(64);
    /// An HTTPS service (RFC 9460).
    pub const HTTPS: RecordType = RecordType(65);
    /// All types, in queries.
    pub const ANY: RecordType = RecordType(255);

    /// Converts a number.
    pub const fn new(value: u16) -> Self {
        RecordType(value)
    }

    /// The numeric value.
    pub const fn value(self) -> u16 {
        self.0
    }

    /// The mnemonic in the IANA registry, if there is one.
    pub fn mnemonic(self) -> Option<&'static str> {
        let at = TYPES.binary_search_by_key(&self.0, |(value, _)| *value).ok()?;
        TYPES.get(at).map(|(_, name)| *name)
    }
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mnemonic() {
            Some(name) => f.write_str(name),
            None => write!(f, "TYPE{}", self.0),
        }
    }
}

impl FromStr for RecordType {
    type Err = Error;

    /// Parses a mnemonic in any case, `*` for `ANY`, `TYPE###` (RFC 3597 section 5), or a number.
    fn from_str(text: &str) -> Result<Self, Error> {
        let upper = text.to_ascii_uppercase();
        if upper == "*" {
            return Ok(RecordType(255));
        }
        if let Some((value, _)) = TYPES.iter().find(|(_, name)| *name == upper) {
            return Ok(RecordType(*value));
        }
        let number = upper.strip_prefix("TYPE").unwrap_or(&upper);
        digits(number).map(RecordType).ok_or_else(|| Error::UnknownType(text.to_owned()))
    }
}

/// Parses decimal digits only: `parse` alone would also accept a sign.
pub(crate) fn digits(text: &str) -> Option<u16> {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_so_that_it_can_be_searched() {
        assert!(TYPES.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn every_type_survives_its_text() {
        for value in 0..=u16::MAX {
            let record_type = RecordType::new(value);
            assert_eq!(record_type.to_string().parse(), Ok(record_type));
            assert_eq!(record_type.to_string().to_lowercase().parse(), Ok(record_type));
        }
    }

    #[test]
    fn a_known_type_may_be_written_by_number() {
        assert_eq!("TYPE1".parse(), Ok(RecordType::A));
        for text in ["65", "TYPE65", "type65", "HTTPS", "https"] {
            assert_eq!(text.parse(), Ok(RecordType::new(65)), "{text}");
        }
        assert_eq!("65535".parse(), Ok(RecordType::new(65535)));
    }

    #[test]
    fn an_unknown_type_is_refused_by_name() {
        for text in ["", "AAAAA", "TYPE", "TYPE65536", "65536", "TYPE+1", "TYPE-1", "+1", "-1", "1.0", "TYPETYPE1"] {
            assert_eq!(text.parse::<RecordType>(), Err(Error::UnknownType(text.to_owned())));
        }
    }
}
