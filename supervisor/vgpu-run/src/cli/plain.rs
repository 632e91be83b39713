//! The command line that is typed nearly always, without the price of all others.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use clap::{Args, FromArgMatches};

use super::{Run, Session};

/// A run and nothing else: what is typed nearly always. For the whole command line clap makes ten subcommands with all their
/// options, which takes longer than what else we do before we fork. Whatever is no plain run is `None`, mistakes as well.
pub fn parse_plain_run(words: &[OsString]) -> Option<Run> {
    let command = match words.get(1..)? {
        [dashes, command @ ..] if dashes == "--" => command,
        command @ [program, ..] if !is_option(program) && !is_subcommand(program) => command,
        words => return parse_options_of_run(words),
    };
    let run = || Run { session: Session::default(), command: command.to_vec() };
    (!command.is_empty()).then(run)
}

fn parse_options_of_run(words: &[OsString]) -> Option<Run> {
    if words.iter().any(is_subcommand) {
        return None;
    }
    let command = Run::augment_args(clap::Command::new("vgpu-run").no_binary_name(true));
    Run::from_arg_matches(&command.try_get_matches_from(words).ok()?).ok()
}

fn is_option(word: &OsString) -> bool {
    word.as_bytes().starts_with(b"-") || word.is_empty()
}

fn is_subcommand(word: &OsString) -> bool {
    const NAMES: [&str; 17] = [
        "attach",
        "doctor",
        "trace",
        "decode",
        "profiles",
        "top",
        "inject",
        "limit",
        "warm",
        "cache",
        "record",
        "learn",
        "replay",
        "config",
        "completions",
        "man",
        "help",
    ];
    NAMES.iter().any(|name| word == name)
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::super::CommandLine;
    use super::*;

    #[test]
    fn a_plain_run_is_parsed_as_the_whole_command_line_would() {
        let lines: [&[&str]; 9] = [
            &["ls"],
            &["--", "--odd-name"],
            &["ls", "doctor", "--", "--gpus", "x"],
            &["ls", "--report", "-l"],
            &["--gpus", "2", "--report=json", "--", "--odd-name"],
            &["--check", "memory,race", "--check-exit-code", "9", "ls"],
            &["--gpu=h100", "--memory", "4G", "--overlay", "full", "--allow-setuid", "ls"],
            &["--mechanism", "ptrace", "--tier", "compiled", "--isa", "avx2", "--log", "info", "ls"],
            &["no-such-subcommand", "7"],
        ];
        for words in lines {
            let words = [&["vgpu-run"], words].concat();
            let plain = parse_plain_run(&words.iter().map(OsString::from).collect::<Vec<_>>()).unwrap();
            let line = CommandLine::try_parse_from(&words).unwrap();
            assert!(line.question.is_none());
            assert_eq!(plain.command, line.run.command);
            assert_eq!(format!("{:?}", plain.session), format!("{:?}", line.run.session), "{words:?}");
        }
    }

    #[test]
    fn what_is_no_plain_run_is_left_to_the_whole_command_line() {
        let is_left = |words: &[&str]| {
            let words: Vec<OsString> = [&["vgpu-run"], words].concat().iter().map(OsString::from).collect();
            parse_plain_run(&words).is_none()
        };
        for name in
            CommandLine::command().get_subcommands().map(|subcommand| subcommand.get_name().to_owned())
        {
            assert!(is_left(&[&name]), "{name}");
        }
        for words in [&["help"][..], &["--help"], &["-V"], &["--no-such-option", "ls"], &[], &["--"]] {
            assert!(is_left(words), "{words:?}");
        }
    }
}
