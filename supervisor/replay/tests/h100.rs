//! The emulated H100 answers as the recorded ones did.

mod common;

use std::path::Path;

use common::{folder, manager};
use replay::{Mask, Outcome, check};

fn replayed(recording: &Path) -> Outcome {
    let mut manager = manager(recording.parent().expect("in a folder"));
    let events = recording::open(recording).expect("a recording");
    let outcome = check(&events, &mut manager, &Mask::embedded());
    for mismatch in &outcome.mismatches {
        println!("{}:{}: {}", recording.display(), mismatch.line, mismatch.name);
        for difference in &mismatch.differences {
            println!("    {difference}");
        }
    }
    outcome
}

/// Every recording of a folder: how many, how many calls, how many of them skipped.
fn assert_same(name: &str) -> (usize, usize, usize) {
    let (mut recordings, mut calls, mut skipped) = (0, 0, 0);
    let mut different = Vec::new();
    for entry in folder(name).read_dir().expect("a folder") {
        let path = entry.expect("readable").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let Some(name) = name.strip_suffix(".jsonl.xz") else { continue };
        let outcome = replayed(&path);
        assert!(outcome.masked_share() <= 5.0, "{name}: {:.1} % masked", outcome.masked_share());
        assert_eq!(outcome.matches + outcome.mismatches.len() + outcome.skipped, outcome.calls, "{name}");
        if !outcome.mismatches.is_empty() {
            different.push(name.to_owned());
        }
        recordings += 1;
        calls += outcome.calls;
        skipped += outcome.skipped;
    }
    assert!(different.is_empty(), "answered otherwise: {different:?}");
    (recordings, calls, skipped)
}

#[test]
fn programs_of_the_first_card_get_the_same_answers() {
    let (recordings, calls, skipped) = assert_same("h100");
    assert!(recordings == 6 && calls == 1468 && skipped < calls / 20, "{recordings} {calls} {skipped}");
}

#[test]
fn programs_of_the_second_card_get_the_same_answers() {
    let (recordings, calls, skipped) = assert_same("h100-2");
    assert!(recordings == 120 && calls > 9000 && skipped < calls / 100, "{recordings} {calls} {skipped}");
}

#[test]
fn who_else_had_the_card_is_told_by_the_recording() {
    let outcome = |name: &str| replayed(&folder("h100-2").join(format!("{name}.jsonl.xz")));
    let load = outcome("smi-busy-q").neighbours.expect("a busy card");
    assert_eq!(
        (load.processes.as_slice(), load.window),
        (&[(1999, 0x6060_0000)][..], 0x68ce_0000),
        "{load:x?}"
    );
    assert!(outcome("smi-q").neighbours.is_none());
}

#[test]
fn another_card_is_told_apart() {
    let events = recording::open(&folder("h100").join("cuinit.jsonl.xz")).expect("a recording");
    let outcome = check(&events, &mut manager(&folder("h100-2")), &Mask::embedded());
    assert!(
        outcome.mismatches.iter().any(|mismatch| mismatch.name.contains("GET_TPC_MASK")),
        "{:?}",
        outcome.mismatches
    );
}
