//! Products of quantised matrices with a quantised vector, as in generating text.

use half::f16;

use crate::native::Aligned;
use crate::native::mat_vec::{Q4_0, Q4K, Q8_0, Q8_1, Weights, mat_vec};
use crate::problem::{Argument::*, Launch, Module, Native, Problem, close, noise, words};

/// 9 MiB of weights.
pub fn q4_0_cache() -> Problem {
    problem::<_, 4>("mat_vec_q4_0", 4096, 4096, q4_0_weights)
}

/// 72 MiB of weights.
pub fn q4_0_memory() -> Problem {
    problem::<_, 4>("mat_vec_q4_0", 4096, 32768, q4_0_weights)
}

/// 9 MiB of weights.
pub fn q4_k() -> Problem {
    problem::<_, 4>("mat_vec_q4_k", 4096, 4096, q4_k_weights)
}

/// 17 MiB of weights.
pub fn q8_0() -> Problem {
    problem::<_, 1>("mat_vec_q8_0", 4096, 4096, q8_0_weights)
}

/// `ROWS`: what is fastest natively.
fn problem<W: Weights + bytemuck::Pod, const ROWS: usize>(
    kernel: &'static str,
    rows: usize,
    columns: usize,
    weights: fn(usize) -> Aligned<W>,
) -> Problem {
    let native = MatVec::<W, ROWS> {
        weights: weights(rows * columns),
        vector: activations(columns),
        out: Aligned::zeros(rows),
    };
    let launch = Launch {
        kernel,
        grid: [rows as u32, 1, 1],
        block: [32, 4, 1],
        arguments: vec![Buffer(0), Buffer(1), Buffer(2), Int(columns as i32)],
    };
    Problem {
        module: Module::Plain,
        buffers: vec![native.weights.bytes(), native.vector.bytes(), vec![0; 4 * rows]],
        launches: vec![launch],
        output: 2,
        work: 2.0 * (rows * columns) as f64 / 1e9,
        one_by_one: false,
        native: Box::new(native),
    }
}

struct MatVec<W, const ROWS: usize> {
    weights: Aligned<W>,
    vector: Aligned<Q8_1>,
    out: Aligned<f32>,
}

impl<W: Weights + bytemuck::Pod, const ROWS: usize> Native for MatVec<W, ROWS> {
    fn run(&mut self) {
        // SAFETY: `main` has asked for the CPU features.
        unsafe { mat_vec::<W, ROWS>(&self.weights, &self.vector, &mut self.out) };
    }

    fn check(&self, device: &[u8]) -> Result<(), String> {
        close(device, &self.out, 1e-3)
    }
}

fn activations(count: usize) -> Aligned<Q8_1> {
    let numbers = noise(count, 4);
    let mut blocks = Aligned::<Q8_1>::zeros(count / 32);
    for (block, numbers) in blocks.iter_mut().zip(numbers.chunks_exact(32)) {
        block.values = std::array::from_fn(|index| (numbers[index] * 127.0) as i8);
        let sum: i32 = block.values.iter().map(|value| i32::from(*value)).sum();
        block.scale = f16::from_f32(1.0 / 128.0).to_bits();
        block.sum = f16::from_f32(sum as f32 / 128.0).to_bits();
    }
    blocks
}

/// A scale between 1/100 and 1/50, as f16 bits.
fn scale(word: u64) -> u16 {
    f16::from_f32(0.01 + (word >> 54) as f32 / 102_400.0).to_bits()
}

/// Fills blocks with noise.
fn blocks<W: bytemuck::Pod>(count: usize, seed: u64, finish: impl Fn(&mut W, u64)) -> Aligned<W> {
    let mut blocks = Aligned::<W>::zeros(count);
    let mut words = words(seed);
    for block in blocks.iter_mut() {
        for bytes in bytemuck::bytes_of_mut(block).chunks_mut(8) {
            let word = words.next().unwrap_or_default().to_le_bytes();
            bytes.copy_from_slice(&word[..bytes.len()]);
        }
        finish(block, words.next().unwrap_or_default());
    }
    blocks
}

fn q4_0_weights(count: usize) -> Aligned<Q4_0> {
    blocks(count / 32, 5, |block: &mut Q4_0, word| block.scale = scale(word))
}

fn q8_0_weights(count: usize) -> Aligned<Q8_0> {
    blocks(count / 32, 6, |block: &mut Q8_0, word| {
        block.scale = scale(word);
        // What quantising gives: 127 is the largest value of either sign.
        block.values.iter_mut().for_each(|value| *value = (*value).max(-127));
    })
}

fn q4_k_weights(count: usize) -> Aligned<Q4K> {
    blocks(count / 256, 7, |block: &mut Q4K, word| {
        block.scale = scale(word);
        block.offset = scale(word << 10);
    })
}
