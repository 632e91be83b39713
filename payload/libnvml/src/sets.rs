//! What can be set on a card. The broker decides who may set it and to what, and keeps it; see its `settings`.
//!
//! What no card of ours has is refused for everybody, what a card has for everybody but root, as the real library does it.

use std::ffi::c_void;

use crate::devices::{PciInfo3, by_place};
use crate::door::*;
use crate::figures::kept;
use crate::performance::ClockOffset;
use crate::session;
use wire::control::{ClearErrors, ResetDevice, SetDevice};
use wire::settings::Setting;

/// `nvmlPowerValue_v2_t`
#[repr(C)]
pub struct PowerValue {
    version: u32,
    /// `nvmlPowerScopeType_t`: the GPU's is 0.
    scope: u8,
    padding: [u8; 3],
    /// mW.
    value: u32,
}

call_trace::fields! { PowerValue { version, value } }

fn order(handle: usize, order: SetDevice) -> Nvml {
    session::with(|session| {
        let (index, _) = session.device(handle)?;
        session.ask(&SetDevice { index, ..order }).map(drop)
    })
}

/// Sets something.
pub fn set(handle: usize, setting: Setting, values: [u32; 2]) -> Nvml {
    order(handle, SetDevice { setting: setting as u32, values, ..SetDevice::default() })
}

/// Sets it back to what the card comes with.
pub fn reset(handle: usize, setting: Setting) -> Nvml {
    order(handle, SetDevice { setting: setting as u32, reset: 1, ..SetDevice::default() })
}

/// Resets a card that nobody has a context on; an `nvmlReturn_t`. No function of NVML does: it is for our `nvidia-smi`.
pub fn reset_card(handle: usize) -> u32 {
    let done = session::with(|session| {
        let (index, _) = session.device(handle)?;
        session.ask(&ResetDevice { index, reserved: 0 }).map(drop)
    });
    done.map_or_else(|error| error.0, |()| 0)
}

/// Something that no card has.
fn lacking(handle: usize) -> Nvml {
    session::check(handle)?;
    Err(Error::NOT_SUPPORTED)
}

/// `NVML_DEVICE_ARCH_HOPPER`: the first that can be parted without a reset.
const HOPPER: u32 = 9;

/// `NVML_CLOCK_LIMIT_ID_UNLIMITED`: as high as it goes.
const UNLIMITED: u32 = 0xffff_ff02;

/// A clock of a range: a number, or a name for one. That of the clock at the greatest power is nobody's we know.
fn limit(clock: u32) -> u32 {
    if clock == UNLIMITED { wire::settings::MOST } else { clock }
}

