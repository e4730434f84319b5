//! RCODEs and opcodes.

use crate::Error;
use std::fmt;
use std::str::FromStr;

/// A response code (RCODE), extended to 12 bits by EDNS (RFC 6891 section 6.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResponseCode(u16);

/// Mnemonics from the IANA registry "DNS RCODEs". 16 is BADVERS in a header and BADSIG in a TSIG;
/// here it is the header's.
const CODES: &[(u16, &str)] = &[
    (0, "NOERROR"),
    (1, "FORMERR"),
    (2, "SERVFAIL"),
    (3, "NXDOMAIN"),
    (4, "NOTIMP"),
    (5, "REFUSED"),
    (6, "YXDOMAIN"),
    (7, "YXRRSET"),
    (8, "NXRRSET"),
    (9, "NOTAUTH"),
    (10, "NOTZONE"),
    (11, "DSOTYPENI"),
    (16, "BADVERS"),
    (17, "BADKEY"),
    (18, "BADTIME"),
    (19, "BADMODE"),
    (20, "BADNAME"),
    (21, "BADALG"),
    (22, "BADTRUNC"),
    (23, "BADCOOKIE"),
];

impl ResponseCode {
    /// The largest value that EDNS can express.
    pub const MAX: ResponseCode = ResponseCode(4095);
    /// No error.
    pub const NOERROR: ResponseCode = ResponseCode(0);
    /// The name does not exist.
    pub const NXDOMAIN: ResponseCode = ResponseCode(3);
    /// The server refuses for reasons of policy (RFC 1035).
    pub const REFUSED: ResponseCode = ResponseCode(5);
    /// The server is not authoritative, or does not know the key (RFC 2136, RFC 8945).
    pub const NOTAUTH: ResponseCode = ResponseCode(9);

    /// Converts a number; `None` above 4095.
    pub const fn new(value: u16) -> Option<Self> {
        if value <= Self::MAX.0 { Some(ResponseCode(value)) } else { None }
    }

    /// Converts the lower 12 bits of a number.
    pub const fn from_masked(value: u16) -> Self {
        ResponseCode(value & Self::MAX.0)
    }

    /// The numeric value, at most 4095.
    pub const fn value(self) -> u16 {
        self.0
    }

    /// The mnemonic in the IANA registry, if there is one.
    pub fn mnemonic(self) -> Option<&'static str> {
        CODES.iter().find(|(value, _)| *value == self.0).map(|(_, name)| *name)
    }
}

impl fmt::Display for ResponseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mnemonic() {
            Some(name) => f.write_str(name),
            None => write!(f, "RCODE{}", self.0),
        }
    }
}

impl FromStr for ResponseCode {
    type Err = Error;

    /// Parses a mnemonic in any case, `RCODE###`, or a number.
    fn from_str(text: &str) -> Result<Self, Error> {
        let upper = text.to_ascii_uppercase();
        if let Some((value, _)) = CODES.iter().find(|(_, name)| *name == upper) {
            return Ok(ResponseCode(*value));
        }
        crate::rtype::digits(upper.strip_prefix("RCODE").unwrap_or(&upper))
            .and_then(ResponseCode::new)
            .ok_or_else(|| Error::UnknownResponseCode(text.to_owned()))
    }
}

/// An opcode, four bits of the header (RFC 1035 section 4.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Opcode(u8);

impl Opcode {
    /// A standard query, the only opcode counted per record.
    pub const QUERY: Opcode = Opcode(0);
    /// Inverse query, obsolete (RFC 3425).
    pub const IQUERY: Opcode = Opcode(1);
    /// Server status request.
    pub const STATUS: Opcode = Opcode(2);
    /// Zone change notification (RFC 1996).
    pub const NOTIFY: Opcode = Opcode(4);
    /// Dynamic update (RFC 2136).
    pub const UPDATE: Opcode = Opcode(5);
    /// Stateful operations (RFC 8490).
    pub const DSO: Opcode = Opcode(6);

    /// Converts the lower four bits of a number.
    pub const fn from_masked(value: u8) -> Self {
        Opcode(value & 0x0f)
    }

    /// The numeric value, at most 15.
    pub const fn value(self) -> u8 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_response_code_survives_its_text() {
        for value in 0..=ResponseCode::MAX.value() {
            let code = ResponseCode::new(value).unwrap();
            assert_eq!(code.to_string().parse(), Ok(code));
            assert_eq!(value.to_string().parse(), Ok(code));
        }
    }

    #[test]
    fn a_response_code_past_twelve_bits_is_refused() {
        for text in ["4096", "RCODE4096", "", "RCODE", "-1", "+1", "NXDOMAINS"] {
            assert!(text.parse::<ResponseCode>().is_err(), "{text}");
        }
    }
}
