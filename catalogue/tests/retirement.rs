//! Retirement plans against Knot DNS: the scripts do what they say, and answers change as predicted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use common::generate::Random;
use common::message::{Parsed, Response as Message};
use common::name;
use common::random::{Generator, one_in, pick, record};
use common::server::Knotd;
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::process::{Command, ExitCode, Output, Stdio};
use zonepulse_catalogue::removal::{Outcome, Removal, Response, refusal};
use zonepulse_catalogue::retirement::{Client, Export, Plan, Rrset, Stage, knotc, nsupdate};
use zonepulse_catalogue::zone::Builder;
use zonepulse_catalogue::{Name, Record, RrsetIndex, RrsetRef, Zone};
use zonepulse_dns::RecordType;

type Test = fn() -> Result<(), Failed>;

/// What a plan can be run with.
const TOOLS: [Tool; 3] = [Tool::Nsupdate, Tool::Knsupdate, Tool::Knotc];

fn main() -> ExitCode {
    let tests: [(&str, Test); 7] = [
        ("answers_change_as_predicted", answers_change_as_predicted),
        ("a_plan_goes_through_its_stages_and_back", a_plan_goes_through_its_stages_and_back),
        ("a_changed_zone_stops_the_script", a_changed_zone_stops_the_script),
        ("a_refused_chunk_stops_those_after_it", a_refused_chunk_stops_those_after_it),
        ("a_large_plan_is_applied_as_a_whole_or_not_at_all", a_large_plan_is_applied_as_a_whole_or_not_at_all),
        ("a_low_ttl_is_required_to_be_unchanged", a_low_ttl_is_required_to_be_unchanged),
        ("hostile_records_are_only_data", hostile_records_are_only_data),
    ];
    let missing = ["knotd", "knotc", "kdig", "nsupdate", "knsupdate"].into_iter().find(|program| !is_installed(program));
    let trial = |(name, test): (&str, Test)| {
        Trial::ignorable_test(name, move || match missing {
            Some(program) => Ok(Completion::ignored_with(format!("{program} is not installed"))),
            None => test().map(|()| Completion::Completed),
        })
    };
    libtest_mimic::run(&Arguments::from_args(), tests.into_iter().map(trial).collect()).exit_code()
}

