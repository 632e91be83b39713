//! Compiling kernels of the census, as the engine would: each has a budget of the processor's time, and what has no code says why.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use interpreter::Image;
use llvm::Target;
use ptx::Function;

use crate::census::processor_time;

/// Time for a kernel, whatever it is.
const BASE: Duration = Duration::from_millis(250);
/// And for each of its instructions.
const EACH: Duration = Duration::from_millis(5);
/// The shape of blocks of kernels that say nothing of theirs.
const USUAL: [u32; 3] = [256, 1, 1];

/// What became of kernels that were compiled.
#[derive(Debug, Default)]
pub struct Compiled {
    /// Kernels with code.
    pub compiled: usize,
    /// Of those, where the interpreter does some instruction.
    pub helped: usize,
    /// Why others have none, and how many.
    pub refused: BTreeMap<String, usize>,
    /// Kernels of which there should be code: a panic, a text that LLVM does not take.
    pub broken: Vec<String>,
    /// Kernels that took longer than their budget.
    pub late: Vec<String>,
    /// PTX instructions of the kernels with code.
    pub instructions: usize,
    /// Bytes of their objects.
    pub bytes: usize,
    /// Processor's time of each.
    pub times: Vec<Duration>,
    /// The one that took longest.
    pub slowest: String,
    /// The one with the most code.
    pub largest: (usize, String),
}

impl Compiled {
    /// Adds what another found.
    pub fn add(&mut self, other: Compiled) {
        if other.times.iter().max() > self.times.iter().max() {
            self.slowest = other.slowest;
        }
        self.largest = std::mem::take(&mut self.largest).max(other.largest);
        self.compiled += other.compiled;
        self.helped += other.helped;
        self.instructions += other.instructions;
        self.bytes += other.bytes;
        self.times.extend(other.times);
        self.broken.extend(other.broken);
        self.late.extend(other.late);
        other.refused.into_iter().for_each(|(why, count)| *self.refused.entry(why).or_default() += count);
    }

    /// Compiles a kernel for the shape that it asks for.
    pub fn kernel(&mut self, image: &Image, kernel: &Function) {
        let (name, block) = (&*kernel.name, shape(kernel));
        let begun = processor_time();
        let made = catch_unwind(AssertUnwindSafe(|| {
            let target = Target::host();
            let made = jit::lower(image, name, block, &target)?;
            let refused = made.refused.len();
            let (object, took) = llvm::compile_timed(&made.ir, &target)
                .map_err(|error| jit::Error::Llvm(name.into(), error.to_string()))?;
            let lowering = processor_time() - begun;
            Ok::<_, jit::Error>((refused, object.len(), made.load(image, &object)?, lowering + took))
        }));
        match made {
            Ok(Ok((refused, bytes, code, took))) => {
                let instructions = code.kernel.instructions();
                self.compiled += 1;
                self.helped += usize::from(refused > 0);
                self.instructions += instructions;
                self.bytes += bytes;
                if self.times.iter().all(|time| took > *time) {
                    self.slowest = format!("{name}, {instructions} instructions");
                }
                self.largest = std::mem::take(&mut self.largest).max((bytes, name.to_owned()));
                self.times.push(took);
                if took > budget(instructions) {
                    self.late
                        .push(format!("{name}: {instructions} instructions, {:.2} s", took.as_secs_f64()));
                }
            }
            Ok(Err(error)) if error.is_ours() => self.broken.push(error.to_string()),
            Ok(Err(error)) => *self.refused.entry(reason(&error)).or_default() += 1,
            Err(_) => self.broken.push(format!("kernel `{name}`: the compiler panicked")),
        }
    }
}

/// What compiling took, kernels that took too long, and those that should have code and have none.
impl fmt::Display for Compiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut times = self.times.clone();
        times.sort_unstable();
        self.broken.iter().try_for_each(|broken| writeln!(f, "    BROKEN: {broken}"))?;
        let Some(longest) = times.last() else { return Ok(()) };
        let within = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)].as_millis();
        let all = times.iter().sum::<Duration>().as_secs_f64();
        writeln!(
            f,
            "compiled {} kernels, of {} the interpreter does some instruction",
            self.compiled, self.helped
        )?;
        writeln!(
            f,
            "    processor's milliseconds: half within {}, 90 of 100 within {}, 99 within {}; longest {} ({})",
            within(50),
            within(90),
            within(99),
            longest.as_millis(),
            self.slowest
        )?;
        writeln!(
            f,
            "    {:.0} ms for 100 instructions; {} bytes of code for each, most {} KiB ({})",
            100e3 * all / self.instructions as f64,
            self.bytes / self.instructions.max(1),
            self.largest.0 >> 10,
            self.largest.1
        )?;
        self.late.iter().try_for_each(|late| writeln!(f, "    over its budget: {late}"))
    }
}

/// How long a kernel of so many instructions may take.
pub fn budget(instructions: usize) -> Duration {
    BASE + EACH * instructions as u32
}

/// What it requires, else the most that it allows, in whole warps if that is one or more.
fn shape(kernel: &Function) -> [u32; 3] {
    match (kernel.required_threads, kernel.max_threads) {
        (Some(required), _) => required,
        (None, Some(most)) => {
            let threads = most.iter().product::<u32>();
            [if threads < 32 { threads } else { threads / 32 * 32 }, 1, 1]
        }
        (None, None) => USUAL,
    }
}

/// Without what is one kernel's own.
fn reason(error: &jit::Error) -> String {
    match error {
        jit::Error::Refused(_, why) => {
            let why = why.trim_start_matches("it has ");
            match why.split_once(' ') {
                Some((number, rest)) if number.parse::<u64>().is_ok() => format!("too many {rest}"),
                _ => why.to_owned(),
            }
        }
        other => other.to_string(),
    }
}
