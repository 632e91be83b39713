//! `--query-…=… --format=csv`: chosen properties, a line a card or process.

use crate::clock;
use crate::nvml::{self, Account, Answer, Card, Process};
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

/// The chosen properties of all that have them, a line each; the error is the text that says which name is unknown.
fn lines<Of: 'static>(
    known: impl Iterator<Item = &'static Property<Of>> + Clone,
    all: impl Iterator<Item = Of>,
    names: &str,
    format: Format,
) -> Result<String, String> {
    let find = |name: &str| known.clone().find(|it| it.names.contains(&name)).ok_or_else(|| unknown(name));
    let chosen: Vec<&Property<Of>> =
        names.split(',').map(|name| find(name.trim())).collect::<Result<_, _>>()?;
    let mut text = String::new();
    if !format.noheader {
        text += &line(chosen.iter().map(|property| headed(property.names[0], property.unit)));
    }
    for one in all {
        let value = |property: &&Property<Of>| {
            shown(if format.nounits { property.value(&one) } else { property.with_unit(&one) })
        };
        text += &line(chosen.iter().map(value));
    }
    Ok(text)
}

/// `--query-gpu`; the error is the text that says which name is unknown.
pub fn cards(cards: &[Card], names: &str, format: Format) -> Result<String, String> {
    lines(properties::queried(), cards.iter().copied(), names, format)
}

/// What `--query-compute-apps` tells of: a process on a card.
type OnCard = (Card, Process);

#[rustfmt::skip]
static OF_PROCESSES: &[Property<OnCard>] = &[
    Property { names: &["timestamp"], unit: "", get: |_| Ok(clock::now().in_tables()) },
    Property { names: &["gpu_name"], unit: "", get: |(card, _)| card.name() },
    Property { names: &["gpu_bus_id"], unit: "", get: |(card, _)| card.pci().map(|pci| pci.id()) },
    Property { names: &["gpu_serial"], unit: "", get: |(card, _)| card.serial() },
    Property { names: &["gpu_uuid"], unit: "", get: |(card, _)| card.uuid() },
    Property { names: &["pid"], unit: "", get: |(_, process)| Ok(process.pid.to_string()) },
    Property { names: &["process_name", "name"], unit: "", get: |(_, process)| nvml::process_name(process.pid) },
    Property { names: &["used_gpu_memory", "used_memory"], unit: "MiB", get: |(_, process)| Ok((process.used >> 20).to_string()) },
];

/// All that `--query-compute-apps` takes.
pub fn of_processes() -> impl Iterator<Item = &'static [&'static str]> {
    OF_PROCESSES.iter().map(|property| property.names)
}

/// `--query-compute-apps`
pub fn processes(cards: &[Card], names: &str, format: Format) -> Result<String, String> {
    let on = |card: &Card| {
        let card = *card;
        card.processes().unwrap_or_default().into_iter().map(move |process| (card, process))
    };
    lines(OF_PROCESSES.iter(), cards.iter().flat_map(on), names, format)
}

/// What `--query-accounted-apps` tells of: a process's account on a card.
type Accounted = (Card, u32, Account);

#[rustfmt::skip]
static OF_ACCOUNTS: &[Property<Accounted>] = &[
    Property { names: &["timestamp"], unit: "", get: |_| Ok(clock::now().in_tables()) },
    Property { names: &["gpu_name"], unit: "", get: |(card, ..)| card.name() },
    Property { names: &["gpu_bus_id"], unit: "", get: |(card, ..)| card.pci().map(|pci| pci.id()) },
    Property { names: &["gpu_serial"], unit: "", get: |(card, ..)| card.serial() },
    Property { names: &["gpu_uuid"], unit: "", get: |(card, ..)| card.uuid() },
    Property { names: &["vgpu_instance"], unit: "", get: |_| Err(nvml::Error::NOT_SUPPORTED) },
    Property { names: &["pid"], unit: "", get: |(_, pid, _)| Ok(pid.to_string()) },
    Property { names: &["gpu_utilization", "gpu_util"], unit: "%", get: |(.., account)| Ok(account.utilization.to_string()) },
    Property { names: &["mem_utilization", "mem_util"], unit: "%", get: |(.., account)| Ok(account.memory_utilization.to_string()) },
    Property { names: &["max_memory_usage", "max_mem_usage"], unit: "MiB", get: |(.., account)| Ok((account.most_memory >> 20).to_string()) },
    Property { names: &["time"], unit: "ms", get: |(.., account)| Ok(account.time.to_string()) },
];

/// All that `--query-accounted-apps` takes.
pub fn of_accounts() -> impl Iterator<Item = &'static [&'static str]> {
    OF_ACCOUNTS.iter().map(|property| property.names)
}

/// `--query-accounted-apps`
pub fn accounts(cards: &[Card], names: &str, format: Format) -> Result<String, String> {
    let on = |card: &Card| {
        let card = *card;
        card.accounts().unwrap_or_default().into_iter().map(move |(pid, account)| (card, pid, account))
    };
    lines(OF_ACCOUNTS.iter(), cards.iter().flat_map(on), names, format)
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