fn is_installed(program: &str) -> bool {
    Command::new(program).arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Tool {
    Nsupdate,
    Knsupdate,
    Knotc,
}

impl Tool {
    fn export(self, plan: &Plan, stage: Stage, server: SocketAddr) -> Export {
        match self {
            Tool::Nsupdate => nsupdate(plan, stage, Client::Nsupdate, Some(server)).unwrap(),
            Tool::Knsupdate => nsupdate(plan, stage, Client::Knsupdate, Some(server)).unwrap(),
            Tool::Knotc => knotc(plan, stage).unwrap(),
        }
    }

    fn run(self, server: &Knotd, script: &str) -> Output {
        match self {
            Tool::Nsupdate => server.update("nsupdate", script),
            Tool::Knsupdate => server.update("knsupdate", script),
            Tool::Knotc => server.shell(script),
        }
    }

    /// Runs a script that must succeed.
    fn must(self, server: &Knotd, script: &str) {
        let output = self.run(server, script);
        assert!(output.status.success(), "{self:?}: {output:?}\n{:.2000}", script);
    }

    /// Runs a script that must fail.
    fn must_not(self, server: &Knotd, script: &str) {
        let output = self.run(server, script);
        assert!(!output.status.success(), "{self:?}: {output:?}\n{:.2000}", script);
    }
}

fn zone(records: &[Record]) -> Zone {
    let mut builder = Builder::new(name("example."));
    records.iter().for_each(|record| builder.add(record.clone()).unwrap());
    builder.finish().unwrap()
}

fn rrset(rrset: RrsetRef<'_>) -> Rrset {
    Rrset {
        resource_id: 0,
        label: None,
        owner: rrset.owner(),
        rtype: rrset.rtype(),
        ttl: rrset.ttl(),
        rdatas: rrset.rdatas().map(Into::into).collect(),
    }
}

fn plan(zone: &Zone, removed: &[RrsetIndex]) -> Plan {
    let rrsets = removed.iter().filter_map(|index| zone.rrset(*index)).map(rrset).collect();
    Plan::new(name("example."), rrsets, 30).unwrap()
}

/// The RRsets that may be removed.
fn removable(zone: &Zone) -> Vec<RrsetIndex> {
    let removable = zone.iter().filter(|rrset| refusal(zone.apex(), &rrset.owner(), rrset.rtype()).is_none());
    removable.map(|rrset| rrset.index()).collect()
}

fn answers_change_as_predicted() -> Result<(), Failed> {
    let removals = std::env::var("ZONEPULSE_TESTS_REMOVALS").map_or(Ok(20), |text| text.parse())?;
    let mut random = Random(2308);
    // A new zone every 50 removals.
    let (mut left, mut seed): (u64, u64) = (removals, 0);
    while left > 0 {
        let count = left.min(50);
        predict_in_one_zone(seed, count, &mut random)?;
        (left, seed) = (left - count, seed + 1);
    }
    Ok(())
}

fn predict_in_one_zone(seed: u64, removals: u64, random: &mut Random) -> Result<(), Failed> {
    let records = Generator::generate(seed, 250);
    let zone = zone(&records);
    let server = Knotd::start(&records)?;
    let first = server.transfer();
    let sources = Sources::new(&zone);
    for number in 0..removals {
        let removed = choose(&zone, random);
        let removal = Removal::new(&zone, removed.iter().copied());
        let queries: Vec<_> = (0..20).map(|_| query(&zone, &removed, random)).collect();
        let tool = if number % 2 == 0 { Tool::Nsupdate } else { Tool::Knsupdate };
        let export = tool.export(&plan(&zone, &removed), Stage::Removed, server.address);
        let check = |after: bool| {
            for (owner, rtype) in &queries {
                let (was, is) = removal.predict(owner, *rtype);
                let (predicted, message) = (if after { is } else { was }, server.ask(owner, *rtype));
                let seen = sources.seen(&message);
                if seen != short(&predicted) {
                    let removed: Vec<_> = removed.iter().filter_map(|index| zone.rrset(*index)).collect();
                    return Err(format!(
                        "zone {seed}, {owner} {rtype}, after: {after}: {predicted:?}, but {seen:?} in {message:?}, without {removed:?}"
                    ));
                }
            }
            Ok(())
        };
        check(false)?;
        tool.must(&server, &export.apply);
        check(true)?;
        tool.must(&server, &export.undo);
        assert_eq!(server.transfer(), first, "{}", export.undo);
    }
    Ok(())
}

/// RCODE, answering name, and whether it is a referral.
type Short = (u16, Option<Name>, bool);

fn short(outcome: &Outcome) -> Short {
    (outcome.rcode.value(), outcome.answered_by.clone(), outcome.response == Response::Referral)
}

/// Which RRset a record in a message comes from.
struct Sources {
    owners: HashMap<(u16, Vec<u8>), Vec<Name>>,
}

impl Sources {
    fn new(zone: &Zone) -> Self {
        let mut owners: HashMap<_, Vec<Name>> = HashMap::new();
        for rrset in zone.iter() {
            for rdata in rrset.rdatas() {
                owners.entry((rrset.rtype().value(), rdata.to_vec())).or_default().push(rrset.owner());
            }
        }
        Sources { owners }
    }

    fn seen(&self, message: &Message) -> Short {
        let cut = message.authority.iter().find(|record| record.1 == 2);
        let from = match (cut, &message.answer[..]) {
            (Some(cut), _) => Some(cut.0.clone()),
            (None, []) => None,
            (None, [.., dname, last]) if is_synthesised(dname, last) => Some(dname.0.clone()),
            (None, [.., last]) => Some(self.source(last)),
        };
        (message.rcode, from, cut.is_some())
    }

    /// The owner in the zone: the record's own, or the wildcard that has the same data.
    fn source(&self, record: &Parsed) -> Name {
        let (name, rtype, _, rdata) = record;
        let owners = self.owners.get(&(*rtype, rdata.clone())).map(Vec::as_slice).unwrap_or_default();
        let matches = |owner: &&Name| owner.is_wildcard() && owner.parent().is_some_and(|parent| name.is_at_or_below(&parent));
        let own = owners.iter().find(|owner| *owner == name);
        let deepest = || owners.iter().filter(matches).max_by_key(|owner| owner.label_count());
        own.or_else(deepest).unwrap_or_else(|| panic!("{record:?} is not from the zone")).clone()
    }
}

fn is_synthesised(dname: &Parsed, cname: &Parsed) -> bool {
    dname.1 == 39 && cname.1 == 5 && cname.0.is_at_or_below(&dname.0)
}

/// A set of RRsets: some at random, or the whole of a subtree, or all of some names.
fn choose(zone: &Zone, random: &mut Random) -> Vec<RrsetIndex> {
    let all = removable(zone);
    let some = zone.rrset(*pick(random, &all)).unwrap().owner();
    let most = if one_in(random, 8) { 200 } else { 12 };
    let count = 1 + random.below(most);
    let mut removed: Vec<_> = match random.below(4) {
        0 => {
            let top = some.parent().filter(|parent| parent != zone.apex() && one_in(random, 2)).unwrap_or(some);
            zone.at(&top).chain(zone.below(&top)).map(|rrset| rrset.index()).collect()
        }
        1 => {
            let owners: Vec<_> = (0..count).map(|_| zone.rrset(*pick(random, &all)).unwrap().owner()).collect();
            owners.iter().flat_map(|owner| zone.at(owner)).map(|rrset| rrset.index()).collect()
        }
        2 => {
            let cuts = [2, 39, 5].map(RecordType::new);
            let special = all.iter().filter(|index| cuts.contains(&zone.rrset(**index).unwrap().rtype()));
            special.copied().filter(|_| one_in(random, 4)).chain([all[0]]).collect()
        }
        _ => (0..count).map(|_| *pick(random, &all)).collect(),
    };
    removed.retain(|index| all.contains(index));
    removed.sort_unstable();
    removed.dedup();
    removed
}

/// A query that has something to do with what is removed, mostly.
fn query(zone: &Zone, removed: &[RrsetIndex], random: &mut Random) -> (Name, RecordType) {
    let all = removable(zone);
    let index = if removed.is_empty() || one_in(random, 6) { *pick(random, &all) } else { *pick(random, removed) };
    let rrset = zone.rrset(index).unwrap();
    let owner = rrset.owner();
    let parent = owner.parent().filter(|parent| parent.is_at_or_below(zone.apex())).unwrap_or_else(|| owner.clone());
    let below = |name: &Name, label: &str| name.below(label.as_bytes()).unwrap_or_else(|| name.clone());
    let name = match random.below(8) {
        0 => parent,
        1 => below(&owner, "nothing"),
        2 => below(&parent, "nothing"),
        3 => below(&below(&parent, "nothing"), "deep"),
        4 => below(&owner, "ns"),
        5 => below(&parent, "a1"),
        _ => owner,
    };
    let types = [rrset.rtype(), RecordType::A, *pick(random, &[1, 2, 5, 15, 16, 28, 33, 43].map(RecordType::new))];
    (name, *pick(random, &types))
}

fn a_plan_goes_through_its_stages_and_back() -> Result<(), Failed> {
    let records = Generator::generate(7, 250);
    let zone = zone(&records);
    let server = Knotd::start(&records)?;
    let first = server.transfer();
    for tool in TOOLS {
        // The script for knotc starts a process per value.
        let step = if tool == Tool::Knotc { 14 } else { 2 };
        let plan = plan(&zone, &removable(&zone).into_iter().step_by(step).collect::<Vec<_>>());
        let export = |stage| tool.export(&plan, stage, server.address);
        let lowered = export(Stage::TtlLowered);
        let removed = export(Stage::Removed);
        tool.must(&server, &lowered.apply);
        let low = server.transfer();
        assert_eq!(count(&low, |ttl| ttl == 30), plan.rrsets().iter().map(|rrset| rrset.rdatas.len()).sum::<usize>());
        tool.must(&server, &lowered.undo);
        assert_eq!(server.transfer(), first, "{tool:?}: undoes a lower TTL");
        tool.must(&server, &lowered.apply);
        tool.must(&server, &removed.apply);
        assert_eq!(server.transfer().len(), count(&low, |ttl| ttl != 30));
        tool.must(&server, &export(Stage::Restored).apply);
        assert_eq!(server.transfer(), first, "{tool:?}: restores");
        tool.must(&server, &export(Stage::Restored).undo);
        tool.must(&server, &removed.undo);
        assert_eq!(server.transfer(), first, "{tool:?}: undoes a removal");
    }
    Ok(())
}

fn count(lines: &[String], is: impl Fn(u32) -> bool) -> usize {
    lines.iter().filter(|line| is(line.split(' ').nth(1).unwrap().parse().unwrap())).count()
}

fn address(owner: &str, last: u8) -> Record {
    record(&name(owner), 1, 300, vec![192, 0, 2, last])
}

/// SOA and NS, which every zone needs.
fn with_apex(records: impl IntoIterator<Item = Record>) -> Vec<Record> {
    Generator::generate(0, 0).into_iter().chain(records).collect()
}

/// What somebody else does to the zone.
fn interfere(server: &Knotd, command: &str) {
    let script = format!("server {} {}\nzone example.\n{command}\nsend\n", server.address.ip(), server.address.port());
    Tool::Knsupdate.must(server, &script);
}

fn a_changed_zone_stops_the_script() -> Result<(), Failed> {
    let alias = record(&name("old.example."), 5, 300, name("www.example.").wire().to_vec());
    let records = with_apex([address("www.example.", 1), address("www.example.", 2), address("a.example.", 3), alias]);
    let zone = zone(&records);
    let server = Knotd::start(&records)?;
    let plan = plan(&zone, &removable(&zone));
    let changes = [
        ("update add www.example. 300 IN A 192.0.2.9", "update delete www.example. IN A 192.0.2.9"),
        ("update delete www.example. IN A 192.0.2.2", "update add www.example. 300 IN A 192.0.2.2"),
        ("update delete a.example. IN A", "update add a.example. 300 IN A 192.0.2.3"),
    ];
    for tool in TOOLS {
        let export = |stage| tool.export(&plan, stage, server.address);
        for (change, back) in changes {
            interfere(&server, change);
            let changed = server.transfer();
            for script in [export(Stage::TtlLowered).apply, export(Stage::TtlLowered).undo, export(Stage::Removed).apply] {
                tool.must_not(&server, &script);
                assert_eq!(server.transfer(), changed, "{tool:?}: {change}");
            }
            interfere(&server, back);
        }
        tool.must(&server, &export(Stage::Removed).apply);
        for (change, back) in [
            ("update add www.example. 300 IN A 192.0.2.9", "update delete www.example. IN A"),
            ("update add a.example. 300 IN CNAME www.example.", "update delete a.example. IN CNAME"),
            ("update add old.example. 300 IN TXT x", "update delete old.example. IN TXT"),
        ] {
            interfere(&server, change);
            let changed = server.transfer();
            tool.must_not(&server, &export(Stage::Removed).undo);
            assert_eq!(server.transfer(), changed, "{tool:?}: {change}");
            interfere(&server, back);
        }
        tool.must(&server, &export(Stage::Restored).apply);
    }
    Ok(())
}

fn a_refused_chunk_stops_those_after_it() -> Result<(), Failed> {
    /// More than the first message can require, so that a change can be met in a later one.
    const COUNT: usize = 3000;
    let many = (0..COUNT).map(|number| address(&format!("n{number:04}.example."), 1));
    let records = with_apex(many);
    let zone = zone(&records);
    let server = Knotd::start(&records)?;
    let first = server.transfer();
    let all: Vec<_> =
        removable(&zone).into_iter().filter(|index| zone.rrset(*index).unwrap().owner() != name("ns.example.")).collect();
    let plan = plan(&zone, &all);
    // In the way of the second chunk, of which the first one knows, and of a chunk of which it does not.
    let (known, unknown) = ("n0250.example.", "n2900.example.");
    let interferes = |owner: &str| interfere(&server, &format!("update add {owner} 300 IN A 192.0.2.9"));
    let recovers = |owner: &str| interfere(&server, &format!("update delete {owner} IN A 192.0.2.9"));
    for tool in [Tool::Nsupdate, Tool::Knsupdate] {
        let export = tool.export(&plan, Stage::Removed, server.address);
        assert!(export.apply.matches("send\n").count() > 3);
        interferes(known);
        let changed = server.transfer();
        tool.must_not(&server, &export.apply);
        assert_eq!(server.transfer(), changed, "{tool:?}: the first chunk requires the values of later ones");
        recovers(known);
        interferes(unknown);
        tool.must_not(&server, &export.apply);
        let left = server.transfer().len();
        assert!(left < first.len() / 2 && left > 100, "{tool:?}: {left} records are left, none of the last chunks is applied");
        tool.must_not(&server, &export.undo);
        recovers(unknown);
        assert_eq!(server.transfer(), first, "{tool:?}: the undo takes back what was applied");
        // The other way round: a restored RRset is in the way of the undo.
        tool.must(&server, &export.apply);
        interferes(unknown);
        tool.must_not(&server, &export.undo);
        assert!(server.transfer().len() < first.len(), "{tool:?}: the last chunks are not undone");
        tool.must_not(&server, &export.apply);
        recovers(unknown);
        tool.must(&server, &export.undo);
        assert_eq!(server.transfer(), first);
    }
    Ok(())
}

fn a_large_plan_is_applied_as_a_whole_or_not_at_all() -> Result<(), Failed> {
    let records = with_apex((0..500).map(|number| address(&format!("n{number:03}.example."), 1)));
    let zone = zone(&records);
    let server = Knotd::start(&records)?;
    let first = server.transfer();
    let all: Vec<_> =
        removable(&zone).into_iter().filter(|index| zone.rrset(*index).unwrap().owner() != name("ns.example.")).collect();
    let plan = plan(&zone, &all);
    for tool in [Tool::Nsupdate, Tool::Knsupdate] {
        for stage in [Stage::TtlLowered, Stage::Removed] {
            let export = tool.export(&plan, stage, server.address);
            interfere(&server, "update add n499.example. 300 IN A 192.0.2.9");
            let changed = server.transfer();
            tool.must_not(&server, &export.apply);
            assert_eq!(server.transfer(), changed, "{tool:?}, {stage:?}");
            interfere(&server, "update delete n499.example. IN A 192.0.2.9");
            tool.must(&server, &export.apply);
            tool.must(&server, &export.undo);
            assert_eq!(server.transfer(), first, "{tool:?}, {stage:?}");
        }
    }
    Ok(())
}

fn a_low_ttl_is_required_to_be_unchanged() -> Result<(), Failed> {
    let low = record(&name("low.example."), 1, 10, vec![192, 0, 2, 1]);
    let records = with_apex([address("a.example.", 1), low]);
    let zone = zone(&records);
    let server = Knotd::start(&records)?;
    let plan = plan(&zone, &removable(&zone));
    for tool in TOOLS {
        let export = tool.export(&plan, Stage::TtlLowered, server.address);
        let first = server.transfer();
        interfere(&server, "update add low.example. 10 IN A 192.0.2.9");
        let changed = server.transfer();
        tool.must_not(&server, &export.apply);
        assert_eq!(server.transfer(), changed, "{tool:?}");
        interfere(&server, "update delete low.example. IN A 192.0.2.9");
        tool.must(&server, &export.apply);
        tool.must(&server, &export.undo);
        assert_eq!(server.transfer(), first, "{tool:?}");
    }
    Ok(())
}

/// A TXT record's RDATA.
fn text(octets: &[u8]) -> Vec<u8> {
    if octets.is_empty() {
        return vec![0];
    }
    octets.chunks(255).flat_map(|part| [&[part.len() as u8], part].concat()).collect()
}

fn hostile_records_are_only_data() -> Result<(), Failed> {
    let every: Vec<u8> = (0..=255).collect();
    let labels = [
        "a b",
        "'",
        "\"",
        "\\",
        "`touch pwned`",
        "$(touch pwned)",
        "'; touch pwned #",
        ";",
        "a\nsend",
        "\r",
        "\0",
        "@",
        "-f",
        "--",
        "(",
        "#",
        "*",
        "a.b",
        "\t",
        "$GENERATE",
        "!",
        "~",
        "%s%n",
    ];
    let mut records = with_apex([]);
    for (number, label) in labels.iter().enumerate() {
        let owner = name("example.").below(label.as_bytes()).unwrap();
        records.push(record(&owner, 1, 300, vec![192, 0, 2, number as u8]));
        records.push(record(&owner, 16, 300, text(label.as_bytes())));
        if number % 4 > 0 {
            continue;
        }
        let alias = name("aliases.example.").below(label.as_bytes()).unwrap();
        records.push(record(&alias, 5, 300, owner.wire().to_vec()));
        records.push(record(&name(&format!("mail{number}.example.")), 15, 300, [&[0, 1], owner.wire()].concat()));
    }
    let owner = name("example.").below(&every[..60]).unwrap().below(&every[160..220]).unwrap();
    records.push(record(&owner, 16, 300, text(&every)));
    records.push(record(&owner, 16, 300, text(&[b'"'; 9000])));
    records.push(record(&owner, 16, 300, text(b"")));
    records.push(record(&owner, 65280, 300, every.clone()));
    records.push(record(&owner, 65281, 300, vec![]));
    records.push(record(&owner, 262, 300, b"\x03abc\x03def".to_vec()));
    let zone = zone(&records);
    let server = Knotd::start(&records)?;
    let first = server.transfer();
    let plan = plan(&zone, &removable(&zone));
    for tool in TOOLS {
        // The script for knotc starts a process per value.
        let stages = if tool == Tool::Knotc { &[Stage::Removed][..] } else { &[Stage::TtlLowered, Stage::Removed] };
        for &stage in stages {
            let export = tool.export(&plan, stage, server.address);
            tool.must(&server, &export.apply);
            assert_ne!(server.transfer(), first);
            tool.must(&server, &export.undo);
            assert_eq!(server.transfer(), first, "{tool:?} {stage:?}");
        }
        assert!(!server.path("pwned").exists() && !std::path::Path::new("pwned").exists());
    }
    Ok(())
}
