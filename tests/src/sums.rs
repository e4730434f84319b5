//! Hits by record and action: from a tally, and from the truth.

use super::process::succeed;
use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;
use zonepulse_dns::RecordType;
use zonepulse_fixtures::Corpus;

/// Hits by name with the final dot, type, and action.
pub type Sums = BTreeMap<(String, String, String), u64>;

/// The known contents of the corpus's large capture. Every query was answered.
pub fn truth(corpus: &Corpus) -> Sums {
    let text = succeed(Command::new("gzip").arg("-dc").arg(corpus.queries_5533_truth()), Duration::from_secs(60));
    let mut sums = Sums::new();
    for line in text.lines().skip(1) {
        let [name, number, queries] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line:?} in the truth") };
        let record_type = RecordType::new(number.parse().expect("a type is a number")).to_string();
        let queries = queries.parse().expect("a count is a number");
        for action in ["request", "response"] {
            sums.insert((format!("{name}."), record_type.clone(), action.to_owned()), queries);
        }
    }
    assert_eq!(sums.len(), 2 * 33_787);
    sums
}

/// The output of `zonepulse-probe tally`, with response codes summed.
pub fn of_tally(text: &str) -> Sums {
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("host\ttype\taction\trcode\thits\tfirst_access\tlast_access"));
    let mut sums = Sums::new();
    let mut before = u64::MAX;
    for line in lines {
        let [host, record_type, action, rcode, hits, _, _] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{line:?} has not seven columns");
        };
        assert_eq!(rcode == "-", action == "request", "{line:?}");
        let hits: u64 = hits.parse().expect("hits are a number");
        assert!(hits <= before, "most hits come first: {line:?}");
        before = hits;
        *sums.entry((host.to_owned(), record_type.to_owned(), action.to_owned())).or_default() += hits;
    }
    sums
}

/// Panics if the two differ, showing some of the differences.
pub fn assert_equal(found: &Sums, truth: &Sums) {
    let wrong: Vec<_> = truth.iter().filter(|(key, hits)| found.get(key) != Some(hits)).take(10).collect();
    assert!(wrong.is_empty(), "not as the truth says, for example {wrong:?}");
    let excess: Vec<_> = found.keys().filter(|key| !truth.contains_key(key)).take(10).collect();
    assert!(excess.is_empty(), "not in the truth, for example {excess:?}");
}
