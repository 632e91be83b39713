//! More of what moves: engines, clocks and their limits, temperatures.
//!
//! Load, memory and processes are the engine's own. Power, temperature and clocks follow the load between the idle and the
//! greatest value of the profile; energy is what the idle card takes since the machine started.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::door::*;
use crate::figures::{fixed, moving, told};
use crate::now::Now;
use crate::session;
use wire::device::{Description, feature};

/// Microseconds over which the driver samples its engines.
const SAMPLE_PERIOD: u32 = 100_000;

/// `nvmlClocksEventReason…`: all that a card can tell.
const EVENT_REASONS: u64 = 0x1ff;

/// `NVML_PERF_POLICY_THERMAL`
const THERMAL: u32 = 1;

/// How long it has been 1970.
pub fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn seconds_up() -> f64 {
    let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    text.split_whitespace().next().and_then(|seconds| seconds.parse().ok()).unwrap_or(0.0)
}

/// mJ.
pub fn energy(device: &Description) -> u64 {
    (f64::from(device.power[0]) * seconds_up()) as u64
}

/// CLOCK_MONOTONIC nanoseconds.
pub fn monotonic() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a timespec of ours.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

unsafe fn engine(target: *mut u32, period: *mut u32, handle: usize, wanted: u32) -> Nvml {
    // SAFETY: the caller's places.
    unsafe {
        fixed(target, handle, |device| with_feature(device, wanted).map(|()| 0))?;
        fixed(period, handle, |_| Ok(SAMPLE_PERIOD))
    }
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
        moving(target, handle, |Now { device, usage, .. }| {
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
        moving(target, handle, |Now { usage, .. }| {
            let mut info = [0; 33];
            for domain in 0..DOMAINS {
                info[1 + 4 * domain] = 1;
            }
            [info[2], info[6]] = [usage.utilisation, usage.memory_utilisation];
            Ok(info)
        })
    }

    fn nvmlDeviceGetCurrentClocksEventReasons(handle: usize, target: *mut u64) {
        moving(target, handle, |now| Ok(now.event_reasons()))
    }

    fn nvmlDeviceGetCurrentClocksThrottleReasons(handle: usize, target: *mut u64) {
        moving(target, handle, |now| Ok(now.event_reasons()))
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
        moving(target, handle, |now| {
            let device = now.device;
            match (kind, which) {
                (4.., _) | (_, 4..) => Err(Error::INVALID_ARGUMENT),
                (_, 0) => Ok(now.clocks()[kind as usize]),
                (3, _) | (2, CUSTOMER_BOOST_MAX) => Err(Error::NOT_SUPPORTED),
                _ => Ok(device.clocks_max[kind as usize]),
            }
        })
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
        fill(count, list, device_of(handle)?.memory_clocks())
    }

    fn nvmlDeviceGetSupportedGraphicsClocks(handle: usize, memory: u32, count: *mut u32, list: *mut u32) {
        let device = device_of(handle)?;
        if !device.memory_clocks().contains(&memory) {
            return Err(Error::NOT_FOUND);
        }
        fill(count, list, &device.graphics_clocks().collect::<Vec<_>>())
    }

    fn nvmlDeviceGetMarginTemperature(handle: usize, target: *mut [u32; 2]) {
        let version = versioned(target.cast(), 0x0100_0008)?;
        moving(target, handle, |now| {
            with_feature(now.device, feature::MARGINS)?;
            Ok([version, now.device.temperature[3].saturating_sub(now.temperature())])
        })
    }

    fn nvmlDeviceGetTemperatureV(handle: usize, target: *mut [u32; 3]) {
        let version = versioned(target.cast(), 0x0100_000c)?;
        let [_, sensor, _] = *out(target)?;
        if sensor != 0 {
            return Err(Error::INVALID_ARGUMENT);
        }
        moving(target, handle, |now| Ok([version, sensor, now.temperature()]))
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
        moving(target, handle, |now| Ok(now.performance_state()))
    }

    fn nvmlDeviceGetPerformanceState(handle: usize, target: *mut u32) {
        moving(target, handle, |now| Ok(now.performance_state()))
    }
}
