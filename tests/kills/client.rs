//! The client, `tests/targets/phases.c`, and where it is.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use tests::workshop;

/// What the client does at a moment; in the order of `enum phase` in its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// It is being started; also vgpu-run itself.
    Start,
    /// Loads libcuda and calls `cuInit`.
    Load,
    Context,
    Module,
    Allocate,
    Copy,
    Launch,
    Synchronise,
    Free,
    Destroy,
}

pub const PHASES: [Phase; 10] = {
    use Phase::*;
    [Start, Load, Context, Module, Allocate, Copy, Launch, Synchronise, Free, Destroy]
};

/// The words that a client writes while it goes on.
#[repr(C)]
struct Words {
    phase: AtomicU32,
    pass: AtomicU32,
    client: AtomicU32,
}

/// A client's place for these words: a file that it maps too.
pub struct Progress {
    path: PathBuf,
    words: *mut Words,
}

const LENGTH: usize = 4096;

impl Progress {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = workshop::directory().join(format!("progress-{}-{number}", std::process::id()));
        fs::write(&path, [0; LENGTH]).expect("a file for the client's words");
        let file = fs::OpenOptions::new().read(true).write(true).open(&path).expect("that file");
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let descriptor = std::os::fd::AsRawFd::as_raw_fd(&file);
        // SAFETY: a new mapping at an address of the kernel's choice; the file has that length and nobody cuts it.
        let base =
            unsafe { libc::mmap(std::ptr::null_mut(), LENGTH, protection, libc::MAP_SHARED, descriptor, 0) };
        assert_ne!(base, libc::MAP_FAILED, "{}", std::io::Error::last_os_error());
        Self { path, words: base.cast() }
    }

    pub fn path(&self) -> &PathBuf {
        &self.path
    }

    pub fn phase(&self) -> Phase {
        PHASES[self.words().phase.load(Ordering::SeqCst) as usize]
    }

    /// How often it has gone through its phases.
    pub fn pass(&self) -> u32 {
        self.words().pass.load(Ordering::SeqCst)
    }

    /// The client's pid, once it runs.
    pub fn client(&self) -> Option<i32> {
        let pid = self.words().client.load(Ordering::SeqCst);
        (pid != 0).then_some(pid as i32)
    }

    fn words(&self) -> &Words {
        // SAFETY: mapped as long as `self` lives, aligned to a page; any bytes are valid numbers.
        unsafe { &*self.words }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        // SAFETY: our own mapping; references to it do not outlive `self`.
        unsafe { libc::munmap(self.words.cast(), LENGTH) };
        let _ = fs::remove_file(&self.path);
    }
}
