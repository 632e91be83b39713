//! Which devices there are, and what they are.

use std::ffi::c_char;

use crate::door::*;
use crate::figures::fixed;
use crate::session::{self, Session};
use wire::device::{Description, gpu_uuid_text, padded, unpadded};

/// `nvmlPciInfo_t` as the first `nvmlDeviceGetPciInfo` fills it. Callers of an older form have room for no more than that.
#[repr(C)]
pub struct PciInfo1 {
    legacy_id: [u8; 16],
    domain: u32,
    bus: u32,
    device: u32,
    device_id: u32,
}

call_trace::fields! { PciInfo1 { domain, bus, device, device_id } }

/// As `nvmlDeviceGetPciInfo_v2` fills it.
#[repr(C)]
pub struct PciInfo2 {
    first: PciInfo1,
    subsystem_id: u32,
}

call_trace::fields! { PciInfo2 { first, subsystem_id } }

/// As `nvmlDeviceGetPciInfo_v3` fills it.
#[repr(C)]
pub struct PciInfo3 {
    second: PciInfo2,
    id: [u8; 32],
}

call_trace::fields! { PciInfo3 { second } }

impl PciInfo3 {
    /// The address as text, in the newer form.
    pub fn bus_id(&self) -> [u8; 32] {
        self.id
    }
}

impl From<&Description> for PciInfo1 {
    fn from(device: &Description) -> Self {
        let [domain, bus, slot] = device.pci;
        let legacy_id = padded(&bus_id(device, 4));
        Self { legacy_id, domain, bus, device: slot, device_id: device.pci_device_id }
    }
}

impl From<&Description> for PciInfo2 {
    fn from(device: &Description) -> Self {
        Self { first: device.into(), subsystem_id: device.pci_subsystem_id }
    }
}

impl From<&Description> for PciInfo3 {
    fn from(device: &Description) -> Self {
        Self { second: device.into(), id: padded(&bus_id(device, 8)) }
    }
}

fn bus_id(device: &Description, digits: usize) -> String {
    let [domain, bus, slot] = device.pci;
    format!("{domain:0digits$X}:{bus:02X}:{slot:02X}.0")
}

fn find(session: &Session, matches: impl Fn(&Description) -> bool) -> Nvml<usize> {
    let is_it = |index: &&u32| matches(&session.devices()[**index as usize]);
    session.handle(*session.listed().iter().find(is_it).ok_or(Error::NOT_FOUND)?)
}

/// The card with that UUID, as `GPU-…`.
pub fn by_uuid(session: &Session, wanted: &str) -> Nvml<usize> {
    find(session, |device| gpu_uuid_text(&device.uuid) == wanted)
}

/// The UUID that an `nvmlUUID_t` names, behind its version: its kind, then text or bytes.
pub fn uuid_of(named: &[u8]) -> Nvml<String> {
    /// `nvmlUUIDType_t`
    const TEXT: &[u8] = &[1, 0, 0, 0];
    const BYTES: &[u8] = &[2, 0, 0, 0];
    let (kind, value) = named.split_at_checked(4).ok_or(Error::INVALID_ARGUMENT)?;
    match (kind, value.first_chunk()) {
        (TEXT, _) => Ok(unpadded(value)),
        (BYTES, Some(bytes)) => Ok(gpu_uuid_text(bytes)),
        _ => Err(Error::INVALID_ARGUMENT),
    }
}

/// The card at a place of which domain, bus and device are filled in, listed or not.
///
/// # Safety
/// `place` must be null or valid for reads.
pub unsafe fn by_place(place: *const PciInfo3) -> Nvml<usize> {
    // SAFETY: the caller's promise.
    let PciInfo1 { domain, bus, device, .. } =
        unsafe { place.as_ref() }.ok_or(Error::INVALID_ARGUMENT)?.second.first;
    session::with(|session| {
        let index = session.devices().iter().position(|it| it.pci == [domain, bus, device]);
        session.handle(index.ok_or(Error::NOT_FOUND)? as u32)
    })
}

fn by_bus_id(session: &Session, wanted: &str) -> Nvml<usize> {
    find(session, |device| [4, 8].iter().any(|digits| bus_id(device, *digits).eq_ignore_ascii_case(wanted)))
}

/// A text of a device.
pub unsafe fn tell(
    target: *mut c_char,
    length: u32,
    handle: usize,
    of: impl FnOnce(&Description) -> Nvml<String>,
) -> Nvml {
    // SAFETY: the caller's buffer.
    session::with(|session| unsafe { put_text(target, length, &of(session.device(handle)?.1)?) })
}

/// A number or a structure of a device.
unsafe fn number<T>(target: *mut T, handle: usize, of: impl FnOnce(&Description) -> T) -> Nvml {
    // SAFETY: the caller's place.
    unsafe { fixed(target, handle, |device| Ok(of(device))) }
}

/// A number made of a device's index.
pub unsafe fn indexed(target: *mut u32, handle: usize, of: impl FnOnce(u32) -> u32) -> Nvml {
    session::with(|session| {
        // SAFETY: the caller's place.
        *unsafe { out(target) }? = of(session.device(handle)?.0);
        Ok(())
    })
}

unsafe fn count(target: *mut u32) -> Nvml {
    session::with(|session| {
        // SAFETY: the caller's place.
        *unsafe { out(target) }? = session.listed().len() as u32;
        Ok(())
    })
}

