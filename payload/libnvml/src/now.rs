//! A card as it stands: what its load, what is set on it and what is wrong with it make of its facts.

use wire::condition::Card;
use wire::device::{Description, Usage, feature};
use wire::settings::{Setting, Settings};

/// `nvmlClocksEventReason…`: why clocks are not as high as they can be.
mod reason {
    pub const IDLE: u64 = 1;
    pub const APPLICATIONS_CLOCKS: u64 = 1 << 1;
    pub const SW_POWER_CAP: u64 = 1 << 2;
    pub const HW_SLOWDOWN: u64 = 1 << 3;
    pub const SW_THERMAL_SLOWDOWN: u64 = 1 << 5;
    pub const HW_THERMAL_SLOWDOWN: u64 = 1 << 6;
}

/// See the module's text.
pub struct Now<'a> {
    /// Its facts.
    pub device: &'a Description,
    /// What it does.
    pub usage: Usage,
    /// What is set on it.
    pub settings: &'a Settings,
    /// What is wrong with it.
    pub card: &'a Card,
}

/// Between idle and limit, by the load.
pub fn scaled(idle: u32, most: u32, per_cent: u32) -> u32 {
    idle + (u64::from(most.saturating_sub(idle)) * u64::from(per_cent) / 100) as u32
}

/// A clock that is held between two others, as far as the card can have them.
fn held(clock: u32, lock: Option<[u32; 2]>, [least, most]: [u32; 2]) -> u32 {
    let possible = |wanted: u32| wanted.min(most).max(least);
    match lock.map(|lock| lock.map(possible)) {
        Some([from, to]) => clock.min(to).max(from),
        None => clock,
    }
}

