//! Finding the sealed values of one server.

use super::Engine;
use crate::database::{Database, key};
use crate::{Error, Level};
use zonepulse_model::ServerId;

/// Returns the hours in which a server has sealed values of a level. Seeks once per hour and reads no values.
pub(crate) fn hours(database: &Database, engine: &Engine, level: Level, server_id: ServerId) -> Result<Vec<u32>, Error> {
    let mut hours = Vec::new();
    let mut iterator = database.leaping_iterator(engine.sealed);
    let mut next = Some(0);
    while let Some(hour) = next {
        iterator.seek(key::sealed(level, hour, server_id, 0));
        let Some(found) = iterator.key() else { break };
        let (of, at, server, _) = key::parse_sealed(found).ok_or_else(|| Error::damaged(engine.value, found))?;
        if of != level {
            break;
        }
        let here = (at, server) == (hour, server_id);
        if here {
            hours.push(hour);
        }
        next = if here || server > server_id { at.checked_add(1) } else { Some(at) };
    }
    iterator.status()?;
    Ok(hours)
}
