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

mod abi;
mod ahead;
mod held;
mod in_flight;
mod listener;

pub use in_flight::InFlight;
pub use listener::{Listener, ListenerError};
