//! Requests and responses.

use crate::{Error, ResponseCode};
use std::fmt;
use std::str::FromStr;

/// Which way a message went, seen from the server that is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// A query arrived.
    Request,
    /// An answer left.
    Response,
}

impl Action {
    /// The word that answers and filters use.
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

/// A request, or a response with its code: what sets the points of one record apart.
///
/// One number, `0` for a request and `1 + rcode` for a response, so that it
/// costs two bytes in a table and sorts requests first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageKind(u16);

impl MessageKind {
    /// A request.
    pub const REQUEST: MessageKind = MessageKind(0);
    /// How many kinds there are: a request, and 4096 response codes.
    pub const COUNT: u16 = ResponseCode::MAX.value() + 2;

    /// A response with this code.
    pub const fn response(code: ResponseCode) -> Self {
        MessageKind(code.value() + 1)
    }

    /// From its number; `None` when it is not below [`Self::COUNT`].
    pub const fn from_number(number: u16) -> Option<Self> {
        if number < Self::COUNT { Some(MessageKind(number)) } else { None }
    }

    /// Its number, below [`Self::COUNT`].
    pub const fn number(self) -> u16 {
        self.0
    }

    /// Request or response.
    pub const fn action(self) -> Action {
        if self.0 == 0 { Action::Request } else { Action::Response }
    }

    /// The code of a response; a request has none.
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
