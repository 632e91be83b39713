//! A process's connection to the supervisor and to its engine: what every payload library builds on.
//!
//! ```text
//!   Connection  one open of /dev/nvidiactl; control calls (identity, memory, engine)      µs, enters the supervisor
//!   Condition   what is wrong with the cards                                              ns, read-only
//!   Engine      the shared area: ring, completions, events, replies, bounce buffer        ns, stays in user space
//! ```
//!
//! - Nothing happens before first use: no thread, no descriptor, no mapping. Loading a payload library is free.
//! - A forked child inherits neither memory nor ring ([`fork::Epoch`] tells it apart), like with the real driver.
//! - One ring per process, guarded by a lock. A ring per thread, as one may expect, would lose the order of two threads
//!   that submit to one stream one after the other; the uncontended lock costs 15 ns.

mod bounce;
mod condition;
mod connection;
mod engine;
pub mod fork;
mod mapping;
mod ring;
mod slots;
pub mod trace;
mod virtual_memory;

pub use bounce::Bounce;
pub use condition::Condition;
pub use connection::{Connection, Unavailable};
pub use engine::{Answered, Engine, EngineGone, Refused};
pub use mapping::Mapped;
