//! Memory that was made without an address (`cuMemCreate`), which several processes may hold.
//!
//! ```text
//!   Physical ◀── held by ── processes that made or imported it      one of them is charged
//!            ◀── held by ── open descriptors that stand for it      end of a socket pair: the other end, ours, hangs up
//! ```
//!
//! It is given back when nobody holds it any more. A descriptor names it by the socket's cookie, which the kernel gives once.

use std::collections::{BTreeSet, HashMap};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use wire::control::MemoryKind;

use crate::ledger::Ledger;
use crate::memory;
use crate::reclaim::Reclaimer;
use crate::session::cost;
use crate::watch::{Source, Watch};

/// Who is charged for memory that only descriptors hold.
pub const NOBODY: u32 = 0;

/// One piece of memory.
pub struct Physical {
    pub length: u64,
    pub device: u32,
    pub kind: MemoryKind,
    pub memory: Arc<OwnedFd>,
    /// Who is charged.
    charged: u32,
    holders: BTreeSet<u32>,
}

impl Physical {
    /// Bytes charged to the device.
    fn cost(&self) -> u64 {
        cost(self.kind, self.length)
    }
}

/// A descriptor that stands for memory.
struct Export {
    physical: u64,
    cookie: u64,
    /// Hangs up when the last duplicate of the other end is closed.
    ours: OwnedFd,
}

/// All of it.
#[derive(Default)]
pub struct PhysicalMemories {
    newest: u64,
    by_number: HashMap<u64, Physical>,
    exports: HashMap<u32, Export>,
    newest_export: u32,
}

impl PhysicalMemories {
    /// Enters memory that `process` has made, and is charged for.
    pub fn enter(
        &mut self,
        process: u32,
        device: u32,
        kind: MemoryKind,
        length: u64,
        memory: OwnedFd,
    ) -> u64 {
        self.newest += 1;
        let memory = Arc::new(memory);
        let holders = BTreeSet::from([process]);
        let physical = Physical { length, device, kind, memory, charged: process, holders };
        self.by_number.insert(self.newest, physical);
        self.newest
    }

    /// Memory that a process holds.
    pub fn held(&self, number: u64, process: u32) -> Option<&Physical> {
        self.by_number.get(&number).filter(|physical| physical.holders.contains(&process))
    }

    /// Bytes that may be touched, whether or not they have been.
    pub fn promised(&self) -> u64 {
        self.by_number.values().map(|physical| physical.length).sum()
    }

    /// Those of them that have no page yet.
    pub fn untouched(&self) -> u64 {
        let left = |physical: &Physical| physical.length.saturating_sub(memory::resident(&*physical.memory));
        self.by_number.values().map(left).sum()
    }

    /// A process holds memory no longer. False: it did not.
    pub fn release(
        &mut self,
        number: u64,
        process: u32,
        ledger: &mut Ledger,
        reclaimer: &mut Reclaimer,
    ) -> bool {
        let held = self.by_number.get_mut(&number).is_some_and(|physical| physical.holders.remove(&process));
        if held {
            self.settle(number, ledger, reclaimer);
        }
        held
    }

    /// A process is no more, or has let go of everything.
    pub fn forget_process(&mut self, process: u32, ledger: &mut Ledger, reclaimer: &mut Reclaimer) {
        let held: Vec<u64> = self
            .by_number
            .iter()
            .filter(|(_, physical)| physical.holders.contains(&process))
            .map(|(number, _)| *number)
            .collect();
        for number in held {
            self.release(number, process, ledger, reclaimer);
        }
    }

    /// Makes a descriptor that stands for memory; the end that is for others.
    pub fn export(&mut self, physical: u64, watch: &Watch) -> Result<OwnedFd, Errno> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::Stream, None, flags)?;
        let cookie = cookie(&theirs)?;
        self.newest_export = self.newest_export.wrapping_add(1);
        watch.add_hang_up(&ours, Source::Export(self.newest_export))?;
        self.exports.insert(self.newest_export, Export { physical, cookie, ours });
        Ok(theirs)
    }

    /// The last duplicate of a descriptor was closed.
    pub fn export_closed(&mut self, export: u32, ledger: &mut Ledger, reclaimer: &mut Reclaimer) {
        if let Some(export) = self.exports.remove(&export) {
            drop(export.ours);
            self.settle(export.physical, ledger, reclaimer);
        }
    }

    /// Lets a process hold what a descriptor stands for.
    pub fn import(
        &mut self,
        descriptor: &OwnedFd,
        process: u32,
        ledger: &mut Ledger,
        reclaimer: &mut Reclaimer,
    ) -> Option<(u64, &Physical)> {
        let cookie = cookie(descriptor).ok()?;
        let number = self.exports.values().find(|export| export.cookie == cookie)?.physical;
        self.by_number.get_mut(&number)?.holders.insert(process);
        self.settle(number, ledger, reclaimer);
        self.by_number.get(&number).map(|physical| (number, physical))
    }

    /// Charges somebody who holds the memory, or gives it back if nobody does.
    fn settle(&mut self, number: u64, ledger: &mut Ledger, reclaimer: &mut Reclaimer) {
        let Some(physical) = self.by_number.get_mut(&number) else { return };
        if physical.holders.contains(&physical.charged) {
            return;
        }
        ledger.release(physical.device, physical.charged, physical.cost());
        let exported = self.exports.values().any(|export| export.physical == number);
        match physical.holders.first() {
            None if !exported => {
                if let Some(physical) = self.by_number.remove(&number) {
                    reclaimer.reclaim(physical.memory, physical.length);
                }
            }
            next => {
                physical.charged = next.copied().unwrap_or(NOBODY);
                // What was released just now can be charged again.
                let _ = ledger.charge(physical.device, physical.charged, physical.cost());
            }
        }
    }
}

