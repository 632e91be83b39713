//! Dense products, and attention.

use half::f16;

use crate::native::attention::{Attention, DIMENSIONS};
use crate::native::matrices::{self, Packed};
use crate::native::{Aligned, widen};
use crate::problem::{Argument::*, Launch, Module, Native, Problem, close, equal, noise, words};

/// Rows and columns of the products.
const N: usize = 512;

fn product(
    module: Module,
    kernel: &'static str,
    tile: u32,
    block: [u32; 3],
    [a, b]: [Vec<u8>; 2],
    native: Box<dyn Native>,
) -> Problem {
    let launch = Launch {
        kernel,
        grid: [N as u32 / tile, N as u32 / tile, 1],
        block,
        arguments: vec![Buffer(0), Buffer(1), Buffer(2), Int(N as i32)],
    };
    Problem {
        module,
        buffers: vec![a, b, vec![0; 4 * N * N]],
        launches: vec![launch],
        output: 2,
        work: 2.0 * (N * N * N) as f64 / 1e9,
        one_by_one: false,
        native,
    }
}

/// f32.
pub fn sgemm_tile() -> Problem {
    let native = Floats { a: noise(N * N, 8), b: noise(N * N, 9), c: Aligned::zeros(N * N) };
    let inputs = [native.a.bytes(), native.b.bytes()];
    product(Module::Plain, "sgemm_tile", 32, [32, 8, 1], inputs, Box::new(native))
}

struct Floats {
    a: Aligned<f32>,
    b: Aligned<f32>,
    c: Aligned<f32>,
}

impl Native for Floats {
    fn run(&mut self) {
        matrices::sgemm(&self.a, &self.b, &mut self.c, N, false);
    }

    fn check(&self, device: &[u8]) -> Result<(), String> {
        close(device, &self.c, 1e-5)
    }
}

/// Bytes, sums of 32 bits.
pub fn mma_int8() -> Problem {
    let bytes = |seed| {
        let bytes: Vec<i8> = words(seed).take(N * N).map(|word| (word >> 56) as i8).collect();
        Aligned::of(&bytes)
    };
    let native = Bytes { a: bytes(10), b: bytes(11), c: Aligned::zeros(N * N), packed: Packed::new(N) };
    let inputs = [native.a.bytes(), native.b.bytes()];
    product(Module::Tensor, "mma_int8", 64, [128, 1, 1], inputs, Box::new(native))
}

struct Bytes {
    a: Aligned<i8>,
    b: Aligned<i8>,
    c: Aligned<i32>,
    packed: Packed,
}

impl Native for Bytes {
    fn run(&mut self) {
        // SAFETY: `main` has asked for the CPU features.
        unsafe { matrices::int8_product(&self.a, &self.b, &mut self.c, N, &mut self.packed) };
    }

    fn check(&self, device: &[u8]) -> Result<(), String> {
        equal(device, &self.c)
    }
}

/// f16, sums in f32.
pub fn mma_f16() -> Problem {
    let native = Halves {
        a: halves(N * N, 12),
        b: halves(N * N, 13),
        wide: [Aligned::zeros(N * N), Aligned::zeros(N * N)],
        c: Aligned::zeros(N * N),
    };
    let inputs = [native.a.bytes(), native.b.bytes()];
    product(Module::Tensor, "mma_f16", 64, [128, 1, 1], inputs, Box::new(native))
}

fn halves(count: usize, seed: u64) -> Aligned<u16> {
    let halves: Vec<u16> = noise(count, seed).iter().map(|value| f16::from_f32(*value).to_bits()).collect();
    Aligned::of(&halves)
}

struct Halves {
    a: Aligned<u16>,
    b: Aligned<u16>,
    wide: [Aligned<f32>; 2],
    c: Aligned<f32>,
}

impl Native for Halves {
    /// AVX2 has no arithmetic of f16: they are widened, and multiplied as floats.
    fn run(&mut self) {
        let [a, b] = &mut self.wide;
        // SAFETY: `main` has asked for the CPU features.
        unsafe {
            widen(&self.a, a);
            widen(&self.b, b);
        }
        matrices::sgemm(a, b, &mut self.c, N, true);
    }

    fn check(&self, device: &[u8]) -> Result<(), String> {
        close(device, &self.c, 1e-4)
    }
}

/// Rows and heads of the attention.
const ROWS: usize = 512;
const HEADS: usize = 4;

/// Four heads of 512 queries and keys.
pub fn flash_attention() -> Problem {
    let elements = HEADS * ROWS * DIMENSIONS;
    let mut queries = noise(elements, 14);
    // Scaled as attention scales them, and so that the weights differ.
    queries.iter_mut().for_each(|value| *value *= 4.0 / (DIMENSIONS as f32).sqrt());
    let native = Heads {
        queries,
        keys: halves(elements, 15),
        values: halves(elements, 16),
        out: Aligned::zeros(elements),
        attention: Attention::new(ROWS),
    };
    let launch = Launch {
        kernel: "flash_attention",
        grid: [ROWS as u32 / 16, HEADS as u32, 1],
        block: [128, 1, 1],
        arguments: vec![Buffer(0), Buffer(1), Buffer(2), Buffer(3), Int(ROWS as i32)],
    };
    Problem {
        module: Module::Plain,
        buffers: vec![native.queries.bytes(), native.keys.bytes(), native.values.bytes(), native.out.bytes()],
        launches: vec![launch],
        output: 3,
        work: 4.0 * (elements * ROWS) as f64 / 1e9,
        one_by_one: false,
        native: Box::new(native),
    }
}

struct Heads {
    queries: Aligned<f32>,
    keys: Aligned<u16>,
    values: Aligned<u16>,
    out: Aligned<f32>,
    attention: Attention,
}

impl Native for Heads {
    fn run(&mut self) {
        for head in 0..HEADS {
            let part = head * ROWS * DIMENSIONS..(head + 1) * ROWS * DIMENSIONS;
            let (queries, keys, values) =
                (&self.queries[part.clone()], &self.keys[part.clone()], &self.values[part.clone()]);
            // SAFETY: `main` has asked for the CPU features.
            unsafe { self.attention.head(queries, keys, values, &mut self.out[part]) };
        }
    }

    fn check(&self, device: &[u8]) -> Result<(), String> {
        close(device, &self.out, 1e-4)
    }
}
