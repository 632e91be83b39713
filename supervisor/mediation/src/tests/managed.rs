//! Managed memory, mapped for real: a file of memory stands for the node.

use std::os::fd::FromRawFd;

use super::*;

const GIB: u64 = 1 << 30;
/// What the first call to the node is, whatever it says.
const INITIALIZE: u32 = 0x3000_0001;

fn mediator(limit: Option<u64>) -> Mediator {
    let kernel = Kernel { ioctl: |_| Ok(0), ..Kernel::OWN };
    let nodes = vec![((0, 0), Node::UnifiedMemory)];
    let driver = StandIn { version: VERSION, nodes, kernel }.driver().expect("known");
    Mediator::begin(driver, limit).expect("processes")
}

/// A file of memory, as long as addresses go.
fn node() -> File {
    // SAFETY: the name outlives the call, which makes a descriptor that is this file's alone.
    let file = unsafe { File::from_raw_fd(libc::memfd_create(c"node".as_ptr(), libc::MFD_CLOEXEC)) };
    file.set_len(1 << 47).expect("room for a hole");
    file
}

/// Addresses of this process that nobody has.
fn reserve(bytes: u64) -> u64 {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new mapping at an address of the kernel's choice, which nobody touches.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), bytes as usize, libc::PROT_NONE, flags, -1, 0) };
    assert_ne!(start, libc::MAP_FAILED);
    start as u64
}

impl Own {
    /// A thread of this process.
    fn thread_with(number: i32, file: &File) -> Self {
        Self { thread: number, ..Self::with(file.try_clone().expect("a duplicate")) }
    }

    /// Asks to map so much.
    fn ask(&mut self, mediator: &mut Mediator, at: u64, length: u64) -> Answer {
        let mapping = Mapping { descriptor: self.file.as_raw_fd(), length, offset: at };
        mediator.mmap(&mapping, self)
    }

    /// The same, and maps it.
    fn map(&mut self, mediator: &mut Mediator, at: u64, length: u64) {
        let answer = self.ask(mediator, at, length);
        assert!(matches!(answer, Answer::Observed), "{answer:?}");
        let (flags, protection) = (libc::MAP_SHARED | libc::MAP_FIXED, libc::PROT_NONE);
        let (address, file) = (std::ptr::with_exposed_provenance_mut(at as usize), self.file.as_raw_fd());
        // SAFETY: the addresses are reserved, and nobody touches them.
        let mapped = unsafe { libc::mmap(address, length as usize, protection, flags, file, at as i64) };
        assert_ne!(mapped, libc::MAP_FAILED);
    }

    /// Makes another call.
    fn call(&mut self, mediator: &mut Mediator) {
        let number = self.file.as_raw_fd();
        let answer = mediator.ioctl(number, INITIALIZE, 8, self);
        assert!(matches!(answer, Ok(Answer::Errno(libc::EFAULT))), "{answer:?}");
    }
}

fn is_refused(answer: &Answer) -> bool {
    matches!(answer, Answer::Errno(libc::ENOMEM))
}

#[test]
fn managed_memory_is_refused_beyond_the_limit_and_counts_until_it_is_unmapped() {
    alone("managed::managed_memory_is_refused_beyond_the_limit_and_counts_until_it_is_unmapped", || {
        let (mut mediator, mut thread, start) =
            (mediator(Some(4 * GIB)), Own::thread_with(1, &node()), reserve(16 * GIB));
        for length in [8 * GIB, 4 * GIB + 1, u64::MAX] {
            assert!(is_refused(&thread.ask(&mut mediator, start, length)), "{length}");
        }
        let told = OverLimit { asked: 8 * GIB, held: 0, limit: 4 * GIB };
        assert_eq!((mediator.take_over_limit(), mediator.take_over_limit()), (Some(told), None));
        thread.map(&mut mediator, start, 2 * GIB);
        assert!(is_refused(&thread.ask(&mut mediator, start + 4 * GIB, 3 * GIB)));
        thread.map(&mut mediator, start + 4 * GIB, 2 * GIB);
        // Once more where it is already: nothing is taken by that.
        thread.map(&mut mediator, start, 2 * GIB);
        assert_eq!(mediator.ledger.used(0), 4 * GIB);
        assert!(is_refused(&thread.ask(&mut mediator, start + 8 * GIB, 1)));
        // SAFETY: nobody has touched the mapping.
        unsafe { libc::munmap(std::ptr::with_exposed_provenance_mut(start as usize), GIB as usize) };
        thread.map(&mut mediator, start + 8 * GIB, GIB);
        assert_eq!(mediator.ledger.used(0), 4 * GIB);
        mediator.set_limit(2 * GIB);
        assert!(is_refused(&thread.ask(&mut mediator, start + 10 * GIB, 1)));
        mediator.process_ended(thread.process());
        assert_eq!(mediator.ledger.used(0), 0);
    });
}

