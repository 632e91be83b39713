//! What is wrong with the cards: memory that the broker writes and libraries read, so that all of them see the same at the same time.
//!
//! ```text
//!   Page   raised, doorbell    how many events there were; a futex that is rung with each
//!          [Card; CARDS]       what is wrong with each card
//!          [Settings; CARDS]   what is set on each card (`settings`)
//!          [Slot; EVENTS]      the newest events
//! ```
//!
//! A healthy card as it comes is all zeroes. Readers have the memory read-only, and wait for events without a call to the broker and without a thread.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use std::time::Duration;

use crate::futex;
use crate::settings::Settings;

/// Cards of a session at most.
pub const CARDS: usize = 16;
/// Events that are kept; who reads more slowly misses the oldest.
pub const EVENTS: usize = 256;
/// Bytes of the memory.
pub const PAGE_LENGTH: usize = size_of::<Page>().next_multiple_of(4096);

/// Rows that a bank of memory has to replace faulty ones.
pub const SPARE_ROWS: u32 = 8;
/// Pages that a card without a row remapper can do without at most.
pub const RETIRED_PAGES: u32 = 64;

/// What an event tells of: bits of `nvmlEventType…`.
pub mod kind {
    /// `nvmlEventTypeSingleBitEccError`
    pub const CORRECTED: u64 = 1 << 0;
    /// `nvmlEventTypeDoubleBitEccError`
    pub const UNCORRECTED: u64 = 1 << 1;
    /// `nvmlEventTypeXidCriticalError`
    pub const XID: u64 = 1 << 3;
}

/// What is wrong with one card.
#[repr(C, align(64))]
#[derive(Default)]
pub struct Card {
    /// 1: it does not answer any more.
    pub lost: AtomicU32,
    /// °C that its sensor shows; 0: what the load makes of it.
    pub temperature: AtomicU32,
    /// Errors of memory that were corrected, and that were not.
    pub corrected: AtomicU64,
    /// See `corrected`.
    pub uncorrected: AtomicU64,
    /// CLOCK_MONOTONIC nanoseconds since which its clocks are held down for heat; 0: they are not.
    pub slowed_since: AtomicU64,
    /// Nanoseconds that they were before.
    pub slowed: AtomicU64,
    /// Errors that counters do not show any more since they were cleared: of both [`Counter`]s those corrected and those not.
    cleared: [[AtomicU64; 2]; 2],
}

/// `nvmlEccCounterType_t`: which errors a counter shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// Since the driver was loaded.
    Volatile = 0,
    /// All that there ever were.
    Aggregate = 1,
}

