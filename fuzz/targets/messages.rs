//! DNS messages: what the fast path finds is what a plain reading of RFC 1035 finds.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zonepulse_dns::{MessageKind, RecordType};
use zonepulse_fuzz::differential::class_counter;
use zonepulse_fuzz::{observe, udp};
use zonepulse_wire::Counter;

fuzz_target!(|message: &[u8]| {
    let message = &message[..message.len().min(60_000)];
    let is_response = message.get(2).is_some_and(|flags| flags & 0x80 != 0);
    let found = observe([udp(!is_response, message).as_slice()]);
    match plainly(message) {
        Ok((name, record_type, low_code)) => {
            let [(found_name, found_type, kind)] = &found.hits[..] else { panic!("one hit is expected: {found:?}") };
            assert_eq!((found_name, *found_type), (&name, RecordType::new(record_type)));
            match is_response {
                false => assert_eq!(*kind, MessageKind::REQUEST),
                // The upper bits are an OPT record's.
                true => assert_eq!(kind.response_code().map(|code| code.value() & 0x0f), Some(low_code)),
            }
            assert!(found.uncounted.is_empty());
        }
        Err(reason) => assert_eq!((found.uncounted, found.hits.len()), (vec![reason], 0)),
    }
});

/// Name in wire format, type, the header's response code.
fn plainly(message: &[u8]) -> Result<(Vec<u8>, u16, u16), Counter> {
    if message.len() < 12 {
        return Err(Counter::ShortHeader);
    }
    match message[2] >> 3 & 0x0f {
        0 => {}
        4 => return Err(Counter::OpcodeNotify),
        5 => return Err(Counter::OpcodeUpdate),
        6 => return Err(Counter::OpcodeDso),
        _ => return Err(Counter::OpcodeOther),
    }
    match (message[4], message[5]) {
        (0, 1) => {}
        (0, 0) => return Err(Counter::NoQuestion),
        _ => return Err(Counter::SeveralQuestions),
    }
    let mut name = Vec::new();
    let mut rest = message[12..].iter().copied();
    loop {
        let length = rest.next().ok_or(Counter::ShortQuestion)?;
        name.push(length);
        if length > 63 || name.len() + usize::from(length) > 255 {
            return Err(Counter::BadName);
        }
        if length == 0 {
            break;
        }
        for _ in 0..length {
            match rest.next() {
                Some(octet) => name.push(octet),
                None => return Err(Counter::ShortQuestion),
            }
        }
    }
    let [high, low, class_high, class_low] =
        [rest.next(), rest.next(), rest.next(), rest.next()].map(|octet| octet.ok_or(Counter::ShortQuestion));
    let (high, low) = (high?, low?);
    if let Some(reason) = class_counter(u16::from_be_bytes([class_high?, class_low?])) {
        return Err(reason);
    }
    Ok((name, u16::from_be_bytes([high, low]), u16::from(message[3] & 0x0f)))
}
