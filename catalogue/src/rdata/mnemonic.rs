//! Numbers that have names in RDATA.

use zonepulse_dns::RecordType;

type Table<T> = &'static [(T, &'static str)];

/// DNS security algorithm numbers (RFC 4034 appendix A.1 and the IANA registry); the first name of a number is printed.
pub(super) const ALGORITHMS: Table<u16> = &[
    (1, "RSAMD5"),
    (2, "DH"),
    (3, "DSA"),
    (4, "ECC"),
    (5, "RSASHA1"),
    (6, "NSEC3DSA"),
    (6, "DSA-NSEC3-SHA1"),
    (7, "NSEC3RSASHA1"),
    (7, "RSASHA1-NSEC3-SHA1"),
    (8, "RSASHA256"),
    (10, "RSASHA512"),
    (12, "ECCGOST"),
    (12, "ECC-GOST"),
    (13, "ECDSAP256SHA256"),
    (14, "ECDSAP384SHA384"),
    (15, "ED25519"),
    (16, "ED448"),
    (252, "INDIRECT"),
    (253, "PRIVATEDNS"),
    (254, "PRIVATEOID"),
];

/// Digest types of DS.
pub(super) const DIGESTS: Table<u16> =
    &[(1, "SHA-1"), (1, "SHA1"), (2, "SHA-256"), (2, "SHA256"), (3, "GOST"), (4, "SHA-384"), (4, "SHA384")];

/// Hash algorithms of NSEC3.
pub(super) const HASHES: Table<u16> = &[(1, "SHA-1"), (1, "SHA1")];

/// Certificate types (RFC 4398 section 2.1).
pub(super) const CERT_TYPES: Table<u16> = &[
    (1, "PKIX"),
    (2, "SPKI"),
    (3, "PGP"),
    (4, "IPKIX"),
    (5, "ISPKI"),
    (6, "IPGP"),
    (7, "ACPKIX"),
    (8, "IACPKIX"),
    (253, "URI"),
    (254, "OID"),
];

/// Protocols of KEY (RFC 2535 section 3.1.3).
pub(super) const KEY_PROTOCOLS: Table<u16> = &[(0, "NONE"), (1, "TLS"), (2, "EMAIL"), (3, "DNSSEC"), (4, "IPSEC"), (255, "ALL")];

/// Schemes of DSYNC (RFC 9859 section 2).
pub(super) const SCHEMES: Table<u16> = &[(1, "NOTIFY")];

/// Flags of KEY (RFC 2535 section 3.1.2), which `|` combines.
const KEY_FLAGS: Table<u16> = &[
    (0x4000, "NOCONF"),
    (0x8000, "NOAUTH"),
    (0xc000, "NOKEY"),
    (0x2000, "FLAG2"),
    (0x1000, "EXTEND"),
    (0x0800, "FLAG4"),
    (0x0400, "FLAG5"),
    (0x0000, "USER"),
    (0x0100, "ZONE"),
    (0x0200, "HOST"),
    (0x0300, "NTYP3"),
    (0x0080, "FLAG8"),
    (0x0040, "FLAG9"),
    (0x0020, "FLAG10"),
    (0x0010, "FLAG11"),
    (0x0080, "REVOKE"),
    (0x0001, "KSK"),
];

/// Internet protocols and services that WKS names (RFC 1010).
pub(super) const PROTOCOLS: Table<u16> = &[
    (1, "icmp"),
    (2, "igmp"),
    (3, "ggp"),
    (4, "ipencap"),
    (5, "st"),
    (6, "tcp"),
    (8, "egp"),
    (9, "igp"),
    (12, "pup"),
    (17, "udp"),
    (20, "hmp"),
    (22, "xns-idp"),
    (27, "rdp"),
    (29, "iso-tp4"),
    (33, "dccp"),
    (41, "ipv6"),
    (46, "rsvp"),
    (47, "gre"),
    (50, "esp"),
    (51, "ah"),
    (58, "ipv6-icmp"),
    (89, "ospf"),
    (132, "sctp"),
];

