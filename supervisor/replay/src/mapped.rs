//! What a program that is answered by a recording maps of a node. A recording has calls, and nothing of the memory behind them.
//!
//! ```text
//!   RM_ALLOC of class … ──▶ Objects        RM_MAP_MEMORY of it ──▶ Shows: the page of figures, or memory that nothing happens to
//! ```
//!
//! Whoever starts the driver of CUDA maps the registers that wake channels; without a channel nobody writes there.

use std::collections::HashMap;

use nvidia_abi::{Abi, Row, class, escape, status};
use recording::Ioctl;

use crate::bytes::word;

/// What a descriptor's next mappings are to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shows {
    /// A card's page of figures.
    Figures {
        /// Of the program's.
        descriptor: i32,
        /// Which.
        card: usize,
    },
    /// Zeros.
    Zeros {
        /// Of the program's.
        descriptor: i32,
        /// Bytes.
        length: u64,
    },
}

/// Objects that the recorded program made, by client and handle.
#[derive(Default)]
pub(crate) struct Objects(HashMap<(u32, u32), Object>);

struct Object {
    class: u32,
    card: usize,
}

/// Registers that wake channels, by generation; and a buffer of counters.
const IDLE: &[u32] = &[
    class::VOLTA_USERMODE_A,
    class::TURING_USERMODE_A,
    class::AMPERE_USERMODE_A,
    class::HOPPER_USERMODE_A,
    class::NV_COUNTER_COLLECTION_UNIT,
];

/// More than any of them has.
const MOST: u64 = 1 << 20;

impl Objects {
    /// An object was made. `outer`, `parameters`: as the call left them.
    pub(crate) fn made(&mut self, abi: &Abi, outer: &[u8], parameters: &[u8]) {
        let [client, parent, handle, number] = [0, 4, 8, 12].map(|at| word(outer, at));
        let card = match number {
            class::NV01_DEVICE_0 => {
                let row = abi.class(number);
                row.and_then(|row| row.read(parameters, "deviceId")).unwrap_or(0) as usize
            }
            _ => self.0.get(&(client, parent)).map_or(0, |parent| parent.card),
        };
        self.0.insert((client, handle), Object { class: number, card });
    }

    /// The card that an object belongs to.
    pub(crate) fn card(&self, client: u32, handle: u32) -> Option<usize> {
        self.0.get(&(client, handle)).map(|object| object.card)
    }

    /// What a mapping that was recorded shows. `Err`: the class of memory that a recording does not have.
    pub(crate) fn shown(&self, abi: &Abi, recorded: &[u8], given: &[u8]) -> Result<Option<Shows>, u32> {
        let Some(row) = abi.escape_of_size(escape::NV_ESC_RM_MAP_MEMORY, recorded.len()) else {
            return Ok(None);
        };
        let number = |field: &str| row.read(recorded, field).unwrap_or(0);
        if number("params.status") != u64::from(status::NV_OK) {
            return Ok(None);
        }
        let descriptor = row.read(given, "fd").unwrap_or(0) as i32;
        let place = (number("params.hClient") as u32, number("params.hMemory") as u32);
        let Some(object) = self.0.get(&place) else { return Err(0) };
        match object.class {
            class::RM_USER_SHARED_DATA => Ok(Some(Shows::Figures { descriptor, card: object.card })),
            class if IDLE.contains(&class) && number("params.length") <= MOST => {
                Ok(Some(Shows::Zeros { descriptor, length: number("params.length") }))
            }
            class => Err(class),
        }
    }
}

/// Whether objects of the class take work.
pub(crate) fn is_channel(class: Option<&Row>) -> bool {
    class.and_then(|row| row.name).is_some_and(|name| name.contains("CHANNEL_GPFIFO"))
}

/// Of an object that was asked for: the status lies behind two forms of the call.
pub(crate) fn was_made(recorded: &Ioctl) -> bool {
    let status = if recorded.outer_after.len() > 32 { 40 } else { 28 };
    recorded.errno == 0 && word(&recorded.outer_after, status) == status::NV_OK
}
