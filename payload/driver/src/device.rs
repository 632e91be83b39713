//! Device queries.

use wire::control;
use wire::device::{ATTRIBUTES, Description, uuid_text};

use crate::{CuResult, Cuda, get, status};

/// `CUdevice_attribute` numbers that this crate reads itself.
pub mod attribute {
    #![allow(missing_docs)]
    pub const MAX_THREADS_PER_BLOCK: usize = 1;
    pub const MAX_BLOCK_DIM_X: usize = 2;
    pub const MAX_GRID_DIM_X: usize = 5;
    pub const SHARED_PER_BLOCK: usize = 8;
    pub const WARP_SIZE: usize = 10;
    pub const MULTIPROCESSOR_COUNT: usize = 16;
    pub const COMPUTE_MODE: usize = 20;
    pub const THREADS_PER_MULTIPROCESSOR: usize = 39;
    pub const SHARED_PER_MULTIPROCESSOR: usize = 81;
    pub const COOPERATIVE_LAUNCH: usize = 95;
    pub const SHARED_PER_BLOCK_OPTIN: usize = 97;
    pub const BLOCKS_PER_MULTIPROCESSOR: usize = 106;
    pub const RESERVED_SHARED_PER_BLOCK: usize = 111;
}

/// Which devices `CUDA_VISIBLE_DEVICES` leaves, in its order: indices, or beginnings of UUIDs, up to the first entry that is
/// neither (as the driver does; "-1" hides all).
pub fn visible(value: Option<&str>, devices: &[Description]) -> Vec<usize> {
    let Some(value) = value else { return (0..devices.len()).collect() };
    let mut visible = Vec::new();
    for entry in value.split(',').map(str::trim) {
        match find(entry, devices) {
            Some(index) if !visible.contains(&index) => visible.push(index),
            _ => break,
        }
    }
    visible
}

fn find(entry: &str, devices: &[Description]) -> Option<usize> {
    if let Ok(index) = entry.parse::<usize>() {
        return (index < devices.len()).then_some(index);
    }
    let wanted = entry.strip_prefix("GPU-").filter(|rest| !rest.is_empty())?.to_ascii_lowercase();
    let mut matching =
        (0..devices.len()).filter(|index| uuid_text(&devices[*index].uuid).starts_with(&wanted));
    let first = matching.next()?;
    // An ambiguous beginning means nothing.
    matching.next().is_none().then_some(first)
}

/// `cuDeviceGetCount`
pub fn get_count() -> Cuda<i32> {
    Ok(get()?.devices.len() as i32)
}

/// `cuDeviceGet`
pub fn get_ordinal(ordinal: i32) -> Cuda<i32> {
    get()?.device(ordinal).map(|_| ordinal)
}

/// A device's facts.
pub fn description(ordinal: i32) -> Cuda<&'static Description> {
    Ok(&get()?.device(ordinal)?.description)
}

/// `cuDeviceGetAttribute`
pub fn get_attribute(number: i32, ordinal: i32) -> Cuda<i32> {
    let description = description(ordinal)?;
    // 149 is the last attribute of CUDA 13.0; H100's driver refuses 148 and 149 (recorded).
    let known = (1..148).contains(&number) && (number as usize) < ATTRIBUTES;
    if number as usize == attribute::COMPUTE_MODE {
        return compute_mode(ordinal);
    }
    if known { Ok(description.attributes[number as usize]) } else { Err(CuResult::INVALID_VALUE) }
}

/// The only attribute that can be set; `CUcomputemode` counts as NVML does.
fn compute_mode(ordinal: i32) -> Cuda<i32> {
    let driver = get()?;
    let order = control::DeviceUsage { index: driver.device(ordinal)?.index, reserved: 0 };
    let usage = driver.connection().call(&order).map_err(status)?;
    Ok(usage.compute_mode as i32)
}

/// `cuDeviceGetPCIBusId`: `0000:01:00.0`.
pub fn pci_bus_id(ordinal: i32) -> Cuda<String> {
    let [domain, bus, device] = description(ordinal)?.pci;
    Ok(format!("{domain:04x}:{bus:02x}:{device:02x}.0"))
}

/// `cuDeviceGetByPCIBusId`
pub fn by_pci_bus_id(text: &str) -> Cuda<i32> {
    let text = text.to_ascii_lowercase();
    let matches = |ordinal: &i32| {
        pci_bus_id(*ordinal).is_ok_and(|id| {
            id == text || id.strip_prefix("0000:") == Some(&text) || id.strip_suffix(".0") == Some(&text)
        })
    };
    (0..get_count()?).find(matches).ok_or(CuResult::INVALID_DEVICE)
}

/// Free and all bytes of a device.
pub fn memory(ordinal: i32) -> Cuda<(u64, u64)> {
    let driver = get()?;
    let device = driver.device(ordinal)?;
    let order = control::FreeMemory { index: device.index, reserved: 0 };
    let free = driver.connection().call(&order).map_err(status)?;
    Ok((free.bytes, device.description.total_memory))
}

/// `cuDeviceCanAccessPeer`: all devices of a process are one address space of one engine.
pub fn can_access_peer(device: i32, peer: i32) -> Cuda<bool> {
    description(device)?;
    description(peer)?;
    Ok(device != peer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytemuck::Zeroable;

    fn devices() -> Vec<Description> {
        let with_uuid = |first: u8| {
            let mut description = Description::zeroed();
            description.uuid = [first; 16];
            description
        };
        vec![with_uuid(0xab), with_uuid(0xcd), with_uuid(0xce)]
    }

    fn check(value: Option<&str>, expected: &[usize]) {
        assert_eq!(visible(value, &devices()), expected, "{value:?}");
    }

    #[test]
    fn visible_devices_follow_the_drivers_rules() {
        check(None, &[0, 1, 2]);
        check(Some(""), &[]);
        check(Some("-1"), &[]);
        check(Some("2,0"), &[2, 0]);
        check(Some("1,7,0"), &[1]);
        check(Some("0,0"), &[0]);
        check(Some("GPU-cdcd"), &[1]);
        check(Some("GPU-CDCDCDCD-cdcd"), &[1]);
        check(Some("GPU-c"), &[]);
        check(Some("GPU-cdcdcdcd-cdcd-cdcd-cdcd-cdcdcdcdcdcd, 0"), &[1, 0]);
        check(Some("NoDevFiles"), &[]);
    }
}
