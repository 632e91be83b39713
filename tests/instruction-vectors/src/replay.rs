//! Every recorded case on an executor.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use executors::{Executor, Failure};

use crate::case::{Case, cases};
use crate::golden::{Answer, Golden, hash, kept, kept_threads};
use crate::judge;
use crate::known::disputed;

/// What came of it.
#[derive(Debug, Default)]
pub struct Report {
    /// Cases that gave what the GPU gave.
    pub agree: usize,
    /// Their operand tuples.
    pub vectors: usize,
    /// Cases that the GPU's compiler refuses for its card: nothing to compare with.
    pub not_recorded: Vec<String>,
    /// Cases that the executor refuses, with its words.
    pub refused: Vec<(String, String)>,
    /// Cases that differ where [`disputed`] says why.
    pub disputed: Vec<String>,
    /// Cases that differ, with a first difference where one is among the results kept in full.
    pub differ: Vec<(String, String)>,
    /// Cases of the table that the file does not have.
    pub unknown: Vec<String>,
}

/// What one case came to.
enum Outcome {
    Agrees(usize),
    NotRecorded,
    Refused(String),
    Differs(String),
    Unknown,
}

/// Replays all; `executor` makes one for each of `threads` threads.
pub fn replay<E: Executor>(golden: &Golden, threads: usize, executor: impl Fn() -> E + Sync) -> Report {
    replay_some(golden, 1, threads, executor)
}

/// As [`replay`], one of `every` cases.
pub fn replay_some<E: Executor>(
    golden: &Golden,
    every: usize,
    threads: usize,
    executor: impl Fn() -> E + Sync,
) -> Report {
    let cases: Vec<Case> = cases().into_iter().step_by(every).collect();
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let executor = executor();
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = outcome(golden, case, &executor);
                    outcomes.lock().expect("no thread panics").push((case, outcome));
                }
            });
        }
    });
    let mut report = Report::default();
    for (case, outcome) in outcomes.into_inner().expect("no thread panics") {
        report.add(case, outcome);
    }
    report
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (agree, vectors) = (self.agree, self.vectors);
        write!(f, "{agree} cases with {vectors} vectors agree, {} differ", self.differ.len())?;
        write!(f, "; {} disputed, {} refused", self.disputed.len(), self.refused.len())?;
        write!(f, "; {} are not for that card, {} not recorded", self.not_recorded.len(), self.unknown.len())
    }
}

impl Report {
    fn add(&mut self, case: &Case, outcome: Outcome) {
        let text = case.text.clone();
        match outcome {
            Outcome::Agrees(vectors) => {
                self.agree += 1;
                self.vectors += vectors;
            }
            Outcome::NotRecorded => self.not_recorded.push(text),
            Outcome::Unknown => self.unknown.push(text),
            Outcome::Refused(why) => self.refused.push((text, why)),
            Outcome::Differs(_) if disputed(case).is_some() => self.disputed.push(text),
            Outcome::Differs(how) => self.differ.push((text, how)),
        }
    }
}

fn outcome(golden: &Golden, case: &Case, executor: &dyn Executor) -> Outcome {
    let (expected_hash, expected) = match golden.answers.get(&case.text) {
        None => return Outcome::Unknown,
        Some(Answer::Refused) => return Outcome::NotRecorded,
        Some(Answer::Results { hash, kept }) => (*hash, kept),
    };
    let results = match case.run(executor) {
        Ok(results) => results,
        Err(Failure::Refused(why)) => return Outcome::Refused(why),
        Err(Failure::Faulted(why)) => return Outcome::Differs(why),
    };
    let differences = judge::differences(case, &kept_threads(case), expected, &kept(case, &results));
    if let Some(first) = differences.first() {
        return Outcome::Differs(first.to_string());
    }
    if hash(case, &results) != expected_hash {
        return Outcome::Differs("among results of which only the hash is kept".into());
    }
    Outcome::Agrees(case.count())
}
