//! The eviction policy of a full table.
//!
//! A table keeps its records from one interval to the next, so that a flood cannot take all places
//! before the names in real use come back. For each record it knows its **standing**: in which of
//! the last 32 intervals it had a positive response, and for how many intervals nobody queried it.
//! This gives three classes; within each, the record idle longest is evicted first:
//!
//! | class | records | kept while the table, with all higher classes, is |
//! | --- | --- | --- |
//! | established | positive responses in two or more of the last 32 intervals | at most 7/8 full |
//! | answered | positive responses in one of them | at most 3/4 full |
//! | unanswered | only negative responses, errors, or no response at all | at most 1/2 full |
//!
//! Records are evicted between intervals. Within an interval, a record with hits keeps its place,
//! whatever its class, so its sums stay exact. When the table becomes full, unanswered records
//! without hits in the interval are evicted, once per interval. The last eighth of the places is
//! reserved for positive responses: a new, real name finds a place in the middle of a flood.
//!
//! So random names of a flood never displace a name with positive responses. If they get positive
//! responses themselves (a wildcard), they still do not displace established names, because none of
//! them is queried twice.

/// What a table knows about a record besides its sums.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// One bit per interval, with the newest lowest: whether it had a positive response.
    answered: u32,
    /// Number of intervals without a hit.
    idle: u32,
}

/// Number of different ranks.
const RANKS: usize = 3 * PER_CLASS;
const PER_CLASS: usize = 64;
/// Records with more hits than a query and its response rank higher than others.
const FEW_HITS: u64 = 2;

impl Standing {
    /// Ends an interval with this many hits.
    pub(super) fn close_interval(&mut self, hits: u64, positive: bool) {
        self.answered = self.answered << 1 | u32::from(positive);
        self.idle = if hits > 0 { 0 } else { self.idle.saturating_add(1) };
    }

    /// Whether no positive response is known.
    pub(super) fn is_unanswered(self) -> bool {
        self.answered == 0
    }

    /// The higher the rank, the longer the record is kept.
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

/// Memory of a table: number of records, and size of their names.
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

    /// Whether it is within this many eighths of a bound.
    pub(super) fn fits(self, bound: Load, eighths: usize) -> bool {
        let within = |load: usize, bound: usize| load <= bound - bound / 8 * (8 - eighths);
        within(self.records, bound.records) && within(self.words, bound.words) && within(self.text_octets, bound.text_octets)
    }
}

/// Decides which records stay: by rank, and at the rank where space ends, first come, first served.
#[derive(Debug)]
pub(super) struct Choice {
    bound: Load,
    /// All records of a higher rank stay.
    last_rank: usize,
    kept: Load,
}

impl Choice {
    /// `ranked` contains the load of all records by rank.
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

    /// Whether a record stays; must be called once per record.
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

/// How full the table may be for records of a rank to stay, in eighths.
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
        assert_eq!(kept([30, 30, 20], one), [0, 30, 20], "the lowest class stays beyond one half");
        assert_eq!(kept([20, 10, 10], one), [20, 10, 10]);
        let long = Load { records: 1, words: 32, text_octets: 255 };
        assert_eq!(kept([20, 0, 20], long), [0, 0, 20]);
    }
}
