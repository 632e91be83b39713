//! Managed memory, counted by its addresses.
//!
//! The driver moves managed memory between cards and the machine as it likes, and tells nobody how much of it is where. So a limit counts
//! all of it, on each card, as if it were there: what a program has so is not free any more, and not given by other ways.
//!
//! ```text
//!   cuMemAllocManaged: mmap(/dev/nvidia-uvm) ── nobody looks ──▶ UVM_VALIDATE_VA_RANGE ── counted here
//!   cuMemFree:         munmap ── nobody looks; before the next decision /proc/PID/maps tells what is left
//! ```
//!
//! It is not refused. When the call that is seen fails, libcuda uses the range all the same (580.159.04); the one that makes it is `mmap`,
//! which is not looked at. So a program may have more managed memory than the limit, and its kernels bring that to the card. And one that
//! maps the node without libcuda has ranges that are not counted.

use std::collections::{BTreeMap, HashMap};

use nvidia_abi::Row;

use crate::calls::{Prepared, What};
use crate::copies::Copies;
use crate::{Caller, Mediator};

/// Ranges of managed memory.
#[derive(Default)]
pub struct Managed {
    /// Of each process: beginnings and lengths.
    ranges: HashMap<i32, BTreeMap<u64, u64>>,
}

impl Managed {
    /// How many bytes there are.
    pub fn bytes(&self) -> u64 {
        self.ranges.values().flat_map(BTreeMap::values).fold(0, |all, bytes| all.saturating_add(*bytes))
    }

    /// A process has such a range.
    pub fn has(&mut self, process: i32, base: u64, bytes: u64) {
        self.ranges.entry(process).or_default().insert(base, bytes);
    }

    /// It has not.
    pub fn forget(&mut self, process: i32, base: u64) {
        if let Some(ranges) = self.ranges.get_mut(&process) {
            ranges.remove(&base);
        }
    }

    /// A process has ended.
    pub fn process_ended(&mut self, process: i32) {
        self.ranges.remove(&process);
    }

    /// Forgets ranges that are mapped no more. `maps`: what `/proc/PID/maps` says of a process.
    pub fn look(&mut self, maps: impl Fn(i32) -> String) {
        self.ranges.retain(|process, ranges| {
            let mapped = mapped(&maps(*process));
            ranges.retain(|base, _| mapped.range(..=*base).next_back().is_some_and(|(_, end)| base < end));
            !ranges.is_empty()
        });
    }
}

/// Beginnings and ends of mappings of the node.
fn mapped(maps: &str) -> BTreeMap<u64, u64> {
    let range = |line: &str| {
        let (start, end) = line.split_once(' ')?.0.split_once('-')?;
        Some((u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?))
    };
    maps.lines().filter(|line| line.ends_with("/nvidia-uvm")).filter_map(range).collect()
}

impl Mediator {
    /// `UVM_VALIDATE_VA_RANGE`: a range that was mapped just now.
    pub(crate) fn validate_managed(
        &mut self,
        row: &Row,
        copies: &mut Copies,
        caller: &mut dyn Caller,
    ) -> Prepared {
        if self.ledger.limit().is_none() {
            return self.simple(row, copies, caller);
        }
        let part = copies.part(0);
        let [base, bytes] = ["base", "length"].map(|name| part.read(row, name));
        self.simple(row, copies, caller)?;
        self.managed.has(caller.process(), base, bytes);
        self.ledger.set_managed(self.managed.bytes());
        Ok(What::Managed { base })
    }

    /// A call has come to this. If it was about a range that is none, that is forgotten.
    pub(crate) fn told_of_managed(
        &mut self,
        what: What,
        (row, result): (&Row, i64),
        copies: &Copies,
        process: i32,
    ) {
        if let What::Managed { base } = what
            && (result != 0 || copies.part(0).read(row, "rmStatus") != 0)
        {
            self.managed.forget(process, base);
            self.ledger.set_managed(self.managed.bytes());
        }
    }

    /// Looks at what is left of it, if there was any.
    pub(crate) fn look_at_managed(&mut self) {
        if self.managed.bytes() > 0 {
            let maps = |process| procfs::read_to_string(&format!("{process}/maps")).unwrap_or_default();
            self.managed.look(maps);
            self.ledger.set_managed(self.managed.bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &str = "\
204a00000-204c00000 rw-s 204a00000 00:06 144                             /dev/nvidia-uvm
7f6534000000-7f6534200000 rw-s 7f6534000000 00:06 144                    /dev/nvidia-uvm
7f6536000000-7f653a000000 rw-s 7f6536000000 00:06 144                    /dev/nvidia-uvm
7f653a000000-7f653c000000 rw-s 00000000 00:06 145                        /dev/nvidia-uvm-tools
7f6540000000-7f6541000000 rw-p 00000000 00:00 0
";

    #[test]
    fn ranges_count_while_they_are_mapped() {
        let mut managed = Managed::default();
        // Two that the kernel shows as one mapping, one that is gone, one of something else, and another process.
        for (base, bytes) in [
            (0x7f65_3600_0000, 1 << 20),
            (0x7f65_3800_0000, 4),
            (0x7f65_2000_0000, 8),
            (0x7f65_3a00_0000, 16),
        ] {
            managed.has(7, base, bytes);
        }
        managed.has(8, 0x7f65_3400_0000, 32);
        managed.has(8, 0x7f65_3400_0000, 32);
        assert_eq!(managed.bytes(), (1 << 20) + 4 + 8 + 16 + 32);
        managed.look(|process| if process == 7 { MAPS.to_owned() } else { String::new() });
        assert_eq!(managed.bytes(), (1 << 20) + 4);
        managed.process_ended(7);
        assert_eq!(managed.bytes(), 0);
    }
}
