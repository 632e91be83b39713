//! A page in a process's memory, for arguments of injected calls.

use std::cell::RefCell;
use std::collections::HashMap;

use tracee::{Memory, RemotePtr};

use crate::inject::Injection;
use crate::pass::{PassError, call};

/// The page of each process that has one. It stays, so that further calls need not map it.
pub struct Pages {
    /// What each page begins with: a process may have unmapped its page since, and have put something else there.
    mark: u128,
    known: RefCell<HashMap<i32, u64>>,
}

impl Default for Pages {
    fn default() -> Self {
        let mut mark = [0u8; 16];
        // SAFETY: the call writes that many bytes.
        unsafe { libc::getrandom(mark.as_mut_ptr().cast(), mark.len(), 0) };
        Self { mark: u128::from_ne_bytes(mark), known: RefCell::default() }
    }
}

impl Pages {
    /// Its memory is gone.
    pub fn forget(&self, process: i32) {
        self.known.borrow_mut().remove(&process);
    }

    /// A number that nobody can guess.
    pub fn mark(&self) -> u128 {
        self.mark
    }
}

const LENGTH: u64 = 4096;
/// Where the part begins that may be used, behind the mark.
const FREE: u64 = 64;

/// Where in its process's memory a thread may be given arguments: some kilobytes, aligned. Memory near the stack pointer would
/// not do: it may belong to another goroutine.
pub fn of(thread: &mut Injection) -> Result<u64, PassError> {
    let shared = thread.shared().clone();
    let process = shared.process_of(thread.tid());
    let process =
        process.map_err(|error| PassError::Failed { doing: "find the process of a thread", error })?;
    let memory = Memory::of(thread.tid());
    let mark = shared.pages.mark.to_ne_bytes();
    let known = shared.pages.known.borrow().get(&process).copied();
    if let Some(page) = known {
        let mut found = [0; 16];
        if memory.read_bytes(RemotePtr::new(page), &mut found).is_ok() && found == mark {
            return Ok(page + FREE);
        }
    }
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let arguments = [0, LENGTH, protection as u64, flags as u64, u64::MAX, 0];
    let page = call(thread, "map a page", libc::SYS_mmap, arguments)? as u64;
    memory.write_bytes(RemotePtr::new(page), &mark)?;
    shared.pages.known.borrow_mut().insert(process, page);
    Ok(page + FREE)
}
