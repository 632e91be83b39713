//! A card as the resource manager sees it: the device model's description, where it is plugged in, and what only RM tells.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Deserialize;
use wire::device::{Description, feature, link, padded};

use crate::facts::Facts;
use crate::load::Load;
use crate::shared_data::{Kept, Polled};

/// `CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE`
const L2_CACHE_SIZE: usize = 38;

/// Bytes that the driver maps for itself.
const BAR1_IN_USE: u64 = 1664 << 10;

/// What differs from one copy of a card to the next, and from one machine to another.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unit {
    /// PCI domain, bus, device.
    pub pci: [u32; 3],
    /// `GPU-…` as bytes; the description's if there is none.
    pub uuid: Option<[u8; 16]>,
    /// The description's if there is none.
    pub serial: Option<String>,
    /// Of its interrupt.
    pub irq: u32,
    /// Address and length: registers, memory, and what drivers use for themselves.
    pub bars: [[u64; 2]; 3],
    /// Lower and upper word of the number that the chip has from its maker.
    pub device_identifier: [u32; 2],
    /// When the board was built: 0x20240729.
    pub built: u32,
    /// The description's if there is none.
    pub part_number: Option<String>,
    /// `nvidia-smi -pm 1`.
    pub persistence: bool,
    /// The machine is virtual, and has the whole card.
    pub passed_through: bool,
    /// Rows of facts ([`Facts`]) that are this copy's alone: which parts of its chip work.
    #[serde(default)]
    pub rows: String,
}

impl Unit {
    /// The card at place `index` of a session without a real one.
    pub fn emulated(description: &Description, index: u32) -> Self {
        const REGISTERS: u64 = 16 << 20;
        const OWN: u64 = 32 << 20;
        // A window as large as the next power of two of the memory, each card in a terabyte of its own.
        let window = description.total_memory.next_power_of_two();
        let base = (u64::from(index) + 1) << 40;
        Self {
            pci: description.pci,
            uuid: None,
            serial: None,
            irq: 41 + index,
            bars: [[base + window + OWN, REGISTERS], [base, window], [base + window, OWN]],
            device_identifier: [0x1234_5678 + index, 0x0c0f_fee0],
            built: 0x2024_0101,
            part_number: None,
            persistence: true,
            passed_through: false,
            rows: String::new(),
        }
    }

    /// From the text of a file.
    pub fn parse(text: &str) -> Result<Self, String> {
        let unit: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        Facts::parse(&unit.rows)?;
        Ok(unit)
    }
}

/// The facts about the card of that profile. None: no card of the kind has been recorded.
pub fn facts(profile: &str) -> Option<Facts> {
    const TEXTS: &[(&str, &str)] = &[("h100", include_str!("../cards/h100.txt"))];
    let (_, text) = TEXTS.iter().find(|(key, _)| *key == profile)?;
    Some(Facts::parse(text).expect("embedded, under test"))
}

/// One card.
pub struct Card {
    /// The device model's.
    pub description: Description,
    /// Its place.
    pub unit: Unit,
    /// Its kind.
    pub facts: Arc<Facts>,
    /// Bytes that are granted to clients of the nodes.
    pub used: u64,
    /// What others make of it.
    pub load: Load,
    pub(crate) shared_data: Kept,
    pub(crate) numbers: Numbers,
    /// Controls whose answers RM has kept.
    pub(crate) kept: BTreeSet<u32>,
}

/// Numbers that a card gives to objects.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    /// In use.
    pub channels: BTreeSet<u32>,
    /// Devices of all clients.
    pub devices: u32,
    /// What objects ask to be kept on the page of figures.
    pub polled: Polled,
    /// How many groups and channels there have been.
    work: u32,
    /// Bytes of video memory that have been granted.
    placed: u64,
}

impl Numbers {
    /// A number that a group or a channel alone has had since the driver was loaded.
    pub fn work(&mut self) -> u32 {
        self.work = self.work.wrapping_add(1);
        self.work
    }

    /// A place in the card's memory.
    pub fn place(&mut self, length: u64) -> u64 {
        /// The driver's own comes first.
        const FIRST: u64 = 4 << 20;
        let place = FIRST + self.placed;
        self.placed = self.placed.wrapping_add(length) % (1 << 36);
        place
    }

    /// A free number for a channel.
    pub fn channel(&mut self) -> Option<u32> {
        /// The driver's own come first.
        const FIRST: u32 = 10;
        const ALL: u32 = 2048;
        let free = (FIRST..ALL).find(|number| !self.channels.contains(number))?;
        self.channels.insert(free);
        Some(free)
    }
}

