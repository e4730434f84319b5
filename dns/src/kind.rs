//! Requests and responses.

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

/// A request, or a response with its RCODE: the dimension that distinguishes points of one record.
///
/// Represented as one number, `0` for a request and `1 + rcode` for a response, so that it takes
/// two bytes in a table and requests sort first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageKind(u16);

impl MessageKind {
    /// A request.
    pub const REQUEST: MessageKind = MessageKind(0);
    /// The number of kinds: one request, and 4096 RCODEs.
    pub const COUNT: u16 = ResponseCode::MAX.value() + 2;

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

    /// Request or response.
    pub const fn action(self) -> Action {
        if self.0 == 0 { Action::Request } else { Action::Response }
    }

    /// The RCODE of a response; none for a request.
    pub const fn response_code(self) -> Option<ResponseCode> {
        match self.0 {
            0 => None,
            number => Some(ResponseCode::from_masked(number - 1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_names_one_kind() {
        assert_eq!(MessageKind::from_number(0), Some(MessageKind::REQUEST));
        for number in 1..MessageKind::COUNT {
            let kind = MessageKind::from_number(number).unwrap();
            assert_eq!(kind.action(), Action::Response);
            assert_eq!(MessageKind::response(kind.response_code().unwrap()).number(), number);
        }
        assert_eq!(MessageKind::from_number(MessageKind::COUNT), None);
    }
}
