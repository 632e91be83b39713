//! The board: identity, firmware, InfoROM, bus, cores.

use std::ffi::c_char;

use crate::devices::{PciInfo3, indexed, tell};
use crate::door::*;
use crate::figures::fixed;
use crate::session;
use wire::device::{Description, feature, unpadded};

/// `nvmlPciInfoExt_v1_t`
#[repr(C)]
pub struct PciInfoExtended {
    version: u32,
    domain: u32,
    bus: u32,
    device: u32,
    device_id: u32,
    subsystem_id: u32,
    class: [u32; 2],
    id: [u8; 32],
}

call_trace::fields! { PciInfoExtended { domain, bus, device, device_id, subsystem_id, class } }

/// `nvmlPdi_v1_t`
#[repr(C)]
pub struct Pdi {
    version: u32,
    value: u64,
}

call_trace::fields! { Pdi { version, value } }

/// PCI's base and sub class: a display controller for 3D, or one that can have a display.
const CLASS_3D: [u32; 2] = [3, 2];
const CLASS_VGA: [u32; 2] = [3, 0];

/// MB/s of a lane by generation.
const LANE_SPEED: [u32; 7] = [0, 2500, 5000, 8000, 16000, 32000, 64000];

/// What the InfoROM has no object for is not supported.
fn inforom(device: &Description, object: usize) -> Nvml<String> {
    let version = device.inforom.get(object).map(|version| unpadded(version));
    version.filter(|version| !version.is_empty()).ok_or(Error::NOT_SUPPORTED)
}

/// FP32 lanes of a multiprocessor (CUDA C++ programming guide, arithmetic throughput).
fn cores_per_multiprocessor(capability: [u32; 2]) -> u32 {
    match capability {
        [7, _] | [8, 0] => 64,
        _ => 128,
    }
}

exports! {
    fn nvmlDeviceGetBoardId(handle: usize, target: *mut u32) {
        fixed(target, handle, |device| Ok(device.pci[1] << 8 | device.pci[2]))
    }

    fn nvmlDeviceGetBusType(handle: usize, target: *mut u32) {
        const NVML_BUS_TYPE_PCIE: u32 = 2;
        fixed(target, handle, |_| Ok(NVML_BUS_TYPE_PCIE))
    }

    fn nvmlDeviceGetPciInfoExt(handle: usize, target: *mut PciInfoExtended) {
        let version = versioned(target.cast(), 0x0100_0040)?;
        let mut plain = std::mem::MaybeUninit::<PciInfo3>::uninit();
        let refused = crate::devices::nvmlDeviceGetPciInfo_v3(handle, plain.as_mut_ptr());
        if refused != 0 {
            return Err(Error(refused));
        }
        let id = plain.assume_init().bus_id();
        fixed(target, handle, |device| {
            let [domain, bus, slot] = device.pci;
            // Of the cards with profiles, those with ECC are made without a connector.
            let class = if device.features & feature::ECC != 0 { CLASS_3D } else { CLASS_VGA };
            Ok(PciInfoExtended { version, domain, bus, device: slot, device_id: device.pci_device_id, subsystem_id: device.pci_subsystem_id, class, id })
        })
    }

    fn nvmlDeviceGetPdi(handle: usize, target: *mut Pdi) {
        let version = versioned(target.cast(), 0x0100_0010)?;
        fixed(target, handle, |device| {
            let [a, b, c, d, e, f, g, h, ..] = device.uuid;
            Ok(Pdi { version, value: u64::from_be_bytes([a, b, c, d, e, f, g, h]) })
        })
    }

    fn nvmlDeviceGetInforomImageVersion(handle: usize, target: *mut c_char, length: u32) {
        tell(target, length, handle, |device| inforom(device, 0))
    }

    fn nvmlDeviceGetInforomVersion(handle: usize, object: u32, target: *mut c_char, length: u32) {
        tell(target, length, handle, |device| inforom(device, object as usize + 1))
    }

    fn nvmlDeviceGetInforomConfigurationChecksum(handle: usize, target: *mut u32) {
        fixed(target, handle, |device| inforom(device, 0).map(|_| 0))
    }

    fn nvmlDeviceValidateInforom(handle: usize) {
        session::with(|session| inforom(session.device(handle)?.1, 0).map(drop))
    }

    fn nvmlDeviceGetGspFirmwareVersion(handle: usize, target: *mut c_char) {
        /// `NVML_GSP_FIRMWARE_VERSION_BUF_SIZE`
        const ROOM: u32 = 64;
        let version = session::with(|session| Ok(unpadded(&session.connection().welcome().driver_version)))?;
        tell(target, ROOM, handle, |device| with_feature(device, feature::GSP).map(|()| version))
    }

    fn nvmlDeviceGetGspFirmwareMode(handle: usize, enabled: *mut u32, by_default: *mut u32) {
        fixed(enabled, handle, |device| with_feature(device, feature::GSP).map(|()| 1))?;
        fixed(by_default, handle, |_| Ok(1))
    }

    fn nvmlDeviceGetNumGpuCores(handle: usize, target: *mut u32) {
        const MULTIPROCESSORS: usize = 16;
        fixed(target, handle, |device| Ok(device.attributes[MULTIPROCESSORS] as u32 * cores_per_multiprocessor(device.capability)))
    }

    fn nvmlDeviceGetModuleId(handle: usize, target: *mut u32) {
        indexed(target, handle, |index| index)
    }

    fn nvmlDeviceGetIrqNum(handle: usize, target: *mut u32) {
        // A number like those that message interrupts get; nobody raises it.
        indexed(target, handle, |index| 41 + index)
    }

    fn nvmlDeviceGetGpuMaxPcieLinkGeneration(handle: usize, target: *mut u32) {
        fixed(target, handle, |device| Ok(device.pcie[0]))
    }

    fn nvmlDeviceGetPcieLinkMaxSpeed(handle: usize, target: *mut u32) {
        // `NVML_PCIE_LINK_MAX_SPEED_…` counts as generations do.
        fixed(target, handle, |device| Ok(device.pcie[0]))
    }

    fn nvmlDeviceGetPcieSpeed(handle: usize, target: *mut u32) {
        fixed(target, handle, |device| LANE_SPEED.get(device.pcie[0] as usize).copied().ok_or(Error::NOT_SUPPORTED))
    }

    fn nvmlDeviceGetPcieReplayCounter(handle: usize, target: *mut u32) {
        fixed(target, handle, |_| Ok(0))
    }

    fn nvmlDeviceGetPcieThroughput(handle: usize, counter: u32, target: *mut u32) {
        // Copies go through no bus.
        fixed(target, handle, |_| if counter < 2 { Ok(0) } else { Err(Error::INVALID_ARGUMENT) })
    }

    fn nvmlDeviceGetVirtualizationMode(handle: usize, target: *mut u32) {
        const NVML_GPU_VIRTUALIZATION_MODE_PASSTHROUGH: u32 = 1;
        fixed(target, handle, |_| Ok(NVML_GPU_VIRTUALIZATION_MODE_PASSTHROUGH))
    }

    fn nvmlDeviceOnSameBoard(one: usize, other: usize, target: *mut i32) {
        session::with(|session| {
            let same = session.device(one)?.0 == session.device(other)?.0;
            *out(target)? = same.into();
            Ok(())
        })
    }
}
