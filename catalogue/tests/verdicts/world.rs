//! A random catalogue, what was asked, and what was observed.

use super::random::Random;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use zonepulse_catalogue::protection::{Data, Override, Rules};
use zonepulse_catalogue::references::References;
use zonepulse_catalogue::set::Entry;
use zonepulse_catalogue::usage::{Asked, History, Usage};
use zonepulse_catalogue::verdict::{Created, Facts, Inputs, Missing, ServerObservation, Verdicts, Why, Window, ZoneObservation};
use zonepulse_catalogue::zone::Builder;
use zonepulse_catalogue::{Name, Record, Slot, ZoneSet};
use zonepulse_dns::RecordType;

const NOW_MS: i64 = 1_795_000_000_000;
const DAY_MS: i64 = 86_400_000;
const CHANGE_MS: i64 = NOW_MS - 12 * DAY_MS;
const SERVERS: u32 = 4;

/// A zone and its older version, if that differs.
struct ZoneOf {
    view: u32,
    apex: &'static str,
    servers: Vec<u32>,
    others_serve_it: bool,
    others_waived: bool,
    records: Vec<Record>,
    older: Option<Vec<Record>>,
}

struct Query {
    time_ms: i64,
    server: u32,
    name: Name,
    rtype: RecordType,
}

struct Gap {
    zone: Option<usize>,
    server: u32,
    from_ms: i64,
    to_ms: i64,
}

/// An RRset by zone, owner and type.
type Key = (usize, Name, RecordType);

pub struct World {
    window: Window,
    zones: Vec<ZoneOf>,
    queries: Vec<Query>,
    reported: Vec<Option<i64>>,
    gaps: Vec<Gap>,
    facts: BTreeMap<Key, Facts>,
    overrides: BTreeMap<Key, bool>,
    rules: Rules,
}

const ZONES: [(u32, &str); 7] = [
    (0, "example."),
    (0, "sub.example."),
    (0, "other.test."),
    (1, "example."),
    (0, "2.0.192.in-addr.arpa."),
    (1, "deep.sub.example."),
    (0, "empty.test."),
];

fn rtype(text: &str) -> RecordType {
    text.parse().unwrap()
}

fn name(text: &str) -> Name {
    Name::from_text(text).unwrap()
}

impl World {
    pub fn new(seed: u64, size: usize) -> World {
        let mut random = Random(seed);
        let random = &mut random;
        let length_ms = random.pick(&[10, 20, 40, 90]) * DAY_MS;
        let window = Window { grace_ms: random.pick(&[1, 7]) * DAY_MS, ..Window::new(NOW_MS, length_ms) };
        let labels = 6 + size / 25;
        let zones: Vec<_> = ZONES.iter().map(|(view, apex)| zone(random, *view, apex, size, labels)).collect();
        let mut world = World {
            window,
            zones,
            queries: vec![],
            reported: vec![],
            gaps: vec![],
            facts: BTreeMap::new(),
            overrides: BTreeMap::new(),
            rules: Rules::default(),
        };
        world.queries = (0..size).map(|_| world.query(random, labels)).collect();
        for _ in 0..SERVERS {
            let ago = random.pick(&[0, 1000, 60_000, 60_000, 60_000, 300_000]);
            let ago = if random.chance(5) { DAY_MS } else { ago };
            world.reported.push((!random.chance(3)).then_some(NOW_MS - ago));
        }
        for _ in 0..random.below(4) {
            let from_ms = NOW_MS - random.below(100) as i64 * DAY_MS - random.below(5000) as i64;
            let to_ms = from_ms + random.below(3) as i64 * 7_000_000 + 1;
            let zone = random.chance(70).then(|| random.below(ZONES.len()));
            world.gaps.push(Gap { zone, server: random.below(SERVERS as usize) as u32, from_ms, to_ms });
        }
        for key in world.keys() {
            if random.chance(15) {
                let created_ms = NOW_MS - random.below(60) as i64 * DAY_MS - random.below(2) as i64;
                let created = if random.chance(80) { Created::At(created_ms) } else { Created::Before };
                let largest_ttl = random.pick(&[0, 0, 86_400, 900_000]);
                world.facts.insert(key.clone(), Facts { created, largest_ttl });
            }
            if random.chance(3) {
                world.overrides.insert(key, random.chance(50));
            }
        }
        world
    }

