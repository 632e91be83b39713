//! What a session holds of its cards, for those who look.

use std::collections::BTreeMap;

use crate::Mediator;
use crate::cards::Card;

/// A card of the session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holding {
    /// The number of its node.
    pub card: u32,
    /// Its product's name; empty: nobody tells.
    pub model: String,
    /// Bytes that are held, with all managed memory.
    pub held: u64,
    /// Bytes that may be held.
    pub limit: Option<u64>,
}

/// A process that holds memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its number.
    pub process: i32,
    /// Bytes of each of the session's cards, with its managed memory.
    pub held: Vec<u64>,
}

impl Mediator {
    /// The session's cards, and processes that hold memory of them.
    pub fn holdings(&mut self) -> (Vec<Holding>, Vec<Holder>) {
        self.look_at_managed();
        let minors: Vec<u32> = match &self.visible {
            Some(visible) => visible.minors().collect(),
            None => self.machine.cards.clone(),
        };
        let holders = self.holders(&minors);
        (minors.into_iter().map(|card| self.holding(card)).collect(), holders)
    }

    fn holding(&self, card: u32) -> Holding {
        let model = |known: &Card| (known.minor == card).then(|| known.model.clone());
        let model = self.known.iter().find_map(model).unwrap_or_default();
        Holding { card, model, held: self.ledger.used(card), limit: self.ledger.limit() }
    }

    fn holders(&self, cards: &[u32]) -> Vec<Holder> {
        let managed: BTreeMap<i32, u64> = self.managed.by_process().collect();
        let named = self.ledger.by_process();
        let mut processes: Vec<i32> = managed.keys().chain(named.keys()).copied().collect();
        processes.sort_unstable();
        processes.dedup();
        let holder = |process| {
            let of_card = |card| named.get(&process).and_then(|of| of.get(card)).copied().unwrap_or(0);
            let of_none = managed.get(&process).copied().unwrap_or(0);
            Holder { process, held: cards.iter().map(|card| of_card(card) + of_none).collect() }
        };
        processes.into_iter().map(holder).collect()
    }
}
