use super::*;
use crate::bounds::{MAX_EVICTED, MAX_SEQ, MAX_VALUE};
use crate::envelope::tests::with_body as with_body_of;
use crate::peek_identity;
use proptest::prelude::*;
use zonepulse_fixtures::extremes::{from_one_to, up_to};
use zonepulse_model::ServerId;

fn series(metric: &str, label: &str, values: &[Option<f64>]) -> Series {
    Series { metric: metric.to_owned(), label: label.to_owned(), values: values.to_vec() }
}

fn small() -> SystemBatch {
    SystemBatch {
        identity: Identity { server_id: ServerId::new(7), epoch: 0x0102_0304_0506_0708, seq: 9 },
        start_s: 1_767_225_600,
        interval_s: 5,
        slots: 4,
        evicted: Some(Evicted { batches: 2, from_s: 1_767_225_000, until_s: 1_767_225_120 }),
        series: vec![
            series("cpu_percent", "0", &[Some(12.5), Some(12.4), None, Some(0.0)]),
            series("cpu_percent", "total", &[Some(3.1), Some(3.2), Some(3.0), Some(99.9)]),
            series("disk_free_bytes", "/", &[Some(1e12), Some(1e12), None, Some(1e12)]),
            series("odd", "", &[Some(0.0001), Some(-0.0), Some(1e30), None]),
            series("swap_used_bytes", "", &[None, None, None, None]),
        ],
    }
}

fn with_body(body: &[u8]) -> Vec<u8> {
    with_body_of(VERSION, &small().identity, body)
}

/// The body byte for byte: changing it changes the format, and requires a new version.
#[test]
fn the_body_of_version_2_stays_as_it_is() {
    let hex: String = small().write_body().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        hex,
        "80f2d6ca06050402a8edd6ca0678040b020f0103010f010105010000\
         6370755f70657263656e746469736b5f667265655f62797465736f6464737761705f757365645f627974657330746f74616c2f\
         01020101fa0101f701093e0203920f1002010180c0a8ca9a3a0703012d431cebe2361a3f0000000000000080ea8ca039593e2946000004"
    );
}

#[test]
fn what_was_encoded_is_what_is_decoded() {
    let bytes = small().encode().unwrap();
    assert_eq!(peek_identity(&bytes), Ok(small().identity));
    assert_eq!(SystemBatch::decode(&bytes), Ok(small()));
}

#[test]
fn a_negative_nought_keeps_its_sign() {
    let again = SystemBatch::decode(&small().encode().unwrap()).unwrap();
    assert!(again.series[3].values[1].unwrap().is_sign_negative());
}

#[test]
fn the_head_is_all_but_the_series() {
    let head = SystemBatch { series: Vec::new(), ..small() };
    assert_eq!(SystemBatch::decode_head(&small().encode().unwrap()), Ok(head));
}

#[test]
fn a_damaged_byte_anywhere_is_noticed() {
    let good = small().encode().unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        assert!(SystemBatch::decode(&bad).is_err(), "byte {at}");
    }
    for length in 0..good.len() {
        assert!(SystemBatch::decode(&good[..length]).is_err(), "{length} bytes");
    }
}

