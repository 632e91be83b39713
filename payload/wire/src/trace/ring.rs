//! The ring of records.
//!
//! ```text
//!   lost, beat, lock, head, tail │ records …
//!                                  tail ──▶ written, not read ──▶ head ──▶ room
//! ```

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::{Head, Kind, LONGEST, now};
use crate::shared::Line;

/// Offset of the first record.
const RECORDS: usize = 4096;
/// Without a beat for that long there is no reader any more.
const NO_READER: u64 = 3_000_000_000;
/// A lock that is held for longer is held by a thread that was ended with it.
const NO_OWNER: u64 = 1_000_000_000;

/// First bytes of the memory; all zero at first.
#[repr(C)]
struct State {
    /// 1: a thread writes.
    lock: Line<AtomicU32>,
    /// Bytes of records written since the start.
    head: Line<AtomicU64>,
    /// Bytes of records read since the start.
    tail: Line<AtomicU64>,
    /// When the reader last showed that it lives: CLOCK_MONOTONIC nanoseconds.
    beat: Line<AtomicU64>,
    /// Records that were left out.
    lost: Line<AtomicU64>,
}

const _: () = assert!(size_of::<State>() <= RECORDS);

/// Memory with records in it. One process reads, and several threads, of several processes if need be, write.
#[derive(Clone, Copy)]
pub struct Ring {
    base: *mut u8,
    /// Bytes for records.
    length: usize,
}

// SAFETY: the state is atomic, and whose the bytes of records are at a time is settled by lock, head and tail.
unsafe impl Send for Ring {}
// SAFETY: as above.
unsafe impl Sync for Ring {}

/// One record, in a copy of the reader's own: what the writer does from now on does not matter.
pub struct Record {
    /// Its head.
    pub head: Head,
    /// Where it begins, in bytes of records since the start.
    pub place: u64,
    /// What follows the head.
    pub body: Vec<u8>,
}

/// Holds the lock; gives it back when dropped.
struct Locked<'a>(&'a State);

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        self.0.lock.0.store(0, Ordering::Release);
    }
}

impl Ring {
    /// A ring in `length` bytes at `base`.
    ///
    /// # Safety
    /// They must be mapped, readable, writable and page aligned, be zero before the first ring is made of them, and stay mapped
    /// for as long as this ring or a copy of it is used.
    pub unsafe fn new(base: *mut u8, length: usize) -> Ring {
        assert!(length > RECORDS + LONGEST && length.is_multiple_of(8));
        Ring { base, length: length - RECORDS }
    }

    fn state(&self) -> &State {
        // SAFETY: mapped and page aligned by the promise of `new`; only atomics.
        unsafe { &*self.base.cast() }
    }

    /// Appends a record; where it begins. Waits while the ring is full and its reader lives. `None`: it was left out.
    pub fn write(&self, kind: Kind, caller: u16, thread: u32, body: &[u8]) -> Option<u64> {
        let body = &body[..body.len().min(LONGEST - size_of::<Head>())];
        let head = Head {
            length: (size_of::<Head>() + body.len()).next_multiple_of(8) as u32,
            kind: kind as u16,
            caller,
            thread,
            used: body.len() as u32,
            time: 0,
        };
        let written = self.lock().and_then(|locked| self.append(&locked, head, body));
        if written.is_none() {
            self.state().lost.0.fetch_add(1, Ordering::Relaxed);
        }
        written
    }

    fn append(&self, _locked: &Locked, mut head: Head, body: &[u8]) -> Option<u64> {
        let state = self.state();
        let mut place = state.head.0.load(Ordering::Relaxed);
        let offset = place as usize % self.length;
        let left = self.length - offset;
        if left < head.length as usize {
            self.await_room(place, left)?;
            // What is left has room for the first fields of a head at least: lengths are multiples of eight.
            let filler = Head { length: left as u32, kind: Kind::Padding as u16, ..Head::default() };
            self.put(offset, &bytemuck::bytes_of(&filler)[..left.min(size_of::<Head>())]);
            place += left as u64;
            state.head.0.store(place, Ordering::Release);
        }
        self.await_room(place, head.length as usize)?;
        // Under the lock, so that times in the ring only grow.
        head.time = now();
        let offset = place as usize % self.length;
        self.put(offset, bytemuck::bytes_of(&head));
        self.put(offset + size_of::<Head>(), body);
        state.head.0.store(place + u64::from(head.length), Ordering::Release);
        Some(place)
    }

