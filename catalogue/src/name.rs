//! Owner names, and the order in which a zone keeps them.

use std::borrow::Borrow;
use std::fmt;
use zonepulse_dns::name::{MAX_LABEL, MAX_WIRE, push_text, to_wire};

/// An absolute domain name in uncompressed wire format, in lower-case ASCII (RFC 4343).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Box<[u8]>);

impl Name {
    /// The root.
    pub fn root() -> Self {
        Name(Box::new([0]))
    }

    /// A name as a user enters it: in any case, with or without the final dot.
    pub fn from_text(text: &str) -> Result<Self, zonepulse_dns::Error> {
        let mut wire = to_wire(text)?;
        wire.make_ascii_lowercase();
        Ok(Name(wire.into()))
    }

    /// A name in wire format, if `wire` is exactly one uncompressed name.
    pub fn from_wire(wire: &[u8]) -> Option<Self> {
        let mut rest = wire;
        if wire.len() > MAX_WIRE {
            return None;
        }
        loop {
            let (&length, after) = rest.split_first()?;
            if length == 0 {
                // No octet of a length is an upper-case letter: 63 is the highest.
                return after.is_empty().then(|| Name(wire.to_ascii_lowercase().into()));
            }
            rest = (usize::from(length) <= MAX_LABEL).then(|| after.get(usize::from(length)..))??;
        }
    }

    /// The name in wire format, with the root's empty label.
    pub fn wire(&self) -> &[u8] {
        &self.0
    }

    /// The labels from left to right, without the root's.
    pub fn labels(&self) -> Labels<'_> {
        Labels(&self.0)
    }

    /// Number of labels without the root's, as the "labels" field of RRSIG counts them.
    pub fn label_count(&self) -> usize {
        self.labels().count()
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.len() == 1
    }

    /// The name without its first label; `None` for the root.
    pub fn parent(&self) -> Option<Name> {
        let length = usize::from(*self.0.first()?);
        (length > 0).then(|| self.0.get(length + 1..).map(|rest| Name(rest.into())))?
    }

    /// This name and its ancestors up to the root, as suffixes in wire format.
    pub fn ancestors(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = Some(&self.0[..]);
        std::iter::from_fn(move || {
            let now = rest?;
            rest = now.first().filter(|length| **length > 0).and_then(|length| now.get(usize::from(*length) + 1..));
            Some(now)
        })
    }

    /// Whether the name equals `other` or is below it.
    pub fn is_at_or_below(&self, other: &Name) -> bool {
        self.ancestors().any(|ancestor| ancestor == other.wire())
    }

    /// Whether the first label is `*`.
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with(b"\x01*")
    }

    /// The wildcard directly below this name; `None` if it would be too long.
    pub fn wildcard(&self) -> Option<Name> {
        self.below(b"*")
    }

    /// This name with a label before it; `None` if the result would be no name.
    pub fn below(&self, label: &[u8]) -> Option<Name> {
        if label.is_empty() || label.len() > MAX_LABEL || self.0.len() + label.len() + 1 > MAX_WIRE {
            return None;
        }
        let mut wire = Vec::with_capacity(self.0.len() + label.len() + 1);
        wire.push(label.len() as u8);
        wire.extend_from_slice(label);
        wire.extend_from_slice(&self.0);
        wire.make_ascii_lowercase();
        Some(Name(wire.into()))
    }

    /// This name with its suffix `from` replaced by `to`, as a DNAME does (RFC 6672 section 2.2). `None` if `from` is not
    /// a suffix, or if the result would be longer than 255 octets (YXDOMAIN).
    pub fn replace_suffix(&self, from: &Name, to: &Name) -> Option<Name> {
        let kept = self.is_at_or_below(from).then(|| self.0.get(..self.0.len() - from.0.len()))??;
        let wire = [kept, to.wire()].concat();
        (wire.len() <= MAX_WIRE).then(|| Name(wire.into()))
    }

    /// Octets whose order is the canonical order of names (RFC 4034 section 6.1): the labels from right to left, each
    /// ended by 0. A name's key is a prefix of the keys of all names below it, and of no other.
    pub fn key(&self) -> Box<[u8]> {
        let mut labels: Vec<&[u8]> = self.labels().collect();
        labels.reverse();
        let mut key = Vec::with_capacity(self.0.len());
        for label in labels {
            for octet in label {
                match octet {
                    0 => key.extend_from_slice(&[1, 1]),
                    1 => key.extend_from_slice(&[1, 2]),
                    octet => key.push(*octet),
                }
            }
            key.push(0);
        }
        key.into()
    }

    /// The name whose [`key`](Name::key) this is.
    pub fn from_key(key: &[u8]) -> Option<Self> {
        let mut labels: Vec<Vec<u8>> = Vec::new();
        let mut label = Vec::new();
        let mut octets = key.iter();
        while let Some(octet) = octets.next() {
            match octet {
                0 => labels.push(std::mem::take(&mut label)),
                1 => label.push(octets.next().filter(|octet| matches!(octet, 1 | 2))? - 1),
                octet => label.push(*octet),
            }
        }
        if !label.is_empty() {
            return None;
        }
        labels.iter().try_fold(Name::root(), |name, label| name.below(label))
    }
}

