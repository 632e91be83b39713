//! Event sets: what happens to cards, told to who waits for it.
//!
//! A set is a place in the session's one row of events ([`wire::condition`]) and a list of what it was registered for. So nothing is
//! kept for a set but that, and who waits sleeps on the row's doorbell: no thread, no interval.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use client::Condition;
use wire::condition::{EVENTS, Event, kind};
use wire::device::{Description, feature};

use crate::door::*;
use crate::session::{self, handle_of};

/// `nvmlEventData_t` of `nvmlEventSetWait`
#[repr(C)]
pub struct EventData1 {
    device: usize,
    kind: u64,
    data: u64,
}

call_trace::fields! { EventData1 { kind, data } }

/// The same of `nvmlEventSetWait_v2`: with the instances that it was of, or all ones.
#[repr(C)]
pub struct EventData2 {
    first: EventData1,
    instances: [u32; 2],
}

call_trace::fields! { EventData2 { first } }

impl From<Event> for EventData1 {
    fn from(event: Event) -> Self {
        Self { device: handle_of(event.card), kind: event.kind, data: event.data }
    }
}

impl From<Event> for EventData2 {
    fn from(event: Event) -> Self {
        Self { first: event.into(), instances: [u32::MAX; 2] }
    }
}

/// `nvmlEventType…` of a card with ECC (recorded), and those of them that need it.
const SUPPORTED: u64 = 0xff9f;
const OF_ECC: u64 = kind::CORRECTED | kind::UNCORRECTED;
/// What can be asked for: two more, which never happen.
const REGISTERED: u64 = 0xffff;

/// What can happen to a card.
fn supported(device: &Description) -> u64 {
    if device.features & feature::ECC != 0 { SUPPORTED } else { SUPPORTED & !OF_ECC }
}

/// Events of one card that a set wants, from some number on.
struct Registration {
    card: u32,
    kinds: u64,
    since: u64,
}

#[derive(Default)]
struct State {
    /// Number of the event that is looked at next.
    next: u64,
    registrations: Vec<Registration>,
}

/// `nvmlEventSet_t`
pub struct EventSet {
    condition: Arc<Condition>,
    state: Mutex<State>,
}

impl EventSet {
    /// A set that wants nothing yet.
    pub fn new(condition: Arc<Condition>) -> EventSet {
        let state = State { next: condition.raised(), ..State::default() };
        EventSet { condition, state: Mutex::new(state) }
    }

    fn with_state<T>(&self, action: impl FnOnce(&mut State) -> T) -> T {
        action(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn register(&self, card: u32, kinds: u64) {
        let since = self.condition.raised();
        self.with_state(|state| state.registrations.push(Registration { card, kinds, since }));
    }

    /// The next event that is wanted, if it has happened already.
    fn take(&self) -> Option<Event> {
        let raised = self.condition.raised();
        self.with_state(|state| {
            // What is no longer kept nobody can tell.
            state.next = state.next.max(raised.saturating_sub(EVENTS as u64));
            while state.next < raised {
                let number = state.next;
                state.next += 1;
                if let Some(event) = self.condition.event(number)
                    && state.registrations.iter().any(|one| one.wants(number, &event))
                {
                    return Some(event);
                }
            }
            None
        })
    }

    fn has_lost_card(&self) -> bool {
        let is_lost = |card| self.condition.card(card).is_some_and(|card| card.is_lost());
        self.with_state(|state| state.registrations.iter().any(|one| is_lost(one.card)))
    }

    /// Waits for an event. What happened before a card was lost is told first.
    fn wait(&self, patience: Duration) -> Nvml<Event> {
        let deadline = Instant::now() + patience;
        loop {
            let bell = self.condition.bell();
            if let Some(event) = self.take() {
                return Ok(event);
            }
            if self.has_lost_card() {
                return Err(Error::GPU_IS_LOST);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::TIMEOUT);
            }
            self.condition.wait(bell, left);
        }
    }
}

impl Registration {
    fn wants(&self, number: u64, event: &Event) -> bool {
        self.card == event.card && self.kinds & event.kind != 0 && self.since <= number
    }
}

/// Waits with the library unlocked: others go on, and may even close it.
unsafe fn wait<T: From<Event>>(set: usize, target: *mut T, milliseconds: u32) -> Nvml {
    let set = session::with(|session| session.event_set(set))?;
    // SAFETY: the caller's place.
    let target = unsafe { out(target) }?;
    *target = set.wait(Duration::from_millis(milliseconds.into()))?.into();
    Ok(())
}

exports! {
    fn nvmlEventSetCreate(set: *mut usize) {
        session::with_mut(|session| {
            let place = out(set)?;
            *place = session.create_event_set();
            Ok(())
        })
    }

    fn nvmlEventSetFree(set: usize) {
        session::with_mut(|session| session.free_event_set(set))
    }

    fn nvmlDeviceRegisterEvents(handle: usize, kinds: u64, set: usize) {
        session::with(|session| {
            let (card, device) = session.device(handle)?;
            let set = session.event_set(set)?;
            let possible = supported(device) | REGISTERED & !SUPPORTED;
            if kinds & !possible != 0 {
                return Err(Error::NOT_SUPPORTED);
            }
            set.register(card, kinds);
            Ok(())
        })
    }

    fn nvmlDeviceGetSupportedEventTypes(handle: usize, kinds: *mut u64) {
        session::with(|session| {
            let (_, device) = session.device(handle)?;
            *out(kinds)? = supported(device);
            Ok(())
        })
    }

    fn nvmlEventSetWait(set: usize, event: *mut EventData1, milliseconds: u32) {
        wait(set, event, milliseconds)
    }

    fn nvmlEventSetWait_v2(set: usize, event: *mut EventData2, milliseconds: u32) {
        wait(set, event, milliseconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_have_the_sizes_of_the_c_interface() {
        assert_eq!((size_of::<EventData1>(), size_of::<EventData2>()), (24, 32));
    }

    #[test]
    fn a_registration_wants_its_card_and_kinds_from_its_beginning_on() {
        let one = Registration { card: 1, kinds: kind::XID | kind::CORRECTED, since: 5 };
        let event = Event { card: 1, kind: kind::XID, data: 13 };
        assert!(one.wants(5, &event));
        assert!(!one.wants(4, &event), "before");
        assert!(!one.wants(5, &Event { card: 0, ..event }), "another card");
        assert!(!one.wants(5, &Event { kind: kind::UNCORRECTED, ..event }), "another kind");
    }
}
