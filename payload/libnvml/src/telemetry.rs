//! More of what moves: engines, clocks and their limits, temperatures, and fields by number.
//!
//! Load, memory and processes are the engine's own. Power, temperature and clocks follow the load between the idle and the
//! greatest value of the profile; energy is what the idle card takes since the machine started.

use std::ffi::c_void;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::door::*;
use crate::figures::{clocks_now, fixed, moving, power_now, temperature_now, told};
use crate::reliability::{errors, remapped};
use crate::session;
use wire::condition::Card;
use wire::device::{Description, Usage, feature};
use wire::reading::event_reasons;

/// `nvmlFieldValue_t`
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FieldValue {
    field: u32,
    scope: u32,
    timestamp: i64,
    latency: i64,
    kind: u32,
    result: u32,
    value: u64,
}

/// `NVML_VALUE_TYPE_…`
const UNSIGNED_INT: u32 = 1;
const UNSIGNED_LONG_LONG: u32 = 3;

/// Clocks of a card go in such steps, MHz.
const STEP: usize = 15;

/// Microseconds over which the driver samples its engines.
const SAMPLE_PERIOD: u32 = 100_000;

/// `nvmlClocksEventReason…`: all that a card can tell.
const EVENT_REASONS: u64 = 0x1ff;

/// `NVML_PERF_POLICY_THERMAL`
const THERMAL: u32 = 1;

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn seconds_up() -> f64 {
    let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    text.split_whitespace().next().and_then(|seconds| seconds.parse().ok()).unwrap_or(0.0)
}

/// mJ.
fn energy(device: &Description) -> u64 {
    (f64::from(device.power[0]) * seconds_up()) as u64
}

/// CLOCK_MONOTONIC nanoseconds.
fn monotonic() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a timespec of ours.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// A field's type and value: the numbers of `NVML_FI_DEV_…` (nvml.h).
fn field(number: u32, device: &Description, usage: &Usage, card: &Card) -> Nvml<(u32, u64)> {
    let [_, slowdown, shutdown, most] = device.temperature.map(u64::from);
    match number {
        // Current and pending mode of ECC; totals and counts by place.
        1 | 2 => with_feature(device, feature::ECC).map(|()| (UNSIGNED_LONG_LONG, 1)),
        3 | 5 => with_feature(device, feature::ECC).map(|()| (UNSIGNED_LONG_LONG, errors(card, 0))),
        4 | 6 => with_feature(device, feature::ECC).map(|()| (UNSIGNED_LONG_LONG, errors(card, 1))),
        // What held clocks down, ns: heat, and nothing else.
        75 => Ok((UNSIGNED_LONG_LONG, card.time_slowed(monotonic()))),
        74 | 76 | 77 | 79 => Ok((UNSIGNED_LONG_LONG, 0)),
        82 => with_feature(device, feature::MEMORY_TEMPERATURE)
            .map(|()| (UNSIGNED_INT, u64::from(temperature_now(device, usage)) + 3)),
        83 => Ok((UNSIGNED_LONG_LONG, energy(device))),
        // Generation of the link, replays.
        94 | 95 => Ok((UNSIGNED_INT, 0)),
        // Remapped rows: correctable, uncorrectable, pending, failed.
        142..=145 => with_feature(device, feature::ROW_REMAPPER)
            .map(|()| (UNSIGNED_LONG_LONG, remapped(card)[number as usize - 142].into())),
        185 | 186 => Ok((UNSIGNED_INT, power_now(device, usage).into())),
        193 => Ok((UNSIGNED_INT, shutdown)),
        194 => Ok((UNSIGNED_INT, slowdown)),
        196 => Ok((UNSIGNED_INT, most)),
        0 => Err(Error::INVALID_ARGUMENT),
        _ => Err(Error::NOT_SUPPORTED),
    }
}

unsafe fn engine(target: *mut u32, period: *mut u32, handle: usize, wanted: u32) -> Nvml {
    // SAFETY: the caller's places.
    unsafe {
        fixed(target, handle, |device| with_feature(device, wanted).map(|()| 0))?;
        fixed(period, handle, |_| Ok(SAMPLE_PERIOD))
    }
}

