//! What was served, as `tally --served` says: with real servers it is what an independent program finds in the same
//! capture, and hits do not depend on it.

use libtest_mimic::Trial;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::MutexGuard;
use std::time::Duration;
use zonepulse_fixtures::{Corpus, Format, LinkType, Response, capture, project, udp};
use zonepulse_tests::capture::Capture;
use zonepulse_tests::name_servers::{NameServer, Program};
use zonepulse_tests::needs::{capture_rights, corpus, test, test_with};
use zonepulse_tests::probe::tally;
use zonepulse_tests::process::{Output, succeed};

pub fn trials() -> Vec<Trial> {
    let server = |name: &str, program: Program| {
        test_with(name, move || needs(program), move |(python, alone)| live(program, &python, alone))
    };
    vec![
        server("what_knot_served_is_what_an_independent_reading_of_its_responses_says", Program::Knot),
        server("what_nsd_served_is_what_an_independent_reading_of_its_responses_says", Program::Nsd),
        server("what_bind_served_is_what_an_independent_reading_of_its_responses_says", Program::Bind),
        test_with("hits_are_the_same_whether_it_is_read_what_was_served_or_not", corpus, same_hits),
        test("a_flood_that_a_wildcard_answers_stays_within_the_memory_of_a_tally", wildcard_flood),
        test("names_of_zones_that_cannot_be_read_are_named_with_their_line", bad_names),
    ]
}

/// The zones: the same records, unsigned and signed.
const PLAIN: &str = "plain.example.";
const SIGNED: &str = "signed.example.";
/// Names in each zone that are asked for; `@` is the apex.
const NAMES: &str = "@ ns1 mail web txt mixed MIXED dot\\.dot host.ent.of.none of.none none www a b dangling nodata outside \
    across loop1 to-sub to-old to-wild old x.old y.x.old www.old no.old new x.new far a.b.far chain x.chain wild x.wild \
    a.b.wild *.wild exists.wild x.exists.wild below.wild host.below.wild x.below.wild q.alias q.twice q.mx _sip._tcp _tcp \
    _sips._tcp https service other-https svcb sub ns.sub host.sub mail.sub sibling x.sibling insecure ns.insecure self x.self \
    big nothing x.nothing";
const TYPES: &str = "A AAAA NS MX TXT CNAME DNAME SRV HTTPS SVCB DS SOA ANY";
/// Beyond that, for a few names only, since servers differ about others.
const SPECIAL: [&str; 5] = ["@ DNSKEY", "@ NSEC", "web NSEC", "web RRSIG", "@ RRSIG"];

/// Counts by owner, type and class.
type Served = BTreeMap<(String, String, String), u64>;