    fn keys(&self) -> BTreeSet<Key> {
        let zones = self.zones.iter().enumerate();
        zones.flat_map(|(at, zone)| zone.records.iter().map(move |r| (at, r.owner.clone(), r.rtype))).collect()
    }

    fn query(&self, random: &mut Random, labels: usize) -> Query {
        let zone = &self.zones[random.below(self.zones.len())];
        let (mut owner, mut rtype) = match zone.records.is_empty() || random.chance(40) {
            true => (owner(random, zone.apex, labels), rtype(random.pick(&["A", "AAAA", "TXT", "MX"]))),
            false => {
                let record = &zone.records[random.below(zone.records.len())];
                (record.owner.clone(), record.rtype)
            }
        };
        if random.chance(40) {
            rtype = self::rtype(random.pick(&["A", "A", "AAAA", "DS", "NS", "CNAME", "SRV", "TXT", "SOA"]));
        }
        if random.chance(2) {
            rtype = self::rtype(random.pick(&["ANY", "ANY", "AXFR", "MAILB"]));
        }
        if random.chance(20) {
            owner = owner.below(random.pick(&["a", "b", "*", "x"]).as_bytes()).unwrap_or(owner);
        }
        let time_ms = NOW_MS - random.below(120) as i64 * DAY_MS - random.below(DAY_MS as usize) as i64;
        Query { time_ms, server: random.below(SERVERS as usize + 1) as u32, name: owner, rtype }
    }

    /// Our verdicts: "verdict, quiet, referrer, last use" by "view, zone, owner, type".
    pub fn verdicts(&self) -> BTreeMap<String, String> {
        let newest = Arc::new(self.set(|zone| &zone.records));
        let mut history = History::new(Arc::new(self.set(|zone| zone.older.as_ref().unwrap_or(&zone.records))));
        history.push(CHANGE_MS, newest.clone());
        let mut usage = Usage::new(newest.len());
        let mut records = BTreeMap::new();
        for query in &self.queries {
            let next = records.len() as u32;
            let question = (query.name.clone(), query.rtype);
            let record = *records.entry(question.clone()).or_insert(next);
            let (first_ms, last_ms) = (query.time_ms, query.time_ms);
            let asked = Asked { record, server: query.server, first_ms, last_ms, hits: 1 };
            history.add(&mut usage, &asked, &|| Some(question.clone()));
        }
        let references = References::new(&newest);
        let slot = |key: &Key| newest.find(zonepulse_catalogue::ZoneIndex(key.0 as u32), &key.1, key.2);
        let decide = |protect: &bool| if *protect { Override::Protect("kept".into()) } else { Override::Allow };
        let overrides = self.overrides.iter().map(|(key, protect)| (slot(key).unwrap(), decide(protect))).collect();
        let protected = self.rules.protect(&newest, overrides);
        let mut facts = vec![Facts::default(); newest.len()];
        self.facts.iter().for_each(|(key, fact)| facts[slot(key).unwrap().at()] = *fact);
        let observation: Vec<_> = (0..self.zones.len()).map(|at| self.observation(at)).collect();
        let inputs = Inputs {
            zones: &newest,
            references: &references,
            protected: &protected,
            usage: &usage,
            facts: &facts,
            observation: &observation,
            window: self.window,
        };
        let verdicts = Verdicts::new(&inputs);
        let all: Vec<Slot> = (0..newest.len() as u32).filter_map(Slot::new).collect();
        all.into_iter().map(|slot| self.row(&inputs, &verdicts, slot)).collect()
    }

