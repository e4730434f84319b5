//! Owner names as parts of keys.

use zonepulse_dns::name::to_wire;

/// Maximum length of an owner in a key: four labels with 250 octets in all, each of them escaped.
pub(crate) const MAX_OWNER: usize = 504;

/// Octets whose order is the canonical order of names (RFC 4034 section 6.1): the labels from right to left, each ended
/// by 0, with octets 0 and 1 as 1 1 and 1 2. `None` if `text` is no name.
pub(crate) fn owner_of_text(text: &str) -> Option<Vec<u8>> {
    let wire = to_wire(text).ok()?;
    let mut labels = Vec::new();
    let mut rest = wire.as_slice();
    while let Some((&length, after)) = rest.split_first() {
        if length == 0 {
            break;
        }
        let (label, after) = after.split_at_checked(usize::from(length))?;
        labels.push(label);
        rest = after;
    }
    let mut key = Vec::with_capacity(wire.len());
    for label in labels.into_iter().rev() {
        for octet in label {
            match octet {
                0 => key.extend_from_slice(&[1, 1]),
                1 => key.extend_from_slice(&[1, 2]),
                octet => key.push(octet.to_ascii_lowercase()),
            }
        }
        key.push(0);
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_laid_out_byte_for_byte_as_written_down() {
        assert_eq!(owner_of_text("WWW.example.").unwrap(), b"example\0www\0");
        assert_eq!(owner_of_text(".").unwrap(), b"");
        assert_eq!(owner_of_text("a\\000\\001\\002.b.").unwrap(), b"b\0a\x01\x01\x01\x02\x02\0");
        assert_eq!(owner_of_text("a..b."), None);
    }

    #[test]
    fn owners_are_in_canonical_order() {
        // The example of RFC 4034 section 6.1.
        let names = ["example.", "a.example.", "yljkjljk.a.example.", "Z.a.example.", "zABC.a.EXAMPLE.", "z.example."];
        let more = ["\\001.z.example.", "*.z.example.", "\\200.z.example."];
        let keys: Vec<_> = names.iter().chain(&more).map(|text| owner_of_text(text).unwrap()).collect();
        assert!(keys.is_sorted());
    }

    #[test]
    fn the_longest_names_fit() {
        let label = |octets| format!("{}.", "\\001".repeat(octets));
        let long = [63, 63, 63, 61].map(label).concat();
        assert_eq!(owner_of_text(&long).unwrap().len(), MAX_OWNER);
        assert_eq!(owner_of_text(&label(1).repeat(127)).unwrap().len(), 3 * 127);
    }
}
