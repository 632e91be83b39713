//! What an argument leads to, copied: into the area of the process that executes the call, and what it changed back.
//!
//! ```text
//!   client                     area
//!   argument ─▶ struct   ──▶   part 0: pointers are addresses of parts, descriptors are ours
//!                 │ptr           │
//!                 ▼              ▼
//!               params   ──▶   part 1 …
//! ```
//!
//! Only bytes that the call changed are written back, so no address or descriptor of ours gets to the client, and two threads that share a
//! struct do not undo each other's fields.

use std::ops::Range;
use std::os::fd::{AsRawFd, OwnedFd};

use nvidia_abi::{Count, Field, Pointee, Row};
use recording::{Indirect, Ioctl};

use crate::region::AREA;
use crate::worker::{Worker, Workers};
use crate::{Caller, Refusal};

/// Copies of one call.
#[derive(Default)]
pub struct Copies {
    parts: Vec<Part>,
    /// Where the next part may lie.
    end: usize,
    /// Duplicates of descriptors that the client names, until the call is over.
    held: Vec<OwnedFd>,
}

/// A struct or a buffer.
pub struct Part {
    /// In the client.
    address: u64,
    /// In the area.
    offset: usize,
    /// As the client has it.
    pub before: Vec<u8>,
    /// As the call gets it, and leaves it.
    pub bytes: Vec<u8>,
    /// Places that hold something of ours.
    ours: Vec<Range<usize>>,
    /// The driver may have written it.
    is_written: bool,
    /// The part with the pointer to it, and where.
    pub from: Option<(usize, usize)>,
}

impl Copies {
    /// Copies `size` bytes at an address of the client; the number of the part.
    pub fn take(&mut self, caller: &mut dyn Caller, address: u64, size: usize) -> Result<usize, Refusal> {
        let mut before = self.room(size)?;
        if !caller.read(address, &mut before) {
            return Err(Refusal::Errno(libc::EFAULT));
        }
        Ok(self.add(address, before, true))
    }

    /// So many bytes, if they have room in the area: a client may say any number.
    fn room(&self, size: usize) -> Result<Vec<u8>, Refusal> {
        match size <= AREA - self.end {
            true => Ok(vec![0; size]),
            false => Err(Refusal::Errno(libc::EINVAL)),
        }
    }

    fn add(&mut self, address: u64, before: Vec<u8>, is_written: bool) -> usize {
        let offset = self.end;
        self.end = (offset + before.len().next_multiple_of(16)).min(AREA);
        let bytes = before.clone();
        self.parts.push(Part { address, offset, before, bytes, ours: vec![], is_written, from: None });
        self.parts.len() - 1
    }

    /// A part.
    pub fn part(&self, index: usize) -> &Part {
        &self.parts[index]
    }

    /// A part, to be changed before the call or after it.
    pub fn part_mut(&mut self, index: usize) -> &mut Part {
        &mut self.parts[index]
    }

    /// The client's files that the call names.
    pub fn descriptors(&self) -> impl Iterator<Item = &OwnedFd> {
        self.held.iter()
    }

    /// Those files, and nothing else of the call.
    pub fn into_descriptors(self) -> Vec<OwnedFd> {
        self.held
    }

    /// Forgets all parts but the first: nothing of them is written back.
    pub fn keep_first(&mut self) {
        self.parts.truncate(1);
    }

    /// The part that a pointer in another one leads to.
    pub fn behind(&self, part: usize, offset: usize) -> Option<usize> {
        self.parts.iter().position(|other| other.from == Some((part, offset)))
    }

    /// Copies what the fields of a part lead to, except those named in `known`, and duplicates the descriptors that they name.
    pub fn follow(
        &mut self,
        caller: &mut dyn Caller,
        place: &Place,
        part: usize,
        row: &Row,
        known: &[&str],
    ) -> Result<(), Refusal> {
        for (field, pointee) in row.pointers().filter(|(field, _)| !known.contains(&field.name)) {
            let addresses = self.parts[part].elements(field);
            for (index, address) in addresses.into_iter().filter(|(_, address)| *address != 0) {
                let Some(pointee) = pointee else { return Err(Refusal::unknown(row, field.name)) };
                // The driver does not look there.
                if pointee.count == Count::Fixed(0) {
                    continue;
                }
                let behind = self.behind_pointer(caller, (part, row), address, pointee)?;
                self.point_element(place, part, (field, index), behind);
            }
        }
        for field in row.descriptors().filter(|field| !known.contains(&field.name)) {
            for (index, number) in self.parts[part].elements(field) {
                self.duplicate(caller, part, (field, index), number as i32)?;
            }
        }
        Ok(())
    }

    fn behind_pointer(
        &mut self,
        caller: &mut dyn Caller,
        (part, row): (usize, &Row),
        address: u64,
        pointee: Pointee,
    ) -> Result<usize, Refusal> {
        let count = self.parts[part].count(row, pointee.count);
        let size = count.and_then(|count| count.checked_mul(pointee.element));
        let mut before = self.room(size.ok_or(Refusal::Errno(libc::EINVAL))?)?;
        // What is only written must be there as well; then the call need not be undone.
        if !caller.read(address, &mut before) && pointee.read {
            return Err(Refusal::Errno(libc::EFAULT));
        }
        Ok(self.add(address, before, pointee.written))
    }

