//! Managed memory, counted by its addresses.
//!
//! The driver moves managed memory between cards and the machine as it likes, and tells nobody how much of it is where. So a limit counts
//! all of it, on each card, as if it were there. What makes it is a mapping of the node, where the file's offset is the address:
//!
//! ```text
//!   cuMemAllocManaged: mmap(/dev/nvidia-uvm) ──▶ has each card room for so much? ──no──▶ ENOMEM
//!                                                                    └──yes──▶ counted, and the kernel's
//!   cuMemFree:         munmap, which nobody looks at: where there is no room /proc/PID/maps tells what is left
//! ```
//!
//! All of such a call is in registers, so the kernel maps what was looked at. Another thread may let the descriptor be another file
//! meanwhile: if it was the node, nothing is gained; if not, the kernel makes the call while all threads stand still. Until the thread that
//! asks makes its next call of ours it may not have mapped yet, and what it is to map counts, whatever the maps say.
//!
//! libcuda (580.159.04) makes `CUDA_ERROR_UNKNOWN` of any reason for which that mapping fails, but `CUDA_ERROR_NOT_PERMITTED` of EPERM,
//! `…_INVALID_VALUE` of EINVAL and EFAULT and `…_NOT_SUPPORTED` of ENOSYS. What `UVM_VALIDATE_VA_RANGE` is answered afterwards it ignores.
//!
//! What is mapped so counts whatever it is for: 2 MiB for the semaphores of each context are no managed memory.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;

use crate::addresses::Addresses;
use crate::node::Node;
use crate::{Answer, Caller, Mediator};

/// A mapping of a file that a client asks the kernel for: shared, and not from the file's beginning.
#[derive(Clone, Copy, Debug)]
pub struct Mapping {
    /// Of the file.
    pub descriptor: i32,
    /// Bytes.
    pub length: u64,
    /// Where in the file it begins.
    pub offset: u64,
}

/// What the kernel maps at least.
const PAGE: u64 = 4096;
/// The maps are looked at each time when a process has got so many pieces more.
const PIECES: usize = 1024;

/// Addresses of managed memory.
#[derive(Default)]
pub struct Managed {
    processes: HashMap<i32, Addresses>,
    /// Of threads that may be about to map something: their processes, and what.
    about_to: HashMap<i32, (i32, Range<u64>)>,
    /// Files that the node was opened by: file systems and numbers there.
    files: BTreeSet<(u64, u64)>,
}

impl Managed {
    /// How many bytes there are.
    pub fn bytes(&self) -> u64 {
        self.processes.values().fold(0, |all, of| all.saturating_add(of.count()))
    }

    /// How many each process has.
    pub fn by_process(&self) -> impl Iterator<Item = (i32, u64)> {
        self.processes.iter().map(|(process, of)| (*process, of.count()))
    }

    /// What of a range counts already.
    fn of_range(&self, process: i32, range: &Range<u64>) -> u64 {
        let addresses = || Addresses::from_iter([range.clone()]);
        self.processes.get(&process).map_or(0, |of| addresses().within(of).count())
    }

    /// A thread is about to map a range.
    fn begins(&mut self, process: i32, thread: i32, range: Range<u64>) {
        self.processes.entry(process).or_default().add(range.clone());
        self.about_to.insert(thread, (process, range));
    }

    /// A thread makes a call: what it made before has returned.
    pub fn has_returned(&mut self, thread: i32) {
        self.about_to.remove(&thread);
    }

    /// A process has ended.
    pub fn process_ended(&mut self, process: i32) {
        self.processes.remove(&process);
        self.about_to.retain(|_, (of, _)| *of != process);
    }

    /// Forgets what is mapped no more. `maps`: what `/proc/PID/maps` says of a process, if that can be read.
    pub fn look(&mut self, maps: impl Fn(i32) -> Option<String>) {
        let Self { processes, about_to, files } = self;
        processes.retain(|process, addresses| {
            let Some(maps) = maps(*process) else { return true };
            *addresses = addresses.within(&mapped(&maps, files));
            let yet = about_to.values().filter(|(of, _)| of == process);
            yet.for_each(|(_, range)| addresses.add(range.clone()));
            addresses.count() > 0
        });
    }
}

/// Addresses where the node is mapped. `files`: those that it was opened by, which may have other names.
fn mapped(maps: &str, files: &BTreeSet<(u64, u64)>) -> Addresses {
    let range = |line: &str| {
        // Addresses, permissions, offset, file system, number there, name.
        let mut words = line.split_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let (major, minor) = words.nth(2)?.split_once(':')?;
        let [start, end] = [start, end].map(|number| u64::from_str_radix(number, 16).ok());
        let [major, minor] = [major, minor].map(|number| u32::from_str_radix(number, 16).ok());
        let file = (libc::makedev(major?, minor?), words.next()?.parse().ok()?);
        (line.ends_with("/nvidia-uvm") || files.contains(&file)).then_some(start?..end?)
    };
    maps.lines().filter_map(range).collect()
}

impl Mapping {
    /// Of the node: whatever address is asked for, it is mapped at its offset or not at all.
    fn range(&self) -> Range<u64> {
        let length = self.length.checked_next_multiple_of(PAGE).unwrap_or(u64::MAX);
        self.offset..self.offset.saturating_add(length)
    }
}

