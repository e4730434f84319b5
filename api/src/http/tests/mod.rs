//! The endpoint as a caller meets it, over a real store.

pub mod example;
mod fleet;
mod matrix;
mod routes;
mod secrets;
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
use zonepulse_central::time::now_ms;
use zonepulse_central::{Central, Options};
use zonepulse_ingest::Ingest;
use zonepulse_query::Engine;
use zonepulse_store::Store;

/// What requests work with, over these parts.
fn app(store: Store, engine: Engine, ingest: Ingest, limits: config::Limits, addresses: Addresses) -> App {
    let options = Options { max_pending_bytes: limits.max_pending_bytes.into(), addresses };
    App::new(Central::new(store, engine, ingest, options).unwrap(), limits)
}
