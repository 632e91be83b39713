//! The shared area as this side sees it.

use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::sync::Mutex;
use std::sync::atomic::{Ordering, fence};

use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap};
use wire::futex;
use wire::shared::{self, EngineState, View};

/// The mapping; it stays until the process ends.
#[derive(Clone, Copy)]
pub struct SharedArea(View);

impl std::ops::Deref for SharedArea {
    type Target = View;

    fn deref(&self) -> &View {
        &self.0
    }
}

impl SharedArea {
    /// Maps the area that the broker made.
    pub fn map(descriptor: OwnedFd) -> Result<SharedArea, Errno> {
        let length = NonZeroUsize::new(shared::AREA_LENGTH).expect("constant");
        // SAFETY: a new mapping at an address of the kernel's choice aliases nothing of ours.
        let base = unsafe {
            mmap(
                None,
                length,
                ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
                MapFlags::MAP_SHARED,
                &descriptor,
                0,
            )?
        };
        // SAFETY: mapped whole just now, and nothing unmaps it.
        Ok(SharedArea(unsafe { View::new(base.as_ptr().cast()) }))
    }

    /// Answers a command that has a reply.
    pub fn answer(&self, slot: u32, result: u32, length: usize) {
        let reply = self.reply(slot);
        reply.result.store(result, Ordering::Relaxed);
        reply.length.store(length as u32, Ordering::Relaxed);
        reply.done.store(1, Ordering::SeqCst);
        futex::wake_all(&reply.done);
    }

    /// Copies the ring's bytes at `position` (a multiple of the record alignment that does not cross the end).
    pub fn copy_from_ring(&self, position: usize, target: &mut [u8]) {
        assert!(position + target.len() <= shared::RING_LENGTH);
        // SAFETY: in bounds by the assertion; `target` is ours alone. The client may scribble meanwhile: then we have
        // garbage, which is looked at only in our copy.
        unsafe {
            std::ptr::copy_nonoverlapping(
                self.base().add(shared::RING + position),
                target.as_mut_ptr(),
                target.len(),
            )
        }
    }

    /// Appends a kernel's text to the print buffer; a text that does not fit is counted as lost.
    pub fn print(&self, text: &[u8]) {
        // Workers print at the same time; the buffer has one writer's position.
        static PRINTING: Mutex<()> = Mutex::new(());
        let _one = PRINTING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let area = self.head();
        let head = area.print_head.load(Ordering::Relaxed);
        let free = shared::PRINT_LENGTH as u64 - head.wrapping_sub(area.print_tail.load(Ordering::Acquire));
        if text.len() as u64 > free {
            area.print_lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        for (index, byte) in text.iter().enumerate() {
            let position = (head as usize + index) % shared::PRINT_LENGTH;
            // SAFETY: the position is inside the print buffer; bytes between head and tail + length are ours to write.
            unsafe { self.base().add(shared::PRINT + position).write(*byte) };
        }
        area.print_head.store(head + text.len() as u64, Ordering::Release);
    }

    /// Marks a stream's work as done up to `sequence`. Who sleeps for it is still to be [woken](SharedArea::wake_waiters).
    pub fn complete(&self, stream: u32, sequence: u64) {
        self.stream(stream).completed.store(sequence, Ordering::Release);
    }

    /// Wakes client threads that sleep until a stream has done what by now it has.
    pub fn wake_waiters(&self, stream: u32) {
        // Order: the completion before the look at what is awaited; the client says what it awaits before it looks at the completion.
        fence(Ordering::SeqCst);
        let stream = self.stream(stream);
        let awaited = stream.awaited.load(Ordering::Relaxed);
        if awaited != 0 && awaited <= stream.completed.load(Ordering::Relaxed) {
            stream.awaited.store(0, Ordering::SeqCst);
            self.wake();
        }
    }

    /// Wakes client threads that sleep until an event has its value.
    pub fn wake_sleepers(&self) {
        // As for streams.
        fence(Ordering::SeqCst);
        if self.head().sleepers.0.load(Ordering::Relaxed) != 0 {
            self.wake();
        }
    }

    /// Wakes all client threads that sleep: each looks again.
    pub fn wake(&self) {
        let completions = &self.head().completions.0;
        completions.fetch_add(1, Ordering::SeqCst);
        futex::wake_all(completions);
    }

    /// Tells the client where we are in our life. That only goes on: a client may have left before another thread of ours is ready,
    /// and what ended in order must not look like one that was serving and was killed.
    pub fn set_state(&self, state: EngineState) {
        let word = &self.head().state.0;
        word.fetch_max(state as u32, Ordering::SeqCst);
        futex::wake_all(word);
    }
}

#[cfg(test)]
impl SharedArea {
    /// An area of this process's own.
    pub fn for_test() -> SharedArea {
        let name = c"vgpu-area-test";
        let memory = nix::sys::memfd::memfd_create(name, nix::sys::memfd::MFdFlags::empty()).expect("memfd");
        nix::unistd::ftruncate(&memory, shared::AREA_LENGTH as i64).expect("sparse");
        SharedArea::map(memory).expect("mapping")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_left_is_not_ready_afterwards() {
        let area = SharedArea::for_test();
        for state in [EngineState::Left, EngineState::Ready] {
            area.set_state(state);
        }
        assert_eq!(area.head().state.0.load(Ordering::SeqCst), EngineState::Left as u32);
    }
}