/// Neither encoded nor decoded: here the body is written without the checks.
#[test]
fn a_batch_that_breaks_a_promise_is_refused() {
    type Spoil = fn(&mut SystemBatch);
    let spoil: [(Error, Spoil); 16] = [
        (Error::Malformed("interval"), |b| b.start_s += 1),
        (Error::Malformed("interval"), |b| b.interval_s = 0),
        (Error::Malformed("interval"), |b| (b.start_s, b.interval_s) = (0, 3601)),
        (Error::Malformed("start"), |b| b.start_s = 5 << 40),
        (Error::Malformed("start"), |b| b.start_s = END_OF_TIME_S),
        (Error::Malformed("start"), |b| b.start_s = END_OF_TIME_S - 15),
        (Error::Malformed("values"), |b| b.series[3].values[2] = Some(1.000_000_1e30)),
        (Error::Malformed("slots"), |b| b.slots = 0),
        (Error::Malformed("slots"), |b| b.slots = MAX_SLOTS + 1),
        (Error::Malformed("order of series"), |b| b.series.swap(0, 1)),
        (Error::Malformed("order of series"), |b| b.series[1].label = "0".to_owned()),
        (Error::Malformed("metric"), |b| b.series[4].metric = "swapUsed".to_owned()),
        (Error::Malformed("metric"), |b| b.series[4].metric = "x".repeat(65)),
        (Error::Malformed("label"), |b| b.series[4].label = "x".repeat(256)),
        (Error::Malformed("values"), |b| b.series[3].values[2] = Some(f64::NAN)),
        (Error::Malformed("values"), |b| b.series[3].values[2] = Some(f64::INFINITY)),
    ];
    for (error, change) in spoil {
        let mut batch = small();
        change(&mut batch);
        assert_eq!(batch.encode(), Err(error.clone()));
        // Some fields have their own, more specific error in the body.
        let read = SystemBatch::decode(&with_body(&batch.write_body()));
        let words = |error: &Error| error.to_string();
        assert!(read.as_ref().is_err_and(|read| words(read).starts_with(&words(&error))), "{read:?} instead of {error:?}");
    }
    let mut nobody = small();
    nobody.identity.server_id = ServerId::new(0);
    assert_eq!(nobody.encode(), Err(Error::Malformed("server id")));
    let mut short = small();
    short.series[0].values.pop();
    assert_eq!(short.encode(), Err(Error::Malformed("values")));
}

#[test]
fn names_of_metrics_are_lower_case_words() {
    for (name, is) in [("load_1m", true), ("x", true), ("", false), ("1m", false), ("_x", false), ("a-b", false), ("é", false)] {
        assert_eq!(is_metric(name), is, "{name:?}");
    }
}

#[test]
fn a_batch_that_says_little_and_unpacks_to_much_is_refused() {
    let mut batch = small();
    batch.slots = MAX_SLOTS;
    let one = |at: usize| series("x", &format!("{at:04}"), &[Some(1.0); MAX_SLOTS as usize]);
    batch.series = (0..MAX_SYSTEM_POINTS / MAX_SLOTS as usize + 1).map(one).collect();
    let error = Error::Bound("slots of series", MAX_SYSTEM_POINTS);
    assert_eq!(batch.encode(), Err(error.clone()));
    assert_eq!(SystemBatch::decode(&with_body(&batch.write_body())), Err(error));
    batch.series.pop();
    assert_eq!(SystemBatch::decode(&batch.encode().unwrap()), Ok(batch));
}

#[test]
fn a_count_that_lies_costs_no_memory() {
    let mut body = Vec::new();
    for value in [1_767_225_600, 5, 4, 0, MAX_SERIES as u64] {
        put(&mut body, value);
    }
    assert_eq!(SystemBatch::decode(&with_body(&body)), Err(Error::Malformed("metrics")));
}

#[test]
fn runs_that_do_not_end_are_refused() {
    let mut body = Vec::new();
    // One metric with a one-letter name and one series without a label.
    [0u64, 5, 4, 0, 1, 1, 1, 0].iter().for_each(|value| put(&mut body, *value));
    body.push(b'x');
    let with = |tail: &[u8]| SystemBatch::decode(&with_body(&[&body[..], tail].concat()));
    assert_eq!(with(&[0, 0, 4]).unwrap().series, [series("x", "", &[None; 4])]);
    assert_eq!(with(&[0, 0, 0, 4]), Err(Error::Malformed("runs")));
    assert_eq!(with(&[0, 5]), Err(Error::Malformed("runs")));
    assert_eq!(with(&[4 | EVERY_SLOT]), Err(Error::Malformed("scale")));
    assert_eq!(with(&[0x20 | EVERY_SLOT]), Err(Error::Malformed("mode")));
}

