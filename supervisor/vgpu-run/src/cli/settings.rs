//! Where the value of an option comes from.
//!
//! ```text
//!   --gpu h100  before  VGPU_RUN_GPU=h100  before  ~/.config/vgpu-run/config.toml  before  /etc/vgpu-run/config.toml  before  the default
//! ```
//!
//! *Layer*: variables, or one file. *Setting*: an option's values in a layer, and the place to name when they are wrong.
//!
//! All names follow from the option's, so that a new option has them without a word here: `--check-exit-code` is the variable
//! `VGPU_RUN_CHECK_EXIT_CODE` and the key `check-exit-code`; `--gpu` of the subcommand `warm` is `VGPU_RUN_WARM_GPU` and the key `gpu`
//! of the table `[warm]`. To clap a setting is the option's default, as `requires` and conflicts with subcommands are about what was
//! typed; that is why its own variables (`env`) are not used. Each setting is parsed once by itself, to name its place if that fails.

use std::collections::HashMap;
use std::env;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, Command};
use installation::VGPU_RUN_LIBEXEC;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use crate::failure::{Doing, Failure};

/// The file instead of the two that are looked for; `/dev/null` for none.
pub const CONFIG_VARIABLE: &str = "VGPU_RUN_CONFIG";
const PREFIX: &str = "VGPU_RUN_";
const NAME_IN_CONFIG: &str = "vgpu-run/config.toml";
const FOR_ALL_USERS: &str = "/etc/vgpu-run/config.toml";

/// Whether a subcommand takes what is set for runs, if it has no setting of its own for an option.
fn takes_runs(subcommand: &str, option: &str) -> bool {
    // `--check` of a replay is another one.
    let is_like_a_run = ["attach", "trace", "record", "learn"].contains(&subcommand);
    is_like_a_run || subcommand == "replay" && option != "check" || ["tier", "isa"].contains(&option)
}

/// An option: its subcommand, empty for a run, and its long name.
type Key = (String, String);

/// An option's values in a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// As they would be typed; of a switch `true` or `false`.
    pub values: Vec<String>,
    /// A variable, or a file and its line.
    pub place: String,
}

/// What variables and files set, each option from the layer that goes before the others.
#[derive(Default)]
pub struct Settings {
    set: HashMap<Key, Setting>,
    /// Files that were looked for, and why one was not read.
    pub files: Vec<(PathBuf, Option<std::io::ErrorKind>)>,
}

/// Files that may set something, as they are found.
pub struct Sources {
    /// Each with its text, or why it was not read.
    files: Vec<(PathBuf, Result<String, std::io::ErrorKind>)>,
}

impl Sources {
    /// Those of this process.
    pub fn find() -> Result<Self, Failure> {
        let named = env::var_os(CONFIG_VARIABLE).filter(|name| !name.is_empty()).map(PathBuf::from);
        let must_exist = named.is_some();
        let files = named.map_or_else(usual_files, |file| vec![file]);
        let read = |file: PathBuf| match std::fs::read_to_string(&file) {
            // Others' files, too: HOME may be that of the user who started us as another one.
            Err(error) if !must_exist && is_not_for_us(&error) => Ok((file, Err(error.kind()))),
            text => {
                let text = text.doing(&format!("read the configuration `{}`", file.display()))?;
                Ok((file, Ok(text)))
            }
        };
        files.into_iter().map(read).collect::<Result<_, _>>().map(|files| Self { files })
    }

    /// There is neither a file nor a variable that could be an option's.
    pub fn set_nothing(&self) -> bool {
        const NO_OPTIONS: [&str; 2] = [CONFIG_VARIABLE, VGPU_RUN_LIBEXEC];
        let may_be_option = |name: OsString| {
            name.as_bytes().starts_with(PREFIX.as_bytes()) && NO_OPTIONS.iter().all(|other| name != *other)
        };
        self.files.iter().all(|(_, text)| text.is_err())
            && !env::vars_os().any(|(name, _)| may_be_option(name))
    }
}