    fn put(&self, offset: usize, bytes: &[u8]) {
        assert!(offset + bytes.len() <= self.length);
        // SAFETY: in bounds by the assertion; between head and tail nobody but the holder of the lock writes, and nobody reads.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.base.add(RECORDS + offset), bytes.len())
        };
    }

    fn await_room(&self, place: u64, length: usize) -> Option<()> {
        let state = self.state();
        let has_room = || place + length as u64 - state.tail.0.load(Ordering::Acquire) <= self.length as u64;
        // The reader may have to start yet.
        let begun = now();
        let mut pause = Duration::from_micros(20);
        while !has_room() {
            let beat = state.beat.0.load(Ordering::Relaxed);
            // Once it is known to be gone nobody waits for it again, until it comes back.
            let heard = if state.lost.0.load(Ordering::Relaxed) > 0 { beat } else { beat.max(begun) };
            if now().saturating_sub(heard) > NO_READER {
                return None;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(2));
        }
        Some(())
    }

    /// `None`: whoever holds the lock will not give it back.
    fn lock(&self) -> Option<Locked<'_>> {
        let state = self.state();
        let taken = || state.lock.0.compare_exchange_weak(0, 1, Ordering::Acquire, Ordering::Relaxed).is_ok();
        let mut rounds = 0u32;
        let mut begun = None;
        while !taken() {
            rounds += 1;
            if rounds < 100 {
                std::hint::spin_loop();
                continue;
            }
            // While the ring is full its owner waits for the reader: only what happens besides counts.
            let begun = begun.get_or_insert_with(|| (now(), state.tail.0.load(Ordering::Relaxed)));
            let reader_went_on = state.tail.0.load(Ordering::Relaxed) != begun.1;
            if now() - begun.0 > NO_OWNER + NO_READER && !reader_went_on {
                return None;
            }
            if reader_went_on {
                *begun = (now(), state.tail.0.load(Ordering::Relaxed));
            }
            std::thread::sleep(Duration::from_micros(20));
        }
        Some(Locked(state))
    }

    // ----- the reader's side

    /// Takes the next record. `Err`: what comes next is none, and the ring can't be followed any further.
    pub fn read(&self) -> Result<Option<Record>, String> {
        let state = self.state();
        loop {
            let (head_at, tail) =
                (state.head.0.load(Ordering::Acquire), state.tail.0.load(Ordering::Relaxed));
            if head_at == tail {
                return Ok(None);
            }
            let offset = tail as usize % self.length;
            let unread = head_at.wrapping_sub(tail).min(self.length as u64) as usize;
            let head = self.head_at(offset);
            let length = head.length as usize;
            let is_padding = head.kind == Kind::Padding as u16;
            let sound = length >= 8
                && length.is_multiple_of(8)
                && length <= unread
                && offset + length <= self.length
                && (is_padding
                    || length >= size_of::<Head>() && head.used as usize <= length - size_of::<Head>());
            if !sound {
                return Err(format!("what a program has traced is malformed: {head:?}"));
            }
            let body = if is_padding { Vec::new() } else { self.get(offset + size_of::<Head>(), head.used) };
            state.tail.0.store(tail + length as u64, Ordering::Release);
            if !is_padding {
                return Ok(Some(Record { head, place: tail, body }));
            }
        }
    }

    /// The head there, or as much of it as there is room for before the end.
    fn head_at(&self, offset: usize) -> Head {
        let mut bytes = [0; size_of::<Head>()];
        let length = bytes.len().min(self.length - offset);
        let there = self.get(offset, length as u32);
        bytes[..length].copy_from_slice(&there);
        bytemuck::pod_read_unaligned(&bytes)
    }

    fn get(&self, offset: usize, length: u32) -> Vec<u8> {
        let length = length as usize;
        assert!(offset + length <= self.length);
        let mut bytes = vec![0; length];
        // SAFETY: in bounds by the assertion. A writer that does not keep to the rules may scribble there meanwhile: then we have
        // garbage, which is looked at only in our copy.
        unsafe { std::ptr::copy_nonoverlapping(self.base.add(RECORDS + offset), bytes.as_mut_ptr(), length) };
        bytes
    }

    /// Shows that the reader lives, also while it waits for whom it writes to.
    pub fn beat(&self) {
        self.state().beat.0.store(now(), Ordering::Relaxed);
    }

    /// Records that were left out since the last time that this was asked.
    pub fn take_lost(&self) -> u64 {
        self.state().lost.0.swap(0, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(align(4096))]
    struct Memory([u8; 3 * 4096]);

    fn ring() -> Ring {
        let memory = Box::leak(Box::new(Memory([0; 3 * 4096])));
        // SAFETY: zero, aligned by its type, and leaked.
        unsafe { Ring::new(memory.0.as_mut_ptr(), memory.0.len()) }
    }

    fn next(ring: &Ring) -> Option<Record> {
        ring.read().expect("a sound ring")
    }

    #[test]
    fn records_come_as_they_were_written_and_round_the_end() {
        let ring = ring();
        let mut last = 0;
        for number in 0..5000u32 {
            let body = vec![number as u8; number as usize % 300];
            let place = ring.write(Kind::Call, 3, number, &body).expect("room");
            let record = next(&ring).expect("a record");
            assert_eq!((record.head.thread, record.place, record.body), (number, place, body));
            assert!(record.head.time >= last);
            last = record.head.time;
        }
        assert!(next(&ring).is_none());
    }

    #[test]
    fn writer_waits_for_a_reader_that_lives_and_nothing_is_lost() {
        let ring = ring();
        ring.beat();
        std::thread::scope(|scope| {
            for thread in 0..3 {
                scope.spawn(move || {
                    let written = (0..2000).filter_map(|_| ring.write(Kind::Call, 1, thread, &[7; 90]));
                    assert_eq!(written.count(), 2000);
                });
            }
            let mut counts = [0; 3];
            while counts.iter().sum::<u32>() < 6000 {
                match next(&ring) {
                    Some(record) => counts[record.head.thread as usize] += 1,
                    None => std::thread::yield_now(),
                }
            }
            assert_eq!(counts, [2000; 3]);
        });
        assert_eq!(ring.take_lost(), 0);
    }

    #[test]
    fn without_a_reader_records_are_counted_that_do_not_fit() {
        let ring = ring();
        let written = (0..5).filter(|_| ring.write(Kind::Call, 1, 1, &[0; 2000]).is_some()).count();
        assert_eq!((written, ring.take_lost()), (4, 1));
    }

    #[test]
    fn scribbles_are_an_error_and_no_crash() {
        for (length, used) in [(3, 0), (4, 0), (8, 0), (24, 1), (8192, 0), (!7, 0), (32, u32::MAX)] {
            let ring = ring();
            ring.write(Kind::Call, 1, 1, &[0; 100]).expect("room");
            let head = Head { length, kind: Kind::Call as u16, used, ..Head::default() };
            ring.put(0, bytemuck::bytes_of(&head));
            assert!(ring.read().is_err(), "{head:?}");
        }
    }
}
