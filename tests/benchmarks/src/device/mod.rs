//! Who runs a problem's kernels on one core.
//!
//! ```text
//!   Driver     libcuda.so.1, under vgpu-run: the product's whole way, launches over its ring, the engine in its own process
//!   InProcess  the engine's executor in this process, for a profiler
//!   OpenCl     libOpenCL.so.1: PoCL on the same work, the peer
//! ```

mod driver;
mod in_process;
mod library;
mod open_cl;

use std::fmt;
use std::str::FromStr;

use crate::problem::Problem;
use crate::sources;

/// A problem in place on a device.
pub trait Device {
    /// Does the problem's launches that many times, in order, and waits for their end.
    fn run(&mut self, times: usize) -> Result<(), String>;

    /// What a buffer of the problem holds.
    fn read(&mut self, buffer: usize) -> Result<Vec<u8>, String>;

    /// The core on which this thread launches and waits.
    fn client_core(&self) -> usize;
}

/// The kinds of [`Device`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The driver API.
    Driver,
    /// The executor in this process.
    InProcess,
    /// The peer.
    OpenCl,
}

impl Kind {
    /// Puts a problem in place; the error says why it can't be.
    pub fn open(self, problem: &Problem) -> Result<Box<dyn Device>, String> {
        Ok(match self {
            Kind::Driver => Box::new(driver::Driver::open(problem, &sources::ptx(problem.module)?)?),
            Kind::InProcess => {
                Box::new(in_process::InProcess::open(problem, &sources::ptx(problem.module)?)?)
            }
            Kind::OpenCl => Box::new(open_cl::OpenCl::open(problem)?),
        })
    }
}

const NAMES: [(Kind, &str); 3] =
    [(Kind::Driver, "driver"), (Kind::InProcess, "in-process"), (Kind::OpenCl, "opencl")];

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        NAMES.iter().filter(|(kind, _)| kind == self).try_for_each(|(_, name)| f.write_str(name))
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Kind, String> {
        let found = NAMES.iter().find(|(_, name)| *name == text);
        found.map(|(kind, _)| *kind).ok_or_else(|| format!("there is no device `{text}`"))
    }
}
