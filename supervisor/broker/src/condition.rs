//! What is wrong with the cards: the faults that operators order for tests.
//!
//! ```text
//!   Order ──▶ Broker::inject ──▶ Page (wire::condition) ◀── read by NVML: counters, lost cards, events
//!                    │              └──▶ Usage::temperature, EnterDevice: what control calls answer
//!                    └──▶ engines of the card's clients end with an error that sticks
//! ```
//!
//! There is one **page** for the session, and the state of the cards is in it alone, so no reader can see another one than the
//! others. It is sealed: who gets it can map it, but not write to it. Most sessions never make it.
//!
//! A fault is ordered **before** anybody asks for the cards (`--inject`) or later; the first ones wait until the cards are announced.
//! What a card cannot have (ECC errors without ECC, another fault once it is lost) is refused.
//!
//! One engine serves all contexts of a process. So an error of one card ends the process's contexts on all cards, where a driver
//! ends those of that card; processes that have none on it go on.

use std::ops::Deref;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;

use nix::errno::Errno;
use nix::sys::time::TimeValLike;
use nix::time::{ClockId, clock_gettime};
use wire::condition::{self, Card, PAGE_LENGTH, Page, kind};
use wire::control::{SharedCondition, Status};
use wire::device::{Description, feature, unpadded};
use wire::settings::Settings;

use crate::call::{Answer, Caller, plain};
use crate::fault::{self, Fault, Order, result};
use crate::published::Published;
use crate::{Broker, Event};

/// Why a fault cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No such card.
    #[error("there is no GPU {card}: the session has {count}")]
    NoCard {
        /// That was named.
        card: u32,
        /// That there are.
        count: usize,
    },
    /// A fault of memory with ECC.
    #[error("GPU {card}, {name}, has no ECC")]
    NoEcc {
        /// Which.
        card: u32,
        /// Its name.
        name: String,
    },
    /// Nothing else can happen to it.
    #[error("GPU {0} is lost: `clear` brings it back")]
    Lost(u32),
    /// Something of ours.
    #[error("no memory to tell of faults: {0}")]
    NoMemory(Errno),
}

/// The cards' condition, and faults that wait for cards.
#[derive(Default)]
pub struct Conditions {
    page: Option<SharedPage>,
    waiting: Vec<Order>,
    /// Faults that have happened.
    count: u32,
}

impl Conditions {
    /// A card's place on the page, if anything was ever wrong.
    pub fn card(&self, index: u32) -> Option<&Card> {
        self.page.as_ref()?.card(index)
    }

    /// What is set on a card, if anybody ever asked for the page.
    pub fn settings(&self, index: u32) -> Option<&Settings> {
        self.page.as_ref()?.settings(index)
    }

    /// The page, made at the first need.
    pub fn page(&mut self) -> Result<&SharedPage, Errno> {
        if self.page.is_none() {
            self.page = Some(SharedPage::new()?);
        }
        Ok(self.page.as_ref().expect("made above"))
    }
}

/// The page, where others can map it.
pub struct SharedPage(Published);

impl SharedPage {
    fn new() -> Result<SharedPage, Errno> {
        Published::new(c"vgpu-condition", PAGE_LENGTH).map(SharedPage)
    }
}

impl Deref for SharedPage {
    type Target = Page;

    fn deref(&self) -> &Page {
        // SAFETY: of that length, mapped for as long as we live, page aligned; zeroes at first, which are a Page; it holds only atomics.
        unsafe { self.0.base().as_ref() }
    }
}

/// Gives a process the page.
pub fn share(broker: &mut Broker, caller: &dyn Caller) -> Answer {
    let page = broker.conditions.page().map_err(|_| Status::OutOfMemory)?;
    let memory = caller.install(page.0.as_fd()).map_err(|_| Status::OutOfMemory)?;
    plain(&SharedCondition { memory, reserved: 0 })
}

