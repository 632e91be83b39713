//! What the fuzzer and the driver's stand-in tell each other, in memory that both have.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU32, AtomicU64};

use mediation::in_all_processes;

/// Clients of a session.
pub const CLIENTS: usize = 3;
/// Bytes of what the driver is to answer.
pub const SCRIPT: usize = 48;

/// One for each client.
pub struct Lane {
    /// A call of its own is being made.
    pub expects: AtomicU32,
    /// Its user.
    pub user: AtomicU32,
    /// The process that executes its calls, once there was one.
    pub worker: AtomicI32,
    /// That process has ended in a call, as it was to.
    pub died: AtomicU32,
    /// A call that takes long may end now.
    pub gate: AtomicU32,
    /// Where its copies lie: from and to.
    pub area: [AtomicU64; 2],
    /// What the driver is to answer.
    pub script: [AtomicU8; SCRIPT],
}

pub struct Page {
    pub lanes: [Lane; CLIENTS],
    /// The second card is not the session's.
    pub hides: AtomicU32,
    /// What the driver has numbered.
    pub objects: AtomicU32,
}

/// The page; the first call makes it, before there are other processes.
pub fn page() -> &'static Page {
    static PAGE: OnceLock<&Page> = OnceLock::new();
    // SAFETY: it is made of atomics.
    PAGE.get_or_init(|| unsafe { in_all_processes() })
}
