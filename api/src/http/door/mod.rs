//! What a request passes through before its call, and an answer after it.

pub mod access;
mod authorization;
pub mod browsers;
mod caller;
pub mod cookie;
pub mod guard;
pub mod listen;
pub mod passage;
mod proxy;
pub mod tls;
mod unread;