impl Broker {
    /// Makes a fault happen; answers what happened, for whoever ordered it. Before the cards are announced it is kept until they are.
    pub fn inject(&mut self, order: Order) -> Result<String, Refused> {
        if self.announcement.is_some() {
            return self.happen(order);
        }
        self.conditions.waiting.push(order);
        Ok(format!("{}, once a program asks for a GPU", named(order.card.unwrap_or(0), &order.fault)))
    }

    /// The cards are announced: what was ordered before happens now.
    pub(crate) fn inject_waiting(&mut self) {
        for order in std::mem::take(&mut self.conditions.waiting) {
            if let Err(why) = self.happen(order) {
                self.events.push(Event::NotInjected { fault: order.fault, why });
            }
        }
    }

    /// What was told of the cards from event `number` on, as far as it is still known; `number` becomes the next one's.
    pub fn events_since(&self, number: &mut u64) -> Vec<condition::Event> {
        let Some(page) = &self.conditions.page else { return Vec::new() };
        let raised = page.raised();
        let first = (*number).max(raised.saturating_sub(condition::EVENTS as u64));
        *number = raised;
        (first..raised).filter_map(|number| page.event(number)).collect()
    }

    /// What is wrong with a card, if anything ever was.
    pub fn card_condition(&self, card: u32) -> Option<&Card> {
        self.conditions.card(card)
    }

    /// Whether a card does not answer any more.
    pub(crate) fn is_lost(&self, card: u32) -> bool {
        self.conditions.card(card).is_some_and(Card::is_lost)
    }

