//! Memory that the supervisor shares with the processes that execute calls.
//!
//! ```text
//!   slot 0      slot 1      slot 2 …       one for each process
//!   ┌──────────────────────┬─────────────────────────────┐
//!   │ head: state, order,  │ area: what the call's       │
//!   │ result               │ argument leads to           │
//!   └──────────────────────┴─────────────────────────────┘
//!
//!   state   IDLE ──supervisor──▶ POSTED ──process──▶ DONE ──supervisor──▶ IDLE
//! ```
//!
//! Whoever's turn it is owns the slot. The supervisor may leave off waiting and ask for the bell instead: it does so before it looks at the
//! state once more, and the process hands the slot back before it looks whether it is to ring, so one of them sees the other. The mapping is made before the first process is, so an address in it is the same in all.

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Processes that there can be at once, with the one that makes them.
pub const SLOTS: usize = 512;
/// Bytes of a slot. The largest parameters have 1 MiB.
const SLOT: usize = 2 << 20;
const HEAD: usize = 4096;
/// Bytes of a slot's area.
pub const AREA: usize = SLOT - HEAD;

/// The mapping.
pub struct Region {
    start: NonNull<u8>,
}

/// The head of a slot.
#[repr(C)]
pub struct Head {
    state: AtomicU32,
    /// The supervisor does not wait, and wants to be told.
    wants_bell: AtomicU32,
    pub operation: AtomicU32,
    pub descriptor: AtomicI32,
    pub number: AtomicU32,
    pub argument: AtomicU64,
    /// What the call returned.
    pub result: AtomicI32,
    /// The error, if that is -1.
    pub error: AtomicI32,
}

const _: () = assert!(size_of::<Head>() <= HEAD);

/// The supervisor may prepare an order.
const IDLE: u32 = 0;
/// The process is to execute it.
const POSTED: u32 = 1;
/// It has.
const DONE: u32 = 2;

impl Region {
    /// Of zeroes; pages are there once they are written.
    pub fn new() -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new mapping at an address of the kernel's choice disturbs nothing.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), SLOTS * SLOT, protection, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))?;
        Ok(Self { start })
    }

    fn at(&self, slot: usize, offset: usize) -> *mut u8 {
        assert!(slot < SLOTS && offset <= SLOT);
        // SAFETY: as asserted it lies in the mapping, or at its end.
        unsafe { self.start.as_ptr().add(slot * SLOT + offset) }
    }

    /// The head of a slot.
    pub fn head(&self, slot: usize) -> &Head {
        // SAFETY: a slot begins at a page with a head, of atomic numbers only, for which zero is a value; the mapping lives as long as
        // `self`.
        unsafe { &*self.at(slot, 0).cast() }
    }

    /// Address of a place in a slot's area, in every process.
    pub fn address(&self, slot: usize, offset: usize) -> u64 {
        self.at(slot, HEAD + offset) as u64
    }

    /// Puts bytes into the area.
    pub fn write(&self, slot: usize, offset: usize, bytes: &[u8]) {
        assert!(offset + bytes.len() <= AREA);
        // SAFETY: as asserted they lie in the slot's area, which nobody else uses while an order is prepared.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.at(slot, HEAD + offset), bytes.len()) };
    }

    /// Takes bytes out of it.
    pub fn read(&self, slot: usize, offset: usize, bytes: &mut [u8]) {
        assert!(offset + bytes.len() <= AREA);
        // SAFETY: as above, once the order has been executed.
        unsafe {
            std::ptr::copy_nonoverlapping(self.at(slot, HEAD + offset), bytes.as_mut_ptr(), bytes.len());
        };
    }

    /// Gives the area's pages back, and makes the slot one that nobody has used.
    pub fn clear(&self, slot: usize) {
        // SAFETY: the pages lie in the mapping, and nobody uses the slot any more: they become zeroes.
        unsafe { libc::madvise(self.at(slot, 0).cast(), SLOT, libc::MADV_REMOVE) };
    }
}

impl Head {
    /// For the supervisor: hands the slot over.
    pub fn post(&self) {
        self.wants_bell.store(0, Ordering::Relaxed);
        self.state.store(POSTED, Ordering::Release);
        wake(&self.state);
    }

    /// For the supervisor: whether the order has been executed, after a while; a slot that is handed back is idle.
    pub fn is_done_within(&self, spin: Duration, patience: Duration) -> bool {
        wait_while(&self.state, POSTED, spin, Some(patience)) && self.is_done()
    }

    /// For the supervisor: whether the order has been executed; a slot that is handed back is idle.
    pub fn is_done(&self) -> bool {
        let is_done = self.has_result();
        if is_done {
            self.state.store(IDLE, Ordering::Relaxed);
        }
        is_done
    }

    /// For the supervisor: whether the order has been executed.
    pub fn has_result(&self) -> bool {
        self.state.load(Ordering::SeqCst) == DONE
    }

    /// For the supervisor: asks for the bell, instead of waiting. To be followed by a last look.
    pub fn ask_for_bell(&self) {
        self.wants_bell.store(1, Ordering::SeqCst);
    }

    /// For the process: waits for the next order.
    pub fn wait_for_order(&self, spin: Duration) {
        loop {
            let state = self.state.load(Ordering::Acquire);
            if state == POSTED {
                return;
            }
            wait_while(&self.state, state, spin, None);
        }
    }

    /// For the process: hands the slot back; whether it is to ring.
    pub fn done(&self) -> bool {
        self.state.store(DONE, Ordering::SeqCst);
        wake(&self.state);
        self.wants_bell.load(Ordering::SeqCst) != 0
    }
}

/// Waits until a word is another, first by looking at it. False if it still is the same after `patience`.
fn wait_while(word: &AtomicU32, value: u32, spin: Duration, patience: Option<Duration>) -> bool {
    /// Looks between two at the clock.
    const LOOKS: u32 = 16;
    let begun = Instant::now();
    while begun.elapsed() < spin {
        for _ in 0..LOOKS {
            if word.load(Ordering::Acquire) != value {
                return true;
            }
            std::hint::spin_loop();
        }
    }
    loop {
        if word.load(Ordering::Acquire) != value {
            return true;
        }
        if patience.is_some_and(|patience| begun.elapsed() >= patience) {
            return false;
        }
        let limit = patience.map(|limit| libc::timespec {
            tv_sec: limit.as_secs() as libc::time_t,
            tv_nsec: limit.subsec_nanos().into(),
        });
        let limit = limit.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: the word is alive, and so is the time if there is one. The mapping is shared between processes, so is the futex.
        unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, value, limit) };
    }
}

fn wake(word: &AtomicU32) {
    // SAFETY: the word is alive; the call only takes its address.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, 1) };
}