impl Settings {
    /// What variables and these files set.
    pub fn read(command: &Command, sources: Sources) -> Result<Self, Failure> {
        let mut settings = Self::default();
        settings.take_variables(command, |name| env::var_os(name))?;
        for (file, text) in sources.files {
            settings.files.push((file.clone(), text.as_ref().err().copied()));
            settings.take_file(command, &file, &text.unwrap_or_default())?;
        }
        Ok(settings)
    }

    /// What one file sets.
    #[cfg(test)]
    pub fn of_file(command: &Command, file: &Path, text: &str) -> Result<Self, Failure> {
        let mut settings = Self::default();
        settings.take_file(command, file, text).map(|()| settings)
    }

    /// What is set for an option of a subcommand (`""`: of a run).
    pub fn get(&self, subcommand: &str, option: &str) -> Option<&Setting> {
        let of = |subcommand: &str| self.set.get(&(subcommand.to_owned(), option.to_owned()));
        of(subcommand).or_else(|| of("").filter(|_| takes_runs(subcommand, option)))
    }

    /// The command with settings as defaults.
    pub fn applied(&self, command: Command) -> Command {
        let command = command.mut_args(|option| self.applied_to("", option));
        command.mut_subcommands(|subcommand| {
            let name = subcommand.get_name().to_owned();
            subcommand.mut_args(|option| self.applied_to(&name, option))
        })
    }

    fn applied_to(&self, subcommand: &str, option: Arg) -> Arg {
        let setting = option.get_long().and_then(|name| self.get(subcommand, name));
        match setting.map(|setting| setting.values.clone()) {
            Some(values) if !is_switch(&option) || values == ["true"] => option.default_values(values),
            _ => option,
        }
    }

    fn take_variables(
        &mut self,
        command: &Command,
        value_of: impl Fn(&str) -> Option<OsString>,
    ) -> Result<(), Failure> {
        for (subcommand, option) in all_options(command) {
            let name = variable(&subcommand, &option);
            let Some(value) = value_of(&name).filter(|value| !value.is_empty()) else { continue };
            let value = value.into_string().map_err(|_| Failure::new(format!("{name} is not UTF-8")))?;
            let values = value_delimiter(command, &subcommand, &option)
                .map_or_else(|| vec![value.clone()], |comma| value.split(comma).map(str::to_owned).collect());
            self.take(command, (subcommand, option), Setting { values, place: name })?;
        }
        Ok(())
    }

    fn take_file(&mut self, command: &Command, file: &Path, text: &str) -> Result<(), Failure> {
        let parsed = DeTable::parse(text);
        let table = parsed.map_err(|error| {
            let place = place(file, text, error.span().map_or(0, |span| span.start));
            Failure::new(format!("{place}: {}", error.message()))
        })?;
        self.take_table(command, "", table.get_ref(), &|offset| place(file, text, offset))
    }

    fn take_table(
        &mut self,
        command: &Command,
        subcommand: &str,
        table: &DeTable<'_>,
        place: &dyn Fn(usize) -> String,
    ) -> Result<(), Failure> {
        for (name, value) in table {
            let place_of_key = place(name.span().start);
            let name = name.get_ref().to_string();
            if let (DeValue::Table(inner), true) = (value.get_ref(), subcommand.is_empty()) {
                if command.find_subcommand(&name).is_none() {
                    return Err(unknown(&place_of_key, &format!("there is no subcommand `{name}`")));
                }
                self.take_table(command, &name, inner, place)?;
                continue;
            }
            if !all_options(command).contains(&(subcommand.to_owned(), name.clone())) {
                let of = if subcommand.is_empty() { "a run" } else { subcommand };
                return Err(unknown(&place_of_key, &format!("{of} has no option `{name}`")));
            }
            let values = words(value).ok_or_else(|| {
                Failure::new(format!(
                    "{place_of_key}: `{name}` has to be a string, a number, true, false, or a list of them"
                ))
            })?;
            self.take(command, (subcommand.to_owned(), name), Setting { values, place: place_of_key })?;
        }
        Ok(())
    }

    /// Keeps a setting that no earlier layer has, and that the option would take.
    fn take(&mut self, command: &Command, key: Key, setting: Setting) -> Result<(), Failure> {
        check(command, &key, &setting)?;
        self.set.entry(key).or_insert(setting);
        Ok(())
    }
}

