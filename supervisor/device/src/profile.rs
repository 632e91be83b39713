//! Profiles: cards as data.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::Deserialize;
use wire::device::{ATTRIBUTES, Description, feature, padded};

use crate::{attribute, limits};

/// A card. Field by field as in the profile's file, which also states units.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The file's name: what `--gpu` takes.
    #[serde(skip)]
    pub key: &'static str,
    /// Marketing name.
    pub name: String,
    /// Compute capability, major and minor.
    pub capability: [u32; 2],
    /// Bytes.
    pub memory: u64,
    reserved_memory: u64,
    context_memory: u64,
    /// Streaming multiprocessors.
    pub multiprocessors: u32,
    threads_per_multiprocessor: u32,
    blocks_per_multiprocessor: u32,
    shared_per_multiprocessor: u32,
    shared_per_block_optin: u32,
    l2_cache: u32,
    memory_bus_width: u32,
    clocks_max: [u32; 4],
    clocks_idle: [u32; 4],
    memory_clocks: Vec<u32>,
    #[serde(default)]
    application_clock: u32,
    power: [u32; 4],
    temperature: [u32; 4],
    #[serde(default)]
    memory_temperature: u32,
    #[serde(default)]
    target_temperature: u32,
    pcie: [u32; 2],
    fans: u32,
    pci_device_id: u32,
    pci_subsystem_id: u32,
    brand: u32,
    architecture: u32,
    vbios: String,
    part_number: String,
    #[serde(default)]
    features: Vec<Feature>,
    #[serde(default)]
    inforom: [String; 3],
    bar1: u64,
    #[serde(default)]
    attributes: BTreeMap<String, i32>,
}

/// What of NVML applies to a card, by the names that a profile's file uses.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u32)]
enum Feature {
    Ecc = feature::ECC,
    Mig = feature::MIG,
    Gsp = feature::GSP,
    MemoryTemperature = feature::MEMORY_TEMPERATURE,
    RowRemapper = feature::ROW_REMAPPER,
    Accounting = feature::ACCOUNTING,
    Margins = feature::MARGINS,
    Jpeg = feature::JPEG,
    Display = feature::DISPLAY,
}

#[derive(Deserialize)]
struct Base {
    attributes: BTreeMap<String, i32>,
}

macro_rules! embedded {
    ($($key:literal),*) => { &[$(($key, include_str!(concat!("../profiles/", $key, ".toml")))),*] };
}

/// By capability, lowest first: the order of preference of `--gpu auto`.
const FILES: &[(&str, &str)] = embedded!["gtx750ti", "gtx1080", "t4", "a100", "rtx3090", "h100", "rtx5090"];

/// All profiles, lowest capability first.
pub fn profiles() -> &'static [Profile] {
    static PROFILES: OnceLock<Vec<Profile>> = OnceLock::new();
    PROFILES.get_or_init(|| {
        let parse = |(key, text): &(&'static str, &str)| {
            let mut profile: Profile =
                toml::from_str(text).unwrap_or_else(|error| panic!("profile {key}: {error}"));
            profile.key = key;
            profile
        };
        FILES.iter().map(parse).collect()
    })
}

/// The profile of that key, or of that marketing name.
pub fn by_name(name: &str) -> Option<&'static Profile> {
    profiles()
        .iter()
        .find(|profile| profile.key.eq_ignore_ascii_case(name) || profile.name.eq_ignore_ascii_case(name))
}

fn base() -> &'static [i32; ATTRIBUTES] {
    static BASE: OnceLock<[i32; ATTRIBUTES]> = OnceLock::new();
    BASE.get_or_init(|| {
        let base: Base = toml::from_str(include_str!("../profiles/base.toml")).expect("embedded, under test");
        let mut values = [0; ATTRIBUTES];
        overlay(&mut values, &base.attributes);
        values
    })
}

fn overlay(values: &mut [i32; ATTRIBUTES], changes: &BTreeMap<String, i32>) {
    for (number, value) in changes {
        let number: usize = number.parse().unwrap_or_else(|_| panic!("attribute `{number}` is no number"));
        values[number] = *value;
    }
}

impl Profile {
    /// 10 × major + minor, as PTX and fat binaries count.
    pub fn capability_number(&self) -> u32 {
        self.capability[0] * 10 + self.capability[1]
    }

