//! What a supervisor tells a viewer.

use serde::{Deserialize, Serialize};

/// One session at one moment, with a `P` for each process. Sums are since its start.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot<P = Process> {
    /// The supervisor's process.
    pub supervisor: u32,
    /// What the shell started.
    #[serde(default)]
    pub keeper: u32,
    /// The program that was launched or attached to.
    #[serde(default)]
    pub program: u32,
    /// Abstract name of the socket where faults can be ordered; empty: there is none.
    #[serde(default)]
    pub faults: String,
    /// Its user.
    pub user: u32,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The process that it was attached to, if it did not launch one.
    pub attached: Option<u32>,
    /// Seconds since the session began.
    pub seconds: f64,
    /// Announced devices; none as long as no program has asked for one.
    pub devices: Vec<Device>,
    /// Processes that have a context.
    pub processes: Vec<P>,
}

/// A device.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Device {
    /// Its index.
    pub index: u32,
    /// The card's name.
    pub name: String,
    /// Bytes that there are, or that may be held; 0: as many as a real card has.
    pub total: u64,
    /// Bytes that are held.
    pub used: u64,
    /// What is wrong with it, in words; empty: nothing.
    #[serde(default)]
    pub condition: String,
}

/// A process with a context.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// Its number, as the supervisor sees it.
    pub pid: u32,
    /// Its program's name.
    pub name: String,
    /// Bytes that it holds, by device.
    pub memory: Vec<u64>,
    /// Its kernels run on a real card, where nobody sees them: of what follows nothing is known.
    #[serde(default)]
    pub is_native: bool,
    /// Kernels that have ended.
    pub kernels: u64,
    /// Nanoseconds in which kernels ran.
    pub kernel_nanoseconds: u64,
    /// Nanoseconds of all kernels together.
    pub nanoseconds: u64,
    /// Those of kernels that were interpreted.
    pub interpreted_nanoseconds: u64,
    /// Commands in its streams that are not done.
    pub queued: u32,
    /// Bytes of commands that nobody has looked at.
    pub unread_bytes: u64,
    /// Kernels that wait to be compiled.
    pub compile_queue: u32,
    /// Compilers at work.
    pub compiling: u32,
    /// The kernels that took the most time.
    pub busiest: Vec<Kernel>,
}

/// What a kernel cost.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Kernel {
    /// Its name.
    pub name: String,
    /// How often it was launched.
    pub launches: u64,
    /// How many of them ran in compiled code.
    pub compiled: u64,
    /// Nanoseconds of all launches.
    pub nanoseconds: u64,
}
