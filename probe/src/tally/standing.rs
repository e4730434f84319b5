//! Who keeps its place: the policy by which a full table gives places up.
//!
//! A table remembers its records from one interval to the next, so that a flood
//! cannot take the places before the names that are really used come back. Of
//! each record it knows its **standing**: in which of the last 32 intervals it
//! was answered positively, and for how many intervals nobody asked for it. That
//! makes three classes, and within each who was idle longest goes first:
//!
//! | class | records | are kept while the table is, with all classes above |
//! | --- | --- | --- |
//! | established | answered positively in two or more of the last 32 intervals | at most 7/8 full |
//! | answered | answered positively in one of them | at most 3/4 full |
//! | unanswered | only ever denied, refused, or not answered at all | at most 1/2 full |
//!
//! Places are given up between two intervals. Within an interval a record that has
//! hits keeps its place, whatever its class, so its sums stay exact; when the table
//! becomes full, unanswered records that had no hit in it go, once an interval.
//! And the last eighth of the places is for positive answers only: a name that
//! is new and real finds a place in the middle of a flood.
//!
//! So names that a flood makes up never push out a name that is answered. Where
//! they are answered themselves (a wildcard), they do not push out an established
//! one, because none of theirs comes twice.

/// What a table knows of a record besides its sums.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// A bit per interval, the newest lowest: whether it was answered positively.
    answered: u32,
    /// For how many intervals it had no hit.
    idle: u32,
}

/// How many different ranks there are.
const RANKS: usize = 3 * PER_CLASS;
const PER_CLASS: usize = 64;
/// A record of more hits than a question and its answer goes after one of no more.
const FEW_HITS: u64 = 2;

impl Standing {
    /// An interval with so many hits is over.
    pub(super) fn close_interval(&mut self, hits: u64, positive: bool) {
        self.answered = self.answered << 1 | u32::from(positive);
        self.idle = if hits > 0 { 0 } else { self.idle.saturating_add(1) };
    }

    /// Whether it was never answered positively, as far as is known.
    pub(super) fn is_unanswered(self) -> bool {
        self.answered == 0
    }

    /// The higher, the longer it keeps its place.
    pub(super) fn rank(self, hits: u64) -> Rank {
        let class = self.answered.count_ones().min(2) as usize;
        let recent = match self.idle {
            0 if hits > FEW_HITS => PER_CLASS - 1,
            idle => PER_CLASS - 2 - (idle as usize).min(PER_CLASS - 2),
        };
        Rank(class * PER_CLASS + recent)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank(usize);

/// What a table is full of: records, and what their names take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) records: usize,
    pub(super) words: usize,
    pub(super) text_octets: usize,
}

impl Load {
    pub(super) fn add(&mut self, other: Load) {
        self.records += other.records;
        self.words += other.words;
        self.text_octets += other.text_octets;
    }

    /// Whether it is within so many eighths of a bound.
    pub(super) fn fits(self, bound: Load, eighths: usize) -> bool {
        let within = |load: usize, bound: usize| load <= bound - bound / 8 * (8 - eighths);
        within(self.records, bound.records) && within(self.words, bound.words) && within(self.text_octets, bound.text_octets)
    }
}

/// Chooses who stays: by rank, and at the rank at which room ends, whoever is asked about first.
#[derive(Debug)]
pub(super) struct Choice {
    bound: Load,
    /// All of a rank above this stay.
    last_rank: usize,
    kept: Load,
}

impl Choice {
    /// `ranked` are the loads of all records by rank.
    pub(super) fn new(bound: Load, ranked: &Ranked) -> Self {
        let mut kept = Load::default();
        for (rank, load) in ranked.0.iter().enumerate().rev() {
            let mut with = kept;
            with.add(*load);
            if !with.fits(bound, eighths(rank)) {
                return Choice { bound, last_rank: rank, kept };
            }
            kept = with;
        }
        Choice { bound, last_rank: 0, kept: Load::default() }
    }

    /// Whether a record stays; each is asked about once.
    pub(super) fn stays(&mut self, rank: Rank, load: Load) -> bool {
        if rank.0 != self.last_rank {
            return rank.0 > self.last_rank;
        }
        let mut with = self.kept;
        with.add(load);
        let stays = with.fits(self.bound, eighths(rank.0));
        if stays {
            self.kept = with;
        }
        stays
    }
}

/// How full the table may be for records of a rank to stay.
fn eighths(rank: usize) -> usize {
    match rank / PER_CLASS {
        0 => 4,
        1 => 6,
        _ => 7,
    }
}

/// Loads by rank.
#[derive(Debug)]
pub(super) struct Ranked([Load; RANKS]);

impl Ranked {
    pub(super) fn new() -> Self {
        Ranked([Load::default(); RANKS])
    }

    pub(super) fn add(&mut self, rank: Rank, load: Load) {
        if let Some(sum) = self.0.get_mut(rank.0) {
            sum.add(load);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(history: &[(u64, bool)]) -> Standing {
        let mut standing = Standing::default();
        history.iter().for_each(|(hits, positive)| standing.close_interval(*hits, *positive));
        standing
    }

    #[test]
    fn answers_count_before_idleness_and_idleness_before_hits() {
        let established = standing(&[(1, true), (1, true), (0, false), (0, false)]);
        let answered = standing(&[(900, true)]);
        let busy = standing(&[(900, false)]);
        let asked = standing(&[(1, false)]);
        let idle = standing(&[(900, false), (0, false)]);
        let ranks = [established.rank(0), answered.rank(900), busy.rank(900), asked.rank(1), idle.rank(0)];
        assert!(ranks.is_sorted_by(|a, b| a > b), "{ranks:?}");
    }

    #[test]
    fn an_answer_is_remembered_for_32_intervals() {
        let mut history = vec![(5, true)];
        history.extend([(5, false); 31]);
        assert!(!standing(&history).is_unanswered());
        history.push((5, false));
        assert!(standing(&history).is_unanswered());
    }

    #[test]
    fn each_class_has_its_share() {
        let bound = Load { records: 80, words: 800, text_octets: 8000 };
        let one = Load { records: 1, words: 1, text_octets: 1 };
        let classes = [standing(&[(1, false)]), standing(&[(1, true)]), standing(&[(1, true), (1, true)])];
        let kept = |counts: [usize; 3], one: Load| {
            let mut ranked = Ranked::new();
            let all = || classes.iter().zip(counts).flat_map(|(class, count)| std::iter::repeat_n(class.rank(1), count));
            all().for_each(|rank| ranked.add(rank, one));
            let mut choice = Choice::new(bound, &ranked);
            let mut kept = [0; 3];
            for rank in all() {
                kept[rank.0 / PER_CLASS] += usize::from(choice.stays(rank, one));
            }
            kept
        };
        assert_eq!(kept([80, 0, 0], one), [40, 0, 0]);
        assert_eq!(kept([0, 80, 0], one), [0, 60, 0]);
        assert_eq!(kept([0, 0, 80], one), [0, 0, 70]);
        assert_eq!(kept([30, 30, 20], one), [0, 30, 20], "above a half, none of the lowest class");
        assert_eq!(kept([20, 10, 10], one), [20, 10, 10]);
        let long = Load { records: 1, words: 32, text_octets: 255 };
        assert_eq!(kept([20, 0, 20], long), [0, 0, 20]);
    }
}