impl Card {
    /// Whether it does not answer any more.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed) != 0
    }

    /// What a counter shows: errors that were corrected, and that were not.
    pub fn errors(&self, counter: Counter) -> [u64; 2] {
        let cleared = &self.cleared[counter as usize];
        let shown = |all: &AtomicU64, cleared: &AtomicU64| {
            all.load(Ordering::Relaxed).saturating_sub(cleared.load(Ordering::Relaxed))
        };
        [shown(&self.corrected, &cleared[0]), shown(&self.uncorrected, &cleared[1])]
    }

    /// A counter begins anew. What was done about the errors stays.
    pub fn clear_errors(&self, counter: Counter) {
        for (cleared, all) in self.cleared[counter as usize].iter().zip([&self.corrected, &self.uncorrected])
        {
            cleared.store(all.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    /// Rows that were replaced: one for each error that was not corrected, all of one bank, as long as it has some.
    pub fn remapped_rows(&self) -> u32 {
        self.uncorrected.load(Ordering::Relaxed).min(SPARE_ROWS.into()) as u32
    }

    /// Whether a row could not be replaced any more.
    pub fn is_out_of_rows(&self) -> bool {
        self.uncorrected.load(Ordering::Relaxed) > SPARE_ROWS.into()
    }

    /// Pages that were taken out of use, on a card that cannot replace rows.
    pub fn retired_pages(&self) -> u32 {
        self.uncorrected.load(Ordering::Relaxed).min(RETIRED_PAGES.into()) as u32
    }

    /// Nanoseconds up to `now` for which its clocks were held down.
    pub fn time_slowed(&self, now: u64) -> u64 {
        let running = match self.slowed_since.load(Ordering::Relaxed) {
            0 => 0,
            since => now.saturating_sub(since),
        };
        self.slowed.load(Ordering::Relaxed) + running
    }

    /// As new.
    pub fn heal(&self) {
        self.lost.store(0, Ordering::Relaxed);
        self.temperature.store(0, Ordering::Relaxed);
        let counters = [&self.corrected, &self.uncorrected, &self.slowed_since, &self.slowed];
        for word in counters.into_iter().chain(self.cleared.iter().flatten()) {
            word.store(0, Ordering::Relaxed);
        }
    }
}

/// Something that happened to a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its index.
    pub card: u32,
    /// One bit of [`kind`].
    pub kind: u64,
    /// The Xid, if it is one; else 0.
    pub data: u64,
}

/// An event where readers find it. `number` is one more than the event's; 0 while it is being written.
#[repr(C)]
#[derive(Default)]
struct Slot {
    number: AtomicU64,
    kind: AtomicU64,
    data: AtomicU64,
    card: AtomicU64,
}

/// The whole memory. It holds only atomics; all zeroes are a beginning.
#[repr(C)]
pub struct Page {
    raised: AtomicU64,
    doorbell: AtomicU32,
    reserved: AtomicU32,
    cards: [Card; CARDS],
    settings: [Settings; CARDS],
    events: [Slot; EVENTS],
}

impl Default for Page {
    fn default() -> Page {
        Page {
            raised: AtomicU64::new(0),
            doorbell: AtomicU32::new(0),
            reserved: AtomicU32::new(0),
            cards: std::array::from_fn(|_| Card::default()),
            settings: std::array::from_fn(|_| Settings::default()),
            events: std::array::from_fn(|_| Slot::default()),
        }
    }
}

impl Page {
    /// A card's place.
    pub fn card(&self, index: u32) -> Option<&Card> {
        self.cards.get(index as usize)
    }

    /// What is set on a card.
    pub fn settings(&self, index: u32) -> Option<&Settings> {
        self.settings.get(index as usize)
    }

    /// How many events there have been; the next one has this number.
    pub fn raised(&self) -> u64 {
        self.raised.load(Ordering::Acquire)
    }

    /// Tells an event, and wakes who waits. One thread of one process does that.
    pub fn tell(&self, event: Event) {
        let number = self.raised.load(Ordering::Relaxed);
        let slot = &self.events[number as usize % EVENTS];
        slot.number.store(0, Ordering::Relaxed);
        // Nobody may take what follows for the event that was here.
        fence(Ordering::Release);
        slot.kind.store(event.kind, Ordering::Relaxed);
        slot.data.store(event.data, Ordering::Relaxed);
        slot.card.store(event.card.into(), Ordering::Relaxed);
        slot.number.store(number + 1, Ordering::Release);
        self.raised.store(number + 1, Ordering::Release);
        self.ring();
    }

    /// Wakes who waits, to look at the cards again.
    pub fn ring(&self) {
        self.doorbell.fetch_add(1, Ordering::SeqCst);
        futex::wake_all(&self.doorbell);
    }

    /// The event with this number; `None` if there was none yet, or if it is no longer kept.
    pub fn event(&self, number: u64) -> Option<Event> {
        let slot = &self.events[number as usize % EVENTS];
        let is_it = |order| slot.number.load(order) == number + 1;
        if !is_it(Ordering::Acquire) {
            return None;
        }
        let event = Event {
            card: slot.card.load(Ordering::Relaxed) as u32,
            kind: slot.kind.load(Ordering::Relaxed),
            data: slot.data.load(Ordering::Relaxed),
        };
        fence(Ordering::Acquire);
        is_it(Ordering::Relaxed).then_some(event)
    }

    /// The doorbell as it is, for [`Page::wait`]: to be read before looking.
    pub fn bell(&self) -> u32 {
        self.doorbell.load(Ordering::SeqCst)
    }

    /// Sleeps until the doorbell is rung, if it has not been since it was `bell`, for `timeout` at most. May wake for nothing.
    pub fn wait(&self, bell: u32, timeout: Duration) {
        futex::wait(&self.doorbell, bell, Some(timeout));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn xid(data: u64) -> Event {
        Event { card: 1, kind: kind::XID, data }
    }

    #[test]
    fn events_come_in_order_until_they_are_overwritten() {
        let page = Page::default();
        assert_eq!((page.raised(), page.event(0)), (0, None));
        for number in 0..EVENTS as u64 + 3 {
            page.tell(xid(number));
        }
        assert_eq!(page.event(2), None, "overwritten");
        assert_eq!(page.event(3), Some(xid(3)));
        assert_eq!(page.event(page.raised() - 1), Some(xid(EVENTS as u64 + 2)));
        assert_eq!(page.event(page.raised()), None, "not yet");
    }

    #[test]
    fn an_event_wakes_who_waits() {
        let page = Page::default();
        let begun = std::time::Instant::now();
        std::thread::scope(|scope| {
            let bell = page.bell();
            scope.spawn(|| page.tell(xid(13)));
            while page.raised() == 0 {
                page.wait(bell, Duration::from_secs(10));
            }
        });
        assert!(begun.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn one_bank_has_eight_spare_rows() {
        let card = Card::default();
        let after = |errors: u64| {
            card.uncorrected.store(errors, Ordering::Relaxed);
            (card.remapped_rows(), card.is_out_of_rows(), card.retired_pages())
        };
        assert_eq!([0, 8, 9, 100].map(after), [(0, false, 0), (8, false, 8), (8, true, 9), (8, true, 64)]);
    }

    #[test]
    fn a_cleared_counter_shows_what_comes_after() {
        let card = Card::default();
        card.corrected.store(3, Ordering::Relaxed);
        card.uncorrected.store(1, Ordering::Relaxed);
        card.clear_errors(Counter::Volatile);
        assert_eq!((card.errors(Counter::Volatile), card.errors(Counter::Aggregate)), ([0, 0], [3, 1]));
        card.corrected.store(5, Ordering::Relaxed);
        assert_eq!((card.errors(Counter::Volatile), card.remapped_rows()), ([2, 0], 1));
    }

    #[test]
    fn time_with_clocks_held_down_goes_on_until_it_is_stopped() {
        let card = Card::default();
        card.slowed.store(5, Ordering::Relaxed);
        assert_eq!(card.time_slowed(100), 5);
        card.slowed_since.store(90, Ordering::Relaxed);
        assert_eq!(card.time_slowed(100), 15);
        card.heal();
        assert_eq!(card.time_slowed(100), 0);
    }
}
