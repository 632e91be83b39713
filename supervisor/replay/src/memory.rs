//! The recorded process's memory: as much of it as a call touched.

/// Buffers at their addresses.
#[derive(Default)]
pub(crate) struct Memory {
    regions: Vec<(u64, Vec<u8>)>,
}

impl Memory {
    /// There are these bytes at that address.
    pub(crate) fn add(&mut self, address: u64, bytes: Vec<u8>) {
        self.regions.push((address, bytes));
    }

    /// The bytes of the region that begins there.
    pub(crate) fn at(&self, address: u64) -> &[u8] {
        self.regions.iter().find(|(start, _)| *start == address).map_or(&[], |(_, bytes)| bytes)
    }

    fn find(&mut self, address: u64, length: usize) -> Option<&mut [u8]> {
        let (start, bytes) = self.regions.iter_mut().find(|(start, bytes)| {
            *start <= address
                && address - *start <= bytes.len() as u64
                && bytes.len() as u64 - (address - *start) >= length as u64
        })?;
        let offset = (address - *start) as usize;
        Some(&mut bytes[offset..offset + length])
    }

    /// False: not all of it was recorded.
    pub(crate) fn read(&mut self, address: u64, bytes: &mut [u8]) -> bool {
        if bytes.is_empty() {
            return true;
        }
        let length = bytes.len();
        self.find(address, length).map(|found| bytes.copy_from_slice(found)).is_some()
    }

    /// False: not all of it was recorded.
    pub(crate) fn write(&mut self, address: u64, bytes: &[u8]) -> bool {
        if bytes.is_empty() {
            return true;
        }
        let is_there = self.find(address, bytes.len()).is_some();
        // Buffers were written down one by one, and may lie in each other.
        for (start, region) in &mut self.regions {
            for (at, byte) in (address..).zip(bytes) {
                if let Some(place) = at.checked_sub(*start).and_then(|at| region.get_mut(at as usize)) {
                    *place = *byte;
                }
            }
        }
        is_there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_recorded_can_be_read_and_written() {
        let mut memory = Memory::default();
        memory.add(0x1000, vec![1, 2, 3, 4]);
        let mut bytes = [0; 2];
        assert!(memory.read(0x1002, &mut bytes) && bytes == [3, 4]);
        assert!(!memory.read(0x1003, &mut bytes) && !memory.read(0xfff, &mut bytes));
        assert!(memory.write(0x1000, &[9]) && memory.at(0x1000) == [9, 2, 3, 4]);
        assert!(memory.read(0, &mut []), "nothing can be read anywhere");
    }
}