    fn row(&self, inputs: &Inputs<'_>, verdicts: &Verdicts, slot: Slot) -> (String, String) {
        let (zone, rrset) = inputs.zones.locate(slot).unwrap();
        let ZoneOf { view, apex, .. } = self.zones[zone.0 as usize];
        let verdict = verdicts.verdict(slot).unwrap();
        let reasons = verdicts.reasons(inputs, slot);
        assert!(reasons.len() >= 3, "every verdict has a reason: {verdict} {reasons:?}");
        assert!(reasons.iter().all(|reason| !reason.text(NOW_MS).is_empty()), "{reasons:?}");
        let referrer = reasons.iter().find_map(|reason| match reason {
            zonepulse_catalogue::verdict::Reason::Referred { by, .. } => Some(format!("{} {}", by.0, by.1)),
            _ => None,
        });
        let last = inputs.usage.get(slot).map_or("-".to_owned(), |used| used.last_ms.to_string());
        let quiet = verdicts.quiet_for_s(slot).unwrap();
        let key = format!("{view}\t{apex}\t{}\t{}", rrset.owner(), rrset.rtype());
        (key, format!("{verdict}\t{quiet}\t{}\t{last}", referrer.unwrap_or("-".into())))
    }

    fn set<'a>(&'a self, records: impl Fn(&'a ZoneOf) -> &'a Vec<Record>) -> ZoneSet {
        let entry = |zone: &'a ZoneOf| {
            let mut builder = Builder::new(name(zone.apex));
            records(zone).iter().for_each(|record| builder.add(record.clone()).unwrap());
            Entry { zone: Arc::new(builder.finish().unwrap()), view: zone.view, servers: zone.servers.clone() }
        };
        ZoneSet::new(self.zones.iter().map(entry).collect())
    }

    fn observation(&self, at: usize) -> ZoneObservation {
        let zone = &self.zones[at];
        let server = |server: &u32| {
            let gaps = self.gaps.iter().filter(|gap| gap.server == *server && gap.zone.is_none_or(|zone| zone == at));
            let missing = gaps.map(|gap| Missing { from_ms: gap.from_ms, to_ms: gap.to_ms, why: Why::KernelDrop });
            ServerObservation {
                name: format!("ns{server}"),
                missing: missing.collect(),
                reported_until_ms: self.reported[*server as usize],
            }
        };
        ZoneObservation {
            servers: zone.servers.iter().map(server).collect(),
            others_serve_it: zone.others_serve_it,
            others_waived: zone.others_waived,
        }
    }

    /// Writes the files of `verdicts_oracle.py`.
    pub fn write(&self, folder: &Path) {
        let mut files: BTreeMap<&str, String> = BTreeMap::new();
        let mut line = |file, text: String| writeln!(files.entry(file).or_default(), "{text}").unwrap();
        for (at, zone) in self.zones.iter().enumerate() {
            let versions = [(0, zone.older.as_ref().unwrap_or(&zone.records)), (CHANGE_MS, &zone.records)];
            for (from_ms, records) in versions {
                let file = format!("{at}-{from_ms}.zone");
                std::fs::write(folder.join(&file), zone_file(records)).unwrap();
                let servers: Vec<_> = zone.servers.iter().map(|server| format!("ns{server}")).collect();
                let servers = if servers.is_empty() { "-".to_owned() } else { servers.join(",") };
                let (view, apex, others, waived) = (zone.view, zone.apex, zone.others_serve_it, zone.others_waived);
                let (others, waived) = (u8::from(others), u8::from(waived));
                line("zones.tsv", format!("{from_ms}\t{view}\t{apex}\t{file}\t{servers}\t{others}\t{waived}"));
            }
        }
        for Query { time_ms, server, name, rtype } in &self.queries {
            line("queries.tsv", format!("{time_ms}\tns{server}\t{name}\t{rtype}"));
        }
        let dash = |number: Option<i64>| number.map_or("-".to_owned(), |number| number.to_string());
        for (server, until) in self.reported.iter().enumerate() {
            line("servers.tsv", format!("ns{server}\t{}", dash(*until)));
        }
        let zone = |at: usize| format!("{}\t{}", self.zones[at].view, self.zones[at].apex);
        for Gap { zone: at, server, from_ms, to_ms } in &self.gaps {
            line("missing.tsv", format!("{}\tns{server}\t{from_ms}\t{to_ms}", at.map_or("-\t-".to_owned(), zone)));
        }
        for ((at, owner, rtype), Facts { created, largest_ttl }) in &self.facts {
            let created = match created {
                Created::At(created_ms) => Some(*created_ms),
                Created::Before => None,
            };
            line("facts.tsv", format!("{}\t{owner}\t{rtype}\t{}\t{largest_ttl}", zone(*at), dash(created)));
        }
        for ((at, owner, rtype), protect) in &self.overrides {
            let word = if *protect { "protect" } else { "allow" };
            line("overrides.tsv", format!("{}\t{owner}\t{rtype}\t{word}", zone(*at)));
        }
        for rule in self.rules.iter() {
            let types: Vec<_> = rule.types.iter().map(ToString::to_string).collect();
            let data = match &rule.data {
                Data::Any => String::new(),
                Data::Text(text) => format!("text:{text}"),
                Data::Target(name) => format!("target:{name}"),
                Data::Nothing => "nothing".to_owned(),
            };
            line("rules.tsv", format!("{}\t{}\t{data}", rule.owner, types.join(" ")));
        }
        let Window { now_ms, length_ms, grace_ms, margin_ms, ttl_cap_s, lag_ms } = self.window;
        line("window.tsv", format!("now_ms\t{now_ms}\nlength_ms\t{length_ms}\ngrace_ms\t{grace_ms}"));
        line("window.tsv", format!("margin_ms\t{margin_ms}\nttl_cap_s\t{ttl_cap_s}\nlag_ms\t{lag_ms}"));
        files.iter().for_each(|(file, text)| std::fs::write(folder.join(file), text).unwrap());
    }
}

