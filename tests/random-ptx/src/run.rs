//! A program on an executor.

use executors::{Buffer, Executor, Failure, Parameter, Shape};

use crate::program::Program;
use crate::random::{Random, checksum};
use crate::text::{APART_WORDS, DATA_BYTES, OWN_BYTES, SUM_WORDS};

impl Program {
    /// Runs it: a checksum of what it wrote.
    pub fn run(&self, executor: &dyn Executor) -> Result<u64, Failure> {
        self.written(executor, None).map(|written| checksum(written.concat()))
    }

    /// Runs it: each thread's result, which is the sum of its registers or one of them, and what is in each memory.
    pub fn written(&self, executor: &dyn Executor, register: Option<&str>) -> Result<[Vec<u64>; 4], Failure> {
        let threads = self.all_threads() as usize;
        let mut data = Buffer::of_words(&self.data());
        let mut out = Buffer::of_words(&vec![0; threads]);
        let mut own = Buffer::of_words(&vec![0; threads * OWN_BYTES as usize / 8]);
        let mut apart = Buffer::of_words(&vec![0; (threads * APART_WORDS as usize).div_ceil(2)]);
        let mut sums = Buffer::of_words(&vec![0; SUM_WORDS as usize / 2]);
        let shape = Shape { grid: self.grid, block: self.block, shared: 0, cooperative: false };
        let mut parameters = [&mut data, &mut out, &mut own, &mut apart, &mut sums].map(Parameter::Memory);
        executor.run(&self.text_that_writes(register), "random", shape, &mut parameters)?;
        Ok([&out, &own, &apart, &sums].map(Buffer::words))
    }

    /// Where two executors differ: the register or memory, the place, and what each has there.
    pub fn differences(&self, first: &dyn Executor, second: &dyn Executor) -> Vec<String> {
        let mut out = Vec::new();
        let mut compare = |what: &str, first: &[u64], second: &[u64]| {
            let pairs = first.iter().zip(second).enumerate();
            let different: Vec<_> = pairs.filter(|(_, (first, second))| first != second).collect();
            if let Some((place, (first, second))) = different.first() {
                let count = different.len();
                out.push(format!(
                    "{what} differs {count} times, first at {place}: {first:#x}, not {second:#x}"
                ));
            }
        };
        let both =
            |register| Some((self.written(first, register).ok()?, self.written(second, register).ok()?));
        if let Some((first, second)) = both(None) {
            for (index, what) in ["own memory", "memory apart", "sums"].iter().enumerate() {
                compare(what, &first[index + 1], &second[index + 1]);
            }
        }
        let registers: Vec<String> = crate::text::registers().map(|(_, register)| register).collect();
        for register in &registers {
            if let Some((first, second)) = both(Some(register)) {
                compare(register, &first[0], &second[0]);
            }
        }
        out
    }

    /// Its read-only data: random words, then numbers of moderate size, then small integers.
    fn data(&self) -> Vec<u64> {
        let mut random = Random(self.seed ^ 0xda7a);
        let words = DATA_BYTES / 8;
        let half = |random: &mut Random, index: usize| match index * 4 / words {
            0 | 1 => random.word() as u32,
            2 => (random.below(4000) as f32 / 16.0 - 100.0).to_bits(),
            _ => random.below(64) as u32,
        };
        (0..words)
            .map(|at| u64::from(half(&mut random, at)) | u64::from(half(&mut random, at)) << 32)
            .collect()
    }
}
