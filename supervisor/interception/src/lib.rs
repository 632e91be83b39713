//! System calls that wait for our answer, whatever mechanism holds them, and the closed set of answers.
//!
//! ```text
//!   target: openat(…) ──▶ mechanism ──▶ Request ──reply(Reply)──▶ mechanism ──▶ target goes on
//!                            │            │
//!                            └── killed ──┴──▶ Delivery::Gone
//! ```
//!
//! *Mechanism*: what makes a thread wait in a call of its own: seccomp's user notification (crate `notification`) or ptrace
//! (crate `tracer`). Everything above knows only what is here.
//!
//! A [`Request`] is consumed by its reply, so nothing is answered twice; one that is dropped without a reply is let through,
//! so nothing waits for ever.
//!
//! # Races that everybody who handles a request must know
//!
//! - **The asking thread may be gone**, and its number may belong to somebody else by now. What was read from
//!   `/proc/TID` or from its memory is the asker's only if [`Request::is_alive`] says so *afterwards*. Do
//!   that before any effect that outlives the request.
//! - **Memory behind pointers may change** under our hands, by another thread of the asker. What was read is
//!   what we act upon; with [`Reply::Continue`] the kernel reads again and may see something else. So
//!   `Continue` is never an answer to "may it do this?", only to "it is none of our business".
//! - **The asker can be killed while we work**: the reply is then [`Delivery::Gone`] and a descriptor that
//!   should have been installed is closed. Any other signal waits until the call has returned.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A call that a mechanism holds. Whoever drops it unanswered lets it through.
pub trait HeldCall {
    /// The asker still waits.
    fn is_alive(&self) -> bool;

    /// Puts a descriptor into the asker, without answering yet; its number there.
    fn give(&self, descriptor: BorrowedFd, cloexec: bool) -> io::Result<i32>;

    /// The same under a number of our choice. What it stood for there is closed.
    fn give_as(&self, descriptor: BorrowedFd, number: i32, cloexec: bool) -> io::Result<()>;

    /// Answers. An error means that the answer could not be given, and that the call was let through.
    fn answer(self: Box<Self>, reply: Reply) -> io::Result<Delivery>;
}

/// A system call that a target made and that now waits for our reply.
pub struct Request {
    /// The asking *thread*, in our pid namespace.
    pub tid: i32,
    /// Number of the call, of the 64-bit interface, or [`OF_32_BITS`].
    pub number: i64,
    /// Its six arguments; pointers are the asker's.
    pub arguments: [u64; 6],
    held: Box<dyn HeldCall>,
}

/// In place of the number of a call of the 32-bit interface: its numbers are others.
pub const OF_32_BITS: i64 = -1;

/// All that a request can be answered with.
#[derive(Debug)]
pub enum Reply {
    /// The kernel executes the call as if nobody had looked.
    Continue,
    /// The call returns this and does nothing.
    Return(i64),
    /// The call fails with this errno (positive).
    Errno(i32),
    /// The call returns a new descriptor of the asker, for the open file of `fd`.
    InstallFd {
        /// Which open file; our own descriptor is closed.
        fd: OwnedFd,
        /// Whether the asker's descriptor is closed at its next exec.
        cloexec: bool,
    },
}

/// What became of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The call returns it.
    Delivered,
    /// The asker has no room for another descriptor: the call failed with EMFILE.
    NoRoom,
    /// The asker was killed meanwhile; there is nobody to answer.
    Gone,
}

impl Request {
    /// For a mechanism: the call that it holds.
    pub fn new(tid: i32, number: i64, arguments: [u64; 6], held: Box<dyn HeldCall>) -> Self {
        Self { tid, number, arguments, held }
    }

    /// The asker still waits, so what was read about it since the request came is its own.
    pub fn is_alive(&self) -> bool {
        self.held.is_alive()
    }

    /// Puts one more descriptor into the asker, without answering yet; returns its number there. For calls
    /// that hand out several. If the reply then fails, those descriptors stay: reply with success after this.
    pub fn give(&self, fd: &impl AsFd, cloexec: bool) -> io::Result<i32> {
        self.held.give(fd.as_fd(), cloexec)
    }

    /// Puts a descriptor into the asker in place of the one that has that number there, without answering yet. Duplicates of that one
    /// keep what they stand for.
    pub fn give_as(&self, fd: &impl AsFd, number: i32, cloexec: bool) -> io::Result<()> {
        self.held.give_as(fd.as_fd(), number, cloexec)
    }

    /// Answers. An error means that the kernel refused the answer; the asker then goes on as if nobody had
    /// looked.
    pub fn reply(self, reply: Reply) -> io::Result<Delivery> {
        self.held.answer(reply)
    }
}
