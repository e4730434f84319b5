//! Keys of names relative to the apex, without allocation.

use crate::Name;

/// Every octet of a name's labels may take two.
const MAX_KEY: usize = 510;

/// The part of [`Name::key`] that follows the apex's. Empty for the apex itself.
pub struct Key {
    octets: [u8; MAX_KEY],
    len: usize,
}

impl Key {
    /// The key of a name in wire format; `None` if it is not at or below `apex`.
    pub fn relative(wire: &[u8], apex: &Name) -> Option<Key> {
        let mut starts = [0u8; 128];
        let mut count = 0;
        let mut rest = wire;
        while rest.len() > apex.wire().len() {
            *starts.get_mut(count)? = u8::try_from(wire.len() - rest.len()).ok()?;
            count += 1;
            rest = rest.get(usize::from(*rest.first()?) + 1..)?;
        }
        if rest != apex.wire() {
            return None;
        }
        let mut key = Key { octets: [0; MAX_KEY], len: 0 };
        for start in starts.get(..count)?.iter().rev() {
            let (length, after) = wire.get(usize::from(*start)..)?.split_first()?;
            key.push_label(after.get(..usize::from(*length))?)?;
        }
        Some(key)
    }

    /// Appends a label and the 0 that ends it, as [`Name::key`] does.
    fn push_label(&mut self, label: &[u8]) -> Option<()> {
        let plain = label.iter().all(|octet| *octet > 1);
        if plain {
            let end = self.len + label.len();
            self.octets.get_mut(self.len..end)?.copy_from_slice(label);
            self.len = end;
        } else {
            for octet in label {
                if *octet <= 1 {
                    self.push(1)?;
                }
                self.push(if *octet <= 1 { octet + 1 } else { *octet })?;
            }
        }
        self.push(0)
    }

    fn push(&mut self, octet: u8) -> Option<()> {
        *self.octets.get_mut(self.len)? = octet;
        self.len += 1;
        Some(())
    }

    pub fn as_slice(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or_default()
    }
}

/// The name at `key`, relative to `apex`; `None` if that is no key.
pub fn name_at(key: &[u8], apex: &Name) -> Option<Name> {
    let Some((last, labels)) = key.split_last() else { return Some(apex.clone()) };
    if *last != 0 {
        return None;
    }
    let mut wire = Vec::with_capacity(key.len() + apex.wire().len());
    for label in labels.rsplit(|octet| *octet == 0) {
        let start = wire.len();
        wire.push(0);
        let mut octets = label.iter();
        while let Some(octet) = octets.next() {
            wire.push(if *octet == 1 { octets.next().filter(|octet| matches!(octet, 1 | 2))? - 1 } else { *octet });
        }
        *wire.get_mut(start)? = u8::try_from(wire.len() - start - 1).ok().filter(|length| *length > 0)?;
    }
    wire.extend_from_slice(apex.wire());
    Name::from_wire(&wire)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_name() -> impl Strategy<Value = Name> {
        let label = prop::collection::vec(prop_oneof![0u8..3, any::<u8>()], 1..5);
        let labels = prop::collection::vec(label, 0..5);
        labels.prop_map(|labels| labels.iter().fold(Name::root(), |name, label| name.below(label).unwrap()))
    }

    proptest! {
        #[test]
        fn a_relative_key_follows_the_key_of_the_apex(apex in any_name(), below in any_name()) {
            let wire = [&below.wire()[..below.wire().len() - 1], apex.wire()].concat();
            let name = Name::from_wire(&wire).unwrap();
            let key = Key::relative(name.wire(), &apex).unwrap();
            prop_assert_eq!([&apex.key(), key.as_slice()].concat(), name.key().to_vec());
            prop_assert_eq!(name_at(key.as_slice(), &apex), Some(name));
        }

        #[test]
        fn only_names_in_the_zone_have_a_key(a in any_name(), b in any_name()) {
            prop_assert_eq!(Key::relative(a.wire(), &b).is_some(), a.is_at_or_below(&b));
        }

        #[test]
        fn octets_of_any_kind_never_panic(octets in prop::collection::vec(0u8..3, 0..20)) {
            let _ = name_at(&octets, &Name::root());
        }
    }

    #[test]
    fn the_longest_names_have_keys() {
        let label = [0u8; 63];
        let name = [&label[..], &label, &label, &label[..61]].iter().fold(Name::root(), |name, label| name.below(label).unwrap());
        assert_eq!(Key::relative(name.wire(), &Name::root()).unwrap().as_slice(), &*name.key());
        let name = (0..127).fold(Name::root(), |name, _| name.below(b"\0").unwrap());
        assert_eq!(Key::relative(name.wire(), &Name::root()).unwrap().as_slice(), &*name.key());
    }
}
