//! What a response served: the records are those that a plain reading of RFC 1035 finds, each RRset is credited
//! once, and it makes no difference how names are compressed.
//!
//! Input: a message; it is made a response. If its first octet is odd, the names of the zone `example.` are known.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zonepulse_fuzz::sections::{Malformed, hit, plainly, response, served};
use zonepulse_probe::served::{Names, Outcome, Reader, Zones};

/// Owners of the zone that is known.
const OWNERS: [&[u8]; 4] = [b"\x07example\x00", b"\x03www\x07example\x00", b"\x01*\x07example\x00", b"\x01*\x01w\x07example\x00"];

fuzz_target!(|input: &[u8]| {
    let Some((message, question_octets)) = response(input) else { return };
    let mut zones = Zones::any();
    if message[0] % 2 == 1 {
        zones.add_named(Names::new(OWNERS[0], OWNERS.into_iter()));
    }
    let mut reader = Reader::new(zones);
    let plain = plainly(&message, question_octets);
    zonepulse_fuzz::differential::same_records(&mut reader, &message, question_octets, plain.as_ref());
    let found = served(&mut reader, &message, question_octets);
    let is_transfer = matches!(hit(&message, question_octets).record_type.value(), 251 | 252);
    match &plain {
        _ if is_transfer => assert_eq!(found.0, Outcome::Apart),
        Err(Malformed::Short | Malformed::Data | Malformed::Label | Malformed::LongName) => {
            assert_eq!(found.0, Outcome::Unreadable)
        }
        Err(Malformed::IntoHeader | Malformed::Forward | Malformed::ManyPointers) => assert_eq!(found.0, Outcome::Unreadable),
        Ok(plain) => {
            // More DNAMEs than any server sends are the one reason not to read what can be read.
            let dnames = plain.records.iter().filter(|record| (record.section, record.record_type, record.class) == (0, 39, 1));
            assert!(found.0 == Outcome::Read || dnames.count() > 64, "{plain:?}");
            for compressed in [false, true] {
                let Some(again) = plain.encode(compressed) else { continue };
                assert_eq!(plainly(&again, question_octets).as_ref(), Ok(plain), "encoding, compressed: {compressed}");
                assert_eq!(served(&mut reader, &again, question_octets), found, "compressed: {compressed}");
            }
        }
    }
});
