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
//! let environment = interpreter::Environment { window: 0..u64::MAX, print: &|text| print!("{text}"), cancel: &AtomicBool::new(false) };
//! let launch = interpreter::Launch { grid: [64, 1, 1], block: [256, 1, 1], dynamic_shared: 0, parameters: &[0; 24], cooperative: false };
//! pool.run(&kernel, &launch, &environment)?;                          // blocks until all blocks are done
//! # Ok(()) }
//! ```
//!
//! A warp is 32 lanes in lock step; a register is an array of 32 values. A kernel is decoded into basic blocks of closures,
//! each of which does one instruction for all active lanes. Diverged lanes wait at the block that they branched to, and the
//! lowest block with waiting lanes runs next (thread frontiers). At a barrier a warp stops and the next one runs.
//!
//! ```text
//!   Module ──Image::load──▶ Image ──kernel(name)──▶ Kernel (blocks of operations, `decode`)
//!   Pool ── worker: next block index ─▶ warps of the block in turn ─▶ basic blocks ─▶ operations (`exec`, `warp`)
//! ```
//!
//! Device addresses are this process's addresses; shared and local memory belong to the worker that runs the block, so generic
//! addresses need no translation. Every access is checked against the launch's window and the block's own memory.
//!
//! What is missing is refused when a kernel is decoded, by the instruction's text: device functions and indirect calls,
//! barriers other than `bar.sync` of the whole block, textures, matrix instructions, cooperative launches. Needs AVX2, FMA
//! and F16C.

#![allow(clippy::needless_range_loop, reason = "loops over lanes index several arrays at once")]

mod decode;
mod exec;
mod image;
mod launch;
mod pool;
mod warp;

pub use decode::{Attributes, Kernel};
pub use image::{Image, LoadError, Unsupported};
pub use launch::{Environment, Fault, FaultKind, Launch};
pub use pool::{Current, Pool, with_current};
