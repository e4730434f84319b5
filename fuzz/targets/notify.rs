//! NOTIFY: any message is taken or rejected, and an answer to it is a message.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zonepulse_catalogue::transfer::{TsigKey, notify};
use zonepulse_dns::ResponseCode;

fuzz_target!(|message: &[u8]| {
    let key = TsigKey::from_text("hmac-sha256:key.example:c2VjcmV0").expect("a key");
    match notify::parse(message, &[key], 1_800_000_000) {
        Ok(notify) => {
            let answer = notify::answer(notify, ResponseCode::NOERROR, 1_800_000_000);
            assert!(answer.is_some_and(|answer| answer.first_chunk::<2>() == message.first_chunk::<2>()));
        }
        Err(rejection) => {
            if let Some(answer) = rejection.answer {
                assert_eq!(answer.first_chunk::<2>(), message.first_chunk::<2>());
            }
        }
    }
});
