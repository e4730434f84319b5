use super::*;
use crate::envelope::{peek_identity, tests::with_body as with_body_of};
use crate::{Counter, Evicted};
use proptest::prelude::*;
use zonepulse_dns::RecordType;

fn small() -> Batch {
    let mut records = Records::new();
    records.push("www.example.com.", RecordType::A);
    records.push("example.com.", RecordType::SOA);
    let mut counters = Counters::new();
    counters.add(Counter::MessagesSeen, 8);
    counters.add(Counter::OpcodeNotify, 1);
    Batch {
        identity: Identity { server_id: 7, epoch: 0x0102_0304_0506_0708, seq: 9 },
        start_s: 1_767_225_600,
        interval_s: 60,
        coverage: Coverage { from_ms: 1_767_225_600_000, until_ms: 1_767_225_660_000 },
        counters,
        evicted: Some(Evicted { batches: 2, from_s: 1_767_225_000, until_s: 1_767_225_120 }),
        records,
        rows: vec![
            Row { record: 0, kind: MessageKind::REQUEST, hits: 4, first_ms: 10, last_ms: 59_999 },
            Row { record: 1, kind: MessageKind::REQUEST, hits: 1, first_ms: 300, last_ms: 300 },
            Row { record: 1, kind: MessageKind::from_number(4).unwrap(), hits: 2, first_ms: 0, last_ms: 301 },
        ],
    }
}

fn with_body(body: &[u8]) -> Vec<u8> {
    with_body_of(VERSION, &small().identity, body)
}

/// The body byte for byte: a change of it is a change of the format, and wants a new version.
#[test]
fn the_body_of_version_1_stays_as_it_is() {
    let hex: String = small().write_body(Vec::new()).unwrap().0.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        hex,
        "80f2d6ca063c00e0d4030202080a0102a8edd6ca067802100c01067777772e6578616d706c652e636f6d2e6578616d706c652e636f6d2e\
         03000100000004040102dfd403ac02ad02d5d40300ad02"
    );
}

#[test]
fn the_header_names_the_batch_in_any_version() {
    let mut bytes = small().encode().unwrap();
    bytes[4] = 200;
    assert_eq!(peek_identity(&bytes).unwrap(), small().identity);
    assert_eq!(Batch::decode(&bytes), Err(Error::UnknownVersion { found: 200, known: VERSION }));
}

#[test]
fn a_damaged_byte_anywhere_is_noticed() {
    let good = small().encode().unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        assert!(Batch::decode(&bad).is_err(), "byte {at}");
    }
    for length in 0..good.len() {
        assert!(Batch::decode(&good[..length]).is_err(), "{length} bytes");
    }
}

#[test]
fn rows_that_break_a_promise_are_refused() {
    type Spoil = fn(&mut Batch);
    let spoil: [(&str, Spoil); 9] = [
        ("hits", |b| b.rows[0].hits = 0),
        ("last access", |b| b.rows[0].last_ms = 60_000),
        ("order of rows", |b| b.rows.swap(1, 2)),
        ("order of rows", |b| b.rows[2] = b.rows[1]),
        ("record", |b| b.rows[2].record = 2),
        ("interval", |b| b.start_s += 1),
        ("interval", |b| b.interval_s = 0),
        ("coverage", |b| b.coverage.until_ms += 1),
        ("server id", |b| b.identity.server_id = 0),
    ];
    for (what, change) in spoil {
        let mut batch = small();
        change(&mut batch);
        assert_eq!(Batch::decode(&batch.encode().unwrap()), Err(Error::Malformed(what)));
    }
}

#[test]
fn a_name_that_is_not_canonical_is_refused() {
    for (name, accepted) in [
        ("example.com.", true),
        (".", true),
        ("<other>", true),
        ("<other> example.com.", true),
        ("Example.com.", false),
        ("example.com", false),
        ("", false),
        ("<other> example.com", false),
        ("<other> ", false),
    ] {
        let mut batch = small();
        batch.records = Records::new();
        batch.records.push(name, RecordType::A);
        batch.rows.truncate(1);
        assert_eq!(Batch::decode(&batch.encode().unwrap()).is_ok(), accepted, "{name:?}");
    }
}

