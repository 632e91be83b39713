//! What moves on the cards, told to the emulated driver, and the pages that it keeps of it for clients (`RM_USER_SHARED_DATA`).

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use broker::{Broker, Published};
use resource_manager::{BEING_WRITTEN, Happening, Load, ResourceManager};
use wire::condition;
use wire::settings::Setting;

use crate::shown;

/// How often the driver of a card for computing brings its pages up to date.
const INTERVAL: Duration = Duration::from_millis(100);
/// A page, whatever the release puts on it.
const LENGTH: usize = 4096;

/// The cards' pages, those that somebody asked for.
#[derive(Default)]
pub struct Pages {
    of_cards: BTreeMap<usize, Published>,
    written: Option<Instant>,
}

impl Pages {
    /// A card's page, to be mapped by a client. It is written before the client can.
    pub fn page(&mut self, card: usize) -> io::Result<&Published> {
        self.written = None;
        if let std::collections::btree_map::Entry::Vacant(none) = self.of_cards.entry(card) {
            none.insert(Published::new(shown::NAME, LENGTH)?);
        }
        Ok(&self.of_cards[&card])
    }

    /// Whether they are out of date.
    pub fn are_due(&self) -> bool {
        !self.of_cards.is_empty() && self.written.is_none_or(|written| written.elapsed() >= INTERVAL)
    }

    /// How long until they are, in milliseconds; -1: never.
    pub fn due_in(&self) -> i32 {
        match self.written {
            _ if self.of_cards.is_empty() => -1,
            Some(written) => INTERVAL.saturating_sub(written.elapsed()).as_millis() as i32 + 1,
            None => 0,
        }
    }

    /// Brings them up to date. Nobody asks for figures any more: there is nothing to keep.
    pub fn write(&mut self, manager: &mut ResourceManager) {
        if self.of_cards.is_empty() {
            return;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
        let stamps = manager.shared_data_stamps();
        for (card, page) in &self.of_cards {
            if let Some(image) = manager.shared_data(*card, now) {
                publish(page.words(), image, &stamps);
            }
        }
        self.written = Some(Instant::now());
        if !manager.shows_figures() {
            self.of_cards.clear();
        }
    }
}

/// Writes group by group, so that a reader who finds the same stamp before and after has a whole one. `stamps`: where groups begin.
fn publish(words: &[AtomicU64], image: &[u8], stamps: &[usize]) {
    const WORD: usize = size_of::<u64>();
    let new: Vec<u64> = image
        .chunks_exact(WORD)
        .map(|bytes| u64::from_le_bytes(bytes.try_into().expect("chunks of a word")))
        .collect();
    for (at, begin) in stamps.iter().enumerate() {
        let end = stamps.get(at + 1).copied().unwrap_or(image.len());
        let group = begin / WORD..(end / WORD).min(new.len()).min(words.len());
        let is_old = group.clone().all(|at| words[at].load(Ordering::Relaxed) == new[at]);
        if is_old || group.is_empty() {
            continue;
        }
        words[group.start].store(BEING_WRITTEN, Ordering::Relaxed);
        fence(Ordering::Release);
        for at in group.start + 1..group.end {
            words[at].store(new[at], Ordering::Relaxed);
        }
        words[group.start].store(new[group.start], Ordering::Release);
    }
}

/// An event of a card as its driver tells of it.
pub fn happening(event: &condition::Event) -> Option<Happening> {
    match event.kind {
        condition::kind::XID => Some(Happening::Xid(event.data as u32)),
        condition::kind::CORRECTED => Some(Happening::Corrected),
        condition::kind::UNCORRECTED => Some(Happening::Uncorrected),
        _ => None,
    }
}

/// What the broker knows of the cards.
pub fn tell(manager: &mut ResourceManager, broker: &mut Broker) {
    for card in 0..manager.cards() {
        if let Some(load) = load(broker, card as u32) {
            manager.set_load(card, load);
        }
    }
}

fn load(broker: &mut Broker, card: u32) -> Option<Load> {
    let usage = broker.usage(card)?;
    let processes = broker.holders(card);
    let mut load = Load { usage, has_devices: !processes.is_empty(), processes, ..Load::default() };
    let pending = |setting| broker.setting(card, setting).map(|mode| mode != 0);
    (load.pending_ecc, load.pending_mig) = (pending(Setting::EccMode), pending(Setting::MigMode));
    if let Some(condition) = broker.card_condition(card) {
        load.errors = condition.errors(condition::Counter::Volatile);
        load.is_lost = condition.is_lost();
        load.remapped = (condition.remapped_rows(), condition.is_out_of_rows());
    }
    Some(load)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_written_with_their_stamps_and_left_alone_where_nothing_changed() {
        let words: Vec<AtomicU64> = (0..8).map(|_| AtomicU64::new(0)).collect();
        let image = |numbers: [u64; 5]| numbers.map(u64::to_le_bytes).concat();
        let read = || words.iter().map(|word| word.load(Ordering::Relaxed)).collect::<Vec<_>>();
        publish(&words, &image([2, 10, 11, 7, 20]), &[0, 24]);
        assert_eq!(read(), [2, 10, 11, 7, 20, 0, 0, 0]);
        publish(&words, &image([2, 10, 11, 8, 21]), &[0, 24]);
        assert_eq!(read(), [2, 10, 11, 8, 21, 0, 0, 0]);
        publish(&words, &[], &[0, 24]);
        assert_eq!(read()[0], 2, "an image that is shorter than its groups");
    }
}