    /// The card at place `index` of a session, with `memory` bytes.
    pub fn describe(&self, index: u32, memory: u64, multiprocessors: u32) -> Description {
        let pci = [0, 1 + index, 0];
        Description {
            name: padded(&self.name),
            uuid: uuid(self.key, index),
            pci,
            pci_device_id: self.pci_device_id,
            pci_subsystem_id: self.pci_subsystem_id,
            brand: self.brand,
            architecture: self.architecture,
            capability: self.capability,
            memory_bus_width: self.memory_bus_width,
            total_memory: memory,
            reserved_memory: self.reserved_memory,
            context_memory: self.context_memory,
            clocks_max: self.clocks_max,
            clocks_idle: self.clocks_idle,
            memory_clocks: std::array::from_fn(|place| self.memory_clocks.get(place).copied().unwrap_or(0)),
            application_clock: self.application_clock,
            power: self.power,
            temperature: self.temperature,
            memory_temperature: self.memory_temperature,
            target_temperature: self.target_temperature,
            pcie: self.pcie,
            fans: self.fans,
            serial: padded(&format!("16509230{:05}", 10 + index)),
            vbios: padded(&self.vbios),
            part_number: padded(&self.part_number),
            features: self.features.iter().fold(0, |bits, feature| bits | *feature as u32),
            inforom: std::array::from_fn(|object| padded(&self.inforom[object])),
            bar1: self.bar1,
            attributes: self.attribute_values(pci, multiprocessors),
        }
    }

    fn attribute_values(&self, pci: [u32; 3], multiprocessors: u32) -> [i32; ATTRIBUTES] {
        use attribute::*;
        let mut values = *base();
        overlay(&mut values, &self.attributes);
        let computed = [
            (CLOCK_RATE, self.clocks_max[0] * 1000),
            (MULTIPROCESSOR_COUNT, multiprocessors),
            (PCI_DOMAIN_ID, pci[0]),
            (PCI_BUS_ID, pci[1]),
            (PCI_DEVICE_ID, pci[2]),
            (MEMORY_CLOCK_RATE, self.clocks_max[2] * 1000),
            (MEMORY_BUS_WIDTH, self.memory_bus_width),
            (L2_CACHE_SIZE, self.l2_cache),
            (THREADS_PER_MULTIPROCESSOR, self.threads_per_multiprocessor),
            (CAPABILITY_MAJOR, self.capability[0]),
            (CAPABILITY_MINOR, self.capability[1]),
            (SHARED_PER_MULTIPROCESSOR, self.shared_per_multiprocessor),
            (REGISTERS_PER_MULTIPROCESSOR, 65536),
            (SHARED_PER_BLOCK_OPTIN, self.shared_per_block_optin),
            (BLOCKS_PER_MULTIPROCESSOR, self.blocks_per_multiprocessor),
            (GPU_PCI_DEVICE_ID, self.pci_device_id),
            (GPU_PCI_SUBSYSTEM_ID, self.pci_subsystem_id),
        ];
        for (number, value) in computed {
            values[number] = value as i32;
        }
        for (number, value, _) in limits::CPU_ENGINE {
            values[*number] = *value;
        }
        values
    }
}

/// The same for the same card at the same place, so that `CUDA_VISIBLE_DEVICES=GPU-…` in somebody's configuration keeps its meaning.
fn uuid(key: &str, index: u32) -> [u8; 16] {
    // FNV-1a, twice with different starts: the bytes need to differ, not to be secret.
    let half = |start: u64| {
        key.bytes()
            .chain(index.to_le_bytes())
            .fold(start, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
    };
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&half(0xcbf2_9ce4_8422_2325).to_be_bytes());
    bytes[8..].copy_from_slice(&half(0x6c62_272e_07bb_0142).to_be_bytes());
    // A name-based UUID of the standard's variant (RFC 9562, version 8: made as its maker likes).
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_is_complete_and_agrees_with_itself() {
        for profile in profiles() {
            let card = profile.describe(0, profile.memory, profile.multiprocessors);
            let value = |number: usize| card.attributes[number];
            assert!(
                value(attribute::SHARED_PER_BLOCK) <= value(attribute::SHARED_PER_BLOCK_OPTIN),
                "{}",
                profile.key
            );
            assert!(
                value(attribute::SHARED_PER_BLOCK_OPTIN) <= value(attribute::SHARED_PER_MULTIPROCESSOR),
                "{}",
                profile.key
            );
            assert!(
                profile.power[0] < profile.power[1] && profile.power[1] <= profile.power[3],
                "{}",
                profile.key
            );
            assert_eq!(card.memory_clocks(), profile.memory_clocks, "{}", profile.key);
            assert_eq!(profile.memory_clocks[0], profile.clocks_max[2], "{}", profile.key);
            assert!(profile.memory_clocks.is_sorted_by(|one, next| one > next), "{}", profile.key);
            assert!(profile.temperature[1] < profile.temperature[2], "{}", profile.key);
            assert_eq!(profile.pci_device_id & 0xffff, 0x10de, "{}", profile.key);
            assert_eq!(value(10), 32, "warp size of {}", profile.key);
        }
    }

    #[test]
    fn profiles_are_found_by_key_and_by_marketing_name_and_sorted() {
        assert_eq!(by_name("H100").expect("by key").capability, [9, 0]);
        assert_eq!(by_name("tesla t4").expect("by name").capability, [7, 5]);
        assert!(by_name("voodoo").is_none());
        assert!(profiles().is_sorted_by_key(Profile::capability_number));
    }
}
