//! Batches pushed by probes.

use crate::Central;
use crate::time::now_ms;
use bytes::Bytes;
use std::net::IpAddr;
use zonepulse_ingest::{Error, Sender};
use zonepulse_model::ServerId;
use zonepulse_store::Level;
use zonepulse_wire::KeptFrom;

/// Stores an encoded batch that a server sent from an address. When this returns, the batch is on disk, either now or
/// from an earlier delivery. The answer says from when on the server's points are visible, so that a probe that sends
/// older ones can be warned.
pub async fn receive(central: &Central, server_id: u32, address: IpAddr, batch: Bytes) -> Result<KeptFrom, Error> {
    let received = central.ingest().receive(batch, Sender::Server(ServerId::new(server_id))).await;
    received.inspect_err(|error| central.refusals().batch(address, server_id, error))?;
    let now_s = now_ms() / 1000;
    let from_s = |level| central.store().kept_from_s(ServerId::new(server_id), level, now_s);
    Ok(KeptFrom { raw_s: from_s(Level::Raw), aggregated_s: from_s(Level::H1) })
}
