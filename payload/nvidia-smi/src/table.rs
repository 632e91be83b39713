//! The table that is printed without options.

use std::fmt::Write;

use crate::clock;
use crate::nvml::{self, Answer, Card, Error};

/// Columns of the whole table without its borders, and of its three parts.
const WIDTH: usize = 89;
const PARTS: [usize; 3] = [41, 24, 22];

/// Longest name of a process; of longer ones the end is shown.
const NAME: usize = 32;

fn rule(text: &mut String, parts: &[usize], with: char) {
    let line: Vec<String> = parts.iter().map(|width| with.to_string().repeat(*width)).collect();
    let border = if with == '=' { '|' } else { '+' };
    let _ = writeln!(text, "{border}{}{border}", line.join("+"));
}

/// The whole text.
pub fn text(cards: &[Card]) -> Answer<String> {
    let mut text = clock::now().in_words() + "       \n";
    let driver = nvml::driver_version()?;
    rule(&mut text, &[WIDTH], '-');
    let title = format!(
        "NVIDIA-SMI {driver:<22} Driver Version: {driver:<15}CUDA Version: {}",
        nvml::cuda_version()?
    );
    let _ = writeln!(text, "| {title:<87} |");
    rule(&mut text, &PARTS, '-');
    text.push_str(concat!(
        "| GPU  Name                 Persistence-M | Bus-Id          Disp.A | Volatile Uncorr. ECC |\n",
        "| Fan  Temp   Perf          Pwr:Usage/Cap |           Memory-Usage | GPU-Util  Compute M. |\n",
        "|                                         |                        |               MIG M. |\n",
    ));
    rule(&mut text, &PARTS, '=');
    for card in cards {
        of_card(&mut text, card)?;
        rule(&mut text, &PARTS, '-');
    }
    text.push('\n');
    of_processes(&mut text, cards);
    Ok(text)
}

/// A value in a cell, or what stands in its place.
fn cell<T: ToString>(value: Answer<T>, unit: &str) -> String {
    value.map_or_else(|_| "N/A".to_owned(), |value| value.to_string() + unit)
}

fn on(value: Answer<u32>) -> String {
    cell(value.map(|value| if value == 0 { "Off" } else { "On" }), "")
}

fn of_card(text: &mut String, card: &Card) -> Answer<()> {
    let uncorrected = cell(card.errors(false, false), "");
    let name: String = card.name()?.chars().take(27).collect();
    let _ = writeln!(
        text,
        "| {:>3}  {name:<28}{:>5}  | {:>18} {:>3} | {uncorrected:>20} |",
        card.index,
        on(card.persistence_mode()),
        card.pci()?.id(),
        on(card.display_active()),
    );
    let power = format!(
        "{} / {:>5}",
        cell(card.power().map(|it| it / 1000), "W"),
        cell(card.power_enforced().map(|it| it / 1000), "W")
    );
    let memory = card.memory()?;
    let memory = format!("{:>7}MiB / {:>6}MiB", memory.used >> 20, memory.total >> 20);
    let mode = match card.compute_mode()? {
        0 => "Default",
        1 => "E. Thread",
        2 => "Prohibited",
        _ => "E. Process",
    };
    let _ = writeln!(
        text,
        "| {:>3}  {:>4}    {:<4}{power:>22} | {memory:>22} | {:>7} {mode:>12} |",
        cell(card.fan_speed(), "%"),
        cell(card.temperature(0), "C"),
        cell(card.performance_state().map(|it| format!("P{it}")), ""),
        cell(card.utilization().map(|[gpu, _]| gpu), "%"),
    );
    let parted =
        cell(card.mig_mode().map(|[current, _]| if current == 0 { "Disabled" } else { "Enabled" }), "");
    let _ = writeln!(text, "| {:39} | {:22} | {parted:>20} |", "", "");
    Ok(())
}

fn of_processes(text: &mut String, cards: &[Card]) {
    rule(text, &[WIDTH], '-');
    text.push_str(concat!(
        "| Processes:                                                                              |\n",
        "|  GPU   GI   CI              PID   Type   Process name                        GPU Memory |\n",
        "|        ID   ID                                                               Usage      |\n",
    ));
    rule(text, &[WIDTH], '=');
    let mut any = false;
    for card in cards {
        for process in card.processes().unwrap_or_default() {
            any = true;
            let name = shortened(&nvml::process_name(process.pid).unwrap_or_else(Error::text));
            let used = format!("{}MiB", process.used >> 20);
            let _ = writeln!(
                text,
                "|{:>5}   N/A  N/A{:>16}      C   {name:<NAME$}{used:>14} |",
                card.index, process.pid,
            );
        }
    }
    if !any {
        let _ = writeln!(text, "|  {:<87}|", "No running processes found");
    }
    rule(text, &[WIDTH], '-');
}

/// The end of a long name.
fn shortened(name: &str) -> String {
    let length = name.chars().count();
    if length <= NAME {
        return name.to_owned();
    }
    "...".chars().chain(name.chars().skip(length - (NAME - 3))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_name_the_end_is_shown() {
        assert_eq!(shortened("/tmp/tmp.1Bf2eCtPB5/bin/cuda-start"), "...tmp.1Bf2eCtPB5/bin/cuda-start");
        assert_eq!(shortened("python3"), "python3");
    }
}
