//! The producer's side of the command ring.

use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

use wire::command::{ALIGNMENT, Header, PADDING};
use wire::futex;
use wire::shared::{RING, RING_LENGTH, View};

/// Position and geometry; the lock around it is the ring's order.
pub struct Ring {
    view: View,
    head: u64,
}

/// The engine died while the ring was full, or before.
pub struct Dead;

impl Ring {
    pub fn new(view: View) -> Ring {
        Ring { view, head: view.head().head.0.load(Ordering::Relaxed) }
    }

    /// Longest record.
    pub const LONGEST: usize = RING_LENGTH / 4;

    /// Appends a record: head, fixed part, variable part. `alive` is asked while the ring is full.
    pub fn push(
        &mut self,
        mut header: Header,
        fixed: &[u8],
        variable: &[u8],
        alive: impl Fn() -> bool,
    ) -> Result<(), Dead> {
        let length = (size_of::<Header>() + fixed.len() + variable.len()).next_multiple_of(ALIGNMENT);
        let position = self.head as usize % RING_LENGTH;
        if position + length > RING_LENGTH {
            self.pad(RING_LENGTH - position, &alive)?;
        }
        self.await_room(length, &alive)?;
        header.length = length as u32;
        let mut position = self.head as usize % RING_LENGTH;
        for part in [bytemuck::bytes_of(&header), fixed, variable] {
            self.write(position, part);
            position += part.len();
        }
        self.publish(length);
        Ok(())
    }

    fn pad(&mut self, length: usize, alive: &impl Fn() -> bool) -> Result<(), Dead> {
        self.await_room(length, alive)?;
        let header = Header { number: PADDING, length: length as u32, ..Header::default() };
        self.write(self.head as usize % RING_LENGTH, bytemuck::bytes_of(&header));
        self.publish(length);
        Ok(())
    }

    fn await_room(&self, length: usize, alive: &impl Fn() -> bool) -> Result<(), Dead> {
        let mut rounds = 0u32;
        loop {
            let tail = self.view.head().tail.0.load(Ordering::Acquire);
            if self.head - tail + length as u64 <= RING_LENGTH as u64 {
                return Ok(());
            }
            if !alive() {
                return Err(Dead);
            }
            // A full ring holds thousands of commands: the engine is busy for longer than a nap.
            rounds += 1;
            if rounds > 64 { std::thread::sleep(Duration::from_micros(50)) } else { std::hint::spin_loop() }
        }
    }

    fn write(&self, position: usize, bytes: &[u8]) {
        let target = self.view.bytes((RING + position) as u64, bytes.len() as u64).expect("inside the ring");
        // SAFETY: the region is in the ring and free for the producer, by `await_room`; we are the only producer, by the
        // lock around this value.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), target, bytes.len()) };
    }

    fn publish(&mut self, length: usize) {
        self.head += length as u64;
        let area = self.view.head();
        area.head.0.store(self.head, Ordering::Release);
        // Order: the record before the look at the bell; the engine raises the bell before it looks at the ring again.
        fence(Ordering::SeqCst);
        if area.engine_sleeps.0.load(Ordering::Relaxed) == 1 {
            area.engine_sleeps.0.store(0, Ordering::Relaxed);
            futex::wake_all(&area.engine_sleeps.0);
        }
    }
}
