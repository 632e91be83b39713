//! The mapper thread: follows the broker's grants and the client's life.

use std::num::NonZeroUsize;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use packet::Packet;
use wire::engine::{Map, Unmap};
use wire::futex;
use wire::shared::EngineState;

use crate::area::SharedArea;
use crate::grants::Grants;
use crate::{check, process};

/// What the thread owns.
pub struct Mapper {
    pub area: SharedArea,
    pub grants: Arc<Grants>,
    /// The broker's grants come here; its end of file is the supervisor's death.
    pub socket: OwnedFd,
    /// Pidfd of the client.
    pub client: OwnedFd,
}

impl Mapper {
    /// Starts the thread.
    pub fn start(self) {
        let body = move || {
            process::set_name(c"vgpu-mapper");
            self.follow()
        };
        std::thread::Builder::new()
            .stack_size(256 << 10)
            .spawn(body)
            .expect("a thread of the engine's start");
    }

    fn follow(self) {
        loop {
            let mut ready = [
                PollFd::new(self.socket.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.client.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut ready, PollTimeout::NONE) {
                Err(Errno::EINTR) => continue,
                Err(error) => end(&format!("poll failed: {error}")),
                Ok(_) => {}
            }
            if ready[1].revents().is_some_and(|events| !events.is_empty()) {
                self.leave(); // The client is gone, and so is all that we are for.
            }
            match packet::receive(self.socket.as_fd()) {
                Ok(Some(packet)) => self.obey(packet),
                Ok(None) => self.leave(),
                Err(error) => end(&format!("the broker's socket failed: {error}")),
            }
        }
    }

    /// Ends in order; the broker tells this from an engine that was killed.
    fn leave(&self) -> ! {
        while crate::fault::is_dying() {
            std::thread::yield_now();
        }
        check::leave();
        self.area.set_state(EngineState::Left);
        std::process::exit(0)
    }

    fn obey(&self, packet: Packet) {
        if let Some(order) = packet.message::<Map>() {
            self.map(&order, &packet.descriptors[0]);
        } else if let Some(order) = packet.message::<Unmap>() {
            self.unmap(&order);
        } else {
            end(&format!("packet {} is not one that an engine knows", packet.number));
        }
    }

    fn map(&self, order: &Map, memory: &OwnedFd) {
        let (Some(address), Some(length)) =
            (NonZeroUsize::new(order.address as usize), NonZeroUsize::new(order.length as usize))
        else {
            return end("a grant without address or length");
        };
        let again = self.grants.is_whole(order.address, order.length);
        let placement = if again { MapFlags::MAP_FIXED } else { MapFlags::MAP_FIXED_NOREPLACE };
        let mut protection = ProtFlags::PROT_READ;
        protection.set(ProtFlags::PROT_WRITE, order.writable != 0);
        // SAFETY: NOREPLACE never takes the place of memory that this process uses; what a second map takes the place of is
        // exactly one grant.
        let mapped =
            unsafe { mmap(Some(address), length, protection, MapFlags::MAP_SHARED | placement, memory, 0) };
        match mapped {
            Ok(_) => self.grants.insert(order.address, order.length),
            Err(error) => {
                return end(&format!("can't map {} bytes at {:#x}: {error}", order.length, order.address));
            }
        }
        self.tell(order.sequence);
    }

    /// Commands that carry this number, or an earlier one, may run.
    fn tell(&self, sequence: u32) {
        let word = &self.area.head().mapped.0;
        word.store(sequence, Ordering::SeqCst);
        futex::wake_all(word);
    }

    fn unmap(&self, order: &Unmap) {
        self.grants.remove(order.address);
        let Some(address) = std::ptr::NonNull::new(order.address as *mut libc::c_void) else { return };
        // SAFETY: the range is a grant that `map` put there; the client has waited for the work that uses it. A client that
        // lies about that faults in its own engine.
        let _ = unsafe { munmap(address, order.length as usize) };
        self.tell(order.sequence);
    }
}

fn end(why: &str) {
    eprintln!("vgpu-engine: {why}");
    std::process::exit(1);
}
