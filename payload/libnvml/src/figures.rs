//! Memory, load, clocks, power, temperature, modes.

use crate::door::*;
use crate::now::Now;
use crate::session::{self, Session};
use wire::condition::Card;
use wire::device::{Description, feature};
use wire::settings::{Setting, Settings};

/// `nvmlMemory_t`
#[repr(C)]
pub struct Memory {
    total: u64,
    free: u64,
    used: u64,
}

call_trace::fields! { Memory { total, free, used } }

/// `nvmlMemory_v2_t`
#[repr(C)]
pub struct Memory2 {
    version: u32,
    total: u64,
    reserved: u64,
    free: u64,
    used: u64,
}

call_trace::fields! { Memory2 { version, total, reserved, free, used } }

/// `nvmlUtilization_t`
#[repr(C)]
pub struct Utilization {
    gpu: u32,
    memory: u32,
}

call_trace::fields! { Utilization { gpu, memory } }

/// Something that moves.
pub unsafe fn moving<T>(target: *mut T, handle: usize, of: impl FnOnce(&Now) -> Nvml<T>) -> Nvml {
    session::with(|session| {
        let value = of(&session.now(handle)?)?;
        // SAFETY: the caller's place.
        *unsafe { out(target) }? = value;
        Ok(())
    })
}

/// Something that does not.
pub unsafe fn fixed<T>(target: *mut T, handle: usize, of: impl FnOnce(&Description) -> Nvml<T>) -> Nvml {
    // SAFETY: as our caller says.
    unsafe { written(target, handle, |_, _, device| of(device)) }
}

/// Something that faults change.
pub unsafe fn told<T>(
    target: *mut T,
    handle: usize,
    of: impl FnOnce(&Description, &Card) -> Nvml<T>,
) -> Nvml {
    // SAFETY: as our caller says.
    unsafe { written(target, handle, |session, index, device| of(device, session.card(index)?)) }
}

/// Something that can be set.
pub unsafe fn kept<T>(
    target: *mut T,
    handle: usize,
    of: impl FnOnce(&Description, &Settings) -> Nvml<T>,
) -> Nvml {
    // SAFETY: as our caller says.
    unsafe { written(target, handle, |session, index, device| of(device, session.settings(index)?)) }
}

/// What a session knows of a device, to the caller's place.
unsafe fn written<T>(
    target: *mut T,
    handle: usize,
    of: impl FnOnce(&Session, u32, &Description) -> Nvml<T>,
) -> Nvml {
    session::with(|session| {
        let (index, device) = session.device(handle)?;
        let value = of(session, index, device)?;
        // SAFETY: the caller's place.
        *unsafe { out(target) }? = value;
        Ok(())
    })
}

/// `nvmlClockType_t`: graphics, SM, memory, video.
fn clock(clocks: [u32; 4], kind: u32) -> Nvml<u32> {
    clocks.get(kind as usize).copied().ok_or(Error::INVALID_ARGUMENT)
}

/// There is a type of clock more, which nobody can read (recorded).
fn clock_now(now: &Now, kind: u32) -> Nvml<u32> {
    const COUNT: u32 = 4;
    if kind == COUNT { Err(Error::NOT_SUPPORTED) } else { clock(now.clocks(), kind) }
}

/// Clocks that applications get: not the video engine's.
fn application_clock(device: &Description, settings: &Settings, kind: u32) -> Nvml<u32> {
    let [memory, graphics] = settings.application_clocks(device).ok_or(Error::NOT_SUPPORTED)?;
    match kind {
        3 => Err(Error::NOT_SUPPORTED),
        kind => clock([graphics, graphics, memory, 0], kind),
    }
}