/// Fifty series over a minute, as on an idle machine.
#[test]
fn a_minute_of_a_machine_takes_less_than_two_kilobytes() {
    let mut batch = small();
    batch.slots = 12;
    batch.series = (0..50u32)
        .map(|number| {
            let value = |slot: u32| match number % 3 {
                0 => f64::from((slot * 7919 + number * 104_729) % 200) / 10.0,
                1 => 8e9 + f64::from(slot * 4096 * (number % 5)),
                _ => f64::from(number),
            };
            series(&format!("metric_{number:02}"), "device", &(0..12).map(|slot| Some(value(slot))).collect::<Vec<_>>())
        })
        .collect();
    let size = batch.encode().unwrap().len();
    assert!(size < 2_000, "{size} bytes");
}

const EXTREMES: &[f64] = &[
    0.0,
    -0.0,
    MAX_VALUE,
    -MAX_VALUE,
    f64::MIN_POSITIVE,
    5e-324,
    9_007_199_254_740_992.0,
    9_007_199_254_740_993.0,
    -9_007_199_254_740_992.0,
    9_007_199_254_740.99,
    0.001,
    0.0005,
];

fn any_value() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![
        2 => Just(None),
        4 => (-5_000i64..5_000).prop_map(|tenths| Some(tenths as f64 / 10.0)),
        2 => (0u64..1 << 40).prop_map(|bytes| Some(bytes as f64)),
        1 => any::<f64>().prop_filter_map("a value", |value| is_value(value).then_some(Some(value))),
        1 => prop::sample::select(EXTREMES).prop_map(Some),
    ]
}

fn any_batch() -> impl Strategy<Value = SystemBatch> {
    let of_slots = |slots: u32| {
        let values = prop_oneof![
            prop::collection::vec(any_value(), slots as usize),
            any_value().prop_map(move |value| vec![value; slots as usize]),
            prop::collection::vec((0i64..1000).prop_map(|value| Some(value as f64 / 100.0)), slots as usize),
        ];
        prop::collection::btree_map(("[a-z][a-z0-9_]{0,5}", "\\PC{0,10}"), values, 0..20)
    };
    (1u32..40)
        .prop_flat_map(move |slots| {
            let numbers =
                (up_to(u64::MAX), up_to(MAX_SEQ), from_one_to(MAX_INTERVAL_S), prop::option::of(from_one_to(MAX_EVICTED)));
            (Just(slots), of_slots(slots), numbers, up_to(u64::MAX))
        })
        .prop_map(|(slots, series, (epoch, seq, interval_s, evicted), at)| SystemBatch {
            identity: Identity { server_id: ServerId::new(7), epoch, seq },
            start_s: at.min(END_OF_TIME_S / interval_s - u64::from(slots)) * interval_s,
            interval_s: interval_s as u32,
            slots,
            evicted: evicted.map(|batches| Evicted { batches, from_s: 0, until_s: END_OF_TIME_S }),
            series: series.into_iter().map(|((metric, label), values)| Series { metric, label, values }).collect(),
        })
}

fn bits(batch: &SystemBatch) -> Vec<Option<u64>> {
    batch.series.iter().flat_map(|series| &series.values).map(|value| value.map(f64::to_bits)).collect()
}

proptest! {
    #[test]
    fn any_batch_comes_back_bit_for_bit(batch in any_batch()) {
        let again = SystemBatch::decode(&batch.encode().unwrap()).unwrap();
        prop_assert_eq!(bits(&again), bits(&batch));
        prop_assert_eq!(again, batch);
    }

    #[test]
    fn bytes_of_any_kind_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = SystemBatch::decode(&bytes);
        let _ = SystemBatch::decode(&with_body(&bytes));
    }

    #[test]
    fn a_body_with_a_changed_byte_never_panics(batch in any_batch(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut body = batch.write_body();
        *at.get_mut(&mut body) = byte;
        if let Ok(read) = SystemBatch::decode(&with_body(&body)) {
            let again = SystemBatch::decode(&read.encode().unwrap()).unwrap();
            prop_assert_eq!(bits(&again), bits(&read));
        }
    }
}
