//! The CPU engine: the process in which a client's kernels run.
//!
//! ```text
//!   supervisor ─▶ zygote ──fork──▶ engine of one client process
//!                                   ├─ workers         one per core: admit commands, order streams, run them (`worker`)
//!                                   ├─ mapper thread   maps what the broker grants (`mapper`)
//!                                   └─ compiler        makes code of kernels that are worth it (`tiers`, crate `jit`)
//! ```
//!
//! Client and engine see device memory at the same addresses, so a pointer in a buffer needs no translation. What goes
//! wrong here ends this process at most: the client reads a sticky CUDA error, everybody else goes on.
//!
//! With `vgpu-run --check` kernels are interpreted, and crate `checks` is told what they touch (`check`).
//!
//! - A **command** is a record of the ring; **work** is a command that has a place in a stream.
//! - A **grant** is memory that the broker gave to the client and that is mapped here.

mod admission;
mod area;
mod blas;
mod cache;
mod check;
mod code;
mod confine;
mod dispatch;
mod fault;
mod gauges;
mod grants;
mod grids;
mod host;
mod mapper;
mod note;
mod process;
mod rest;
mod ring;
mod robust;
mod schedule;
mod tiers;
mod trace;
mod transfer;
mod warm;
mod work;
mod worker;
mod zygote;

fn main() {
    // The supervisor has looked already: this is for whoever starts an engine by hand.
    if let Err(unknown) = tiers::check() {
        eprintln!("vgpu-engine: error: {unknown}");
        std::process::exit(2);
    }
    match warm::arguments() {
        Some(arguments) => std::process::exit(warm::run(arguments)),
        None => zygote::serve(),
    }
}
