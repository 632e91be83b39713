//! Fans: how fast they turn, and who says so. Below which speed a card's fans cannot turn is nobody's we know.

use crate::door::*;
use crate::figures::{kept, moving};
use crate::now::Now;
use crate::session;
use wire::reading::scaled;
use wire::settings::Setting;

/// `nvmlFanControlPolicy_t`
const BY_TEMPERATURE: u32 = 0;
const MANUAL: u32 = 1;

/// Per cent of the greatest speed without anybody's word: by the load.
fn automatic(now: &Now) -> u32 {
    scaled(0, 80, now.usage.utilisation)
}

/// Per cent of the greatest speed of a fan.
fn speed(now: &Now, fan: u32) -> Nvml<u32> {
    if fan >= now.device.fans {
        return Err(Error::INVALID_ARGUMENT);
    }
    let set = Setting::of_fan(fan).and_then(|setting| now.settings.value(setting));
    Ok(set.unwrap_or_else(|| automatic(now)))
}

/// What sets the speed of a fan that there is.
fn setting(handle: usize, fan: u32) -> Nvml<Setting> {
    let fans = session::with(|session| Ok(session.device(handle)?.1.fans))?;
    if fan >= fans {
        return Err(Error::INVALID_ARGUMENT);
    }
    Setting::of_fan(fan).ok_or(Error::NOT_SUPPORTED)
}

exports! {
    fn nvmlDeviceGetFanSpeed(handle: usize, target: *mut u32) {
        moving(target, handle, |now| speed(now, 0).map_err(|_| Error::NOT_SUPPORTED))
    }

    fn nvmlDeviceGetFanSpeed_v2(handle: usize, fan: u32, target: *mut u32) {
        moving(target, handle, |now| speed(now, fan))
    }

    fn nvmlDeviceGetTargetFanSpeed(handle: usize, fan: u32, target: *mut u32) {
        moving(target, handle, |now| speed(now, fan))
    }

    fn nvmlDeviceGetMinMaxFanSpeed(handle: usize, _least: *mut u32, _most: *mut u32) {
        setting(handle, 0)?;
        Err(Error::NOT_SUPPORTED)
    }

    fn nvmlDeviceGetFanControlPolicy_v2(handle: usize, fan: u32, target: *mut u32) {
        let setting = setting(handle, fan)?;
        kept(target, handle, |_, settings| Ok(if settings.get(setting).is_some() { MANUAL } else { BY_TEMPERATURE }))
    }

    fn nvmlDeviceSetFanSpeed_v2(handle: usize, fan: u32, speed: u32) {
        crate::sets::set(handle, setting(handle, fan)?, [speed, 0])
    }

    fn nvmlDeviceSetDefaultFanSpeed_v2(handle: usize, fan: u32) {
        crate::sets::reset(handle, setting(handle, fan)?)
    }

    fn nvmlDeviceSetFanControlPolicy(handle: usize, fan: u32, policy: u32) {
        let setting = setting(handle, fan)?;
        match policy {
            BY_TEMPERATURE => crate::sets::reset(handle, setting),
            MANUAL => {
                // It stays as fast as it is.
                let now = session::with(|session| speed(&session.now(handle)?, fan))?;
                crate::sets::set(handle, setting, [now, 0])
            }
            _ => Err(Error::INVALID_ARGUMENT),
        }
    }
}
