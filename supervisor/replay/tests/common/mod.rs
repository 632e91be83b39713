//! Where recordings are, and the driver that they are played to.

#![allow(dead_code, reason = "each test program uses a part")]

use std::path::{Path, PathBuf};

use resource_manager::{Card, ResourceManager, Unit, facts};

/// A folder of recordings of one card.
pub fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/recordings").join(name)
}

/// A driver with the card of a folder's recordings.
pub fn manager(folder: &Path) -> ResourceManager {
    let profile = device::by_name("h100").expect("embedded");
    let description = profile.describe(0, profile.memory, profile.multiprocessors);
    let unit = std::fs::read_to_string(folder.join("unit.toml")).expect("there");
    let card = Card::new(description, Unit::parse(&unit).expect("a unit"), &facts("h100").expect("recorded"));
    ResourceManager::new(device::DRIVER_VERSION, vec![card]).expect("known")
}
