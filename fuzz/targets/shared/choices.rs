//! The input as a row of decisions. Where it ends, and where it is zero, the ordinary is chosen.

pub struct Choices<'a> {
    rest: &'a [u8],
}

impl<'a> Choices<'a> {
    pub fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        *first
    }

    pub fn number(&mut self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    /// One of so many.
    pub fn below(&mut self, count: usize) -> usize {
        let number =
            if count > 256 { self.byte() as usize | (self.byte() as usize) << 8 } else { self.byte().into() };
        number % count.max(1)
    }

    /// Once in so many times.
    pub fn seldom(&mut self, times: u8) -> bool {
        self.byte() % times == times - 1
    }

    pub fn of<T: Copy>(&mut self, all: &[T]) -> Option<T> {
        if all.is_empty() { None } else { Some(all[self.below(all.len())]) }
    }

    /// A number as a field may have it: small, at a border, or any.
    pub fn odd_number(&mut self) -> u64 {
        match self.byte() % 8 {
            0 => 0,
            1 => 1,
            2 => self.byte().into(),
            3 => u64::from(u32::MAX),
            4 => u64::MAX,
            5 => (1_u64 << self.below(64)).wrapping_sub(1),
            6 => 1 << self.below(64),
            _ => self.number(),
        }
    }
}
