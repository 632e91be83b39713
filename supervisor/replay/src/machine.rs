//! Where a recording's cards are plugged in: what files of the system have to say alike.

use nvidia_abi::{Abi, escape};
use recording::Ioctl;

/// A card's place, as the driver told it (`NV_ESC_CARD_INFO`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// PCI domain, bus, device.
    pub pci: [u32; 3],
    /// Device << 16 | vendor.
    pub device: u32,
    /// Of its interrupt.
    pub irq: u32,
    /// Address and length of its registers, and of the window onto its memory.
    pub bars: [[u64; 2]; 2],
}

/// The cards that a call told of, in the order of their nodes.
pub(crate) fn places(abi: &Abi, ioctl: &Ioctl) -> Vec<Place> {
    let Some(row) = abi.escape(escape::NV_ESC_CARD_INFO) else { return Vec::new() };
    if ioctl.nr != escape::NV_ESC_CARD_INFO || ioctl.rc != 0 {
        return Vec::new();
    }
    let mut cards: Vec<_> =
        ioctl.outer_after.chunks_exact(row.size).filter_map(|card| place(row, card)).collect();
    cards.sort_by_key(|(minor, _)| *minor);
    cards.into_iter().map(|(_, place)| place).collect()
}

fn place(row: &nvidia_abi::Row, card: &[u8]) -> Option<(u64, Place)> {
    let field = |name: &str| row.read(card, name).unwrap_or(0);
    let word = |name: &str| field(name) as u32;
    if field("valid") == 0 {
        return None;
    }
    let pci = ["pci_info.domain", "pci_info.bus", "pci_info.slot"].map(word);
    let device = word("pci_info.device_id") << 16 | word("pci_info.vendor_id");
    let bars = [["reg_address", "reg_size"], ["fb_address", "fb_size"]].map(|bar| bar.map(field));
    Some((field("minor_number"), Place { pci, device, irq: word("interrupt_line"), bars }))
}
