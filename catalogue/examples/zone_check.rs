//! `zone_check FILE [--origin ZONE] [--print] [--include-root DIRECTORY]`: reports what is wrong with a zone file. With
//! `--stream`, it only reads, and keeps no record.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use zonepulse_catalogue::{Name, file};

fn main() -> ExitCode {
    match run() {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<u64, String> {
    let mut arguments = std::env::args().skip(1);
    let mut options = file::Options::default();
    let (mut path, mut print, mut stream) = (None, false, false);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--print" => print = true,
            "--stream" => stream = true,
            "--origin" => {
                let origin = arguments.next().ok_or("--origin needs a zone")?;
                options.origin = Some(Name::from_text(&origin).map_err(|error| error.to_string())?);
            }
            "--include-root" => options.include_root = arguments.next().map(PathBuf::from),
            _ => path = Some(argument),
        }
    }
    let path = path.ok_or("usage: zone_check FILE [--origin ZONE] [--print] [--include-root DIRECTORY] [--stream]")?;
    if stream {
        let reader = file::Reader::open(Path::new(&path), options).map_err(|error| format!("{path}: {error}"))?;
        let (read, problems) =
            reader.fold((0, 0), |(read, problems), item| (read + u64::from(item.is_ok()), problems + u64::from(item.is_err())));
        eprintln!("{path}: {read} records, {problems} problems");
        return Ok(problems);
    }
    let mut out = BufWriter::new(io::stdout().lock());
    let mut problems = BufWriter::new(io::stderr().lock());
    let records = print.then_some(&mut out as &mut dyn Write);
    let summary = file::check(Path::new(&path), options, &mut problems, records).map_err(|error| format!("{path}: {error}"))?;
    writeln!(problems, "{path}: {} records, {} errors, {} warnings", summary.records, summary.errors, summary.warnings)
        .map_err(|error| error.to_string())?;
    Ok(summary.errors)
}