    /// What is wrong with a card, in words; nothing: nothing.
    pub(crate) fn condition(&self, index: u32) -> String {
        let Some(card) = self.conditions.card(index) else { return String::new() };
        if card.is_lost() {
            return "lost".to_owned();
        }
        let count = |number: u64, what: &str| (number > 0).then(|| format!("{number} {what}"));
        let parts = [
            count(card.uncorrected.load(Ordering::Relaxed), "uncorrected ECC"),
            count(card.corrected.load(Ordering::Relaxed), "corrected ECC"),
            count(card.temperature.load(Ordering::Relaxed).into(), "°C"),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    fn happen(&mut self, order: Order) -> Result<String, Refused> {
        let count = self.announcement().devices.len();
        let cards = match (order.fault, order.card) {
            (Fault::Clear, None) => 0..count as u32,
            (_, named) => named.unwrap_or(0)..named.unwrap_or(0).saturating_add(1),
        };
        let told: Result<Vec<String>, Refused> =
            cards.map(|card| self.happen_to(card, order.fault)).collect();
        Ok(told?.join("\n"))
    }

    fn happen_to(&mut self, index: u32, fault: Fault) -> Result<String, Refused> {
        let devices = &self.announcement().devices;
        let no_card = Refused::NoCard { card: index, count: devices.len() };
        let device = *devices.get(index as usize).ok_or_else(|| no_card.clone())?;
        check(index, &device, fault, self.is_lost(index))?;
        let page = self.conditions.page().map_err(Refused::NoMemory)?;
        let card = page.card(index).ok_or(no_card)?;
        let error = match fault {
            Fault::Xid(fault::FALLEN_OFF_THE_BUS) | Fault::Lost => lose(page, index, card),
            Fault::Xid(number) => {
                page.tell(xid(index, number));
                fault::xid(number).map(|known| known.error)
            }
            Fault::Ecc { corrected: true, count } => {
                card.corrected.fetch_add(count.into(), Ordering::Relaxed);
                page.tell(condition::Event { card: index, kind: kind::CORRECTED, data: 0 });
                None
            }
            Fault::Ecc { corrected: false, count } => fail_memory(page, index, card, count),
            Fault::Thermal(celsius) => {
                let [_, slowdown, ..] = device.temperature;
                heat(card, celsius.unwrap_or(slowdown), slowdown);
                None
            }
            Fault::Clear => {
                card.heal();
                page.ring();
                None
            }
        };
        let text = named(index, &fault);
        self.conditions.count += 1;
        self.events.push(Event::Injected { number: self.conditions.count, text: text.clone() });
        Ok(match error {
            None => text,
            Some(error) => {
                let ended = self.end_contexts(index, error, &text);
                format!("{text}; processes that lost their contexts (CUDA error {error}): {ended}")
            }
        })
    }

    /// Ends the engines of all that have a context on a card; answers how many did not fail before.
    fn end_contexts(&mut self, card: u32, error: u32, why: &str) -> usize {
        let sessions = self.sessions.values_mut().filter(|session| session.entered.contains(&card));
        sessions.filter_map(|session| session.engine.condemn(error, &format!("injected: {why}"))).count()
    }
}

fn named(card: u32, fault: &Fault) -> String {
    format!("GPU {card}: {fault}")
}

/// Whether the fault can happen to the card.
fn check(card: u32, device: &Description, fault: Fault, is_lost: bool) -> Result<(), Refused> {
    let has_ecc = device.features & feature::ECC != 0;
    match fault {
        Fault::Clear => Ok(()),
        _ if is_lost => Err(Refused::Lost(card)),
        Fault::Ecc { .. } if !has_ecc => Err(Refused::NoEcc { card, name: unpadded(&device.name) }),
        _ => Ok(()),
    }
}

fn xid(card: u32, number: u32) -> condition::Event {
    condition::Event { card, kind: kind::XID, data: number.into() }
}

/// The card is gone; answers what its clients see.
fn lose(page: &Page, index: u32, card: &Card) -> Option<u32> {
    card.lost.store(1, Ordering::Relaxed);
    page.tell(xid(index, fault::FALLEN_OFF_THE_BUS));
    Some(result::UNKNOWN)
}

/// Errors that were not corrected: a row or page is replaced for each, and the driver tells of both.
fn fail_memory(page: &Page, index: u32, card: &Card, count: u32) -> Option<u32> {
    card.uncorrected.fetch_add(count.into(), Ordering::Relaxed);
    page.tell(condition::Event { card: index, kind: kind::UNCORRECTED, data: 0 });
    page.tell(xid(index, fault::DOUBLE_BIT_ERROR));
    page.tell(xid(index, if card.is_out_of_rows() { fault::NOT_REPLACED } else { fault::REPLACED }));
    Some(result::ECC_UNCORRECTABLE)
}

/// The sensor shows that temperature; from `slowdown` on clocks are held down.
fn heat(card: &Card, celsius: u32, slowdown: u32) {
    let now = now();
    card.slowed.store(card.time_slowed(now), Ordering::Relaxed);
    card.slowed_since.store(if celsius >= slowdown { now } else { 0 }, Ordering::Relaxed);
    card.temperature.store(celsius, Ordering::Relaxed);
}

/// CLOCK_MONOTONIC nanoseconds.
fn now() -> u64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |time| time.num_nanoseconds() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ninth_error_finds_no_row() {
        let (page, card) = (Page::default(), Card::default());
        assert_eq!(fail_memory(&page, 0, &card, 8), Some(result::ECC_UNCORRECTABLE));
        fail_memory(&page, 0, &card, 1);
        let told: Vec<u64> = (0..6).filter_map(|number| page.event(number)).map(|event| event.data).collect();
        assert_eq!(told, [0, 48, 63, 0, 48, 64]);
    }

    #[test]
    fn heat_holds_clocks_down_from_the_slowdown_threshold_on() {
        let card = Card::default();
        heat(&card, 90, 91);
        assert_eq!(card.slowed_since.load(Ordering::Relaxed), 0);
        heat(&card, 91, 91);
        assert_ne!(card.slowed_since.load(Ordering::Relaxed), 0);
        heat(&card, 40, 91);
        assert!(card.slowed_since.load(Ordering::Relaxed) == 0 && card.time_slowed(u64::MAX) > 0);
    }
}