fn unknown(place: &str, what: &str) -> Failure {
    Failure::new(format!("{place}: {what}")).hint("`vgpu-run config` lists the options")
}

/// The files that are looked for, the first one before the other.
fn usual_files() -> Vec<PathBuf> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")));
    let users = home.map(|directory| directory.join(NAME_IN_CONFIG));
    users.into_iter().chain([FOR_ALL_USERS.into()]).collect()
}

fn is_not_for_us(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
    matches!(error.kind(), NotFound | NotADirectory | PermissionDenied)
}

fn place(file: &Path, text: &str, offset: usize) -> String {
    let line = 1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count();
    format!("{}:{line}", file.display())
}

fn words(value: &Spanned<DeValue<'_>>) -> Option<Vec<String>> {
    let word = |value: &DeValue<'_>| match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Boolean(truth) => Some(truth.to_string()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    };
    let list = |values: &DeArray<'_>| values.iter().map(|value| word(value.get_ref())).collect();
    match value.get_ref() {
        DeValue::Array(values) => list(values),
        value => word(value).map(|word| vec![word]),
    }
}

/// Whether an option can be set: what can be typed, has a long name, is no question like `--help`, and means the same tomorrow.
pub fn can_be_set(option: &Arg) -> bool {
    /// A process.
    const OF_TODAY: &str = "session";
    let action = option.get_action();
    option.get_long().is_some_and(|name| name != OF_TODAY)
        && (is_switch(option) || matches!(action, ArgAction::Set | ArgAction::Append))
}

/// Whether an option is there or not, without a value.
pub fn is_switch(option: &Arg) -> bool {
    matches!(option.get_action(), ArgAction::SetTrue)
}

/// A variable's name for an option.
pub fn variable(subcommand: &str, option: &str) -> String {
    let words =
        [subcommand, option].into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join("_");
    format!("{PREFIX}{}", words.replace('-', "_").to_ascii_uppercase())
}

fn all_options(command: &Command) -> Vec<Key> {
    let of = |name: &str, command: &Command| {
        let options = command.get_arguments().filter(|option| can_be_set(option));
        let names = options.filter_map(|option| option.get_long());
        names.map(|option| (name.to_owned(), option.to_owned())).collect::<Vec<_>>()
    };
    let subcommands = command.get_subcommands();
    of("", command).into_iter().chain(subcommands.flat_map(|sub| of(sub.get_name(), sub))).collect()
}

fn option<'c>(command: &'c Command, (subcommand, name): &Key) -> Option<&'c Arg> {
    let of = if subcommand.is_empty() { Some(command) } else { command.find_subcommand(subcommand) };
    of?.get_arguments().find(|option| option.get_long() == Some(name))
}

fn value_delimiter(command: &Command, subcommand: &str, name: &str) -> Option<char> {
    option(command, &(subcommand.to_owned(), name.to_owned()))?.get_value_delimiter()
}

