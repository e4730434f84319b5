use super::columns::skip_numbers;
use super::format::{last_of_slot, slots};
use super::*;
use crate::Precision;
use crate::database::key::GROUP;
use crate::dns::cell::{Cell, Series, arrange};
use proptest::prelude::*;
use zonepulse_codec::{Malformed, Reader, put};
use zonepulse_dns::MessageKind;
use zonepulse_fixtures::extremes::{from_one_to, up_to};

fn decoded(value: &[u8]) -> Result<Vec<(Series, Vec<Cell>)>, Malformed> {
    let mut decoder = Decoder::new().unwrap();
    let mut all = Vec::new();
    for part in parts(value)? {
        let part = part?;
        decoder.read(&part, &Wanted::EVERYTHING)?;
        let mut cells = Vec::new();
        decoder.columns.cells(&mut cells);
        all.push((part.series(), cells));
    }
    Ok(all)
}

fn encoded(precision: Precision, all: &[(Series, Vec<Cell>)]) -> Vec<u8> {
    Encoder::new(precision).unwrap().encode(all.iter().map(|(series, cells)| (*series, cells.as_slice())))
}

fn few() -> Vec<(Series, Vec<Cell>)> {
    let cell = |low, slot, last_ms, hits| Cell { low, slot, last_ms, hits };
    let minutes = vec![cell(1, 0, 59_999, 5), cell(1, 9, 599_000, 300), cell(200, 59, 3_540_000, 1)];
    let hour = vec![cell(0, 0, 3_599_999, 2)];
    vec![((60, 0), minutes), ((3600, 1), hour)]
}

/// To whole seconds.
fn rounded(mut all: Vec<(Series, Vec<Cell>)>) -> Vec<(Series, Vec<Cell>)> {
    all.iter_mut().flat_map(|(_, cells)| cells).for_each(|cell| cell.last_ms -= cell.last_ms % 1000);
    all
}

#[test]
fn version_1_is_read_as_it_was_written() {
    let first = [
        1, 60, 0, 35, 2, 3, 18, 1, 199, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 4, 4, 5, 172, 2, 1, 3, 0, 231, 95, 3, 0,
        3, 234,
    ];
    let second = [144, 28, 1, 14, 1, 1, 2, 0, 1, 1, 1, 2, 1, 0, 1, 0, 1, 0];
    let value = [&first[..], &second[..]].concat();
    assert_eq!((precision(&value), decoded(&value)), (Ok(Precision::Milliseconds), Ok(few())));
    let milliseconds = encoded(Precision::Milliseconds, &few());
    assert_eq!((&milliseconds[..2], &milliseconds[2..]), (&[2, 1][..], &value[1..]), "the rest is the same");
}

#[test]
fn version_2_stays_as_it_is_byte_for_byte() {
    let value = encoded(Precision::Seconds, &few());
    let first =
        [2, 232, 7, 60, 0, 31, 2, 3, 18, 1, 199, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 4, 4, 5, 172, 2, 1, 3, 0, 0, 59];
    let second = [144, 28, 1, 12, 1, 1, 2, 0, 1, 1, 1, 2, 1, 0, 1, 0];
    assert_eq!(value, [&first[..], &second[..]].concat());
    assert_eq!((precision(&value), decoded(&value)), (Ok(Precision::Seconds), Ok(rounded(few()))));
}

#[test]
fn numbers_are_passed_over_whole() {
    let numbers = [1, 300, 5, 1 << 60, 2, 127, 128, 3, 1 << 40, 7, 8, 9, 10, 11, 12, 13, 14, 15];
    let mut bytes = Vec::new();
    numbers.iter().for_each(|number| put(&mut bytes, *number));
    for count in 0..=numbers.len() {
        let mut rest = Reader::new(skip_numbers(&bytes, count).unwrap());
        let read: Vec<u64> = std::iter::from_fn(|| rest.number("number").ok()).collect();
        assert_eq!(read, numbers[count..]);
    }
    assert!(skip_numbers(&bytes, numbers.len() + 1).is_err());
}

#[test]
fn columns_that_get_smaller_are_compressed_and_come_back() {
    let cells: Vec<Cell> = (0..=255u8)
        .flat_map(|low| (0..60).map(move |slot| Cell { low, slot, last_ms: u32::from(slot) * 60_000, hits: 7 }))
        .collect();
    let all = vec![((60, 0), cells)];
    let value = encoded(Precision::Milliseconds, &all);
    assert!(value.len() < 300, "{} bytes", value.len());
    assert_eq!(decoded(&value), Ok(all));
}

