//! What only a stub in Python does: unsigned messages, mixed-up streams, streams without an end.

use super::server::{SECRET, key};
use super::wrong::drain;
use super::{run, test_with};
use libtest_mimic::Trial;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use zonepulse_catalogue::Name;
use zonepulse_catalogue::transfer::{self, Change, Disorder, Error, Outcome, Primary, TsigFault};

/// Records of the zones that the stub sends completely: 400 addresses and the SOA.
const RECORDS: u64 = 401;

/// The stub, stopped when dropped.
struct Stub {
    child: Child,
    address: SocketAddr,
}

impl Stub {
    fn start(python: &Path) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transfers/primary.py");
        let mut child = Command::new(python).arg(script).arg(SECRET).stdout(Stdio::piped()).spawn().unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Stub { child, address: SocketAddr::from(([127, 0, 0, 1], port.trim().parse().unwrap())) }
    }

    fn primary(&self, with_key: bool) -> Primary {
        let mut primary = Primary::new(self.address, with_key.then(|| key("transfer", SECRET)));
        primary.bounds.message_timeout = Duration::from_secs(3);
        primary.bounds.records = 50_000;
        primary
    }

    /// The outcome of a full transfer of the zone that makes the stub behave so.
    fn full(&self, mode: &str, with_key: bool) -> Result<u64, Error> {
        run(drain(&self.primary(with_key), &zone(mode)))
    }

    fn incremental(&self, mode: &str, serial: u32) -> Result<Outcome, Error> {
        run(transfer::ixfr(&self.primary(true), &zone(mode), serial))
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn zone(mode: &str) -> Name {
    Name::from_text(&format!("{mode}.test.")).unwrap()
}

/// dnspython, as a module for the Python that `scripts/test.sh` sets, or for the system's.
fn python() -> Result<PathBuf, String> {
    let python = std::env::var_os("ZONEPULSE_TESTS_PYTHON").map_or_else(|| PathBuf::from("python3"), PathBuf::from);
    let status = Command::new(&python).args(["-c", "import dns.tsig"]).stderr(Stdio::null()).status();
    if status.is_ok_and(|status| status.success()) {
        Ok(python)
    } else {
        Err("there is no dnspython: scripts/test.sh installs it".to_owned())
    }
}

fn test(name: &'static str, body: fn(&Stub)) -> Trial {
    test_with(name, python, move |python| body(&Stub::start(&python)))
}

/// A full transfer fails, with and without a key, with an error that contains these words.
fn fails(name: &'static str, mode: &'static str, words: &'static str) -> Trial {
    test_with(name, python, move |python| {
        let stub = Stub::start(&python);
        for with_key in [true, false] {
            let error = stub.full(mode, with_key).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    })
}

pub fn trials() -> Vec<Trial> {
    let mut trials = vec![
        test("up_to_99_messages_in_a_row_may_be_unsigned", |stub| {
            assert_eq!(stub.full("every-hundredth", true).unwrap(), RECORDS);
        }),
        test("more_than_99_unsigned_messages_are_an_error", |stub| {
            tsig(stub, "too-many-unsigned", TsigFault::TooManyUnsigned);
        }),
        test("an_unsigned_last_message_is_an_error", |stub| tsig(stub, "last-unsigned", TsigFault::LastUnsigned)),
        test("an_unsigned_first_message_is_an_error", |stub| tsig(stub, "first-unsigned", TsigFault::Unsigned)),
        test("a_change_of_an_unsigned_message_is_an_error", |stub| tsig(stub, "changed-unsigned", TsigFault::BadSignature)),
        test("a_wrong_clock_is_explained", |stub| {
            let error = stub.full("bad-time", true).unwrap_err();
            assert!(matches!(error, Error::Tsig(TsigFault::ClockOfPrimary(7198..=7202))), "{error}");
        }),
        test("a_primary_without_ixfr_is_asked_for_the_full_zone", without_ixfr),
        test("changes_in_messages_of_one_record_are_complete", one_record),
        test("serials_wrap_around_within_changes", wrapped),
        test("changes_that_do_not_connect_are_an_error", gaps),
        test("a_primary_that_never_ends_is_stopped", endless),
        test("a_primary_that_stalls_is_left", |stub| {
            let error = stub.full("stalls", true).unwrap_err();
            assert!(matches!(error, Error::Stalled(..)), "{error}");
        }),
    ];
    trials.extend([
        fails("another_id_is_an_error", "wrong-id", "its ID is not that of the request"),
        fails("another_question_is_an_error", "wrong-question", "its question is not that of the request"),
        fails("a_request_as_an_answer_is_an_error", "not-a-response", "it is a request"),
        fails("another_opcode_is_an_error", "opcode", "its opcode is 4"),
        fails("a_truncated_message_is_an_error", "truncated", "it is truncated"),
        fails("an_error_in_the_middle_is_an_error", "late-error", "SERVFAIL"),
        fails("a_message_without_records_is_an_error", "empty", "its answer section is empty"),
        fails("records_of_another_zone_are_an_error", "other-zone", "host0.other., which is not in the zone"),
        fails("records_of_another_class_are_an_error", "other-class", "class 3"),
        fails("two_soas_are_an_error", "two-soas", "this SOA with serial 8 differs"),
        fails("another_soa_at_the_end_is_an_error", "other-last-soa", "this SOA with serial 8 differs"),
        fails("records_after_the_end_are_an_error", "records-after-end", "it follows the last SOA"),
        fails("a_zone_without_soa_is_an_error", "no-soa", "the first record must be the SOA"),
        fails("a_malformed_message_is_an_error", "malformed", "message 2 of the answer is wrong"),
        fails(
            "half_a_message_is_an_error",
            "half-a-message",
            "closed the connection before the transfer was complete (messages received: 1)",
        ),
    ]);
    trials
}

fn tsig(stub: &Stub, mode: &str, expected: TsigFault) {
    let error = stub.full(mode, true).unwrap_err();
    assert!(matches!(&error, Error::Tsig(fault) if *fault == expected), "{error}");
}

fn without_ixfr(stub: &Stub) {
    for mode in ["not-implemented", "format-error", "server-failure", "lone-soa"] {
        let outcome = stub.incremental(mode, 3).unwrap();
        assert!(matches!(&outcome, Outcome::Full(full) if full.serial() == 7), "{mode}: {outcome:?}");
    }
}

/// All changes, as `-` and `+` with the first label or the serial.
fn shown(stub: &Stub, mode: &str, serial: u32) -> Result<String, Error> {
    run(async {
        let outcome = transfer::ixfr(&stub.primary(true), &zone(mode), serial).await?;
        let Outcome::Incremental(mut changes) = outcome else { panic!("{outcome:?}") };
        let mut shown = Vec::new();
        while let Some(change) = changes.next().await? {
            let (sign, record) = match change {
                Change::Removed(record) => ("-", record),
                Change::Added(record) => ("+", record),
            };
            let label = record.owner.labels().next().unwrap();
            let serial = record.rdata.last_chunk::<20>().map(|end| u32::from_be_bytes(*end.first_chunk().unwrap()).to_string());
            shown.push(format!("{sign}{}", serial.unwrap_or_else(|| String::from_utf8_lossy(label).into_owned())));
        }
        Ok(shown.join(" "))
    })
}

fn one_record(stub: &Stub) {
    assert_eq!(shown(stub, "one-record", 6).unwrap(), "-6 -host0 -host1 +7 +host5 +host6");
}

fn wrapped(stub: &Stub) {
    let expected = "-4294967294 -host0 +4294967295 +host1 -4294967295 +1 +host2 -1 +3";
    assert_eq!(shown(stub, "wrapped", 4_294_967_294).unwrap(), expected);
}

fn gaps(stub: &Stub) {
    let error = shown(stub, "gap", 4).unwrap_err();
    assert!(matches!(error, Error::Sequence(2, Disorder::Gap { expected: 4, found: 5 })), "{error}");
    let error = shown(stub, "gap-inside", 4).unwrap_err();
    assert!(matches!(error, Error::Sequence(4, Disorder::Gap { expected: 5, found: 6 })), "{error}");
}

fn endless(stub: &Stub) {
    let error = stub.full("endless", true).unwrap_err();
    assert!(matches!(error, Error::TooManyRecords(50_000)), "{error}");
    let mut primary = stub.primary(true);
    primary.bounds.size_bytes = 100_000;
    let error = run(drain(&primary, &zone("endless"))).unwrap_err();
    assert!(matches!(error, Error::TooLarge(100_000)), "{error}");
    primary.bounds.size_bytes = u64::MAX;
    primary.bounds.total_timeout = Duration::from_millis(100);
    let error = run(drain(&primary, &zone("endless"))).unwrap_err();
    assert!(matches!(error, Error::TooLong(_)), "{error}");
    assert!(matches!(stub.full("stalls", false).unwrap_err(), Error::Stalled(..)));
}
