//! `nvmlDeviceGetFieldValues`: values by the numbers of `NVML_FI_DEV_…` (nvml.h).

use std::ffi::c_void;

use crate::door::*;
use crate::now::Now;
use crate::reliability::remapped;
use crate::session;
use crate::telemetry::{energy, monotonic, since_epoch};
use wire::condition::Counter;
use wire::device::feature;
use wire::settings::Setting;

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

/// `NVML_DEVICE_ARCH_HOPPER`: the first that can be parted without a reset.
const HOPPER: u32 = 9;

/// Numbers that the driver has none of, in ranges: the last number of each is none either (recorded, 580.159.04).
const UNKNOWN: [(u32, u32); 5] = [(0, 0), (274, 274), (289, 293), (296, 300), (303, u32::MAX)];

/// Numbers whose value is 0 whatever happens: counters of what held clocks down (power, synchronous boost, the board, low
/// utilisation, reliability, the clocks of applications and the base clocks), of the link's errors and bytes, the power brake; links
/// to a switch; what has to be reset.
const ZERO: [(u32, u32, u32); 11] = [
    (74, 74, UNSIGNED_LONG_LONG),
    (76, 81, UNSIGNED_LONG_LONG),
    (94, 95, UNSIGNED_INT),
    (147, 147, UNSIGNED_INT),
    (169, 169, UNSIGNED_INT),
    (173, 183, UNSIGNED_INT),
    (197, 198, UNSIGNED_INT),
    (226, 230, UNSIGNED_INT),
    (271, 271, UNSIGNED_LONG_LONG),
    (301, 301, UNSIGNED_LONG_LONG),
    (302, 302, UNSIGNED_LONG_LONG),
];

/// Errors of memory: the volatile counter's corrected and others, then the aggregate one's.
fn errors(number: u32, now: &Now) -> u64 {
    let counter = if number < 5 { Counter::Volatile } else { Counter::Aggregate };
    let [corrected, uncorrected] = now.card.errors(counter);
    if number % 2 == 1 { corrected } else { uncorrected }
}

/// A field's type and value.
fn field(number: u32, now: &Now) -> Nvml<(u32, u64)> {
    let Now { device, card, settings, .. } = now;
    let [_, slowdown, shutdown, most] = device.temperature.map(u64::from);
    let [_, by_default, least_power, most_power] = device.power.map(u64::from);
    let is_in = |(from, to): (u32, u32)| (from..=to).contains(&number);
    if UNKNOWN.into_iter().any(is_in) {
        return Err(Error::INVALID_ARGUMENT);
    }
    if let Some((.., kind)) = ZERO.into_iter().find(|(from, to, _)| is_in((*from, *to))) {
        return Ok((kind, 0));
    }
    let of = |wanted: u32, kind: u32, value: u64| with_feature(device, wanted).map(|()| (kind, value));
    let number_of = |value: u64| Ok((UNSIGNED_INT, value));
    match number {
        // Current and pending mode of ECC; errors.
        1 => of(feature::ECC, UNSIGNED_LONG_LONG, 1),
        2 => of(feature::ECC, UNSIGNED_LONG_LONG, settings.value(Setting::EccMode).unwrap_or(1).into()),
        3..=6 => of(feature::ECC, UNSIGNED_LONG_LONG, errors(number, now)),
        // What held clocks down, ns: heat.
        75 | 269 | 270 => Ok((UNSIGNED_LONG_LONG, card.time_slowed(monotonic()))),
        82 => of(feature::MEMORY_TEMPERATURE, UNSIGNED_INT, u64::from(now.temperature()) + 3),
        83 | 191 => Ok((UNSIGNED_LONG_LONG, energy(device))),
        // Remapped rows: correctable, uncorrectable, pending, failed.
        142..=145 => {
            of(feature::ROW_REMAPPER, UNSIGNED_LONG_LONG, remapped(card)[number as usize - 142].into())
        }
        // Whether it can be parted without a reset; whether that can be asked of one that is not parted.
        184 => number_of((device.architecture >= HOPPER && device.features & feature::MIG != 0).into()),
        199 => number_of((device.features & feature::MIG != 0).into()),
        185 | 186 => number_of(now.power().into()),
        187 => number_of(least_power),
        188 => number_of(most_power),
        189 => number_of(by_default),
        190 | 192 => number_of(settings.power_limit(device).into()),
        193 => number_of(shutdown),
        194 => number_of(slowdown),
        195 if device.memory_temperature != 0 => number_of(device.memory_temperature.into()),
        196 => number_of(most),
        _ => Err(Error::NOT_SUPPORTED),
    }
}

exports! {
    fn nvmlDeviceGetFieldValues(handle: usize, count: i32, values: *mut c_void) {
        session::with(|session| {
            let now = session.now(handle)?;
            let values: *mut FieldValue = values.cast();
            if values.is_null() || count < 1 {
                return Err(Error::INVALID_ARGUMENT);
            }
            for index in 0..count as usize {
                let value = &mut *values.add(index);
                let answer = field(value.field, &now);
                value.result = answer.map_or_else(|error| error.0, |_| 0);
                if let Ok((kind, number)) = answer {
                    let timestamp = since_epoch().as_micros() as i64;
                    *value = FieldValue { timestamp, latency: 0, kind, value: number, ..*value };
                }
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_have_the_sizes_of_the_c_interface() {
        assert_eq!(size_of::<FieldValue>(), 40);
    }
}