fn any_parts() -> impl Strategy<Value = Vec<(Series, Vec<Cell>)>> {
    let interval = prop::sample::select(vec![1u32, 5, 30, 60, 300, 900, 3600]);
    let part = (interval, 0..MessageKind::COUNT).prop_flat_map(|(interval_s, kind)| {
        let (last_slot, oldest) = (slots(interval_s) as u64 - 1, u64::from(interval_s) * 1000 - 1);
        let cell =
            (up_to(255), up_to(last_slot), from_one_to(u64::MAX), up_to(oldest)).prop_map(move |(low, slot, hits, age)| {
                let slot = slot as u16;
                Cell { low: low as u8, slot, last_ms: last_of_slot(interval_s, slot, 1) - age as u32, hits }
            });
        prop::collection::vec(cell, 1..200).prop_map(move |mut cells| {
            arrange(&mut cells, &mut Vec::new());
            ((interval_s, kind), cells)
        })
    });
    prop::collection::vec(part, 0..3)
}

proptest! {
    #[test]
    fn a_sealed_value_gives_back_its_points(all in any_parts()) {
        prop_assert_eq!(decoded(&encoded(Precision::Milliseconds, &all)), Ok(all.clone()));
        prop_assert_eq!(decoded(&encoded(Precision::Seconds, &all)), Ok(rounded(all)));
    }

    #[test]
    fn some_records_are_read_as_they_are_among_all(
        all in any_parts(),
        lows in prop::collection::btree_set(any::<u8>(), 0..40),
        (hits, last_access) in any::<(bool, bool)>(),
    ) {
        let value = encoded(Precision::Seconds, &all);
        let lows: Vec<u8> = lows.into_iter().collect();
        let mut decoder = Decoder::new().unwrap();
        for (part, (_, cells)) in parts(&value).unwrap().zip(rounded(all)) {
            decoder.read(&part.unwrap(), &Wanted { hits, last_access, lows: Some(&lows) }).unwrap();
            let wanted: Vec<Cell> = cells.into_iter().filter(|cell| lows.contains(&cell.low)).collect();
            let columns = &decoder.columns;
            let found: Vec<u8> = columns.records().flat_map(|(low, range)| range.map(move |_| low)).collect();
            prop_assert_eq!(found, wanted.iter().map(|cell| cell.low).collect::<Vec<_>>());
            prop_assert_eq!(&columns.slots, &wanted.iter().map(|cell| cell.slot).collect::<Vec<_>>());
            prop_assert!(!hits || columns.hits == wanted.iter().map(|cell| cell.hits).collect::<Vec<_>>());
            prop_assert!(!last_access || columns.last_ms == wanted.iter().map(|cell| cell.last_ms).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_is_added_at_once_are_the_hits_that_are_read(
        hits in prop::collection::btree_map(any::<u8>(), prop_oneof![0..200u64, any::<u64>()], 1..=256),
        damage in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let cells = hits.iter().map(|(low, hits)| Cell { low: *low, slot: 0, last_ms: 0, hits: *hits }).collect();
        let mut value = encoded(Precision::Seconds, &[((3600, 0), cells)]);
        if let Some((at, byte)) = damage {
            *at.get_mut(&mut value) = byte;
        }
        let mut decoder = Decoder::new().unwrap();
        let wanted = Wanted { hits: true, last_access: false, lows: None };
        for part in parts(&value).into_iter().flatten().flatten().filter(|part| part.interval_s == 3600) {
            let mut sums = [(0, 0); GROUP as usize];
            let added = decoder.add_single(&part, &mut sums);
            prop_assert_eq!(added.is_ok(), decoder.read(&part, &wanted).is_ok());
            prop_assert!(added.is_ok() || damage.is_some());
            if added.is_ok() {
                let mut read = [(0, 0); GROUP as usize];
                decoder.columns.lows.iter().zip(&decoder.columns.hits).for_each(|(low, hits)| read[usize::from(*low)].0 = *hits);
                prop_assert_eq!(sums, read);
            }
        }
    }

    #[test]
    fn a_damaged_value_is_refused_or_read_but_never_panics(all in any_parts(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut value = encoded(Precision::Seconds, &all);
        *at.get_mut(&mut value) = byte;
        let _ = decoded(&value);
    }
}
