//! A zone with everything that leads from one record to another, and what is asked of it.

use super::APEX;
use std::fmt::Write;

/// A zone, and what is asked. The same for the same number of records.
pub(super) struct World {
    /// The zone file.
    pub first: String,
    /// What a later version adds to it.
    pub later: String,
    /// Number of RRsets in `later`.
    pub added: u64,
    /// Their owners and types.
    pub created: Vec<(String, &'static str)>,
    /// Queries before the window begins, as lines for dnsperf.
    pub before: Vec<String>,
    /// Queries within the window.
    pub within: Vec<String>,
    /// Queries for names that are asked in the flood only.
    pub during: Vec<String>,
    random: u64,
    /// The TTL of the records being made.
    ttl: u32,
    /// Number of hosts.
    hosts: usize,
    /// Number of DNAMEs.
    dnames: usize,
    /// Names to which an alias may lead, and which are answered from other names.
    indirect: Vec<String>,
    records: usize,
}

impl World {
    pub fn new(records: usize) -> Self {
        let mut world = World {
            first: format!("$ORIGIN {APEX}\n$TTL 1\n@ SOA h0 hostmaster 1 7200 900 1209600 1\n@ NS h0\n@ NS h1\n"),
            later: String::new(),
            added: 0,
            created: Vec::new(),
            before: Vec::new(),
            within: Vec::new(),
            during: Vec::new(),
            random: 1,
            ttl: 1,
            hosts: records * 2 / 5,
            dnames: 0,
            indirect: Vec::new(),
            records: 3,
        };
        (0..world.hosts).for_each(|n| world.host(n));
        for n in 0.. {
            if world.records >= records {
                break;
            }
            // A resolver may still answer from its cache what has a long TTL.
            world.ttl = if world.below(100) < 3 { 3600 } else { 1 };
            match world.below(100) {
                0..30 => world.alias(n),
                30..45 => world.mail(n),
                45..52 => world.service(n),
                // Each may concern the whole zone, which costs the Python program time.
                52..55 if world.dnames < 100 => world.subtree(n),
                55..68 => world.cut(n),
                68..82 => world.wildcard(n),
                _ => world.text(n),
            }
            world.ttl = 1;
            if n.is_multiple_of(10) {
                world.ask(&format!("nothing{n}"), "A");
            }
            if n.is_multiple_of(20) {
                world.new_record(n);
            }
        }
        world
    }

    /// The later version of the zone.
    pub fn second(&self) -> String {
        format!("{}{}", self.first, self.later)
    }

    /// Number of queries before the flood.
    pub fn asked(&self) -> usize {
        self.before.len() + self.within.len()
    }

    /// This many random names, and between them those that exist.
    pub fn flood(&self, names: usize) -> Vec<String> {
        let every = (names / self.during.len().max(1)).max(1);
        let mut during = self.during.iter();
        let mut questions = Vec::with_capacity(names + self.during.len());
        for number in 0..names {
            questions.push(format!("{:012x}.{APEX} A", (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16));
            if number % every == 0 {
                questions.extend(during.next().cloned());
            }
        }
        questions.extend(during.cloned());
        questions
    }

    /// SplitMix64.
    fn below(&mut self, end: usize) -> usize {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end.max(1) as u64) as usize
    }

    fn add(&mut self, owner: &str, data: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.first, "{owner} {} {data}", self.ttl);
        self.records += 1;
    }

    /// Adds an RRset of one record to the later version only.
    fn add_later(&mut self, owner: &str, rtype: &'static str, data: &str) {
        let _ = writeln!(self.later, "{owner} 1 {rtype} {data}");
        self.created.push((owner.to_owned(), rtype));
        self.added += 1;
    }

    /// Asks a question at some time, or not at all.
    fn ask(&mut self, name: &str, rtype: &str) {
        let name = if self.below(20) == 0 { name.to_uppercase() } else { name.to_owned() };
        let question = format!("{name}.{APEX} {rtype}");
        let at = self.below(100);
        if at < 20 {
            self.before.push(question.clone());
        }
        match at {
            // Some before the window and within it.
            15..32 => self.within.push(question),
            32..38 => self.during.push(question),
            _ => {}
        }
    }

    fn some_host(&mut self) -> String {
        format!("h{}", self.below(self.hosts))
    }

    /// Where an alias leads: mostly to a host.
    fn target(&mut self) -> String {
        match self.below(20) {
            0 => "www.elsewhere.invalid.".to_owned(),
            1 => "gone".to_owned(),
            2..7 if !self.indirect.is_empty() => {
                let at = self.below(self.indirect.len());
                self.indirect[at].clone()
            }
            _ => self.some_host(),
        }
    }

    fn host(&mut self, n: usize) {
        let owner = format!("h{n}");
        self.add(&owner, &format!("A 192.0.2.{}", n % 250));
        self.ask(&owner, "A");
        if n.is_multiple_of(7) {
            // Several values are one RRset.
            self.add(&owner, &format!("A 198.51.100.{}", n % 250));
        }
        if n.is_multiple_of(5) {
            self.add(&owner, &format!("AAAA 2001:db8::{:x}", n % 65_536));
        }
        self.ask(&owner, "AAAA");
        if n.is_multiple_of(50) {
            self.ask(&owner, "ANY");
        }
    }

