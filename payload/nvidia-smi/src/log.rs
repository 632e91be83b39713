//! `-q`: everything, line by line, as `query.txt` has it.

use std::fmt::Write;

use crate::clock;
use crate::nvml::{self, Answer, Card, Error};
use crate::properties;

const LAYOUT: &str = include_str!("query.txt");

/// Columns of a section's name before the label.
const SECTION: usize = 21;

/// Where values stand, of a card's lines and of a process's.
const VALUES: usize = 55;
const VALUES_OF_PROCESSES: usize = 38;

/// What `-d` takes, besides the sections of the layout.
const OTHER_SECTIONS: &[&str] = &["PIDS", "SUPPORTED_CLOCKS"];

struct Line {
    section: &'static str,
    label: &'static str,
    value: Option<&'static str>,
}

fn lines() -> impl Iterator<Item = Line> {
    LAYOUT.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let (section, rest) = line.split_at(SECTION.min(line.len()));
        let (label, value) = match rest.split_once('|') {
            Some((label, "")) => (label, None),
            Some((label, value)) => (label.trim_end(), Some(value.trim())),
            None => (rest, None),
        };
        Line { section: section.trim(), label, value }
    })
}

/// The sections that `-d` names, or the name that is none.
pub fn sections(list: &str) -> Result<Vec<&str>, &str> {
    let known = |name: &str| OTHER_SECTIONS.contains(&name) || lines().any(|line| line.section == name);
    list.split(',').map(|name| if known(name) { Ok(name) } else { Err(name) }).collect()
}

/// The whole text for some cards of `all`; without `sections`, every one.
pub fn text(cards: &[Card], all: usize, sections: Option<&[&str]>) -> Answer<String> {
    let mut text = String::from("\n==============NVSMI LOG==============\n\n");
    put(&mut text, "Timestamp", &clock::now().in_words(), VALUES);
    put(&mut text, "Driver Version", &nvml::driver_version()?, VALUES);
    put(&mut text, "CUDA Version", &nvml::cuda_version()?, VALUES);
    text.push('\n');
    put(&mut text, "Attached GPUs", &all.to_string(), VALUES);
    for card in cards {
        let _ = writeln!(text, "GPU {}", card.pci()?.id());
        of_card(&mut text, card, sections);
    }
    Ok(text)
}

fn of_card(text: &mut String, card: &Card, sections: Option<&[&str]>) {
    let wanted = |section: &str| sections.is_none_or(|sections| sections.contains(&section));
    let mut shown = false;
    for Line { section, label, value } in lines() {
        // Lines below a heading belong to its section.
        let is_nested = label.starts_with(' ');
        if !is_nested {
            shown = wanted(section);
        }
        if !shown {
            continue;
        }
        match value {
            Some(value) => put(text, &format!("    {label}"), &fill(card, value), VALUES),
            None => {
                let _ = writeln!(text, "    {label}");
            }
        }
    }
    if wanted("PIDS") {
        of_processes(text, card);
    }
    if sections.is_none() {
        text.push_str("    Capabilities\n");
        put(text, "        EGM", "disabled", VALUES);
    }
    if sections.is_some_and(|sections| sections.contains(&"SUPPORTED_CLOCKS")) {
        supported_clocks(text, card);
    }
    text.push('\n');
}

fn put(text: &mut String, label: &str, value: &str, at: usize) {
    let _ = writeln!(text, "{label:at$}: {value}");
}

/// A value of the layout: `-`, `= words`, or a property and what follows it.
fn fill(card: &Card, value: &str) -> String {
    if let Some(words) = value.strip_prefix("= ") {
        return words.to_owned();
    }
    let (name, suffix) = value.split_once(' ').unwrap_or((value, ""));
    let answer = match properties::find(name) {
        Some(property) => property.with_unit(card),
        None => Err(Error::NOT_SUPPORTED),
    };
    match answer {
        Ok(found) if suffix.is_empty() || found == "N/A" => found,
        Ok(found) if suffix == "x" => format!("{found}x"),
        Ok(found) => format!("{found} {suffix}"),
        Err(error) => error.text(),
    }
}

fn of_processes(text: &mut String, card: &Card) {
    let processes = card.processes().unwrap_or_default();
    if processes.is_empty() {
        put(text, "    Processes", "None", VALUES);
        return;
    }
    text.push_str("    Processes\n");
    for process in processes {
        let name = nvml::process_name(process.pid).unwrap_or_else(Error::text);
        let at = VALUES_OF_PROCESSES;
        put(text, "        GPU instance ID", "N/A", at);
        put(text, "        Compute instance ID", "N/A", at);
        put(text, "        Process ID", &process.pid.to_string(), at);
        put(text, "            Type", "C", at);
        put(text, "            Name", &name, at);
        put(text, "            Used GPU Memory", &format!("{} MiB", process.used >> 20), at);
    }
}

fn supported_clocks(text: &mut String, card: &Card) {
    text.push_str("    Supported Clocks\n");
    for memory in card.memory_clocks().unwrap_or_default() {
        put(text, "        Memory", &format!("{memory} MHz"), VALUES);
        for graphics in card.graphics_clocks(memory).unwrap_or_default() {
            put(text, "            Graphics", &format!("{graphics} MHz"), VALUES);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_property_of_the_layout_is_one() {
        for line in lines() {
            let Some(value) = line.value else { continue };
            let name = value.split(' ').next().unwrap_or_default();
            assert!(matches!(name, "-" | "=") || properties::find(name).is_some(), "{name}");
        }
    }

    #[test]
    fn sections_are_checked() {
        assert_eq!(sections("MEMORY,PIDS"), Ok(vec!["MEMORY", "PIDS"]));
        assert_eq!(sections("MEMORY,VOLUME"), Err("VOLUME"));
    }
}
