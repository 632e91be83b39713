//! Clocks as text and by performance level, offsets of clocks, and what measures and steers performance elsewhere.
//!
//! Cards whose applications' clocks can be chosen (those for data centres) have no offsets, and every level has all graphics clocks
//! (recorded on an H100); of others neither is known.

use std::ffi::{c_char, c_void};

use crate::door::*;
use crate::figures::{fixed, moving};
use crate::now::Now;
use crate::session;
use wire::device::{Description, padded};
use wire::settings::Setting;

/// `nvmlDevicePerfModes_v1_t`, `nvmlDeviceCurrentClockFreqs_v1_t`
#[repr(C)]
pub struct Text {
    version: u32,
    text: [u8; 2048],
}

call_trace::fields! { Text { version } }

/// `nvmlSystemDriverBranchInfo_v1_t`
#[repr(C)]
pub struct Branch {
    version: u32,
    text: [c_char; 80],
}

call_trace::fields! { Branch { version } }

/// `nvmlClockOffset_v1_t`
#[repr(C)]
pub struct ClockOffset {
    version: u32,
    /// `nvmlClockType_t`
    kind: u32,
    state: u32,
    pub offset: i32,
    least: i32,
    most: i32,
}

impl ClockOffset {
    /// What it begins with.
    pub const VERSION: u32 = 0x0100_0018;
}

call_trace::fields! { ClockOffset { kind, state, offset, least, most } }

/// `nvmlGpuThermalSettings_t`: a count, then controller, least, greatest, °C, and what it measures, of each of three sensors.
type ThermalSettings = [i32; 16];

const TEXT: u32 = 0x0100_0804;

/// One clock, as these texts tell it.
fn clock(name: &str, [now, least, most]: [u32; 3]) -> String {
    format!("{name}={now}, {name}min={least}, {name}max={most}, {name}editable=0")
}

/// Graphics clock, and memory clock with the rate of its transfers, which is twice as much.
fn clocks(device: &Description, graphics: u32, memory: u32) -> String {
    let graphics = clock("nvclock", [graphics, device.clocks_idle[0], device.clocks_max[0]]);
    let rate = clock("memTransferRate", [memory * 2; 3]);
    format!("{graphics}, {}, {rate}", clock("memclock", [memory; 3]))
}

/// A level for each clock of the memory, lowest first.
fn levels(now: &Now) -> String {
    let graphics = now.clocks()[0];
    let level =
        |(number, memory): (usize, &u32)| format!("perf={number}, {}", clocks(now.device, graphics, *memory));
    let levels: Vec<String> = now.device.memory_clocks().iter().rev().enumerate().map(level).collect();
    levels.join(" ; ")
}

/// Zeroes, of a card that has no offsets.
fn no_offset<T: Default>(device: &Description) -> Nvml<T> {
    if Setting::ClockOffsets.is_of(device) { Ok(T::default()) } else { Err(Error::NOT_SUPPORTED) }
}

/// Something that comes in one version, and that no card has.
unsafe fn lacking(handle: usize, target: *mut c_void, version: u32) -> Nvml {
    session::check(handle)?;
    // SAFETY: the caller's structure begins with its version.
    unsafe { versioned(target.cast(), version) }?;
    Err(Error::NOT_SUPPORTED)
}

