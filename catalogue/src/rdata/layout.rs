//! The one table of RDATA formats: which fields a type consists of.
//!
//! A field is both ways: from words of a zone file ([`parse`](super::parse)), and from octets ([`wire`](super::wire) says
//! how many it takes and whether they are valid, [`print`](super::print) writes its text).

/// One field of RDATA, by the way it is written and stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    /// A domain name that is compared without regard to case: lower case in canonical form (RFC 4034 6.2, RFC 6840 5.1).
    Name,
    /// A domain name whose case is kept.
    NameAsIs,
    /// An integer.
    U8,
    U16,
    U32,
    U64,
    /// 32-bit seconds, with or without units.
    Period,
    /// Addresses (RFC 1035 section 3.4.1, RFC 3596).
    V4,
    V6,
    /// One character-string; one that may be missing; one or more; one that has digits only and at least four (X25).
    Text,
    TextOrNone,
    Texts,
    Digits,
    /// A text without a length, to the end of the RDATA (URI, CAA).
    LongText,
    /// The tag of CAA: letters and digits.
    Tag,
    /// Base64 to the end of the RDATA: at least one octet; any number; any number, none being written as `-` (DOA).
    Base64,
    AnyBase64,
    DashBase64,
    /// Base64 that is absent if the flags of KEY say so (RFC 2535 section 3.1.2).
    KeyData,
    /// Hexadecimal to the end of the RDATA: at least one octet; as many as the digest type before it demands.
    Hex,
    DsDigest,
    ZonemdDigest,
    SshFingerprint,
    /// Octets after their number: hexadecimal with `-` for none (NSEC3), or Base32 (NSEC3).
    Salt,
    Hash,
    /// Types as windows of bits (RFC 4034 section 4.1.2): at least one, or any number; as plain bits (RFC 2535 section 5.2).
    Types,
    AnyTypes,
    NxtTypes,
    /// Numbers that have mnemonics.
    Type,
    Algorithm,
    Digest,
    HashAlgorithm,
    CertType,
    KeyFlags,
    KeyProtocol,
    Scheme,
    /// Seconds since 1970, written as YYYYMMDDHHmmSS (RFC 4034 section 3.2).
    Time,
    /// Formats of single types.
    Loc,
    Apl,
    Nsap,
    Atma,
    Params,
    Eui48,
    Eui64,
    Locator64,
    Services,
    Gateway,
    Relay,
    A6,
    Hip,
}

use Field::*;

/// The fields of a type, or `None` for a type whose RDATA is opaque (RFC 3597).
pub(super) fn layout(rtype: u16) -> Option<&'static [Field]> {
    Some(match rtype {
        1 => &[V4],
        // NS, MD, MF, CNAME, MB, MG, MR, PTR, DNAME
        2..=5 | 7..=9 | 12 | 39 => &[Name],
        // SOA
        6 => &[Name, Name, U32, Period, Period, Period, Period],
        // WKS (RFC 1035 section 3.4.2)
        11 => &[V4, Services],
        // HINFO
        13 => &[Text, Text],
        // MINFO, RP
        14 | 17 => &[Name, Name],
        // MX, AFSDB, RT, KX
        15 | 18 | 21 | 36 => &[U16, Name],
        // TXT, NINFO, SPF, AVC, RESINFO, WALLET, CLA
        16 | 56 | 99 | 258 | 261..=263 => &[Texts],
        // X25, ISDN (RFC 1183)
        19 => &[Digits],
        20 => &[Text, TextOrNone],
        // NSAP, NSAP-PTR (RFC 1706)
        22 => &[Nsap],
        23 => &[NameAsIs],
        // SIG, RRSIG
        24 | 46 => &[Type, Algorithm, U8, U32, Time, Time, U16, Name, Base64],
        // KEY (RFC 2535 section 3.1)
        25 => &[KeyFlags, KeyProtocol, Algorithm, KeyData],
        // PX (RFC 2163)
        26 => &[U16, Name, Name],
        // GPOS (RFC 1712)
        27 => &[Text, Text, Text],
        28 => &[V6],
        29 => &[Loc],
        // NXT (RFC 2535 section 5.2)
        30 => &[Name, NxtTypes],
        // EID, NIMLOC
        31 | 32 => &[Hex],
        33 => &[U16, U16, U16, Name],
        34 => &[Atma],
        // NAPTR (RFC 3403)
        35 => &[U16, U16, Text, Text, Text, Name],
        // CERT (RFC 4398)
        37 => &[CertType, U16, Algorithm, Base64],
        38 => &[A6],
        40 => &[U8, U8, U8, AnyBase64],
        42 => &[Apl],
        _ => return later_layout(rtype),
    })
}

/// The types since DNSSEC (RFC 4034), and those with numbers of their own kind.
fn later_layout(rtype: u16) -> Option<&'static [Field]> {
    Some(match rtype {
        // DS, CDS, TA, DLV
        43 | 59 | 32768 | 32769 => &[U16, Algorithm, Digest, DsDigest],
        // SSHFP (RFC 4255)
        44 => &[U8, U8, SshFingerprint],
        // IPSECKEY (RFC 4025)
        45 => &[U8, Gateway, AnyBase64],
        47 => &[NameAsIs, Types],
        // DNSKEY, CDNSKEY, RKEY
        48 | 57 | 60 => &[KeyFlags, KeyProtocol, Algorithm, Base64],
        // DHCID, OPENPGPKEY, HHIT, BRID
        49 | 61 | 67 | 68 => &[Base64],
        50 => &[HashAlgorithm, U8, U16, Salt, Hash, AnyTypes],
        51 => &[HashAlgorithm, U8, U16, Salt],
        // TLSA, SMIMEA
        52 | 53 => &[U8, U8, U8, Hex],
        55 => &[Hip],
        58 => &[NameAsIs, NameAsIs],
        // CSYNC (RFC 7477)
        62 => &[U32, U16, AnyTypes],
        // ZONEMD (RFC 8976)
        63 => &[U32, U8, U8, ZonemdDigest],
        // SVCB, HTTPS
        64 | 65 => &[U16, NameAsIs, Params],
        // DSYNC (RFC 9859)
        66 => &[Type, Scheme, U16, NameAsIs],
        // NID, L32, L64, LP (RFC 6742)
        104 | 106 => &[U16, Locator64],
        105 => &[U16, V4],
        107 => &[U16, NameAsIs],
        108 => &[Eui48],
        109 => &[Eui64],
        // URI (RFC 7553), CAA (RFC 8659)
        256 => &[U16, U16, LongText],
        257 => &[U8, Tag, LongText],
        259 => &[U32, U32, U8, Text, DashBase64],
        // AMTRELAY (RFC 8777)
        260 => &[U8, Relay],
        // IPN
        264 => &[U64],
        _ => return None,
    })
}