impl Card {
    /// At its place: what the unit says replaces what the description says.
    pub fn new(mut description: Description, unit: Unit, facts: &Facts) -> Self {
        let facts = Arc::new(facts.with(Facts::parse(&unit.rows).unwrap_or_default()));
        description.pci = unit.pci;
        if let Some(uuid) = unit.uuid {
            description.uuid = uuid;
        }
        for (field, own) in
            [(&mut description.serial, &unit.serial), (&mut description.part_number, &unit.part_number)]
        {
            if let Some(text) = own {
                *field = padded(text);
            }
        }
        Self {
            description,
            unit,
            facts,
            used: 0,
            load: Load::default(),
            shared_data: Kept::default(),
            numbers: Numbers::default(),
            kept: BTreeSet::new(),
        }
    }

    /// `gpuId`: made of the card's place.
    pub fn id(&self) -> u32 {
        let [domain, bus, device] = self.unit.pci;
        domain << 16 | bus << 8 | device
    }

    /// Grants memory, if there is so much.
    pub(crate) fn take(&mut self, length: u64) -> Result<(), u32> {
        if length > self.free() {
            return Err(nvidia_abi::status::NV_ERR_NO_MEMORY);
        }
        self.used += length;
        Ok(())
    }

    /// Bytes that nobody has.
    pub(crate) fn free(&self) -> u64 {
        self.description.total_memory.saturating_sub(self.used).saturating_sub(self.load.usage.used)
    }

    /// In force, mW. A card whose figures nobody has told yet has its own.
    pub(crate) fn power_limit(&self) -> u32 {
        match self.load.usage.power_limit {
            0 => self.description.power[1],
            limit => limit,
        }
    }

    /// Memory and graphics clocks of applications, MHz.
    fn application_clocks(&self) -> [u32; 2] {
        match self.load.usage.application_clocks {
            [0, 0] => [self.description.clocks_max[2], self.description.application_clock],
            chosen => chosen,
        }
    }

    /// `NV2080_CTRL_GPU_INFO_GPU_SMC_MODE_…`: no card of ours is ever parted, so that the mode stays pending.
    fn mig_mode(&self) -> u32 {
        const UNSUPPORTED: u32 = 0;
        const DISABLED: u32 = 2;
        const ENABLE_PENDING: u32 = 3;
        match self.load.pending_mig {
            _ if self.description.features & feature::MIG == 0 => UNSUPPORTED,
            Some(true) => ENABLE_PENDING,
            Some(false) | None => DISABLED,
        }
    }

    /// A register of the root port above the card, of what its link is. On bus 0 there is none, as in virtual machines.
    fn above(&self, register: fn([u32; 2]) -> u32) -> u32 {
        if self.unit.pci[1] == 0 { 0 } else { register(self.description.pcie) }
    }

    /// A figure of the model by its name in rows.
    pub fn figure(&self, name: &str) -> Option<u32> {
        let kib = |bytes: u64| (bytes / 1024) as u32;
        let card = &self.description;
        Some(match name {
            "memory_kib" => kib(card.total_memory + card.reserved_memory),
            "usable_kib" => kib(card.total_memory),
            "free_kib" => kib(self.free()),
            "gpu_busy" => self.load.usage.utilisation,
            "bus_width" => card.memory_bus_width,
            "bar1_kib" => kib(self.unit.bars[1][1]),
            "bar1_free_kib" => kib(self.unit.bars[1][1].saturating_sub(BAR1_IN_USE + self.load.window)),
            "pci_domain" => self.unit.pci[0],
            "pci_bus" => self.unit.pci[1],
            "pci_device" => self.unit.pci[2],
            "irq" => self.unit.irq,
            "root_link_caps" => self.above(link::capabilities),
            "root_link_status" => self.above(link::control_and_status),
            "power_idle_mw" => card.power[0],
            "power_limit_mw" => card.power[1],
            "power_set_mw" => self.power_limit(),
            "power_minimum_mw" => card.power[2],
            "l2_bytes" => u32::try_from(card.attributes[L2_CACHE_SIZE]).ok()?,
            "graphics_clock_khz" => card.clocks_max[0] * 1000,
            "memory_clock_khz" => card.clocks_max[2] * 1000,
            "application_memory_mhz" => self.application_clocks()[0],
            "application_graphics_mhz" => self.application_clocks()[1],
            "ecc_pending" => self.load.pending_ecc.unwrap_or(card.features & feature::ECC != 0).into(),
            "mig_mode" => self.mig_mode(),
            "identifier_low" => self.unit.device_identifier[0],
            "identifier_high" => self.unit.device_identifier[1],
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_every_card_name_figures_that_the_model_has() {
        use bytemuck::Zeroable;
        let description = Description::zeroed();
        let unit = Unit::emulated(&description, 0);
        let facts = facts("h100").expect("recorded");
        let card = Card::new(description, unit, &facts);
        for name in facts.figures() {
            assert!(card.figure(name).is_some(), "{name}");
        }
        assert_eq!(facts.clusters.len(), 66);
    }
}
