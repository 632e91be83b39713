//! The seccomp listener: the mechanism that asks the kernel to make calls wait, and answers through the kernel.
//!
//! ```text
//!   target: openat(…) ──▶ kernel ──▶ Listener::receive ──▶ interception::Request
//!                            ▲                                   │
//!                            └──────── send, add descriptor ◀────┘
//! ```
//!
//! *Listener*: the descriptor that installing the filter returned. *In flight*: requests that were received and are not yet
//! answered; their numbers outlive the supervisor.
//!
//! # What it can't hide
//!
//! Once received, a call waits whatever signals come (`WAIT_KILLABLE_RECV`). Before, while we are being woken, a signal takes it back:
//! it is made anew if the signal's handler asks for that (`SA_RESTART`), and else fails with EINTR, which an open of a plain file never
//! does without us. The kernel has no flag against it. A program whose timers have such handlers and that does not repeat calls
//! (perl's `alarm`; not Go, Python, Java) is better followed by the other mechanism, where nothing of the kind happens.

//! # What a request costs
//!
//! A call that is passed on is four system calls of ours: poll (the listener, and all the rest that a supervisor hears of), receive, read
//! the path, send. In a loop of opens they and the two switches between the processes add 8 us to the 2.7 of an open and its close; the
//! switches with receive and send alone are 5 of them, poll 1, reading 1.3. In a program that computes between its calls the same request
//! takes the supervisor 12 us and the program 20 more of its own: caches have cooled on both sides. A supervisor that does nothing but
//! these four calls (`tests/targets/least_notifier.c`) already makes Python with 183 such opens slower by 5 %.
//!
//! - Waking the asker on this core is what makes it cheap: between cores a round trip takes 48 us in a virtual machine.
//! - The answer by a descriptor wakes *us* as any other event would (`complete` in the kernel), mostly on another core that is idle. Staying
//!   on the asker's core for it, by `sched_setaffinity` around that request, was tried: no faster in Python, and slower by 20 us for each
//!   of many short processes, as what is left to do after the answer then is not done beside them.
//! - Receiving without a poll before would save 1 us, more where caches are cold. It needs a thread of its own that receives, as nothing
//!   but a signal ends that wait, and a lock around the supervisor's state.
//! - Filters can't tell a loader's open from another program's: both pass the same flags from addresses that differ in each process.

mod abi;
mod ahead;
mod held;
mod in_flight;
mod listener;

pub use in_flight::InFlight;
pub use listener::{Listener, ListenerError};
