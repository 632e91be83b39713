//! Errors of memory and what was done about them. By itself nothing fails here: what is counted are faults that operators order.
//!
//! Injected errors are all of the card's memory, not of its caches, and were counted since the driver was loaded as well as ever. Where
//! a card can replace rows, each error that was not corrected has taken one, which is pending until `clear`; elsewhere a page is retired.

use std::ffi::c_void;

use crate::door::*;
use crate::figures::{fixed, kept, told};
use crate::session;
use wire::condition::{Card, Counter, SPARE_ROWS};
use wire::device::{Description, feature};
use wire::settings::Setting;

fn with_ecc<T>(device: &Description, value: T) -> Nvml<T> {
    with_feature(device, feature::ECC).map(|()| value)
}

fn with_remapper<T>(device: &Description, value: T) -> Nvml<T> {
    with_feature(device, feature::ROW_REMAPPER).map(|()| value)
}

/// Pages are retired where rows cannot be replaced.
fn with_retirement<T>(device: &Description, value: T) -> Nvml<T> {
    if device.features & feature::ROW_REMAPPER != 0 {
        Err(Error::NOT_SUPPORTED)
    } else {
        with_ecc(device, value)
    }
}

/// Banks of memory: five stacks of HBM3 (recorded), of HBM2e.
fn banks(device: &Description) -> u32 {
    if device.capability[0] >= 9 { 2560 } else { 640 }
}

/// Errors by `nvmlMemoryErrorType_t` (those corrected are 0) and `nvmlEccCounterType_t`.
fn errors(card: &Card, kind: u32, counter: u32) -> Nvml<u64> {
    let counter = [Counter::Volatile, Counter::Aggregate].into_iter().find(|it| *it as u32 == counter);
    let errors = card.errors(counter.ok_or(Error::INVALID_ARGUMENT)?);
    errors.get(kind as usize).copied().ok_or(Error::INVALID_ARGUMENT)
}

/// Rows replaced for corrected and other errors, whether some are pending, and whether one could not be.
pub fn remapped(card: &Card) -> [u32; 4] {
    let rows = card.remapped_rows();
    [0, rows, u32::from(rows > 0), card.is_out_of_rows().into()]
}

/// How many banks have all of their spare rows, many, some, few, none. Errors are all of one bank; where many begins and few ends is
/// our choice.
fn histogram(device: &Description, card: &Card) -> [u32; 5] {
    let mut histogram = [banks(device), 0, 0, 0, 0];
    let class = match SPARE_ROWS - card.remapped_rows() {
        SPARE_ROWS => return histogram,
        5.. => 1,
        2.. => 2,
        1 => 3,
        0 => 4,
    };
    histogram[0] -= 1;
    histogram[class] += 1;
    histogram
}

/// `nvmlMemoryLocation_t` that counters of a card since Ampere are kept for.
const DRAM: u32 = 2;
const SRAM: u32 = 7;

/// `nvmlPageRetirementCause_t`: several corrected errors is 0.
const DOUBLE_BIT: u32 = 1;

/// Bytes of a page that is retired.
const PAGE: u64 = 64 << 10;

/// Addresses of retired pages, for a caller's lists.
unsafe fn retired(handle: usize, cause: u32, count: *mut u32, addresses: *mut u64, times: *mut u64) -> Nvml {
    if cause > DOUBLE_BIT {
        return Err(Error::INVALID_ARGUMENT);
    }
    session::with(|session| {
        let (index, device) = session.device(handle)?;
        let pages = with_retirement(device, session.card(index)?.retired_pages())?;
        let pages = if cause == DOUBLE_BIT { pages } else { 0 };
        // SAFETY: the caller's place.
        let room = std::mem::replace(unsafe { out(count) }?, pages);
        if room < pages {
            return Err(Error::INSUFFICIENT_SIZE);
        }
        for page in 0..pages {
            // SAFETY: the caller's lists have room for that many, by its own word.
            unsafe {
                if !addresses.is_null() {
                    addresses.add(page as usize).write(PAGE * (u64::from(page) + 1));
                }
                if !times.is_null() {
                    times.add(page as usize).write(0);
                }
            }
        }
        Ok(())
    })
}

