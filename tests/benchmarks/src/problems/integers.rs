//! Counting, prefix sums, sorting: a million elements.

use crate::native::{Aligned, integers};
use crate::problem::{Argument::*, Launch, Module, Native, Problem, equal, words};

const N: usize = 1 << 20;

fn launch(
    kernel: &'static str,
    blocks: usize,
    threads: u32,
    arguments: &[crate::problem::Argument],
) -> Launch {
    Launch { kernel, grid: [blocks as u32, 1, 1], block: [threads, 1, 1], arguments: arguments.to_vec() }
}

/// Bytes as letters of a text are: some bins are fuller than others.
pub fn histogram() -> Problem {
    let bytes: Vec<u8> =
        words(17).take(4 * N).map(|word| ((word >> 56) as u8).min((word >> 48) as u8)).collect();
    let native = Histogram { bytes: Aligned::of(&bytes), bins: [0; 256] };
    Problem {
        module: Module::Plain,
        buffers: vec![bytes, vec![0; 4 * 256]],
        launches: vec![
            launch("clear", 1, 256, &[Buffer(1)]),
            launch("histogram", 64, 256, &[Buffer(0), Buffer(1), Int(N as i32)]),
        ],
        output: 1,
        work: 4.0 * N as f64 / 1e9,
        one_by_one: false,
        native: Box::new(native),
    }
}

struct Histogram {
    bytes: Aligned<u8>,
    bins: [u32; 256],
}

impl Native for Histogram {
    fn run(&mut self) {
        self.bins = integers::histogram(&self.bytes);
    }

    fn check(&self, device: &[u8]) -> Result<(), String> {
        equal(device, &self.bins)
    }
}

/// Inclusive prefix sums.
pub fn scan() -> Problem {
    let values: Vec<i32> = words(18).take(N).map(|word| (word >> 32) as i32).collect();
    let native = Scan { values: Aligned::of(&values), sums: Aligned::zeros(N) };
    let parts = N / 1024;
    Problem {
        module: Module::Plain,
        buffers: vec![native.values.bytes(), vec![0; 4 * parts], vec![0; 4 * N]],
        launches: vec![
            launch("scan_parts", parts, 256, &[Buffer(0), Buffer(1)]),
            launch("scan_offsets", 1, 1024, &[Buffer(1), Int(parts as i32 / 1024)]),
            launch("scan_elements", parts, 256, &[Buffer(0), Buffer(1), Buffer(2)]),
        ],
        output: 2,
        work: 8.0 * N as f64 / 1e9,
        one_by_one: false,
        native: Box::new(native),
    }
}

struct Scan {
    values: Aligned<i32>,
    sums: Aligned<i32>,
}

impl Native for Scan {
    fn run(&mut self) {
        // SAFETY: `main` has asked for the CPU features.
        unsafe { integers::scan(&self.values, &mut self.sums) };
    }

    fn check(&self, device: &[u8]) -> Result<(), String> {
        equal(device, &self.sums)
    }
}

/// Keys of 32 bits: eight passes of four bits on the device, four of eight natively.
pub fn radix_sort() -> Problem {
    let keys: Vec<u32> = words(19).take(N).map(|word| (word >> 32) as u32).collect();
    let blocks = N / 1024;
    // Keys, counts, and two buffers that the passes go to in turn.
    let buffers =
        vec![bytemuck::cast_slice(&keys).to_vec(), vec![0; 4 * 16 * blocks], vec![0; 4 * N], vec![0; 4 * N]];
    let pass = |number: usize| {
        let from = Buffer(if number == 0 { 0 } else { 2 + (number + 1) % 2 });
        let to = Buffer(2 + number % 2);
        let shift = Int(4 * number as i32);
        [
            launch("radix_count", blocks, 256, &[from, Buffer(1), shift]),
            launch("scan_offsets", 1, 1024, &[Buffer(1), Int(16 * blocks as i32 / 1024)]),
            launch("radix_scatter", blocks, 256, &[from, Buffer(1), to, shift]),
        ]
    };
    Problem {
        module: Module::Plain,
        buffers,
        launches: (0..8).flat_map(pass).collect(),
        output: 3,
        work: N as f64 / 1e6,
        one_by_one: false,
        native: Box::new(Sort { keys, sorted: vec![0; N], other: vec![0; N] }),
    }
}

struct Sort {
    keys: Vec<u32>,
    sorted: Vec<u32>,
    other: Vec<u32>,
}

impl Native for Sort {
    fn run(&mut self) {
        integers::radix_sort(&self.keys, &mut self.sorted, &mut self.other);
    }

    fn check(&self, device: &[u8]) -> Result<(), String> {
        if !self.sorted.is_sorted() {
            return Err("the native side has not sorted".into());
        }
        equal(device, &self.sorted)
    }
}
