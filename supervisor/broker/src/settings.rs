//! What is set on the cards, and who may set it.
//!
//! ```text
//!   SetDevice ──▶ has the card that? ──▶ may the process? ──▶ can it be that? ──▶ Page (wire::settings) ◀── read by NVML
//!               NotSupported            Denied               Invalid                └──▶ EnterDevice: the compute mode
//! ```
//!
//! As with the real driver a setting is the card's: every process of the session sees it, and it outlives the one that made it. That
//! order of questions is the real library's (of a clock that cannot be locked, anybody is told so; who may not is told that first).
//! Only root may set anything: what counts is the effective user of the process, as the library looks at it.
//!
//! A **reset** takes settings and counters of errors back to what they are after a start, of a card that nobody has a context on. Modes
//! that wait for the machine's next start go on waiting, as no card of ours changes while its session lasts.

use wire::condition::Counter;
use wire::control::{self, Status};
use wire::device::{Description, unpadded};
use wire::settings::{Setting, Settings, compute};

use crate::call::{Answer, Caller};
use crate::session::Session;
use crate::{Broker, Event};

/// Sets something on a card.
pub fn set(broker: &mut Broker, caller: &dyn Caller, order: control::SetDevice) -> Answer {
    let setting = Setting::from_number(order.setting).ok_or(Status::Invalid)?;
    card_with(broker, order.index, setting)?;
    permit(caller)?;
    let values = (order.reset == 0).then_some(order.values);
    broker.set(caller.process(), order.index, setting, values).map(|()| Vec::new())
}

/// Lets a counter of errors begin anew.
pub fn clear_errors(broker: &mut Broker, caller: &dyn Caller, order: control::ClearErrors) -> Answer {
    card_with(broker, order.index, Setting::EccMode)?;
    permit(caller)?;
    let counter = [Counter::Volatile, Counter::Aggregate].into_iter().find(|it| *it as u32 == order.counter);
    broker.clear_errors(order.index, counter.ok_or(Status::Invalid)?).map(|()| Vec::new())
}

/// Resets a card.
pub fn reset(broker: &mut Broker, caller: &dyn Caller, order: control::ResetDevice) -> Answer {
    card(broker, order.index)?;
    permit(caller)?;
    broker.reset(caller.process(), order.index).map(|()| Vec::new())
}

/// A card that answers and has something of the kind.
pub(crate) fn card_with(broker: &mut Broker, index: u32, setting: Setting) -> Result<Description, Status> {
    let device = card(broker, index)?;
    if setting.is_of(&device) { Ok(device) } else { Err(Status::NotSupported) }
}

/// A card that answers.
pub(crate) fn card(broker: &mut Broker, index: u32) -> Result<Description, Status> {
    let device = *broker.announcement().devices.get(index as usize).ok_or(Status::NotFound)?;
    if broker.is_lost(index) { Err(Status::Lost) } else { Ok(device) }
}

/// Whether the process may change a card.
pub(crate) fn permit(caller: &dyn Caller) -> Result<(), Status> {
    if caller.is_root() { Ok(()) } else { Err(Status::Denied) }
}

fn told(setting: Setting, values: Option<[u32; 2]>) -> String {
    match values {
        None => format!("{} as it comes", setting.what()),
        Some([one, 0]) => format!("{} {one}", setting.what()),
        Some([one, other]) => format!("{} {one} {other}", setting.what()),
    }
}

impl Broker {
    /// Sets something on a card, for a process that may: `None` is as the card comes.
    pub fn set(
        &mut self,
        process: u32,
        index: u32,
        setting: Setting,
        values: Option<[u32; 2]>,
    ) -> Result<(), Status> {
        let device = card_with(self, index, setting)?;
        if values.is_some_and(|values| !setting.takes(&device, values)) {
            return Err(Status::Invalid);
        }
        let page = self.conditions.page().map_err(|_| Status::OutOfMemory)?;
        let settings = page.settings(index).ok_or(Status::NotFound)?;
        if settings.get(setting) == values {
            return Ok(());
        }
        settings.set(setting, values);
        let text = format!("GPU {index}, {}: {}", unpadded(&device.name), told(setting, values));
        self.events.push(Event::Set { process, text });
        Ok(())
    }

    /// The first value of what is set on a card; none: it is as it comes.
    pub fn setting(&self, card: u32, setting: Setting) -> Option<u32> {
        self.conditions.settings(card)?.value(setting)
    }

    /// Lets a counter of a card's errors begin anew, for a process that may.
    pub fn clear_errors(&mut self, index: u32, counter: Counter) -> Result<(), Status> {
        card_with(self, index, Setting::EccMode)?;
        self.clear_counter(index, counter);
        Ok(())
    }

    fn clear_counter(&self, index: u32, counter: Counter) {
        if let Some(card) = self.conditions.card(index) {
            card.clear_errors(counter);
        }
    }

    /// Resets a card, for a process that may.
    pub fn reset(&mut self, process: u32, index: u32) -> Result<(), Status> {
        let device = card(self, index)?;
        self.process_events();
        if self.inside(index).next().is_some() {
            return Err(Status::Unavailable);
        }
        self.clear_counter(index, Counter::Volatile);
        if let Some(settings) = self.conditions.settings(index) {
            let back = Setting::ALL.iter().filter(|setting| !setting.outlives_reset());
            back.for_each(|setting| settings.set(*setting, None));
        }
        let text = format!("GPU {index}, {}: as after a reset", unpadded(&device.name));
        self.events.push(Event::Set { process, text });
        Ok(())
    }

    /// Who may have contexts on a card.
    pub(crate) fn compute_mode(&self, card: u32) -> u32 {
        self.conditions.settings(card).map_or(compute::DEFAULT, |settings| settings.compute_mode())
    }

    /// Whether nobody new gets in.
    pub(crate) fn is_drained(&self, card: u32) -> bool {
        self.conditions.settings(card).is_some_and(Settings::is_drained)
    }

    /// Whether the card's modes let the process have contexts there. Who has some keeps them.
    pub(crate) fn admit(&mut self, process: u32, card: u32) -> Result<(), Status> {
        let mode = self.compute_mode(card);
        if mode == compute::EXCLUSIVE_PROCESS {
            // Who waited for a process to end, and begins another, has been told of the end perhaps before us.
            self.process_events();
        }
        let holders: Vec<u32> = self.inside(card).collect();
        let why = match mode {
            _ if holders.contains(&process) => return Ok(()),
            _ if self.is_drained(card) => "it is being drained".to_owned(),
            compute::PROHIBITED => "its compute mode prohibits all".to_owned(),
            compute::EXCLUSIVE_PROCESS if !holders.is_empty() => {
                format!("its compute mode lets one process in, and process {} is", holders[0])
            }
            _ => return Ok(()),
        };
        self.events.push(Event::KeptOut { process, text: format!("GPU {card}: {why}") });
        Err(Status::Unavailable)
    }

    /// Processes with contexts on a card.
    fn inside(&self, card: u32) -> impl Iterator<Item = u32> {
        let inside =
            move |(process, session): (&u32, &Session)| session.entered.contains(&card).then_some(*process);
        self.sessions.iter().filter_map(inside)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_told_in_words() {
        assert_eq!(told(Setting::PowerLimit, Some([300_000, 0])), "power limit, mW 300000");
        assert_eq!(told(Setting::GraphicsClocks, Some([0, 1500])), "locked graphics clocks, MHz 0 1500");
        assert_eq!(told(Setting::GraphicsClocks, None), "locked graphics clocks, MHz as it comes");
    }
}