exports! {
    fn nvmlDeviceGetCurrentClockFreqs(handle: usize, target: *mut Text) {
        let version = versioned(target.cast(), TEXT)?;
        moving(target, handle, |now| {
            let [graphics, _, memory, _] = now.clocks();
            Ok(Text { version, text: padded(&clocks(now.device, graphics, memory)) })
        })
    }

    fn nvmlDeviceGetPerformanceModes(handle: usize, target: *mut Text) {
        let version = versioned(target.cast(), TEXT)?;
        moving(target, handle, |now| {
            no_offset::<()>(now.device)?;
            Ok(Text { version, text: padded(&levels(now)) })
        })
    }

    fn nvmlDeviceGetClockOffsets(handle: usize, target: *mut ClockOffset) {
        versioned(target.cast(), ClockOffset::VERSION)?;
        session::with(|session| no_offset::<()>(session.device(handle)?.1))?;
        let target = out(target)?;
        (target.offset, target.least, target.most) = (0, 0, 0);
        Ok(())
    }

    fn nvmlDeviceGetGpcClkVfOffset(handle: usize, target: *mut i32) {
        fixed(target, handle, no_offset)
    }

    fn nvmlDeviceGetMemClkVfOffset(handle: usize, target: *mut i32) {
        fixed(target, handle, no_offset)
    }

    fn nvmlDeviceGetGpcClkMinMaxVfOffset(handle: usize, least: *mut i32, most: *mut i32) {
        fixed(least, handle, no_offset)?;
        fixed(most, handle, no_offset)
    }

    fn nvmlDeviceGetMemClkMinMaxVfOffset(handle: usize, least: *mut i32, most: *mut i32) {
        fixed(least, handle, no_offset)?;
        fixed(most, handle, no_offset)
    }

    fn nvmlDeviceGetMinMaxClockOfPState(handle: usize, kind: u32, state: u32, least: *mut u32, most: *mut u32) {
        /// `NVML_CLOCK_COUNT`, and how many states there are.
        const KINDS: u32 = 4;
        const STATES: u32 = 16;
        if kind >= KINDS || state >= STATES {
            return Err(Error::INVALID_ARGUMENT);
        }
        let of = |clocks: &[u32; 4]| if matches!(state, 0 | 2) { Ok(clocks[kind as usize]) } else { Err(Error::UNKNOWN) };
        fixed(least, handle, |device| of(&device.clocks_idle))?;
        fixed(most, handle, |device| of(&device.clocks_max))
    }

    fn nvmlDeviceGetThermalSettings(handle: usize, sensor: u32, target: *mut ThermalSettings) {
        /// `NVML_THERMAL_TARGET_ALL`, `NVML_THERMAL_CONTROLLER_GPU_INTERNAL`, `NVML_THERMAL_TARGET_GPU`
        const ALL: u32 = 15;
        const INTERNAL: i32 = 1;
        const GPU: i32 = 1;
        /// What a sensor can tell (recorded).
        const RANGE: [i32; 2] = [-64, 127];
        if sensor != 0 && sensor != ALL {
            return Err(Error::INVALID_ARGUMENT);
        }
        moving(target, handle, |now| {
            let mut settings = [0; 16];
            settings[..6].copy_from_slice(&[1, INTERNAL, RANGE[0], RANGE[1], now.temperature() as i32, GPU]);
            Ok(settings)
        })
    }

    fn nvmlDeviceGetCoolerInfo(handle: usize, target: *mut c_void) {
        lacking(handle, target, 0x0100_0010)
    }

    fn nvmlDeviceGetFanSpeedRPM(handle: usize, target: *mut [u32; 3]) {
        versioned(target.cast(), 0x0100_000c)?;
        let [_, fan, _] = *out(target)?;
        let fans = session::with(|session| Ok(session.device(handle)?.1.fans))?;
        // Nobody counts the turns of those that there are.
        Err(if fan < fans { Error::NOT_SUPPORTED } else { Error::INVALID_ARGUMENT })
    }

    fn nvmlDeviceWorkloadPowerProfileGetProfilesInfo(handle: usize, target: *mut c_void) {
        lacking(handle, target, 0x0100_2bf8)
    }

    fn nvmlDeviceWorkloadPowerProfileGetCurrentProfiles(handle: usize, target: *mut c_void) {
        lacking(handle, target, 0x0100_0064)
    }

    fn nvmlGpmQueryDeviceSupport(handle: usize, target: *mut [u32; 2]) {
        // Unlike all others this version comes without a size. The engine has no counters that GPM tells of.
        let version = versioned(target.cast(), 1)?;
        fixed(target, handle, |_| Ok([version, 0]))
    }

    fn nvmlGpmQueryIfStreamingEnabled(handle: usize, target: *mut u32) {
        fixed(target, handle, |_| Ok(0))
    }

    fn nvmlDeviceReadPRMCounters_v1(handle: usize, list: *mut u32) {
        // The first word counts what is asked for: of the counters there are none.
        session::check(handle)?;
        if *out(list)? == 0 { Ok(()) } else { Err(Error::NOT_SUPPORTED) }
    }

    fn nvmlDeviceGetHandleByUUIDV(wanted: *const [u8; 52], handle: *mut usize) {
        versioned(wanted.cast(), 0x0100_0034)?;
        let wanted = wanted.read();
        let name = crate::devices::uuid_of(&wanted[4..])?;
        session::with(|session| {
            *out(handle)? = crate::devices::by_uuid(session, &name)?;
            Ok(())
        })
    }

    fn nvmlSystemGetDriverBranch(target: *mut Branch, length: u32) {
        /// Of driver 580.159.04 (recorded).
        const BRANCH: &str = "r582_49";
        versioned(target.cast(), 0x0100_0054)?;
        session::with(|_| put_text((&raw mut (*target).text).cast(), length.min(80), BRANCH))
    }
}

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable;

    use super::*;

    #[test]
    fn structures_have_the_sizes_of_the_c_interface() {
        assert_eq!((size_of::<Text>(), size_of::<ClockOffset>()), (2052, 24));
    }

    #[test]
    fn clocks_are_told_as_an_h100_tells_them() {
        let mut device = Description::zeroed();
        device.clocks_max[0] = 1980;
        device.clocks_idle[0] = 345;
        let recorded = "nvclock=345, nvclockmin=345, nvclockmax=1980, nvclockeditable=0, memclock=2619, memclockmin=2619, \
                        memclockmax=2619, memclockeditable=0, memTransferRate=5238, memTransferRatemin=5238, \
                        memTransferRatemax=5238, memTransferRateeditable=0";
        assert_eq!(clocks(&device, 345, 2619), recorded);
    }
}