    /// Lets a field of a part be the address of another part.
    pub fn point(&mut self, place: &Place, part: usize, field: &Field, behind: usize) {
        self.point_element(place, part, (field, 0), behind);
    }

    fn point_element(&mut self, place: &Place, part: usize, element: (&Field, usize), behind: usize) {
        let address = place.workers.address(place.worker, self.parts[behind].offset);
        self.parts[part].put(element, address);
        let (field, index) = element;
        self.parts[behind].from = field.range(index).map(|range| (part, range.start));
    }

    fn duplicate(
        &mut self,
        caller: &mut dyn Caller,
        part: usize,
        element: (&Field, usize),
        number: i32,
    ) -> Result<(), Refusal> {
        if number < 0 {
            return Ok(());
        }
        let duplicate = caller.descriptor(number).ok_or(Refusal::Errno(libc::EBADF))?;
        self.parts[part].put(element, duplicate.as_raw_fd() as u64);
        self.held.push(duplicate);
        Ok(())
    }

    /// Lets a field of the first part name a file of ours instead of the client's, until the call is over.
    pub fn lend(&mut self, field: &Field, file: OwnedFd) {
        self.parts[0].put((field, 0), file.as_raw_fd() as u64);
        self.held.push(file);
    }

    /// The call as a recording has it, as far as it is known here.
    pub fn as_recorded(&self, result: i64) -> Ioctl {
        /// Where an allocation and a control have the address of their parameters.
        const PARAMETERS: usize = 16;
        let mut ioctl = Ioctl { rc: result.max(-1), errno: (-result).max(0) as i32, ..Ioctl::default() };
        let take = |part: &Part| (part.before.clone(), part.bytes.clone());
        if let Some(outer) = self.parts.first() {
            (ioctl.outer_before, ioctl.outer_after) = take(outer);
        }
        let Some(parameters) = self.behind(0, PARAMETERS) else { return ioctl };
        (ioctl.parameters_before, ioctl.parameters_after) = take(&self.parts[parameters]);
        for part in &self.parts {
            if let Some((_, at)) = part.from.filter(|(from, _)| *from == parameters) {
                let (before, after) = take(part);
                ioctl.indirect.push(Indirect { at, before, after });
            }
        }
        ioctl
    }

    /// Puts all parts into the area; the address of the first.
    pub fn place(&self, place: &Place) -> u64 {
        for part in &self.parts {
            place.workers.write(place.worker, part.offset, &part.bytes);
        }
        self.parts.first().map_or(0, |part| place.workers.address(place.worker, part.offset))
    }

    /// Takes what the call has left, except what is ours.
    pub fn collect(&mut self, place: &Place) {
        for part in &mut self.parts {
            place.workers.read(place.worker, part.offset, &mut part.bytes);
            for range in part.ours.drain(..) {
                part.bytes[range.clone()].copy_from_slice(&part.before[range]);
            }
        }
    }

    /// Writes what has changed. False if the client has taken its memory away meanwhile.
    pub fn give_back(&self, caller: &mut dyn Caller) -> bool {
        self.parts.iter().rev().filter(|part| part.is_written).all(|part| part.give_back(caller))
    }
}

/// Where copies lie.
pub struct Place<'a> {
    pub workers: &'a Workers,
    pub worker: &'a Worker,
}

impl Part {
    /// What the elements of a field say, one if it is no array. Those that lie beyond the end are left out.
    fn elements(&self, field: &Field) -> Vec<(usize, u64)> {
        (0..field.len()).filter_map(|index| Some((index, field.read(&self.bytes, index)?))).collect()
    }

    /// So many of its bytes, or all.
    pub fn first(&self, count: usize) -> &[u8] {
        &self.bytes[..count.min(self.bytes.len())]
    }

    /// What a field of the row says.
    pub fn read(&self, row: &Row, name: &str) -> u64 {
        row.read(&self.bytes, name).unwrap_or(0)
    }

    fn count(&self, row: &Row, count: Count) -> Option<usize> {
        let number = |name| usize::try_from(self.read(row, name)).ok();
        match count {
            Count::Fixed(count) => Some(count),
            Count::Field(name) => number(name),
            Count::Square(name) => number(name).and_then(|side| side.checked_mul(side)),
            Count::OfClass => None,
        }
    }

    /// Lets an element of a field be something of ours, for the call.
    pub fn put(&mut self, (field, index): (&Field, usize), value: u64) {
        if field.write(&mut self.bytes, index, value)
            && let Some(range) = field.range(index)
        {
            self.ours.push(range);
        }
    }

    fn give_back(&self, caller: &mut dyn Caller) -> bool {
        let differs = |(before, after): (&u8, &u8)| before != after;
        let Some(first) = self.before.iter().zip(&self.bytes).position(differs) else { return true };
        let last = self.before.iter().zip(&self.bytes).rposition(differs).unwrap_or(first);
        caller.write(self.address + first as u64, &self.bytes[first..=last])
    }
}
