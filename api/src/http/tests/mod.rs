//! The endpoint as a caller meets it, over a real store.

pub mod example;
mod fleet;
mod matrix;
mod routes;
mod secrets;
mod sessions;
mod strict;

use super::document::DOCUMENT_PATH;
use super::door::passage::every_request;
use super::paths;
use super::router::{document, monitoring_router, router};
use super::state::App;
use crate::config;
use axum::Router;
use axum::extract::Request;
use axum::middleware::from_fn_with_state;
use std::time::Duration;
use zonepulse_central::addresses::Addresses;
use zonepulse_central::time::{Clock, now_ms};
use zonepulse_central::{Central, Options};
use zonepulse_ingest::Ingest;
use zonepulse_query::Engine;
use zonepulse_store::Store;

/// What requests work with, over these parts.
fn app(store: Store, engine: Engine, ingest: Ingest, limits: config::Limits, addresses: Addresses) -> App {
    app_at(store, engine, ingest, limits, addresses, Clock::default())
}

/// The same with a clock.
fn app_at(store: Store, engine: Engine, ingest: Ingest, limits: config::Limits, addresses: Addresses, clock: Clock) -> App {
    let max_pending_bytes = limits.max_pending_bytes.into();
    let sessions = zonepulse_central::sessions::Options { idle_ms: limits.session_s * 1000, clock };
    let (zones, images, push, backups) = Default::default();
    let options = Options { max_pending_bytes, addresses, zones, protection: Vec::new(), sessions, images, push, backups };
    App::new(Central::new(store, engine, ingest, options).unwrap(), limits)
}
