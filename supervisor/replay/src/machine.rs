//! Where a recording's cards are plugged in: what files of the system have to say alike.

use nvidia_abi::{Abi, Row, control, escape};
use recording::Ioctl;

use crate::bytes::word;
use crate::mapped::Objects;

/// A card's place, as the driver told it (`NV_ESC_CARD_INFO`), and its name.
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
    /// `GPU-…` as bytes, if the program asked for it.
    pub uuid: Option<[u8; 16]>,
}

/// The cards that calls told of.
#[derive(Default)]
pub(crate) struct Machine {
    /// In the order of their nodes.
    pub places: Vec<Place>,
    objects: Objects,
}

impl Machine {
    /// Hears of a recorded call.
    pub(crate) fn hear(&mut self, abi: &Abi, ioctl: &Ioctl) {
        match ioctl.nr {
            _ if ioctl.rc != 0 || ioctl.dev == crate::path(resource_manager::Node::UnifiedMemory) => {}
            escape::NV_ESC_CARD_INFO if self.places.is_empty() => self.places = places(abi, ioctl),
            escape::NV_ESC_RM_ALLOC => self.objects.made(abi, &ioctl.outer_after, &ioctl.parameters_after),
            escape::NV_ESC_RM_CONTROL => self.control(abi, ioctl),
            _ => {}
        }
    }

    fn control(&mut self, abi: &Abi, ioctl: &Ioctl) {
        const BINARY: u64 = 2;
        let [client, object, number] = [0, 4, 8].map(|at| word(&ioctl.outer_before, at));
        let row = abi.control(number).filter(|_| number == control::NV2080_CTRL_CMD_GPU_GET_GID_INFO);
        let Some(row) = row.filter(|row| row.read(&ioctl.parameters_after, "flags") == Some(BINARY)) else {
            return;
        };
        let data = row.field("data");
        let byte = |at| data.and_then(|field| field.read(&ioctl.parameters_after, at)).unwrap_or(0) as u8;
        let card = self.objects.card(client, object).and_then(|card| self.places.get_mut(card));
        if let Some(place) = card {
            place.uuid = Some(std::array::from_fn(byte));
        }
    }
}

fn places(abi: &Abi, ioctl: &Ioctl) -> Vec<Place> {
    let Some(row) = abi.escape(escape::NV_ESC_CARD_INFO) else { return Vec::new() };
    let mut cards: Vec<_> =
        ioctl.outer_after.chunks_exact(row.size).filter_map(|card| place(row, card)).collect();
    cards.sort_by_key(|(minor, _)| *minor);
    cards.into_iter().map(|(_, place)| place).collect()
}

fn place(row: &Row, card: &[u8]) -> Option<(u64, Place)> {
    let field = |name: &str| row.read(card, name).unwrap_or(0);
    let word = |name: &str| field(name) as u32;
    if field("valid") == 0 {
        return None;
    }
    let pci = ["pci_info.domain", "pci_info.bus", "pci_info.slot"].map(word);
    let device = word("pci_info.device_id") << 16 | word("pci_info.vendor_id");
    let bars = [["reg_address", "reg_size"], ["fb_address", "fb_size"]].map(|bar| bar.map(field));
    Some((field("minor_number"), Place { pci, device, irq: word("interrupt_line"), bars, uuid: None }))
}
