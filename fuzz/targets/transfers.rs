//! Transfers: any stream of messages ends in records that are well formed, or in an error.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zonepulse_catalogue::transfer::{TsigKey, read_answer};
use zonepulse_catalogue::{Name, rdata};

fuzz_target!(|input: &[u8]| {
    let Some((choice, octets)) = input.split_first() else { return };
    let apex = Name::from_text("example.").expect("a name");
    let since = (choice & 1 == 1).then_some(7);
    let key = (choice & 6 == 6).then(|| TsigKey::from_text("hmac-sha256:key.example:c2VjcmV0").expect("a key"));
    if let Ok(records) = read_answer(octets, &apex, since, key.as_ref()) {
        for record in records {
            assert!(record.owner.is_at_or_below(&apex), "{record:?} is in the zone");
            let again = rdata::canonical(record.rtype, &record.rdata).expect("what is transferred is well formed");
            assert_eq!(again, record.rdata, "{record:?}");
        }
    }
});