exports! {
    fn nvmlDeviceSetPowerManagementLimit(handle: usize, limit: u32) {
        set(handle, Setting::PowerLimit, [limit, 0])
    }

    fn nvmlDeviceSetPowerManagementLimit_v2(handle: usize, value: *const PowerValue) {
        const GPU: u8 = 0;
        versioned(value.cast(), 0x0200_000c)?;
        let PowerValue { scope, value, .. } = value.read();
        if scope == GPU { set(handle, Setting::PowerLimit, [value, 0]) } else { lacking(handle) }
    }

    fn nvmlDeviceSetGpuLockedClocks(handle: usize, least: u32, most: u32) {
        set(handle, Setting::GraphicsClocks, [least, most].map(limit))
    }

    fn nvmlDeviceResetGpuLockedClocks(handle: usize) {
        reset(handle, Setting::GraphicsClocks)
    }

    fn nvmlDeviceSetMemoryLockedClocks(handle: usize, least: u32, most: u32) {
        set(handle, Setting::MemoryClocks, [least, most].map(limit))
    }

    fn nvmlDeviceResetMemoryLockedClocks(handle: usize) {
        reset(handle, Setting::MemoryClocks)
    }

    fn nvmlDeviceSetApplicationsClocks(handle: usize, memory: u32, graphics: u32) {
        set(handle, Setting::ApplicationClocks, [memory, graphics])
    }

    fn nvmlDeviceResetApplicationsClocks(handle: usize) {
        reset(handle, Setting::ApplicationClocks)
    }

    fn nvmlDeviceSetComputeMode(handle: usize, mode: u32) {
        set(handle, Setting::ComputeMode, [mode, 0])
    }

    fn nvmlDeviceSetPersistenceMode(handle: usize, mode: u32) {
        set(handle, Setting::PersistenceMode, [mode, 0])
    }

    fn nvmlDeviceSetAccountingMode(handle: usize, mode: u32) {
        set(handle, Setting::AccountingMode, [mode, 0])
    }

    fn nvmlDeviceSetEccMode(handle: usize, mode: u32) {
        set(handle, Setting::EccMode, [mode, 0])
    }

    fn nvmlDeviceSetMigMode(handle: usize, mode: u32, activation: *mut u32) {
        // No card of ours has instances, so that the mode stays pending. Why, is what real cards say: one that a virtual machine was
        // given whole cannot be reset from inside (MIG user guide, "Enable MIG mode"); one that needs no reset has other clients.
        let (activation, device) = (out(activation)?, session::with(|session| session.device(handle).map(|(_, it)| *it))?);
        set(handle, Setting::MigMode, [mode, 0])?;
        let why = if device.architecture >= HOPPER { Error::IN_USE } else { Error::NOT_SUPPORTED };
        *activation = if mode == 0 { 0 } else { why.0 };
        Ok(())
    }

    fn nvmlDeviceModifyDrainState(place: *const PciInfo3, state: u32) {
        set(by_place(place)?, Setting::DrainState, [state, 0])
    }

    fn nvmlDeviceQueryDrainState(place: *const PciInfo3, target: *mut u32) {
        kept(target, by_place(place)?, |_, settings| Ok(settings.is_drained().into()))
    }

    fn nvmlDeviceSetAPIRestriction(handle: usize, kind: u32, is_restricted: u32) {
        /// `NVML_RESTRICTED_API_SET_AUTO_BOOSTED_CLOCKS`
        const AUTO_BOOST: u32 = 1;
        match kind {
            0 => lacking(handle),
            AUTO_BOOST => set(handle, Setting::AutoBoostRestriction, [is_restricted, 0]),
            _ => Err(Error::INVALID_ARGUMENT),
        }
    }

    fn nvmlDeviceClearEccErrorCounts(handle: usize, counter: u32) {
        session::with(|session| {
            let (index, _) = session.device(handle)?;
            session.ask(&ClearErrors { index, counter }).map(drop)
        })
    }

    fn nvmlDeviceSetGpcClkVfOffset(handle: usize, offset: i32) {
        set(handle, Setting::ClockOffsets, [offset as u32, 0])
    }

    fn nvmlDeviceSetMemClkVfOffset(handle: usize, offset: i32) {
        set(handle, Setting::ClockOffsets, [offset as u32, 0])
    }

    fn nvmlDeviceSetClockOffsets(handle: usize, wanted: *const ClockOffset) {
        versioned(wanted.cast(), ClockOffset::VERSION)?;
        set(handle, Setting::ClockOffsets, [(*wanted).offset as u32, 0])
    }

    fn nvmlDeviceSetAutoBoostedClocksEnabled(handle: usize, _mode: u32) {
        lacking(handle)
    }

    fn nvmlDeviceSetDefaultAutoBoostedClocksEnabled(handle: usize, _mode: u32, _flags: u32) {
        lacking(handle)
    }

    fn nvmlDeviceSetTemperatureThreshold(handle: usize, kind: u32, celsius: *mut i32) {
        /// `NVML_TEMPERATURE_THRESHOLD_COUNT`
        const COUNT: u32 = 9;
        out(celsius)?;
        if kind < COUNT { lacking(handle) } else { Err(Error::INVALID_ARGUMENT) }
    }

    fn nvmlDeviceSetGpuOperationMode(handle: usize, _mode: u32) {
        lacking(handle)
    }

    fn nvmlDeviceSetDriverModel(handle: usize, _model: u32, _flags: u32) {
        lacking(handle)
    }

    fn nvmlDeviceSetDramEncryptionMode(handle: usize, _mode: *const c_void) {
        lacking(handle)
    }

    fn nvmlDeviceSetHostname_v1(handle: usize, _name: *const c_void) {
        lacking(handle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_have_the_sizes_of_the_c_interface() {
        assert_eq!(size_of::<PowerValue>(), 12);
    }
}
