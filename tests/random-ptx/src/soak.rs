//! As many programs as there is time for, on every executor that there is.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use executors::{Driver, Failure, Interpreter};
use random_ptx::generate;
use random_ptx::program::Program;
use random_ptx::random::mix;
use random_ptx::ways::{self, Way};

use crate::beside;

/// Every program is run in two of the forced ways; of so many one in one of the plain ways too, which take longer to compile.
const PLAIN: usize = 3;

/// What has been done.
struct Soak {
    interpreter: Interpreter,
    driver: Option<Driver>,
    plain: Vec<Way>,
    forced: Vec<Way>,
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
        plain: ways::plain(),
        forced: ways::forced(),
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
        note(now, seed, "interpreter")?;
        let expected = program.run(&self.interpreter);
        *self.counts.entry("interpreter".into()).or_default() += 1;
        if expected.is_err() {
            self.differ(seed, "interpreter", &expected, &expected);
        }
        if let Some(driver) = &self.driver {
            note(now, seed, "gpu")?;
            let actual = program.run(driver);
            self.count("gpu", seed, &expected, &actual);
        }
        // Turns of each seed's own, as processes take seeds in steps.
        let turn = mix(seed) as usize;
        if turn.is_multiple_of(PLAIN) {
            self.compare(false, turn / PLAIN, seed, &program, &expected, now)?;
        }
        // The second one is any of the others.
        let (first, others) = (turn / PLAIN, self.forced.len() - 1);
        let second = first + 1 + first / self.forced.len() % others;
        self.compare(true, first, seed, &program, &expected, now)?;
        self.compare(true, second, seed, &program, &expected, now)
    }

    /// Runs a program in one of the ways, plain or forced.
    fn compare(
        &mut self,
        is_forced: bool,
        turn: usize,
        seed: u64,
        program: &Program,
        expected: &Outcome,
        now: &Path,
    ) -> Result<(), String> {
        let ways = if is_forced { &self.forced } else { &self.plain };
        let Way { name, executor } = &ways[turn % ways.len()];
        note(now, seed, name)?;
        let (name, actual) = (*name, program.run(executor));
        self.count(name, seed, expected, &actual);
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
        for Way { name, executor } in self.plain.iter().chain(&self.forced) {
            let tally = executor.tally.to_string();
            let had: u64 = tally.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0);
            let _ = writeln!(text, "{had} had code: {name}");
        }
        std::fs::write(out, text).map_err(|error| error.to_string())?;
        std::fs::write(beside(out, "differences"), &self.differences).map_err(|error| error.to_string())
    }
}

/// Writes down what is run.
fn note(now: &Path, seed: u64, what: &str) -> Result<(), String> {
    std::fs::write(now, format!("seed {seed}: {what}\n")).map_err(|error| error.to_string())
}

/// One program in one way.
pub fn way(name: &str, seed: u64) -> Result<(), String> {
    let interpreter = Interpreter::new(1);
    let program = generate(seed);
    let expected = program.run(&interpreter);
    let mut ways = ways::plain().into_iter().chain(ways::forced());
    if let Some(Way { executor, .. }) = ways.find(|way| way.name == name) {
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
