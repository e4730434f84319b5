//! The format, by itself. `tests/behaviour/backups` compares it with the program `age` where that is installed.

use super::*;
use proptest::prelude::*;
use std::io::Read;

fn encrypt(plain: &[u8], recipients: &[Recipient]) -> Vec<u8> {
    let mut encrypted = Vec::new();
    Encrypting::new(plain, recipients).unwrap().read_to_end(&mut encrypted).unwrap();
    encrypted
}

fn decrypt(encrypted: &[u8], identity: &Identity) -> Result<Vec<u8>, String> {
    let mut plain = Vec::new();
    let mut reader = Decrypting::new(encrypted, std::slice::from_ref(identity)).map_err(|error| error.to_string())?;
    reader.read_to_end(&mut plain).map_err(|error| error.to_string())?;
    Ok(plain)
}

fn of_length(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 % 251) as u8).collect()
}

#[test]
fn what_is_encrypted_is_read_by_each_recipient_and_nobody_else() {
    let [one, two, other] = [(); 3].map(|()| Identity::random().unwrap());
    for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 5] {
        let plain = of_length(length);
        let encrypted = encrypt(&plain, &[one.recipient(), two.recipient()]);
        assert_eq!(encrypted.len() as u64, encrypted_bytes(length as u64, 2), "{length}");
        for identity in [&one, &two] {
            assert_eq!(decrypt(&encrypted, identity).as_ref(), Ok(&plain), "{length}");
        }
        assert_eq!(decrypt(&encrypted, &other).unwrap_err(), "it was encrypted for another key");
    }
}

/// Made by age 1.1.1: `printf 'zonepulse\n' | age -r PUBLIC`.
#[test]
fn a_file_of_the_program_age_is_read() {
    let identity = Identity::read(include_str!("testdata/key.txt")).unwrap().remove(0);
    assert_eq!(decrypt(include_bytes!("testdata/by_age.age"), &identity).as_deref(), Ok(&b"zonepulse\n"[..]));
    let long = decrypt(include_bytes!("testdata/long_by_age.age"), &identity).unwrap();
    assert!(long == of_length(2 * CHUNK), "{}", long.len());
}

#[test]
fn keys_are_spelled_as_age_spells_them() {
    let text = include_str!("testdata/key.txt");
    let identity = Identity::read(text).unwrap().remove(0);
    let public = text.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap();
    assert_eq!(identity.recipient().to_string(), public);
    assert_eq!(public.parse(), Ok(identity.recipient()));
    assert!(text.contains(identity.reveal().unwrap().as_str()));
    let debug = format!("{identity:?}");
    assert_eq!(debug, format!("Identity of {public}"));
}

#[test]
fn what_is_no_key_is_refused_with_the_reason() {
    let identity = Identity::random().unwrap();
    let (secret, public) = (identity.reveal().unwrap(), identity.recipient().to_string());
    let other = if public.ends_with('q') { "p" } else { "q" };
    let misspelled = format!("{}{other}", &public[..public.len() - 1]);
    for (text, why) in [
        (secret.as_str(), BadKey::Private),
        ("age1yubikey1qqqq", BadKey::Kind),
        ("ssh-ed25519 AAAA", BadKey::Kind),
        (&misspelled, BadKey::Spelling),
        ("", BadKey::Spelling),
        ("key", BadKey::Spelling),
    ] {
        assert_eq!(text.parse::<Recipient>(), Err(why), "{text}");
    }
    for (text, why) in [
        ("# nothing\n", BadKey::Missing),
        (&public, BadKey::Missing),
        ("AGE-SECRET-KEY-1QQQQ", BadKey::Spelling),
        ("age-encryption.org/v1\n-> scrypt", BadKey::Encrypted),
        ("-----BEGIN AGE ENCRYPTED FILE-----", BadKey::Encrypted),
    ] {
        assert_eq!(Identity::read(text).err(), Some(why), "{text}");
    }
}

#[test]
fn every_flipped_bit_of_a_small_file_is_noticed() {
    let identity = Identity::random().unwrap();
    let encrypted = encrypt(b"a few bytes", &[identity.recipient()]);
    for at in 0..encrypted.len() * 8 {
        let mut changed = encrypted.clone();
        changed[at / 8] ^= 1 << (at % 8);
        assert!(decrypt(&changed, &identity).is_err(), "bit {at}");
    }
}

#[test]
fn whatever_is_cut_off_or_moved_is_noticed() {
    let identity = Identity::random().unwrap();
    let encrypted = encrypt(&of_length(3 * CHUNK), &[identity.recipient()]);
    let payload = encrypted.len() - 3 * (CHUNK + TAG);
    for end in [payload - 1, payload, payload + CHUNK + TAG, payload + 2 * (CHUNK + TAG), encrypted.len() - 1] {
        assert!(decrypt(&encrypted[..end], &identity).is_err(), "{end}");
    }
    let (head, chunks) = encrypted.split_at(payload);
    let (one, rest) = chunks.split_at(CHUNK + TAG);
    assert!(decrypt(&[head, rest, one].concat(), &identity).is_err());
    assert!(decrypt(&[&encrypted[..], &[0]].concat(), &identity).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_text_survives(plain in prop::collection::vec(any::<u8>(), 0..3000)) {
        let identity = Identity::random().unwrap();
        let encrypted = encrypt(&plain, &[identity.recipient()]);
        prop_assert_eq!(encrypted.len() as u64, encrypted_bytes(plain.len() as u64, 1));
        prop_assert_eq!(decrypt(&encrypted, &identity), Ok(plain));
    }

    #[test]
    fn bytes_of_any_kind_never_panic(begins in any::<bool>(), text in "(-> |--- |X25519|[A-Za-z0-9+/]|\n| ){0,40}", bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let identity = Identity::random().unwrap();
        let start = if begins { "age-encryption.org/v1\n" } else { "" };
        let _ = decrypt(&[start.as_bytes(), text.as_bytes(), &bytes].concat(), &identity);
        let _ = Identity::read(&text);
        let _ = text.parse::<Recipient>();
    }
}