    fn alias(&mut self, n: usize) {
        let (owner, target) = (format!("c{n}"), self.target());
        self.add(&owner, &format!("CNAME {target}"));
        self.ask(&owner, "A");
        self.ask(&owner, ["AAAA", "CNAME", "TXT"][n % 3]);
        self.indirect.push(owner);
    }

    fn mail(&mut self, n: usize) {
        let owner = format!("m{n}");
        match n % 10 {
            0 => self.add(&owner, "MX 0 ."),
            at => {
                let [first, second] = [self.target(), self.some_host()];
                self.add(&owner, &format!("MX 10 {first}"));
                if at < 4 && first != second {
                    self.add(&owner, &format!("MX 20 {second}"));
                }
            }
        }
        self.ask(&owner, "MX");
        self.ask(&owner, "A");
    }

    fn service(&mut self, n: usize) {
        let (owner, target) = (format!("_http._tcp.s{n}"), self.some_host());
        self.add(&owner, &format!("SRV 0 0 80 {target}"));
        self.ask(&owner, "SRV");
    }

    fn subtree(&mut self, n: usize) {
        let (owner, target) = (format!("d{n}"), format!("t{n}"));
        self.add(&owner, &format!("DNAME {target}"));
        self.add(&target, "TXT \"moved\"");
        for host in ["a", "b"] {
            self.add(&format!("{host}.{target}"), &format!("A 192.0.2.{}", n % 250));
            self.ask(&format!("{host}.{owner}"), "A");
            self.ask(&format!("{host}.{target}"), "A");
        }
        self.ask(&format!("nothing.{owner}"), "A");
        self.ask(&owner, "DNAME");
        self.indirect.push(format!("a.{owner}"));
        self.dnames += 1;
    }

    fn cut(&mut self, n: usize) {
        let owner = format!("z{n}");
        match self.below(10) {
            0 => self.add(&owner, "NS ns.elsewhere.invalid."),
            1..3 => {
                let host = self.some_host();
                self.add(&owner, &format!("NS {host}"));
            }
            glue => {
                self.add(&owner, &format!("NS ns.{owner}"));
                self.add(&format!("ns.{owner}"), &format!("A 192.0.2.{}", n % 250));
                if glue < 6 {
                    self.add(&format!("ns.{owner}"), &format!("AAAA 2001:db8::{:x}", n % 65_536));
                }
            }
        }
        if n.is_multiple_of(3) {
            self.add(&owner, &format!("DS {} 8 2 {}", n % 65_536, "ab".repeat(32)));
        }
        if n.is_multiple_of(4) {
            // Servers never answer with it.
            self.add(&format!("www.{owner}"), "A 192.0.2.1");
        }
        self.ask(&format!("www.{owner}"), "A");
        self.ask(&format!("deep.www.{owner}"), "AAAA");
        self.ask(&owner, ["DS", "NS"][n % 2]);
        self.indirect.push(format!("www.{owner}"));
    }

    fn wildcard(&mut self, n: usize) {
        let owner = format!("*.w{n}");
        match n % 5 {
            0 => {
                let target = self.target();
                self.add(&owner, &format!("CNAME {target}"));
            }
            _ => self.add(&owner, &format!("A 192.0.2.{}", n % 250)),
        }
        if n % 5 == 1 {
            self.add(&owner, "TXT \"any\"");
        }
        if n.is_multiple_of(2) {
            self.add(&format!("own.w{n}"), "A 192.0.2.1");
        }
        if n.is_multiple_of(3) {
            // What the wildcard answers at first has a record of its own later.
            self.add_later(&format!("later.w{n}"), "A", "192.0.2.1");
        }
        for name in ["some", "own", "later", "a.b", "*"] {
            self.ask(&format!("{name}.w{n}"), if name == "a.b" { "TXT" } else { "A" });
        }
        self.indirect.push(format!("some.w{n}"));
    }

    fn text(&mut self, n: usize) {
        let owner = format!("u{n}");
        match n % 6 {
            0 => self.add(&owner, "TXT \"v=spf1 -all\""),
            1 => self.add(&owner, "CAA 0 issue \"ca.example\""),
            2 => self.add(&format!("_dmarc.{owner}"), "TXT \"v=DMARC1; p=none\""),
            _ => self.add(&owner, &format!("TXT \"text {n}\"")),
        }
        self.ask(&owner, "TXT");
    }

    /// A record that exists only in the later version, and nobody asks for before.
    fn new_record(&mut self, n: usize) {
        let owner = format!("new{n}");
        if n.is_multiple_of(3) {
            let host = self.some_host();
            self.add_later(&owner, "CNAME", &host);
        } else {
            self.add_later(&owner, "A", "192.0.2.1");
        }
        match self.below(4) {
            0 => self.within.push(format!("{owner}.{APEX} A")),
            1 => self.during.push(format!("{owner}.{APEX} A")),
            _ => {}
        }
    }
}