unsafe fn by_index(index: u32, handle: *mut usize) -> Nvml {
    session::with(|session| {
        let index = session.listed().get(index as usize).ok_or(Error::INVALID_ARGUMENT)?;
        // SAFETY: the caller's place.
        *unsafe { out(handle) }? = session.handle(*index)?;
        Ok(())
    })
}

exports! {
    fn nvmlDeviceGetCount(target: *mut u32) {
        count(target)
    }

    fn nvmlDeviceGetCount_v2(target: *mut u32) {
        count(target)
    }

    fn nvmlDeviceGetHandleByIndex(index: u32, handle: *mut usize) {
        by_index(index, handle)
    }

    fn nvmlDeviceGetHandleByIndex_v2(index: u32, handle: *mut usize) {
        by_index(index, handle)
    }

    fn nvmlDeviceGetHandleByUUID(wanted: *const c_char, handle: *mut usize) {
        let wanted = text(wanted)?;
        session::with(|session| {
            *out(handle)? = by_uuid(session, wanted)?;
            Ok(())
        })
    }

    fn nvmlDeviceGetHandleBySerial(wanted: *const c_char, handle: *mut usize) {
        let wanted = text(wanted)?;
        session::with(|session| {
            *out(handle)? = find(session, |device| unpadded(&device.serial) == wanted)?;
            Ok(())
        })
    }

    fn nvmlDeviceGetHandleByPciBusId(wanted: *const c_char, handle: *mut usize) {
        let wanted = text(wanted)?;
        session::with(|session| {
            *out(handle)? = by_bus_id(session, wanted)?;
            Ok(())
        })
    }

    fn nvmlDeviceGetHandleByPciBusId_v2(wanted: *const c_char, handle: *mut usize) {
        let wanted = text(wanted)?;
        session::with(|session| {
            *out(handle)? = by_bus_id(session, wanted)?;
            Ok(())
        })
    }

    fn nvmlDeviceGetPciInfo(handle: usize, target: *mut PciInfo1) {
        number(target, handle, |device| device.into())
    }

    fn nvmlDeviceGetPciInfo_v2(handle: usize, target: *mut PciInfo2) {
        number(target, handle, |device| device.into())
    }

    fn nvmlDeviceGetPciInfo_v3(handle: usize, target: *mut PciInfo3) {
        number(target, handle, |device| device.into())
    }

    fn nvmlDeviceGetName(handle: usize, target: *mut c_char, length: u32) {
        tell(target, length, handle, |device| Ok(unpadded(&device.name)))
    }

    fn nvmlDeviceGetUUID(handle: usize, target: *mut c_char, length: u32) {
        tell(target, length, handle, |device| Ok(gpu_uuid_text(&device.uuid)))
    }

    fn nvmlDeviceGetSerial(handle: usize, target: *mut c_char, length: u32) {
        tell(target, length, handle, |device| Ok(unpadded(&device.serial)))
    }

    fn nvmlDeviceGetVbiosVersion(handle: usize, target: *mut c_char, length: u32) {
        tell(target, length, handle, |device| Ok(unpadded(&device.vbios)))
    }

    fn nvmlDeviceGetBoardPartNumber(handle: usize, target: *mut c_char, length: u32) {
        tell(target, length, handle, |device| match device.part_number[0] {
            0 => Err(Error::NOT_SUPPORTED),
            _ => Ok(unpadded(&device.part_number)),
        })
    }

    fn nvmlDeviceGetIndex(handle: usize, target: *mut u32) {
        session::with(|session| {
            let (index, _) = session.device(handle)?;
            let place = session.listed().iter().position(|listed| *listed == index);
            *out(target)? = place.ok_or(Error::NOT_FOUND)? as u32;
            Ok(())
        })
    }

    fn nvmlDeviceGetMinorNumber(handle: usize, target: *mut u32) {
        indexed(target, handle, |index| index)
    }

    fn nvmlDeviceGetBrand(handle: usize, target: *mut u32) {
        number(target, handle, |device| device.brand)
    }

    fn nvmlDeviceGetArchitecture(handle: usize, target: *mut u32) {
        number(target, handle, |device| device.architecture)
    }

    fn nvmlDeviceGetCudaComputeCapability(handle: usize, major: *mut i32, minor: *mut i32) {
        number(major, handle, |device| device.capability[0] as i32)?;
        number(minor, handle, |device| device.capability[1] as i32)
    }

    fn nvmlDeviceGetMemoryBusWidth(handle: usize, target: *mut u32) {
        number(target, handle, |device| device.memory_bus_width)
    }

    fn nvmlDeviceGetMultiGpuBoard(handle: usize, target: *mut u32) {
        number(target, handle, |_| 0)
    }

    fn nvmlDeviceGetMaxPcieLinkGeneration(handle: usize, target: *mut u32) {
        number(target, handle, |device| device.pcie[0])
    }

    fn nvmlDeviceGetMaxPcieLinkWidth(handle: usize, target: *mut u32) {
        number(target, handle, |device| device.pcie[1])
    }

    fn nvmlDeviceGetCurrPcieLinkGeneration(handle: usize, target: *mut u32) {
        number(target, handle, |device| device.pcie[0])
    }

    fn nvmlDeviceGetCurrPcieLinkWidth(handle: usize, target: *mut u32) {
        number(target, handle, |device| device.pcie[1])
    }

    fn nvmlDeviceGetNumFans(handle: usize, target: *mut u32) {
        number(target, handle, |device| device.fans)
    }
}
