//! Numbers of stream, event and reply slots in use.

/// Hands out the smallest free number below a limit, by a stack of freed ones.
pub struct Slots {
    next: u32,
    limit: u32,
    freed: Vec<u32>,
}

impl Slots {
    /// Numbers from `first` to below `limit`.
    pub fn new(first: u32, limit: usize) -> Slots {
        Slots { next: first, limit: limit as u32, freed: Vec::new() }
    }

    /// A free number, if there is one.
    pub fn take(&mut self) -> Option<u32> {
        if let Some(slot) = self.freed.pop() {
            return Some(slot);
        }
        let slot = self.next;
        (slot < self.limit).then(|| {
            self.next += 1;
            slot
        })
    }

    /// Gives a number back.
    pub fn give(&mut self, slot: u32) {
        self.freed.push(slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_run_out_and_come_back() {
        let mut slots = Slots::new(1, 3);
        assert_eq!((slots.take(), slots.take(), slots.take()), (Some(1), Some(2), None));
        slots.give(1);
        assert_eq!(slots.take(), Some(1));
    }
}
