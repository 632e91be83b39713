//! Handles that the driver chose, renamed between a recording and the run that is compared with it.

use std::collections::HashMap;

/// What the recorded driver called what ours calls otherwise.
#[derive(Default)]
pub(crate) struct Handles {
    ours: HashMap<u32, u32>,
    recorded: HashMap<u32, u32>,
}

impl Handles {
    /// The driver answered `recorded`, ours `ours`.
    pub(crate) fn learn(&mut self, recorded: u32, ours: u32) {
        if recorded != 0 && ours != 0 {
            self.ours.insert(recorded, ours);
            self.recorded.insert(ours, recorded);
        }
    }

    /// A recorded structure as our driver understands it.
    pub(crate) fn to_ours(&self, bytes: &mut [u8]) {
        rename(&self.ours, bytes);
    }

    /// What our driver wrote, as the recorded one would have.
    pub(crate) fn to_recorded(&self, bytes: &mut [u8]) {
        rename(&self.recorded, bytes);
    }
}

/// Every aligned word that is such a handle: their numbers are so odd that nothing else looks like them.
fn rename(names: &HashMap<u32, u32>, bytes: &mut [u8]) {
    for word in bytes.chunks_exact_mut(4) {
        let name = u32::from_le_bytes(word.try_into().expect("4 bytes"));
        if let Some(other) = names.get(&name) {
            word.copy_from_slice(&other.to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renaming_goes_both_ways() {
        let mut handles = Handles::default();
        handles.learn(0xc1d0_0019, 0xc1d0_0001);
        let recorded = [7, 0, 0, 0, 0x19, 0, 0xd0, 0xc1, 1];
        let mut bytes = recorded;
        handles.to_ours(&mut bytes);
        assert_eq!(bytes, [7, 0, 0, 0, 1, 0, 0xd0, 0xc1, 1]);
        handles.to_recorded(&mut bytes);
        assert_eq!(bytes, recorded);
    }
}
