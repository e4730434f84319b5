use super::*;
use proptest::prelude::*;
use zonepulse_model::SeriesId;

/// What the wire takes ends at 1e30; earlier versions took every finite value.
const EXTREMES: &[f64] = &[
    0.0,
    -0.0,
    1e30,
    -1e30,
    f64::MAX,
    f64::MIN,
    f64::MIN_POSITIVE,
    5e-324,
    9_007_199_254_740_992.0,
    -9_007_199_254_740_992.0,
    9_007_199_254_740_993.0,
    9_007_199_254_740.99,
    -0.001,
];

fn values(interval_s: u32) -> impl Strategy<Value = Values> {
    let most = HOUR_S / interval_s;
    let value = prop_oneof![
        4 => (0i64..1000).prop_map(|tenths| tenths as f64 / 10.0),
        2 => (0i64..1 << 30).prop_map(|pages| pages as f64 * 4096.0),
        1 => any::<f64>().prop_filter("finite", |value| value.is_finite()),
        1 => prop::sample::select(EXTREMES),
    ];
    let rounded = (0i64..1000).prop_map(|tenths| tenths as f64 / 10.0);
    let slots = move |value: BoxedStrategy<f64>| prop::collection::btree_map(0..most as u16, value, 1..60);
    prop_oneof![slots(value.boxed()), slots(rounded.boxed()), slots(Just(5.0).boxed())]
        .prop_map(|slots| slots.into_iter().collect())
}

fn any_raw() -> impl Strategy<Value = Raw> {
    let series = (128u32..192).prop_map(SeriesId::new);
    let place = (series, prop::sample::select(vec![1u32, 5, 10, 60, 300]));
    prop::collection::btree_map(place.prop_map(|place| place), Just(()), 1..6).prop_flat_map(|places| {
        let all: Vec<_> = places.into_keys().map(|place| values(place.1).prop_map(move |values| (place, values))).collect();
        all.prop_map(|all| all.into_iter().collect())
    })
}

fn read(value: &[u8]) -> Result<Raw, Malformed> {
    let (mut list, mut decoder, mut raw) = (list(value, 128)?, Decoder::new().unwrap(), Raw::new());
    while let Some(part) = list.next()? {
        let values = decoder.raw(&part)?;
        assert_eq!(part.points()? as usize, values.len());
        assert_eq!(part.slots()?, values.iter().map(|(slot, _)| *slot).collect::<Vec<_>>());
        raw.insert(part.place, values);
    }
    Ok(raw)
}

fn read_rolled_up(value: &[u8]) -> Result<RolledUp, Malformed> {
    let (mut list, mut decoder, mut all) = (list(value, 128)?, Decoder::new().unwrap(), RolledUp::new());
    while let Some(part) = list.next()? {
        all.insert(part.place, decoder.rolled_up(&part)?);
    }
    Ok(all)
}

fn bits(raw: &Raw) -> Vec<(Place, u16, u64)> {
    raw.iter().flat_map(|(place, values)| values.iter().map(|(slot, value)| (*place, *slot, value.to_bits()))).collect()
}

#[test]
fn raw_values_of_version_1_stay_as_they_are_byte_for_byte() {
    let raw = Raw::from([
        ((SeriesId::new(130), 5), vec![(0, 12.5), (1, 12.4), (3, 0.0), (4, 99.9)]),
        ((SeriesId::new(131), 60), vec![(59, 4096.0)]),
        ((SeriesId::new(131), 300), vec![(0, 1e-9), (1, 1e-9)]),
    ]);
    let value = Encoder::new().unwrap().raw(128, &raw);
    assert_eq!(read(&value).unwrap(), raw);
    assert_eq!(value, GOLDEN_RAW);
}

#[test]
fn rolled_up_values_of_version_1_stay_as_they_are_byte_for_byte() {
    let mut first = Bucket::of(12.5, 5);
    first.merge(&Bucket::of(12.1, 300));
    let all = RolledUp::from([
        ((SeriesId::new(130), 300), vec![(0, first), (11, Bucket::of(0.3, 3600))]),
        ((SeriesId::new(131), 300), vec![(0, Bucket::of(1e-9, 300))]),
    ]);
    let value = Encoder::new().unwrap().rolled_up(128, &all);
    assert_eq!(read_rolled_up(&value).unwrap(), all);
    assert_eq!(value, GOLDEN_ROLLED_UP);
}

#[rustfmt::skip]
const GOLDEN_RAW: &[u8] = &[
    // Version, list.
    1, 10, 2, 5, 14, 1, 60, 6, 0, 172, 2, 13,
    // Tenths: slots 0, 1, 3 and 4.
    2, 0, 2, 1, 2, 21, 250, 1, 5, 137, 0, 238, 157, 115,
    // One whole number in slot 59.
    1, 59, 1, 0, 128, 64,
    // Doubles, both the same.
    1, 0, 2, 112, 170, 218, 182, 130, 253, 130, 151, 145, 124,
];

#[rustfmt::skip]
const GOLDEN_ROLLED_UP: &[u8] = &[
    // Version, list.
    1, 8, 2, 172, 2, 29, 1, 172, 2, 47,
    // Buckets 0 and 11: count, end of the last, last, least, greatest, sum.
    2, 0, 1, 10, 1, 5, 4, 1, 64, 0, 0, 149, 242, 1, 118, 1, 64, 16, 0, 149, 8, 4, 1, 64, 149, 8, 4, 1, 64,
    // The same of doubles.
    1, 0, 1, 0, 2, 0, 0,
    112, 170, 218, 182, 130, 253, 130, 151, 145, 124, 112, 170, 218, 182, 130, 253, 130, 151, 145, 124,
    112, 170, 218, 182, 130, 253, 130, 151, 145, 124, 112, 170, 218, 182, 130, 253, 130, 151, 145, 124,
];

#[test]
fn an_hour_of_a_steady_series_takes_a_few_bytes() {
    let raw = Raw::from([((SeriesId::new(128), 5), (0..720).map(|slot| (slot, 1e12)).collect())]);
    let value = Encoder::new().unwrap().raw(128, &raw);
    assert!(value.len() < 24, "{}", value.len());
}

proptest! {
    #[test]
    fn raw_points_come_back_bit_for_bit(raw in any_raw()) {
        let value = Encoder::new().unwrap().raw(128, &raw);
        prop_assert_eq!(bits(&read(&value).unwrap()), bits(&raw));
    }

    #[test]
    fn buckets_come_back_and_say_the_same_mean(raw in any_raw()) {
        for level in crate::Level::ROLL_UPS {
            let all = crate::system::points::roll_up(&raw, level);
            let again = read_rolled_up(&Encoder::new().unwrap().rolled_up(128, &all)).unwrap();
            prop_assert_eq!(all.len(), again.len());
            for ((place, a), (other, b)) in all.iter().zip(&again) {
                prop_assert_eq!((place, a.len()), (other, b.len()));
                for ((slot, a), (other, b)) in a.iter().zip(b) {
                    prop_assert_eq!(slot, other);
                    prop_assert_eq!(Bucket { sum: b.sum, ..*a }, *b);
                    prop_assert_eq!(a.avg().to_bits(), b.avg().to_bits());
                }
            }
        }
    }

    #[test]
    fn damaged_values_never_panic(raw in any_raw(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut encoder = Encoder::new().unwrap();
        let buckets = encoder.rolled_up(128, &crate::system::points::roll_up(&raw, crate::Level::M5));
        for mut value in [encoder.raw(128, &raw), buckets] {
            *at.get_mut(&mut value) = byte;
            let _ = read(&value);
            let _ = read_rolled_up(&value);
        }
    }
}
