//! Memory, load, clocks, power, temperature, modes.

use crate::door::*;
use crate::session;
use wire::condition::Card;
use wire::device::{Description, Usage, feature};
use wire::reading::scaled;

pub use wire::reading::{clocks as clocks_now, power as power_now, temperature as temperature_now};

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
pub unsafe fn moving<T>(
    target: *mut T,
    handle: usize,
    of: impl FnOnce(&Description, &Usage) -> Nvml<T>,
) -> Nvml {
    session::with(|session| {
        let (_, device) = session.device(handle)?;
        let value = of(device, &session.usage(handle)?)?;
        // SAFETY: the caller's place.
        *unsafe { out(target) }? = value;
        Ok(())
    })
}

/// Something that does not.
pub unsafe fn fixed<T>(target: *mut T, handle: usize, of: impl FnOnce(&Description) -> Nvml<T>) -> Nvml {
    session::with(|session| {
        let value = of(session.device(handle)?.1)?;
        // SAFETY: the caller's place.
        *unsafe { out(target) }? = value;
        Ok(())
    })
}

/// Something that faults change.
pub unsafe fn told<T>(
    target: *mut T,
    handle: usize,
    of: impl FnOnce(&Description, &Card) -> Nvml<T>,
) -> Nvml {
    session::with(|session| {
        let (index, device) = session.device(handle)?;
        let value = of(device, session.card(index)?)?;
        // SAFETY: the caller's place.
        *unsafe { out(target) }? = value;
        Ok(())
    })
}

/// `nvmlClockType_t`: graphics, SM, memory, video.
fn clock(clocks: [u32; 4], kind: u32) -> Nvml<u32> {
    clocks.get(kind as usize).copied().ok_or(Error::INVALID_ARGUMENT)
}

/// Clocks that applications can ask for: not the video engine's.
fn application_clock(device: &Description, kind: u32) -> Nvml<u32> {
    if kind == 3 { Err(Error::NOT_SUPPORTED) } else { clock(device.clocks_max, kind) }
}

/// Where a card has fans, nobody can steer them.
fn no_such_fan(handle: usize) -> Nvml {
    let fans = session::with(|session| Ok(session.device(handle)?.1.fans))?;
    Err(if fans == 0 { Error::INVALID_ARGUMENT } else { Error::NOT_SUPPORTED })
}

exports! {
    // The first form of the structure has no place for what the driver reserves: it counts as used (recorded on an H100).
    fn nvmlDeviceGetMemoryInfo(handle: usize, target: *mut Memory) {
        moving(target, handle, |device, usage| {
            let reserved = device.reserved_memory;
            Ok(Memory { total: usage.total + reserved, free: usage.free, used: usage.used + reserved })
        })
    }

    fn nvmlDeviceGetMemoryInfo_v2(handle: usize, target: *mut Memory2) {
        const VERSION_2: u32 = 0x0200_0028;
        let version = out(target)?.version;
        if version != VERSION_2 {
            return Err(Error::VERSION_MISMATCH);
        }
        moving(target, handle, |device, usage| {
            let reserved = device.reserved_memory;
            Ok(Memory2 { version, total: usage.total + reserved, reserved, free: usage.free, used: usage.used })
        })
    }

    fn nvmlDeviceGetUtilizationRates(handle: usize, target: *mut Utilization) {
        moving(target, handle, |_, usage| Ok(Utilization { gpu: usage.utilisation, memory: usage.memory_utilisation }))
    }

    fn nvmlDeviceGetTemperature(handle: usize, sensor: u32, target: *mut u32) {
        if sensor != 0 {
            return Err(Error::INVALID_ARGUMENT);
        }
        moving(target, handle, |device, usage| Ok(temperature_now(device, usage)))
    }

    fn nvmlDeviceGetTemperatureThreshold(handle: usize, kind: u32, target: *mut u32) {
        // Shutdown, slowdown, the memory's greatest (which is that of shutdown), the greatest of operation; then acoustic ones.
        fixed(target, handle, |device| {
            let [_, slowdown, shutdown, most] = device.temperature;
            match kind {
                0 => Ok(shutdown),
                1 => Ok(slowdown),
                2 => with_feature(device, feature::MEMORY_TEMPERATURE).map(|()| shutdown),
                3 => Ok(most),
                4..=7 => Err(Error::NOT_SUPPORTED),
                _ => Err(Error::INVALID_ARGUMENT),
            }
        })
    }

    fn nvmlDeviceGetFanSpeed(handle: usize, target: *mut u32) {
        moving(target, handle, |device, usage| if device.fans == 0 { Err(Error::NOT_SUPPORTED) } else { Ok(scaled(0, 80, usage.utilisation)) })
    }

    fn nvmlDeviceGetFanSpeed_v2(handle: usize, fan: u32, target: *mut u32) {
        moving(target, handle, |device, usage| if fan >= device.fans { Err(Error::INVALID_ARGUMENT) } else { Ok(scaled(0, 80, usage.utilisation)) })
    }

    fn nvmlDeviceGetMinMaxFanSpeed(handle: usize, _least: *mut u32, _most: *mut u32) {
        no_such_fan(handle)
    }

    fn nvmlDeviceGetTargetFanSpeed(handle: usize, _fan: u32, _target: *mut u32) {
        no_such_fan(handle)
    }

    fn nvmlDeviceGetFanControlPolicy_v2(handle: usize, _fan: u32, _target: *mut u32) {
        no_such_fan(handle)
    }

    fn nvmlDeviceGetPowerUsage(handle: usize, target: *mut u32) {
        moving(target, handle, |device, usage| Ok(power_now(device, usage)))
    }

    fn nvmlDeviceGetEnforcedPowerLimit(handle: usize, target: *mut u32) {
        fixed(target, handle, |device| Ok(device.power[1]))
    }

    fn nvmlDeviceGetPowerManagementLimit(handle: usize, target: *mut u32) {
        fixed(target, handle, |device| Ok(device.power[1]))
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
        moving(target, handle, |device, usage| clock(clocks_now(device, usage), kind))
    }

    fn nvmlDeviceGetMaxClockInfo(handle: usize, kind: u32, target: *mut u32) {
        fixed(target, handle, |device| clock(device.clocks_max, kind))
    }

    fn nvmlDeviceGetApplicationsClock(handle: usize, kind: u32, target: *mut u32) {
        fixed(target, handle, |device| application_clock(device, kind))
    }

    fn nvmlDeviceGetDefaultApplicationsClock(handle: usize, kind: u32, target: *mut u32) {
        fixed(target, handle, |device| application_clock(device, kind))
    }

    fn nvmlDeviceGetPersistenceMode(handle: usize, target: *mut u32) {
        fixed(target, handle, |_| Ok(1))
    }

    fn nvmlDeviceGetComputeMode(handle: usize, target: *mut u32) {
        fixed(target, handle, |_| Ok(0))
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
