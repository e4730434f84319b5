//! Cases on whose RCODE and answer section BIND, Knot DNS, NSD and PowerDNS agree (dns-groot/FerretDataset).
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use common::{corpus, name, zone};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, ExitCode};
use zonepulse_catalogue::lookup::{View, lookup, print};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let test = Trial::ignorable_test("lookups_answer_as_four_servers_agree", || match corpus("zones/ferret.jsonl.zst") {
        Ok(path) => every_case_agrees(&path).map(|()| Completion::Completed),
        Err(reason) => Ok(Completion::ignored_with(reason)),
    });
    libtest_mimic::run(&arguments, vec![test]).exit_code()
}

fn every_case_agrees(path: &Path) -> Result<(), Failed> {
    let output = Command::new("zstd").arg("-dcq").arg(path).output()?;
    let text = String::from_utf8(output.stdout)?;
    let cases = text.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
    let different: Vec<String> = cases.iter().filter_map(difference).collect();
    if cases.is_empty() || !different.is_empty() {
        let first = different.iter().take(5).cloned().collect::<Vec<_>>().join("\n");
        return Err(format!("{} of {} cases differ:\n{first}", different.len(), cases.len()).into());
    }
    Ok(())
}

/// How a case differs from what was agreed.
fn difference(case: &Value) -> Option<String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let zone = zone(&text(&case["zone"]));
    let (owner, rtype) = (name(&text(&case["query"]["name"])), text(&case["query"]["type"]).parse().unwrap());
    let mut printed = Vec::new();
    print(&lookup(&View::new(&zone), &owner, rtype), &zone, &mut printed).unwrap();
    let printed = String::from_utf8(printed).unwrap();
    let mut lines = printed.lines();
    let rcode = lines.next();
    let mut answer: Vec<&str> = lines.collect();
    let mut agreed: Vec<&str> = case["answer"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    answer.sort_unstable();
    agreed.sort_unstable();
    let same = rcode == case["rcode"].as_str() && answer == agreed;
    (!same).then(|| format!("{case:#}\nbut here: {printed}"))
}