/// A Python with dnspython and dpkt, the server, and permission to capture.
fn needs(program: Program) -> Result<(OsString, MutexGuard<'static, ()>), String> {
    program.need()?;
    let set = std::env::var_os("ZONEPULSE_TESTS_PYTHON");
    let is_fit = |python: &OsString| {
        let status = Command::new(python).args(["-c", "import dns.zonefile, dpkt"]).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    let found = set.into_iter().chain([OsString::from("python3")]).find(is_fit);
    let python = found.ok_or_else(|| "there is no Python with dnspython and dpkt: scripts/test.sh installs it".to_owned())?;
    Ok((python, capture_rights()?))
}

fn script(name: &str) -> PathBuf {
    project().join("tests/served").join(name)
}

fn live(program: Program, python: &OsStr, alone: MutexGuard<'static, ()>) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let folder = folder.path();
    let files = [plain(folder), signed(folder)];
    let server = NameServer::start(program, &[(PLAIN, files[0].clone()), (SIGNED, files[1].clone())], &folder.join("server"));
    let capture = Capture::start_whole(server.port, folder);
    let asked = ask(&server, python, folder);
    let capture = capture.finish_file();
    drop(alone);

    let port = server.port.to_string();
    let mut command = Command::new(python);
    command.arg(script("capture.py")).arg(&capture).arg(&port).args(&files);
    let expected = succeed(&mut command, Duration::from_secs(300));
    let conflicts: Vec<_> = expected.lines().filter(|line| line.starts_with("conflict")).collect();
    assert!(conflicts.is_empty(), "the server does not answer as the zones say: {conflicts:#?}");
    let truncated = expected.lines().find_map(|line| line.strip_prefix("truncated\t")).expect("it says so");
    assert_ne!(truncated, "0", "nothing was too large for UDP");
    let expected: Served = expected.lines().filter_map(served_line).collect();

    let names: Vec<PathBuf> = files.iter().map(|file| owners(file)).collect();
    let arguments = |more: &[&str]| -> Vec<OsString> {
        let mut arguments: Vec<OsString> = ["--port", &port].iter().chain(more).map(OsString::from).collect();
        if more.contains(&"--served") {
            names.iter().for_each(|file| arguments.extend(["--zone-names".into(), file.clone().into_os_string()]));
        }
        arguments.push(capture.clone().into_os_string());
        arguments
    };
    let output = run_tally(&arguments(&["--served", "--format", "json"]));
    assert!(output.err.contains(&format!(": served_truncated {truncated}\n")), "{} instead of {truncated}", output.err);
    assert!(!output.err.contains("served_unreadable"), "{}", output.err);
    let (hits, rows) = tables(&output.out);
    let found: Served = rows.iter().map(served_row).collect();
    assert_eq!(found.len(), rows.len(), "an RRset is in the table twice");
    let responses: u64 = hits.iter().filter(|row| row["action"] == "response").map(|row| number(&row["hits"])).sum();
    // Starting to serve takes a few more.
    assert!((asked..asked + 20).contains(&responses), "{responses} responses to {asked} questions");
    let wrong: Vec<_> = differences(&found, &expected);
    assert!(wrong.is_empty(), "{} of {} counts differ: {wrong:#?}", wrong.len(), expected.len());
    eprintln!("served: {program:?}: {} RRsets and classes in {responses} responses", found.len());
    for class in ["answer", "referral", "glue", "carried", "denial", "any"] {
        assert!(found.keys().any(|(_, _, of)| of == class), "nothing is {class}");
    }
    assert_prefix(&run_tally(&arguments(&[])).out, &run_tally(&arguments(&["--served"])).out);
    without_names(&arguments(&["--served", "--format", "json"])[..5], &capture, &found);
}

/// Without the names of the zones, only answers without a signature are in doubt, and nothing is lost.
fn without_names(arguments: &[OsString], capture: &Path, known: &Served) {
    let mut arguments = arguments.to_vec();
    for apex in [PLAIN, SIGNED] {
        arguments.extend(["--zone".into(), apex.into()]);
    }
    arguments.push(capture.to_owned().into());
    let (_, rows) = tables(&run_tally(&arguments).out);
    let sum = |class: &str| rows.iter().filter(|row| row["class"] == class).map(|row| number(&row["served"])).sum::<u64>();
    for class in ["referral", "glue", "denial"] {
        let expected: u64 = known.iter().filter(|((_, _, of), _)| of == class).map(|(_, count)| count).sum();
        assert_eq!(sum(class), expected, "{class}");
    }
    let expand =
        |row: &&Value| text(&row["host"]) == "*.wild.signed.example." && row["type"] == "TXT" && row["class"] == "answer";
    assert!(rows.iter().filter(expand).any(|row| row["wildcard"] == "-"), "signatures name the wildcard");
    let maybe = |row: &&Value| text(&row["host"]) == "x.wild.plain.example." && row["class"] == "answer";
    assert!(rows.iter().filter(maybe).count() > 0 && rows.iter().filter(maybe).all(|row| row["wildcard"] == "maybe"));
}

/// The unsigned zone, with every name written out.
fn plain(folder: &Path) -> PathBuf {
    let (source, file) = (source(folder, PLAIN), folder.join("plain.full"));
    let mut command = Command::new("/usr/bin/named-compilezone");
    command.args(["-k", "ignore", "-o"]).arg(&file).arg(PLAIN).arg(source);
    succeed(&mut command, Duration::from_secs(20));
    file
}

/// The signed zone.
fn signed(folder: &Path) -> PathBuf {
    let (source, file) = (source(folder, SIGNED), folder.join("signed.full"));
    let mut key = Command::new("/usr/bin/dnssec-keygen");
    succeed(key.current_dir(folder).args(["-a", "ECDSAP256SHA256", SIGNED]), Duration::from_secs(20));
    let mut sign = Command::new("/usr/bin/dnssec-signzone");
    sign.current_dir(folder).args(["-S", "-z", "-O", "full", "-o", SIGNED, "-f"]).arg(&file).arg(source);
    succeed(&mut sign, Duration::from_secs(20));
    file
}

fn source(folder: &Path, apex: &str) -> PathBuf {
    let records = fs::read_to_string(script("records.zone")).expect("it is a file of the repository");
    let file = folder.join(format!("{apex}zone"));
    fs::write(&file, format!("$ORIGIN {apex}\n{records}")).expect("a test's folder is writable");
    file
}

/// A file with the owners in a zone file whose first record is the SOA.
fn owners(zone: &Path) -> PathBuf {
    let text = fs::read_to_string(zone).expect("it was just written");
    let mut names: Vec<&str> =
        text.lines().filter(|line| !line.starts_with(';')).filter_map(|line| line.split_whitespace().next()).collect();
    names.dedup();
    let file = zone.with_extension("names");
    fs::write(&file, names.join("\n")).expect("a test's folder is writable");
    file
}

/// Asks all there is to ask, and returns the number of responses: by a program that asks again over TCP where a response is
/// truncated, and by dnsperf from another address, over UDP and over TCP.
fn ask(server: &NameServer, python: &OsStr, folder: &Path) -> u64 {
    let mut questions = Vec::new();
    for apex in [PLAIN, SIGNED] {
        let full = |name: &str| if name == "@" { apex.to_owned() } else { format!("{name}.{apex}") };
        questions.extend(
            NAMES.split_whitespace().flat_map(|name| TYPES.split(' ').map(move |rtype| format!("{} {rtype}", full(name)))),
        );
        questions.extend(
            SPECIAL
                .map(|special| special.split_once(' ').expect("a name and a type"))
                .map(|(name, rtype)| format!("{} {rtype}", full(name))),
        );
    }
    questions.push("www.outside.test. A".to_owned());
    let file = folder.join("questions");
    fs::write(&file, questions.join("\n") + "\n").expect("a test's folder is writable");
    let port = server.port.to_string();
    let mut command = Command::new(python);
    let responses = succeed(command.arg(script("ask.py")).arg(&port).arg(&file), Duration::from_secs(300));
    let mut responses: u64 = responses.trim().parse().expect("a number");
    for (mode, client) in [(&["-m", "udp", "-e", "-D"][..], "127.0.9.1"), (&["-m", "tcp"], "127.0.10.1")] {
        let mut command = Command::new("dnsperf");
        command
            .args(["-s", "127.0.0.1", "-p", &port, "-a", client, "-n", "1", "-q", "20", "-Q", "3000"])
            .args(mode)
            .arg("-d")
            .arg(&file);
        responses += zonepulse_tests::dnsperf::Report::parse(&succeed(&mut command, Duration::from_secs(120))).completed;
    }
    responses
}

fn run_tally(arguments: &[OsString]) -> Output {
    let arguments: Vec<&OsStr> = arguments.iter().map(OsString::as_os_str).collect();
    let output = tally(&arguments, Duration::from_secs(60));
    assert_eq!(output.code, Some(0), "{}", output.err);
    output
}

/// The two arrays of a tally in JSON.
fn tables(out: &str) -> (Vec<Value>, Vec<Value>) {
    let mut arrays = serde_json::Deserializer::from_str(out).into_iter::<Vec<Value>>();
    let mut next = || arrays.next().expect("a table").expect("an array");
    (next(), next())
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}

/// A row of `tally`. The names of the zones are known, so nothing may be in doubt.
fn served_row(row: &Value) -> ((String, String, String), u64) {
    assert_eq!(row["wildcard"], "-", "{row}");
    ((text(&row["host"]), text(&row["type"]), text(&row["class"])), number(&row["served"]))
}

/// A line of the Python program.
fn served_line(line: &str) -> Option<((String, String, String), u64)> {
    let [owner, rtype, class, count] = line.split('\t').collect::<Vec<_>>()[..] else { return None };
    let owner = zonepulse_dns::name::canonical(owner).expect("a name");
    Some(((owner, rtype.to_owned(), class.to_owned()), count.parse().expect("a number")))
}

fn differences(found: &Served, expected: &Served) -> Vec<String> {
    let keys: std::collections::BTreeSet<_> = found.keys().chain(expected.keys()).collect();
    let differ = |key: &&(String, String, String)| found.get(*key) != expected.get(*key);
    keys.into_iter().filter(differ).map(|key| format!("{key:?}: {:?}, not {:?}", found.get(key), expected.get(key))).collect()
}

/// Checks that the output with what was served begins with the one without, octet by octet.
fn assert_prefix(without: &str, with: &str) {
    let rest = with.strip_prefix(without).expect("hits are the same, octet by octet");
    assert!(rest.starts_with("\nhost\ttype\tclass\twildcard\tserved\tfirst_served\tlast_served\n"), "{rest}");
}

fn same_hits(corpus: Corpus) {
    let mut captures = corpus.public_captures().expect("the corpus is readable");
    captures.push(corpus.queries_5533());
    captures.extend(zonepulse_fixtures::sample());
    let (mut served, mut files) = (0, 0);
    for path in captures {
        for port in ["53", "5533"] {
            let run = |more: &[&str]| {
                let mut arguments: Vec<OsString> = ["--port", port].iter().chain(more).map(OsString::from).collect();
                arguments.push(path.clone().into());
                let arguments: Vec<&OsStr> = arguments.iter().map(OsString::as_os_str).collect();
                tally(&arguments, Duration::from_secs(60))
            };
            let (without, with) = (run(&[]), run(&["--served"]));
            assert_eq!(with.code, without.code, "{}: {}", path.display(), with.err);
            assert_prefix(&without.out, &with.out);
            // What is said about the file is the same, too, but for what was not read of what was served.
            let said: String =
                with.err.lines().filter(|line| !line.contains(": served_")).map(|line| format!("{line}\n")).collect();
            assert_eq!(said, without.err, "{}", path.display());
            served += with.out.len() - without.out.len();
            files += 1;
        }
    }
    assert!(files > 100 && served > 10_000, "{files} files, {served} octets");
}

fn wildcard_flood() {
    const RESPONSES: usize = 200_000;
    let (server, client) = ("192.0.2.53:53".parse().expect("an address"), "192.0.2.10:40000".parse().expect("an address"));
    let response = |number: usize| {
        let name = format!("h{number}.wild.example.");
        let response = Response::new(&name, 1).answer(&format!("{name} CNAME web.example.")).answer("web.example. A 192.0.2.80");
        udp(1_700_000_000_000_000, server, client, &response.bytes())
    };
    let packets: Vec<_> = (0..RESPONSES).map(response).collect();
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = folder.path().join("flood.pcap");
    fs::write(&path, capture(Format::Pcap, LinkType::Ethernet, &packets)).expect("a test's folder is writable");
    let sum = |rows: &[Value], host: &str| -> u64 {
        rows.iter().filter(|row| text(&row["host"]).starts_with(host)).map(|row| number(&row["served"])).sum()
    };
    let run = |more: &[&OsStr]| {
        let arguments = [&["--served", "--format", "json"].map(OsStr::new)[..], more, &[path.as_os_str()]].concat();
        let output = tally(&arguments, Duration::from_secs(120));
        assert_eq!(output.code, Some(0), "{}", output.err);
        (tables(&output.out).1, output.err)
    };

    // Nothing is known of the zone: names beyond the memory are folded, and every response counts.
    let (rows, said) = run(&[]);
    assert!(said.contains(": served_folded "), "{said}");
    assert!(rows.len() < 100_000, "{} rows", rows.len());
    assert_eq!(sum(&rows, "web.example."), RESPONSES as u64);
    assert_eq!(sum(&rows, "h") + sum(&rows, "<other>"), RESPONSES as u64);

    let names = folder.path().join("names");
    fs::write(&names, "example.\n*.wild.example.\nweb.example.\n").expect("a test's folder is writable");
    let (rows, said) = run(&["--zone-names".as_ref(), names.as_os_str()]);
    assert!(!said.contains("served_"), "{said}");
    let found: Vec<_> = rows.iter().map(|row| (text(&row["host"]), text(&row["type"]), number(&row["served"]))).collect();
    let expected = [("*.wild.example.", "CNAME"), ("web.example.", "A")];
    assert_eq!(found, expected.map(|(host, rtype)| (host.to_owned(), rtype.to_owned(), RESPONSES as u64)));
}

fn bad_names() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let (capture_file, names) = (folder.path().join("empty.pcap"), folder.path().join("names"));
    fs::write(&capture_file, capture(Format::Pcap, LinkType::Ethernet, &[])).expect("a test's folder is writable");
    for (content, said) in [("example.\nwww..example.\n", "names, line 2: "), ("\n", "names: has no names")] {
        fs::write(&names, content).expect("a test's folder is writable");
        let output = tally(
            &["--served".as_ref(), "--zone-names".as_ref(), names.as_ref(), capture_file.as_ref()],
            Duration::from_secs(10),
        );
        assert!(output.code != Some(0) && output.err.contains(said), "{:?}: {}", output.code, output.err);
    }
    let missing = folder.path().join("missing");
    let output =
        tally(&["--served".as_ref(), "--zone-names".as_ref(), missing.as_ref(), capture_file.as_ref()], Duration::from_secs(10));
    assert!(output.code != Some(0) && output.err.contains("cannot read"), "{}", output.err);
    // An apex without the table is a mistake.
    let output = tally(&["--zone".as_ref(), "example.".as_ref(), capture_file.as_ref()], Duration::from_secs(10));
    assert!(output.code != Some(0) && output.err.contains("--served"), "{}", output.err);
}
