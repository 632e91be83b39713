//! The shared area: one mapping that client and engine have in common.
//!
//! ```text
//!   offset 0        Area           state, ring positions, doorbells, fault
//!   STREAMS         [StreamSlot]   completed sequence per stream
//!   EVENTS          [EventSlot]    value and time per event
//!   REPLIES         [Reply]        answers to commands that have one
//!   FIGURES         [KernelFigures] what each kernel cost, engine to broker
//!   PRINT           bytes          what kernels printed, engine to client
//!   RING            bytes          records, see `command`
//!   BOUNCE          bytes          images and staged copies, managed by the client
//!   TRACE           a ring         what the engine traces, engine to tracer: see `trace`; else no page of it is touched
//! ```
//!
//! Client and engine do not trust each other more than they must: the engine copies a record out of the ring before
//! it looks at it, and the client reads only counters and replies.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::figures::KernelFigures;
use crate::trace::{Ring, WORK_LENGTH};

/// Streams that a process can have at a time.
pub const STREAM_SLOTS: usize = 4096;
/// Events that a process can have at a time.
pub const EVENT_SLOTS: usize = 65536;
/// Answers under way at a time.
pub const REPLY_SLOTS: usize = 64;
/// Kernels, each with a shape of its blocks, whose costs are told apart.
pub const FIGURES_SLOTS: usize = 512;
/// Bytes of the ring; a power of two.
pub const RING_LENGTH: usize = 1 << 20;
/// Bytes of the print buffer; a power of two.
pub const PRINT_LENGTH: usize = 1 << 20;
/// Bytes of the bounce buffer.
pub const BOUNCE_LENGTH: usize = 64 << 20;

/// Offset of the stream slots.
pub const STREAMS: usize = 4096;
/// Offset of the event slots.
pub const EVENTS: usize = STREAMS + STREAM_SLOTS * size_of::<StreamSlot>();
/// Offset of the replies.
pub const REPLIES: usize = EVENTS + EVENT_SLOTS * size_of::<EventSlot>();
/// Offset of the kernels' figures.
pub const FIGURES: usize = REPLIES + REPLY_SLOTS * size_of::<Reply>();
/// Offset of the print buffer.
pub const PRINT: usize = (FIGURES + FIGURES_SLOTS * size_of::<KernelFigures>()).next_multiple_of(4096);
/// Offset of the ring.
pub const RING: usize = PRINT + PRINT_LENGTH;
/// Offset of the bounce buffer.
pub const BOUNCE: usize = RING + RING_LENGTH;
/// Offset of the engine's ring of traces.
pub const TRACE: usize = BOUNCE + BOUNCE_LENGTH;
/// Bytes of the whole area.
pub const AREA_LENGTH: usize = TRACE + WORK_LENGTH;

/// A word on a cache line of its own.
#[repr(C, align(64))]
pub struct Line<T>(pub T);

