//! Random programs: what an H100 gave, and the same whatever the threads and the tier.

use executors::interpreter::Tier;
use executors::{Executor, Interpreter};
use random_ptx::generate;
use random_ptx::golden::{Line, text_hash};
use random_ptx::reach::Reach;
use random_ptx::straight::Straight;
use random_ptx::ways::{self, Way};

/// A generator that has changed has other programs: then the GPU has to be asked anew.
#[test]
fn programs_give_what_an_h100_gave() {
    let lines = Line::all(include_str!("../golden/h100.txt")).expect("the checksums are readable");
    assert!(lines.len() >= 800, "the checksums are there");
    let interpreter = Interpreter::new(1);
    for line in lines {
        let program = generate(line.seed);
        let hash = text_hash(&program);
        assert_eq!(hash, line.text, "program {} is another one now: run scripts/record-vectors", line.seed);
        let result = program.run(&interpreter).unwrap_or_else(|failure| panic!("{}: {failure}", line.seed));
        assert_eq!(result, line.result, "program {0}: `random-ptx show {0}`", line.seed);
    }
}

#[test]
fn programs_give_the_same_on_one_thread_and_on_three() {
    let (one, three) = (Interpreter::new(1), Interpreter::new(3));
    let run = |executor: &dyn Executor, seed| {
        generate(seed).run(executor).unwrap_or_else(|failure| panic!("program {seed}: {failure}"))
    };
    for seed in 100_000..100_500 {
        assert_eq!(run(&one, seed), run(&three, seed), "program {seed}");
    }
}

/// Also where lanes are masked throughout, part at random places, code gives up at some, and warps and blocks come in any order.
/// Compiling takes a tenth of a second for each; `random-ptx all` does as many as you like, and with `EVERY_PROGRAM` this does all that an H100 ran.
#[test]
fn programs_give_the_same_however_they_are_compiled() {
    // Code that is made in a hurry keeps everything in its frame: of a large program megabytes.
    let thread = std::thread::Builder::new().stack_size(64 << 20).spawn(run_in_all_ways).expect("a thread");
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn run_in_all_ways() {
    let every = std::env::var_os("EVERY_PROGRAM").is_some();
    let interpreted = Interpreter::new(1);
    for (number, Way { name, executor }) in ways::plain().into_iter().chain(ways::forced()).enumerate() {
        let first = 200_000 + 10 * number as u64;
        let seeds = if every { 0..800 } else { first..first + 10 };
        for seed in seeds {
            let program = generate(seed);
            let (expected, actual) = (program.run(&interpreted), program.run(&executor));
            assert!(expected.is_ok(), "program {seed}: {expected:?}");
            assert_eq!(actual, expected, "program {seed}, {name}");
        }
        if !name.starts_with("interpreter") {
            executor.tally.require(if every { 350 } else { 5 });
        }
    }
}

/// What the compiler tests once for many warps, or for many rounds of a loop, holds for all of them, wherever bounds and places lie.
#[test]
fn straight_programs_give_the_same_however_they_are_compiled() {
    let seeds = if std::env::var_os("EVERY_PROGRAM").is_some() { 2000 } else { 24 };
    let turns = Tier::Forced(jit::Forced { turns: Some(1), ..jit::Forced::default() });
    for (number, (tier, threads)) in
        [(Tier::Compiled, 1), (Tier::Avx2, 1), (Tier::Avx2, 3), (turns, 1)].into_iter().enumerate()
    {
        for seed in (0..seeds).map(|seed| seed + 10_000 * number as u64) {
            let program = Straight::of(seed);
            let expected = program.run(Tier::Interpreter, 1);
            assert!(expected.is_ok(), "straight program {seed}: {expected:?}");
            assert_eq!(program.run(tier, threads), expected, "straight program {seed}: {}", program.text());
        }
    }
}

/// Programs that have come out wrong in a way, or had no code.
const FOUND: [(&str, u64); 10] = [
    ("turns", 1_001_000_003_197),
    ("compiled", 1_005_500_012_693),
    ("masked, stops", 1_005_000_009_188),
    ("masked, stops", 1_005_500_020_594),
    ("soon", 7_000_000_143),
    ("compiled", 70_008_934),
    ("masked, stops", 70_008_934),
    ("splits", 200_110),
    ("stops", 420_004_678),
    ("order, splits, turns", 440_000_066),
];

#[test]
fn programs_that_were_wrong_are_right() {
    let interpreted = Interpreter::new(1);
    for (name, seed) in FOUND {
        let mut ways = ways::plain().into_iter().chain(ways::forced());
        let Way { executor, .. } = ways.find(|way| way.name == name).expect("a way");
        let program = generate(seed);
        assert_eq!(program.run(&executor), program.run(&interpreted), "program {seed}, {name}");
        executor.tally.require(1);
        executor.tally.require(1);
    }
}

/// Compiling takes longer than running: one of twenty of the programs that an H100 ran, or, where `EVERY_PROGRAM` is set, all.
#[test]
fn compiled_programs_give_what_an_h100_gave() {
    let every = if std::env::var_os("EVERY_PROGRAM").is_some() { 1 } else { 20 };
    let lines = Line::all(include_str!("../golden/h100.txt")).expect("the checksums are readable");
    let compiled = Interpreter::on(Tier::Compiled, 1);
    let mut wrong = Vec::new();
    for line in lines.iter().step_by(every) {
        let result = generate(line.seed).run(&compiled);
        if result != Ok(line.result) {
            println!("{} {result:?} {}", line.seed, line.result);
            wrong.push(line.seed);
        }
    }
    assert!(wrong.is_empty(), "{} programs differ: {wrong:?}", wrong.len());
    compiled.tally.require(500 / every);
}

/// What the compiler does in some kernels only (`jit::USES`) it does for random programs.
#[test]
fn programs_come_by_all_that_the_compiler_does() {
    let reach = Reach::of(300_000..300_800);
    println!("{reach}");
    assert_eq!(reach.missing(), Vec::<&str>::new());
    assert!(reach.compiled * 2 > reach.programs, "most programs have code");
}

/// The checks above rest on this: nearly every statement of a program shows in its checksum.
#[test]
fn a_program_without_one_of_its_statements_has_another_checksum() {
    let interpreter = Interpreter::new(1);
    let (mut shows, mut statements) = (0, 0);
    for seed in 0..30 {
        let program = generate(seed);
        let whole = program.run(&interpreter);
        for place in 0..program.body.len() {
            let mut less = program.clone();
            less.body.remove(place);
            statements += 1;
            shows += usize::from(less.run(&interpreter) != whole);
        }
    }
    assert!(shows * 2 > statements, "{shows} of {statements} statements show");
}
