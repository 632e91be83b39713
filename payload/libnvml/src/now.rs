//! A card as it stands: its facts, what it does, what is set on it and what is wrong with it.

use wire::condition::Card;
use wire::device::{Description, Usage, feature};
use wire::reading;
use wire::settings::Settings;

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

impl Now<'_> {
    /// Degrees Celsius.
    pub fn temperature(&self) -> u32 {
        reading::temperature(self.device, &self.usage)
    }

    /// MHz: graphics, SM, memory, video.
    pub fn clocks(&self) -> [u32; 4] {
        reading::clocks(self.device, &self.usage)
    }

    /// mW.
    pub fn power(&self) -> u32 {
        reading::power(self.device, &self.usage)
    }

    /// `nvmlClocksEventReason…`, added up.
    pub fn event_reasons(&self) -> u64 {
        reading::event_reasons(self.device, &self.usage)
    }

    /// Cards for data centres stay in P0 (recorded); others rest.
    pub fn performance_state(&self) -> u32 {
        if self.usage.utilisation > 0 || self.device.features & feature::MIG != 0 { 0 } else { 8 }
    }
}