/// The records in the format of RFC 3597, in which no reader has to know a type.
fn zone_file(records: &[Record]) -> String {
    let mut text = String::new();
    for Record { owner, rtype, ttl, rdata } in records {
        let hex: String = rdata.iter().map(|octet| format!("{octet:02x}")).collect();
        writeln!(text, "{owner} {ttl} IN {rtype} \\# {} {hex}", rdata.len()).unwrap();
    }
    text
}

fn zone(random: &mut Random, view: u32, apex: &'static str, size: usize, labels: usize) -> ZoneOf {
    let mut records = vec![];
    let mut taken: BTreeMap<Name, RecordType> = BTreeMap::new();
    let soa = [&b"\0\0"[..], &[0; 20]].concat();
    let mut add = |records: &mut Vec<Record>, owner: Name, kind: &str, ttl: u32, rdata: Vec<u8>| {
        // A CNAME tolerates no other type, and a DNAME no other record (RFC 2181 section 10.1, RFC 6672 section 2.4).
        let rtype = rtype(kind);
        let known = taken.get(&owner).copied();
        let alone = ["CNAME", "DNAME"].contains(&kind);
        if known.is_none_or(|known| known != self::rtype("CNAME") && !alone) && (!alone || owner != name(apex)) {
            taken.entry(owner.clone()).or_insert(rtype);
            let known = records.iter().find(|other| other.owner == owner && other.rtype == rtype).map(|other| other.ttl);
            let record = Record { owner, rtype, ttl: known.unwrap_or(ttl), rdata: rdata.into() };
            if !records.contains(&record) {
                records.push(record);
            }
        }
    };
    add(&mut records, name(apex), "SOA", 3600, soa);
    add(&mut records, name(apex), "NS", 3600, owner(random, apex, labels).wire().to_vec());
    add(&mut records, name(apex), "NS", 3600, owner(random, ZONES[2].1, labels).wire().to_vec());
    let share = if apex == "example." { 3 } else { 6 };
    for _ in 0..if apex == "empty.test." { 0 } else { size / share } {
        let kind = random.pick(&[
            "A", "A", "A", "A", "AAAA", "AAAA", "CNAME", "CNAME", "CNAME", "MX", "MX", "SRV", "NS", "DNAME", "TXT", "TXT", "PTR",
            "HTTPS", "NAPTR", "DS", "CAA", "HINFO",
        ]);
        let kind = if ["NS", "DNAME", "DS"].contains(&kind) && random.chance(60) { "A" } else { kind };
        let mut host = owner(random, apex, labels);
        if random.chance(5) {
            host = name(apex);
        }
        let ttl = random.pick(&[0, 60, 3600, 86_400, 604_800, 1_209_600]);
        let rdata = rdata(random, kind, labels);
        add(&mut records, host, kind, ttl, rdata);
    }
    let older = random.chance(50).then(|| {
        let mut older: Vec<_> = records.iter().filter(|_| !random.chance(10)).cloned().collect();
        for _ in 0..size / 20 {
            let mut record = records[random.below(records.len())].clone();
            record.owner = owner(random, apex, labels);
            let tolerates = |other: &Record| other.owner != record.owner || (other.rtype == record.rtype);
            if older.iter().all(tolerates) && !["SOA", "CNAME", "DNAME"].contains(&&*record.rtype.to_string()) {
                older.retain(|other| other.owner != record.owner);
                older.push(record);
            }
        }
        older
    });
    let servers = (0..SERVERS).filter(|_| random.chance(50)).collect();
    let (others_serve_it, others_waived) = (random.chance(15), random.chance(50));
    ZoneOf { view, apex, servers, others_serve_it, others_waived, records, older }
}

