//! What processes used of cards, for after their end: NVML's accounting.
//!
//! ```text
//!   first context on a card ──▶ Account, if accounting is on there ──the process ends──▶ its figures stay
//! ```
//!
//! A process that had its context before accounting was switched on has no account. The oldest accounts give way to new ones; an
//! account whose process still runs ends like any other when its turn comes.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytemuck::bytes_of;
use wire::control::{self, ACCOUNTS, Accounted, ProcessListHeader, Status};
use wire::settings::Setting;

use crate::call::{Answer, Caller};
use crate::settings::{card, card_with, permit};
use crate::{Broker, memory_share};

/// Accounts of all cards.
#[derive(Default)]
pub struct Accounting {
    cards: BTreeMap<u32, VecDeque<Account>>,
}

/// One process on one card.
struct Account {
    figures: Accounted,
    began: Instant,
    /// Nanoseconds that kernels of the process had run when it began.
    before: u64,
}

/// What is known of a process when its account is looked at or ends.
pub struct Use {
    /// Nanoseconds in which its kernels ran.
    pub nanoseconds: u64,
    /// The most that it held of the card, bytes.
    pub peak: u64,
}

impl Accounting {
    /// A process has its first context on a card; its kernels have run for `nanoseconds` on others.
    pub fn begin(&mut self, card: u32, process: u32, nanoseconds: u64) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let figures =
            Accounted { pid: process, is_running: 1, began: now.as_micros() as u64, ..Accounted::default() };
        let accounts = self.cards.entry(card).or_default();
        if accounts.len() >= ACCOUNTS {
            accounts.pop_front();
        }
        accounts.push_back(Account { figures, began: Instant::now(), before: nanoseconds });
    }

    /// The process has ended, or has let go of the card.
    pub fn end(&mut self, card: u32, process: u32, so_far: &Use) {
        let Some(account) = self.running(card, process) else { return };
        account.figures = account.looked_at(so_far);
        account.figures.is_running = 0;
        account.figures.time = account.began.elapsed().as_millis() as u64;
    }

    /// Forgets those that have ended.
    pub fn clear(&mut self, card: u32) {
        self.cards.entry(card).or_default().retain(|account| account.figures.is_running != 0);
    }

    /// All accounts of a card, oldest first; `of` tells what its processes have used so far.
    pub fn list(&self, card: u32, of: impl Fn(u32) -> Option<Use>) -> Vec<Accounted> {
        let accounts = self.cards.get(&card).into_iter().flatten();
        let figures = |account: &Account| match of(account.figures.pid) {
            Some(so_far) if account.figures.is_running != 0 => account.looked_at(&so_far),
            _ => account.figures,
        };
        accounts.map(figures).collect()
    }

    fn running(&mut self, card: u32, process: u32) -> Option<&mut Account> {
        let accounts = self.cards.get_mut(&card)?.iter_mut();
        accounts.rev().find(|account| account.figures.pid == process && account.figures.is_running != 0)
    }
}

impl Account {
    fn looked_at(&self, so_far: &Use) -> Accounted {
        let kernels = Duration::from_nanos(so_far.nanoseconds.saturating_sub(self.before));
        let utilisation = per_cent(kernels, self.began.elapsed());
        Accounted {
            utilisation,
            memory_utilisation: memory_share(utilisation),
            peak: so_far.peak,
            ..self.figures
        }
    }
}

fn per_cent(part: Duration, all: Duration) -> u32 {
    (part.as_nanos() * 100 / all.as_nanos().max(1)).min(100) as u32
}

/// Tells the accounts of a card.
pub fn list(broker: &mut Broker, order: control::ListAccounted, capacity: u32) -> Answer {
    card(broker, order.index)?;
    let all = broker.accounts(order.index);
    let room = (capacity as usize).saturating_sub(size_of::<ProcessListHeader>()) / size_of::<Accounted>();
    let count = all.len().min(room);
    let header = ProcessListHeader { count: count as u32, total: all.len() as u32 };
    let mut output = bytes_of(&header).to_vec();
    output.extend(all[..count].iter().flat_map(bytes_of));
    Ok(output)
}

/// Forgets those that have ended.
pub fn clear(broker: &mut Broker, caller: &dyn Caller, order: control::ClearAccounted) -> Answer {
    card_with(broker, order.index, Setting::AccountingMode)?;
    permit(caller)?;
    broker.clear_accounts(order.index).map(|()| Vec::new())
}

impl Broker {
    /// The accounts of a card, oldest first.
    pub fn accounts(&mut self, card: u32) -> Vec<Accounted> {
        // Whoever waited for a process to end asks at once, perhaps before we have heard of the end.
        self.process_events();
        self.accounting.list(card, |process| self.used_so_far(card, process))
    }

    /// Forgets those that have ended, for a process that may.
    pub fn clear_accounts(&mut self, card: u32) -> Result<(), Status> {
        card_with(self, card, Setting::AccountingMode)?;
        self.accounting.clear(card);
        Ok(())
    }

    /// The process's first context on the card.
    pub(crate) fn begin_account(&mut self, process: u32, card: u32) {
        let mode = self.conditions.settings(card).and_then(|it| it.value(Setting::AccountingMode));
        if mode == Some(1) {
            let nanoseconds = self.sessions.get(&process).map_or(0, |session| session.engine.work_done().1);
            self.accounting.begin(card, process, nanoseconds);
        }
    }

    /// Precondition: the ledger still knows the process.
    pub(crate) fn end_accounts(&mut self, process: u32) {
        let cards = self.sessions.get(&process).map(|session| session.entered.clone()).unwrap_or_default();
        for card in cards {
            if let Some(so_far) = self.used_so_far(card, process) {
                self.accounting.end(card, process, &so_far);
            }
        }
    }

    fn used_so_far(&self, card: u32, process: u32) -> Option<Use> {
        let session = self.sessions.get(&process)?;
        Some(Use { nanoseconds: session.engine.work_done().1, peak: self.ledger.peak(card, process) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(peak: u64) -> Use {
        Use { nanoseconds: u64::MAX, peak }
    }

    #[test]
    fn an_account_stays_after_its_process() {
        let mut accounting = Accounting::default();
        accounting.begin(1, 7, 0);
        let running = accounting.list(1, |_| Some(used(5)));
        assert_eq!((running[0].is_running, running[0].peak, running[0].utilisation), (1, 5, 100));
        assert_eq!((running[0].time, accounting.list(0, |_| None).len()), (0, 0));
        accounting.end(1, 7, &used(6));
        // Another process may have got its number.
        let ended = accounting.list(1, |_| Some(used(9)));
        assert_eq!((ended[0].pid, ended[0].is_running, ended[0].peak), (7, 0, 6));
    }

    #[test]
    fn clearing_forgets_who_has_ended_and_the_oldest_gives_way() {
        let mut accounting = Accounting::default();
        for process in 0..=ACCOUNTS as u32 {
            accounting.begin(0, process, 0);
        }
        let pids: Vec<u32> = accounting.list(0, |_| None).iter().map(|account| account.pid).collect();
        assert_eq!((pids.len(), pids[0]), (ACCOUNTS, 1));
        accounting.end(0, 0, &used(0));
        accounting.end(0, 5, &used(0));
        accounting.clear(0);
        assert_eq!(accounting.list(0, |_| None).len(), ACCOUNTS - 1);
    }
}
