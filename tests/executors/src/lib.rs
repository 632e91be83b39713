//! Who runs PTX in our tests.
//!
//! ```text
//!   text + kernel + shape + parameters ──▶ Executor ──▶ buffers changed, or a Failure
//!                                             ├─ Interpreter   tier 0, in this process
//!                                             └─ Driver        whatever `libcuda.so.1` is here: a GPU, or ours under vgpu-run
//! ```
//!
//! A further tier of the engine is one more implementation of [`Executor`]; what it can be forced to do (masks always, lanes per
//! pass, order of warps, threads) are fields of that implementation, set by the test that makes it, never by the environment.

pub mod driver;
pub mod interpreter;

pub use driver::Driver;
pub use interpreter::Interpreter;

use std::fmt;

/// Memory that a kernel sees, aligned as device memory is.
#[derive(Debug, Clone)]
pub struct Buffer {
    words: Vec<u128>,
    len: usize,
}

impl Buffer {
    /// Zeroed memory.
    pub fn zeroed(len: usize) -> Self {
        Self { words: vec![0; len.div_ceil(16) + 1], len }
    }

    /// A copy of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut words: Vec<u128> = bytes
            .chunks(16)
            .map(|chunk| {
                let mut word = [0; 16];
                word[..chunk.len()].copy_from_slice(chunk);
                u128::from_le_bytes(word)
            })
            .collect();
        words.push(0);
        Self { words, len: bytes.len() }
    }

    /// A copy of these words.
    pub fn of_words(words: &[u64]) -> Self {
        let pairs = words.chunks(2);
        let pair = |pair: &[u64]| u128::from(pair[0]) | u128::from(*pair.get(1).unwrap_or(&0)) << 64;
        Self { words: pairs.map(pair).chain([0]).collect(), len: words.len() * 8 }
    }

    /// Its address.
    pub fn address(&mut self) -> u64 {
        self.words.as_mut_ptr().expose_provenance() as u64
    }

    /// Takes other contents of the same length.
    pub fn replace(&mut self, bytes: &[u8]) {
        assert_eq!(bytes.len(), self.len, "a buffer keeps its length");
        self.words = Buffer::of(bytes).words;
    }

    /// What it holds.
    pub fn bytes(&self) -> Vec<u8> {
        self.words.iter().flat_map(|word| word.to_le_bytes()).take(self.len).collect()
    }

    /// What it holds, as words; bytes behind the last whole one are left out.
    pub fn words(&self) -> Vec<u64> {
        let halves = self.words.iter().flat_map(|word| [*word as u64, (word >> 64) as u64]);
        halves.take(self.len / 8).collect()
    }
}

/// A parameter of a launch.
#[derive(Debug)]
pub enum Parameter<'a> {
    /// A value, by its bytes.
    Value(Vec<u8>),
    /// The address of a buffer.
    Memory(&'a mut Buffer),
}

/// How many blocks and threads, and how much dynamic shared memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Blocks.
    pub grid: [u32; 3],
    /// Threads of a block.
    pub block: [u32; 3],
    /// Bytes of dynamic shared memory.
    pub shared: u32,
    /// Whether all blocks have to run at a time.
    pub cooperative: bool,
}

/// Why there is no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The kernel is not taken: it is not valid, or uses what the executor lacks.
    Refused(String),
    /// The launch ended early.
    Faulted(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Refused(why) => write!(f, "refused: {why}"),
            Failure::Faulted(why) => write!(f, "faulted: {why}"),
        }
    }
}

/// Runs a kernel of a module's text.
pub trait Executor {
    /// Loads the text, runs the kernel to its end and leaves what it wrote in the buffers.
    fn run(
        &self,
        text: &str,
        kernel: &str,
        shape: Shape,
        parameters: &mut [Parameter],
    ) -> Result<(), Failure>;
}