/// A number that the kernel gave to this socket and to no other.
fn cookie(socket: &impl AsFd) -> Result<u64, Errno> {
    let mut cookie = 0u64;
    let mut length = size_of::<u64>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes, the size of `cookie`.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_COOKIE,
            (&raw mut cookie).cast(),
            &mut length,
        )
    };
    Errno::result(result).map(|_| cookie)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: u64 = 4096;

    struct Desk {
        memories: PhysicalMemories,
        ledger: Ledger,
        reclaimer: Reclaimer,
        watch: Watch,
    }

    impl Desk {
        /// Process 7 has made one piece of memory, number 1, on a card of two.
        fn new() -> Desk {
            let mut ledger = Ledger::new([2 * LENGTH].into_iter());
            ledger.charge(0, 7, LENGTH).expect("room");
            let mut memories = PhysicalMemories::default();
            let memory = memory::create(c"vgpu-test", LENGTH).expect("memfd");
            assert_eq!(memories.enter(7, 0, MemoryKind::Device, LENGTH, memory), 1);
            Desk { memories, ledger, reclaimer: Reclaimer::default(), watch: Watch::new().expect("epoll") }
        }

        fn release(&mut self, process: u32) -> bool {
            self.memories.release(1, process, &mut self.ledger, &mut self.reclaimer)
        }

        fn import(&mut self, descriptor: &OwnedFd, process: u32) -> Option<u64> {
            let found = self.memories.import(descriptor, process, &mut self.ledger, &mut self.reclaimer)?;
            Some(found.0)
        }

        fn held(&self) -> Vec<(u32, u64)> {
            self.ledger.processes(0)
        }
    }

    #[test]
    fn charge_goes_to_who_still_holds_the_memory_and_ends_with_the_last() {
        let mut desk = Desk::new();
        let descriptor = desk.memories.export(1, &desk.watch).expect("socket pair");
        assert_eq!(desk.import(&descriptor, 8), Some(1));
        assert_eq!(desk.held(), [(7, LENGTH)]);
        assert!(desk.release(7) && !desk.release(7));
        assert_eq!(desk.held(), [(8, LENGTH)]);
        drop(descriptor);
        let sources = desk.watch.ready();
        let [Source::Export(export)] = sources[..] else { panic!("{sources:?}") };
        desk.memories.export_closed(export, &mut desk.ledger, &mut desk.reclaimer);
        assert_eq!(desk.held(), [(8, LENGTH)]);
        desk.memories.forget_process(8, &mut desk.ledger, &mut desk.reclaimer);
        assert!(desk.held().is_empty());
        assert_eq!(desk.memories.promised(), 0);
    }

    #[test]
    fn descriptor_on_its_way_holds_the_memory() {
        let mut desk = Desk::new();
        let descriptor = desk.memories.export(1, &desk.watch).expect("socket pair");
        assert!(desk.release(7));
        assert_eq!((desk.ledger.used(0), desk.memories.held(1, 7).is_some()), (LENGTH, false));
        assert!(desk.held().is_empty(), "no process is named");
        let duplicate = descriptor.try_clone().expect("duplicate");
        drop(descriptor);
        assert!(desk.watch.ready().is_empty());
        assert_eq!(desk.import(&duplicate, 9), Some(1));
        assert_eq!(desk.held(), [(9, LENGTH)]);
    }

    #[test]
    fn what_was_not_charged_is_not_given_back() {
        let mut desk = Desk::new();
        let memory = memory::create(c"vgpu-test", LENGTH).expect("memfd");
        let number = desk.memories.enter(7, 0, MemoryKind::Event, LENGTH, memory);
        assert!(desk.memories.release(number, 7, &mut desk.ledger, &mut desk.reclaimer));
        assert_eq!(desk.held(), [(7, LENGTH)]);
    }

    #[test]
    fn other_descriptors_stand_for_nothing() {
        let mut desk = Desk::new();
        let _descriptor = desk.memories.export(1, &desk.watch).expect("socket pair");
        let (socket, file) = (socketpair_end(), memory::create(c"vgpu-test", LENGTH).expect("memfd"));
        assert_eq!((desk.import(&socket, 8), desk.import(&file, 8)), (None, None));
    }

    fn socketpair_end() -> OwnedFd {
        socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::empty()).expect("sockets").0
    }
}