exports! {
    // The first form of the structure has no place for what the driver reserves: it counts as used (recorded on an H100).
    fn nvmlDeviceGetMemoryInfo(handle: usize, target: *mut Memory) {
        moving(target, handle, |Now { device, usage, .. }| {
            let reserved = device.reserved_memory;
            Ok(Memory { total: usage.total + reserved, free: usage.free, used: usage.used + reserved })
        })
    }

    fn nvmlDeviceGetMemoryInfo_v2(handle: usize, target: *mut Memory2) {
        const VERSION_2: u32 = 0x0200_0028;
        let version = out(target)?.version;
        if version != VERSION_2 {
            return Err(Error::FUNCTION_NOT_FOUND);
        }
        moving(target, handle, |Now { device, usage, .. }| {
            let reserved = device.reserved_memory;
            Ok(Memory2 { version, total: usage.total + reserved, reserved, free: usage.free, used: usage.used })
        })
    }

    fn nvmlDeviceGetUtilizationRates(handle: usize, target: *mut Utilization) {
        moving(target, handle, |Now { usage, .. }| Ok(Utilization { gpu: usage.utilisation, memory: usage.memory_utilisation }))
    }

    fn nvmlDeviceGetTemperature(handle: usize, sensor: u32, target: *mut u32) {
        if sensor != 0 {
            return Err(Error::INVALID_ARGUMENT);
        }
        moving(target, handle, |now| Ok(now.temperature()))
    }

    fn nvmlDeviceGetTemperatureThreshold(handle: usize, kind: u32, target: *mut u32) {
        // Shutdown, slowdown, the memory's greatest, the greatest of operation; acoustic ones: least, current, greatest; one more.
        let known = |celsius: u32| if celsius == 0 { Err(Error::NOT_SUPPORTED) } else { Ok(celsius) };
        fixed(target, handle, |device| {
            let [_, slowdown, shutdown, most] = device.temperature;
            match kind {
                0 => Ok(shutdown),
                1 => Ok(slowdown),
                2 => known(device.memory_temperature),
                3 => Ok(most),
                5 => known(device.target_temperature),
                4..=7 => Err(Error::NOT_SUPPORTED),
                _ => Err(Error::INVALID_ARGUMENT),
            }
        })
    }

    fn nvmlDeviceGetPowerUsage(handle: usize, target: *mut u32) {
        moving(target, handle, |now| Ok(now.power()))
    }

    fn nvmlDeviceGetEnforcedPowerLimit(handle: usize, target: *mut u32) {
        kept(target, handle, |device, settings| Ok(settings.power_limit(device)))
    }

    fn nvmlDeviceGetPowerManagementLimit(handle: usize, target: *mut u32) {
        kept(target, handle, |device, settings| Ok(settings.power_limit(device)))
    }

    fn nvmlDeviceGetPowerManagementDefaultLimit(handle: usize, target: *mut u32) {
        fixed(target, handle, |device| Ok(device.power[1]))
    }

    fn nvmlDeviceGetPowerManagementLimitConstraints(handle: usize, least: *mut u32, most: *mut u32) {
        fixed(least, handle, |device| Ok(device.power[2]))?;
        fixed(most, handle, |device| Ok(device.power[3]))
    }

    fn nvmlDeviceGetPowerManagementMode(handle: usize, target: *mut u32) {
        fixed(target, handle, |_| Ok(1))
    }

    fn nvmlDeviceGetClockInfo(handle: usize, kind: u32, target: *mut u32) {
        moving(target, handle, |now| clock_now(now, kind))
    }

    fn nvmlDeviceGetMaxClockInfo(handle: usize, kind: u32, target: *mut u32) {
        fixed(target, handle, |device| clock(device.clocks_max, kind))
    }

    fn nvmlDeviceGetApplicationsClock(handle: usize, kind: u32, target: *mut u32) {
        kept(target, handle, |device, settings| application_clock(device, settings, kind))
    }

    fn nvmlDeviceGetDefaultApplicationsClock(handle: usize, kind: u32, target: *mut u32) {
        fixed(target, handle, |device| application_clock(device, &Settings::default(), kind))
    }

    fn nvmlDeviceGetPersistenceMode(handle: usize, target: *mut u32) {
        kept(target, handle, |_, settings| Ok(settings.value(Setting::PersistenceMode).unwrap_or(1)))
    }

    fn nvmlDeviceGetComputeMode(handle: usize, target: *mut u32) {
        kept(target, handle, |_, settings| Ok(settings.compute_mode()))
    }

    fn nvmlDeviceGetDisplayMode(handle: usize, target: *mut u32) {
        fixed(target, handle, |device| Ok(u32::from(device.features & feature::DISPLAY != 0)))
    }

    fn nvmlDeviceGetDisplayActive(handle: usize, target: *mut u32) {
        fixed(target, handle, |_| Ok(0))
    }

    fn nvmlDeviceGetEncoderUtilization(handle: usize, target: *mut u32, period: *mut u32) {
        fixed(target, handle, |_| Ok(0))?;
        fixed(period, handle, |_| Ok(100_000))
    }

    fn nvmlDeviceGetDecoderUtilization(handle: usize, target: *mut u32, period: *mut u32) {
        fixed(target, handle, |_| Ok(0))?;
        fixed(period, handle, |_| Ok(100_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_have_the_sizes_of_the_c_interface() {
        assert_eq!(size_of::<Memory>(), 24);
        assert_eq!(size_of::<Memory2>(), 40);
    }
}
