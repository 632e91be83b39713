//! `--query-…=… --format=csv`: chosen properties, a line a card or process.

use crate::clock;
use crate::nvml::{self, Answer, Card, Process};
use crate::properties::{self, Property};

/// `--format=`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Format {
    csv: bool,
    noheader: bool,
    nounits: bool,
}

impl Format {
    /// Reads the list of words; `None` where one is unknown or `csv` is missing.
    pub fn parse(words: &str) -> Option<Self> {
        let mut format = Self::default();
        for word in words.split(',') {
            match word.trim() {
                "csv" => format.csv = true,
                "noheader" => format.noheader = true,
                "nounits" => format.nounits = true,
                _ => return None,
            }
        }
        format.csv.then_some(format)
    }
}

/// What is said of a name that is no property of what is asked.
pub fn unknown(name: &str) -> String {
    format!("Field \"{name}\" is not a valid field to query.\n\n")
}

fn line(cells: impl Iterator<Item = String>) -> String {
    cells.collect::<Vec<_>>().join(", ") + "\n"
}

fn headed(name: &str, unit: &str) -> String {
    if unit.is_empty() { name.to_owned() } else { format!("{name} [{unit}]") }
}

/// What a refused value looks like.
fn shown(value: Answer<String>) -> String {
    value.unwrap_or_else(|error| format!("[{}]", error.text()))
}

/// `--query-gpu`; the error is the text that says which name is unknown.
pub fn cards(cards: &[Card], names: &str, format: Format) -> Result<String, String> {
    let find =
        |name: &str| properties::queried().find(|it| it.names.contains(&name)).ok_or_else(|| unknown(name));
    let chosen: Vec<&Property> = names.split(',').map(|name| find(name.trim())).collect::<Result<_, _>>()?;
    let mut text = String::new();
    if !format.noheader {
        text += &line(chosen.iter().map(|property| headed(property.names[0], property.unit)));
    }
    for card in cards {
        let value = |property: &&Property| {
            shown(if format.nounits { property.value(card) } else { property.with_unit(card) })
        };
        text += &line(chosen.iter().map(value));
    }
    Ok(text)
}

/// A column of `--query-compute-apps`.
struct Column {
    names: &'static [&'static str],
    unit: &'static str,
    value: fn(&Card, &Process) -> Answer<String>,
}

const COLUMNS: &[Column] = &[
    Column { names: &["timestamp"], unit: "", value: |_, _| Ok(clock::now().in_tables()) },
    Column { names: &["gpu_name"], unit: "", value: |card, _| card.name() },
    Column { names: &["gpu_bus_id"], unit: "", value: |card, _| card.pci().map(|pci| pci.id()) },
    Column { names: &["gpu_serial"], unit: "", value: |card, _| card.serial() },
    Column { names: &["gpu_uuid"], unit: "", value: |card, _| card.uuid() },
    Column { names: &["pid"], unit: "", value: |_, process| Ok(process.pid.to_string()) },
    Column {
        names: &["process_name", "name"],
        unit: "",
        value: |_, process| nvml::process_name(process.pid),
    },
    Column {
        names: &["used_gpu_memory", "used_memory"],
        unit: "MiB",
        value: |_, process| Ok((process.used >> 20).to_string()),
    },
];

/// All that `--query-compute-apps` takes.
pub fn of_processes() -> impl Iterator<Item = &'static [&'static str]> {
    COLUMNS.iter().map(|column| column.names)
}

/// `--query-compute-apps`
pub fn processes(cards: &[Card], names: &str, format: Format) -> Result<String, String> {
    let find = |name: &str| COLUMNS.iter().find(|it| it.names.contains(&name)).ok_or_else(|| unknown(name));
    let chosen: Vec<&Column> = names.split(',').map(|name| find(name.trim())).collect::<Result<_, _>>()?;
    let mut text = String::new();
    if !format.noheader {
        text += &line(chosen.iter().map(|column| headed(column.names[0], column.unit)));
    }
    for card in cards {
        for process in card.processes().unwrap_or_default() {
            let value = |column: &&Column| {
                let value = shown((column.value)(card, &process));
                if column.unit.is_empty() || format.nounits {
                    value
                } else {
                    format!("{value} {}", column.unit)
                }
            };
            text += &line(chosen.iter().map(value));
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_read() {
        let all = Format { csv: true, noheader: true, nounits: true };
        assert_eq!(Format::parse("csv,noheader,nounits"), Some(all));
        assert_eq!((Format::parse("noheader"), Format::parse("csv,xml")), (None, None));
    }
}
