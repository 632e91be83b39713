//! What sensors of a card show, made of its description and of how it is used: one source for NVML and for the emulated driver.

use crate::device::{Description, Usage};

/// Bits of `nvmlClocksEventReasons`: what holds clocks down.
pub mod reason {
    /// Nothing runs.
    pub const IDLE: u64 = 1;
    /// The hardware slows the card down.
    pub const HW_SLOWDOWN: u64 = 8;
    /// It is hotter than it may be for long.
    pub const SW_THERMAL_SLOWDOWN: u64 = 0x20;
    /// It is so hot that the hardware acts.
    pub const HW_THERMAL_SLOWDOWN: u64 = 0x40;
}

/// Between idle and limit, by the load.
pub fn scaled(idle: u32, most: u32, per_cent: u32) -> u32 {
    idle + (u64::from(most.saturating_sub(idle)) * u64::from(per_cent) / 100) as u32
}

/// Degrees Celsius: what the load makes of them, or an injected fault.
pub fn temperature(device: &Description, usage: &Usage) -> u32 {
    if usage.temperature != 0 {
        return usage.temperature;
    }
    let [idle, _, _, most] = device.temperature;
    scaled(idle, most.saturating_sub(10), usage.utilisation)
}

/// Whether it is so hot that the hardware slows it down.
pub fn is_slowed_down(device: &Description, usage: &Usage) -> bool {
    let [_, slowdown, ..] = device.temperature;
    temperature(device, usage) >= slowdown
}

/// MHz: graphics, SM, memory, video. Slowing down halves the clocks of the cores (nvml.h: "by a factor of 2 or more").
pub fn clocks(device: &Description, usage: &Usage) -> [u32; 4] {
    let clocks = if usage.utilisation > 0 { device.clocks_max } else { device.clocks_idle };
    let [graphics, sm, memory, video] = clocks;
    if is_slowed_down(device, usage) { [graphics / 2, sm / 2, memory, video / 2] } else { clocks }
}

/// mW.
pub fn power(device: &Description, usage: &Usage) -> u32 {
    scaled(device.power[0], device.power[1], usage.utilisation)
}

/// What holds clocks down.
pub fn event_reasons(device: &Description, usage: &Usage) -> u64 {
    let [.., most] = device.temperature;
    let reasons = [
        (usage.utilisation == 0, reason::IDLE),
        // Without a fault no card gets that hot.
        (temperature(device, usage) > most, reason::SW_THERMAL_SLOWDOWN),
        (is_slowed_down(device, usage), reason::HW_SLOWDOWN | reason::HW_THERMAL_SLOWDOWN),
    ];
    reasons.into_iter().filter(|(holds, _)| *holds).map(|(_, reason)| reason).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytemuck::Zeroable;

    #[test]
    fn figures_scale_between_idle_and_limit() {
        assert_eq!((scaled(10, 110, 0), scaled(10, 110, 50), scaled(10, 110, 100)), (10, 60, 110));
    }

    #[test]
    fn a_hot_card_says_why_it_is_slow() {
        let mut device = Description::zeroed();
        (device.clocks_max, device.clocks_idle) = ([2000, 2000, 1000, 1500], [300, 300, 500, 300]);
        device.temperature = [30, 90, 95, 85];
        let mut usage = Usage { utilisation: 100, ..Usage::default() };
        assert_eq!((clocks(&device, &usage), event_reasons(&device, &usage)), (device.clocks_max, 0));
        usage.temperature = 91;
        let reasons = reason::HW_SLOWDOWN | reason::HW_THERMAL_SLOWDOWN | reason::SW_THERMAL_SLOWDOWN;
        assert_eq!(
            (clocks(&device, &usage), event_reasons(&device, &usage)),
            ([1000, 1000, 1000, 750], reasons)
        );
        assert_eq!(event_reasons(&device, &Usage::default()), reason::IDLE);
    }
}
