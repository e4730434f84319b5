//! Captures of strangers, some of them damaged on purpose: no panic, no hang, a clear line for what cannot be read.

use libtest_mimic::Trial;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;
use zonepulse_fixtures::Corpus;
use zonepulse_tests::needs::{corpus, test_with};
use zonepulse_tests::probe::tally;

pub fn trials() -> Vec<Trial> {
    vec![
        test_with("every_public_capture_is_read_to_its_end_or_refused_with_a_clear_line", corpus, every_file),
        test_with("all_public_captures_at_once_are_read_as_one_by_one", corpus, all_at_once),
    ]
}

/// Hits that `tally` prints.
fn hits(out: &str) -> u64 {
    let column = |line: &str| line.split('\t').nth(4).and_then(|hits| hits.parse::<u64>().ok());
    out.lines().skip(1).map(|line| column(line).unwrap_or_else(|| panic!("no hits in {line:?}"))).sum()
}

fn every_file(corpus: Corpus) {
    let expected = queries_by_tshark(&corpus);
    let (mut read, mut refused, mut found, mut possible) = (0, 0, 0, 0);
    for path in corpus.public_captures().expect("the corpus is readable") {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let output = tally(&[path.as_os_str()], Duration::from_secs(20));
        assert!(!output.err.contains("panicked"), "{name}: {}", output.err);
        assert!(output.out.starts_with("host\ttype\taction\trcode\thits\t"), "{name}: {}", output.out);
        match output.code {
            Some(0) => read += 1,
            Some(1) => {
                refused += 1;
                assert!(output.err.lines().any(|line| line.contains(&name)), "{name} is not named: {}", output.err);
            }
            code => panic!("{name}: exit code {code:?}: {}", output.err),
        }
        let (hits, tshark) = (hits(&output.out), expected.get(&name).copied().unwrap_or_default());
        found += hits.min(tshark);
        possible += tshark;
        if hits != tshark {
            println!("public captures: {name}: {hits} messages, tshark {tshark}");
        }
    }
    println!("public captures: {read} read, {refused} refused, {found} of tshark's {possible} queries and responses found");
    assert!(found * 100 >= possible * 98, "too few messages are found");
}

fn all_at_once(corpus: Corpus) {
    let paths = corpus.public_captures().expect("the corpus is readable");
    let one_by_one: u64 = paths.iter().map(|path| hits(&tally(&[path.as_os_str()], Duration::from_secs(20)).out)).sum();
    let all: Vec<_> = paths.iter().map(|path| path.as_os_str()).collect();
    let output = tally(&all, Duration::from_secs(60));
    assert_eq!(output.code, Some(1), "some of them cannot be read: {}", output.err);
    assert_eq!(hits(&output.out), one_by_one);
}

/// Messages of tshark by file: DNS on UDP and TCP with a question, not those quoted in ICMP errors.
fn queries_by_tshark(corpus: &Corpus) -> BTreeMap<String, u64> {
    let path: &Path = &corpus.public_captures_expected();
    let mut sums = BTreeMap::new();
    for line in fs::read_to_string(path).expect("the corpus is readable").lines().skip(1) {
        let [file, _, protocol, _, directions, _, names, _] = line.split('\t').collect::<Vec<_>>()[..] else { continue };
        if protocol == "dns" && !names.is_empty() {
            *sums.entry(file.to_owned()).or_default() += directions.split('|').count() as u64;
        }
    }
    sums
}
