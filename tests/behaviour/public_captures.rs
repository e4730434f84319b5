//! Public captures, some of them damaged on purpose: no panic, no hang, a clear line for what
//! cannot be read, and nothing missing without a reason.

use libtest_mimic::Trial;
use std::fs;
use std::time::Duration;
use zonepulse_fixtures::{Corpus, project};
use zonepulse_tests::needs::{corpus, test_with};
use zonepulse_tests::probe::tally;
use zonepulse_tests::recall;

pub fn trials() -> Vec<Trial> {
    vec![
        test_with("every_public_capture_is_read_to_its_end_or_refused_with_a_clear_line", corpus, every_file),
        test_with("nothing_in_the_public_captures_is_missing_or_invented_without_a_reason", corpus, found),
        test_with("every_message_of_the_public_dnstap_files_is_counted_or_named", corpus, dnstap_files),
        test_with("all_public_captures_at_once_are_read_as_one_by_one", corpus, all_at_once),
    ]
}

/// Sum of the hits that `tally` prints.
fn hits(out: &str) -> u64 {
    let column = |line: &str| line.split('\t').nth(4).and_then(|hits| hits.parse::<u64>().ok());
    out.lines().skip(1).map(|line| column(line).unwrap_or_else(|| panic!("no hits in {line:?}"))).sum()
}

fn every_file(corpus: Corpus) {
    let (mut read, mut refused) = (0, 0);
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
    }
    println!("public captures: {read} read, {refused} refused");
}

fn found(corpus: Corpus) {
    let rows = recall::rows(&corpus);
    let unexplained: Vec<_> = rows.iter().filter(|row| !row.is_explained()).collect();
    assert!(unexplained.is_empty(), "no reason is given for {unexplained:#?}");
    let path = project().join("docs/RECALL.md");
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(kept, recall::document(&rows), "{} is not what is found: make recall writes it anew", path.display());
}

fn dnstap_files(corpus: Corpus) {
    let index = fs::read_to_string(corpus.public_captures_index()).expect("the corpus is readable");
    let mut files = 0;
    for path in corpus.public_captures().expect("the corpus is readable") {
        if path.extension().is_none_or(|extension| extension != "dnstap") {
            continue;
        }
        files += 1;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let columns: Vec<_> = index.lines().find(|line| line.starts_with(&name)).expect("the index has it").split('\t').collect();
        let expected: u64 = columns[5].parse().expect("a number of messages");
        let output = tally(&[path.as_os_str()], Duration::from_secs(20));
        assert_eq!(output.code, Some(0), "{name}: {}", output.err);
        // One server answered a question about the root's SOA without repeating it.
        let named = output.err.lines().filter(|line| line.ends_with(": no_question 1")).count() as u64;
        assert_eq!(hits(&output.out) + named, expected, "{name}: {}", output.err);
        assert_eq!(named, u64::from(name.contains("DVE-2017-0005")), "{name}: {}", output.err);
    }
    assert!(files > 10, "{files} files");
}

fn all_at_once(corpus: Corpus) {
    let paths = corpus.public_captures().expect("the corpus is readable");
    let one_by_one: u64 = paths.iter().map(|path| hits(&tally(&[path.as_os_str()], Duration::from_secs(20)).out)).sum();
    let all: Vec<_> = paths.iter().map(|path| path.as_os_str()).collect();
    let output = tally(&all, Duration::from_secs(60));
    assert_eq!(output.code, Some(1), "some of them cannot be read: {}", output.err);
    assert_eq!(hits(&output.out), one_by_one);
}
