//! The command line.

use std::time::Duration;

use crate::changes::{self, Change};
use crate::drain;
use crate::nvml::Place;

/// What is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// The table.
    #[default]
    Table,
    /// `-L`
    List,
    /// `-B`
    Excluded,
    /// `-q`
    Log,
    /// `--query-gpu`
    Cards,
    /// `--query-compute-apps`
    Processes,
    /// `--query-accounted-apps`
    Accounts,
    /// `dmon`
    WatchDevices,
    /// `pmon`
    WatchProcesses,
    /// `topo -m`
    Topology,
    /// `-h`
    Help,
    /// `--version`
    Version,
    /// `-pl` and others that change cards
    Change,
    /// `drain`
    Drain,
    /// `--help-query-gpu`
    HelpCards,
    /// `--help-query-compute-apps`
    HelpProcesses,
    /// `--help-query-accounted-apps`
    HelpAccounts,
}

/// The command line, read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// What is asked for.
    pub form: Form,
    /// `-i`: indices, UUIDs, serial numbers or addresses, with commas.
    pub cards: Option<String>,
    /// The names behind `--query-…`.
    pub names: String,
    /// `--format`
    pub format: Option<String>,
    /// `-d` of `-q`, `-s` of the monitors.
    pub groups: Option<String>,
    /// `-f`
    pub file: Option<String>,
    /// `-l`, `-lms`; of monitors `-d`.
    pub interval: Option<Duration>,
    /// `-c` of the monitors.
    pub count: Option<u64>,
    /// What is to be changed, in this order.
    pub changes: Vec<Change>,
    /// `-p` of `drain`.
    pub place: Option<Place>,
    /// What `drain` does there, in this order.
    pub drain: Vec<drain::Order>,
}

/// The word that is no option, or that lacks its value.
#[derive(Debug, PartialEq, Eq)]
pub enum Mistake {
    /// Not an option of the real program's.
    Unknown(String),
    /// One of the real program's that ours does not have.
    Missing(String),
    /// An option that changes cards, and what it takes.
    Value(String, &'static str),
}

/// Options of the real program's that change what no card of ours has, or show what there is none of.
const NOT_OURS: &[&str] = &[
    "-x",
    "--xml-format",
    "--dtd",
    "-u",
    "--unit",
    "-dm",
    "--driver-model",
    "-fdm",
    "--gom",
    "-gtt",
    "--gpu-target-temp",
    "-col",
    "--columns",
    "--query-supported-clocks",
    "--query-retired-pages",
    "--query-remapped-rows",
    "nvlink",
    "clocks",
    "encodersessions",
    "fbcsessions",
    "mig",
    "vgpu",
    "compute-policy",
    "boost-slider",
    "power-hint",
    "conf-compute",
    "gpm",
    "stats",
    "pci",
    "daemon",
    "replay",
];

/// Reads the words behind the program's name.
pub fn parse(words: &[String]) -> Result<Options, Mistake> {
    let mut options = Options::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let (name, attached) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (word.as_str(), None),
        };
        let mut value =
            || attached.clone().or_else(|| words.next().cloned()).ok_or(Mistake::Unknown(word.clone()));
        let watches = matches!(options.form, Form::WatchDevices | Form::WatchProcesses);
        match name {
            "-h" | "--help" if !watches => options.form = Form::Help,
            "--version" => options.form = Form::Version,
            "-L" | "--list-gpus" => options.form = Form::List,
            "-B" | "--list-excluded-gpus" => options.form = Form::Excluded,
            "-p" | "--pciid" if options.form == Form::Drain => {
                let place = Place::parse(&value()?);
                options.place = Some(place.ok_or(Mistake::Value(word.clone(), "a card's address"))?);
            }
            "-m" | "--modify" if options.form == Form::Drain => {
                let on = changes::on_off(&value()?).map_err(|why| mistaken(word, why))?;
                options.drain.push(drain::Order::Set(on));
            }
            "-q" | "--query" if options.form == Form::Drain => options.drain.push(drain::Order::Tell),
            "-q" | "--query" => options.form = Form::Log,
            "dmon" if options == Options::default() => options.form = Form::WatchDevices,
            "pmon" if options == Options::default() => options.form = Form::WatchProcesses,
            "topo" if options == Options::default() => options.form = Form::Topology,
            "drain" if options == Options::default() => options.form = Form::Drain,
            "-m" | "--matrix" | "-mp" if options.form == Form::Topology => (),
            "--help-query-gpu" => options.form = Form::HelpCards,
            "--help-query-compute-apps" => options.form = Form::HelpProcesses,
            "--help-query-accounted-apps" => options.form = Form::HelpAccounts,
            "--query-accounted-apps" => (options.form, options.names) = (Form::Accounts, value()?),
            "--query-gpu" => (options.form, options.names) = (Form::Cards, value()?),
            "--query-compute-apps" => (options.form, options.names) = (Form::Processes, value()?),
            "--format" => options.format = Some(value()?),
            "-i" | "--id" => options.cards = Some(value()?),
            "-f" | "--filename" => options.file = Some(value()?),
            "-d" | "--delay" if watches => {
                options.interval = Some(seconds(&value()?).ok_or(Mistake::Unknown(word.clone()))?)
            }
            "-d" | "--display" => options.groups = Some(value()?),
            "-s" | "--select" if watches => options.groups = Some(value()?),
            "-c" | "--count" if watches => {
                options.count = Some(value()?.parse().map_err(|_| Mistake::Unknown(word.clone()))?)
            }
            "-l" | "--loop" => {
                options.interval = Some(seconds(&value()?).ok_or(Mistake::Unknown(word.clone()))?)
            }
            "-lms" | "--loop-ms" => {
                let milliseconds = value()?.parse().map_err(|_| Mistake::Unknown(word.clone()))?;
                options.interval = Some(Duration::from_millis(milliseconds));
            }
            name if NOT_OURS.contains(&name) => return Err(Mistake::Missing(word.clone())),
            name => {
                let change = Change::parse(name, || value().ok());
                options.changes.push(change.map_err(|why| mistaken(word, why))?);
                options.form = Form::Change;
            }
        }
    }
    Ok(options)
}

