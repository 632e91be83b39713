//! Hostile clients of the host engine: sequences of opens, duplicates, closes, kills and ioctls of a few processes, made of
//! `nvidia-abi`'s tables and then spoiled, to a driver that nobody has.
//!
//! ```text
//!   bytes ──▶ Choices ──▶ Session: clients with descriptors ──ioctl──▶ Mediator ──▶ worker, a real process ──▶ driver's stand-in
//!                            ▲                                            │ reads and writes                      │ what is it given?
//!                            └── objects that were made ◀── Client: memory with holes, watched    Page ◀──────────┘ what it answers
//! ```
//!
//! `/dev/null` and its like stand for the nodes, and a function for the driver (`driver`). That one looks from the inside at what a
//! driver is given: calls that the tables have, of their sizes; pointers into the copies of this call, with what the tables say behind
//! them; descriptors of this client's files; in a process that serves nobody else, has the client's user and no capability.
//!
//! What is looked for besides: a panic, a hang; an address or a descriptor of ours in a client's memory, or any write where nothing was
//! read; more memory than the limit; anything that is left of a client that has ended: processes, descriptors, books.

#![no_main]

#[path = "../shared/call.rs"]
mod call;
#[path = "../shared/choices.rs"]
mod choices;
mod client;
mod driver;
mod machine;
#[path = "../shared/memory.rs"]
mod memory;
mod page;
mod session;

use libfuzzer_sys::fuzz_target;

use choices::Choices;
use session::Sessions;

fuzz_target!(
    init: Sessions::prepare(),
    |data: &[u8]| {
        let mut choices = Choices::new(data);
        Sessions::with(&mut choices, |session, choices| {
            while !choices.is_empty() {
                session.step(choices);
            }
            session.close_all();
        });
    }
);