exports! {
    fn nvmlDeviceGetEccMode(handle: usize, current: *mut u32, pending: *mut u32) {
        fixed(current, handle, |device| with_ecc(device, 1))?;
        kept(pending, handle, |device, settings| with_ecc(device, settings.value(Setting::EccMode).unwrap_or(1)))
    }

    fn nvmlDeviceGetDefaultEccMode(handle: usize, target: *mut u32) {
        fixed(target, handle, |device| with_ecc(device, 1))
    }

    fn nvmlDeviceGetTotalEccErrors(handle: usize, kind: u32, counter: u32, target: *mut u64) {
        told(target, handle, |device, card| with_ecc(device, errors(card, kind, counter)?))
    }

    fn nvmlDeviceGetDetailedEccErrors(handle: usize, kind: u32, counter: u32, target: *mut [u64; 4]) {
        // First and second cache, memory, registers.
        told(target, handle, |device, card| with_ecc(device, [0, 0, errors(card, kind, counter)?, 0]))
    }

    fn nvmlDeviceGetMemoryErrorCounter(handle: usize, kind: u32, counter: u32, location: u32, target: *mut u64) {
        told(target, handle, |device, card| {
            let of_memory = errors(card, kind, counter)?;
            match location {
                DRAM => with_ecc(device, of_memory),
                SRAM => with_ecc(device, 0),
                _ => Err(Error::NOT_SUPPORTED),
            }
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
        for (index, place) in [correctable, uncorrectable, pending, failed].into_iter().enumerate() {
            told(place, handle, |device, card| with_remapper(device, remapped(card)[index]))?;
        }
        Ok(())
    }

    fn nvmlDeviceGetRemappedRows_v2(handle: usize, target: *mut [u32; 6]) {
        told(target, handle, |device, card| {
            // Of both counts the active rows come first, then those that are not.
            let [correctable, uncorrectable, pending, failed] = remapped(card);
            with_remapper(device, [correctable, 0, uncorrectable, 0, pending, failed])
        })
    }

    fn nvmlDeviceGetRowRemapperHistogram(handle: usize, target: *mut [u32; 5]) {
        told(target, handle, |device, card| with_remapper(device, histogram(device, card)))
    }

    fn nvmlDeviceGetRepairStatus(handle: usize, target: *mut [u32; 3]) {
        let version = versioned(target.cast(), 0x0100_000c)?;
        fixed(target, handle, |device| with_remapper(device, [version, 0, 0]))
    }

    fn nvmlDeviceGetUnrepairableMemoryFlag_v1(handle: usize, target: *mut u32) {
        told(target, handle, |device, card| with_remapper(device, card.is_out_of_rows().into()))
    }

    fn nvmlDeviceGetRetiredPages(handle: usize, cause: u32, count: *mut u32, addresses: *mut u64) {
        retired(handle, cause, count, addresses, std::ptr::null_mut())
    }

    fn nvmlDeviceGetRetiredPages_v2(handle: usize, cause: u32, count: *mut u32, addresses: *mut u64, times: *mut u64) {
        retired(handle, cause, count, addresses, times)
    }

    fn nvmlDeviceGetRetiredPagesPendingStatus(handle: usize, target: *mut u32) {
        told(target, handle, |device, card| with_retirement(device, u32::from(card.retired_pages() > 0)))
    }

    fn nvmlDeviceGetSramUniqueUncorrectedEccErrorCounts(handle: usize, target: *mut c_void) {
        session::check(handle)?;
        versioned(target.cast(), 0x0100_0010)?;
        Err(Error::NOT_SUPPORTED)
    }

    fn nvmlDeviceGetLastBBXFlushTime(handle: usize, _time: *mut u64, _duration: *mut c_void) {
        const NVML_ERROR_NOT_READY: Error = Error(27);
        session::check(handle)?;
        Err(NVML_ERROR_NOT_READY)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn a_bank_that_loses_rows_moves_through_the_histogram() {
        let mut device: Description = bytemuck::Zeroable::zeroed();
        device.capability = [9, 0];
        let card = Card::default();
        let after = |errors: u64| {
            card.uncorrected.store(errors, Ordering::Relaxed);
            histogram(&device, &card)
        };
        assert_eq!(after(0), [2560, 0, 0, 0, 0]);
        assert_eq!((after(1), after(6)), ([2559, 1, 0, 0, 0], [2559, 0, 1, 0, 0]));
        assert_eq!((after(7), after(9)), ([2559, 0, 0, 1, 0], [2559, 0, 0, 0, 1]));
        assert_eq!(remapped(&card), [0, 8, 1, 1]);
    }
}