impl Now<'_> {
    /// Degrees Celsius: what the load makes of them, or an injected fault.
    pub fn temperature(&self) -> u32 {
        if self.usage.temperature != 0 {
            return self.usage.temperature;
        }
        let [idle, _, _, most] = self.device.temperature;
        scaled(idle, most.saturating_sub(10), self.usage.utilisation)
    }

    /// Whether it is so hot that the hardware slows it down.
    fn is_slowed_down(&self) -> bool {
        let [_, slowdown, ..] = self.device.temperature;
        self.temperature() >= slowdown
    }

    /// MHz: graphics, SM, memory, video. Slowing down halves the clocks of the cores (nvml.h: "by a factor of 2 or more").
    pub fn clocks(&self) -> [u32; 4] {
        let is_busy = self.usage.utilisation > 0;
        let [graphics, _, memory, video] =
            if is_busy { self.device.clocks_max } else { self.device.clocks_idle };
        // By default a card boosts beyond what applications get by its facts.
        let chosen = self.settings.get(Setting::ApplicationClocks);
        let [most_memory, most_graphics] = chosen.unwrap_or([memory, graphics]);
        let range = [self.device.clocks_idle[0], self.device.clocks_max[0]];
        let lock = self.settings.get(Setting::GraphicsClocks);
        let graphics = held(graphics.min(most_graphics), lock, range);
        let memory = self.memory_clock(memory.min(most_memory));
        let slower = if self.is_slowed_down() { 2 } else { 1 };
        [graphics / slower, graphics / slower, memory, video / slower]
    }

    /// The memory's clock, held where it is locked: one of those that it can have.
    fn memory_clock(&self, clock: u32) -> u32 {
        let Some(lock) = self.settings.get(Setting::MemoryClocks) else { return clock };
        let clocks = self.device.memory_clocks();
        let range = [clocks.last(), clocks.first()].map(|clock| clock.copied().unwrap_or(0));
        let wanted = held(clock, Some(lock), range);
        clocks.iter().copied().find(|clock| *clock <= wanted).unwrap_or(wanted)
    }

    /// mW that the load takes where nothing limits it.
    fn power_wanted(&self) -> u32 {
        scaled(self.device.power[0], self.device.power[1], self.usage.utilisation)
    }

    /// mW.
    pub fn power(&self) -> u32 {
        self.power_wanted().min(self.settings.power_limit(self.device))
    }

    /// `nvmlClocksEventReason…`, added up.
    pub fn event_reasons(&self) -> u64 {
        let [.., most] = self.device.temperature;
        let is_busy = self.usage.utilisation > 0;
        let highest = self.device.clocks_max[0];
        let chosen = self.settings.get(Setting::ApplicationClocks).map_or(highest, |[_, graphics]| graphics);
        let reasons = [
            (!is_busy, reason::IDLE),
            (is_busy && chosen < highest, reason::APPLICATIONS_CLOCKS),
            (self.power_wanted() > self.power(), reason::SW_POWER_CAP),
            // Without a fault no card gets that hot.
            (self.temperature() > most, reason::SW_THERMAL_SLOWDOWN),
            (self.is_slowed_down(), reason::HW_SLOWDOWN | reason::HW_THERMAL_SLOWDOWN),
        ];
        reasons.into_iter().filter(|(holds, _)| *holds).map(|(_, reason)| reason).sum()
    }

    /// Cards for data centres stay in P0 (recorded); others rest.
    pub fn performance_state(&self) -> u32 {
        if self.usage.utilisation > 0 || self.device.features & feature::MIG != 0 { 0 } else { 8 }
    }
}

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable;

    use super::*;

    fn card() -> Description {
        let mut card = Description::zeroed();
        card.clocks_max = [1980, 1980, 2619, 1545];
        card.clocks_idle = [345, 345, 2619, 765];
        card.memory_clocks = [2619, 1593, 0, 0, 0];
        card.power = [70_000, 700_000, 200_000, 700_000];
        card.temperature = [30, 89, 95, 87];
        card.application_clock = 1980;
        card
    }

    fn check(utilisation: u32, set: &[(Setting, [u32; 2])], of: impl Fn(&Now)) {
        let (device, settings, card) = (card(), Settings::default(), Card::default());
        set.iter().for_each(|(setting, values)| settings.set(*setting, Some(*values)));
        let usage = Usage { utilisation, ..Usage::default() };
        of(&Now { device: &device, usage, settings: &settings, card: &card });
    }

    #[test]
    fn figures_scale_between_idle_and_limit() {
        assert_eq!((scaled(10, 110, 0), scaled(10, 110, 50), scaled(10, 110, 100)), (10, 60, 110));
    }

    #[test]
    fn clocks_follow_the_load_and_what_is_set() {
        check(0, &[], |now| assert_eq!(now.clocks(), [345, 345, 2619, 765]));
        check(50, &[], |now| assert_eq!(now.clocks(), [1980, 1980, 2619, 1545]));
        check(50, &[(Setting::ApplicationClocks, [1593, 1200])], |now| {
            assert_eq!((now.clocks(), now.event_reasons()), ([1200, 1200, 1593, 1545], 2));
        });
        check(0, &[(Setting::GraphicsClocks, [1500, 1500])], |now| assert_eq!(now.clocks()[0], 1500));
        check(9, &[(Setting::GraphicsClocks, [0, 5])], |now| assert_eq!(now.clocks()[0], 345));
        check(9, &[(Setting::GraphicsClocks, [9000, 9999])], |now| assert_eq!(now.clocks()[0], 1980));
        check(9, &[(Setting::MemoryClocks, [0, 2000])], |now| assert_eq!(now.clocks()[2], 1593));
    }

    #[test]
    fn a_limit_caps_power_where_the_load_wants_more() {
        const CAPPED: u64 = 4;
        let limit = [(Setting::PowerLimit, [300_000, 0])];
        check(100, &limit, |now| assert_eq!((now.power(), now.event_reasons()), (300_000, CAPPED)));
        check(10, &limit, |now| assert_eq!((now.power(), now.event_reasons()), (133_000, 0)));
        check(100, &[], |now| assert_eq!((now.power(), now.event_reasons()), (700_000, 0)));
    }
}
