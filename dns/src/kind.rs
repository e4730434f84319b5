//! Requests, responses, and what responses served.

use crate::{Error, ResponseCode};
use std::fmt;
use std::str::FromStr;

/// The direction of a message, from the observed server's point of view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// A query received.
    Request,
    /// An answer sent.
    Response,
}

impl Action {
    /// The word used in answers and filters.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Request => "request",
            Action::Response => "response",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Action {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "request" => Ok(Action::Request),
            "response" => Ok(Action::Response),
            _ => Err(Error::UnknownAction(text.to_owned())),
        }
    }
}

/// How a response used an RRset, the strongest evidence of its use first. Each pair of a response and an RRset counts
/// once, in one class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Served {
    /// It is the answer, or a CNAME, DNAME or wildcard on the way there.
    Answer,
    /// It delegates a zone: NS, or DS.
    Referral,
    /// It is the address of a name server inside the zone that it serves.
    Glue,
    /// It answers a query for any type, which any RRset does (RFC 8482): weak evidence.
    Any,
    /// It is the SOA of a negative answer.
    Denial,
    /// It accompanies other records, as additional addresses and the NS of an answer's zone do: no evidence of use.
    Carried,
}

impl Served {
    /// All classes, by number.
    pub const ALL: [Served; 6] = [Served::Answer, Served::Referral, Served::Glue, Served::Any, Served::Denial, Served::Carried];

    /// The word used in answers and filters.
    pub const fn as_str(self) -> &'static str {
        match self {
            Served::Answer => "answer",
            Served::Referral => "referral",
            Served::Glue => "glue",
            Served::Any => "any",
            Served::Denial => "denial",
            Served::Carried => "carried",
        }
    }
}

/// What is counted of a record: the dimension that distinguishes its points. Either messages (requests, or responses
/// with an RCODE), or responses in which the record was served, by class.
///
/// Represented as one number, `0` for a request, `1 + rcode` for a response, then the classes, so that it takes two
/// bytes in a table and requests sort first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageKind(u16);

impl MessageKind {
    /// A request.
    pub const REQUEST: MessageKind = MessageKind(0);
    /// The number of kinds of messages: one request, and 4096 RCODEs.
    pub const MESSAGES: u16 = ResponseCode::MAX.value() + 2;
    /// The number of kinds.
    pub const COUNT: u16 = Self::MESSAGES + Served::ALL.len() as u16;

    /// A response with this RCODE.
    pub const fn response(code: ResponseCode) -> Self {
        MessageKind(code.value() + 1)
    }

    /// Converts a number; `None` unless it is less than [`Self::COUNT`].
    pub const fn from_number(number: u16) -> Option<Self> {
        if number < Self::COUNT { Some(MessageKind(number)) } else { None }
    }

    /// The numeric value, less than [`Self::COUNT`].
    pub const fn number(self) -> u16 {
        self.0
    }

    /// Responses in which a record was served in this class.
    pub const fn served(class: Served) -> Self {
        MessageKind(Self::MESSAGES + class as u16)
    }

    /// Whether messages are counted, so that hits add up to the messages seen.
    pub const fn is_message(self) -> bool {
        self.0 < Self::MESSAGES
    }

    /// Request or response; none for what was served.
    pub const fn action(self) -> Option<Action> {
        match self.0 {
            0 => Some(Action::Request),
            1..Self::MESSAGES => Some(Action::Response),
            _ => None,
        }
    }

    /// The RCODE of a response; none for a request, and for what was served.
    pub const fn response_code(self) -> Option<ResponseCode> {
        match self.0 {
            1..Self::MESSAGES => Some(ResponseCode::from_masked(self.0 - 1)),
            _ => None,
        }
    }

    /// The class of what was served; none for messages.
    pub fn class(self) -> Option<Served> {
        Served::ALL.get(usize::from(self.0.checked_sub(Self::MESSAGES)?)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_names_one_kind() {
        assert_eq!(MessageKind::from_number(0), Some(MessageKind::REQUEST));
        for number in 1..MessageKind::MESSAGES {
            let kind = MessageKind::from_number(number).unwrap();
            assert_eq!((kind.action(), kind.class()), (Some(Action::Response), None));
            assert_eq!(MessageKind::response(kind.response_code().unwrap()).number(), number);
        }
        for number in MessageKind::MESSAGES..MessageKind::COUNT {
            let kind = MessageKind::from_number(number).unwrap();
            assert_eq!((kind.action(), kind.response_code(), kind.is_message()), (None, None, false));
            assert_eq!(MessageKind::served(kind.class().unwrap()).number(), number);
        }
        assert_eq!(MessageKind::from_number(MessageKind::COUNT), None);
    }
}
