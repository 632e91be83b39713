//! The bounce buffer: space in the shared area for images, answers and staged copies.

use wire::shared::{BOUNCE, BOUNCE_LENGTH, View};

/// A piece of the bounce buffer; the engine sees it as an offset from the area's start.
#[derive(Debug)]
pub struct Bounce {
    /// Offset from the area's start.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
}

impl Bounce {
    /// Copies bytes in; panics if they do not fit, which is the caller's arithmetic.
    pub fn write(&mut self, view: View, bytes: &[u8]) {
        assert!(bytes.len() as u64 <= self.length);
        let target = view.bytes(self.offset, self.length).expect("inside the area");
        // SAFETY: the region belongs to this value alone until it is freed, and the engine only reads what it was told of.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), target, bytes.len()) };
    }

    /// Copies the first `length` bytes out.
    pub fn read(&self, view: View, length: usize) -> Vec<u8> {
        assert!(length as u64 <= self.length);
        let source = view.bytes(self.offset, self.length).expect("inside the area");
        let mut bytes = vec![0; length];
        // SAFETY: as in `write`; the engine has written before it replied.
        unsafe { std::ptr::copy_nonoverlapping(source, bytes.as_mut_ptr(), length) };
        bytes
    }
}

/// First-fit free list over the bounce buffer, in units of 4 KiB.
pub struct BounceBuffer {
    /// Free pieces by offset, not touching each other.
    free: Vec<(u64, u64)>,
}

const UNIT: u64 = 4096;

impl BounceBuffer {
    pub fn new() -> BounceBuffer {
        BounceBuffer { free: vec![(BOUNCE as u64, BOUNCE_LENGTH as u64)] }
    }

    /// A piece of at least `length` bytes.
    pub fn take(&mut self, length: u64) -> Option<Bounce> {
        let length = length.max(1).checked_next_multiple_of(UNIT)?;
        let index = self.free.iter().position(|(_, free)| *free >= length)?;
        let (offset, free) = self.free[index];
        if free == length {
            self.free.remove(index);
        } else {
            self.free[index] = (offset + length, free - length);
        }
        Some(Bounce { offset, length })
    }

    /// Gives a piece back.
    pub fn give(&mut self, bounce: Bounce) {
        let index = self.free.partition_point(|(offset, _)| *offset < bounce.offset);
        self.free.insert(index, (bounce.offset, bounce.length));
        self.join(index);
        if index > 0 {
            self.join(index - 1);
        }
    }

    fn join(&mut self, index: usize) {
        if let Some((next, more)) = self.free.get(index + 1).copied()
            && self.free[index].0 + self.free[index].1 == next
        {
            self.free[index].1 += more;
            self.free.remove(index + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freed_pieces_join_whatever_the_order() {
        let mut buffer = BounceBuffer::new();
        let pieces: Vec<Bounce> = (0..5).map(|_| buffer.take(10_000).expect("room")).collect();
        let mut pieces: Vec<Option<Bounce>> = pieces.into_iter().map(Some).collect();
        for index in [3, 1, 4, 0, 2] {
            buffer.give(pieces[index].take().expect("each once"));
        }
        assert_eq!(buffer.free, [(BOUNCE as u64, BOUNCE_LENGTH as u64)]);
        assert!(buffer.take(BOUNCE_LENGTH as u64 + 1).is_none());
    }
}