/// Head of the shared area.
#[repr(C)]
pub struct Area {
    /// Bytes written into the ring since the start (the producer's position).
    pub head: Line<AtomicU64>,
    /// Bytes consumed since the start.
    pub tail: Line<AtomicU64>,
    /// An [`EngineState`] as a number; a futex.
    pub state: Line<AtomicU32>,
    /// TID of the engine's ring thread, with the robust-futex flags: the kernel sets FUTEX_OWNER_DIED when it dies.
    pub robust: Line<AtomicU32>,
    /// 1 while the engine sleeps; a futex, rung by the client.
    pub engine_sleeps: Line<AtomicU32>,
    /// Raised by the engine with every completion that somebody may sleep for; a futex.
    pub completions: Line<AtomicU32>,
    /// Number of client threads that sleep on `completions` until an event has its value.
    pub sleepers: Line<AtomicU32>,
    /// Newest grant that the engine has mapped ([`Allocation::map_sequence`](crate::control::Allocation)); a futex.
    pub mapped: Line<AtomicU32>,
    /// Sticky error of the context: a `CUresult`, 0 while all is well. Set once.
    pub error: Line<AtomicU32>,
    /// Nanoseconds that the engine spent in kernels, and number of kernels run: for utilisation and the report.
    pub kernel_nanoseconds: Line<AtomicU64>,
    /// See `kernel_nanoseconds`.
    pub kernels: AtomicU64,
    /// Bytes that kernels printed since the start, and bytes that the client has taken. A text that does not fit is
    /// dropped whole and counted.
    pub print_head: AtomicU64,
    /// See `print_head`.
    pub print_tail: AtomicU64,
    /// See `print_head`.
    pub print_lost: AtomicU64,
    /// Microseconds that an idle engine spins before it sleeps; 0 on one core.
    pub spin: AtomicU32,
    /// Commands in streams that are not done; what the ring holds besides nobody has looked at. For `vgpu-run top`.
    pub queued: AtomicU32,
    /// Kernels that wait to be compiled, and compilers at work. For `vgpu-run top`.
    pub compile_queue: AtomicU32,
    /// See `compile_queue`.
    pub compiling: AtomicU32,
    /// Length of `fault`.
    pub fault_length: AtomicU32,
    /// What went wrong, UTF-8: kernel, block, thread, address.
    pub fault: [AtomicU32; 256],
}

impl Area {
    /// Writes down what went wrong, as much of it as there is room for. Nothing is allocated: it may be a signal handler that tells.
    pub fn tell_fault(&self, text: &str) {
        let text = &text.as_bytes()[..text.len().min(size_of_val(&self.fault))];
        for (word, bytes) in self.fault.iter().zip(text.chunks(4)) {
            let mut padded = [0; 4];
            padded[..bytes.len()].copy_from_slice(bytes);
            word.store(u32::from_ne_bytes(padded), Ordering::Relaxed);
        }
        self.fault_length.store(text.len() as u32, Ordering::SeqCst);
    }

    /// What went wrong. Client and engine can write there: a text to show.
    pub fn fault_text(&self) -> String {
        let length = (self.fault_length.load(Ordering::SeqCst) as usize).min(size_of_val(&self.fault));
        let words = self.fault.iter().map(|word| word.load(Ordering::Relaxed).to_ne_bytes());
        let bytes: Vec<u8> = words.flatten().take(length).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Where an engine is in its life.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineState {
    /// Forked, not serving yet.
    Starting = 0,
    /// Serving.
    Ready = 1,
    /// Gone; `error` says what the client is to be told.
    Dead = 2,
    /// Gone as it should, since client or supervisor went first.
    Left = 3,
}

/// One stream.
#[repr(C, align(64))]
pub struct StreamSlot {
    /// Sequence number of the newest command of this stream that is done, all before it too.
    pub completed: AtomicU64,
    /// Lowest sequence number that client threads sleep for, on [`Area::completions`]; 0: none do. The engine takes it back when it
    /// wakes them: so work before that wakes nobody.
    pub awaited: AtomicU64,
}

/// One event.
#[repr(C)]
pub struct EventSlot {
    /// Number of the newest completed record.
    pub value: AtomicU64,
    /// CLOCK_MONOTONIC nanoseconds of that record.
    pub time: AtomicU64,
}

/// Answer to a command that has one.
#[repr(C, align(64))]
pub struct Reply {
    /// 0: pending, 1: here; a futex.
    pub done: AtomicU32,
    /// A `CUresult`.
    pub result: AtomicU32,
    /// Bytes of the answer, which lies where the command said.
    pub length: AtomicU32,
    /// Zero.
    pub reserved: AtomicU32,
}

/// The shared area, mapped somewhere in this process for the rest of its life.
#[derive(Clone, Copy)]
pub struct View {
    base: *mut u8,
}

// SAFETY: what is reached through a View is atomic, or bytes whose owner at a time is settled by the ring's positions.
unsafe impl Send for View {}
// SAFETY: as above.
unsafe impl Sync for View {}

impl View {
    /// # Safety
    /// `base` must be a mapping of [`AREA_LENGTH`] bytes, page aligned, readable and writable, and never unmapped.
    pub unsafe fn new(base: *mut u8) -> View {
        View { base }
    }

    /// Start of the mapping.
    pub fn base(&self) -> *mut u8 {
        self.base
    }

    /// State, positions, doorbells.
    pub fn head(&self) -> &'static Area {
        // SAFETY: the mapping is page aligned, longer than Area, never unmapped, and Area holds only atomics.
        unsafe { &*self.base.cast() }
    }

    /// A stream's slot. Panics where there is none: slots from elsewhere are checked first.
    pub fn stream(&self, slot: u32) -> &'static StreamSlot {
        assert!((slot as usize) < STREAM_SLOTS, "there is no stream slot {slot}");
        // SAFETY: in bounds by the assertion; the slots are atomics at a 64-byte boundary.
        unsafe { &*self.base.add(STREAMS).cast::<StreamSlot>().add(slot as usize) }
    }