fn mistaken(word: &str, why: changes::Mistake) -> Mistake {
    match why {
        changes::Mistake::Wrong(takes) => Mistake::Value(word.to_owned(), takes),
        _ => Mistake::Unknown(word.to_owned()),
    }
}

fn seconds(text: &str) -> Option<Duration> {
    text.parse().ok().filter(|seconds| *seconds > 0).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Options, Mistake> {
        parse(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn values_stand_behind_a_sign_or_in_the_next_word() {
        for line in ["--query-gpu=name --format=csv -i 0", "--query-gpu name --format csv -i=0"] {
            let options = read(line).unwrap();
            assert_eq!((options.form, options.names.as_str()), (Form::Cards, "name"));
            assert_eq!((options.format.as_deref(), options.cards.as_deref()), (Some("csv"), Some("0")));
        }
    }

    #[test]
    fn letters_mean_other_things_to_monitors() {
        let options = read("dmon -c 2 -d 3 -s pu").unwrap();
        assert_eq!(
            (options.count, options.interval, options.groups.as_deref()),
            (Some(2), Some(Duration::from_secs(3)), Some("pu"))
        );
        assert_eq!(read("-c 3").unwrap().changes, [Change::ComputeMode(3)]);
    }

    #[test]
    fn a_card_is_drained_by_its_place() {
        let options = read("drain -p 0000:01:00.0 -m 1 -q").unwrap();
        assert_eq!((options.form, options.place), (Form::Drain, Place::parse("01:00.0")));
        assert_eq!(options.drain, [drain::Order::Set(true), drain::Order::Tell]);
        assert_eq!(read("-m 1"), Err(Mistake::Unknown("-m".to_owned())));
        assert_eq!(read("drain -p 0"), Err(Mistake::Value("-p".to_owned(), "a card's address")));
    }

    #[test]
    fn what_is_no_option_is_named() {
        assert_eq!(read("--no-such-option"), Err(Mistake::Unknown("--no-such-option".to_owned())));
        assert_eq!(read("-pm 7"), Err(Mistake::Value("-pm".to_owned(), "0/DISABLED or 1/ENABLED")));
        assert_eq!(read("-pl"), Err(Mistake::Unknown("-pl".to_owned())));
        assert_eq!(read("-q -x"), Err(Mistake::Missing("-x".to_owned())));
    }
}