impl Mediator {
    /// Answers such an `mmap`.
    pub fn mmap(&mut self, mapping: &Mapping, caller: &mut dyn Caller) -> Answer {
        self.managed.has_returned(caller.thread());
        let is_limited = self.ledger.limit().is_some();
        let file = caller.descriptor(mapping.descriptor);
        let node = file.as_ref().and_then(|file| self.machine.node_of(file));
        match (file, node) {
            (Some(file), Some(Node::UnifiedMemory)) if !self.observes => {
                self.map_managed(file, mapping.range(), caller)
            }
            // Nobody could say what it is.
            (None, _) if is_limited => Answer::Errno(libc::EBADF),
            _ if is_limited => Answer::NotOurs,
            _ => Answer::Observed,
        }
    }

    fn map_managed(&mut self, file: OwnedFd, range: Range<u64>, caller: &mut dyn Caller) -> Answer {
        let process = caller.process();
        if self.managed.processes.get(&process).is_some_and(|of| of.pieces() % PIECES == PIECES - 1) {
            self.look_at_managed();
        }
        let more = |mediator: &Self| (range.end - range.start) - mediator.managed.of_range(process, &range);
        if !self.ledger.has_room_on_each(more(self)) {
            self.look_at_managed();
        }
        if !self.ledger.has_room_on_each(more(self)) {
            let held = self.ledger.all_used().map(|(_, bytes)| bytes).max();
            self.refuse_memory(process, more(self), held.unwrap_or(self.managed.bytes()));
            return Answer::Errno(libc::ENOMEM);
        }
        // Of one that was killed the number may be another's, which would have it until its end.
        if !caller.is_alive() {
            return Answer::Errno(libc::EINTR);
        }
        if let Ok(file) = File::from(file).metadata() {
            self.managed.files.insert((file.dev(), file.ino()));
        }
        self.managed.begins(process, caller.thread(), range);
        self.tell_of_managed();
        Answer::Observed
    }

    /// Looks at what is left of it, if there was any.
    pub(crate) fn look_at_managed(&mut self) {
        if self.managed.bytes() > 0 {
            self.managed.look(|process| procfs::read_to_string(&format!("{process}/maps")).ok());
            self.tell_of_managed();
        }
    }

    /// There is more or less of it.
    pub(crate) fn tell_of_managed(&mut self) {
        self.ledger.set_managed(self.managed.bytes());
        self.tell_pages_of_memory();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &str = "\
204a00000-204c00000 rw-s 204a00000 00:06 144                             /dev/nvidia-uvm
7f6534000000-7f6534200000 rw-s 7f6534000000 00:06 144                    /mnt/a node
7f6536000000-7f653a000000 rw-s 7f6536000000 00:06 144                    /dev/nvidia-uvm
7f653a000000-7f653c000000 rw-s 00000000 00:06 145                        /dev/nvidia-uvm-tools
7f6540000000-7f6541000000 rw-p 00000000 00:00 0
";
    const MIB: u64 = 1 << 20;

    fn managed(of: &[(i32, Range<u64>)]) -> Managed {
        let mut managed =
            Managed { files: BTreeSet::from([(libc::makedev(0, 6), 144)]), ..Managed::default() };
        for (process, range) in of {
            managed.begins(*process, 100, range.clone());
            managed.has_returned(100);
        }
        managed
    }

    fn maps(process: i32) -> Option<String> {
        (process < 9).then(|| if process == 7 { MAPS.to_owned() } else { String::new() })
    }

    #[test]
    fn addresses_count_while_they_are_mapped() {
        let of = |start: u64, bytes| start..start + bytes;
        let mut managed = managed(&[
            // Two that the kernel shows as one mapping, and one of which half is left, by another name.
            (7, of(0x7f65_3600_0000, MIB)),
            (7, of(0x7f65_3800_0000, 4096)),
            (7, of(0x7f65_3400_0000, 4 * MIB)),
            // One that is gone, one of something else, other processes.
            (7, of(0x7f65_2000_0000, 8 * MIB)),
            (7, of(0x7f65_3a00_0000, 16 * MIB)),
            (8, of(0x7f65_3400_0000, 32 * MIB)),
            (9, of(0x7f65_3400_0000, 64 * MIB)),
            // The same again.
            (7, of(0x7f65_3600_0000, MIB)),
        ]);
        assert_eq!(managed.bytes(), 125 * MIB + 4096);
        managed.look(maps);
        let mut left: Vec<_> = managed.by_process().collect();
        left.sort_unstable();
        assert_eq!(left, [(7, 3 * MIB + 4096), (9, 64 * MIB)], "of 9 nothing can be read");
        managed.process_ended(7);
        managed.process_ended(9);
        assert_eq!(managed.bytes(), 0);
    }

    #[test]
    fn what_a_thread_is_about_to_map_counts_until_it_makes_another_call() {
        let mut managed = managed(&[]);
        managed.begins(7, 70, 0x2000_0000..0x2000_0000 + MIB);
        managed.begins(7, 71, 0x3000_0000..0x3000_0000 + MIB);
        managed.look(maps);
        assert_eq!(managed.bytes(), 2 * MIB);
        managed.has_returned(70);
        managed.look(maps);
        assert_eq!(managed.bytes(), MIB);
        managed.process_ended(7);
        managed.begins(7, 72, 0x3000_0000..0x3000_0000 + MIB);
        managed.has_returned(72);
        managed.look(maps);
        assert_eq!(managed.bytes(), 0, "what its predecessor was about to map is nobody's");
    }
}
