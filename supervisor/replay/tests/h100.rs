//! The emulated H100 answers as the recorded one did.

use std::path::PathBuf;

use replay::{Mask, Outcome, check};
use resource_manager::{Card, ResourceManager, Unit, facts};

fn recordings() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/recordings/h100")
}

fn replayed(name: &str) -> Outcome {
    let profile = device::by_name("h100").expect("embedded");
    let description = profile.describe(0, profile.memory, profile.multiprocessors);
    let unit = std::fs::read_to_string(recordings().join("unit.toml")).expect("there");
    let card = Card::new(description, Unit::parse(&unit).expect("a unit"), facts("h100").expect("recorded"));
    let mut manager = ResourceManager::new(device::DRIVER_VERSION, vec![card]).expect("known");
    let events = recording::open(&recordings().join(format!("{name}.jsonl.xz"))).expect("a recording");
    let outcome = check(&events, &mut manager, &Mask::embedded());
    for mismatch in &outcome.mismatches {
        println!("{name}:{}: {}", mismatch.line, mismatch.name);
        for difference in &mismatch.differences {
            println!("    {difference}");
        }
    }
    println!("{name}: unknown: {:?}", manager.unknown().collect::<Vec<_>>());
    outcome
}

fn assert_same(name: &str, calls: usize) {
    let outcome = replayed(name);
    assert_eq!((outcome.calls, outcome.mismatches.len()), (calls, 0), "{name}");
    assert_eq!(outcome.matches + outcome.skipped, calls, "{name}");
    assert!(outcome.masked_share() <= 5.0, "{name}: {:.1} % masked", outcome.masked_share());
}

#[test]
fn nvidia_smi_l() {
    assert_same("smi_L", 40);
}

#[test]
fn cuda_initialisation() {
    assert_same("cuinit", 119);
}

#[test]
fn nvidia_smi() {
    assert_same("smi", 91);
}

#[test]
fn every_getter_of_nvml() {
    assert_same("pynvml", 179);
}

#[test]
fn cuda_context() {
    assert_same("ctx", 491);
}

#[test]
fn pytorch() {
    assert_same("torch", 548);
}
