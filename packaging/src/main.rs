//! Writes the man pages and shell completions of both programs, from what they parse.
//!
//! ```text
//! zonepulse-packaging DIR
//! DIR/PROGRAM/man/PROGRAM.1, PROGRAM-COMMAND.1 …
//! DIR/PROGRAM/completions/PROGRAM.bash, _PROGRAM (zsh), PROGRAM.fish
//! ```
//!
//! Packaging needs this once; neither program contains it.

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs, io};

fn main() -> ExitCode {
    let Some(dir) = env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: zonepulse-packaging DIR");
        return ExitCode::FAILURE;
    };
    let programs = [zonepulse_api::command::Command::command(), zonepulse_probe::command::Arguments::command()];
    for program in programs {
        let dir = dir.join(program.get_name());
        if let Err(error) = write(program, &dir) {
            eprintln!("zonepulse-packaging: {}: {error}", dir.display());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn write(program: Command, dir: &Path) -> io::Result<()> {
    let (man, completions) = (dir.join("man"), dir.join("completions"));
    fs::create_dir_all(&man)?;
    fs::create_dir_all(&completions)?;
    let program = for_people(program);
    clap_mangen::generate_to(program.clone(), man)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut program.clone(), program.get_name().to_owned(), &completions)?;
    }
    Ok(())
}

/// The command without its hidden commands, which completions would show.
fn for_people(program: Command) -> Command {
    let shown: Vec<Command> = program.get_subcommands().filter(|command| !command.is_hide_set()).cloned().collect();
    // Clap keeps names for as long as the program runs, which is not long.
    let forever = |text: &str| -> &'static str { text.to_owned().leak() };
    let bare = Command::new(forever(program.get_name()))
        .version(forever(program.get_version().unwrap_or_default()))
        .subcommand_required(true)
        .args(program.get_arguments().cloned())
        .subcommands(shown);
    match program.get_about() {
        Some(about) => bare.about(about.clone()),
        None => bare,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_for_people_has_a_page_and_no_other() {
        let dir = env::temp_dir().join(format!("zonepulse-packaging-{}", std::process::id()));
        let command = |name: &'static str| Command::new(name).about("Does something");
        let program = command("it").version("1").subcommands([command("serve"), command("sql-worker").hide(true)]);
        write(program, &dir).unwrap();
        let names = |part: &str| {
            let mut names: Vec<String> =
                fs::read_dir(dir.join(part)).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        };
        assert_eq!(names("man"), ["it-serve.1", "it.1"]);
        assert_eq!(names("completions"), ["_it", "it.bash", "it.fish"]);
        let bash = fs::read_to_string(dir.join("completions/it.bash")).unwrap();
        assert!(bash.contains("serve") && !bash.contains("worker"));
        fs::remove_dir_all(&dir).unwrap();
    }
}