/// The labels of a name from left to right.
#[derive(Debug, Clone)]
pub struct Labels<'a>(&'a [u8]);

impl<'a> Iterator for Labels<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (&length, rest) = self.0.split_first()?;
        let (label, rest) = rest.split_at_checked(usize::from(length))?;
        self.0 = rest;
        (length > 0).then_some(label)
    }
}

impl Borrow<[u8]> for Name {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        push_text(&self.0, &mut text);
        f.write_str(&text)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> Name {
        Name::from_text(text).unwrap()
    }

    #[test]
    fn names_are_lower_case_and_print_with_a_final_dot() {
        assert_eq!(name("WWW.Example").to_string(), "www.example.");
        assert_eq!(Name::from_wire(b"\x03WwW\x00"), Some(name("www.")));
        assert_eq!(Name::root().to_string(), ".");
    }

    #[test]
    fn a_name_is_below_its_ancestors_only() {
        assert!(name("a.b.c.").is_at_or_below(&name("b.c.")));
        assert!(name("b.c.").is_at_or_below(&name("b.c.")));
        assert!(name("b.c.").is_at_or_below(&Name::root()));
        assert!(!name("ab.c.").is_at_or_below(&name("b.c.")));
    }

    #[test]
    fn a_suffix_is_replaced_as_a_dname_does() {
        assert_eq!(name("a.b.c.").replace_suffix(&name("b.c."), &name("x.")), Some(name("a.x.")));
        assert_eq!(name("a.b.c.").replace_suffix(&name("b.d."), &name("x.")), None);
        let long = name(&"a123456789.".repeat(22));
        assert_eq!(long.replace_suffix(&name("a123456789."), &name("a1234567890123456789012.")), None);
    }

    #[test]
    fn keys_are_in_canonical_order() {
        // The example of RFC 4034 section 6.1.
        let names = [
            "example.",
            "a.example.",
            "yljkjljk.a.example.",
            "Z.a.example.",
            "zABC.a.EXAMPLE.",
            "z.example.",
            "\\001.z.example.",
            "*.z.example.",
            "\\200.z.example.",
        ];
        let keys: Vec<_> = names.iter().map(|text| name(text).key()).collect();
        assert!(keys.is_sorted());
    }

    fn any_name() -> impl Strategy<Value = Name> {
        let label = prop::collection::vec(any::<u8>(), 1..5);
        let labels = prop::collection::vec(label, 0..5);
        labels.prop_map(|labels| labels.iter().fold(Name::root(), |name, label| name.below(label).unwrap()))
    }

    proptest! {
        #[test]
        fn a_key_says_its_name(name in any_name()) {
            prop_assert_eq!(Name::from_key(&name.key()), Some(name.clone()));
            prop_assert_eq!(Name::from_wire(name.wire()), Some(name.clone()));
            prop_assert_eq!(Name::from_text(&name.to_string()).unwrap(), name);
        }

        #[test]
        fn a_key_is_a_prefix_of_those_below_it(a in any_name(), b in any_name()) {
            prop_assert_eq!(b.key().starts_with(&a.key()), b.is_at_or_below(&a));
        }

        #[test]
        fn octets_of_any_kind_never_panic(octets in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = (Name::from_wire(&octets), Name::from_key(&octets));
        }
    }
}
