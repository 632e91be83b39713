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

mod abi;
mod ahead;
mod held;
mod in_flight;
mod listener;

pub use in_flight::InFlight;
pub use listener::{Listener, ListenerError};
