//! Which core does what: the work of both sides on one, the client that launches and waits on another where there is one.

use std::sync::OnceLock;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// Cores that this process could use when it began.
pub fn all() -> &'static [usize] {
    static CORES: OnceLock<Vec<usize>> = OnceLock::new();
    CORES.get_or_init(|| {
        let set = sched_getaffinity(Pid::from_raw(0)).unwrap_or_default();
        let cores: Vec<usize> =
            (0..CpuSet::count()).filter(|core| set.is_set(*core).unwrap_or(false)).collect();
        if cores.is_empty() { vec![0] } else { cores }
    })
}

/// The core of the kernels and of the native code.
pub fn work() -> usize {
    all()[0]
}

/// The core of the thread that launches; the same as [`work`] if there is only one.
pub fn client() -> usize {
    all()[all().len().min(2) - 1]
}

/// This thread runs there from now on.
pub fn pin(core: usize) {
    let mut set = CpuSet::new();
    // A core that can't be had leaves the thread where it was: the figures are noisier, and no less true.
    let _ = set.set(core).and_then(|()| sched_setaffinity(Pid::from_raw(0), &set));
}
