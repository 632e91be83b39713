//! The device model: which cards there are, and what they tell of themselves.
//!
//! ```text
//!   profiles/*.toml ─▶ Profile ──announce(count, memory)──▶ wire::device::Description  ─▶ CUDA attributes, NVML, …
//! ```
//!
//! - A **profile** is a complete description of a real card as data: its own facts, and the `CUdevice_attribute` values in which
//!   it differs from a recorded card. What follows from facts is computed, so that no two answers can disagree.
//! - The **CPU engine's limits** ([`limits`]) are laid over every profile: what the engine can't do is not announced.
//! - **`auto`** picks the cheapest card for which the libraries that a program has opened carry PTX ([`automatic`]).

mod attribute;
mod automatic;
pub mod host;
pub mod limits;
mod profile;

pub use automatic::automatic;
pub use host::Host;
pub use profile::{Profile, by_name, profiles};

/// `cuDriverGetVersion` of the driver that we announce: CUDA 13.0.
pub const CUDA_VERSION: u32 = 13000;
/// Its version string.
pub const DRIVER_VERSION: &str = "580.159.04";

use wire::device::Description;

/// What the user asked for.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Cards.
    pub count: u32,
    /// Bytes of each; `None`: the card's, at most an equal share of half of this machine's usable memory.
    pub memory: Option<u64>,
    /// The card was picked by us: announce as many multiprocessors as there are cores. Programs split work by that number, and
    /// pieces beyond the cores cost without running side by side. An explicit choice stays true to its card.
    pub few_multiprocessors: bool,
}

/// The cards of a session.
pub fn announce(profile: &Profile, request: &Request, host: &Host) -> Vec<Description> {
    let share = host.usable_memory / 2 / u64::from(request.count.max(1));
    // Whole 2 MiB pages, like a driver; all that the card has may be no multiple of them.
    let memory = match request.memory.unwrap_or_else(|| profile.memory.min(share)) {
        all if all == profile.memory => all,
        part => part & !((2 << 20) - 1),
    };
    let multiprocessors = match request.few_multiprocessors {
        true => profile.multiprocessors.min(host.cores.max(1)),
        false => profile.multiprocessors,
    };
    (0..request.count).map(|index| profile.describe(index, memory.max(2 << 20), multiprocessors)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cards(request: &Request) -> Vec<Description> {
        let host = Host { usable_memory: 8 << 30, cores: 2 };
        announce(by_name("gtx1080").expect("embedded"), request, &host)
    }

    #[test]
    fn default_memory_is_half_of_the_machine_shared_by_the_cards() {
        let cards = cards(&Request { count: 2, memory: None, few_multiprocessors: true });
        assert_eq!(cards.iter().map(|card| card.total_memory).collect::<Vec<_>>(), [2 << 30, 2 << 30]);
        assert_eq!(cards[0].attributes[attribute::MULTIPROCESSOR_COUNT], 2);
    }

    #[test]
    fn cards_of_a_session_differ_in_uuid_and_pci_place() {
        let cards = cards(&Request { count: 4, memory: Some(1 << 30), few_multiprocessors: false });
        for (index, card) in cards.iter().enumerate() {
            for other in &cards[index + 1..] {
                assert_ne!(card.uuid, other.uuid);
                assert_ne!(card.pci, other.pci);
            }
            assert_eq!(card.attributes[attribute::PCI_BUS_ID], card.pci[1] as i32);
        }
        assert_eq!(cards[0].attributes[attribute::MULTIPROCESSOR_COUNT], 20);
    }
}
