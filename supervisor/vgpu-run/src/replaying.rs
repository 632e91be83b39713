//! `vgpu-run replay --check`: recorded calls against the emulated driver.

use std::path::Path;
use std::process::ExitCode;

use replay::{Category, Mask, Outcome};
use resource_manager::{Card, ResourceManager, Unit};

use crate::cli::Replay;
use crate::failure::{Doing, Failure};

/// Exit status: a call was answered otherwise.
const DIFFERENT: u8 = 1;

/// Plays each recording to a driver of its own and prints what came of it.
pub fn replay(order: &Replay) -> Result<ExitCode, Failure> {
    let mask = Mask::embedded();
    let mut all_same = true;
    for file in &order.files {
        let mut manager = manager(order, file)?;
        let events = recording::open(file).doing(&format!("read `{}`", file.display()))?;
        let outcome = replay::check(&events, &mut manager, &mask);
        all_same &= outcome.mismatches.is_empty();
        print(&file.display().to_string(), &outcome, &manager);
    }
    Ok(if all_same { ExitCode::SUCCESS } else { ExitCode::from(DIFFERENT) })
}

/// A driver with the card of that recording.
fn manager(order: &Replay, file: &Path) -> Result<ResourceManager, Failure> {
    let name = match order.gpu.as_str() {
        "auto" => "h100",
        named => named,
    };
    let profile = device::by_name(name)
        .ok_or_else(|| Failure::new(format!("there is no card `{name}`")).hint("see `vgpu-run profiles`"))?;
    let facts = resource_manager::facts(profile.key).ok_or_else(|| {
        Failure::new(format!("what a driver tells of the card `{name}` has not been recorded"))
    })?;
    let memory = order.memory.unwrap_or(profile.memory);
    let description = profile.describe(0, memory, profile.multiprocessors);
    let beside = file.with_file_name("unit.toml");
    let unit = match order.unit.as_deref().or_else(|| beside.exists().then_some(beside.as_path())) {
        Some(unit) => {
            let doing = format!("read `{}`", unit.display());
            Unit::parse(&std::fs::read_to_string(unit).doing(&doing)?)
                .map_err(|error| Failure::new(error).cause(doing))?
        }
        None => Unit::emulated(&description, 0),
    };
    let manager = ResourceManager::new(device::DRIVER_VERSION, vec![Card::new(description, unit, &facts)]);
    manager.doing("emulate the driver")
}

fn print(name: &str, outcome: &Outcome, manager: &ResourceManager) {
    for mismatch in &outcome.mismatches {
        println!("{name}:{}: {}", mismatch.line, mismatch.name);
        for difference in &mismatch.differences {
            println!("    {difference}");
        }
    }
    for unknown in manager.unknown() {
        println!("{name}: not known here: {unknown}");
    }
    println!("{name}: {}", summary(outcome));
}

fn summary(outcome: &Outcome) -> String {
    let mut parts = vec![format!(
        "{} calls, {} matches, {} mismatches",
        outcome.calls,
        outcome.matches,
        outcome.mismatches.len()
    )];
    if outcome.skipped > 0 {
        parts.push(format!("{} skipped: what they point to was not recorded", outcome.skipped));
    }
    if let Some(load) = &outcome.neighbours {
        let held: u64 = load.processes.iter().map(|(_, bytes)| bytes).sum();
        parts.push(format!(
            "the card in use by others, as it was told first ({} processes with {} MiB)",
            load.processes.len(),
            held >> 20
        ));
    }
    let masked = |reading: bool| {
        let of_kind = outcome.masked.iter().filter(|(category, _)| category.is_reading() == reading);
        of_kind.map(|(category, bytes)| format!("{bytes} {}", word(*category))).collect::<Vec<_>>().join(", ")
    };
    let (own, readings) = (masked(false), masked(true));
    parts.push(format!(
        "{} bytes, masked {} ({:.2} %), besides readings: {}",
        outcome.bytes,
        if own.is_empty() { "0" } else { &own },
        outcome.masked_share(),
        if readings.is_empty() { "0" } else { &readings },
    ));
    parts.join("; ")
}

fn word(category: Category) -> &'static str {
    match category {
        Category::Time => "of time",
        Category::Power => "of power",
        Category::Utilisation => "of utilisation",
        Category::Address => "of addresses",
        Category::Memory => "of free memory",
        Category::Temperature => "of temperature",
        Category::Count => "of counters",
        Category::Leftover => "left over",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_counts_of_masked_bytes_are_told() {
        let mut outcome = Outcome { calls: 3, matches: 2, bytes: 200, skipped: 1, ..Outcome::default() };
        outcome.masked.insert(Category::Address, 8);
        outcome.masked.insert(Category::Time, 100);
        assert_eq!(
            summary(&outcome),
            "3 calls, 2 matches, 0 mismatches; 1 skipped: what they point to was not recorded; \
             200 bytes, masked 8 of addresses (4.00 %), besides readings: 100 of time"
        );
    }
}
