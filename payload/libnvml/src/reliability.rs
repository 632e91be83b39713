//! Errors of memory and what was done about them. Nothing ever fails here: every count is zero.

use std::ffi::c_void;

use crate::door::*;
use crate::figures::fixed;
use crate::session;
use wire::device::{Description, feature};

fn with_ecc<T>(device: &Description, value: T) -> Nvml<T> {
    with_feature(device, feature::ECC).map(|()| value)
}

fn with_remapper<T>(device: &Description, value: T) -> Nvml<T> {
    with_feature(device, feature::ROW_REMAPPER).map(|()| value)
}

/// Banks that have all their spare rows: five stacks of HBM3 (recorded), of HBM2e.
fn banks(device: &Description) -> u32 {
    if device.capability[0] >= 9 { 2560 } else { 640 }
}

/// `nvmlMemoryLocation_t` that counters of a card since Ampere are kept for.
const DRAM: u32 = 2;
const SRAM: u32 = 7;

exports! {
    fn nvmlDeviceGetEccMode(handle: usize, current: *mut u32, pending: *mut u32) {
        fixed(current, handle, |device| with_ecc(device, 1))?;
        fixed(pending, handle, |device| with_ecc(device, 1))
    }

    fn nvmlDeviceGetDefaultEccMode(handle: usize, target: *mut u32) {
        fixed(target, handle, |device| with_ecc(device, 1))
    }

    fn nvmlDeviceGetTotalEccErrors(handle: usize, kind: u32, counter: u32, target: *mut u64) {
        if kind > 1 || counter > 1 {
            return Err(Error::INVALID_ARGUMENT);
        }
        fixed(target, handle, |device| with_ecc(device, 0))
    }

    fn nvmlDeviceGetDetailedEccErrors(handle: usize, kind: u32, counter: u32, target: *mut [u64; 4]) {
        if kind > 1 || counter > 1 {
            return Err(Error::INVALID_ARGUMENT);
        }
        fixed(target, handle, |device| with_ecc(device, [0; 4]))
    }

    fn nvmlDeviceGetMemoryErrorCounter(handle: usize, kind: u32, counter: u32, location: u32, target: *mut u64) {
        if kind > 1 || counter > 1 {
            return Err(Error::INVALID_ARGUMENT);
        }
        fixed(target, handle, |device| match location {
            DRAM | SRAM => with_ecc(device, 0),
            _ => Err(Error::NOT_SUPPORTED),
        })
    }

    fn nvmlDeviceGetSramEccErrorStatus(handle: usize, target: *mut [u32; 26]) {
        let version = versioned(target.cast(), 0x0100_0068)?;
        fixed(target, handle, |device| {
            let mut status = [0; 26];
            status[0] = version;
            with_ecc(device, status)
        })
    }

    fn nvmlDeviceGetRemappedRows(handle: usize, correctable: *mut u32, uncorrectable: *mut u32, pending: *mut u32, failed: *mut u32) {
        for place in [correctable, uncorrectable, pending, failed] {
            fixed(place, handle, |device| with_remapper(device, 0))?;
        }
        Ok(())
    }

    fn nvmlDeviceGetRemappedRows_v2(handle: usize, target: *mut [u32; 6]) {
        fixed(target, handle, |device| with_remapper(device, [0; 6]))
    }

    fn nvmlDeviceGetRowRemapperHistogram(handle: usize, target: *mut [u32; 5]) {
        fixed(target, handle, |device| with_remapper(device, [banks(device), 0, 0, 0, 0]))
    }

    fn nvmlDeviceGetRepairStatus(handle: usize, target: *mut [u32; 3]) {
        let version = versioned(target.cast(), 0x0100_000c)?;
        fixed(target, handle, |device| with_remapper(device, [version, 0, 0]))
    }

    fn nvmlDeviceGetUnrepairableMemoryFlag_v1(handle: usize, target: *mut u32) {
        fixed(target, handle, |device| with_remapper(device, 0))
    }

    fn nvmlDeviceGetLastBBXFlushTime(handle: usize, _time: *mut u64, _duration: *mut c_void) {
        const NVML_ERROR_NOT_READY: Error = Error(27);
        session::check(handle)?;
        Err(NVML_ERROR_NOT_READY)
    }
}
