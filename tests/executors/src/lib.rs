//! Who runs PTX in our tests.
//!
//! ```text
//!   text + kernel + shape + parameters ──▶ Executor ──▶ buffers changed, or a Failure
//!                                             ├─ Interpreter   tier 0, in this process
//!                                             ├─ (checked)     the same with checks: what it does wrong, see there
//!                                             └─ Driver        whatever `libcuda.so.1` is here: a GPU, or ours under vgpu-run
//! ```
//!
//! A further tier of the engine is one more implementation of [`Executor`]; what it can be forced to do (masks always, lanes per
//! pass, order of warps, threads) are fields of that implementation, set by the test that makes it, never by the environment.

pub mod checked;
pub mod driver;
pub mod interpreter;

pub use driver::Driver;
pub use interpreter::Interpreter;

use std::fmt;

/// As device memory is aligned.
#[derive(Debug, Clone, Copy)]
#[repr(align(256))]
struct Line([u8; 256]);

/// Memory that a kernel sees, aligned as device memory is.
#[derive(Debug, Clone)]
pub struct Buffer {
    lines: Vec<Line>,
    len: usize,
}

impl Buffer {
    /// Zeroed memory.
    pub fn zeroed(len: usize) -> Self {
        Self { lines: vec![Line([0; 256]); len / 256 + 1], len }
    }

    /// A copy of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut buffer = Self::zeroed(bytes.len());
        buffer.replace(bytes);
        buffer
    }

    /// A copy of these words.
    pub fn of_words(words: &[u64]) -> Self {
        Self::of(&words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>())
    }

    /// Its address.
    pub fn address(&mut self) -> u64 {
        self.lines.as_mut_ptr().expose_provenance() as u64
    }

    /// Takes other contents of the same length.
    pub fn replace(&mut self, bytes: &[u8]) {
        assert_eq!(bytes.len(), self.len, "a buffer keeps its length");
        for (line, bytes) in self.lines.iter_mut().zip(bytes.chunks(256)) {
            line.0[..bytes.len()].copy_from_slice(bytes);
        }
    }

    /// What it holds.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = self.lines.iter().flat_map(|line| line.0).collect();
        bytes.truncate(self.len);
        bytes
    }

    /// What it holds, as words; bytes behind the last whole one are left out.
    pub fn words(&self) -> Vec<u64> {
        let bytes = self.bytes();
        bytes.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word)).collect()
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
