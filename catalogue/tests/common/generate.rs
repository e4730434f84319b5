//! Random zones, and queries that go where lookups are hard.

use std::collections::BTreeMap;
use std::fmt::Write;

/// SplitMix64: the same numbers for the same seed.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub fn percent(&mut self, share: usize) -> bool {
        self.below(100) < share
    }

    pub fn pick<'a, T: ?Sized>(&mut self, items: &[&'a T]) -> &'a T {
        items[self.below(items.len())]
    }
}

/// Few labels, so that names meet.
const LABELS: &[&str] = &["a", "b", "c", "d", "e", "*", "*"];
const TYPES: &[&str] = &["A", "A", "A", "AAAA", "TXT", "MX", "SRV", "CNAME", "DNAME", "NS", "DS", "SOA", "ANY", "PTR"];

/// A zone in the making: types and data of every owner.
pub struct Generated {
    pub apex: String,
    owners: BTreeMap<String, Vec<(&'static str, String)>>,
}

impl Generated {
    /// The zone with this number under `apex`.
    pub fn new(seed: u64, apex: &str) -> Self {
        let mut random = Random(seed);
        let mut zone = Generated { apex: apex.to_owned(), owners: BTreeMap::new() };
        for _ in 0..2 + random.below(25) {
            let owner = zone.some_name(&mut random);
            zone.add_some(&owner, &mut random);
        }
        if random.percent(30) {
            zone.add_chain(&mut random);
        }
        if random.percent(15) {
            let target = format!("{0}.{0}.{0}.{apex}", "y".repeat(40));
            zone.add("y", "DNAME", target);
        }
        if random.percent(3) {
            let target = zone.some_target(&mut random);
            zone.add("", "DNAME", target);
        }
        zone.remove_below_dnames();
        zone
    }

    /// Servers refuse zones with names below a DNAME, or answer with them.
    fn remove_below_dnames(&mut self) {
        let has_dname = |(_, records): &(&String, &Vec<(&str, String)>)| records.iter().any(|(rtype, _)| *rtype == "DNAME");
        let dnames: Vec<String> = self.owners.iter().filter(has_dname).map(|(owner, _)| owner.clone()).collect();
        let is_below = |owner: &str, dname: &str| match dname {
            "" => !owner.is_empty(),
            dname => owner.strip_suffix(dname).is_some_and(|rest| rest.ends_with('.')),
        };
        self.owners.retain(|owner, records| !records.is_empty() && !dnames.iter().any(|dname| is_below(owner, dname)));
    }

    /// One record a line, the SOA first.
    pub fn text(&self) -> String {
        let apex = &self.apex;
        let mut text = format!("{apex} 300 IN SOA ns.{apex} host.{apex} 1 3600 600 86400 60\n{apex} 300 IN NS ns.{apex}\n");
        for (owner, records) in &self.owners {
            for (rtype, data) in records {
                let ttl = 60 + rtype.len() + owner.len();
                writeln!(text, "{} {ttl} IN {rtype} {data}", self.absolute(owner)).unwrap();
            }
        }
        text
    }

    /// A name and a type to ask for.
    pub fn query(&self, random: &mut Random) -> (String, &'static str) {
        let mut owner = if random.percent(70) { self.existing(random) } else { self.some_name(random) };
        if random.percent(15) {
            owner = owner.split_once('.').map_or(String::new(), |(_, parent)| parent.to_owned());
        }
        for _ in 0..random.below(8).saturating_sub(4) {
            let label = if random.percent(10) { "y".repeat(63) } else { random.pick(LABELS).to_owned() };
            owner = join(&label, &owner);
        }
        if random.percent(1) {
            return ("nowhere.invalid.".to_owned(), random.pick(TYPES));
        }
        (self.absolute(&owner), random.pick(TYPES))
    }

    fn absolute(&self, owner: &str) -> String {
        if owner.is_empty() { self.apex.clone() } else { format!("{owner}.{}", self.apex) }
    }

    fn existing(&self, random: &mut Random) -> String {
        self.owners.keys().nth(random.below(self.owners.len().max(1))).cloned().unwrap_or_default()
    }

    /// A name in the zone, relative to the apex: often near one that exists.
    fn some_name(&self, random: &mut Random) -> String {
        let mut owner = if random.percent(45) { self.existing(random) } else { String::new() };
        for _ in 0..1 + random.below(3) {
            if owner.len() < 60 {
                owner = join(random.pick(LABELS), &owner);
            }
        }
        owner
    }

    fn some_target(&self, random: &mut Random) -> String {
        match random.below(10) {
            0 => "www.elsewhere.invalid.".to_owned(),
            1..=5 => self.absolute(&self.existing(random)),
            _ => self.absolute(&self.some_name(random)),
        }
    }

    fn add_some(&mut self, owner: &str, random: &mut Random) {
        let target = self.some_target(random);
        match random.below(20) {
            0..=5 => self.add(owner, "CNAME", target),
            6..=8 => self.add(owner, "DNAME", target),
            9 => self.add_cut(owner, random),
            10 => self.add(owner, "AAAA", format!("2001:db8::{:x}", random.below(65536))),
            11 => self.add(owner, "MX", format!("10 {target}")),
            12 => self.add(owner, "SRV", format!("0 0 53 {target}")),
            13 => self.add(owner, "TXT", format!("\"t{}\"", random.below(100))),
            _ => (0..1 + random.below(2)).for_each(|_| self.add(owner, "A", format!("192.0.2.{}", random.below(256)))),
        }
    }

    /// A delegation with glue below the cut, elsewhere in the zone, or outside.
    fn add_cut(&mut self, owner: &str, random: &mut Random) {
        for _ in 0..1 + random.below(2) {
            let target = if random.percent(50) { self.absolute(&join("ns", owner)) } else { self.some_target(random) };
            self.add(owner, "NS", target);
        }
        if random.percent(70) {
            self.add(&join("ns", owner), "A", format!("192.0.2.{}", random.below(256)));
        }
        if random.percent(30) {
            self.add(owner, "DS", format!("{} 8 2 {}", random.below(65536), "ab".repeat(32)));
        }
    }

    /// A chain of up to nine CNAMEs, which may end in a loop.
    fn add_chain(&mut self, random: &mut Random) {
        let length = 1 + random.below(9);
        for link in 0..length {
            self.add(&format!("link{link}"), "CNAME", self.absolute(&format!("link{}", link + 1)));
        }
        let target = if random.percent(30) { self.absolute("link1") } else { self.some_target(random) };
        self.add(&format!("link{length}"), "CNAME", target);
    }

    /// Adds a record unless servers would refuse the zone for it.
    fn add(&mut self, owner: &str, rtype: &'static str, data: String) {
        let records = self.owners.entry(owner.to_owned()).or_default();
        let has = |rtype| records.iter().any(|(other, _)| *other == rtype);
        let refused = match rtype {
            "CNAME" => !records.is_empty(),
            "DNAME" => has("DNAME") || has("NS"),
            "NS" => has("DNAME") || owner.starts_with('*'),
            "DS" => !has("NS"),
            _ => false,
        };
        if !refused && !has("CNAME") && !records.contains(&(rtype, data.clone())) {
            records.push((rtype, data));
        }
    }
}

fn join(label: &str, owner: &str) -> String {
    if owner.is_empty() { label.to_owned() } else { format!("{label}.{owner}") }
}
