//! cuDevice…

use std::ffi::c_char;

use crate::door::*;
use driver::{CuResult, device, pool};
use wire::device::unpadded;

/// `cuDeviceGetProperties`: the structure of CUDA 1.0.
#[repr(C)]
pub struct Properties {
    values: [i32; 15],
}

call_trace::opaque! { Properties }

exports! {
    fn cuDeviceGetCount(count: *mut i32) {
        *out(count)? = device::get_count()?;
        Ok(())
    }

    fn cuDeviceGet(device: *mut i32, ordinal: i32) {
        *out(device)? = device::get_ordinal(ordinal)?;
        Ok(())
    }

    fn cuDeviceGetAttribute(value: *mut i32, attribute: i32, device: i32) {
        *out(value)? = device::get_attribute(attribute, device)?;
        Ok(())
    }

    fn cuDeviceGetName(name: *mut c_char, length: i32, device: i32) {
        put_text(name, length, &unpadded(&device::description(device)?.name))
    }

    fn cuDeviceGetUuid(uuid: *mut [u8; 16], device: i32) {
        *out(uuid)? = device::description(device)?.uuid;
        Ok(())
    }

    fn cuDeviceGetUuid_v2(uuid: *mut [u8; 16], device: i32) {
        *out(uuid)? = device::description(device)?.uuid;
        Ok(())
    }

    fn cuDeviceTotalMem_v2(bytes: *mut usize, device: i32) {
        *out(bytes)? = device::description(device)?.total_memory as usize;
        Ok(())
    }

    fn cuDeviceTotalMem(bytes: *mut u32, device: i32) {
        *out(bytes)? = device::description(device)?.total_memory.min(u64::from(u32::MAX)) as u32;
        Ok(())
    }

    fn cuDeviceComputeCapability(major: *mut i32, minor: *mut i32, device: i32) {
        let capability = device::description(device)?.capability;
        *out(major)? = capability[0] as i32;
        *out(minor)? = capability[1] as i32;
        Ok(())
    }

    fn cuDeviceGetProperties(properties: *mut Properties, device: i32) {
        // Threads per block, block extents, grid extents, shared and constant memory, warp, pitch, registers, clock, alignment.
        const FIELDS: [usize; 14] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14];
        let attributes = &device::description(device)?.attributes;
        let target = out(properties)?;
        for (value, attribute) in target.values.iter_mut().zip(FIELDS) {
            *value = attributes[attribute];
        }
        Ok(())
    }

    fn cuDeviceGetPCIBusId(id: *mut c_char, length: i32, device: i32) {
        put_text(id, length, &device::pci_bus_id(device)?)
    }

    fn cuDeviceGetByPCIBusId(device: *mut i32, id: *const c_char) {
        *out(device)? = device::by_pci_bus_id(text(id)?)?;
        Ok(())
    }

    fn cuDeviceCanAccessPeer(can: *mut i32, device: i32, peer: i32) {
        *out(can)? = device::can_access_peer(device, peer)?.into();
        Ok(())
    }

    fn cuDeviceGetP2PAttribute(value: *mut i32, attribute: u32, device: i32, peer: i32) {
        // Performance rank, access, native atomics, array access.
        let access = device::can_access_peer(device, peer)?;
        *out(value)? = match attribute {
            1 => 0,
            2 | 3 => access.into(),
            4 => 0,
            _ => return Err(CuResult::INVALID_VALUE),
        };
        Ok(())
    }

    fn cuDeviceGetDefaultMemPool(pool: *mut usize, device: i32) {
        *out(pool)? = pool::default_of(device)?;
        Ok(())
    }

    fn cuDeviceGetMemPool(pool: *mut usize, device: i32) {
        *out(pool)? = pool::current_of(device)?;
        Ok(())
    }

    fn cuDeviceSetMemPool(device: i32, pool: usize) {
        device::description(device)?;
        pool::set_current(device, pool)
    }

    fn cuDeviceGetTexture1DLinearMaxWidth(width: *mut usize, _format: u32, _channels: u32, device: i32) {
        device::description(device)?;
        *out(width)? = 1 << 28;
        Ok(())
    }
}
