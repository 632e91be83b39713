//! Hostile clients of the emulated driver's nodes: sequences of opens, duplicates, closes and ioctls of a few processes, made of
//! `nvidia-abi`'s tables and then spoiled.
//!
//! ```text
//!   bytes ──▶ Choices ──▶ Session: processes with descriptors ──ioctl──▶ ResourceManager
//!                            ▲                                              │ reads and writes
//!                            └── handles that were made, statuses ◀── Process: memory with holes, watched
//! ```
//!
//! What is looked for: a panic; a write outside of what the call named, as the tables say it; a second look at what another thread
//! may have changed; a privileged command for an unprivileged process; an object of somebody else's; anything that is left once all
//! files are closed.

#![no_main]

#[path = "../shared/call.rs"]
mod call;
#[path = "../shared/choices.rs"]
mod choices;
#[path = "../shared/memory.rs"]
mod memory;
mod process;
mod session;

use libfuzzer_sys::fuzz_target;

use choices::Choices;
use session::Session;

fuzz_target!(|data: &[u8]| {
    let mut choices = Choices::new(data);
    Session::with(|session| {
        while !choices.is_empty() {
            session.step(&mut choices);
        }
        session.close_all();
    });
});
