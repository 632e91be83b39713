//! One process's measurement of one benchmark on one device.

use std::time::{Duration, Instant};

use crate::cores;
use crate::device::{Device, Kind};
use crate::problem::{Benchmark, Native, Problem};

/// Units of work per second.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// On the device.
    pub device: f64,
    /// In native code, in the same process.
    pub native: f64,
}

/// Sides take turns that often, so that a slow moment of the machine meets both.
const ROUNDS: u32 = 5;
/// A timed stretch is that long at least: a clock's reading and waiting for the end are small beside it.
const STRETCH: Duration = Duration::from_millis(2);

/// Compares the results of the first run, then times both sides in turn, that long each; the best stretch counts.
pub fn measure(benchmark: &Benchmark, kind: Kind, time: Duration) -> Result<Sample, String> {
    let (mut problem, mut device) = compared(benchmark, kind)?;
    let mut sides = [Side::new(&mut *device, problem.one_by_one)?, Side::native(&mut *problem.native)?];
    for _ in 0..ROUNDS {
        sides.iter_mut().try_for_each(|side| side.round(time / ROUNDS))?;
    }
    let rate = |side: &Side| problem.work / side.best.as_secs_f64();
    Ok(Sample { device: rate(&sides[0]), native: rate(&sides[1]) })
}

/// Both sides after one run, with the same result.
fn compared(benchmark: &Benchmark, kind: Kind) -> Result<(Problem, Box<dyn Device>), String> {
    let mut problem = (benchmark.problem)();
    let mut device = kind.open(&problem)?;
    device.run(1)?;
    cores::pin(cores::work());
    problem.native.run();
    problem.native.check(&device.read(problem.output)?)?;
    Ok((problem, device))
}

/// One of the two that are timed.
struct Side<'a> {
    run: Box<dyn FnMut(u32) -> Result<(), String> + 'a>,
    core: usize,
    /// Runs of a stretch.
    runs: u32,
    best: Duration,
}

impl<'a> Side<'a> {
    fn new(device: &'a mut dyn Device, one_by_one: bool) -> Result<Side<'a>, String> {
        let core = device.client_core();
        let run = move |runs: u32| match one_by_one {
            true => (0..runs).try_for_each(|_| device.run(1)),
            false => device.run(runs as usize),
        };
        Side { run: Box::new(run), core, runs: 1, best: Duration::MAX }.calibrated()
    }

    fn native(native: &'a mut dyn Native) -> Result<Side<'a>, String> {
        let run = move |runs: u32| {
            (0..runs).for_each(|_| native.run());
            Ok(())
        };
        Side { run: Box::new(run), core: cores::work(), runs: 1, best: Duration::MAX }.calibrated()
    }

    /// Finds how many runs make a stretch.
    fn calibrated(mut self) -> Result<Side<'a>, String> {
        cores::pin(self.core);
        while self.stretch()? * self.runs < STRETCH {
            self.runs *= 2;
        }
        Ok(self)
    }

    /// Stretches for that long, one at least.
    fn round(&mut self, time: Duration) -> Result<(), String> {
        cores::pin(self.core);
        let begun = Instant::now();
        loop {
            self.best = self.best.min(self.stretch()?);
            if begun.elapsed() >= time {
                return Ok(());
            }
        }
    }

    /// Time of one run in a stretch.
    fn stretch(&mut self) -> Result<Duration, String> {
        let begun = Instant::now();
        (self.run)(self.runs)?;
        Ok(begun.elapsed() / self.runs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{problems, sources};

    #[test]
    fn kernels_and_native_code_have_the_same_results() {
        sources::compile().expect("NVRTC compiles the kernels");
        for benchmark in problems::ALL {
            if let Err(reason) = compared(benchmark, Kind::InProcess) {
                panic!("{}: {reason}", benchmark.name);
            }
        }
    }
}
