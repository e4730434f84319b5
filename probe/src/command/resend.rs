//! `zonepulse-probe resend`.

use super::LogArgs;
use crate::Error;
use crate::config::{Argument, Config};
use crate::spool::Refused;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use zonepulse_wire::Utc;

/// List the batches that the central rejected for good, or send them again.
///
/// Without names, print one line per batch: name, start of its interval, size in bytes, `refused`
/// or `to be sent again`, and the reason. With names, or --all, put the batches back into the
/// spool. A running probe picks them up within seconds, otherwise the next one to start; batches of
/// a replay (replay-N/NAME) go with the next replay for that server. A batch counts once, however
/// often it is sent; each further refusal adds one to batches_refused.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The probe's configuration file (TOML).
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Override a configuration key, as in spool.dir=/var/spool/probe (repeatable).
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<Argument>,
    /// Send all of them again.
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// Names of the batches to send again, as listed.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

/// Lists or resends. Fails, and resends nothing, if a name does not match a refused batch.
pub fn run(args: &Args, log: LogArgs) -> Result<ExitCode, Error> {
    let config = Config::load(&args.config, &args.set)?;
    log.start(&config.log);
    config.warn();
    let refused = all_in(&config.spool.dir)?;
    if !args.all && args.names.is_empty() {
        print(&refused).map_err(Error::disk("write to", "standard output"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let chosen = if args.all { refused.iter().collect() } else { choose(&refused, &args.names)? };
    for (_, batch) in &chosen {
        batch.offer()?;
    }
    println!("{} batches will be sent again", chosen.len());
    Ok(ExitCode::SUCCESS)
}

/// The refused batches of a spool and of the replay spools inside it, each with its full name.
fn all_in(spool: &Path) -> Result<Vec<(String, Refused)>, Error> {
    let mut all: Vec<_> = Refused::read(spool)?.into_iter().map(|batch| (batch.name.clone(), batch)).collect();
    let mut replays = Vec::new();
    for entry in fs::read_dir(spool).map_err(Error::disk("read the directory", spool))? {
        let entry = entry.map_err(Error::disk("read the directory", spool))?;
        replays.extend(entry.file_name().into_string().ok().filter(|name| name.starts_with("replay-")));
    }
    replays.sort_unstable();
    for replay in replays {
        let batches = match Refused::read(&spool.join(&replay)) {
            // Something else with the name of a replay spool.
            Err(Error::Disk { source, .. }) if source.kind() == ErrorKind::NotADirectory => {
                continue;
            }
            read => read?,
        };
        all.extend(batches.into_iter().map(|batch| (format!("{replay}/{}", batch.name), batch)));
    }
    Ok(all)
}

fn choose<'r>(refused: &'r [(String, Refused)], names: &[String]) -> Result<Vec<&'r (String, Refused)>, Error> {
    let find = |name: &String| {
        let stem = name.strip_suffix(".batch").unwrap_or(name);
        let found = refused.iter().find(|(known, _)| known == stem);
        found.ok_or_else(|| Error::Config {
            place: name.clone(),
            detail: "no refused batch has this name; run without names to list them".into(),
        })
    };
    names.iter().map(find).collect()
}

fn print(refused: &[(String, Refused)]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for (name, Refused { start_s, size_bytes, reason, is_offered, .. }) in refused {
        let start = Utc(*start_s);
        let state = if *is_offered { "to be sent again" } else { "refused" };
        writeln!(out, "{name}\t{start}\t{size_bytes}\t{state}\t{reason}")?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::{self, Spool};
    use tempfile::TempDir;
    use zonepulse_model::{Identity, ServerId};
    use zonepulse_wire::{Batch, Counters, Coverage, Records};

    fn refuse(dir: &Path, seqs: std::ops::Range<u64>) {
        let settings = spool::Settings {
            dir: dir.into(),
            max_bytes: spool::MIN_BYTES,
            min_free_bytes: 0,
            max_refused_bytes: 1 << 20,
            max_delivered_bytes: 0,
        };
        let spool = Spool::open(settings).unwrap();
        for seq in seqs {
            let batch = Batch {
                identity: Identity { server_id: ServerId::new(1), epoch: 1, seq },
                start_s: 60 * seq,
                interval_s: 60,
                coverage: Coverage { from_ms: 60_000 * seq, until_ms: 60_000 * seq },
                counters: Counters::new(),
                evicted: None,
                records: Records::new(),
                rows: Vec::new(),
            };
            spool.put(&batch.into()).unwrap();
            spool.refuse(spool.claim().unwrap().key, "400: a reason\tin\ntwo lines").unwrap();
        }
    }

    #[test]
    fn refused_batches_are_called_by_name_those_of_replays_too() {
        let dir = TempDir::new().unwrap();
        refuse(dir.path(), 0..2);
        refuse(&dir.path().join("replay-7"), 5..6);
        let all = all_in(dir.path()).unwrap();
        let told: Vec<_> = all.iter().map(|(name, batch)| (name.as_str(), batch.start_s, batch.reason.as_str())).collect();
        let reason = "400: a reason in";
        assert_eq!(
            told,
            [
                ("000000000000-00000000000000000001-0000000000", 0, reason),
                ("000000000060-00000000000000000001-0000000001", 60, reason),
                ("replay-7/000000000300-00000000000000000001-0000000005", 300, reason),
            ]
        );
        let chosen = choose(&all, &[told[2].0.into(), format!("{}.batch", told[0].0)]).unwrap();
        assert_eq!(chosen, [&all[2], &all[0]]);
    }

    #[test]
    fn an_unknown_name_is_reported_and_nothing_is_offered() {
        let dir = TempDir::new().unwrap();
        refuse(dir.path(), 0..1);
        let all = all_in(dir.path()).unwrap();
        let error = choose(&all, &[all[0].0.clone(), "nonsense".into()]).unwrap_err();
        assert!(error.to_string().starts_with("nonsense: "), "{error}");
    }

    #[test]
    fn other_files_named_like_a_replay_s_spool_are_skipped() {
        let dir = TempDir::new().unwrap();
        refuse(dir.path(), 0..1);
        fs::create_dir(dir.path().join("replay-old")).unwrap();
        fs::write(dir.path().join("replay-notes.txt"), "").unwrap();
        assert_eq!(all_in(dir.path()).unwrap().len(), 1);
    }

    #[test]
    fn a_spool_that_only_replays_used_lists_theirs() {
        let dir = TempDir::new().unwrap();
        refuse(&dir.path().join("replay-7"), 5..6);
        let names: Vec<_> = all_in(dir.path()).unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["replay-7/000000000300-00000000000000000001-0000000005"]);
    }

    #[test]
    fn a_spool_in_which_nothing_was_refused_lists_nothing() {
        assert_eq!(all_in(TempDir::new().unwrap().path()).unwrap(), []);
    }

    #[test]
    fn a_spool_that_is_not_there_is_named() {
        let error = all_in(Path::new("/nonexistent/spool")).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/spool"), "{error}");
    }
}
