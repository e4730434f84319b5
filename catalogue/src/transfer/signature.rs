//! Signatures of the messages of an answer (TSIG, RFC 8945).

use super::error::TsigFault;
use super::key::TsigKey;
use domain::base::iana::{Rcode, TsigRcode};
use domain::base::message::Message;
use domain::base::message_builder::{AdditionalBuilder, PushError};
use domain::base::name::ParsedName;
use domain::rdata::tsig::{Time48, Tsig};
use domain::tsig::{ClientSequence, Key, ValidationError};
use std::fmt;
use std::sync::Arc;
use zonepulse_dns::ResponseCode;

/// The chain of signatures from a request to the last message of its answer.
pub(super) struct Signature {
    sequence: ClientSequence<Arc<Key>>,
    /// When the request was signed, Unix seconds.
    started: u64,
    signed_last: bool,
}

impl Signature {
    /// Signs a request.
    pub(super) fn request(key: &TsigKey, message: &mut AdditionalBuilder<Vec<u8>>, now: u64) -> Result<Self, PushError> {
        let sequence = ClientSequence::request(key.to_domain(), message, time(now))?;
        Ok(Signature { sequence, started: now, signed_last: false })
    }

    /// Verifies the next message. At most 99 messages in a row may be unsigned, never the first (RFC 8945 section 5.3.1).
    pub(super) fn verify(&mut self, message: &mut Message<Vec<u8>>, now: u64) -> Result<(), TsigFault> {
        let before = message.header_counts().arcount();
        let mut sequence = self.sequence.clone();
        let mut result = sequence.answer(message, time(now));
        if let (Err(ValidationError::BadTime), Some(tsig)) = (&result, TsigOf::find(message)) {
            // A reader that throttles the primary takes messages off the socket long after they were signed. That is no
            // replay: every signature covers the one before, and the first covers our request.
            if (self.started..now).contains(&tsig.signed) {
                sequence = self.sequence.clone();
                result = sequence.answer(message, time(tsig.signed));
            }
        }
        result.map_err(|error| explain(error, message, now))?;
        self.sequence = sequence;
        self.signed_last = message.header_counts().arcount() < before;
        Ok(())
    }

    /// Checks that the last message was signed.
    pub(super) fn finish(&self) -> Result<(), TsigFault> {
        if self.signed_last { Ok(()) } else { Err(TsigFault::LastUnsigned) }
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signature").field("signed_last", &self.signed_last).finish_non_exhaustive()
    }
}

/// A time as TSIG has it, 48 bits.
pub(super) fn time(now: u64) -> Time48 {
    Time48::from_u64(now.min((1 << 48) - 1))
}

/// What a TSIG record says, whether or not its signature is right.
struct TsigOf {
    signed: u64,
    error: TsigRcode,
    server_time: Option<u64>,
}

impl TsigOf {
    fn find(message: &Message<Vec<u8>>) -> Option<Self> {
        let mut records = message.additional().ok()?.limit_to::<Tsig<&[u8], ParsedName<&[u8]>>>();
        let tsig = records.next()?.ok()?.into_data();
        let server_time = tsig.other_time().map(u64::from);
        Some(TsigOf { signed: tsig.time_signed().into(), error: tsig.error(), server_time })
    }
}

/// Says in words what a signature lacks. What the primary reports is taken from records that may be unsigned: it explains a
/// failure, and makes nothing succeed.
fn explain(error: ValidationError, message: &Message<Vec<u8>>, now: u64) -> TsigFault {
    let tsig = TsigOf::find(message);
    if let Some(tsig) = tsig.as_ref().filter(|_| message.header().rcode() == Rcode::NOTAUTH) {
        match tsig.error {
            TsigRcode::NOERROR => {}
            TsigRcode::BADKEY => return TsigFault::UnknownToPrimary,
            TsigRcode::BADSIG => return TsigFault::RejectedByPrimary,
            // `domain` cannot verify these: it digests the server's time as 8 octets, not as 6.
            TsigRcode::BADTIME => return TsigFault::ClockOfPrimary(tsig.server_time.unwrap_or(now).abs_diff(now)),
            other => return TsigFault::Other(ResponseCode::from_masked(other.to_int())),
        }
    }
    match error {
        ValidationError::BadKey | ValidationError::BadAlg => TsigFault::OtherKey,
        ValidationError::BadSig => TsigFault::BadSignature,
        ValidationError::BadTrunc => TsigFault::Short,
        ValidationError::BadTime => TsigFault::Clock(tsig.map_or(0, |tsig| tsig.signed.abs_diff(now))),
        ValidationError::ServerUnsigned => TsigFault::Unsigned,
        ValidationError::ServerBadKey => TsigFault::UnknownToPrimary,
        ValidationError::ServerBadSig => TsigFault::RejectedByPrimary,
        ValidationError::ServerBadTime { server, .. } => TsigFault::ClockOfPrimary(u64::from(server).abs_diff(now)),
        ValidationError::TooManyUnsigned => TsigFault::TooManyUnsigned,
        ValidationError::FormErr | ValidationError::BadOther => TsigFault::Malformed,
    }
}
