//! Plays a recording's calls to the emulated resource manager and compares what it answers with what a real card did ([`check()`]);
//! makes a recording of calls that the manager answers ([`Observed`]); and answers a program from one ([`Player`]).
//!
//! ```text
//!   recording ──Event──▶ check ──the call as recorded──▶ ResourceManager
//!                          │  ◀──what it writes────────────────┘
//!                          └─▶ bytes equal? masked? ──▶ Outcome: calls, matches, mismatches, masked bytes by category
//! ```
//!
//! - The manager sees the recorded process's memory: the outer structure, the parameters and what they point to.
//! - What other programs had of the card is taken from what the recorded one was told first (`neighbours.rs`).
//! - Handles that the driver chose differ from run to run: they are renamed both ways.
//! - What cannot be equal (time, addresses, readings of sensors) is listed with reasons in `mask.txt`.
//! - A call whose buffers an older recorder did not write down is skipped, and counted.

#![forbid(unsafe_code)]

mod bytes;
mod check;
mod files;
mod fit;
mod handles;
mod machine;
mod mapped;
mod mask;
mod memory;
mod neighbours;
mod observe;
mod play;

pub use check::{Difference, Mismatch, Outcome, check};
pub use files::{node, path};
pub use machine::Place;
pub use mapped::Shows;
pub use mask::{Category, Mask};
pub use observe::Observed;
pub use play::{Player, Refusal};
