//! `vgpu-run trace`: what programs and engines write down, and the memory that carries it to the process that prints it.
//!
//! ```text
//!   target: libcuda, libcudart …  ──records──▶ ring of the process (memory from the broker) ──┐
//!   engine: workers, compilers    ──records──▶ ring in the shared area                     ──┴▶ tracer (crate `trace`)
//! ```
//!
//! - A [`Ring`] is memory that writer and reader share. What is in it stays when the writer is killed, and the reader still gets it.
//! - Several threads, and the several libraries of a process, write one ring under one lock: a thread's records are in its order.
//! - A full ring makes its writers wait, as a terminal does. Only if the reader shows no sign of life any more is a record
//!   left out, and counted ([`Ring::take_lost`]).
//! - A [record](Record) is a [`Head`] and a text of its own kind: a name, then named [values](value).
//!
//! A call is two records, since a call may never return: [`Kind::Call`] with what was given, and [`Kind::Return`] with what came
//! back, which names the first by its place in the ring.

mod ring;
pub mod value;

use bytemuck::{Pod, Zeroable};

pub use ring::{Record, Ring};

/// Bytes of a process's ring, its head included.
pub const CALLS_LENGTH: usize = 4 << 20;
/// Bytes of an engine's ring, its head included.
pub const WORK_LENGTH: usize = 2 << 20;
/// Longest record; what does not fit is cut, and marked as cut.
pub const LONGEST: usize = 4096;

/// First bytes of a record.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Head {
    /// Bytes of the record, this head and what rounds it up to eight included.
    pub length: u32,
    /// A [`Kind`] as a number.
    pub kind: u16,
    /// Who writes: a [`Caller`](crate::control::Caller) as a number; 0: the engine.
    pub caller: u16,
    /// The thread, as its own process namespace numbers it.
    pub thread: u32,
    /// Bytes behind the head that count.
    pub used: u32,
    /// CLOCK_MONOTONIC nanoseconds.
    pub time: u64,
}

/// What a record says.
#[repr(u16)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing: it only fills the ring up to its end.
    Padding = 0,
    /// A function was called: its name, its arguments.
    Call = 1,
    /// It returned: a [`Return`], the result's name, what it wrote through its arguments.
    Return = 2,
    /// The thread has appended work to a stream: a [`Place`].
    Submitted = 3,
    /// The thread itself begins something within a call, like a copy: its name, values.
    Begin = 4,
    /// What the thread began last is over: a name (not used), values.
    End = 5,
    /// The engine begins work of a stream: a [`Place`], a name, values.
    WorkBegin = 6,
    /// It is done: a [`Place`], a name (not used), values.
    WorkEnd = 7,
    /// A compiler begins with a kernel: its name, values.
    CompileBegin = 8,
    /// That thread has come to an end with it: a name (not used), values.
    CompileEnd = 9,
}

impl Kind {
    /// The kind with this number.
    pub fn from_number(number: u16) -> Option<Kind> {
        use Kind::*;
        [Padding, Call, Return, Submitted, Begin, End, WorkBegin, WorkEnd, CompileBegin, CompileEnd]
            .into_iter()
            .find(|kind| *kind as u16 == number)
    }
}

/// How a call ended; first in a [`Kind::Return`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Return {
    /// Where the call's own record begins: [`Record::place`].
    pub call: u64,
    /// The result as a number.
    pub result: u32,
    /// Zero.
    pub reserved: u32,
}

/// A place in a stream: client and engine mean the same work by it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Place {
    /// Sequence number in the stream ([`Header::sequence`](crate::command::Header)).
    pub sequence: u64,
    /// Stream slot.
    pub stream: u32,
    /// The command's number.
    pub command: u32,
}

/// CLOCK_MONOTONIC now, in nanoseconds.
pub fn now() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a timespec of ours.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_survives_its_number() {
        for number in 0..10 {
            assert_eq!(Kind::from_number(number).map(|kind| kind as u16), Some(number));
        }
        assert_eq!(Kind::from_number(10), None);
    }
}
