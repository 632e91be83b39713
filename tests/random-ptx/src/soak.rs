//! As many programs as there is time for, on every executor that there is.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use executors::interpreter::Tier;
use executors::{Driver, Failure, Interpreter};
use random_ptx::generate;

use crate::beside;

/// An executor, by name; for what it runs compiled, its [`Interpreter`].
struct Candidate {
    name: &'static str,
    executor: Interpreter,
}

fn forced(masked: bool, splits: Option<u64>, stops: Option<u64>) -> Tier {
    Tier::Forced(jit::Forced { masked, splits, stops })
}

/// Ways of running; each program takes one of them, every sixth the first, every sixth the second.
fn candidates() -> Vec<Candidate> {
    let of = |name, tier, threads| Candidate { name, executor: Interpreter::on(tier, threads) };
    vec![
        of("compiled", Tier::Compiled, 1),
        of("compiled, avx2", Tier::Avx2, 1),
        of("compiled, soon", forced(false, None, None), 2),
        of("compiled, masked", forced(true, None, None), 1),
        of("compiled, splits", forced(false, Some(1), None), 1),
        of("compiled, stops", forced(false, None, Some(2)), 1),
        of("compiled, masked, splits", forced(true, Some(3), None), 3),
        of("compiled, splits, stops", forced(false, Some(4), Some(5)), 1),
        of("compiled, masked, stops", forced(true, None, Some(6)), 2),
        of("interpreter, 3 threads", Tier::Interpreter, 3),
    ]
}

/// What has been done.
struct Soak {
    interpreter: Interpreter,
    driver: Option<Driver>,
    candidates: Vec<Candidate>,
    counts: BTreeMap<String, u64>,
    differences: String,
}

/// Runs programs until the time is over; writes counts and differences.
pub fn run(out: &Path, seeds: impl Iterator<Item = u64>, time: Duration) -> Result<(), String> {
    let begun = Instant::now();
    let driver = Driver::open().ok().map(|mut driver| {
        // See the README of `golden`.
        driver.optimization = 0;
        driver
    });
    let mut soak = Soak {
        interpreter: Interpreter::new(1),
        driver,
        candidates: candidates(),
        counts: BTreeMap::new(),
        differences: String::new(),
    };
    for (done, seed) in seeds.enumerate() {
        if begun.elapsed() > time {
            break;
        }
        soak.program(seed, &beside(out, "now"))?;
        if done % 16 == 0 {
            soak.save(out)?;
        }
    }
    std::fs::remove_file(beside(out, "now")).map_err(|error| error.to_string())?;
    soak.save(out)
}

impl Soak {
    /// `now`: where it is written what is run, for whoever finds that the process has ended early.
    fn program(&mut self, seed: u64, now: &Path) -> Result<(), String> {
        let program = generate(seed);
        let running = |what: &str| {
            std::fs::write(now, format!("seed {seed}: {what}\n")).map_err(|error| error.to_string())
        };
        running("interpreter")?;
        let expected = program.run(&self.interpreter);
        *self.counts.entry("interpreter".into()).or_default() += 1;
        if expected.is_err() {
            self.differ(seed, "interpreter", &expected, &expected);
        }
        if let Some(driver) = &self.driver {
            running("gpu")?;
            let actual = program.run(driver);
            self.count("gpu", seed, &expected, &actual);
        }
        // Rotates also where seeds go in steps.
        let turn = (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize;
        let place = if turn % 6 < 2 { turn % 6 } else { 2 + turn / 6 % (self.candidates.len() - 2) };
        let Candidate { name, executor } = &self.candidates[place];
        let name = *name;
        running(name)?;
        let actual = program.run(executor);
        self.count(name, seed, &expected, &actual);
        Ok(())
    }

    fn count(&mut self, name: &str, seed: u64, expected: &Outcome, actual: &Outcome) {
        *self.counts.entry(name.into()).or_default() += 1;
        if actual != expected {
            self.differ(seed, name, expected, actual);
        }
    }

    fn differ(&mut self, seed: u64, name: &str, expected: &Outcome, actual: &Outcome) {
        *self.counts.entry("differences".into()).or_default() += 1;
        let mut text = format!("{actual:x?}");
        text.truncate(300);
        let _ = writeln!(self.differences, "seed {seed}: {name}: {text}, not {expected:x?}");
    }

    fn save(&self, out: &Path) -> Result<(), String> {
        let mut text: String = self.counts.iter().map(|(name, count)| format!("{count} {name}\n")).collect();
        for Candidate { name, executor } in &self.candidates {
            let tally = executor.tally.to_string();
            let had: u64 = tally.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0);
            let _ = writeln!(text, "{had} had code: {name}");
        }
        std::fs::write(out, text).map_err(|error| error.to_string())?;
        std::fs::write(beside(out, "differences"), &self.differences).map_err(|error| error.to_string())
    }
}

/// One program in one way.
pub fn way(name: &str, seed: u64) -> Result<(), String> {
    let interpreter = Interpreter::new(1);
    let program = generate(seed);
    let expected = program.run(&interpreter);
    let same = |candidate: &Candidate| candidate.name == name;
    if let Some(Candidate { executor, .. }) = candidates().into_iter().find(same) {
        let actual = program.run(&executor);
        println!("{expected:x?} interpreted, {actual:x?} {name}\n{}", executor.tally);
        if actual != expected {
            println!("{}", crate::smaller(&program, &interpreter, &executor));
        }
        return Ok(());
    }
    let mut driver = Driver::open()?;
    driver.optimization = 0;
    let actual = program.run(&driver);
    println!("{expected:x?} interpreted, {actual:x?} on the GPU");
    if actual != expected {
        println!("{}", crate::smaller(&program, &driver, &interpreter));
    }
    Ok(())
}

type Outcome = Result<u64, Failure>;

/// Adds up what the parts have written.
pub fn together(out: &Path, parts: u64) -> Result<String, String> {
    let (mut counts, mut differences) = (BTreeMap::<String, u64>::new(), String::new());
    for part in 0..parts {
        let place = beside(out, &part.to_string());
        let take = |path: &Path| {
            let text = std::fs::read_to_string(path).map_err(|error| error.to_string());
            let _ = std::fs::remove_file(path);
            text
        };
        for line in take(&place)?.lines() {
            if let Some((count, name)) = line.split_once(' ') {
                *counts.entry(name.into()).or_default() += count.parse::<u64>().unwrap_or(0);
            }
        }
        differences += &take(&beside(&place, "differences"))?;
        // What is left there a process has not come back from.
        if let Ok(last) = take(&beside(&place, "now")) {
            differences += &format!("{}: the process ended\n", last.trim_end());
        }
    }
    let text: String = counts.iter().map(|(name, count)| format!("{count} {name}\n")).collect();
    std::fs::write(out, &text).map_err(|error| error.to_string())?;
    std::fs::write(beside(out, "differences"), &differences).map_err(|error| error.to_string())?;
    Ok(text)
}
