//! Which roll-ups answer a question.
//!
//! A sum over a time range is the same whether raw points or the buckets of a roll-up are added up,
//! as long as the range begins and ends on bucket boundaries. So a range is cut: its middle is read from
//! the coarsest usable roll-up, and its ends, where those buckets do not fit, from finer ones, down
//! to raw points. The sum is exact, and a day costs 24 buckets instead of 1,440 points.

use zonepulse_store::{Level, Selection};

/// A part of a range, and the level that it is read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) level: Level,
    pub(crate) selection: Selection,
}

/// Stretches of time of one length, aligned to the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stretches {
    pub(crate) length_s: u32,
    /// How much earlier than a multiple of their length they begin.
    pub(crate) shift_s: u32,
}

impl Stretches {
    /// Those that begin at multiples of their length.
    pub(crate) fn of(length_s: u32) -> Self {
        Stretches { length_s, shift_s: 0 }
    }
}

/// The coarsest level each of whose buckets lies within one stretch.
pub(crate) fn coarsest(Stretches { length_s, shift_s }: Stretches) -> Level {
    let fits = |level: &Level| {
        level.bucket_s().is_some_and(|bucket_s| length_s.is_multiple_of(bucket_s) && shift_s.is_multiple_of(bucket_s))
    };
    Level::ROLL_UPS.into_iter().rfind(fits).unwrap_or(Level::Raw)
}

/// Cuts a selection into pieces in time order, none of a level coarser than `coarsest`.
pub(crate) fn pieces(selection: &Selection, coarsest: Level) -> Vec<Piece> {
    let mut levels: Vec<(Level, u64)> = Level::ROLL_UPS
        .into_iter()
        .filter(|level| *level <= coarsest)
        .filter_map(|level| level.bucket_s().map(|bucket_s| (level, u64::from(bucket_s))))
        .collect();
    levels.insert(0, (Level::Raw, 1));
    // An open end cuts no bucket.
    let (from_s, until_s) = (selection.from_s, selection.until_s);
    let mut pieces: Vec<Piece> = Vec::new();
    let mut put = |level: Level, from_s: u64, until_s: u64| {
        if from_s < until_s {
            pieces.push(Piece { level, selection: Selection { from_s, until_s, ..selection.clone() } });
        }
    };
    // Up: each level until the next one's first whole bucket.
    let mut at_s = from_s;
    let mut reached = 0;
    for (place, (level, _)) in levels.iter().enumerate() {
        reached = place;
        let Some((_, next_s)) = levels.get(place + 1) else { break };
        let next_at_s = at_s.checked_next_multiple_of(*next_s).unwrap_or(u64::MAX);
        if next_at_s >= until_s || floor(until_s, *next_s) <= next_at_s {
            break;
        }
        put(*level, at_s, next_at_s);
        at_s = next_at_s;
    }
    // Down: each level to its last whole bucket.
    for (level, bucket_s) in levels.iter().take(reached + 1).rev() {
        let end_s = floor(until_s, *bucket_s).max(at_s);
        put(*level, at_s, end_s);
        at_s = end_s;
    }
    pieces
}

/// The last multiple not after a time; an open end is on every boundary.
fn floor(time_s: u64, bucket_s: u64) -> u64 {
    if time_s == u64::MAX { u64::MAX } else { time_s - time_s % bucket_s }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cut(from_s: u64, until_s: u64, coarsest: Level) -> Vec<(Level, u64, u64)> {
        let selection = Selection { from_s, until_s, ..Selection::all() };
        pieces(&selection, coarsest)
            .into_iter()
            .map(|piece| (piece.level, piece.selection.from_s, piece.selection.until_s))
            .collect()
    }

    #[test]
    fn the_coarsest_level_is_the_one_that_divides() {
        for (length_s, level) in [
            (60, Level::Raw),
            (300, Level::M5),
            (600, Level::M5),
            (900, Level::M15),
            (1800, Level::M30),
            (3600, Level::H1),
            (86_400, Level::H1),
            (5400, Level::M30),
        ] {
            assert_eq!(coarsest(Stretches::of(length_s)), level, "{length_s}");
        }
    }

    #[test]
    fn stretches_that_begin_between_buckets_need_finer_ones() {
        for (shift_s, level) in [(3600, Level::H1), (19_800, Level::M30), (20_700, Level::M15), (300, Level::M5), (1, Level::Raw)]
        {
            assert_eq!(coarsest(Stretches { length_s: 86_400, shift_s }), level, "{shift_s}");
        }
    }

    #[test]
    fn a_day_between_hours_is_read_from_hours() {
        assert_eq!(cut(0, 86_400, Level::H1), [(Level::H1, 0, 86_400)]);
        assert_eq!(cut(0, u64::MAX, Level::M15), [(Level::M15, 0, u64::MAX)]);
        assert_eq!(cut(0, 86_400, Level::Raw), [(Level::Raw, 0, 86_400)]);
    }

    #[test]
    fn ends_that_fit_no_bucket_are_read_finer() {
        assert_eq!(
            cut(3540, 8460, Level::H1),
            [
                (Level::Raw, 3540, 3600),
                (Level::H1, 3600, 7200),
                (Level::M15, 7200, 8100),
                (Level::M5, 8100, 8400),
                (Level::Raw, 8400, 8460)
            ]
        );
        assert_eq!(cut(10, 20, Level::H1), [(Level::Raw, 10, 20)]);
        assert_eq!(cut(10, 10, Level::H1), []);
    }

    proptest! {
        #[test]
        fn pieces_follow_each_other_and_buckets_are_whole(from_s in 0u64..20_000, length_s in 0u64..20_000, level in 0usize..5) {
            let mut at_s = from_s;
            for (level, begin_s, end_s) in cut(from_s, from_s + length_s, Level::ALL[level]) {
                prop_assert_eq!(begin_s, at_s);
                prop_assert!(begin_s < end_s);
                let bucket_s = u64::from(level.bucket_s().unwrap_or(1));
                prop_assert!(begin_s.is_multiple_of(bucket_s) && end_s.is_multiple_of(bucket_s));
                at_s = end_s;
            }
            prop_assert_eq!(at_s, from_s + length_s);
        }
    }
}