/// See [`PROTOCOLS`].
pub(super) const SERVICES: Table<u16> = &[
    (1, "tcpmux"),
    (5, "rje"),
    (7, "echo"),
    (9, "discard"),
    (11, "systat"),
    (13, "daytime"),
    (15, "netstat"),
    (17, "qotd"),
    (19, "chargen"),
    (20, "ftp-data"),
    (21, "ftp"),
    (22, "ssh"),
    (23, "telnet"),
    (25, "smtp"),
    (25, "mail"),
    (37, "time"),
    (39, "rlp"),
    (42, "nameserver"),
    (43, "whois"),
    (43, "nicname"),
    (49, "tacacs"),
    (53, "domain"),
    (67, "bootps"),
    (68, "bootpc"),
    (69, "tftp"),
    (70, "gopher"),
    (79, "finger"),
    (80, "http"),
    (80, "www"),
    (88, "kerberos"),
    (95, "supdup"),
    (101, "hostname"),
    (101, "hostnames"),
    (102, "iso-tsap"),
    (105, "csnet-ns"),
    (109, "pop2"),
    (109, "pop-2"),
    (110, "pop3"),
    (110, "pop-3"),
    (111, "sunrpc"),
    (113, "auth"),
    (115, "sftp"),
    (117, "uucp-path"),
    (119, "nntp"),
    (123, "ntp"),
    (137, "netbios-ns"),
    (138, "netbios-dgm"),
    (139, "netbios-ssn"),
    (143, "imap2"),
    (143, "imap"),
    (161, "snmp"),
    (162, "snmp-trap"),
    (179, "bgp"),
    (194, "irc"),
    (199, "smux"),
    (389, "ldap"),
    (443, "https"),
    (512, "exec"),
    (513, "login"),
    (514, "shell"),
    (514, "syslog"),
    (515, "printer"),
    (517, "talk"),
    (520, "route"),
    (540, "uucp"),
    (543, "klogin"),
    (544, "kshell"),
    (554, "rtsp"),
    (587, "submission"),
    (631, "ipp"),
    (636, "ldaps"),
    (873, "rsync"),
    (993, "imaps"),
    (995, "pop3s"),
    (2049, "nfs"),
    (6000, "x11"),
];

/// The number of a name, in any case.
pub(super) fn number_of(table: Table<u16>, name: &[u8]) -> Option<u16> {
    table.iter().find(|(_, known)| known.as_bytes().eq_ignore_ascii_case(name)).map(|(number, _)| *number)
}

/// The name of a number.
pub(super) fn name_of(table: Table<u16>, number: u16) -> Option<&'static str> {
    table.iter().find(|(known, _)| *known == number).map(|(_, name)| *name)
}

/// Flags of KEY by name.
pub(super) fn key_flags(text: &[u8]) -> Option<u16> {
    text.split(|octet| *octet == b'|').try_fold(0, |flags, name| {
        // SIG0 to SIG15, the signatory field.
        let signatory = || {
            let number = name.strip_prefix(b"SIG").or_else(|| name.strip_prefix(b"sig"))?;
            super::text::decimal(number).filter(|number| *number < 16).map(|number| number as u16)
        };
        number_of(KEY_FLAGS, name).or_else(signatory).map(|flag| flags | flag)
    })
}

/// The type with this mnemonic, or `TYPE###`.
pub(crate) fn type_of(text: &[u8]) -> Option<RecordType> {
    const OFTEN: &[(&[u8], u16)] = &[
        (b"A", 1),
        (b"NS", 2),
        (b"AAAA", 28),
        (b"TXT", 16),
        (b"MX", 15),
        (b"CNAME", 5),
        (b"RRSIG", 46),
        (b"NSEC", 47),
        (b"DS", 43),
    ];
    if let Some((_, rtype)) = OFTEN.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
        return Some(RecordType::new(*rtype));
    }
    // Numbers alone and `*` are for users of the API.
    let letter = text.first().is_some_and(u8::is_ascii_alphabetic);
    let text = std::str::from_utf8(text).ok().filter(|_| letter)?;
    text.parse().ok()
}
