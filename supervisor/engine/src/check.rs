//! What `--check` asks for: a checker for this process's memory and kernels (crate `checks`), and what the client tells it.

use std::sync::{Arc, LazyLock, OnceLock};

use checks::{Checker, Checks, Kind};
use wire::command::{Allocated, Written};
use wire::control::{MemoryKind, NoteKind};
use wire::engine::CHECK_VARIABLE;

use crate::grants::Grants;
use crate::note;

/// What the supervisor asked for.
static REQUESTED: LazyLock<Checks> = LazyLock::new(|| {
    let asked = std::env::var(CHECK_VARIABLE).unwrap_or_default();
    asked.parse().unwrap_or_else(|why| {
        // The command line knows the names; another version of it may have sent more.
        eprintln!("vgpu-engine: {why}");
        Checks::default()
    })
});

/// This process's, once it is made.
static CHECKER: OnceLock<Arc<Checker>> = OnceLock::new();

/// Whether there is any check: then everything is interpreted.
pub fn is_requested() -> bool {
    REQUESTED.any()
}

/// A checker, if one is asked for.
pub fn checker(grants: &Arc<Grants>) -> Option<Arc<Checker>> {
    let grants = grants.clone();
    let is_mapped = Box::new(move |address, length| grants.contain(address, length));
    let tell = Box::new(|text: &str, times: u64| note::tell(NoteKind::Checked, times as i64, text));
    let make = || Arc::new(Checker::new(*REQUESTED, is_mapped, tell));
    is_requested().then(|| CHECKER.get_or_init(make).clone())
}

/// The client has ended, and this process will: tells what is left to tell.
pub fn leave() {
    if let Some(checker) = CHECKER.get() {
        checker.ended();
    }
}

/// The client has memory.
pub fn allocated(checker: &Checker, order: &Allocated) {
    let kind = match order.kind {
        _ if order.shared != 0 => Kind::Shared,
        kind if kind == MemoryKind::Device as u32 => Kind::Device,
        kind if kind == MemoryKind::Managed as u32 => Kind::Managed,
        _ => Kind::Host,
    };
    checker.allocated(order.address, order.length, kind);
}

/// The client has written device memory.
pub fn written(checker: &Checker, order: &Written) {
    for row in 0..order.rows {
        checker.written(order.address.wrapping_add(row.wrapping_mul(order.pitch)), order.length);
    }
}