    /// An event's slot. Panics where there is none.
    pub fn event(&self, slot: u32) -> &'static EventSlot {
        assert!((slot as usize) < EVENT_SLOTS, "there is no event slot {slot}");
        // SAFETY: in bounds by the assertion; the slots are atomics at an 8-byte boundary.
        unsafe { &*self.base.add(EVENTS).cast::<EventSlot>().add(slot as usize) }
    }

    /// A reply's slot. Panics where there is none.
    pub fn reply(&self, slot: u32) -> &'static Reply {
        assert!((slot as usize) < REPLY_SLOTS, "there is no reply slot {slot}");
        // SAFETY: in bounds by the assertion; the slots are atomics at a 64-byte boundary.
        unsafe { &*self.base.add(REPLIES).cast::<Reply>().add(slot as usize) }
    }

    /// The figures of a kernel. Panics where there is no such slot.
    pub fn figures(&self, slot: usize) -> &'static KernelFigures {
        assert!(slot < FIGURES_SLOTS, "there are no figures in slot {slot}");
        // SAFETY: in bounds by the assertion; the slots are atomics at a 64-byte boundary.
        unsafe { &*self.base.add(FIGURES).cast::<KernelFigures>().add(slot) }
    }

    /// The engine's ring of traces.
    pub fn trace(&self) -> Ring {
        // SAFETY: inside the mapping, which is never unmapped while a view is used; a fresh area is zero.
        unsafe { Ring::new(self.base.add(TRACE), WORK_LENGTH) }
    }

    /// Address of `length` bytes at `offset`, if they lie in the area.
    pub fn bytes(&self, offset: u64, length: u64) -> Option<*mut u8> {
        let end = offset.checked_add(length)?;
        // SAFETY: in bounds of the mapping by the comparison.
        (end <= AREA_LENGTH as u64).then(|| unsafe { self.base.add(offset as usize) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_the_area_do_not_overlap() {
        assert!(size_of::<Area>() <= STREAMS);
        assert!(
            EVENTS.is_multiple_of(64)
                && REPLIES.is_multiple_of(64)
                && FIGURES.is_multiple_of(64)
                && RING.is_multiple_of(4096)
                && TRACE.is_multiple_of(4096)
        );
        assert!(RING_LENGTH.is_power_of_two() && PRINT_LENGTH.is_power_of_two());
    }

    #[test]
    fn a_fault_is_read_as_it_was_told_and_cut_where_there_is_no_room() {
        // SAFETY: an Area is atomics alone, for which zeroes are a value.
        let area: Box<Area> = unsafe { Box::new(std::mem::zeroed()) };
        assert_eq!(area.fault_text(), "");
        area.tell_fault("kernel k: trap");
        assert_eq!(area.fault_text(), "kernel k: trap");
        area.tell_fault(&"x".repeat(5000));
        assert_eq!(area.fault_text(), "x".repeat(1024));
    }
}
