//! What sensors of a card show, made of its description, of how it is used and of what is set on it: one source for NVML and for the
//! emulated driver.

use crate::device::{Description, Usage};

/// Bits of `nvmlClocksEventReasons`: what holds clocks down.
pub mod reason {
    /// Nothing runs.
    pub const IDLE: u64 = 1;
    /// Somebody chose lower ones for applications.
    pub const APPLICATIONS_CLOCKS: u64 = 2;
    /// The load would take more power than the limit.
    pub const SW_POWER_CAP: u64 = 4;
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

/// A clock that is held between two others, as far as the card can have them.
fn held(clock: u32, lock: [u32; 2], [least, most]: [u32; 2]) -> u32 {
    let [from, to] = lock.map(|wanted| wanted.min(most).max(least));
    if lock == [0, 0] { clock } else { clock.min(to).max(from) }
}

/// The memory's clock, held where it is locked: one of those that it can have.
fn memory_clock(device: &Description, usage: &Usage, clock: u32) -> u32 {
    let clocks = device.memory_clocks();
    let (Some(most), Some(least), true) = (clocks.first(), clocks.last(), usage.memory_lock != [0, 0]) else {
        return clock;
    };
    let wanted = held(clock, usage.memory_lock, [*least, *most]);
    clocks.iter().copied().find(|clock| *clock <= wanted).unwrap_or(wanted)
}

/// MHz: graphics, SM, memory, video. Slowing down halves the clocks of the cores (nvml.h: "by a factor of 2 or more").
pub fn clocks(device: &Description, usage: &Usage) -> [u32; 4] {
    let clocks = if usage.utilisation > 0 { device.clocks_max } else { device.clocks_idle };
    let [graphics, _, memory, video] = clocks;
    // By default a card boosts beyond what applications get by its facts.
    let chosen = |clock: u32, chosen: u32| if chosen == 0 { clock } else { clock.min(chosen) };
    let [of_memory, of_graphics] = usage.application_clocks;
    let range = [device.clocks_idle[0], device.clocks_max[0]];
    let graphics = held(chosen(graphics, of_graphics), usage.graphics_lock, range);
    let memory = memory_clock(device, usage, chosen(memory, of_memory));
    let slower = if is_slowed_down(device, usage) { 2 } else { 1 };
    [graphics / slower, graphics / slower, memory, video / slower]
}

/// mW that the load takes where nothing limits it.
fn power_wanted(device: &Description, usage: &Usage) -> u32 {
    scaled(device.power[0], device.power[1], usage.utilisation)
}

/// mW.
pub fn power(device: &Description, usage: &Usage) -> u32 {
    let limit = if usage.power_limit == 0 { device.power[1] } else { usage.power_limit };
    power_wanted(device, usage).min(limit)
}

/// What holds clocks down.
pub fn event_reasons(device: &Description, usage: &Usage) -> u64 {
    let [.., most] = device.temperature;
    let is_busy = usage.utilisation > 0;
    let [_, chosen] = usage.application_clocks;
    let reasons = [
        (!is_busy, reason::IDLE),
        (is_busy && chosen != 0 && chosen < device.clocks_max[0], reason::APPLICATIONS_CLOCKS),
        (power_wanted(device, usage) > power(device, usage), reason::SW_POWER_CAP),
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

    fn h100() -> Description {
        let mut card = Description::zeroed();
        card.clocks_max = [1980, 1980, 2619, 1545];
        card.clocks_idle = [345, 345, 2619, 765];
        card.memory_clocks = [2619, 1593, 0, 0, 0];
        card.power = [70_000, 700_000, 200_000, 700_000];
        card.temperature = [30, 89, 95, 87];
        card
    }

    fn at(utilisation: u32) -> Usage {
        Usage { utilisation, ..Usage::default() }
    }

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

    #[test]
    fn clocks_follow_the_load_and_what_is_set() {
        let of = |usage: Usage| clocks(&h100(), &usage);
        assert_eq!((of(at(0)), of(at(50))), ([345, 345, 2619, 765], [1980, 1980, 2619, 1545]));
        let chosen = Usage { application_clocks: [1593, 1200], ..at(50) };
        assert_eq!(
            (of(chosen), event_reasons(&h100(), &chosen)),
            ([1200, 1200, 1593, 1545], reason::APPLICATIONS_CLOCKS)
        );
        let graphics = |usage, graphics_lock| of(Usage { graphics_lock, ..usage })[0];
        assert_eq!(graphics(at(0), [1500, 1500]), 1500);
        assert_eq!((graphics(at(9), [0, 5]), graphics(at(9), [9000, 9999])), (345, 1980));
        assert_eq!(of(Usage { memory_lock: [0, 2000], ..at(9) })[2], 1593);
    }

    #[test]
    fn a_limit_caps_power_where_the_load_wants_more() {
        let of = |usage: Usage| (power(&h100(), &usage), event_reasons(&h100(), &usage));
        let limited = |utilisation| Usage { power_limit: 300_000, ..at(utilisation) };
        assert_eq!(of(limited(100)), (300_000, reason::SW_POWER_CAP));
        assert_eq!((of(limited(10)), of(at(100))), ((133_000, 0), (700_000, 0)));
    }
}
