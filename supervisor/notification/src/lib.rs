//! The seccomp listener: system calls that wait for our answer, and the closed set of answers.
//!
//! ```text
//!   target: openat(…) ──▶ kernel ──▶ Listener::receive ──▶ Request ──reply(Reply)──▶ kernel ──▶ target goes on
//!                            │                                │
//!                            └── target killed meanwhile ─────┴──▶ Delivery::Gone
//! ```
//!
//! A [`Request`] is consumed by its reply, so nothing is answered twice; one that is dropped without a reply
//! is let through, so nothing waits for ever.
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

mod abi;
mod ahead;
mod in_flight;
mod listener;
mod request;

pub use in_flight::InFlight;
pub use listener::{Listener, ListenerError};
pub use request::{Delivery, Reply, Request};
