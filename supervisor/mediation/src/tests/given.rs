//! The driver's stand-in of tests: it notes what it is given, and lets wait whoever is to.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::*;

/// What it was given, in memory that all processes have.
pub struct Given {
    pub calls: AtomicU32,
    /// Of the last one: where the copies lie, and how its argument begins.
    pub area: [AtomicU64; 2],
    pub words: [AtomicU32; 8],
    /// Calls that begin with [`LONG`] end once this is not zero.
    pub gate: AtomicU32,
}

/// The first word of a call that takes long. Its last one becomes [`DONE`].
pub const LONG: u32 = 0x1006;
pub const DONE: u32 = 0xd03e;

pub fn given() -> &'static Given {
    static GIVEN: OnceLock<&Given> = OnceLock::new();
    // SAFETY: it is made of atomics.
    GIVEN.get_or_init(|| unsafe { crate::stand_in::in_all_processes() })
}

fn note(handed: &Handed) -> std::io::Result<i32> {
    let given = given();
    given.calls.fetch_add(1, Relaxed);
    given.area[0].store(handed.area.start, Relaxed);
    given.area[1].store(handed.area.end, Relaxed);
    // SAFETY: the argument is the first copy, with room for eight words in the area.
    let words = unsafe { std::slice::from_raw_parts_mut(handed.argument as *mut u32, 8) };
    for (noted, word) in given.words.iter().zip(&*words) {
        noted.store(*word, Relaxed);
    }
    if words[0] == LONG {
        while given.gate.load(Relaxed) == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        words[1] = DONE;
    }
    Ok(0)
}

/// A mediator whose card 3 is `/dev/null`, with that driver.
pub fn noted(limit: Option<u64>) -> Mediator {
    given();
    let kernel = Kernel { ioctl: note, ..Kernel::OWN };
    let nodes = vec![(NULL, Node::Gpu(NULL.1))];
    let driver = StandIn { version: VERSION, nodes, kernel }.driver().expect("known");
    Mediator::begin(driver, limit).expect("processes")
}
