//! Zones that servers load and update, in which data says where it comes from.

use super::generate::Random;
use super::name;
use zonepulse_catalogue::{Name, Record};
use zonepulse_dns::RecordType;

/// One of several.
pub fn pick<'a, T>(random: &mut Random, all: &'a [T]) -> &'a T {
    &all[random.below(all.len())]
}

pub fn one_in(random: &mut Random, count: usize) -> bool {
    random.below(count) == 0
}

pub fn record(owner: &Name, rtype: u16, ttl: u32, rdata: Vec<u8>) -> Record {
    Record { owner: owner.clone(), rtype: RecordType::new(rtype), ttl, rdata: rdata.into() }
}

/// A zone "example." that servers load: wildcards, empty non-terminals, delegations with glue and occluded data, chains of
/// CNAMEs, and DNAMEs. RDATA of types A, AAAA and TXT is unique, so that it says which RRset an answer came from.
pub struct Generator {
    random: Random,
    records: Vec<Record>,
    number: u32,
    /// Owners of DNAMEs, below which no record may be (RFC 6672 section 2.4).
    closed: Vec<Name>,
}

impl Generator {
    pub fn generate(seed: u64, names: usize) -> Vec<Record> {
        let mut generator = Generator { random: Random(seed), records: Vec::new(), number: 0, closed: Vec::new() };
        generator.apex();
        let mut owners = vec![name("example.")];
        for _ in 0..names {
            let owner = generator.owner(&owners);
            if owners.contains(&owner) || generator.closed.iter().any(|dname| owner.is_at_or_below(dname)) {
                continue;
            }
            if !generator.name(&owner, &owners) {
                owners.push(owner);
            }
        }
        generator.records
    }

    fn apex(&mut self) {
        let apex = name("example.");
        let soa = [name("ns.example.").wire(), name("host.example.").wire()].concat();
        let numbers = [1u32, 86400, 900, 864000, 300].iter().flat_map(|number| number.to_be_bytes());
        self.add(&apex, 6, [soa, numbers.collect()].concat());
        self.add(&apex, 2, name("ns.example.").wire().to_vec());
        self.unique(&name("ns.example."), 1);
    }

    /// A name below one that there is, by one to three labels.
    fn owner(&mut self, owners: &[Name]) -> Name {
        let mut owner = pick(&mut self.random, owners).clone();
        let depth = 1 + self.random.below(12) / 5;
        for left in (0..depth).rev() {
            let label = match self.random.below(6) {
                0 if left == 0 => "*".to_owned(),
                number => format!("{}{}", ["a", "b", "c", "d", "e", "f"][number], self.random.below(8)),
            };
            owner = owner.below(label.as_bytes()).unwrap_or(owner);
        }
        owner
    }

    /// Gives a name its records. True if no names may be added below it.
    fn name(&mut self, owner: &Name, owners: &[Name]) -> bool {
        let wildcard = owner.is_wildcard();
        let target = pick(&mut self.random, owners).wire().to_vec();
        match self.random.below(12) {
            0 | 1 => self.add(owner, 5, target),
            2 => self.add(owner, 5, name("www.elsewhere.").wire().to_vec()),
            3 if !wildcard
                && !owners
                    .iter()
                    .chain(self.records.iter().map(|record| &record.owner))
                    .any(|other| other.is_at_or_below(owner)) =>
            {
                self.add(owner, 39, target);
                self.closed.push(owner.clone());
                if one_in(&mut self.random, 2) {
                    self.unique(owner, 1);
                }
                return true;
            }
            4 | 5 if !wildcard => {
                self.delegation(owner);
                return true;
            }
            6 => {
                self.add(owner, 15, [&[0, 10], &target[..]].concat());
                self.add(owner, 33, [&[0, 1, 0, 1, 0, 80], &target[..]].concat());
            }
            _ => {
                self.unique(owner, 1);
                for rtype in [1, 28, 16] {
                    if one_in(&mut self.random, 3) {
                        self.unique(owner, rtype);
                    }
                }
            }
        }
        false
    }

    fn delegation(&mut self, cut: &Name) {
        let inside = cut.below(b"ns").unwrap();
        self.add(cut, 2, inside.wire().to_vec());
        self.unique(&inside, 1);
        if one_in(&mut self.random, 2) {
            self.unique(&inside, 28);
        }
        if one_in(&mut self.random, 3) {
            self.add(cut, 2, name("ns.elsewhere.").wire().to_vec());
        }
        if one_in(&mut self.random, 3) {
            self.add(cut, 43, vec![0, 1, 13, 2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16].repeat(2)[..36].to_vec());
        }
        if one_in(&mut self.random, 3) {
            self.unique(&cut.below(b"hidden").unwrap().below(b"x").unwrap(), 16);
        }
    }

    /// A record with RDATA that no other has.
    fn unique(&mut self, owner: &Name, rtype: u16) {
        self.number += 1;
        let number = self.number.to_be_bytes();
        let rdata = match rtype {
            1 => [&[10], &number[1..]].concat(),
            28 => [&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0], &number[..]].concat(),
            _ => {
                let text = format!("text {}; \"quoted\" \\ $x", self.number);
                [&[text.len() as u8], text.as_bytes()].concat()
            }
        };
        self.add(owner, rtype, rdata);
    }

    fn add(&mut self, owner: &Name, rtype: u16, rdata: Vec<u8>) {
        // One TTL in an RRset (RFC 2181 section 5.2).
        let ttl = 300 + 60 * u32::from(rtype);
        self.records.push(record(owner, rtype, ttl, rdata));
    }
}
