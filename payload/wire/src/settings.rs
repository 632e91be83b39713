//! What is set on the cards, by who may: part of the page that [`condition`](crate::condition) tells of.
//!
//! ```text
//!   nvmlDeviceSet…, nvidia-smi ──SetDevice──▶ broker (who may, what the card has) ──▶ Settings ◀── read by all processes
//! ```
//!
//! A setting is one word, so that nobody sees half of a pair. Zero: nobody has set it, and it is as the card comes.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::device::{Description, Usage, feature, mode};

/// A row per setting: its number, its name, and what its one or two values are.
macro_rules! settings {
    ($($(#[$doc:meta])* $number:literal $name:ident ($what:literal);)*) => {
        /// What can be set on a card.
        #[repr(u32)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Setting { $($(#[$doc])* $name = $number,)* }

        impl Setting {
            /// All of them.
            pub const ALL: &'static [Setting] = &[$(Setting::$name,)*];

            /// For people.
            pub fn what(self) -> &'static str {
                match self { $(Setting::$name => $what,)* }
            }
        }
    };
}

settings! {
    /// mW.
    0 PowerLimit ("power limit, mW");
    /// Least and greatest, MHz.
    1 GraphicsClocks ("locked graphics clocks, MHz");
    /// Least and greatest, MHz.
    2 MemoryClocks ("locked memory clocks, MHz");
    /// Memory, graphics, MHz.
    3 ApplicationClocks ("clocks of applications, MHz");
    /// [`compute`] modes.
    4 ComputeMode ("compute mode");
    /// 0, 1.
    5 PersistenceMode ("persistence mode");
    /// 0, 1.
    6 AccountingMode ("accounting mode");
    /// 0, 1: what it is to be after the next start of the machine.
    7 EccMode ("pending ECC mode");
    /// 0, 1: the same.
    8 MigMode ("pending MIG mode");
    /// 0, 1: whether only root may switch the clocks' automatic boost.
    9 AutoBoostRestriction ("restriction of automatic boost");
    /// MHz. Of the cards that are known to have them the range is 0 to 0.
    10 ClockOffsets ("clock offsets, MHz");
    /// Per cent of the greatest speed.
    11 FirstFan ("speed of fan 0, per cent");
    /// The same.
    12 SecondFan ("speed of fan 1, per cent");
    /// 0, 1: whether nobody new gets in, as the card is to be taken away.
    13 DrainState ("drain state");
}

/// `nvmlComputeMode_t`: who may have contexts on a card.
pub mod compute {
    /// `NVML_COMPUTEMODE_DEFAULT`: every process.
    pub const DEFAULT: u32 = 0;
    /// `NVML_COMPUTEMODE_PROHIBITED`: none.
    pub const PROHIBITED: u32 = 2;
    /// `NVML_COMPUTEMODE_EXCLUSIVE_PROCESS`: one.
    pub const EXCLUSIVE_PROCESS: u32 = 3;
}

/// `nvmlDeviceArchitecture_t`, those from which on something can be set.
pub mod architecture {
    /// `NVML_DEVICE_ARCH_VOLTA`
    pub const VOLTA: u32 = 5;
    /// `NVML_DEVICE_ARCH_AMPERE`
    pub const AMPERE: u32 = 7;
}

/// Greatest value of a setting.
pub const MOST: u32 = u32::MAX >> 1;

/// Of a word that is set.
const IS_SET: u64 = 1 << 63;

/// What is set on one card.
#[repr(C, align(64))]
#[derive(Default)]
pub struct Settings {
    words: [AtomicU64; Setting::ALL.len()],
}

impl Settings {
    /// Both values, if somebody has set them.
    pub fn get(&self, setting: Setting) -> Option<[u32; 2]> {
        let word = self.words[setting as usize].load(Ordering::Relaxed);
        (word & IS_SET != 0).then_some([(word >> 32) as u32 & MOST, word as u32])
    }

    /// The first value, if somebody has set it.
    pub fn value(&self, setting: Setting) -> Option<u32> {
        self.get(setting).map(|[value, _]| value)
    }

    /// Sets both values, at most [`MOST`] each; `None`: as the card comes.
    pub fn set(&self, setting: Setting, values: Option<[u32; 2]>) {
        let word = values.map_or(0, |values| {
            let [one, other] = values.map(|value| u64::from(value.min(MOST)));
            IS_SET | one << 32 | other
        });
        self.words[setting as usize].store(word, Ordering::Relaxed);
    }

    /// Who may have contexts on it.
    pub fn compute_mode(&self) -> u32 {
        self.value(Setting::ComputeMode).unwrap_or(compute::DEFAULT)
    }

    /// What is set, as moving figures tell it.
    pub fn tell(&self, device: &Description, usage: &mut Usage) {
        let pair = |setting| self.get(setting).unwrap_or_default();
        let bit = |setting, value, bit| if self.value(setting) == Some(value) { bit } else { 0 };
        usage.compute_mode = self.compute_mode();
        usage.power_limit = self.power_limit(device);
        usage.graphics_lock = pair(Setting::GraphicsClocks);
        usage.memory_lock = pair(Setting::MemoryClocks);
        usage.application_clocks = pair(Setting::ApplicationClocks);
        usage.modes = bit(Setting::PersistenceMode, 0, mode::NOT_PERSISTENT)
            | bit(Setting::AccountingMode, 1, mode::ACCOUNTING)
            | bit(Setting::DrainState, 1, mode::DRAINING);
    }

    /// Whether nobody new gets in.
    pub fn is_drained(&self) -> bool {
        self.value(Setting::DrainState) == Some(1)
    }

    /// mW.
    pub fn power_limit(&self, device: &Description) -> u32 {
        self.value(Setting::PowerLimit).unwrap_or(device.power[1])
    }

    /// Clocks that applications get: memory, graphics, MHz. None: such a card has none to choose.
    pub fn application_clocks(&self, device: &Description) -> Option<[u32; 2]> {
        let by_default = [device.clocks_max[2], device.application_clock];
        Setting::ApplicationClocks
            .is_of(device)
            .then(|| self.get(Setting::ApplicationClocks).unwrap_or(by_default))
    }
}

impl Setting {
    /// Whether a reset of the card leaves it as it is: it waits for the machine's next start, or is what the driver is told of the card.
    pub fn outlives_reset(self) -> bool {
        matches!(self, Self::EccMode | Self::MigMode | Self::PersistenceMode | Self::DrainState)
    }

    /// The speed of a fan.
    pub fn of_fan(fan: u32) -> Option<Setting> {
        [Self::FirstFan, Self::SecondFan].get(fan as usize).copied()
    }

    /// The setting with this number.
    pub fn from_number(number: u32) -> Option<Setting> {
        Self::ALL.get(number as usize).copied()
    }

    /// Whether a card has something of the kind.
    pub fn is_of(self, device: &Description) -> bool {
        let has = |wanted| device.features & wanted != 0;
        match self {
            Self::PowerLimit => device.power[2] < device.power[3],
            Self::GraphicsClocks => device.architecture >= architecture::VOLTA,
            Self::MemoryClocks => device.architecture >= architecture::AMPERE,
            Self::ApplicationClocks | Self::ClockOffsets => device.application_clock != 0,
            Self::AccountingMode => has(feature::ACCOUNTING),
            Self::EccMode => has(feature::ECC),
            Self::MigMode => has(feature::MIG),
            Self::FirstFan => device.fans > 0,
            Self::SecondFan => device.fans > 1,
            Self::ComputeMode | Self::PersistenceMode | Self::AutoBoostRestriction | Self::DrainState => true,
        }
    }

    /// Whether a card that has it can be set to these values.
    pub fn takes(self, device: &Description, values: [u32; 2]) -> bool {
        use compute::{DEFAULT, EXCLUSIVE_PROCESS, PROHIBITED};
        let [one, other] = values;
        match self {
            Self::PowerLimit => (device.power[2]..=device.power[3]).contains(&one) && other == 0,
            Self::GraphicsClocks | Self::MemoryClocks => one <= other && (1..=MOST).contains(&other),
            Self::ApplicationClocks => {
                device.memory_clocks().contains(&one) && device.graphics_clocks().any(|clock| clock == other)
            }
            Self::ComputeMode => matches!(one, DEFAULT | PROHIBITED | EXCLUSIVE_PROCESS) && other == 0,
            Self::ClockOffsets => values == [0, 0],
            Self::FirstFan | Self::SecondFan => one <= 100 && other == 0,
            _ => one <= 1 && other == 0,
        }
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
        card.architecture = 9;
        card.application_clock = 1980;
        card
    }

    #[test]
    fn every_setting_is_found_by_its_number() {
        for (number, setting) in Setting::ALL.iter().enumerate() {
            assert_eq!(*setting as usize, number);
            assert_eq!(Setting::from_number(number as u32), Some(*setting));
        }
        assert_eq!(Setting::from_number(Setting::ALL.len() as u32), None);
    }

    #[test]
    fn what_is_set_is_read_until_it_is_taken_back() {
        let settings = Settings::default();
        assert_eq!(settings.get(Setting::GraphicsClocks), None);
        settings.set(Setting::GraphicsClocks, Some([0, u32::MAX]));
        assert_eq!(settings.get(Setting::GraphicsClocks), Some([0, MOST]));
        assert_eq!(settings.get(Setting::MemoryClocks), None);
        settings.set(Setting::GraphicsClocks, None);
        assert_eq!(settings.get(Setting::GraphicsClocks), None);
    }

    #[test]
    fn values_are_those_that_the_card_can_have() {
        let card = card();
        let takes = |setting: Setting, values| setting.takes(&card, values);
        assert!(takes(Setting::PowerLimit, [200_000, 0]) && takes(Setting::PowerLimit, [700_000, 0]));
        assert!(!takes(Setting::PowerLimit, [199_999, 0]) && !takes(Setting::PowerLimit, [700_001, 0]));
        assert!(takes(Setting::GraphicsClocks, [0, 1500]) && !takes(Setting::GraphicsClocks, [1500, 1000]));
        assert!(takes(Setting::ApplicationClocks, [1593, 1965]));
        assert!(!takes(Setting::ApplicationClocks, [1593, 1964]));
        assert!(!takes(Setting::ApplicationClocks, [0, 1980]), "an unused place is no clock");
        assert_eq!(
            [0, 1, 2, 3, 4].map(|mode| takes(Setting::ComputeMode, [mode, 0])),
            [true, false, true, true, false]
        );
        assert!(takes(Setting::PersistenceMode, [1, 0]) && !takes(Setting::PersistenceMode, [2, 0]));
    }

    #[test]
    fn a_card_has_what_its_facts_say() {
        let mut card = card();
        assert!(!Setting::EccMode.is_of(&card) && Setting::MemoryClocks.is_of(&card));
        (card.features, card.architecture, card.application_clock) = (feature::ECC, 6, 0);
        assert!(Setting::EccMode.is_of(&card) && Setting::GraphicsClocks.is_of(&card));
        assert!(!Setting::MemoryClocks.is_of(&card) && !Setting::ApplicationClocks.is_of(&card));
        assert_eq!(Settings::default().application_clocks(&card), None);
    }
}
