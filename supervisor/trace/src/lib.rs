//! `vgpu-run trace`: what a program asks of CUDA and NVML, a line for each call, and a timeline for Perfetto.
//!
//! ```text
//!   supervisor ──memory of each process and engine──▶ tracer (a process of its own)
//!                                                      │ reads the rings that programs and engines write (`wire::trace`)
//!   sources ──records──▶ calls ──finished calls──▶ lines      "cuInit(flags: 0) = CUDA_SUCCESS"
//!                          └──work of streams────▶ perfetto   processes, threads, streams; kernels, copies; what queued what
//! ```
//!
//! - The **tracer** is forked by the supervisor before it serves anybody. What it writes to may be slow: then programs wait, as
//!   with strace, and the supervisor does not.
//! - A **source** is one ring. What a process has written is read also after it was killed; calls that it was in are told as
//!   unfinished.
//! - Calls of one thread come in the order in which they began, each with those that it made of our own libraries behind it.
//! - What cannot be recorded is counted, and the trace says so.
//!
//! The formats are described in this crate's README.

mod calls;
mod filter;
mod lines;
mod names;
mod perfetto;
mod sink;
mod sources;
mod tracer;

pub use filter::Filter;
pub use sink::{Heard, LineTeller, Outputs, Sink};
