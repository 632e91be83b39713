//! What others make of a card meanwhile: programs whose work does not come through its nodes, and faults that were injected.

use wire::device::{Description, Usage};
use wire::reading;

/// As whoever holds the session's figures tells it.
#[derive(Clone, Debug, Default)]
pub struct Load {
    /// The device model's moving figures. Memory that clients of the nodes have is not among them.
    pub usage: Usage,
    /// Processes that hold memory, with their bytes.
    pub processes: Vec<(u32, u64)>,
    /// Bytes of the window onto memory that they have mapped.
    pub window: u64,
    /// Somebody has a device of it whom we do not know.
    pub has_devices: bool,
    /// Errors of memory that were corrected, and that were not, since the driver was loaded.
    pub errors: [u64; 2],
    /// It does not answer any more.
    pub is_lost: bool,
    /// Rows that were replaced, and whether one could not be.
    pub remapped: (u32, bool),
    /// What ECC is to be after the next start; none: as it is.
    pub pending_ecc: Option<bool>,
    /// The same of MIG.
    pub pending_mig: Option<bool>,
}

impl Load {
    /// °C of the chip and of the memory beside it.
    pub(crate) fn temperatures(&self, card: &Description) -> [u32; 2] {
        /// The memory is a little hotter.
        const MEMORY: u32 = 3;
        let chip = reading::temperature(card, &self.usage);
        [chip, chip + MEMORY]
    }
}
