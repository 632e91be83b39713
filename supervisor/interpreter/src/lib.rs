//! Tier 0 of the CPU engine: a warp interpreter for PTX.
//!
//! ```no_run
//! # use std::sync::{Arc, atomic::AtomicBool};
//! # fn allocate(size: u64, align: u64) -> Option<u64> { None }
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let module = Arc::new(ptx::Module::parse(std::fs::read_to_string("kernel.ptx")?)?);
//! let image = interpreter::Image::load(module, &mut allocate)?;      // globals placed and initialised
//! let kernel = image.kernel("saxpy")?;                                // decoded now, kept
//! let pool = interpreter::Pool::new(2);                               // threads, the caller's included
//! let environment = interpreter::Environment { window: 0..u64::MAX, print: &|text| print!("{text}"), cancel: &AtomicBool::new(false), watch: None };
//! let launch = interpreter::Launch { grid: [64, 1, 1], block: [256, 1, 1], dynamic_shared: 0, parameters: &[0; 24], cooperative: false };
//! pool.run(&kernel, &launch, &environment)?;                          // blocks until all blocks are done
//! # Ok(()) }
//! ```
//!
//! A warp is 32 lanes in lock step; a register is 32 values side by side. A kernel and the functions it can reach are decoded
//! into basic blocks of closures, each of which does one instruction for all active lanes. Lanes that part wait at the block
//! that they branched to, and the first block of the innermost call runs next (thread frontiers), unless it has run for long.
//! At a barrier a warp stops and the next one runs.
//!
//! ```text
//!   Module ──Image::load──▶ Image ──kernel(name)──▶ Kernel: functions of blocks of operations   (decode, code)
//!   Grid ── worker: block index ─▶ warps of the block in turn ─▶ basic blocks ─▶ operations     (grid, pool, block, warp)
//!                                                     └─ registers, calls, masks ─┘  └─ memory, registers
//! ```
//!
//! Device addresses are this process's addresses; shared and local memory belong to the worker that runs the block, so generic
//! addresses need no translation. Every access is checked against the launch's window and the block's own memory.
//!
//! What kernels touch can be told to somebody who checks it ([`watch`]): a matter of decoding, so that it costs nothing otherwise.
//!
//! What is missing is refused when a kernel is decoded, by the instruction's text: `wgmma`, `tcgen05`, tensor copies, clusters of
//! more than one block. Needs AVX2, FMA and F16C.

#![allow(clippy::needless_range_loop, reason = "loops over lanes index several arrays at once")]

mod block;
mod code;
pub mod compiled;
mod control_word;
mod decode;
pub mod functions;
mod grid;
mod heap;
mod image;
mod launch;
mod memory;
mod order;
mod pool;
mod print;
mod registers;
mod texture;
mod warp;
pub mod watch;

pub use code::{Attributes, Kernel};
pub use decode::{product, shuffle_partners};
pub use grid::{Current, Grid, Hand, Order, Pace, SpareRoom, Turn, with_current};
pub use heap::Heap;
pub use image::{Image, LoadError, Plan, Unsupported, VariablePlace};
pub use launch::{Environment, Fault, FaultKind, Launch};
pub use pool::{Pool, STACK};
