//! The interpreter and compiled code give what an H100 gave.

use std::collections::HashSet;
use std::sync::Arc;

use executors::Interpreter;
use executors::interpreter::{Tally, Tier};
use instruction_vectors::known::lacking;
use instruction_vectors::replay::{Report, replay, replay_some};
use instruction_vectors::{Golden, cases};
use jit::Forced;

/// Compiling takes longer than running, so this takes every tenth case; all of them where `EVERY_CASE` is set.
#[test]
fn compiled_code_gives_what_an_h100_gave() {
    compiled(Tier::Compiled, 10);
}

/// So does code in which lanes have parted: it writes registers of some lanes only.
#[test]
fn masked_code_gives_what_an_h100_gave() {
    compiled(Tier::Forced(Forced { masked: true, splits: Some(1), ..Forced::default() }), 50);
}

fn compiled(tier: Tier, sample: usize) {
    let golden = Golden::read(include_bytes!("../golden/h100.zst")).expect("the golden results are readable");
    let (every, threads) = match std::env::var_os("EVERY_CASE") {
        Some(_) => (1, std::thread::available_parallelism().map_or(2, |threads| threads.get())),
        None => (sample, 2),
    };
    let tally = Arc::<Tally>::default();
    let executor = || {
        let mut executor = Interpreter::on(tier, 1);
        executor.tally = tally.clone();
        executor
    };
    let report = replay_some(&golden, every, threads, executor);
    judge(&report);
    assert!(report.agree > 5_500 / every, "{report}");
    tally.require(7_000 / every);
}

#[test]
fn every_instruction_gives_what_an_h100_gave() {
    let golden = Golden::read(include_bytes!("../golden/h100.zst")).expect("the golden results are readable");
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get());
    let report = replay(&golden, threads, || Interpreter::new(1));
    println!("recorded: {}", golden.header);
    judge(&report);
    // A table that has grown is recorded anew one day; that most of it is there is what this test rests on.
    assert!(report.agree > 5_500 && report.unknown.len() < 500, "{report}");
}

/// No case differs, and none is refused but those of which it is known.
fn judge(report: &Report) {
    println!("{report}");
    let differ = lines(&report.differ);
    assert!(report.differ.is_empty(), "{} cases differ:\n{differ}", report.differ.len());
    let lacks: HashSet<String> =
        cases().into_iter().filter(|case| lacking(case).is_some()).map(|case| case.text).collect();
    let unexpected: Vec<_> =
        report.refused.iter().filter(|(text, _)| !lacks.contains(text)).cloned().collect();
    assert!(unexpected.is_empty(), "{} cases are refused:\n{}", unexpected.len(), lines(&unexpected));
}

fn lines(list: &[(String, String)]) -> String {
    list.iter().map(|(text, how)| format!("{text}: {how}\n")).collect()
}