#[test]
fn the_longest_zone_may_overflow() {
    let mut batch = small();
    let labels = [63, 63, 63, 61].map(|length| "\\001".repeat(length) + ".");
    batch.records = Records::new();
    batch.records.push(&format!("{OTHER} {}", labels.concat()), RecordType::A);
    batch.rows.truncate(1);
    assert_eq!(Batch::decode(&batch.encode().unwrap()), Ok(batch));
}

#[test]
fn the_head_is_all_but_records_and_rows() {
    let batch = small();
    let head = Batch { records: Records::new(), rows: Vec::new(), ..batch.clone() };
    assert_eq!(Batch::decode_head(&batch.encode().unwrap()), Ok(head));
    assert_eq!(Batch::decode_head(&batch.encode().unwrap()[..40]), Err(Error::Checksum));
}

#[test]
fn a_count_that_lies_costs_no_memory() {
    let mut body = Vec::new();
    for value in [1_767_225_600, 60, 0, 0, 0, 0, MAX_RECORDS as u64] {
        put(&mut body, value);
    }
    assert_eq!(Batch::decode(&with_body(&body)), Err(Error::Malformed("records")));
}

#[test]
fn a_record_is_found_by_its_number() {
    let records = small().records;
    let by_number: Vec<_> = (0..).map_while(|number| records.get(number)).collect();
    assert_eq!(by_number, records.iter().collect::<Vec<_>>());
    assert!(records.len() > 1);
}

#[test]
fn two_thousand_records_stay_within_tens_of_kilobytes() {
    let mut batch = small();
    batch.records = Records::new();
    batch.rows.clear();
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    for _ in 0..2000 {
        let record = batch.records.push(&format!("{:010x}.customer.example.com.", random() >> 24), RecordType::A);
        for kind in [MessageKind::REQUEST, MessageKind::from_number(1).unwrap()] {
            let last_ms = (random() % 60_000) as u32;
            batch.rows.push(Row { record, kind, hits: 1 + random() % 50, first_ms: last_ms / 2, last_ms });
        }
    }
    let size = batch.encode().unwrap().len();
    assert!(size < 50_000, "{size} bytes");
}

fn any_batch() -> impl Strategy<Value = Batch> {
    let row = (0..40u32, 0..MessageKind::COUNT, 1..u64::MAX, 0..60_000u32, 0..60_000u32);
    (
        prop::collection::vec(("[a-z0-9]{1,20}", any::<u16>()), 40),
        prop::collection::vec(row, 0..100),
        any::<(u64, u64, u16, u64)>(),
        0..30_000u64,
    )
        .prop_map(|(names, rows, (epoch, seq, number, count), from)| {
            let mut batch = small();
            batch.identity.epoch = epoch;
            batch.identity.seq = seq;
            batch.counters.add_number(number, count);
            batch.coverage.from_ms += from;
            batch.evicted = None;
            batch.records = Records::new();
            for (name, record_type) in names {
                batch.records.push(&format!("{name}.example."), RecordType::new(record_type));
            }
            batch.rows = rows
                .into_iter()
                .map(|(record, kind, hits, a, b)| Row {
                    record,
                    kind: MessageKind::from_number(kind).unwrap(),
                    hits,
                    first_ms: a.min(b),
                    last_ms: a.max(b),
                })
                .collect();
            batch.rows.sort_by_key(|row| (row.record, row.kind));
            batch.rows.dedup_by_key(|row| (row.record, row.kind));
            batch
        })
}

proptest! {
    #[test]
    fn what_was_encoded_is_what_is_decoded(batch in any_batch()) {
        prop_assert_eq!(Batch::decode(&batch.encode().unwrap()).unwrap(), batch);
    }

    #[test]
    fn bytes_of_any_kind_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = Batch::decode(&bytes);
        let _ = Batch::decode(&with_body(&bytes));
    }
}