fn owner(random: &mut Random, apex: &str, labels: usize) -> Name {
    const SPECIAL: [&str; 9] = [
        "_dmarc",
        "_acme-challenge",
        "k1._domainkey",
        "autodiscover",
        "_x._msdcs",
        "a.wpad",
        "_ldap._tcp",
        "mta-sts",
        "_a-challenge",
    ];
    let host = random.below(labels);
    let text = match random.below(20) {
        0 => format!("*.{apex}"),
        1 => format!("*.h{host}.{apex}"),
        2..6 => format!("{}.h{host}.{apex}", random.pick(&["a", "b", "c"])),
        6 => format!("a.b.h{host}.{apex}"),
        7 => format!("{}.{apex}", random.pick(&SPECIAL)),
        8 if apex == "example." => format!("{}.example.", random.pick(&["sub", "deep.sub", "a.sub", "h1.sub"])),
        _ => format!("h{host}.{apex}"),
    };
    name(&text)
}

fn rdata(random: &mut Random, kind: &str, labels: usize) -> Vec<u8> {
    const TEXTS: [&str; 7] =
        ["hello", "v=spf1 -all", "V=SPF1", "MS=ms1", "google-site-verification=x", "some-verification=y", "a verify="];
    let target = |random: &mut Random| {
        let (_, apex) = random.pick(&ZONES);
        match random.below(20) {
            0 => name(apex),
            1 => name("elsewhere.invalid."),
            2 => Name::root(),
            _ => owner(random, apex, labels),
        }
    };
    let after = |prefix: &[u8], random: &mut Random| [prefix, target(random).wire()].concat();
    match kind {
        "A" => vec![192, 0, 2, random.below(250) as u8],
        "AAAA" => (0..16).map(|_| random.below(256) as u8).collect(),
        "CNAME" | "NS" | "PTR" => after(&[], random),
        // A DNAME that leads to a whole zone would make almost everything needed.
        "DNAME" if random.chance(20) => after(&[], random),
        "DNAME" => {
            let (_, apex) = ZONES[random.below(3)];
            owner(random, apex, labels).wire().to_vec()
        }
        "MX" => after(&[0, 10], random),
        "SRV" => after(&[0, 0, 0, 0, 0, 80], random),
        "HTTPS" => after(&[0, random.below(2) as u8], random),
        "NAPTR" => {
            let flags: &[u8] = random.pick(&[&b"\x01S"[..], b"\x01a", b"\x01U", b"\0", b"\x01P"]);
            let prefix = [&[0, 1, 0, 1], flags, b"\x03SIP\0"].concat();
            after(&prefix, random)
        }
        "TXT" => {
            let text = random.pick(&TEXTS);
            [&[text.len() as u8], text.as_bytes()].concat()
        }
        "DS" => [&[0, 1, 8, 2][..], &[7; 32]].concat(),
        "CAA" => b"\0\x05issueexample.org".to_vec(),
        _ => b"\x01a\x01b".to_vec(),
    }
}
