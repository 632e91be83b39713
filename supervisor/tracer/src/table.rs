//! Which threads are traced.

use std::collections::{HashMap, HashSet};

use crate::filters::OwnFilters;

/// What is known of a thread.
#[derive(Clone, Debug, Default)]
struct Thread {
    /// Where every call is traced: it has entered one.
    in_call: bool,
    /// It sleeps with its process.
    sleeps: bool,
    /// It has called exec, and no other thread or process was made since: nobody else has its memory.
    alone: bool,
    /// Programs that it has besides ours.
    filters: OwnFilters,
}

/// All traced threads, those included that were announced and have not been seen yet.
#[derive(Debug, Default)]
pub struct Table {
    threads: HashMap<i32, Thread>,
    /// Seen, or ended, before they were announced.
    early: HashSet<i32>,
    /// Some thread has, or had, programs besides ours.
    knows_filters: bool,
}

impl Table {
    /// No thread is left.
    pub fn is_empty(&self) -> bool {
        self.threads.is_empty()
    }

    /// The first thread, which nobody announces.
    pub fn insert(&mut self, tid: i32) {
        self.threads.insert(tid, Thread::default());
    }

    /// Its parent told of it, with which it may share its memory.
    pub fn announced(&mut self, tid: i32, parent: i32) {
        let mut filters = OwnFilters::default();
        if let Some(parent) = self.threads.get_mut(&parent) {
            parent.alone = false;
            filters = parent.filters.clone();
        }
        match self.early.remove(&tid) {
            true => self.set_filters(tid, filters),
            false => drop(self.threads.insert(tid, Thread { filters, ..Thread::default() })),
        }
    }

    /// It is stopped, for the first time or again. True if nothing was known of it.
    pub fn seen(&mut self, tid: i32) -> bool {
        let is_new = !self.threads.contains_key(&tid);
        if is_new {
            self.early.insert(tid);
            self.insert(tid);
        }
        is_new
    }

    /// It has ended. False if it was never seen: it may be a child that is not traced.
    pub fn ended(&mut self, tid: i32) -> bool {
        let was_known = self.threads.remove(&tid).is_some();
        if !was_known {
            self.early.insert(tid);
        }
        was_known
    }

    /// Forgets those that ended without a word: where an exec overtakes what we do with a stop of the thread that it ends,
    /// its own stop is lost, and with it the number that its caller had. Asked for at each end, it costs nothing where many
    /// are left, and the last ones are looked at.
    pub fn forget_lost(&mut self) {
        const FEW: usize = 8;
        if self.threads.len() <= FEW {
            self.threads.retain(|&tid, _| exists(tid));
        }
    }

    /// The thread `former` has called exec and has its process's number now; the rest of the process has ended.
    pub fn executed(&mut self, former: i32, tid: i32) {
        let filters = self.filters(former);
        if former != tid {
            self.threads.remove(&former);
        }
        // The call that it is in returns only now.
        self.threads.insert(tid, Thread { in_call: true, sleeps: false, alone: true, filters });
    }

    /// Whether nobody else has its memory.
    pub fn is_alone(&self, tid: i32) -> bool {
        self.threads.get(&tid).is_some_and(|thread| thread.alone)
    }

    /// The programs that it has besides ours.
    pub fn filters(&self, tid: i32) -> OwnFilters {
        self.threads.get(&tid).map(|thread| thread.filters.clone()).unwrap_or_default()
    }

    /// Some thread has such programs.
    pub fn knows_filters(&self) -> bool {
        self.knows_filters
    }

    /// It has others now.
    pub fn set_filters(&mut self, tid: i32, filters: OwnFilters) {
        self.knows_filters |= !filters.are_none();
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.filters = filters;
        }
    }

    /// Whether it is inside a call now.
    pub fn set_in_call(&mut self, tid: i32, in_call: bool) {
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.in_call = in_call;
        }
    }

    /// It has stopped at an entry or exit; true: at an entry.
    pub fn toggle_call(&mut self, tid: i32) -> bool {
        let Some(thread) = self.threads.get_mut(&tid) else { return true };
        thread.in_call = !thread.in_call;
        thread.in_call
    }

    /// Whether it sleeps with its process; what it did before.
    pub fn set_sleeps(&mut self, tid: i32, sleeps: bool) -> bool {
        let thread = self.threads.get_mut(&tid);
        thread.is_some_and(|thread| std::mem::replace(&mut thread.sleeps, sleeps))
    }
}

/// Whether there is such a thread; one counts that has ended and was not yet waited for.
fn exists(tid: i32) -> bool {
    // SAFETY: the call takes numbers; signal 0 is sent to nobody.
    let result = unsafe { libc::syscall(libc::SYS_tkill, tid, 0) };
    result == 0 || std::io::Error::last_os_error().raw_os_error() != Some(libc::ESRCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_may_be_seen_and_end_before_it_is_announced() {
        let mut table = Table::default();
        table.insert(1);
        table.seen(2);
        assert!(table.ended(2));
        table.announced(2, 1);
        assert!(table.ended(1) && table.is_empty());
    }

    #[test]
    fn a_child_that_is_announced_keeps_the_tree_alive() {
        let mut table = Table::default();
        table.insert(1);
        table.announced(2, 1);
        assert!(table.ended(1) && !table.is_empty());
        table.seen(2);
        assert!(table.ended(2) && table.is_empty());
    }

    #[test]
    fn a_child_killed_before_it_was_seen_is_not_waited_for() {
        let mut table = Table::default();
        table.insert(1);
        assert!(!table.ended(2));
        table.announced(2, 1);
        assert!(table.ended(1) && table.is_empty());
    }

    #[test]
    fn threads_whose_end_was_lost_are_forgotten() {
        let mut table = Table::default();
        let own = std::process::id() as i32;
        table.insert(own);
        table.insert(i32::MAX);
        table.forget_lost();
        assert!(!table.is_empty() && table.ended(own) && table.is_empty());
    }

    #[test]
    fn filters_are_inherited_and_survive_an_exec() {
        let mut table = Table::default();
        table.insert(1);
        assert!(!table.knows_filters() && !table.seen(1) && table.seen(2));
        table.set_filters(1, OwnFilters::forbid_all());
        table.announced(2, 1);
        table.announced(3, 2);
        table.executed(3, 2);
        let permits = |tid| table.filters(tid).permit(libc::SYS_openat, [0; 6]);
        assert!(table.knows_filters() && !permits(1) && !permits(2) && permits(4));
    }

    #[test]
    fn exec_of_another_thread_leaves_the_first_ones_number() {
        let mut table = Table::default();
        table.insert(1);
        table.announced(2, 1);
        table.executed(2, 1);
        assert!(table.is_alone(1));
        assert!(!table.toggle_call(1), "it is at the exit of exec");
        assert!(table.ended(1) && table.is_empty());
    }
}
