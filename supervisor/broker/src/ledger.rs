//! Who holds how much of which card. Every figure that anybody is told comes from here.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::physical::NOBODY;

/// Accounts of one card.
#[derive(Clone, Debug, Default)]
struct Account {
    capacity: u64,
    /// Bytes by process.
    held: BTreeMap<u32, u64>,
    /// The most that each process held.
    peaks: BTreeMap<u32, u64>,
}

/// The accounts of all cards.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    accounts: Vec<Account>,
    /// The most that a process held at a time, over all cards.
    peaks: BTreeMap<u32, u64>,
}

/// A card has not that much left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted;

impl Ledger {
    /// Cards of these sizes, bytes.
    pub fn new(capacities: impl Iterator<Item = u64>) -> Ledger {
        let accounts = capacities.map(|capacity| Account { capacity, ..Account::default() }).collect();
        Ledger { accounts, peaks: BTreeMap::new() }
    }

    /// Charges a process, or leaves everything as it was.
    pub fn charge(&mut self, device: u32, process: u32, bytes: u64) -> Result<(), Exhausted> {
        let free = self.free(device);
        let account = self.accounts.get_mut(device as usize).ok_or(Exhausted)?;
        if bytes > free {
            return Err(Exhausted);
        }
        let of_card = account.held.entry(process).or_default();
        *of_card += bytes;
        let peak = account.peaks.entry(process).or_default();
        *peak = (*of_card).max(*peak);
        let held = self.held_by(process);
        let peak = self.peaks.entry(process).or_default();
        *peak = held.max(*peak);
        Ok(())
    }

    /// Gives bytes back.
    pub fn release(&mut self, device: u32, process: u32, bytes: u64) {
        let Some(account) = self.accounts.get_mut(device as usize) else { return };
        if let Some(held) = account.held.get_mut(&process) {
            *held = held.saturating_sub(bytes);
            if *held == 0 {
                account.held.remove(&process);
            }
        }
    }

    /// A process is gone; answers the most that it held.
    pub fn forget(&mut self, process: u32) -> u64 {
        for account in &mut self.accounts {
            account.held.remove(&process);
            account.peaks.remove(&process);
        }
        self.peaks.remove(&process).unwrap_or(0)
    }

    /// Bytes of a card.
    pub fn capacity(&self, device: u32) -> u64 {
        self.accounts.get(device as usize).map_or(0, |account| account.capacity)
    }

    /// Bytes of a card that are held.
    pub fn used(&self, device: u32) -> u64 {
        self.accounts.get(device as usize).map_or(0, |account| account.held.values().sum())
    }

    /// Bytes of a card that can still be charged.
    pub fn free(&self, device: u32) -> u64 {
        self.capacity(device).saturating_sub(self.used(device))
    }

    /// Bytes that a process holds of one card.
    pub fn held(&self, device: u32, process: u32) -> u64 {
        self.accounts
            .get(device as usize)
            .and_then(|account| account.held.get(&process))
            .copied()
            .unwrap_or(0)
    }

    /// The most that a process held of one card.
    pub fn peak(&self, device: u32, process: u32) -> u64 {
        let peak = self.accounts.get(device as usize).and_then(|account| account.peaks.get(&process));
        peak.copied().unwrap_or(0)
    }

    /// Which processes hold memory of a card, and how much.
    pub fn processes(&self, device: u32) -> Vec<(u32, u64)> {
        let held = |account: &Account| {
            let processes = account.held.range(NOBODY + 1..);
            processes.map(|(process, bytes)| (*process, *bytes)).collect()
        };
        self.accounts.get(device as usize).map_or_else(Vec::new, held)
    }

    fn held_by(&self, process: u32) -> u64 {
        self.accounts.iter().filter_map(|account| account.held.get(&process)).sum()
    }
}

/// Shortest period over which utilisation is told, like the driver's.
const SAMPLE: Duration = Duration::from_millis(100);

/// Turns growing sums of kernel time into per cent.
#[derive(Default)]
pub struct Utilisation {
    last: Option<(Instant, u64)>,
    per_cent: u32,
}

impl Utilisation {
    /// Per cent of the last sample period in which kernels ran. `nanoseconds`: their time since the start.
    pub fn sample(&mut self, now: Instant, nanoseconds: u64) -> u32 {
        let Some((begun, before)) = self.last else {
            self.last = Some((now, nanoseconds));
            return 0;
        };
        let period = now.saturating_duration_since(begun);
        if period >= SAMPLE {
            let busy = u128::from(nanoseconds.saturating_sub(before));
            self.per_cent = (busy * 100 / period.as_nanos().max(1)).min(100) as u32;
            self.last = Some((now, nanoseconds));
        }
        self.per_cent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_charge_changes_nothing_and_sums_agree() {
        let mut ledger = Ledger::new([1000, 500].into_iter());
        assert_eq!(ledger.charge(0, 7, 600), Ok(()));
        assert_eq!(ledger.charge(0, 8, 401), Err(Exhausted));
        assert_eq!(ledger.charge(2, 8, 1), Err(Exhausted));
        assert_eq!((ledger.used(0), ledger.free(0), ledger.held(0, 8)), (600, 400, 0));
        assert_eq!(ledger.charge(1, 7, 500), Ok(()));
        ledger.release(0, 7, 100);
        assert_eq!((ledger.peak(0, 7), ledger.peak(1, 7), ledger.peak(0, 8)), (600, 500, 0));
        assert_eq!(ledger.processes(0), [(7, 500)]);
        assert_eq!(ledger.forget(7), 1100);
        assert_eq!((ledger.used(0), ledger.used(1)), (0, 0));
    }

    #[test]
    fn charges_and_releases_in_any_order_never_lose_a_byte() {
        let mut ledger = Ledger::new([1 << 20].into_iter());
        let mut expected = [0u64; 4];
        let mut state = 1u64;
        for _ in 0..10_000 {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let (process, bytes) = ((state >> 60) as u32 % 4, (state >> 40) % 5000);
            let held = &mut expected[process as usize];
            if state >> 33 & 1 == 0 {
                if ledger.charge(0, process, bytes).is_ok() {
                    *held += bytes;
                }
            } else {
                let bytes = bytes.min(*held);
                ledger.release(0, process, bytes);
                *held -= bytes;
            }
            assert_eq!(ledger.used(0), expected.iter().sum::<u64>());
            assert!(ledger.used(0) <= 1 << 20);
        }
    }

    #[test]
    fn utilisation_is_the_share_of_the_sample() {
        let mut utilisation = Utilisation::default();
        let begun = Instant::now();
        utilisation.sample(begun, 0);
        assert_eq!(utilisation.sample(begun + Duration::from_millis(200), 50_000_000), 25);
        assert_eq!(
            utilisation.sample(begun + Duration::from_millis(210), 60_000_000),
            25,
            "within one sample"
        );
    }
}
