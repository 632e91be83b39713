//! A program on an executor.

use executors::{Buffer, Executor, Failure, Parameter, Shape};

use crate::program::Program;
use crate::random::{Random, checksum};
use crate::text::{APART_WORDS, DATA_BYTES, OWN_BYTES, SUM_WORDS, class_bytes};

/// What a program has left.
pub struct Written {
    /// By the register's name, what each thread had in it in the end, with one NaN for all.
    registers: Vec<(String, Vec<u64>)>,
    /// Shared words, rows, and every memory, by name.
    memories: Vec<(&'static str, Vec<u64>)>,
}

impl Written {
    fn all(&self) -> impl Iterator<Item = (&str, &Vec<u64>)> {
        let registers = self.registers.iter().map(|(name, values)| (name.as_str(), values));
        registers.chain(self.memories.iter().map(|(name, values)| (*name, values)))
    }
}

impl Program {
    /// Runs it: a checksum of what it wrote.
    pub fn run(&self, executor: &dyn Executor) -> Result<u64, Failure> {
        self.written(executor)
            .map(|written| checksum(written.all().flat_map(|(_, values)| values.iter().copied())))
    }

    /// Runs it: all that it wrote.
    pub fn written(&self, executor: &dyn Executor) -> Result<Written, Failure> {
        let threads = self.all_threads() as usize;
        let mut data = Buffer::of_words(&self.data());
        let mut out = Buffer::zeroed(self.result_bytes());
        let mut own = Buffer::zeroed(threads * OWN_BYTES as usize);
        let mut apart = Buffer::zeroed((threads * APART_WORDS as usize).div_ceil(2) * 8);
        let mut sums = Buffer::zeroed(SUM_WORDS as usize * 4);
        let shape = Shape { grid: self.grid, block: self.block, shared: 0, cooperative: false };
        let mut parameters = [&mut data, &mut out, &mut own, &mut apart, &mut sums].map(Parameter::Memory);
        executor.run(&self.text(), "random", shape, &mut parameters)?;
        let results = out.bytes();
        let mut rows = results.chunks(8 * threads);
        let registers = self.registers.iter().zip(rows.by_ref()).map(|((class, index), row)| {
            let cells = row.chunks(class_bytes(class)).take(threads);
            (format!("%{class}{index}"), cells.map(|cell| plain(class, cell)).collect())
        });
        let registers = registers.collect();
        let left = rows.flat_map(|row| row.chunks(8)).map(number).collect();
        let memories = vec![
            ("shared words and rows", left),
            ("own memory", own.words()),
            ("memory apart", apart.words()),
            ("sums", sums.words()),
        ];
        Ok(Written { registers, memories })
    }

    /// Where two executors differ: the register or memory, the place, and what each has there.
    pub fn differences(&self, first: &dyn Executor, second: &dyn Executor) -> Vec<String> {
        let (Ok(first), Ok(second)) = (self.written(first), self.written(second)) else { return Vec::new() };
        let mut out = Vec::new();
        for ((what, first), (_, second)) in first.all().zip(second.all()) {
            let pairs = first.iter().zip(second).enumerate();
            let different: Vec<_> = pairs.filter(|(_, (first, second))| first != second).collect();
            if let Some((place, (first, second))) = different.first() {
                let count = different.len();
                out.push(format!(
                    "{what} differs {count} times, first at {place}: {first:#x}, not {second:#x}"
                ));
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

/// A number of up to eight bytes.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// A register's bits, with one NaN for all.
fn plain(class: &str, cell: &[u8]) -> u64 {
    let bits = number(cell);
    let half = |bits: u64| if bits & 0x7fff > 0x7c00 { 0x7fff } else { bits };
    let brain = |bits: u64| if bits & 0x7fff > 0x7f80 { 0x7fff } else { bits };
    match class {
        "f" if f32::from_bits(bits as u32).is_nan() => 0x7fff_ffff,
        "d" if f64::from_bits(bits).is_nan() => u64::MAX >> 1,
        "e" => half(bits),
        "x" => half(bits & 0xffff) | half(bits >> 16) << 16,
        "y" => brain(bits & 0xffff) | brain(bits >> 16) << 16,
        _ => bits,
    }
}
