//! Message headers.

use super::origin::{self, Fault};
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, LongString};
use zonepulse_wire::{MAC_HEADER, MEDIA_TYPE, peek_identity};

/// Delivery mode of a message that the broker stores on disk.
const PERSISTENT: u8 = 2;

/// Why brokers remove messages from queues, as named in metrics.
pub(super) const DEATHS: [&str; 5] = ["delivery_limit", "expired", "maxlen", "rejected", "other"];

/// Why the broker moved the message here from another queue; `None` if it did not. One of [`DEATHS`].
pub(super) fn death(properties: &BasicProperties) -> Option<&'static str> {
    let AMQPValue::FieldArray(deaths) = header(properties, "x-death")? else { return None };
    // The most recent one comes first.
    let AMQPValue::FieldTable(last) = deaths.as_slice().first()? else { return None };
    let reason = match last.inner().get("reason") {
        Some(AMQPValue::LongString(reason)) => std::str::from_utf8(reason.as_bytes()).unwrap_or_default(),
        Some(AMQPValue::ShortString(reason)) => reason.as_str(),
        _ => "",
    };
    Some(DEATHS.into_iter().find(|known| *known == reason).unwrap_or("other"))
}

/// How often a message was delivered and came back.
pub(super) fn failed_deliveries(properties: &BasicProperties) -> u64 {
    match header(properties, "x-delivery-count") {
        Some(AMQPValue::ShortShortInt(count)) => u64::try_from(*count).unwrap_or(0),
        Some(AMQPValue::ShortShortUInt(count)) => u64::from(*count),
        Some(AMQPValue::ShortInt(count)) => u64::try_from(*count).unwrap_or(0),
        Some(AMQPValue::ShortUInt(count)) => u64::from(*count),
        Some(AMQPValue::LongInt(count)) => u64::try_from(*count).unwrap_or(0),
        Some(AMQPValue::LongUInt(count)) => u64::from(*count),
        Some(AMQPValue::LongLongInt(count)) => u64::try_from(*count).unwrap_or(0),
        _ => 0,
    }
}

fn header<'a>(properties: &'a BasicProperties, name: &str) -> Option<&'a AMQPValue> {
    properties.headers().as_ref()?.inner().get(name)
}

/// Properties of a message that is requeued as new: its signature, without its delivery history.
pub(super) fn anew(mac: Option<&str>) -> BasicProperties {
    persistent(signed(mac))
}

/// Properties of a refused message: its signature, so that it can be moved back, the reason, and the batch's
/// identity.
pub(super) fn refused(mac: Option<&str>, bytes: &[u8], fault: &Fault) -> BasicProperties {
    let mut headers = signed(mac);
    headers.insert("x-zonepulse-error".into(), text(fault.to_string()));
    if let Ok(identity) = peek_identity(bytes) {
        headers.insert("x-zonepulse-server".into(), text(identity.server_id.to_string()));
        headers.insert("x-zonepulse-epoch".into(), text(identity.epoch.to_string()));
        headers.insert("x-zonepulse-seq".into(), text(identity.seq.to_string()));
    }
    persistent(headers)
}

/// Properties of a signed batch.
pub(super) fn of_batch(mac: String) -> BasicProperties {
    persistent(signed(Some(&mac)))
}

/// The signature of a message.
pub(super) fn signature(properties: &BasicProperties) -> Option<String> {
    let AMQPValue::LongString(mac) = header(properties, MAC_HEADER)? else { return None };
    let mac = std::str::from_utf8(mac.as_bytes()).ok()?;
    (mac.len() <= origin::LONGEST_MAC).then(|| mac.to_owned())
}

fn signed(mac: Option<&str>) -> FieldTable {
    let mut headers = FieldTable::default();
    if let Some(mac) = mac {
        headers.insert(MAC_HEADER.into(), text(mac.to_owned()));
    }
    headers
}

fn text(text: String) -> AMQPValue {
    AMQPValue::LongString(LongString::from(text))
}

fn persistent(headers: FieldTable) -> BasicProperties {
    BasicProperties::default().with_delivery_mode(PERSISTENT).with_content_type(MEDIA_TYPE.into()).with_headers(headers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapin::types::FieldArray;

    fn with(name: &str, value: AMQPValue) -> BasicProperties {
        let mut headers = FieldTable::default();
        headers.insert(name.into(), value);
        BasicProperties::default().with_headers(headers)
    }

    fn dead(reasons: &[&str]) -> BasicProperties {
        let entry = |reason: &&str| {
            let mut entry = FieldTable::default();
            entry.insert("reason".into(), text((*reason).to_owned()));
            AMQPValue::FieldTable(entry)
        };
        with("x-death", AMQPValue::FieldArray(FieldArray::from(reasons.iter().map(entry).collect::<Vec<_>>())))
    }

    #[test]
    fn the_last_reason_why_the_broker_took_a_message_out_counts() {
        assert_eq!(death(&dead(&["delivery_limit", "expired"])), Some("delivery_limit"));
        assert_eq!(death(&dead(&["maxlen"])), Some("maxlen"));
        assert_eq!(death(&dead(&["a reason of the future"])), Some("other"));
        assert_eq!(death(&dead(&[])), None);
        assert_eq!(death(&with("x-death", AMQPValue::Boolean(true))), None);
        assert_eq!(death(&BasicProperties::default()), None);
    }

    #[test]
    fn deliveries_that_failed_are_read_whatever_size_the_number_has() {
        for count in [AMQPValue::LongLongInt(7), AMQPValue::LongInt(7), AMQPValue::ShortShortUInt(7)] {
            assert_eq!(failed_deliveries(&with("x-delivery-count", count)), 7);
        }
        assert_eq!(failed_deliveries(&with("x-delivery-count", AMQPValue::LongInt(-1))), 0);
        assert_eq!(failed_deliveries(&BasicProperties::default()), 0);
    }

    #[test]
    fn a_message_that_is_put_into_its_queue_anew_keeps_its_signature_only() {
        let properties = anew(Some("mac"));
        assert_eq!(signature(&properties).as_deref(), Some("mac"));
        assert_eq!(properties.headers().as_ref().unwrap().inner().len(), 1);
        assert_eq!(*properties.delivery_mode(), Some(PERSISTENT));
        assert_eq!(signature(&anew(None)), None);
    }

    #[test]
    fn a_signature_is_a_short_text_in_its_header() {
        let of = |value| signature(&with(MAC_HEADER, value));
        assert_eq!(of(AMQPValue::LongString("abc".into())).as_deref(), Some("abc"));
        assert_eq!(of(AMQPValue::LongString("x".repeat(origin::LONGEST_MAC + 1).into())), None);
        assert_eq!(of(AMQPValue::LongString(b"\xff".to_vec().into())), None);
        assert_eq!(of(AMQPValue::Boolean(true)), None);
        assert_eq!(signature(&BasicProperties::default()), None);
    }
}