/// Parses the setting as if it had been typed.
fn check(command: &Command, key: &Key, setting: &Setting) -> Result<(), Failure> {
    let Some(option) = option(command, key) else { return Ok(()) };
    let (subcommand, name) = key;
    let mistake = |cause: String| Failure::new(format!("{}: `{name}` is wrong", setting.place)).cause(cause);
    if is_switch(option) {
        let known = matches!(setting.values.as_slice(), [value] if value == "true" || value == "false");
        return if known { Ok(()) } else { Err(mistake("it can be `true` or `false`".to_owned())) };
    }
    let typed = setting.values.iter().map(|value| format!("--{name}={value}"));
    let subcommand = Some(subcommand.clone()).filter(|name| !name.is_empty());
    let line = ["vgpu-run".to_owned()].into_iter().chain(subcommand).chain(typed);
    match command.clone().try_get_matches_from(line) {
        // What else a line needs is not this setting's matter.
        Err(error)
            if error.kind() != ErrorKind::MissingRequiredArgument
                && error.kind() != ErrorKind::MissingSubcommand =>
        {
            // Its first paragraph says it; what follows is advice on what to type.
            let text = error.to_string();
            let lines = text.trim_start_matches("error: ").lines().take_while(|line| !line.is_empty());
            Err(mistake(lines.map(str::trim).collect::<Vec<_>>().join(" ")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::CommandLine;

    fn of_file(text: &str) -> Result<Settings, String> {
        let settings = Settings::of_file(&CommandLine::command(), Path::new("file.toml"), text);
        settings.map_err(|failure| failure.to_string())
    }

    fn mistake(text: &str) -> String {
        of_file(text).map(drop).unwrap_err()
    }

    #[test]
    fn a_variables_name_follows_from_the_options() {
        assert_eq!(variable("", "check-exit-code"), "VGPU_RUN_CHECK_EXIT_CODE");
        assert_eq!(variable("warm", "gpu"), "VGPU_RUN_WARM_GPU");
    }

    #[test]
    fn a_file_has_strings_numbers_switches_lists_and_tables() {
        let text =
            "gpu = 'h100'\ngpus = 2\nallow-setuid = true\ncheck = ['memory', 'race']\n\n[warm]\ngpu = 't4'\n";
        let settings = of_file(text).unwrap();
        let values = |subcommand, option| settings.get(subcommand, option).unwrap().values.clone();
        assert_eq!(values("", "gpu"), ["h100"]);
        assert_eq!(values("", "gpus"), ["2"]);
        assert_eq!(values("", "allow-setuid"), ["true"]);
        assert_eq!(values("", "check"), ["memory", "race"]);
        assert_eq!(settings.get("warm", "gpu").unwrap().place, "file.toml:7");
        assert_eq!(values("warm", "gpu"), ["t4"]);
        assert_eq!(values("trace", "gpu"), ["h100"], "a trace is a run");
    }

    #[test]
    fn a_mistake_names_file_line_and_option() {
        assert!(
            mistake("\ngpus = 'many'")
                .contains("file.toml:2: `gpus` is wrong\n  caused by: invalid value 'many'")
        );
        assert!(mistake("allow-setuid = 'perhaps'").contains("`true` or `false`"));
        assert!(mistake("colour = 'blue'").contains("file.toml:1: a run has no option `colour`"));
        assert!(mistake("[cool]\ngpu = 't4'").contains("there is no subcommand `cool`"));
        assert!(mistake("gpu = [[]]").contains("has to be a string"));
        assert!(mistake("gpu = \n").contains("file.toml:1: "));
        assert!(mistake("command = 'ls'").contains("no option `command`"));
    }

    #[test]
    fn variables_go_before_files_and_what_is_typed_before_both() {
        let mut settings = Settings::default();
        let command = CommandLine::command();
        let variables = |name: &str| match name {
            "VGPU_RUN_GPU" => Some("t4".into()),
            "VGPU_RUN_CHECK" => Some("memory,race".into()),
            "VGPU_RUN_MEMORY" => Some(OsString::new()),
            _ => None,
        };
        settings.take_variables(&command, variables).unwrap();
        settings
            .take_file(&command, Path::new("file"), "gpu = 'h100'\nmemory = '4G'\nallow-setuid = true")
            .unwrap();
        let parse = |words: &[&str]| {
            let matches =
                settings.applied(command.clone()).try_get_matches_from([&["vgpu-run"], words].concat());
            <CommandLine as clap::FromArgMatches>::from_arg_matches(&matches.unwrap()).unwrap()
        };
        let session = parse(&["ls"]).run.session;
        assert_eq!((session.gpu.as_str(), session.memory, session.allow_setuid), ("t4", Some(4 << 30), true));
        assert_eq!(session.check.len(), 2);
        assert_eq!(parse(&["--gpu", "a100", "ls"]).run.session.gpu, "a100");
        // Settings of runs are no hindrance to what is no run.
        assert!(parse(&["profiles"]).question.is_some());
    }

    #[test]
    fn a_variable_that_is_wrong_is_named() {
        let variables = |name: &str| (name == "VGPU_RUN_TIER").then(|| "fast".into());
        let failure = Settings::default().take_variables(&CommandLine::command(), variables).unwrap_err();
        let text = failure.to_string();
        assert!(text.contains("VGPU_RUN_TIER: `tier` is wrong"), "{text}");
        assert!(text.contains("invalid value 'fast'"), "{text}");
    }
}
