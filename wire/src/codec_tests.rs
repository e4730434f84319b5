use super::*;
use crate::Counter;
use crate::bounds::{MAX_EVICTED, MAX_SEQ};
use crate::envelope::{peek_identity, tests::with_body as with_body_of};
use proptest::prelude::*;
use zonepulse_dns::RecordType;
use zonepulse_fixtures::extremes::{from_one_to, up_to};
use zonepulse_model::{Evicted, ServerId};

fn small() -> Batch {
    let mut records = Records::new();
    records.push("www.example.com.", RecordType::A);
    records.push("example.com.", RecordType::SOA);
    let mut counters = Counters::new();
    counters.add(Counter::MessagesSeen, 8);
    counters.add(Counter::OpcodeNotify, 1);
    Batch {
        identity: Identity { server_id: ServerId::new(7), epoch: 0x0102_0304_0506_0708, seq: 9 },
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

/// The body byte for byte: changing it changes the format, and requires a new version.
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
        ("server id", |b| b.identity.server_id = ServerId::new(0)),
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

/// Rows whose hits together are within the limit: each takes part of what is left, and sometimes
/// the first takes everything.
fn any_rows(interval_ms: u64) -> impl Strategy<Value = Vec<Row>> {
    let of_row = (0..40u32, 0..MessageKind::COUNT, from_one_to(MAX_HITS), up_to(interval_ms - 1), up_to(interval_ms - 1));
    prop::collection::vec(of_row, 0..100).prop_map(|rows| {
        let row = |(record, kind, hits, a, b): (u32, u16, u64, u64, u64)| Row {
            record,
            kind: MessageKind::from_number(kind).unwrap(),
            hits,
            first_ms: a.min(b) as u32,
            last_ms: a.max(b) as u32,
        };
        let mut rows: Vec<Row> = rows.into_iter().map(row).collect();
        rows.sort_by_key(|row| (row.record, row.kind));
        rows.dedup_by_key(|row| (row.record, row.kind));
        let mut left = MAX_HITS - rows.len() as u64;
        for row in &mut rows {
            row.hits = row.hits.min(left + 1);
            left -= row.hits - 1;
        }
        rows
    })
}

fn any_evicted() -> impl Strategy<Value = Option<Evicted>> {
    let time = || up_to(END_OF_TIME_S);
    let evicted = (from_one_to(MAX_EVICTED), time(), time()).prop_map(|(batches, a, b)| Evicted {
        batches,
        from_s: a.min(b),
        until_s: a.max(b),
    });
    prop::option::of(evicted)
}

fn any_batch() -> impl Strategy<Value = Batch> {
    from_one_to(MAX_INTERVAL_S)
        .prop_flat_map(|interval_s| {
            let interval_ms = interval_s * 1000;
            let starts = up_to(END_OF_TIME_S / interval_s - 1);
            let identity = (from_one_to(u64::from(u32::MAX)), up_to(u64::MAX), up_to(MAX_SEQ));
            let counters = prop::collection::btree_map(any::<u16>(), from_one_to(MAX_COUNTER), 0..12);
            let names = prop::collection::vec(("[a-z0-9]{1,20}", any::<u16>()), 40);
            let covered = (up_to(interval_ms), up_to(interval_ms));
            (Just(interval_s), starts, identity, counters, names, any_rows(interval_ms), covered, any_evicted())
        })
        .prop_map(|(interval_s, start, (server_id, epoch, seq), numbers, names, rows, (a, b), evicted)| {
            let start_s = start * interval_s;
            let mut counters = Counters::new();
            numbers.into_iter().for_each(|(number, count)| counters.add_number(number, count));
            let mut records = Records::new();
            for (name, record_type) in names {
                records.push(&format!("{name}.example."), RecordType::new(record_type));
            }
            Batch {
                identity: Identity { server_id: ServerId::new(server_id as u32), epoch, seq },
                start_s,
                interval_s: interval_s as u32,
                coverage: Coverage { from_ms: start_s * 1000 + a.min(b), until_ms: start_s * 1000 + a.max(b) },
                counters,
                evicted,
                records,
                rows,
            }
        })
}

#[test]
fn a_number_past_its_bound_is_refused_by_name() {
    type Spoil = fn(&mut Batch);
    let end_of_time: Spoil = |b| {
        b.start_s = END_OF_TIME_S;
        b.coverage = Coverage { from_ms: b.start_s * 1000, until_ms: b.start_s * 1000 };
    };
    let year_36812: Spoil = |b| {
        b.start_s = 1_099_511_627_760;
        b.coverage = Coverage { from_ms: b.start_s * 1000, until_ms: b.start_s * 1000 };
    };
    let spoil: [(Error, Spoil); 7] = [
        (Error::Malformed("sequence number"), |b| b.identity.seq = MAX_SEQ + 1),
        (Error::Malformed("sequence number"), |b| b.identity.seq = u64::MAX),
        (Error::Bound("hits", MAX_HITS as usize), |b| b.rows[0].hits = u64::MAX),
        (Error::Bound("hits", MAX_HITS as usize), |b| b.rows[0].hits = MAX_HITS),
        (Error::Malformed("start"), end_of_time),
        (Error::Malformed("start"), year_36812),
        (Error::Malformed("start"), |b| b.start_s = u64::MAX),
    ];
    for (error, change) in spoil {
        let mut batch = small();
        change(&mut batch);
        assert_eq!(Batch::decode(&batch.encode().unwrap()), Err(error));
    }
}

#[test]
fn the_last_hour_that_can_be_written_is_taken_and_all_hits_of_a_batch_together_are_bounded() {
    let mut batch = small();
    (batch.start_s, batch.interval_s) = (END_OF_TIME_S - 3600, 3600);
    batch.coverage = Coverage { from_ms: batch.start_s * 1000, until_ms: END_OF_TIME_S * 1000 };
    batch.identity.seq = MAX_SEQ;
    batch.rows[0].hits = MAX_HITS - 3;
    assert_eq!(Batch::decode(&batch.encode().unwrap()).as_ref(), Ok(&batch));
    batch.rows[1].hits += 1;
    assert_eq!(Batch::decode(&batch.encode().unwrap()), Err(Error::Bound("hits", MAX_HITS as usize)));
}

#[test]
fn what_a_probe_counted_past_a_bound_is_told_as_the_bound() {
    let mut batch = small();
    batch.counters.add(Counter::StreamBytesSkipped, u64::MAX);
    batch.evicted = Some(Evicted { batches: u64::MAX, from_s: 5, until_s: u64::MAX });
    let told = Batch::decode(&batch.encode().unwrap()).unwrap();
    assert_eq!(told.counters.get(Counter::StreamBytesSkipped), MAX_COUNTER);
    assert_eq!(told.evicted, Some(Evicted { batches: MAX_EVICTED, from_s: 5, until_s: END_OF_TIME_S }));
    batch.evicted = Some(Evicted { batches: 0, from_s: 5, until_s: 6 });
    assert_eq!(Batch::decode(&batch.encode().unwrap()).unwrap().evicted, None);
}

#[test]
fn counters_that_lie_are_refused() {
    let head = |counters: &[u64]| {
        let mut body = Vec::new();
        [1_767_225_600, 60, 0, 0].iter().chain(counters).chain(&[0, 0, 0]).for_each(|value| put(&mut body, *value));
        Batch::decode(&with_body(&body)).map(|batch| batch.counters.iter().collect::<Vec<_>>())
    };
    assert_eq!(head(&[2, 5, 7, 6, MAX_COUNTER]), Ok(vec![(5, 7), (6, MAX_COUNTER)]));
    assert_eq!(head(&[1, 5, MAX_COUNTER + 1]), Err(Error::Malformed("counters")));
    assert_eq!(head(&[2, 5, 7, 5, 7]), Err(Error::Malformed("order of counters")));
    assert_eq!(head(&[MAX_COUNTERS as u64 + 1]), Err(Error::Malformed("counters")));
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
