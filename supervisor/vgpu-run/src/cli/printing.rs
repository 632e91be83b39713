//! What is printed from the options themselves: the configuration in force, completions for shells, the manual page.

use std::io::{self, Write};

use clap::{Arg, Command};
use clap_complete::Shell;
use clap_mangen::Man;

use super::settings::{self, Settings};

/// The configuration in force as a configuration file, each option with where its value comes from.
pub fn configuration(command: &Command, settings: &Settings, out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "# What is typed goes before variables, these before files, the first file before the next:"
    )?;
    for (file, error) in &settings.files {
        let error = error.map_or_else(String::new, |error| format!(" ({error})"));
        writeln!(out, "#   {}{error}", file.display())?;
    }
    section("", command, settings, out)?;
    for subcommand in command.get_subcommands() {
        if subcommand.get_arguments().any(settings::can_be_set) {
            writeln!(out, "\n[{}]", subcommand.get_name())?;
            section(subcommand.get_name(), subcommand, settings, out)?;
        }
    }
    Ok(())
}

fn section(name: &str, command: &Command, settings: &Settings, out: &mut impl Write) -> io::Result<()> {
    for option in command.get_arguments().filter(|option| settings::can_be_set(option)) {
        let long = option.get_long().unwrap_or_default();
        let set = settings.get(name, long);
        let values = set.map_or_else(|| defaults(option), |setting| setting.values.clone());
        let line = match written(option, &values) {
            Some(value) => format!("{long} = {value}"),
            None => format!("# {long} ="),
        };
        let place = set.map_or_else(
            || {
                format!(
                    "{}, {}",
                    if values.is_empty() { "not set" } else { "default" },
                    settings::variable(name, long)
                )
            },
            |setting| setting.place.clone(),
        );
        writeln!(out, "{line:<28} # {place}")?;
    }
    Ok(())
}

fn defaults(option: &Arg) -> Vec<String> {
    if settings::is_switch(option) {
        return vec!["false".to_owned()];
    }
    option.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect()
}

/// As TOML: a list where there are several.
fn written(option: &Arg, values: &[String]) -> Option<String> {
    let quoted = |value: &String| toml::Value::from(value.as_str()).to_string();
    match values {
        [] => None,
        [value] if settings::is_switch(option) => Some(value.clone()),
        [value] => Some(quoted(value)),
        values => Some(format!("[{}]", values.iter().map(quoted).collect::<Vec<_>>().join(", "))),
    }
}

/// The script that completes our options in a shell.
pub fn completions(mut command: Command, shell: Shell, out: &mut impl Write) {
    let name = command.get_name().to_owned();
    clap_complete::generate(shell, &mut command, name, out);
}

/// The manual page in roff, of `vgpu-run` or of a subcommand; `None` if there is no such subcommand.
pub fn manual(command: Command, subcommand: Option<&str>, out: &mut impl Write) -> Option<io::Result<()>> {
    let mut command = command;
    command.build();
    let page = match subcommand {
        None => command,
        Some(name) => {
            let full = format!("{}-{name}", command.get_name());
            command.find_subcommand(name)?.clone().name(full)
        }
    };
    Some(Man::new(page).render(out))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::{CommandFactory, ValueEnum};

    use super::*;
    use crate::cli::CommandLine;

    fn printed(settings: &Settings) -> String {
        let mut out = Vec::new();
        configuration(&CommandLine::command(), settings, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_printed_configuration_is_a_configuration_that_sets_the_same() {
        let command = CommandLine::command();
        let text = printed(
            &Settings::of_file(&command, Path::new("a"), "gpu = 'h100'\ncheck = ['memory', 'leak']").unwrap(),
        );
        assert!(text.contains("gpu = \"h100\"") && text.contains("# a:1"), "{text}");
        let again = printed(&Settings::of_file(&command, Path::new("b"), &text).unwrap());
        let values = |text: &str| {
            text.lines().map(|line| line.split(" #").next().map(str::to_owned)).collect::<Vec<_>>()
        };
        assert_eq!(values(&text), values(&again));
    }

    #[test]
    fn every_option_is_in_the_manual_and_in_each_shells_completions() {
        let command = CommandLine::command();
        let mut page = Vec::new();
        manual(command.clone(), None, &mut page).unwrap().unwrap();
        let page = String::from_utf8(page).unwrap().replace("\\-", "-");
        for option in command.get_arguments().filter_map(|option| option.get_long()) {
            assert!(page.contains(&format!("--{option}")), "{option}");
            for shell in Shell::value_variants() {
                let mut script = Vec::new();
                completions(command.clone(), *shell, &mut script);
                assert!(String::from_utf8(script).unwrap().contains(option), "{option} for {shell}");
            }
        }
        assert!(manual(command, Some("no-such"), &mut Vec::new()).is_none());
    }
}