#[test]
fn what_a_thread_is_about_to_map_is_not_given_to_another() {
    alone("managed::what_a_thread_is_about_to_map_is_not_given_to_another", || {
        let (node, start) = (node(), reserve(8 * GIB));
        let (mut mediator, mut one, mut other) =
            (mediator(Some(4 * GIB)), Own::thread_with(1, &node), Own::thread_with(2, &node));
        assert!(matches!(one.ask(&mut mediator, start, 3 * GIB), Answer::Observed));
        assert!(is_refused(&other.ask(&mut mediator, start + 4 * GIB, 2 * GIB)));
        // It has not mapped it after all: the kernel had no room.
        one.call(&mut mediator);
        other.map(&mut mediator, start + 4 * GIB, 2 * GIB);
        assert_eq!(mediator.ledger.used(0), 2 * GIB);
    });
}

#[test]
fn what_is_mapped_before_there_is_a_limit_counts_when_there_is() {
    alone("managed::what_is_mapped_before_there_is_a_limit_counts_when_there_is", || {
        let (mut mediator, mut thread, start) =
            (mediator(None), Own::thread_with(1, &node()), reserve(4 * GIB));
        thread.map(&mut mediator, start, 2 * GIB);
        mediator.set_limit(GIB);
        assert!(is_refused(&thread.ask(&mut mediator, start + 2 * GIB, 1)));
    });
}

#[test]
fn other_files_are_looked_at_again_before_they_are_mapped_under_a_limit() {
    alone("managed::other_files_are_looked_at_again_before_they_are_mapped_under_a_limit", || {
        let null = own().file;
        for (limit, other, closed) in [(None, "Observed", "Observed"), (Some(GIB), "NotOurs", "Errno(9)")] {
            let mut mediator = mediator(limit);
            let mut thread = Own::thread_with(1, &null);
            assert_eq!(format!("{:?}", thread.ask(&mut mediator, 4096, 8 * GIB)), other);
            let mapping = Mapping { descriptor: -1, length: 4096, offset: 4096 };
            assert_eq!(format!("{:?}", mediator.mmap(&mapping, &mut thread)), closed);
            assert_eq!(mediator.managed.bytes(), 0);
        }
    });
}

#[test]
fn who_looks_sees_what_each_process_holds_of_each_card() {
    alone("managed::who_looks_sees_what_each_process_holds_of_each_card", || {
        let kernel = Kernel { ioctl: |_| Ok(0), ..Kernel::OWN };
        let nodes = vec![((0, 0), Node::UnifiedMemory), (NULL, Node::Gpu(0)), ((1, 5), Node::Gpu(1))];
        let driver = StandIn { version: VERSION, nodes, kernel }.driver().expect("known");
        let mut mediator = Mediator::begin(driver, Some(8 * GIB)).expect("processes");
        let (process, start) = (std::process::id() as i32, reserve(4 * GIB));
        Own::thread_with(1, &node()).map(&mut mediator, start, 2 * GIB);
        mediator.ledger.made((1, 1), 0, process, None);
        mediator.ledger.made((1, 2), 1, process, Some(1));
        mediator.ledger.made((1, 3), 2, process, None);
        mediator.ledger.holds((1, 3), GIB);
        let (cards, holders) = mediator.holdings();
        let card = |card, held| Holding { card, held, limit: Some(8 * GIB), ..Holding::default() };
        assert_eq!(cards, [card(0, 2 * GIB), card(1, 3 * GIB)]);
        assert_eq!(holders, [Holder { process, held: vec![2 * GIB, 3 * GIB] }]);
        mediator.process_ended(process);
        assert!(mediator.holdings().1.is_empty());
    });
}
