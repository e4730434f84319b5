//! The endpoints of the central, and the program `zonepulse`: HTTP, web page, command line.
//!
//! `zonepulse_central` provides everything that can be asked of a central. This crate reads the configuration, opens
//! the parts and serves them over HTTP; it is the only one that knows the API's JSON, status codes and OpenAPI:
//!
//! * [`command`] is what `zonepulse` understands;
//! * [`serve::serve`] runs a central in this process, until it is told to end;
//! * `http` is the endpoint: what a request passes through, the calls, and the page.

pub mod command;
pub mod config;
mod data;
mod dns_server;
mod doctor;
mod error;
mod http;
mod open_files;
mod remote;
pub mod serve;
mod time;

pub use error::{Error, describe};
