//! The DNS message.
