//! Findings: one for each instruction and kind of error, told at the first occurrence and counted from then on.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use interpreter::watch::Described;

use crate::Tell;

/// What tells findings from each other: kernel, kind, and the numbers of the instruction and of the other one, if there is one;
/// of a call, its text.
type Key = (String, u32, u32, u32);

/// Different findings that are told; the rest only count.
const MOST: usize = 500;

/// One finding.
pub struct Found {
    text: String,
    times: AtomicU64,
    told: AtomicU64,
}

impl Found {
    /// It has occurred once more.
    pub fn again(&self) {
        self.times.fetch_add(1, Ordering::Relaxed);
    }
}

/// All findings of a process.
pub struct Findings {
    known: Mutex<HashMap<Key, Arc<Found>>>,
    /// Those for which there was no room.
    more: Arc<Found>,
    tell: Box<Tell>,
}

impl Findings {
    pub fn new(tell: Box<Tell>) -> Findings {
        let text = format!("more findings than {MOST}: the rest is not told one by one");
        let more = Found { text, times: AtomicU64::new(0), told: AtomicU64::new(0) };
        Findings { known: Mutex::default(), more: Arc::new(more), tell }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Key, Arc<Found>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The finding of an instruction; told, if this is the first time.
    pub fn of(&self, key: Key, text: impl FnOnce() -> String) -> Arc<Found> {
        let mut known = self.known();
        if let Some(found) = known.get(&key) {
            found.again();
            return found.clone();
        }
        if known.len() >= MOST {
            self.more.again();
            return self.more.clone();
        }
        let found = Found { text: text(), times: AtomicU64::new(1), told: AtomicU64::new(1) };
        (self.tell)(&found.text, 1);
        let found = Arc::new(found);
        known.insert(key, found.clone());
        found
    }

    /// A finding of something else than a kernel.
    pub fn tell_of_call(&self, text: String) {
        self.of((text.clone(), u32::MAX, 0, 0), || text);
    }

    /// Tells anew what has occurred more often than it was told.
    pub fn settle(&self) {
        let known = self.known();
        for found in known.values().chain([&self.more]) {
            let times = found.times.load(Ordering::Relaxed);
            if found.told.swap(times, Ordering::Relaxed) != times {
                (self.tell)(&found.text, times);
            }
        }
    }
}

/// An instruction for a reader.
pub fn instruction_text(described: &Described) -> String {
    let Described { instruction, line, source } = described;
    match source {
        Some((file, source_line)) => format!("`{instruction}` (PTX line {line}; {file}:{source_line})"),
        None => format!("`{instruction}` (PTX line {line})"),
    }
}

/// `1 byte`, `12 bytes`.
pub fn bytes(count: u64) -> String {
    if count == 1 { "1 byte".into() } else { format!("{count} bytes") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_told_once_and_its_count_when_it_has_grown() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let copy = told.clone();
        let tell = move |text: &str, times| copy.lock().expect("no panic").push((text.to_owned(), times));
        let findings = Findings::new(Box::new(tell));
        let key = || ("kernel".to_owned(), 1, 2, 3);
        findings.of(key(), || "first".into());
        let again = findings.of(key(), || unreachable!("it is known"));
        again.again();
        findings.settle();
        findings.settle();
        assert_eq!(*told.lock().expect("no panic"), [("first".to_owned(), 1), ("first".to_owned(), 3)]);
    }
}