/// Graphics clocks from the greatest down, or how many there are.
fn graphics_clocks(device: &Description) -> Vec<u32> {
    (device.clocks_idle[0]..=device.clocks_max[0]).rev().step_by(STEP).collect()
}

/// Fills a caller's list, or says how long it has to be.
unsafe fn fill(count: *mut u32, list: *mut u32, values: &[u32]) -> Nvml {
    // SAFETY: the caller's place.
    let room = std::mem::replace(unsafe { out(count) }?, values.len() as u32);
    if list.is_null() || (room as usize) < values.len() {
        return Err(Error::INSUFFICIENT_SIZE);
    }
    // SAFETY: the caller's list has room for that many, by its own word.
    unsafe { std::ptr::copy_nonoverlapping(values.as_ptr(), list, values.len()) };
    Ok(())
}

fn device_of(handle: usize) -> Nvml<Description> {
    session::with(|session| session.device(handle).map(|(_, device)| *device))
}

exports! {
    fn nvmlDeviceGetBAR1MemoryInfo(handle: usize, target: *mut [u64; 3]) {
        // What is mapped for the host: the whole card's memory where the aperture is as large, else the driver's own MiB.
        moving(target, handle, |device, usage| {
            let used = (1 << 20) + if device.bar1 >= usage.total { usage.used } else { 0 };
            Ok([device.bar1, device.bar1 - used, used])
        })
    }

    fn nvmlDeviceGetJpgUtilization(handle: usize, target: *mut u32, period: *mut u32) {
        engine(target, period, handle, feature::JPEG)
    }

    fn nvmlDeviceGetOfaUtilization(handle: usize, target: *mut u32, period: *mut u32) {
        engine(target, period, handle, feature::JPEG)
    }

    fn nvmlDeviceGetDynamicPstatesInfo(handle: usize, target: *mut [u32; 33]) {
        /// GPU, frame buffer, video, bus.
        const DOMAINS: usize = 4;
        moving(target, handle, |_, usage| {
            let mut info = [0; 33];
            for domain in 0..DOMAINS {
                info[1 + 4 * domain] = 1;
            }
            [info[2], info[6]] = [usage.utilisation, usage.memory_utilisation];
            Ok(info)
        })
    }

    fn nvmlDeviceGetCurrentClocksEventReasons(handle: usize, target: *mut u64) {
        moving(target, handle, |device, usage| Ok(event_reasons(device, usage)))
    }

    fn nvmlDeviceGetCurrentClocksThrottleReasons(handle: usize, target: *mut u64) {
        moving(target, handle, |device, usage| Ok(event_reasons(device, usage)))
    }

    fn nvmlDeviceGetSupportedClocksEventReasons(handle: usize, target: *mut u64) {
        fixed(target, handle, |_| Ok(EVENT_REASONS))
    }

    fn nvmlDeviceGetSupportedClocksThrottleReasons(handle: usize, target: *mut u64) {
        fixed(target, handle, |_| Ok(EVENT_REASONS))
    }

    fn nvmlDeviceGetMaxCustomerBoostClock(handle: usize, kind: u32, target: *mut u32) {
        fixed(target, handle, |device| match kind {
            0 | 1 => Ok(device.clocks_max[kind as usize]),
            _ => Err(Error::NOT_SUPPORTED),
        })
    }

    fn nvmlDeviceGetClock(handle: usize, kind: u32, which: u32, target: *mut u32) {
        /// `NVML_CLOCK_ID_CUSTOMER_BOOST_MAX`: only the graphics and SM clocks have one.
        const CUSTOMER_BOOST_MAX: u32 = 3;
        moving(target, handle, |device, usage| {
            match (kind, which) {
                (4.., _) | (_, 4..) => Err(Error::INVALID_ARGUMENT),
                (_, 0) => Ok(clocks_now(device, usage)[kind as usize]),
                (3, _) | (2, CUSTOMER_BOOST_MAX) => Err(Error::NOT_SUPPORTED),
                _ => Ok(device.clocks_max[kind as usize]),
            }
        })
    }

    fn nvmlDeviceGetMinMaxClockOfPState(handle: usize, kind: u32, state: u32, least: *mut u32, most: *mut u32) {
        let device = device_of(handle)?;
        if kind > 3 || state != 0 && state != 2 {
            return Err(Error::UNKNOWN);
        }
        *out(least)? = device.clocks_idle[kind as usize];
        *out(most)? = device.clocks_max[kind as usize];
        Ok(())
    }

    fn nvmlDeviceGetSupportedPerformanceStates(handle: usize, list: *mut u32, bytes: u32) {
        const NVML_PSTATE_UNKNOWN: u32 = 32;
        session::check(handle)?;
        out(list)?;
        for index in 0..bytes as usize / size_of::<u32>() {
            list.add(index).write([0, 2].get(index).copied().unwrap_or(NVML_PSTATE_UNKNOWN));
        }
        Ok(())
    }

    fn nvmlDeviceGetSupportedMemoryClocks(handle: usize, count: *mut u32, list: *mut u32) {
        fill(count, list, &[device_of(handle)?.clocks_max[2]])
    }

    fn nvmlDeviceGetSupportedGraphicsClocks(handle: usize, memory: u32, count: *mut u32, list: *mut u32) {
        let device = device_of(handle)?;
        if memory != device.clocks_max[2] {
            return Err(Error::NOT_FOUND);
        }
        fill(count, list, &graphics_clocks(&device))
    }

    fn nvmlDeviceGetMarginTemperature(handle: usize, target: *mut [u32; 2]) {
        let version = versioned(target.cast(), 0x0100_0008)?;
        moving(target, handle, |device, usage| {
            with_feature(device, feature::MARGINS)?;
            Ok([version, device.temperature[3].saturating_sub(temperature_now(device, usage))])
        })
    }

    fn nvmlDeviceGetTemperatureV(handle: usize, target: *mut [u32; 3]) {
        let version = versioned(target.cast(), 0x0100_000c)?;
        let [_, sensor, _] = *out(target)?;
        if sensor != 0 {
            return Err(Error::INVALID_ARGUMENT);
        }
        moving(target, handle, |device, usage| Ok([version, sensor, temperature_now(device, usage)]))
    }

    fn nvmlDeviceGetTotalEnergyConsumption(handle: usize, target: *mut u64) {
        fixed(target, handle, |device| Ok(energy(device)))
    }

    fn nvmlDeviceGetViolationStatus(handle: usize, policy: u32, target: *mut [u64; 2]) {
        // When it was looked at (us), and how long clocks were held down since (ns).
        told(target, handle, |_, card| match policy {
            THERMAL => Ok([since_epoch().as_micros() as u64, card.time_slowed(monotonic())]),
            0..=5 | 10 | 11 => Ok([since_epoch().as_micros() as u64, 0]),
            _ => Err(Error::INVALID_ARGUMENT),
        })
    }

    fn nvmlDeviceGetPowerState(handle: usize, target: *mut u32) {
        moving(target, handle, |device, usage| Ok(performance_state(device, usage)))
    }

    fn nvmlDeviceGetPerformanceState(handle: usize, target: *mut u32) {
        moving(target, handle, |device, usage| Ok(performance_state(device, usage)))
    }

    fn nvmlDeviceGetFieldValues(handle: usize, count: i32, values: *mut c_void) {
        session::with(|session| {
            let (index, device) = session.device(handle)?;
            let (usage, card) = (session.usage(handle)?, session.card(index)?);
            let values: *mut FieldValue = values.cast();
            if values.is_null() || count < 1 {
                return Err(Error::INVALID_ARGUMENT);
            }
            for index in 0..count as usize {
                let value = &mut *values.add(index);
                let answer = field(value.field, device, &usage, card);
                value.result = answer.map_or_else(|error| error.0, |_| 0);
                if let Ok((kind, number)) = answer {
                    let now = since_epoch().as_micros() as i64;
                    *value = FieldValue { timestamp: now, latency: 0, kind, value: number, ..*value };
                }
            }
            Ok(())
        })
    }
}

/// Cards for data centres stay in P0 (recorded); others rest.
fn performance_state(device: &Description, usage: &Usage) -> u32 {
    if usage.utilisation > 0 || device.features & feature::MIG != 0 { 0 } else { 8 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_have_the_sizes_of_the_c_interface() {
        assert_eq!(size_of::<FieldValue>(), 40);
    }
}
