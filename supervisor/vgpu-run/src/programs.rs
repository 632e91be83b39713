//! Executing a program of ours that no file of the machine is.
//!
//! The kernel reads the path of a held exec again when the call goes on. So the caller gets a descriptor of our program, and in its
//! memory the path becomes `/proc/self/fd/N`, which is no longer than `/usr/bin/nvidia-smi`. After the exec the old text is put
//! back: where the caller was made by `vfork`, the memory is its parent's, who may use the same text again.
//!
//! Whoever changes the path meanwhile executes what they could execute anyway: nothing is decided here.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use interception::Request;

/// How long an exec may take until the old path is put back in any case.
const PATIENCE: Duration = Duration::from_millis(20);

/// A path that was replaced.
pub struct Replaced {
    /// The memory as it is before the exec, which replaces it.
    memory: File,
    address: u64,
    old: Vec<u8>,
    new: Vec<u8>,
    tid: i32,
    executable: Option<PathBuf>,
}

/// Makes the exec at `path`, which `address` holds, one of `program`; `None` leaves it as it is: there is no room for the new path,
/// or no way into the memory.
pub fn replace(request: &Request, address: u64, path: &[u8], program: &OwnedFd) -> Option<Replaced> {
    let memory = procfs::open_memory(request.tid).ok()?;
    let executable = executable(request.tid);
    let descriptor = request.give(program, true).ok()?;
    let new = format!("/proc/self/fd/{descriptor}\0").into_bytes();
    let old = [path, b"\0"].concat();
    if new.len() > old.len() || !request.is_alive() {
        return None;
    }
    memory.write_all_at(&new, address).ok()?;
    Some(Replaced { memory, address, old, new, tid: request.tid, executable })
}

impl Replaced {
    /// Puts the old path back once the program has been executed. Precondition: the call goes on.
    pub fn restore(self) {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE && executable(self.tid) == self.executable {
            std::thread::sleep(Duration::from_micros(100));
        }
        let mut now = vec![0; self.new.len()];
        // Of a memory that nobody has any more nothing can be read.
        if self.memory.read_exact_at(&mut now, self.address).is_ok() && now == self.new {
            let _ = self.memory.write_all_at(&self.old, self.address);
        }
    }
}

fn executable(tid: i32) -> Option<PathBuf> {
    procfs::read_link(&format!("{tid}/exe")).ok()
}
