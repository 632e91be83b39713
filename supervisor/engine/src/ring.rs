//! The consumer's side of the command ring.

use std::sync::atomic::Ordering;

use wire::command::{ALIGNMENT, Header, PADDING};
use wire::shared::{RING_LENGTH, STREAM_SLOTS};

use crate::area::SharedArea;

/// Reads records in the order in which the client wrote them.
pub struct Ring {
    area: SharedArea,
    /// Bytes consumed since the start.
    tail: u64,
    record: Vec<u8>,
}

/// A record, in a copy of our own: what the client changes from now on does not matter.
pub struct Record<'a> {
    pub header: Header,
    /// The command and its variable part.
    pub body: &'a [u8],
}

impl Ring {
    pub fn new(area: SharedArea) -> Ring {
        Ring { area, tail: area.head().tail.0.load(Ordering::Relaxed), record: Vec::new() }
    }

    /// Bytes consumed since the start.
    pub fn position(&self) -> u64 {
        self.tail
    }

    /// Takes the next record; `Err` says what is wrong with it (the ring can't be followed any further).
    pub fn next(&mut self) -> Result<Option<Record<'_>>, String> {
        loop {
            let head = self.area.head().head.0.load(Ordering::Acquire);
            if head == self.tail {
                return Ok(None);
            }
            let header = self.header(head)?;
            let position = self.tail as usize % RING_LENGTH;
            self.record.resize(header.length as usize, 0);
            self.area.copy_from_ring(position, &mut self.record);
            self.tail += u64::from(header.length);
            self.area.head().tail.0.store(self.tail, Ordering::Release);
            if header.number != PADDING {
                return Ok(Some(Record { header, body: &self.record[size_of::<Header>()..] }));
            }
        }
    }

    fn header(&self, head: u64) -> Result<Header, String> {
        let position = self.tail as usize % RING_LENGTH;
        let mut bytes = [0; size_of::<Header>()];
        self.area.copy_from_ring(position, &mut bytes);
        let header: Header = bytemuck::pod_read_unaligned(&bytes);
        let length = header.length as usize;
        let sound = length >= ALIGNMENT
            && length.is_multiple_of(ALIGNMENT)
            && position + length <= RING_LENGTH
            && head.wrapping_sub(self.tail) >= length as u64
            && (header.stream as usize) < STREAM_SLOTS;
        if sound { Ok(header) } else { Err(format!("the command ring holds a malformed record: {header:?}")) }
    }
}
